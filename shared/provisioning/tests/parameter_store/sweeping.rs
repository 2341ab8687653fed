//! What Parameter Store leaves to us: removing what its recovery window has left behind.

use crate::fixtures::{
    Declared, assert_in_service, create, delete, in_service, of_another_stack, operation, pinned, record,
    run, secret, secret_name, update,
};
use crate::world::{Mishap, World};
use provisioning::OperationKind;

/// A cluster in service that node 1 has left `days` days ago.
fn without_node_1(days: i64) -> World {
    let (both, one) = (Declared::nodes(&[0, 1]), Declared::nodes(&[0]));
    let world = in_service(&both);
    update(&world, &both, &one, "update-1").unwrap().unwrap();
    world.days.set(days);
    world.revive();
    world
}

fn secrets_of_node_1(world: &World) -> Vec<String> {
    world.stored().secrets.into_keys().filter(|name| name.contains("/node/1/")).collect()
}

#[test]
fn a_later_change_removes_what_is_over_and_says_so() {
    let one = Declared::nodes(&[0]);
    for (days, left) in [(29, 4), (30, 1), (400, 1)] {
        // No property of these tells of node 1 any more.
        let world = without_node_1(days);
        let outcome = update(&world, &one, &one, "update-2").unwrap().unwrap();
        assert_eq!(secrets_of_node_1(&world).len(), left, "after {days} days");
        let told =
            outcome.told.iter().any(|line| line.contains("3 secrets") && line.contains("removed for good"));
        assert_eq!(told, left == 1, "after {days} days: {:?}", outcome.told);
        let events = world.events.borrow().iter().filter(|event| event.contains("window is over")).count();
        assert_eq!(events, 4 - left);
        assert_in_service(&world, &one);
        // The password is kept until a template says otherwise.
        assert!(secrets_of_node_1(&world).contains(&secret_name(1, "share-encryption-password")));
        world.revive();
        update(&world, &one, &one, "update-3").unwrap().unwrap();
        assert_eq!(world.writes(), [""; 0], "after {days} days, once more");
    }
}

#[test]
fn what_is_over_and_declared_again_comes_back_with_its_value() {
    let (both, one) = (Declared::nodes(&[0, 1]), Declared::nodes(&[0]));
    let world = without_node_1(400);
    // Its record has vanished meanwhile.
    world.stored.borrow_mut().documents.retain(|name, _| name != "/keyboot/tsm/node/1/record");
    let before = secret(&world, 1, "p2p-key").versions;
    update(&world, &one, &both, "update-2").unwrap().unwrap();
    assert_in_service(&world, &both);
    assert_eq!(secret(&world, 1, "p2p-key").versions, before);
}

#[test]
fn a_sweep_that_ended_anywhere_is_completed_by_its_retry() {
    let one = Declared::nodes(&[0]);
    let start = without_node_1(31);
    let sweep = |world: &World| matches!(update(world, &one, &one, "update-2"), Some(Ok(_)));
    let calm = start.copy();
    assert!(sweep(&calm));
    for mishap in Mishap::ALL {
        for at in 0..calm.calls().len() {
            let world = start.copy();
            world.plan(at, mishap);
            assert!(!sweep(&world), "{mishap:?} at call {at}: the mishap was not met");
            world.revive();
            assert!(sweep(&world));
            assert_in_service(&world, &one);
            assert_eq!(world.stored().secrets, calm.stored().secrets, "{mishap:?} at call {at}");
        }
    }
}

#[test]
fn a_delete_sweeps_what_is_over_and_lets_the_rest_go_by_the_rules() {
    let one = Declared::nodes(&[0]);
    let world = without_node_1(31);
    delete(&world, &one, "delete-1").unwrap().unwrap();
    assert_eq!(secrets_of_node_1(&world), [secret_name(1, "share-encryption-password")]);
    assert!(secret(&world, 0, "p2p-key").awaits_removal_from.is_some_and(|end| end > world.now()));

    // And a Create that comes long after it, of other nodes, takes the last of it.
    world.days.set(100);
    world.stored.borrow_mut().documents.retain(|_, document| document.expires.is_none());
    let other = Declared::nodes(&[7]);
    create(&world, &other, "create-2").unwrap().unwrap();
    assert_in_service(&world, &other);
    assert!(!world.stored().secrets.contains_key(&secret_name(0, "p2p-key")));
}

#[test]
fn nobody_sweeps_what_is_not_his_and_a_made_up_id_sweeps_nothing() {
    let world = without_node_1(31);
    let before = world.stored().secrets;
    let stranger = of_another_stack(operation(OperationKind::Create, "theirs"));
    world.show("CREATE_IN_PROGRESS", None);
    run(&world, &stranger, &Declared::nodes(&[7]), None).unwrap().unwrap_err();
    assert_eq!(world.stored().secrets, before);

    let mut made_up = operation(OperationKind::Delete, "delete-1");
    made_up.delivered_id = "kms-Keys-1ABCDEF".into();
    made_up.now = world.now();
    world.show("DELETE_IN_PROGRESS", Some("kms-Keys-1ABCDEF"));
    let lenient = Declared::nodes(&[0]).lenient();
    world.drive(provisioning::remove(&world, &pinned(), &made_up, &lenient)).unwrap().unwrap();
    assert_eq!(world.stored().secrets, before);
}

#[test]
fn a_secret_that_came_anew_under_an_old_name_is_not_the_one_that_the_record_tells_of() {
    let declared = Declared::nodes(&[0]);
    let service = in_service(&declared);
    for purpose in ["p2p-key", "api-key/default", "management-key"] {
        let start = service.copy();
        // Somebody has deleted it by hand. The one that is made instead is version 1 again.
        start.stored.borrow_mut().secrets.remove(&secret_name(0, purpose));
        let anew = |world: &World| update(world, &declared, &declared, "update-1");
        let calm = start.copy();
        anew(&calm).unwrap().unwrap();
        assert_in_service(&calm, &declared);
        for mishap in Mishap::ALL {
            for at in 0..calm.calls().len() {
                let world = start.copy();
                world.plan(at, mishap);
                let _ = anew(&world);
                world.revive();
                anew(&world).unwrap().unwrap_or_else(|error| panic!("{purpose} at {at}: {error}"));
                assert_in_service(&world, &declared);
                let number = record(&world, 0).version;
                assert_eq!(number, if purpose == "p2p-key" { 2 } else { 1 }, "{purpose} at {at}");
            }
        }
    }
}
