//! A node's own secrets: each by the version that its record names, from where the stack keeps it, and
//! nothing else under its name.

use provisioning::record::NodeRecord;
use reading::ReadError;

use crate::world::{
    CUT_OVER, World, envelope, envelope_under, fetch, p2p_key, password, record, secret_arn, with_pending,
};

const NOW: &str = "2026-02-01T00:00:00Z";

#[test]
fn both_protections_give_the_same_secrets() {
    for sealed in [true, false] {
        let world = World::of(2, sealed);
        let secrets = fetch(&world, 1, NOW).unwrap();
        assert!(secrets.p2p_key.matches(&p2p_key(1, 1).public_key()));
        assert_eq!(secrets.share_password.as_ref().unwrap().expose(), password().expose());
        let fetched: Vec<_> = world.fetched.borrow().iter().map(|(_, version)| version.clone()).collect();
        assert_eq!(fetched, ["v1", "s1"]);
        assert_eq!(*world.opened.borrow(), if sealed { 2 } else { 0 });
        assert_eq!(format!("{secrets:?}"), "NodeSecrets { .. }");
    }
}

#[test]
fn which_version_counts_is_said_by_the_record_and_its_time() {
    let mut world = World::of(1, true);
    world.publish(&with_pending(record(0)));
    assert!(fetch(&world, 0, NOW).unwrap().p2p_key.matches(&p2p_key(0, 1).public_key()));
    assert!(fetch(&world, 0, CUT_OVER).unwrap().p2p_key.matches(&p2p_key(0, 2).public_key()));
}

#[test]
fn a_node_without_a_password_fetches_none() {
    let mut world = World::of(1, true);
    world.publish(&NodeRecord { share_version_id: None, ..record(0) });
    assert!(fetch(&world, 0, NOW).unwrap().share_password.is_none());
    assert_eq!(world.fetched.borrow().len(), 1);
}

#[test]
fn what_is_not_what_the_record_tells_of_is_refused_without_a_value() {
    let his = p2p_key(7, 7);
    let moved = envelope(1, "p2p-key", &p2p_key(0, 1).expose_pkcs8_der());
    let as_password = envelope(0, "share-encryption-password", b"x");
    for (what, value, why) in [
        ("p2p-key", envelope(0, "p2p-key", &his.expose_pkcs8_der()), "is not that of sha256:"),
        ("p2p-key", moved, "another cluster, node or purpose"),
        ("p2p-key", as_password.clone(), "another cluster, node or purpose"),
        ("p2p-key", envelope(0, "p2p-key", b"canary"), "no P2P key"),
        ("share-encryption-password", as_password, "no share-encryption-password"),
        ("p2p-key", r#"{"schema":1,"kind":"p2p-key","pkcs8":"canary"}"#.into(), "no P2P key"),
        ("p2p-key", r#"{"schema":1,"kind":"other","pkcs8":"canary"}"#.into(), "no p2p-key of schema 1"),
        ("p2p-key", "canary".into(), "no form of ours"),
        ("share-encryption-password", "{\"password\":\"canary\"}".into(), "no form of ours"),
    ] {
        let mut world = World::of(2, value.contains("\"sealed\""));
        let version = if what == "p2p-key" { "v1" } else { "s1" };
        world.put(0, what, version, &value);
        let error = fetch(&world, 0, NOW).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, ReadError::Mismatch { .. }), "{text}");
        let why = why.replace("no share-encryption-password", "no share-encryption password");
        assert!(text.contains(&why) && text.contains(&secret_arn(0, what)), "{text}");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
}

#[test]
fn an_environment_that_points_elsewhere_is_not_followed() {
    let own = secret_arn(0, "share-encryption-password");
    let name = "keyboot/tsm/node/0/share-encryption-password";
    for elsewhere in [
        own.replace("111122223333", "444455556666"),
        own.replace("eu-central-1", "us-east-1"),
        secret_arn(1, "share-encryption-password"),
        own.replace("password-", "password-x/"),
        own.replace(name, &format!("other/{name}")),
        own.replace("secretsmanager", "s3"),
        format!("arn:aws:ssm:eu-central-1:444455556666:parameter/{name}"),
        "nonsense".into(),
    ] {
        let mut world = World::of(2, true);
        let environment = world.documents.get_mut("/keyboot/tsm/node/0/env").unwrap();
        *environment = environment.replace(&own, &elsewhere);
        let sealed = envelope(0, "share-encryption-password", password().expose().as_bytes());
        world.secrets.insert((elsewhere.clone(), "s1".into()), sealed);
        let error = fetch(&world, 0, NOW).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(&elsewhere), "{error}");
        assert!(world.fetched.borrow().iter().all(|(arn, _)| *arn != elsewhere));
    }
    // The same name in the other store is the node's own.
    let mut world = World::of(1, false);
    let arn = format!("arn:aws:ssm:eu-central-1:111122223333:parameter/{name}");
    let environment = world.documents.get_mut("/keyboot/tsm/node/0/env").unwrap();
    *environment = environment.replace(&own, &arn);
    let value = world.secrets[&(own.clone(), "s1".into())].clone();
    world.secrets.insert((arn, "s1".into()), value);
    assert!(fetch(&world, 0, NOW).unwrap().share_password.is_some());
}

#[test]
fn a_version_that_is_gone_is_named() {
    let mut world = World::of(1, true);
    world.secrets.retain(|(_, version), _| version != "v1");
    let error = fetch(&world, 0, NOW).unwrap_err().to_string();
    assert!(error.contains("p2p-key"), "{error}");
}

#[test]
fn a_password_is_the_nodes_own_by_the_key_that_it_is_sealed_under() {
    let his = provisioning::sealing::StoredValue::plain_share_password(&password()).expose().to_owned();
    let under_his = envelope_under(
        "arn:aws:kms:eu-central-1:444455556666:key/his",
        0,
        "share-encryption-password",
        password().expose().as_bytes(),
    );
    for (value, why) in [(his, "it is not sealed"), (under_his, "444455556666:key/his")] {
        let mut world = World::of(1, true);
        world.put(0, "share-encryption-password", "s1", &value);
        let error = fetch(&world, 0, NOW).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        assert!(*world.opened.borrow() <= 1, "his envelope was opened");
    }
    // Who is told that nothing is sealed does not take what is.
    let mut world = World::of(1, true);
    world.sealed_under.clear();
    assert!(fetch(&world, 0, NOW).unwrap_err().to_string().contains("sealed under"));
}
