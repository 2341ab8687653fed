//! The store of a cluster: refused when it changes, and found where nobody can say it any more.

use provisioning::ProvisionError;
use provisioning::properties::PropertyFault;

use crate::fixtures::{
    Declared, assert_gone_by_rule, assert_in_service, assert_nothing_is_left, create, delete, in_service,
    update,
};
use crate::world::{Effect, Mishap, World};

#[test]
fn a_change_of_the_store_is_refused_by_name_and_changes_nothing() {
    let declared = Declared::nodes(&[0]);
    let moved = declared.clone().with("Store", "SecretsManager");
    let service = in_service(&declared);
    let deleted = service.copy();
    delete(&deleted, &declared, "delete-1").unwrap().unwrap();
    deleted.revive();
    let refusals = [
        (&service, update(&service, &declared, &moved, "update-1")),
        // What can come back is still in the other store.
        (&deleted, create(&deleted, &moved, "create-2")),
    ];
    for (world, answer) in refusals {
        let Some(Err(ProvisionError::Property(PropertyFault { property, fault, allowed }))) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(property, "Store");
        assert!(fault.contains("a move is a new cluster"), "{fault}");
        assert_eq!(allowed, "ParameterStore, as its secrets were made");
        assert!(world.calls().iter().all(|call| call.effect == Effect::Reads));
    }
    // The rollback that follows finds everything as it was.
    service.revive();
    update(&service, &moved, &declared, "rollback-1").unwrap().unwrap();
    assert_eq!(service.writes(), [""; 0]);
    assert_in_service(&service, &declared);
}

#[test]
fn a_delete_whose_properties_cannot_be_read_finds_the_store() {
    let declared = Declared::nodes(&[0, 1]);
    let unreadable = [
        declared.clone().with("Store", "x").with("Nodes", "x"),
        declared.clone().with("Store", "SecretsManager"),
    ];
    let calm = World::default();
    create(&calm, &declared, "create-1").unwrap().unwrap();
    for properties in unreadable {
        let world = in_service(&declared);
        delete(&world, &properties, "delete-1").unwrap().unwrap();
        assert_gone_by_rule(&world, "from the roster");

        let world = World::default();
        let mark = calm.calls().iter().position(|call| call.subject.ends_with("/roster/1/page/0")).unwrap();
        world.plan(mark, Mishap::DiesBefore);
        assert!(create(&world, &declared, "create-1").is_none());
        assert_eq!(world.stored().secrets.len(), 8);
        world.revive();
        delete(&world, &properties, "delete-1").unwrap().unwrap();
        assert_nothing_is_left(&world, "from the note");
    }
}
