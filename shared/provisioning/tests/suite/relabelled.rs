//! Where labels can be put on a version that is there: what somebody else's says is not believed.

use key_material::ApiKeyHash;
use provisioning::ownership::Generation;
use provisioning::version_label::VersionLabel;

use crate::fixtures::{Declared, current, in_service, own_labels, record, secret, secret_name, update};
use crate::planted::his_label;
use crate::world::World;

/// Labels the version that counts, of every secret of node 0 that is ever renewed.
fn relabel(world: &World, label: impl Fn(&str) -> VersionLabel) {
    for purpose in ["p2p-key", "api-key/default", "management-key"] {
        let id = current(&secret(world, 0, purpose)).to_owned();
        let label = label(purpose).to_text().unwrap();
        world.stored.borrow_mut().secrets.get_mut(&secret_name(0, purpose)).unwrap().labels.insert(label, id);
    }
}

/// Clusters of which the first versions count, and the second ones.
fn clusters() -> [(World, Declared); 2] {
    let nodes = Declared::nodes(&[0]);
    let token = nodes.clone().with("Regenerate", "1");
    let renewed = in_service(&nodes);
    update(&renewed, &nodes, &token, "update-1").unwrap().unwrap();
    [(in_service(&nodes), nodes), (renewed, token)]
}

#[test]
fn it_names_no_other_key() {
    for (world, declared) in clusters() {
        let before = record(&world, 0);
        // As if it were of the request that made the version, and of the one that comes.
        for request in ["create-1", "update-1", "update-2"] {
            relabel(&world, |purpose| VersionLabel {
                generation: Generation::new(request),
                ..his_label(&declared, purpose, 1)
            });
        }
        let two = declared.clone().with_nodes(&[0, 1]);
        update(&world, &declared, &two, "update-2").unwrap().unwrap();
        let after = record(&world, 0);
        assert_eq!(after, before);
        assert_ne!(after.api_keys[&"default".parse().unwrap()][0].hash, ApiKeyHash::of("his"));
    }
}

#[test]
fn it_keeps_no_key_from_being_renewed() {
    for (world, declared) in clusters() {
        let next = declared.clone().with("Regenerate", "next");
        let before = record(&world, 0);
        relabel(&world, |purpose| {
            let id = current(&secret(&world, 0, purpose)).to_owned();
            let genuine = own_labels(&secret(&world, 0, purpose)).remove(&id);
            let genuine = genuine.unwrap_or_else(|| VersionLabel {
                public: VersionLabel::public_bytes(&secret(&world, 0, purpose).tags["keyboot:public"])
                    .unwrap(),
                ..his_label(&declared, purpose, 1)
            });
            VersionLabel { token: next.spec().token(), ..genuine }
        });
        update(&world, &declared, &next, "update-2").unwrap().unwrap();
        assert_eq!(record(&world, 0).generation.as_str(), "update-2");
        assert_ne!(record(&world, 0).api_keys, before.api_keys);
        // And its own label brings it back.
        update(&world, &next, &declared, "rollback-2").unwrap().unwrap();
        assert_eq!(record(&world, 0).api_keys, before.api_keys);
    }
}
