//! Operations that end at any of their calls: by the process's death, by a fault of the service,
//! by an answer that got lost. What follows is what CloudFormation sends then.

use std::collections::BTreeMap;

use crate::fixtures::{
    Declared, OWNER, assert_gone_by_rule, assert_in_service, assert_nothing_is_left, create, delete, in_service,
    operation, record, roster, run, update,
};
use crate::world::{Mishap, World};

/// How many calls `work` makes without any mishap.
fn calls_of(world: &World, work: impl FnOnce(&World)) -> usize {
    world.revive();
    work(world);
    world.calls().len()
}

/// Runs `scenario` for every mishap at every call, in two orders of calls that are under way
/// together.
fn at_every_call(calls: usize, mut scenario: impl FnMut(usize, Mishap, u64, &str)) -> usize {
    let mut points = 0;
    for turns in [0, 5] {
        for mishap in Mishap::ALL {
            for at in 0..calls {
                scenario(at, mishap, turns, &format!("{mishap:?} at call {at}, turns {turns}"));
                points += 1;
            }
        }
    }
    points
}

fn two_nodes() -> Declared {
    Declared::nodes(&[0, 1])
}

/// A Create of two nodes that met a mishap, and whether it had reached its mark.
fn unfinished_create(at: usize, mishap: Mishap, turns: u64) -> (World, bool) {
    let world = World::default();
    world.take_turns(turns);
    world.plan(at, mishap);
    let ended = create(&world, &two_nodes(), "create-1");
    assert!(!matches!(ended, Some(Ok(_))), "the mishap was not met");
    let marked = world.stored().documents.contains_key("/keyboot/tsm/roster/index");
    world.revive();
    world.take_turns(0);
    (world, marked)
}

fn calls_of_a_create() -> usize {
    calls_of(&World::default(), |world| {
        create(world, &two_nodes(), "create-1").unwrap().unwrap();
    })
}

#[test]
fn a_create_that_ended_anywhere_is_completed_by_its_retry_with_one_version_of_everything() {
    let points = at_every_call(calls_of_a_create(), |at, mishap, turns, point| {
        let (world, _) = unfinished_create(at, mishap, turns);
        let before = world.stored();
        create(&world, &two_nodes(), "create-1").unwrap().unwrap_or_else(|error| panic!("{point}: {error}"));
        assert_in_service(&world, &two_nodes());
        for (name, secret) in &before.secrets {
            assert_eq!(world.stored().secrets[name], *secret, "{point}: {name} was not kept");
        }
        assert!(world.stored().secrets.values().all(|secret| secret.tags["keyboot:generation"] == "create-1"));
    });
    assert!(points > 200, "{points}");
}

#[test]
fn a_create_that_ended_before_its_mark_leaves_nothing_after_its_delete() {
    let mut unmarked = 0;
    at_every_call(calls_of_a_create(), |at, mishap, turns, point| {
        let (world, marked) = unfinished_create(at, mishap, turns);
        delete(&world, &two_nodes(), "delete-1").unwrap().unwrap_or_else(|error| panic!("{point}: {error}"));
        if marked {
            assert_gone_by_rule(&world, point);
        } else {
            assert_nothing_is_left(&world, point);
            unmarked += 1;
        }
        world.revive();
        delete(&world, &two_nodes(), "delete-1").unwrap().unwrap();
        assert_eq!(world.writes(), [""; 0], "{point}: the second Delete");
    });
    assert!(unmarked > 200, "{unmarked}");
}

#[test]
fn a_create_that_ended_before_its_mark_leaves_nothing_even_if_its_properties_say_nothing() {
    at_every_call(calls_of_a_create(), |at, mishap, turns, point| {
        let (world, marked) = unfinished_create(at, mishap, turns);
        if !marked {
            let unreadable = Declared::nodes(&[]).with("Nodes", "x").with("Applications", "x");
            delete(&world, &unreadable, "delete-1").unwrap().unwrap();
            assert_nothing_is_left(&world, point);
        }
    });
}

#[test]
fn a_create_that_was_retried_goes_by_the_rules() {
    at_every_call(calls_of_a_create(), |at, mishap, turns, point| {
        let (world, _) = unfinished_create(at, mishap, turns);
        create(&world, &two_nodes(), "create-1").unwrap().unwrap();
        delete(&world, &two_nodes(), "delete-1").unwrap().unwrap();
        assert_gone_by_rule(&world, point);
        assert_eq!(world.stored().secrets.len(), 8, "{point}");
    });
}

