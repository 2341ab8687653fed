//! The time of a run is nearly over: at any moment, nothing new is begun, and the next run goes on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use provisioning::{OperationKind, ProvisionError, TimeBudget};

use crate::fixtures::{
    Answer, Declared, OWNER, assert_gone_by_rule, assert_in_service, delete, in_service, operation, run,
    run_removal,
};
use crate::world::World;

/// Time for so many new calls.
fn time_for(calls: u32) -> TimeBudget {
    let left = Arc::new(AtomicU32::new(calls));
    TimeBudget::of(move || {
        let enough = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        // The estimate at the beginning is no new call, and is content with this.
        if enough.is_ok() { Duration::from_hours(24) } else { Duration::ZERO }
    })
}

fn carry_out(
    world: &World,
    kind: OperationKind,
    old: Option<&Declared>,
    declared: &Declared,
    time: TimeBudget,
) -> Answer {
    let (status, id) = match kind {
        OperationKind::Create => ("CREATE_IN_PROGRESS", None),
        OperationKind::Update => ("UPDATE_IN_PROGRESS", Some(OWNER)),
        OperationKind::Delete => ("DELETE_IN_PROGRESS", Some(OWNER)),
    };
    world.show(status, id);
    let mut operation = operation(kind, "slow-1");
    operation.time = time;
    run(world, &operation, declared, old).unwrap()
}

/// How often each thing was written.
fn written(writes: &[String]) -> BTreeMap<&str, usize> {
    let mut written = BTreeMap::new();
    for write in writes {
        let (verb, subject) = write.split_once(' ').unwrap();
        if matches!(verb, "create_secret" | "publish_new" | "republish" | "schedule_secret") {
            *written.entry(subject).or_default() += 1;
        }
    }
    written
}

/// Runs that each have time for so many calls until one answers; gives their number, and all writes.
fn runs_of(
    calls: u32,
    world: &World,
    step: impl Fn(TimeBudget) -> Result<(), ProvisionError>,
) -> (usize, Vec<String>) {
    let mut writes = Vec::new();
    for runs in 1..200 {
        world.revive();
        let ended = step(time_for(calls));
        writes.extend(world.writes());
        match ended {
            Ok(()) => return (runs, writes),
            Err(ProvisionError::OutOfTime) => {}
            Err(error) => panic!("{calls} calls a run, run {runs}: {error}"),
        }
    }
    panic!("{calls} calls a run: it never comes to its end");
}

#[test]
fn a_create_goes_on_where_its_time_was_over_and_repeats_only_what_was_on_its_way() {
    let declared = Declared::nodes(&(0..20).collect::<Vec<_>>());
    let mut most = 0;
    // A wave of 24 values is made before the first of them is stored.
    for calls in [30, 31, 40, 47, 80, 200] {
        let world = World::default();
        let create = |time| carry_out(&world, OperationKind::Create, None, &declared, time).map(drop);
        let (runs, writes) = runs_of(calls, &world, create);
        assert_in_service(&world, &declared);
        most = most.max(runs);
        for (name, times) in written(&writes) {
            if !name.ends_with("/intent") && !name.contains("/intent") {
                assert_eq!(times, 1, "{calls} calls a run: {name}");
            }
        }
    }
    assert!(most > 5, "{most}");
}

#[test]
fn nodes_that_come_back_in_their_window_are_published_anew_once_however_often_the_time_is_over() {
    let (few, many) = (Declared::nodes(&[0]), Declared::nodes(&(0..12).collect::<Vec<_>>()));
    let service = in_service(&many);
    carry_out(&service, OperationKind::Update, Some(&many), &few, TimeBudget::unlimited()).unwrap();
    assert!(service.stored().documents["/keyboot/tsm/node/5/record"].expires.is_some());
    for calls in [16, 25, 40] {
        let world = service.copy();
        let update = |time| {
            world.show("UPDATE_IN_PROGRESS", Some(OWNER));
            let mut operation = operation(OperationKind::Update, "back-1");
            operation.time = time;
            run(&world, &operation, &many, Some(&few)).unwrap().map(drop)
        };
        let (runs, writes) = runs_of(calls, &world, update);
        assert!(runs > 1, "{calls}");
        // No document that is in service vanishes.
        assert_in_service(&world, &many);
        let records = written(&writes);
        let again = records.iter().filter(|(name, _)| name.ends_with("/record"));
        // A first put finds it there, the second one replaces it.
        assert!(again.clone().count() == 11 && again.clone().all(|(_, times)| *times <= 2), "{records:?}");
    }
}

