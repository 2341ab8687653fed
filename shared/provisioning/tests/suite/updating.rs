//! Update: what changes with a property, and that nothing else does.

use provisioning::{OperationKind, ProvisionError};

use crate::fixtures::{
    Declared, KEY, OTHER_KEY, OWNER, assert_in_service, cluster, document, in_service, node, operation,
    pinned, record, roster, secret, update,
};
use crate::world::{Effect, World};

#[test]
fn an_update_that_changes_nothing_writes_nothing_and_answers_the_same() {
    let declared = Declared::nodes(&[0, 1]);
    let world = World::default();
    let first = crate::fixtures::create(&world, &declared, "create-1").unwrap().unwrap();
    // Rules and readers are no keys.
    for new in [
        declared.clone(),
        declared.clone().with("OnDelete", "Retain"),
        declared.clone().with("RecoveryWindowDays", "7"),
    ] {
        let before = world.stored();
        world.revive();
        assert_eq!(update(&world, &declared, &new, "update-1").unwrap().unwrap(), first);
        assert!(world.calls().iter().all(|call| call.effect == Effect::Reads), "{:?}", world.calls());
        assert_eq!(world.stored(), before);
    }
}

#[test]
fn a_node_is_added_without_touching_the_others() {
    let (old, new) = (Declared::nodes(&[0, 1]), Declared::nodes(&[0, 1, 2]));
    let world = in_service(&old);
    let before = world.stored();
    update(&world, &old, &new, "update-1").unwrap().unwrap();
    assert_in_service(&world, &new);
    for (name, secret) in &before.secrets {
        assert_eq!(world.stored().secrets[name], *secret);
    }
    for index in [0, 1] {
        for name in [cluster().record_parameter(node(index)), cluster().environment_parameter(node(index))] {
            assert_eq!(document(&world.stored(), name.as_str()), document(&before, name.as_str()));
        }
    }
    assert_eq!(roster(&world).0.serial, 2);
}

#[test]
fn a_removed_node_can_come_back_with_its_values() {
    let (old, new) = (Declared::nodes(&[0, 1]), Declared::nodes(&[0]));
    let world = in_service(&old);
    let (before, kept) = (world.stored(), record(&world, 1));
    let outcome = update(&world, &old, &new, "update-1").unwrap().unwrap();
    assert_in_service(&world, &new);
    assert!(outcome.told.iter().any(|line| line.contains("3 secrets of nodes 1 ")), "{:?}", outcome.told);
    for purpose in ["p2p-key", "api-key/default", "management-key"] {
        assert_eq!(secret(&world, 1, purpose).scheduled, Some(30), "{purpose}");
        assert_eq!(secret(&world, 0, purpose).scheduled, None, "{purpose}");
    }
    assert_eq!(secret(&world, 1, "share-encryption-password").scheduled, None);
    let expires = world.stored().documents["/keyboot/tsm/node/1/record"].expires;
    assert_eq!(expires, Some("2026-02-02T03:04:05Z".parse().unwrap()));
    assert!(!world.stored().documents.contains_key("/keyboot/tsm/node/1/env"));
    assert!(!world.stored().documents.contains_key("/keyboot/tsm/roster/1/page/0"));
    // Nothing more happens to it.
    world.revive();
    update(&world, &new, &new, "update-2").unwrap().unwrap();
    assert_eq!(world.writes(), [""; 0]);

    update(&world, &new, &old, "update-3").unwrap().unwrap();
    assert_in_service(&world, &old);
    assert_eq!(world.stored().secrets, before.secrets);
    assert_eq!(record(&world, 1), kept);
}

#[test]
fn a_node_whose_secrets_are_gone_for_good_gets_new_ones_and_a_record_that_names_them() {
    let (old, new) = (Declared::nodes(&[0, 1]), Declared::nodes(&[0]));
    let world = in_service(&old);
    let before = record(&world, 1);
    update(&world, &old, &new, "update-1").unwrap().unwrap();
    // The window is over; the record, which stays a day longer, still tells of the old keys.
    world.stored.borrow_mut().secrets.retain(|_, secret| secret.scheduled.is_none());
    let start = world.copy();
    let calm = start.copy();
    update(&calm, &new, &old, "update-2").unwrap().unwrap();
    assert_in_service(&calm, &old);
    let after = record(&calm, 1);
    assert_eq!((after.version, after.serial), (before.version + 1, before.serial + 1));
    // And so it is when the first attempt dies after making them.
    for at in 0..calm.calls().len() {
        let world = start.copy();
        world.plan(at, crate::world::Mishap::DiesAfter);
        let _ = update(&world, &new, &old, "update-2");
        world.revive();
        update(&world, &new, &old, "update-2").unwrap().unwrap();
        assert_in_service(&world, &old);
        assert_eq!(record(&world, 1).version, before.version + 1);
    }
}

