//! What is not offered for secrets in Parameter Store, refused by property before anything is written.

use provisioning::ProvisionError;
use serde_json::json;

use crate::fixtures::{Declared, assert_in_service, create, read_by, update};
use crate::world::{Effect, World};

#[test]
fn readers_of_another_account_are_refused_and_those_of_its_own_are_not() {
    let nodes = || Declared::nodes(&[0]);
    let other = "arn:aws:iam::444455556666:role/node";
    for (name, value) in [
        ("ReaderPrincipals", json!({"0": [other]})),
        ("ClientPrincipals", json!({"default": [other]})),
        ("ManagementPrincipals", json!([other])),
        ("ManagementPrincipals", json!(["444455556666"])),
    ] {
        let world = World::default();
        let declared = nodes().with("AllowAccountReaders", "true").with(name, value);
        let error = create(&world, &declared, "create-1").unwrap().unwrap_err();
        let ProvisionError::Property(fault) = error else { panic!("{error}") };
        assert_eq!(fault.property, name);
        assert!(
            fault.fault.contains("another account") && fault.allowed.contains("SecretsManager"),
            "{fault}"
        );
        assert!(world.calls().iter().all(|call| call.effect == Effect::Reads));
    }
    let world = World::default();
    create(&world, &read_by(nodes(), "node-0"), "create-1").unwrap().unwrap();
    update(&world, &read_by(nodes(), "node-0"), &read_by(nodes(), "another"), "update-1").unwrap().unwrap();
    assert_in_service(&world, &nodes());
}
