//! Somebody who may put versions, and hand them out, gets no key of his own into a record.

use std::sync::LazyLock;

use key_material::{ApiKeyHash, Curve, P2pPrivateKey};
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::ecdsa::{DerSignature, SigningKey};
use provisioning::OperationKind;
use provisioning::ownership::Generation;
use provisioning::ports::{CURRENT, PREVIOUS};
use provisioning::record::NodeRecord;
use provisioning::sealing::{KeyOrigin, Protection};
use provisioning::store::Store;
use provisioning::version_label::{Form, KeyDigest, SignedLabel, VersionLabel};

use crate::fixtures::{
    Declared, KEY, OWNER, assert_in_service, cluster, current, in_service, node, operation, own_labels,
    record, run, secret, secret_name, update, value_of,
};
use crate::world::{Mishap, Secret, World, held};

static HIS: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_slice(&[8; 32]).unwrap());
const RENEWED: [&str; 3] = ["p2p-key", "api-key/default", "management-key"];

/// The label of a version of his own, as node-keys would have written it.
pub(crate) fn his_label(declared: &Declared, purpose: &str, number: u64) -> VersionLabel {
    let (public, protection) = if purpose == "p2p-key" {
        let public = P2pPrivateKey::make(Curve::P256).unwrap().public_key().to_spki_base64();
        (public, Protection::Envelope)
    } else {
        (ApiKeyHash::of("his").to_string(), Protection::Service)
    };
    VersionLabel {
        token: declared.spec().token(),
        number,
        form: Form { protection, origin: KeyOrigin::Function },
        key: KeyDigest::of(KEY),
        generation: Generation::new("his-1"),
        public: VersionLabel::public_bytes(&public).unwrap(),
    }
}

/// Puts a version into every secret of node 0, each labelled as made under the token of `declared`.
fn plant(world: &World, declared: &Declared, number: u64) {
    plant_as(world, declared, number, "his-1");
}

/// The same, labelled as if `request` had made it, and with a signature of a key of his own.
fn plant_as(world: &World, declared: &Declared, number: u64, request: &str) {
    for purpose in RENEWED {
        let label = his_label(declared, purpose, number);
        let label = VersionLabel { generation: Generation::new(request), ..label }.to_text().unwrap();
        let mut stored = world.stored.borrow_mut();
        let secret = stored.secrets.get_mut(&secret_name(0, purpose)).unwrap();
        let id = match crate::STORE {
            Store::SecretsManager => format!("his-{number}"),
            Store::ParameterStore | Store::Vault => (secret.versions.len() + 1).to_string(),
        };
        secret.versions.push((id.clone(), "his".into()));
        let name = cluster().secret_name(node(0), &purpose.parse().unwrap());
        let signature: DerSignature =
            HIS.sign_prehash(&SignedLabel::digest(&name, &Generation::new("create-1"), &id, &label)).unwrap();
        let signed = SignedLabel::new(label, signature.as_bytes());
        secret.labels.insert(signed.label, id.clone());
        secret.labels.insert(signed.signature, id);
    }
}

/// Hands out what was planted last.
fn hand_out(world: &World) {
    for purpose in RENEWED {
        let mut stored = world.stored.borrow_mut();
        let secret = stored.secrets.get_mut(&secret_name(0, purpose)).unwrap();
        let (id, _) = secret.versions.last().unwrap().clone();
        secret.labels.insert(CURRENT.into(), id);
    }
}

fn with_token(declared: &Declared, token: &str) -> Declared {
    declared.clone().with("Regenerate", token)
}

/// Everything that is handed out is of this cluster's own making, and the record tells of it.
fn assert_nothing_is_his(world: &World) {
    let record = record(world, 0);
    for purpose in RENEWED {
        let secret = secret(world, 0, purpose);
        let (id, purpose) = (current(&secret), purpose.parse().unwrap());
        assert_ne!(value_of(&secret, id), "his", "{purpose}");
        assert!(record.names(&purpose, id), "{purpose}");
    }
}