#[test]
fn applications_and_keys_are_switched_off_and_on_without_touching_the_rest() {
    let one = Declared::nodes(&[0, 1]);
    for (old, new, purpose) in [
        (one.clone().with("Applications", vec!["default", "x"]), one.clone(), "api-key/x"),
        (one.clone(), one.clone().with("ManagementKey", "false"), "management-key"),
        (one.clone(), one.clone().with("ShareEncryptionPassword", "false"), "share-encryption-password"),
    ] {
        let world = in_service(&old);
        let (before, kept) = (world.stored(), record(&world, 0));
        update(&world, &old, &new, "update-1").unwrap().unwrap();
        assert_in_service(&world, &new);
        let is_password = purpose == "share-encryption-password";
        assert_eq!(secret(&world, 0, purpose).scheduled, (!is_password).then_some(30));
        assert_eq!(secret(&world, 0, "p2p-key").scheduled, None);
        update(&world, &new, &old, "update-2").unwrap().unwrap();
        assert_in_service(&world, &old);
        assert_eq!(world.stored().secrets, before.secrets, "{purpose}");
        let back = record(&world, 0);
        assert_eq!(back.serial, kept.serial + 2, "the serial number only grows");
        assert_eq!((back.api_keys, back.management_keys), (kept.api_keys, kept.management_keys));
    }
}

#[test]
fn a_new_domain_changes_environments_only() {
    let (old, new) =
        (Declared::nodes(&[0, 1]), Declared::nodes(&[0, 1]).with("NodeDomain", "new.example.org"));
    let world = in_service(&old);
    update(&world, &old, &new, "update-1").unwrap().unwrap();
    let mut writes = world.writes();
    writes.sort_unstable();
    writes.dedup();
    let republished: Vec<_> = writes.iter().filter(|write| !write.starts_with("publish_new")).collect();
    assert_eq!(republished, ["republish /keyboot/tsm/node/0/env", "republish /keyboot/tsm/node/1/env"]);
    assert!(writes.iter().all(|write| write.ends_with("/env")), "{writes:?}");
    assert_in_service(&world, &new);
}

#[test]
fn what_cannot_change_without_a_new_key_is_refused_by_name_and_nothing_is_written() {
    for (property, value) in [("P2pCurve", "P-384"), ("P2pCurve", "secp256k1"), ("Protection", "Service")] {
        let old = Declared::nodes(&[0]);
        let world = in_service(&old);
        let before = world.stored();
        // Even where the same Update would make something too.
        let refused =
            update(&world, &old, &old.clone().with(property, value).with_nodes(&[0, 1]), "u").unwrap();
        let Err(ProvisionError::Property(fault)) = &refused else { panic!("{refused:?}") };
        assert_eq!(fault.property, property);
        assert!(world.calls().iter().all(|call| call.effect == Effect::Reads));
        assert_eq!(world.stored(), before);
    }
}

#[test]
fn a_new_encryption_key_holds_for_new_secrets_and_the_old_one_is_named() {
    let old = Declared::nodes(&[0]);
    let world = in_service(&old);
    let new = Declared::nodes(&[0, 1]).with("KmsKeyArn", OTHER_KEY);
    let outcome = update(&world, &old, &new, "update-1").unwrap().unwrap();
    assert_in_service(&world, &new);
    assert!(outcome.told.iter().any(|line| line.contains(KEY)), "{:?}", outcome.told);
    assert_eq!(
        (secret(&world, 0, "p2p-key").key, secret(&world, 1, "p2p-key").key),
        (KEY.into(), OTHER_KEY.into())
    );
}

#[test]
fn the_same_update_twice_at_once_answers_the_same() {
    let (old, new) = (Declared::nodes(&[0, 1]), Declared::nodes(&[0, 2]));
    let service = in_service(&old);
    for seed in 1..12 {
        let world = service.copy();
        world.take_turns(seed);
        world.show("UPDATE_IN_PROGRESS", Some(OWNER));
        let (update, spec, before, pinned) =
            (operation(OperationKind::Update, "update-1"), new.spec(), old.lenient(), pinned());
        let once = || provisioning::reconcile(&world, &pinned, &update, &spec, Some(&before));
        let (a, b) = world.drive(futures_util::future::join(once(), once())).unwrap();
        let (a, b) = (a.unwrap(), b.unwrap());
        assert_eq!((a.nodes, a.roster_sha256), (b.nodes, b.roster_sha256), "seed {seed}");
        assert_in_service(&world, &new);
    }
}

#[test]
fn broken_pages_are_written_anew_and_a_broken_record_or_index_is_refused() {
    let (old, new) = (Declared::nodes(&[0, 1]), Declared::nodes(&[0, 1, 2]));
    let broken = |name: &str, text: Option<&str>| {
        let world = in_service(&old);
        let mut stored = world.stored.borrow_mut();
        match text {
            Some(text) => text.clone_into(&mut stored.documents.get_mut(name).unwrap().text),
            None => drop(stored.documents.remove(name)),
        }
        drop(stored);
        world
    };
    for text in [None, Some(r#"{"nodes":[]}"#), Some("x")] {
        for declared in [&old, &new] {
            let world = broken("/keyboot/tsm/roster/1/page/0", text);
            update(&world, &old, declared, "update-1").unwrap().unwrap();
            assert_in_service(&world, declared);
        }
    }
    for name in ["/keyboot/tsm/node/0/record", "/keyboot/tsm/roster/index"] {
        let world = broken(name, Some("x"));
        let before = world.stored();
        let refused = update(&world, &old, &new, "update-1").unwrap();
        assert!(
            matches!(&refused, Err(ProvisionError::Document { subject, .. }) if subject == name),
            "{refused:?}"
        );
        assert_eq!(world.stored(), before);
    }
}