#[test]
fn a_delete_that_ended_anywhere_is_completed_by_its_retry() {
    let declared = two_nodes().with("ShareSecretOnDelete", "Schedule");
    for unfinished in [false, true] {
        let start = || {
            if unfinished { unfinished_create(26, Mishap::DiesBefore, 0).0 } else { in_service(&declared) }
        };
        assert!(!start().stored().is_empty());
        let calls = calls_of(&start(), |world| {
            delete(world, &declared, "delete-1").unwrap().unwrap();
        });
        at_every_call(calls, |at, mishap, turns, point| {
            let world = start();
            world.take_turns(turns);
            world.plan(at, mishap);
            assert!(!matches!(delete(&world, &declared, "delete-1"), Some(Ok(_))), "{point}");
            world.revive();
            delete(&world, &declared, "delete-1").unwrap().unwrap();
            if unfinished {
                return assert_nothing_is_left(&world, point);
            }
            let stored = world.stored();
            assert_eq!(stored.secrets.len(), 8);
            assert!(stored.secrets.values().all(|secret| secret.scheduled == Some(30)), "{point}");
            assert_eq!(stored.documents.len(), 4, "{point}: {:?}", stored.documents.keys());
            assert!(stored.documents.values().all(|document| document.expires.is_some()), "{point}");
        });
    }
}

/// What a rollback has to bring back: the version of every secret, every record but its serial
/// number, and the roster's digest.
fn to_bring_back(world: &World, nodes: &[u32]) -> (BTreeMap<String, String>, Vec<String>, String) {
    let stored = world.stored();
    let of_nodes =
        |name: &String| nodes.iter().any(|node| name.starts_with(&format!("keyboot/tsm/node/{node}/")));
    let versions = stored.secrets.iter().filter(|(name, _)| of_nodes(name));
    let records = nodes.iter().map(|node| {
        let mut record = record(world, *node);
        record.serial = 0;
        serde_json::to_string(&record).unwrap()
    });
    let versions =
        versions.map(|(name, secret)| (name.clone(), format!("{} {:?}", secret.arn, secret.versions))).collect();
    (versions, records.collect(), roster(world).0.sha256)
}

/// An Update that adds one thing and removes another, and what is left of what it added.
struct Change {
    old: Declared,
    new: Declared,
    added: &'static str,
}

fn changes() -> [Change; 3] {
    let old = two_nodes();
    [
        Change { old: old.clone(), new: Declared::nodes(&[0, 2]), added: "/node/2/" },
        // Nothing of this shows in the roster's pages.
        Change {
            old: old.clone().with("Applications", vec!["a", "b"]),
            new: old.clone().with("Applications", vec!["a", "c"]),
            added: "/api-key/c",
        },
        Change {
            old: old.clone().with("ManagementKey", "false").with_nodes(&[0]),
            new: old.with_nodes(&[0]),
            added: "/management-key",
        },
    ]
}

fn unfinished_update(change: &Change, at: usize, mishap: Mishap, turns: u64) -> World {
    let world = in_service(&change.old);
    world.take_turns(turns);
    world.plan(at, mishap);
    let ended = update(&world, &change.old, &change.new, "update-1");
    assert!(!matches!(ended, Some(Ok(_))), "the mishap was not met");
    world.revive();
    world.take_turns(0);
    world
}

fn calls_of_an_update(change: &Change) -> usize {
    calls_of(&in_service(&change.old), |world| {
        update(world, &change.old, &change.new, "update-1").unwrap().unwrap();
    })
}

#[test]
fn an_update_that_ended_anywhere_is_completed_by_its_retry() {
    let mut points = 0;
    for change in changes() {
        points += at_every_call(calls_of_an_update(&change), |at, mishap, turns, point| {
            let world = unfinished_update(&change, at, mishap, turns);
            update(&world, &change.old, &change.new, "update-1")
                .unwrap()
                .unwrap_or_else(|error| panic!("{point}: {error}"));
            assert_in_service(&world, &change.new);
            world.revive();
            update(&world, &change.old, &change.new, "update-1").unwrap().unwrap();
            assert_eq!(world.writes(), [""; 0], "{point}: the third delivery");
        });
    }
    assert!(points > 500, "{points}");
}

