//! Two runs at once, turn by turn.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::task::Poll;

use proptest::prelude::*;
use rotation::{CURRENT, PENDING, RotationStep, rotate};

use crate::memory::{Function, World, turn};
use crate::support::{OTHER, VERSION, event};

/// Runs two things to their ends, by turns: `true` is a turn of the first.
fn interleave<A, B>(
    first: impl Future<Output = A>,
    second: impl Future<Output = B>,
    turns: impl IntoIterator<Item = bool>,
) -> (A, B) {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let (mut first_end, mut second_end) = (None, None);
    let mut turns = turns.into_iter();
    loop {
        // Once the list is over, the first goes on to its end, and then the second.
        match (turns.next().unwrap_or(first_end.is_none()), &first_end, &second_end) {
            (_, Some(_), Some(_)) => break,
            (true, None, _) => first_end = ready(turn(first.as_mut())),
            (false, _, None) => second_end = ready(turn(second.as_mut())),
            _ => {}
        }
    }
    (first_end.unwrap(), second_end.unwrap())
}

fn ready<T>(turn: Poll<T>) -> Option<T> {
    match turn {
        Poll::Ready(end) => Some(end),
        Poll::Pending => None,
    }
}

/// Every order in which a dozen turns can be taken.
fn all_orders() -> impl Iterator<Item = impl Iterator<Item = bool>> {
    (0..1_u16 << 12).map(|order| (0..12).map(move |place| order >> place & 1 == 1))
}

fn deliver_all(world: &RefCell<World>, from: usize, version: &str) {
    for step in &RotationStep::ALL[from..] {
        Function::new(world, &[]).deliver(*step, version).unwrap().unwrap();
    }
}

#[test]
fn of_one_step_or_of_one_that_comes_late_rotate_once() {
    for (early, late) in (0..4).flat_map(|late| (0..=late).map(move |early| (early, late))) {
        for order in all_orders() {
            let world = World::new();
            world.borrow_mut().begin(VERSION);
            for step in RotationStep::ALL.iter().take(late) {
                Function::new(&world, &[]).deliver(*step, VERSION).unwrap().unwrap();
            }
            let functions = [Function::new(&world, &[]), Function::new(&world, &[])];
            let events = [late, early].map(|step| event(RotationStep::ALL[step].as_str(), VERSION));
            let runs = (rotate(&events[0], &functions[0]), rotate(&events[1], &functions[1]));
            let (end, _) = interleave(runs.0, runs.1, order);
            end.unwrap();
            deliver_all(&world, late, VERSION);
            world.borrow().assert_rotated_once(VERSION);
        }
    }
}

#[test]
fn of_which_one_takes_back_what_the_other_makes_current_leave_one_that_works() {
    let mut ends = [0, 0];
    for order in all_orders() {
        let world = World::new();
        world.borrow_mut().begin(OTHER);
        for step in &RotationStep::ALL[..3] {
            Function::new(&world, &[]).deliver(*step, OTHER).unwrap().unwrap();
        }
        world.borrow_mut().begin(VERSION);
        let functions = [Function::new(&world, &[]), Function::new(&world, &[])];
        let events = [event("finishSecret", OTHER), event("createSecret", VERSION)];
        let runs = (rotate(&events[0], &functions[0]), rotate(&events[1], &functions[1]));
        let (finished, created) = interleave(runs.0, runs.1, order);
        created.unwrap();
        ends[usize::from(finished.is_ok())] += 1;
        let current_is_other = world.borrow().with_label(CURRENT) == [OTHER];
        assert_eq!(current_is_other, finished.is_ok(), "{world:?}");
        deliver_all(&world, 1, VERSION);
        assert_eq!(world.borrow().with_label(CURRENT), [VERSION]);
        assert!(world.borrow().with_label(PENDING).is_empty(), "{world:?}");
    }
    assert!(ends.iter().all(|count| *count > 0), "each of them comes first: {ends:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn of_all_four_steps_rotate_once(turns in proptest::collection::vec(any::<bool>(), 0..40)) {
        let world = World::new();
        world.borrow_mut().begin(VERSION);
        let all = async |function: Function<'_>| {
            for step in RotationStep::ALL {
                // Secrets Manager's steps come one after the other; a run that is too early or too late
                // is refused, and what it left undone the other one does.
                let mut tries = 0;
                while rotate(&event(step.as_str(), VERSION), &function).await.is_err() && tries < 3 {
                    tries += 1;
                }
            }
        };
        interleave(all(Function::new(&world, &[])), all(Function::new(&world, &[])), turns);
        world.borrow().assert_rotated_once(VERSION);
    }
}