/// Clusters before and after an Update with another token.
fn changes() -> [(Declared, Declared); 3] {
    let nodes = Declared::nodes(&[0]);
    let [first, second] = ["1", "2"].map(|token| with_token(&nodes, token));
    [(nodes.clone(), first.clone()), (first.clone(), second), (first, nodes)]
}

#[test]
fn what_was_put_for_the_next_token_is_not_used() {
    for (old, new) in changes() {
        for number in [1, 2, 9] {
            let world = in_service(&old);
            plant(&world, &new, number);
            update(&world, &old, &new, "update-1").unwrap().unwrap();
            assert_in_service(&world, &new);
            let made = record(&world, 0);
            assert_eq!((made.generation.as_str(), made.version), ("update-1", 2));
            // Nor later: what is signed comes back and forth.
            plant(&world, &old, 99);
            update(&world, &new, &old, "rollback-1").unwrap().unwrap();
            assert_in_service(&world, &old);
            assert_eq!(record(&world, 0).generation.as_str(), "create-1");
            update(&world, &old, &new, "update-2").unwrap().unwrap();
            assert_in_service(&world, &new);
            let again = record(&world, 0);
            assert_eq!((again.version_id, again.api_keys), (made.version_id, made.api_keys));
        }
    }
}

#[test]
fn what_was_handed_out_is_handed_out_no_more() {
    for (old, new) in changes() {
        let world = in_service(&old);
        let before = record(&world, 0);
        plant(&world, &old, 2);
        hand_out(&world);
        update(&world, &old, &old, "update-1").unwrap().unwrap();
        assert_nothing_is_his(&world);
        assert_eq!(record(&world, 0), before);
        plant(&world, &new, 3);
        hand_out(&world);
        update(&world, &old, &new, "update-2").unwrap().unwrap();
        assert_nothing_is_his(&world);
        assert_eq!(record(&world, 0).generation.as_str(), "update-2");
    }
}

/// Whatever is handed out, and whichever token is declared: without its record, a secret is as it was.
#[test]
fn what_is_handed_out_without_a_record_is_not_published() {
    for (old, new) in changes() {
        let world = in_service(&old);
        let before = record(&world, 0);
        plant(&world, &old, 9);
        hand_out(&world);
        world.stored.borrow_mut().documents.remove("/keyboot/tsm/node/0/record").unwrap();
        // Of a secret that was never renewed nothing tells any more which version counts.
        let refused = update(&world, &old, &old, "update-1").unwrap().unwrap_err();
        assert!(refused.to_string().contains("neither its tags nor a signature"), "{refused}");
        assert!(!world.stored().documents.contains_key("/keyboot/tsm/node/0/record"));
        update(&world, &old, &new, "update-2").unwrap().unwrap();
        assert_nothing_is_his(&world);
        assert_eq!(record(&world, 0).generation.as_str(), "update-2");
        if crate::STORE == Store::ParameterStore {
            // There what he has put and handed out hides what was before it.
            continue;
        }
        // Of one that was, the signature does.
        let after = record(&world, 0);
        assert_ne!(after.public_key, before.public_key);
        plant(&world, &new, 9);
        hand_out(&world);
        world.stored.borrow_mut().documents.remove("/keyboot/tsm/node/0/record").unwrap();
        update(&world, &new, &new, "update-3").unwrap().unwrap();
        assert_nothing_is_his(&world);
        assert_eq!(
            (record(&world, 0).public_key, record(&world, 0).api_keys),
            (after.public_key, after.api_keys)
        );
    }
}