#[test]
fn an_update_that_ended_anywhere_is_rolled_back_to_what_was_before() {
    for change in changes() {
        let nodes: Vec<_> = change.old.spec().nodes.iter().map(|node| node.get()).collect();
        at_every_call(calls_of_an_update(&change), |at, mishap, turns, point| {
            let world = in_service(&change.old);
            let before = to_bring_back(&world, &nodes);
            world.take_turns(turns);
            world.plan(at, mishap);
            let _ = update(&world, &change.old, &change.new, "update-1");
            world.revive();
            world.take_turns(0);
            update(&world, &change.new, &change.old, "rollback-1")
                .unwrap()
                .unwrap_or_else(|error| panic!("{point}: {error}"));
            assert_in_service(&world, &change.old);
            let mut after = to_bring_back(&world, &nodes);
            after.0.retain(|name, _| !name.contains(change.added));
            assert_eq!(after, before, "{point}");
            for (name, secret) in world.stored().secrets {
                let password = name.ends_with("/share-encryption-password");
                assert!(!name.contains(change.added) || secret.scheduled.is_some() || password, "{point}: {name}");
            }
            delete(&world, &change.old, "delete-1").unwrap().unwrap();
            assert_gone_by_rule(&world, point);
        });
    }
}

#[test]
fn a_rollback_that_ended_anywhere_is_completed_by_its_retry() {
    let change = &changes()[0];
    for ended_at in [18, calls_of_an_update(change) - 3] {
        let start = || unfinished_update(change, ended_at, Mishap::DiesAfter, 0);
        let before = to_bring_back(&in_service_copy(&start()), &[0]);
        let calls = calls_of(&start(), |world| {
            update(world, &change.new, &change.old, "rollback-1").unwrap().unwrap();
        });
        at_every_call(calls, |at, mishap, turns, point| {
            let world = start();
            world.take_turns(turns);
            world.plan(at, mishap);
            let _ = update(&world, &change.new, &change.old, "rollback-1");
            world.revive();
            update(&world, &change.new, &change.old, "rollback-1").unwrap().unwrap();
            assert_in_service(&world, &change.old);
            assert_eq!(to_bring_back(&world, &[0]).0.len(), before.0.len(), "{point}");
        });
    }
}

fn in_service_copy(world: &World) -> World {
    let copy = World::default();
    *copy.stored.borrow_mut() = world.stored();
    copy
}

#[test]
fn what_an_update_listed_is_never_removed_at_once() {
    // Whatever a completed Update made counts as used, even where the roster's pages stay the same.
    for change in changes() {
        let world = in_service(&change.old);
        update(&world, &change.old, &change.new, "update-1").unwrap().unwrap();
        let made: Vec<_> =
            world.stored().secrets.into_keys().filter(|name| name.contains(change.added)).collect();
        assert!(!made.is_empty());
        world.revive();
        update(&world, &change.new, &change.old, "update-2").unwrap().unwrap();
        for name in &made {
            assert!(world.stored().secrets.contains_key(name), "{name}");
        }
        update(&world, &change.old, &change.new, "update-3").unwrap().unwrap();
        assert_in_service(&world, &change.new);
        delete(&world, &change.new, "delete-1").unwrap().unwrap();
        for name in &made {
            assert!(world.stored().secrets.contains_key(name), "{name}");
        }
    }
}

#[test]
fn an_update_that_its_rollback_overtook_publishes_nothing() {
    let change = &changes()[0];
    for pause_at in 0..calls_of_an_update(change) {
        let world = in_service(&change.old);
        world.show("UPDATE_IN_PROGRESS", Some(OWNER));
        let (spec, before) = (change.new.spec(), change.old.lenient());
        let first = operation(provisioning::OperationKind::Update, "update-1");
        let pinned = crate::fixtures::pinned();
        let mut first = std::pin::pin!(provisioning::reconcile(&world, &pinned, &first, &spec, Some(&before)));
        world.pause_at(pause_at);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(first.as_mut().poll(&mut context).is_pending(), "{pause_at}");
        world.go_on();
        let committed = roster(&world).0.generation.as_str() == "update-1";
        let noted = world.stored().documents.keys().any(|name| name.contains("/intent/"));
        let rollback = operation(provisioning::OperationKind::Update, "rollback-1");
        run(&world, &rollback, &change.old, Some(&change.new)).unwrap().unwrap();
        let overtaken = world.drive(first).unwrap();
        if noted && !committed && overtaken.is_err() {
            assert_eq!(roster(&world).0.generation.as_str(), "rollback-1", "{pause_at}");
        }
        // Whatever the one that was overtaken did: the stack's next Update puts it right.
        update(&world, &change.old, &change.old, "update-2").unwrap().unwrap();
        assert_in_service(&world, &change.old);
    }
}
