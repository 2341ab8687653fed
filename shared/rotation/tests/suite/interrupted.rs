//! A rotation that ends anywhere, and is sent again as Secrets Manager would.

use std::cell::RefCell;

use rotation::{CURRENT, Done, PENDING, RotateError, RotationStep};

use crate::memory::{Function, Manner, Stop, World};
use crate::support::{OLD, OTHER, VERSION};

/// What is sent again after a step that failed.
#[derive(Clone, Copy, Debug)]
enum Again {
    ThatStep,
    AllSteps,
}

/// Rotates as Secrets Manager does: four steps, and again what failed. Gives the number of calls.
fn rotate_all(world: &RefCell<World>, version: &str, stops: &[Stop], again: Again) -> usize {
    let function = Function::new(world, stops);
    let (mut next, mut deliveries) = (0, 0);
    while let Some(step) = RotationStep::ALL.get(next) {
        deliveries += 1;
        assert!(deliveries <= 12, "it goes on: {stops:?} {again:?} {world:?}");
        next = match (function.deliver(*step, version), again) {
            (Some(Ok(_)), _) => next + 1,
            (_, Again::ThatStep) => next,
            (_, Again::AllSteps) => 0,
        };
    }
    function.calls()
}

/// Every way in which a run of so many calls can end at one of them.
fn stops(calls: usize) -> impl Iterator<Item = Stop> {
    let moments =
        [(false, Manner::Dies), (false, Manner::Fails), (true, Manner::Dies), (true, Manner::Fails)];
    (0..calls).flat_map(move |call| moments.map(|(after, manner)| Stop { call, after, manner }))
}

#[test]
fn uninterrupted_it_rotates_once() {
    let world = World::new();
    world.borrow_mut().begin(VERSION);
    assert_eq!(rotate_all(&world, VERSION, &[], Again::ThatStep), 12);
    world.borrow().assert_rotated_once(VERSION);
}

#[test]
fn sent_over_again_it_has_rotated_once() {
    let world = World::new();
    world.borrow_mut().begin(VERSION);
    for _ in 0..3 {
        rotate_all(&world, VERSION, &[], Again::ThatStep);
        world.borrow().assert_rotated_once(VERSION);
    }
}

#[test]
fn stopped_before_and_after_every_call_it_rotates_once() {
    for again in [Again::ThatStep, Again::AllSteps] {
        for stop in stops(12) {
            let world = World::new();
            world.borrow_mut().begin(VERSION);
            assert!(rotate_all(&world, VERSION, &[stop], again) > 12, "{stop:?} was not met");
            world.borrow().assert_rotated_once(VERSION);
        }
    }
}

#[test]
fn stopped_twice_it_rotates_once() {
    for again in [Again::ThatStep, Again::AllSteps] {
        for first in stops(12) {
            for second in stops(20).filter(|second| second.call > first.call) {
                let world = World::new();
                world.borrow_mut().begin(VERSION);
                rotate_all(&world, VERSION, &[first, second], again);
                world.borrow().assert_rotated_once(VERSION);
            }
        }
    }
}

#[test]
fn a_rotation_that_another_one_follows_is_taken_back_wherever_it_stopped() {
    // As far as the other one may come: to its last call before its version is current.
    for left_at in (0..8).flat_map(|call| [(call, false), (call, true)]) {
        for stop in std::iter::once(None).chain(stops(14).map(Some)) {
            let world = World::new();
            world.borrow_mut().begin(OTHER);
            let (call, after) = left_at;
            let dying = Function::new(&world, &[Stop { call, after, manner: Manner::Dies }]);
            assert!(RotationStep::ALL.iter().any(|step| dying.deliver(*step, OTHER).is_none()));
            let puts = world.borrow().puts;

            world.borrow_mut().begin(VERSION);
            let stops: Vec<Stop> = stop.into_iter().collect();
            rotate_all(&world, VERSION, &stops, Again::AllSteps);
            world.borrow_mut().puts -= puts;
            world.borrow().assert_rotated_once(VERSION);
        }
    }
}

#[test]
fn what_cannot_be_described_gets_no_version() {
    for step in RotationStep::ALL {
        for finished in 0..=4 {
            let world = World::new();
            world.borrow_mut().begin(VERSION);
            let sound = Function::new(&world, &[]);
            for before in RotationStep::ALL.iter().take(finished) {
                sound.deliver(*before, VERSION).unwrap().unwrap();
            }
            let before = world.borrow().clone();
            for after in [false, true] {
                let function = Function::new(&world, &[Stop { call: 0, after, manner: Manner::Fails }]);
                let end = function.deliver(step, VERSION).unwrap();
                assert!(matches!(end, Err(RotateError::Unreadable { .. })), "{end:?}");
                assert_eq!((&*world.borrow(), function.calls()), (&before, 1));
            }
        }
    }
}

#[test]
fn the_lone_test_of_a_rotation_switched_on_changes_nothing() {
    let lone = |world: &RefCell<World>| {
        let before = world.borrow().clone();
        let rotated = Function::new(world, &[]).deliver(RotationStep::Test, OTHER).unwrap().unwrap();
        assert_eq!(rotated.done, Done::NotOurs);
        assert_eq!(*world.borrow(), before);
    };
    for rotation_enabled in [true, false] {
        let world = World::new();
        world.borrow_mut().rotation_enabled = rotation_enabled;
        world.borrow_mut().begin(OTHER);
        lone(&world);
        // The label gone, the version gone: the event may be late.
        world.borrow_mut().versions.get_mut(OTHER).unwrap().labels.clear();
        lone(&world);
        world.borrow_mut().versions.remove(OTHER);
        lone(&world);
        world.borrow_mut().rotation_enabled = true;
        world.borrow_mut().begin(VERSION);
        rotate_all(&world, VERSION, &[], Again::ThatStep);
        world.borrow().assert_rotated_once(VERSION);
        lone(&world);
    }
}

#[test]
fn the_version_of_a_lone_test_is_in_nobodys_way() {
    let world = World::new();
    world.borrow_mut().begin(OTHER);
    Function::new(&world, &[]).deliver(RotationStep::Test, OTHER).unwrap().unwrap();
    world.borrow_mut().begin(VERSION);
    let rotated = Function::new(&world, &[]).deliver(RotationStep::Create, VERSION).unwrap().unwrap();
    assert_eq!(rotated.discarded, [OTHER]);
    rotate_all(&world, VERSION, &[], Again::ThatStep);
    world.borrow().assert_rotated_once(VERSION);
}

#[test]
fn a_pending_label_left_on_the_current_version_is_taken_off_by_the_last_step() {
    let world = World::new();
    world.borrow_mut().begin(VERSION);
    // The first call of the last step, after which the version is current and still pending.
    let function = Function::new(&world, &[Stop { call: 9, after: true, manner: Manner::Dies }]);
    assert!(RotationStep::ALL.iter().any(|step| function.deliver(*step, VERSION).is_none()));
    assert_eq!(world.borrow().with_label(CURRENT), [VERSION]);
    assert_eq!(world.borrow().with_label(PENDING), [VERSION]);
    let rotated = function.deliver(RotationStep::Finish, VERSION).unwrap().unwrap();
    assert_eq!(rotated.done, Done::FinishedAgain);
    world.borrow().assert_rotated_once(VERSION);
    assert_eq!(world.borrow().with_label(rotation::PREVIOUS), [OLD]);
}