/// Whoever knows the request that runs, and puts versions as if they were its own.
#[test]
fn what_was_put_as_if_by_the_request_itself_is_not_used() {
    for (old, new) in changes() {
        for number in [1, 2, 9] {
            // Before it begins, and when it comes again after it died with everything put.
            let world = in_service(&old);
            plant_as(&world, &new, number, "update-1");
            let done = update(&world, &old, &new, "update-1").unwrap();
            if crate::STORE == Store::ParameterStore {
                // There he can keep the request from making its own, and no more.
                assert!(done.unwrap_err().to_string().contains("use another Regenerate"));
                assert_nothing_is_his(&world);
                update(&world, &new, &old, "rollback-1").unwrap().unwrap();
                assert_in_service(&world, &old);
                continue;
            }
            done.unwrap();
            assert_in_service(&world, &new);
            let calm = in_service(&old);
            update(&calm, &old, &new, "update-1").unwrap().unwrap();
            let put = calm.calls().iter().rposition(|call| call.verb == "put_version").unwrap();
            let world = in_service(&old);
            world.plan(put, Mishap::DiesAfter);
            assert!(update(&world, &old, &new, "update-1").is_none());
            world.revive();
            plant_as(&world, &new, number, "update-1");
            update(&world, &old, &new, "update-1").unwrap().unwrap();
            assert_in_service(&world, &new);
        }
    }
}

/// A version of a token that is long over does not come back, whoever has kept it and hands it out.
#[test]
fn an_old_key_that_somebody_kept_does_not_come_back() {
    let nodes = Declared::nodes(&[0]);
    let [a, b, c] = ["a", "b", "c"].map(|token| with_token(&nodes, token));
    let world = in_service(&a);
    let old = record(&world, 0);
    let kept: Vec<_> = RENEWED.map(|purpose| secret(&world, 0, purpose)).into();
    update(&world, &a, &b, "update-1").unwrap().unwrap();
    let kept_labels: Vec<_> = RENEWED.map(|purpose| held(&secret(&world, 0, purpose))).into();
    update(&world, &b, &c, "update-2").unwrap().unwrap();
    for ((purpose, kept), labels) in RENEWED.into_iter().zip(kept).zip(kept_labels) {
        let mut stored = world.stored.borrow_mut();
        let secret = stored.secrets.get_mut(&secret_name(0, purpose)).unwrap();
        let first = current(&kept).to_owned();
        for label in labels[&first].iter().filter(|label| label.starts_with("keyboot-")) {
            secret.labels.insert(label.clone(), first.clone());
        }
        secret.labels.insert(PREVIOUS.into(), first);
    }
    update(&world, &c, &a, "update-3").unwrap().unwrap();
    let new = record(&world, 0);
    assert_ne!(new.public_key, old.public_key);
    assert_ne!(new.api_keys, old.api_keys);
    assert_eq!(new.generation.as_str(), "update-3");
}

#[test]
fn a_first_version_comes_back_without_its_record() {
    let nodes = Declared::nodes(&[0]);
    let world = in_service(&nodes);
    let before = record(&world, 0);
    world.stored.borrow_mut().documents.remove("/keyboot/tsm/node/0/record").unwrap();
    update(&world, &nodes, &nodes, "update-1").unwrap().unwrap();
    assert_in_service(&world, &nodes);
    assert_eq!(record(&world, 0).public_key, before.public_key);
    assert_eq!(secret(&world, 0, "p2p-key").versions.len(), 1);
}

/// Keys that were renewed are what they were when they are declared again.
#[test]
fn a_renewed_key_that_is_switched_off_and_on_is_the_same() {
    let old = Declared::nodes(&[0]).with("Applications", vec!["default", "b"]);
    let new = with_token(&old, "1");
    let without = new.clone().with("Applications", vec!["default"]).with("ManagementKey", "false");
    let world = in_service(&old);
    update(&world, &old, &new, "update-1").unwrap().unwrap();
    let before = record(&world, 0);
    update(&world, &new, &without, "update-2").unwrap().unwrap();
    assert_in_service(&world, &without);
    update(&world, &without, &new, "update-3").unwrap().unwrap();
    assert_in_service(&world, &new);
    let after = record(&world, 0);
    assert_eq!((after.api_keys, after.management_keys), (before.api_keys, before.management_keys));
}

