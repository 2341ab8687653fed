//! Operations that end at any of their calls: by the process's death, by a fault of the service,
//! by an answer that got lost. What follows is what CloudFormation sends then.

use std::collections::{BTreeMap, BTreeSet};

use provisioning::OperationKind;

use crate::fixtures::{
    Declared, OWNER, assert_gone_by_rule, assert_in_service, assert_nothing_is_left, create, delete,
    in_service, operation, pinned, read_by, record, roster, update,
};
use crate::world::{Call, Effect, Mishap, World};

/// Lets `work` meet every mishap at every call it makes on a copy of `start`, and deaths also in
/// another order of the calls that are under way together; then `follow` shows what becomes of it.
/// Where the same calls have changed something as at another point, the same follows, and is not
/// shown again. On a cluster in service, what ends before a call is left out: it leaves what an end
/// after the call before it leaves. Gives the number of points, and of those that were shown.
pub(crate) fn at_every_call(
    start: &World,
    work: impl Fn(&World) -> bool,
    mut follow: impl FnMut(&World, &str),
) -> (usize, usize) {
    let calm = start.copy();
    assert!(work(&calm), "it does not work without a mishap either");
    let calls = calm.calls();
    let in_service = !start.stored().is_empty();
    let mut seen = BTreeSet::new();
    let mut points = 0;
    let in_order = Mishap::ALL.map(|mishap| (mishap, 0));
    for (mishap, turns) in in_order.into_iter().chain([(Mishap::DiesAfter, 5)]) {
        for (at, call) in calls.iter().enumerate() {
            let is_before = matches!(mishap, Mishap::DiesBefore | Mishap::FailsBefore);
            if in_service && (is_before || call.effect == Effect::Reads) {
                continue;
            }
            points += 1;
            let world = start.copy();
            world.take_turns(turns);
            world.plan(at, mishap);
            let point = format!("{mishap:?} at call {at}, turns {turns}");
            assert!(!work(&world), "{point}: the mishap was not met");
            let mut writes = world.writes();
            writes.sort_unstable();
            world.revive();
            world.take_turns(0);
            if seen.insert(writes) {
                follow(&world, &point);
            }
        }
    }
    (points, seen.len())
}

fn two_nodes() -> Declared {
    Declared::nodes(&[0, 1])
}

#[test]
fn a_create_that_ended_anywhere_is_completed_by_its_retry_or_leaves_nothing_after_its_delete() {
    let declared = read_by(two_nodes(), "a");
    let create_again = |world: &World| create(world, &declared, "create-1");
    let start = World::default();
    let (points, shown) = at_every_call(
        &start,
        |world| matches!(create_again(world), Some(Ok(_))),
        |world, point| {
            let before = world.stored();
            let retried = world.copy();
            create_again(&retried).unwrap().unwrap_or_else(|error| panic!("{point}: {error}"));
            assert_in_service(&retried, &declared);
            let stored = retried.stored();
            for (name, secret) in &before.secrets {
                let kept = &stored.secrets[name];
                assert_eq!(
                    (&kept.arn, &kept.versions, &kept.tags),
                    (&secret.arn, &secret.versions, &secret.tags),
                    "{point}: {name} was not kept"
                );
            }
            assert!(stored.secrets.values().all(|secret| secret.tags["keyboot:generation"] == "create-1"));
            delete(&retried, &two_nodes(), "delete-1").unwrap().unwrap();
            assert_gone_by_rule(&retried, point);
            assert_eq!(retried.stored().secrets.len(), 8, "{point}");

            let is_marked = before.documents.contains_key("/keyboot/tsm/roster/index");
            // The failed Create's properties may be unreadable.
            let unreadable = Declared::nodes(&[]).with("Nodes", "x").with("Applications", "x");
            for declared in [two_nodes(), unreadable] {
                let world = world.copy();
                delete(&world, &declared, "delete-1")
                    .unwrap()
                    .unwrap_or_else(|error| panic!("{point}: {error}"));
                if is_marked {
                    assert_gone_by_rule(&world, point);
                } else {
                    assert_nothing_is_left(&world, point);
                }
                world.revive();
                delete(&world, &declared, "delete-1").unwrap().unwrap();
                assert_eq!(world.writes(), [""; 0], "{point}: the second Delete");
            }
        },
    );
    assert!(points > 150 && shown > 30, "{points}, {shown}");
}