#[test]
fn documents_of_a_removal_that_was_cut_short_are_never_left_to_vanish() {
    let (few, many) = (Declared::nodes(&[0]), Declared::nodes(&(0..14).collect::<Vec<_>>()));
    let service = in_service(&many);
    for cut in 0..60 {
        let world = service.copy();
        let removed = carry_out(&world, OperationKind::Update, Some(&many), &few, time_for(cut));
        for calls in [18, 40] {
            let world = world.copy();
            let back = |time| {
                world.show("UPDATE_IN_PROGRESS", Some(OWNER));
                let mut operation = operation(OperationKind::Update, "back-1");
                operation.time = time;
                run(&world, &operation, &many, Some(&few)).unwrap().map(drop)
            };
            runs_of(calls.max(30), &world, back);
            assert_in_service(&world, &many);
        }
        if removed.is_ok() {
            return;
        }
    }
    panic!("the removal never came to its end");
}

#[test]
fn a_delete_goes_on_where_its_time_was_over() {
    let declared = Declared::nodes(&(0..30).collect::<Vec<_>>());
    let service = in_service(&declared);
    for calls in [52, 60, 100] {
        let world = service.copy();
        let remove = |time| {
            world.show("DELETE_IN_PROGRESS", Some(OWNER));
            let mut operation = operation(OperationKind::Delete, "slow-1");
            operation.time = time;
            run_removal(&world, &operation, &declared).unwrap().map(drop)
        };
        let (runs, writes) = runs_of(calls, &world, remove);
        assert!(runs > 1, "{calls}");
        assert_gone_by_rule(&world, &calls.to_string());
        let written = written(&writes);
        let records = written.iter().filter(|(name, _)| name.ends_with("/record"));
        // Twelve nodes are let go of together.
        let again = records.map(|(_, times)| times - 1).sum::<usize>();
        assert!(again <= 12 * (runs - 1), "{again} in {runs} runs");
        world.revive();
        delete(&world, &declared, "delete-2").unwrap().unwrap();
        assert_eq!(world.writes(), [""; 0]);
    }
}

#[test]
fn what_cannot_fit_is_refused_before_anything_is_written_and_says_how_many_nodes_fit() {
    // A node takes 2.4 s here. There are 3 runs of 88 s that are for new calls.
    let time = || TimeBudget::of(|| Duration::from_secs(100));
    let world = World::default();
    let declared = Declared::nodes(&(0..200).collect::<Vec<_>>());
    let refused = carry_out(&world, OperationKind::Create, None, &declared, time()).unwrap_err();
    let ProvisionError::TakesTooLong { takes, has, nodes } = &refused else { panic!("{refused}") };
    assert_eq!((takes.as_secs(), has.as_secs()), (486, 264));
    assert_eq!(*nodes, 108);
    assert_eq!(world.writes(), [""; 0]);
    let reason = refused.to_string();
    assert!(reason.starts_with("nothing was changed") && reason.contains("at most 108 nodes"), "{reason}");
    // So many fit, and so many more after them.
    let first = Declared::nodes(&(0..108).collect::<Vec<_>>());
    carry_out(&world, OperationKind::Create, None, &first, time()).unwrap();
    world.revive();
    let second = Declared::nodes(&(0..200).collect::<Vec<_>>());
    world.show("UPDATE_IN_PROGRESS", Some(OWNER));
    let mut more = operation(OperationKind::Update, "more-1");
    more.time = time();
    run(&world, &more, &second, Some(&first)).unwrap().unwrap();
    assert_in_service(&world, &second);
    // What changes nothing takes no time, however many nodes there are.
    world.revive();
    let mut none = operation(OperationKind::Update, "none-1");
    none.time = TimeBudget::of(|| Duration::from_secs(13));
    run(&world, &none, &second, Some(&second)).unwrap().unwrap();
    assert_eq!(world.writes(), [""; 0]);
}