/// And so are those of a node whose return was stopped.
#[test]
fn a_renewed_node_whose_return_was_stopped_comes_back_with_its_keys() {
    let two = with_token(&Declared::nodes(&[0, 1]), "1");
    let one = with_token(&Declared::nodes(&[0]), "1");
    let world = in_service(&Declared::nodes(&[0, 1]));
    update(&world, &Declared::nodes(&[0, 1]), &two, "update-1").unwrap().unwrap();
    let before = record(&world, 1);
    update(&world, &two, &one, "update-2").unwrap().unwrap();
    let calm = world.copy();
    update(&calm, &one, &two, "update-3").unwrap().unwrap();
    for at in 0..calm.calls().len() {
        let world = world.copy();
        world.plan(at, Mishap::DiesAfter);
        assert!(update(&world, &one, &two, "update-3").is_none());
        world.revive();
        // Nobody waits for it any more, and then it is rolled back.
        world.show("UPDATE_ROLLBACK_COMPLETE", Some(OWNER));
        let late = operation(OperationKind::Update, "update-3");
        let _ = run(&world, &late, &two, Some(&one)).unwrap();
        update(&world, &two, &one, "rollback-3").unwrap().unwrap();
        update(&world, &one, &two, "update-4").unwrap().unwrap_or_else(|error| panic!("{at}: {error}"));
        assert_in_service(&world, &two);
        assert_eq!(record(&world, 1).public_key, before.public_key, "{at}");
    }
}

/// Takes the label off the version that counts and puts back the one of the first, which he has kept, and
/// hands that one out.
fn bring_back_the_first(world: &World, purpose: &str, kept: &Secret) {
    let mut stored = world.stored.borrow_mut();
    let secret = stored.secrets.get_mut(&secret_name(0, purpose)).unwrap();
    let (counting, first) = (current(secret).to_owned(), kept.versions[0].0.clone());
    if crate::STORE == Store::SecretsManager {
        secret.labels.retain(|label, id| *id != counting || !label.starts_with("keyboot-"));
    }
    for label in held(kept)[&first].iter().filter(|label| label.starts_with("keyboot-")) {
        secret.labels.insert(label.clone(), first.clone());
    }
    secret.labels.insert(PREVIOUS.into(), counting);
    secret.labels.insert(CURRENT.into(), first);
}

/// Two versions of one token, of which the later one counts.
fn of_one_token(declared: &Declared) -> (World, Vec<Secret>) {
    let world = in_service(declared);
    let [one, two] = ["1", "2"].map(|token| with_token(declared, token));
    update(&world, declared, &one, "update-1").unwrap().unwrap();
    let kept = RENEWED.map(|purpose| secret(&world, 0, purpose)).into();
    update(&world, &one, &two, "update-2").unwrap().unwrap();
    update(&world, &two, declared, "update-3").unwrap().unwrap();
    assert_in_service(&world, declared);
    assert_eq!(record(&world, 0).generation.as_str(), "update-3");
    (world, kept)
}

#[test]
fn of_one_token_the_version_counts_that_the_record_names() {
    let declared = Declared::nodes(&[0]);
    let (world, kept) = of_one_token(&declared);
    let before = record(&world, 0);
    for (purpose, kept) in RENEWED.into_iter().zip(&kept) {
        bring_back_the_first(&world, purpose, kept);
    }
    update(&world, &declared, &declared, "update-4").unwrap().unwrap();
    assert_eq!(record(&world, 0), before);
    for purpose in RENEWED {
        assert!(record(&world, 0).names(&purpose.parse().unwrap(), current(&secret(&world, 0, purpose))));
    }
}