#[test]
fn a_delete_that_ended_anywhere_is_completed_by_its_retry() {
    let declared = two_nodes().with("ShareSecretOnDelete", "Schedule");
    let (calm, unfinished) = (World::default(), World::default());
    create(&calm, &declared, "create-1").unwrap().unwrap();
    let of_a_node = |call: &Call| call.verb == "publish_new" && call.subject.contains("/node/");
    unfinished.plan(calm.calls().iter().rposition(of_a_node).unwrap(), Mishap::DiesBefore);
    assert!(create(&unfinished, &declared, "create-1").is_none());
    assert!(unfinished.stored().documents.len() > 2);
    for (start, marked) in [(unfinished, false), (in_service(&declared), true)] {
        let remove = |world: &World| matches!(delete(world, &declared, "delete-1"), Some(Ok(_)));
        at_every_call(&start, remove, |world, point| {
            delete(world, &declared, "delete-1").unwrap().unwrap();
            if !marked {
                return assert_nothing_is_left(world, point);
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
    let versions = versions
        .map(|(name, secret)| (name.clone(), format!("{} {:?}", secret.arn, secret.versions)))
        .collect();
    (versions, records.collect(), roster(world).0.sha256)
}

/// An Update that adds one thing and removes another, and what is left of what it added.
struct Change {
    old: Declared,
    new: Declared,
    added: &'static str,
}

fn changes() -> [Change; 4] {
    let old = two_nodes();
    [
        // Readers change with it.
        Change {
            old: read_by(old.clone(), "a"),
            new: read_by(Declared::nodes(&[0, 2]), "b"),
            added: "/node/2/",
        },
        Change { old: old.clone(), new: Declared::nodes(&[0, 2]), added: "/node/2/" },
        // Nothing of this shows in the roster's pages.
        Change {
            old: old.clone().with_nodes(&[0]).with("Applications", vec!["a", "b"]),
            new: old.clone().with_nodes(&[0]).with("Applications", vec!["a", "c"]),
            added: "/api-key/c",
        },
        Change {
            old: old.clone().with("ManagementKey", "false").with_nodes(&[0]),
            new: old.with_nodes(&[0]),
            added: "/management-key",
        },
    ]
}

impl Change {
    fn carry_out(&self, world: &World) -> bool {
        matches!(update(world, &self.old, &self.new, "update-1"), Some(Ok(_)))
    }

    fn roll_back(&self, world: &World) -> bool {
        matches!(update(world, &self.new, &self.old, "rollback-1"), Some(Ok(_)))
    }
}

#[test]
fn an_update_that_ended_anywhere_is_completed_by_its_retry() {
    for change in changes() {
        let start = in_service(&change.old);
        let (points, shown) = at_every_call(
            &start,
            |world| change.carry_out(world),
            |world, point| {
                assert!(change.carry_out(world), "{point}");
                assert_in_service(world, &change.new);
                world.revive();
                assert!(change.carry_out(world), "{point}");
                assert_eq!(world.writes(), [""; 0], "{point}: the third delivery");
            },
        );
        assert!(points > 30 && shown > 8, "{points}, {shown}");
    }
}

#[test]
fn an_update_that_ended_anywhere_is_rolled_back_to_what_was_before() {
    for change in changes() {
        let nodes: Vec<_> = change.old.spec().nodes.iter().map(|node| node.get()).collect();
        let start = in_service(&change.old);
        let before = to_bring_back(&start, &nodes);
        at_every_call(
            &start,
            |world| change.carry_out(world),
            |world, point| {
                assert!(change.roll_back(world), "{point}");
                assert_in_service(world, &change.old);
                let mut after = to_bring_back(world, &nodes);
                after.0.retain(|name, _| !name.contains(change.added));
                assert_eq!(after, before, "{point}");
                for (name, secret) in world.stored().secrets {
                    let password = name.ends_with("/share-encryption-password");
                    assert!(
                        !name.contains(change.added) || secret.scheduled.is_some() || password,
                        "{point}: {name}"
                    );
                }
                delete(world, &change.old, "delete-1").unwrap().unwrap();
                assert_gone_by_rule(world, point);
            },
        );
    }
}

#[test]
fn a_rollback_that_ended_anywhere_is_completed_by_its_retry() {
    let change = Change { old: Declared::nodes(&[0]), new: Declared::nodes(&[1]), added: "/node/1/" };
    let service = in_service(&change.old);
    let calm = service.copy();
    assert!(change.carry_out(&calm));
    // In the middle of making, and between the mark and what follows it.
    for ended_at in [20, calm.calls().len() - 3] {
        let start = service.copy();
        start.plan(ended_at, Mishap::DiesAfter);
        assert!(!change.carry_out(&start));
        start.revive();
        at_every_call(
            &start,
            |world| change.roll_back(world),
            |world, point| {
                assert!(change.roll_back(world), "{point}");
                assert_in_service(world, &change.old);
                assert_eq!(to_bring_back(world, &[0]), to_bring_back(&service, &[0]), "{point}");
            },
        );
    }
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
        assert_eq!(roster(&world).0.generation.as_str(), "update-1");
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
fn an_update_that_its_rollback_overtook_marks_nothing_and_takes_back_what_it_made() {
    let change = &changes()[0];
    let service = in_service(&change.old);
    let calm = service.copy();
    assert!(change.carry_out(&calm));
    let mut overtaken = 0;
    for pause_at in 0..calm.calls().len() {
        let world = service.copy();
        world.show("UPDATE_IN_PROGRESS", Some(OWNER));
        let (spec, before, pinned) = (change.new.spec(), change.old.lenient(), pinned());
        let first = operation(OperationKind::Update, "update-1");
        let mut first =
            std::pin::pin!(provisioning::reconcile(&world, &pinned, &first, &spec, Some(&before)));
        world.pause_at(pause_at);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(first.as_mut().poll(&mut context).is_pending(), "{pause_at}");
        world.go_on();
        assert!(change.roll_back(&world));
        if world.drive(first).unwrap().is_err() {
            overtaken += 1;
            // Public documents of a node that no roster lists may be left: they grant nothing.
            world.stored.borrow_mut().documents.retain(|name, _| !name.starts_with("/keyboot/tsm/node/2/"));
        }
        // It may have begun, or have come to its mark, after the rollback had looked: then the next
        // Update puts it right.
        update(&world, &change.old, &change.old, "update-2").unwrap().unwrap();
        assert_in_service(&world, &change.old);
    }
    assert!(overtaken > 10, "{overtaken}");
}

#[test]
fn a_late_duplicate_of_a_finished_update_turns_nothing_back() {
    let (first, second) = (Declared::nodes(&[0]), Declared::nodes(&[0, 1]));
    let service = in_service(&first);
    update(&service, &first, &second, "update-1").unwrap().unwrap();
    service.revive();
    for third in [
        first.clone(),
        Declared::nodes(&[0, 1, 2]),
        Declared::nodes(&[0, 2]).with("Applications", vec!["other"]),
        second.clone().with("NodeDomain", "new.example.org"),
    ] {
        let start = service.copy();
        let calm = start.copy();
        update(&calm, &second, &third, "update-2").unwrap().unwrap();
        for pause_at in 0..=calm.calls().len() {
            let world = start.copy();
            world.show("UPDATE_IN_PROGRESS", Some(OWNER));
            let (spec, before, pinned) = (third.spec(), second.lenient(), pinned());
            let newer = operation(OperationKind::Update, "update-2");
            let mut newer =
                std::pin::pin!(provisioning::reconcile(&world, &pinned, &newer, &spec, Some(&before)));
            world.pause_at(pause_at);
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            let waits = newer.as_mut().poll(&mut context).is_pending();
            assert_eq!(waits, pause_at < calm.calls().len(), "{pause_at}");
            world.go_on();
            let written = world.writes().len();
            let _ = update(&world, &first, &second, "update-1");
            assert_eq!(world.writes()[written..], [""; 0], "{pause_at}: the duplicate");
            if waits {
                world.drive(newer).unwrap().unwrap_or_else(|error| panic!("{pause_at}: {error}"));
            }
            assert_in_service(&world, &third);
            let told = |world: &World| {
                let index = roster(world).0;
                (index.serial, index.generation, index.finished)
            };
            assert_eq!(told(&world), told(&calm), "{pause_at}");
        }
    }
}

#[test]
fn a_create_that_its_delete_overtook_takes_back_what_it_made() {
    let calm = World::default();
    create(&calm, &two_nodes(), "create-1").unwrap().unwrap();
    let calls = calm.calls();
    let is_mark = |call: &Call| call.verb == "publish_new" && call.subject.ends_with("/roster/index");
    let mark = calls.iter().position(is_mark).unwrap();
    for pause_at in 0..calls.len() {
        let world = World::default();
        world.show("CREATE_IN_PROGRESS", None);
        let (spec, pinned) = (two_nodes().spec(), pinned());
        let create = operation(OperationKind::Create, "create-1");
        let mut create = std::pin::pin!(provisioning::reconcile(&world, &pinned, &create, &spec, None));
        world.pause_at(pause_at);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(create.as_mut().poll(&mut context).is_pending(), "{pause_at}");
        world.go_on();
        delete(&world, &two_nodes(), "delete-1").unwrap().unwrap();
        world.show("DELETE_COMPLETE", None);
        let answer = world.drive(create).unwrap();
        if pause_at > mark {
            // The Delete met the mark: what can be restored is not removed.
            assert_gone_by_rule(&world, &pause_at.to_string());
            assert_eq!(world.stored().secrets.len(), 8, "{pause_at}");
            continue;
        }
        let stored = world.stored();
        assert_eq!(stored.secrets.keys().collect::<Vec<_>>(), [""; 0], "{pause_at}");
        assert!(answer.is_err(), "{pause_at}");
        assert_eq!(stored.documents.keys().collect::<Vec<_>>(), [""; 0], "{pause_at}");
    }
}
