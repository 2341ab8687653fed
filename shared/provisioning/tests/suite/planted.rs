//! Somebody who may put versions, and hand them out, gets no key of his own into a record.

use key_material::{ApiKeyHash, Curve, P2pPrivateKey};
use provisioning::ProvisionError;
use provisioning::ownership::Generation;
use provisioning::ports::CURRENT;
use provisioning::sealing::{KeyOrigin, Protection};
use provisioning::store::Store;
use provisioning::version_label::{Form, KeyDigest, VersionLabel};

use crate::fixtures::{
    Declared, KEY, assert_in_service, current, in_service, record, secret, secret_name, update, value_of,
};
use crate::world::World;

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
    for purpose in RENEWED {
        let label = his_label(declared, purpose, number).to_text().unwrap();
        let mut stored = world.stored.borrow_mut();
        let secret = stored.secrets.get_mut(&secret_name(0, purpose)).unwrap();
        let id = match crate::STORE {
            Store::SecretsManager => format!("his-{number}"),
            Store::ParameterStore => (secret.versions.len() + 1).to_string(),
        };
        secret.versions.push((id.clone(), "his".into()));
        secret.labels.insert(label, id);
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
            // Nor later: what the records vouch for comes back and forth.
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

#[test]
fn what_is_handed_out_without_a_record_is_not_published() {
    for (old, new) in changes() {
        let world = in_service(&old);
        plant(&world, &old, 2);
        hand_out(&world);
        world.stored.borrow_mut().documents.remove("/keyboot/tsm/node/0/record").unwrap();
        let before = world.stored();
        for declared in [&old, &new] {
            let refused = update(&world, &old, declared, "update-1").unwrap().unwrap_err();
            assert!(matches!(refused, ProvisionError::Incomplete { .. }), "{refused}");
            assert!(refused.to_string().contains("no record"), "{refused}");
            assert_eq!(world.stored(), before);
        }
    }
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