#[test]
fn of_one_token_the_latest_version_counts_where_no_record_names_any() {
    let declared = Declared::nodes(&[0]);
    let without = declared.clone().with("Applications", vec!["other"]).with("ManagementKey", "false");
    let (world, kept) = of_one_token(&declared);
    let before = record(&world, 0);
    update(&world, &declared, &without, "update-4").unwrap().unwrap();
    for (purpose, kept) in RENEWED.into_iter().zip(&kept).skip(1) {
        let mut stored = world.stored.borrow_mut();
        let secret = stored.secrets.get_mut(&secret_name(0, purpose)).unwrap();
        let (counting, first) = (current(secret).to_owned(), kept.versions[0].0.clone());
        secret.labels.insert(PREVIOUS.into(), counting);
        secret.labels.insert(CURRENT.into(), first);
    }
    update(&world, &without, &declared, "update-5").unwrap().unwrap();
    let after = record(&world, 0);
    assert_eq!((after.api_keys, after.management_keys), (before.api_keys, before.management_keys));
}

#[test]
fn a_key_that_was_away_while_tokens_came_and_went_is_made_anew_as_well() {
    let plain = Declared::nodes(&[0]).with("Applications", vec!["default", "b"]);
    let [b, c, d] = ["b", "c", "d"].map(|token| with_token(&plain, token));
    let without = |declared: &Declared| declared.clone().with("Applications", vec!["default"]);
    let world = in_service(&plain);
    update(&world, &plain, &b, "update-1").unwrap().unwrap();
    let before = record(&world, 0);
    update(&world, &b, &without(&b), "update-2").unwrap().unwrap();
    update(&world, &without(&b), &without(&c), "update-3").unwrap().unwrap();
    update(&world, &without(&c), &without(&d), "update-4").unwrap().unwrap();
    update(&world, &without(&d), &b, "update-5").unwrap().unwrap();
    let after = record(&world, 0);
    let hash =
        |record: &NodeRecord, application: &str| record.api_keys[&application.parse().unwrap()][0].hash;
    for application in ["default", "b"] {
        assert_ne!(hash(&after, application), hash(&before, application), "{application}");
    }
}

/// A label that is truly signed, on a version of another secret, of another node, or of its own secret.
#[test]
fn what_is_signed_for_one_version_says_nothing_of_another() {
    let old = Declared::nodes(&[0, 1]);
    let new = with_token(&old, "1");
    for (from, purpose) in
        [(1, "p2p-key"), (1, "api-key/default"), (0, "management-key"), (0, "api-key/default")]
    {
        let ahead = in_service(&old);
        update(&ahead, &old, &new, "update-1").unwrap().unwrap();
        let source = secret(&ahead, from, purpose);
        let signed: Vec<_> = held(&source)[current(&source)].iter().cloned().collect();
        let world = in_service(&old);
        let target = if purpose == "management-key" { "api-key/default" } else { purpose };
        let mut stored = world.stored.borrow_mut();
        let victim = stored.secrets.get_mut(&secret_name(0, target)).unwrap();
        let id = match crate::STORE {
            Store::SecretsManager => "his".to_owned(),
            // The version that it would be: only the secret is another one.
            Store::ParameterStore if purpose == target && from == 0 => continue,
            Store::ParameterStore | Store::Vault => "2".to_owned(),
        };
        victim.versions.push((id.clone(), "his".into()));
        for label in signed.iter().filter(|label| label.starts_with("keyboot-")) {
            victim.labels.insert(label.clone(), id.clone());
        }
        let public = own_labels(&source)[current(&source)].public_base64();
        drop(stored);
        let done = update(&world, &old, &new, "update-1").unwrap();
        // In Parameter Store he can keep the request from making its own, and no more.
        assert!(done.is_ok() || crate::STORE == Store::ParameterStore, "{done:?}");
        assert_nothing_is_his(&world);
        let text = world.stored().documents["/keyboot/tsm/node/0/record"].text.clone();
        assert!(!text.contains(&public), "{from} {purpose}");
    }
}
