//! The index, which is the mark: its number, and what happens when another one is there first.

use std::pin::pin;
use std::task::{Context, Waker};

use provisioning::{OperationKind, ProvisionError};

use crate::fixtures::{
    Declared, create, in_service, of_another_stack, operation, pinned, roster, run, update,
};
use crate::world::{Call, Effect, Mishap, World};

const INDEX: &str = "/keyboot/tsm/roster/index";

fn is_mark(call: &Call) -> bool {
    call.effect == Effect::Writes && call.subject == INDEX
}

#[test]
fn an_index_that_came_up_at_the_last_moment_is_left_and_its_owner_named() {
    let theirs = World::default();
    theirs.show("CREATE_IN_PROGRESS", None);
    let stranger = of_another_stack(operation(OperationKind::Create, "theirs"));
    run(&theirs, &stranger, &Declared::nodes(&[7]), None).unwrap().unwrap();
    let index = theirs.stored().documents[INDEX].clone();

    let mine = Declared::nodes(&[0]);
    let calm = World::default();
    create(&calm, &mine, "create-1").unwrap().unwrap();
    let mark = calm.calls().iter().position(is_mark).unwrap();

    let world = World::default();
    world.show("CREATE_IN_PROGRESS", None);
    let (operation, spec, pinned) = (operation(OperationKind::Create, "create-1"), mine.spec(), pinned());
    let mut create = pin!(provisioning::reconcile(&world, &pinned, &operation, &spec, None));
    world.pause_at(mark);
    assert!(create.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    world.stored.borrow_mut().documents.insert(INDEX.into(), index.clone());
    world.go_on();
    let refused = world.drive(create).unwrap();
    let Err(ProvisionError::Foreign { owner, .. }) = &refused else { panic!("{refused:?}") };
    assert_eq!(*owner, stranger.owner.id.to_string());
    assert_eq!(world.stored().documents[INDEX], index);
}

#[test]
fn an_update_that_died_goes_on_under_its_own_number_and_another_takes_the_next() {
    let (old, new) = (Declared::nodes(&[0]), Declared::nodes(&[0, 1]));
    let service = in_service(&old);
    let calm = service.copy();
    update(&calm, &old, &new, "update-1").unwrap().unwrap();
    assert_eq!(roster(&calm).0.serial, 2);
    let mark = calm.calls().iter().position(is_mark).unwrap();
    for (request, serial) in [("update-1", 2), ("update-2", 3)] {
        let world = service.copy();
        world.plan(mark, Mishap::DiesBefore);
        assert!(update(&world, &old, &new, "update-1").is_none());
        world.revive();
        update(&world, &old, &new, request).unwrap().unwrap();
        assert_eq!(roster(&world).0.serial, serial, "{request}");
    }
}
