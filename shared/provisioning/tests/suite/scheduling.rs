//! The schedules by which secrets are rotated: set, changed, cleared, and ended in the middle of it.

use provisioning::ProvisionError;
use provisioning::ports::RotationSchedule;

use crate::deaths::at_every_call;
use crate::fixtures::{Declared, assert_in_service, create, in_service, roster, secret_name, update};
use crate::world::{ROTATOR, World};

const MONTHLY: &str = "rate(30 days)";
const DAILY: &str = "rate(1 day)";

fn rotated(every: &str) -> Declared {
    Declared::nodes(&[0, 1]).with("RotateApiKeysEvery", every)
}

fn schedule(every: &str) -> RotationSchedule {
    RotationSchedule { function: ROTATOR.into(), every: every.into() }
}

/// The API and management keys of both nodes are rotated so, and nothing else is.
fn assert_scheduled(world: &World, every: Option<&str>, point: &str) {
    let stored = world.stored();
    for index in [0, 1] {
        for purpose in ["api-key/default", "management-key"] {
            let found = &stored.secrets[&secret_name(index, purpose)].rotation;
            assert_eq!(*found, every.map(schedule), "{point}: {index} {purpose}");
        }
        for purpose in ["p2p-key", "share-encryption-password"] {
            assert_eq!(stored.secrets[&secret_name(index, purpose)].rotation, None, "{point}: {purpose}");
        }
    }
    let declared = roster(world).0.rotation.and_then(|policy| policy.api_keys_every);
    assert_eq!(declared.map(String::from).as_deref(), every, "{point}");
}

#[test]
fn what_is_declared_is_scheduled_changed_and_cleared() {
    let world = in_service(&rotated(MONTHLY));
    assert_scheduled(&world, Some(MONTHLY), "made");
    let policy = roster(&world).0.rotation.unwrap();
    assert_eq!((policy.overlap_hours, policy.cut_over_minutes), (24, 60));
    update(&world, &rotated(MONTHLY), &rotated(MONTHLY), "update-0").unwrap().unwrap();
    assert_eq!(world.writes(), [""; 0]);
    let before = world.stored();
    update(&world, &rotated(MONTHLY), &rotated(DAILY), "update-1").unwrap().unwrap();
    assert_scheduled(&world, Some(DAILY), "changed");
    for (name, secret) in world.stored().secrets {
        assert_eq!(secret.versions, before.secrets[&name].versions, "{name}");
    }
    let p2p = rotated(DAILY).with("RotateP2pKeysEvery", MONTHLY);
    update(&world, &rotated(DAILY), &p2p, "update-2").unwrap().unwrap();
    assert_eq!(world.stored().secrets[&secret_name(1, "p2p-key")].rotation, Some(schedule(MONTHLY)));
    let nothing = Declared::nodes(&[0, 1]);
    update(&world, &p2p, &nothing, "update-3").unwrap().unwrap();
    assert_scheduled(&world, None, "cleared");
    assert_eq!(roster(&world).0.rotation, None);
    assert_in_service(&world, &nothing);
}

#[test]
fn the_times_of_a_policy_change_without_a_schedule() {
    let world = in_service(&rotated(MONTHLY));
    let longer = rotated(MONTHLY).with("OverlapHours", "48");
    update(&world, &rotated(MONTHLY), &longer, "update-1").unwrap().unwrap();
    assert_eq!(roster(&world).0.rotation.unwrap().overlap_hours, 48);
    assert!(world.writes().iter().all(|write| !write.starts_with("rotate_by")), "{:?}", world.writes());
}

#[test]
fn what_ended_while_schedules_were_set_is_completed_by_its_retry() {
    let (points, _) = at_every_call(
        &World::default(),
        |world| matches!(create(world, &rotated(MONTHLY), "create-1"), Some(Ok(_))),
        |world, point| {
            create(world, &rotated(MONTHLY), "create-1").unwrap().unwrap();
            assert_scheduled(world, Some(MONTHLY), point);
        },
    );
    assert!(points > 20, "{points}");
    for (old, new, every) in [
        (rotated(MONTHLY), rotated(DAILY), Some(DAILY)),
        (rotated(MONTHLY), Declared::nodes(&[0, 1]), None),
        (Declared::nodes(&[0, 1]), rotated(DAILY), Some(DAILY)),
    ] {
        let start = in_service(&old);
        let before = roster(&start).0.rotation.and_then(|policy| policy.api_keys_every).map(String::from);
        at_every_call(
            &start,
            |world| matches!(update(world, &old, &new, "update-1"), Some(Ok(_))),
            |world, point| {
                let retried = world.copy();
                update(&retried, &old, &new, "update-1").unwrap().unwrap();
                assert_scheduled(&retried, every, point);
                // CloudFormation gives up instead, and takes it back.
                update(world, &new, &old, "rollback-1").unwrap().unwrap();
                assert_scheduled(world, before.as_deref(), point);
            },
        );
    }
}

#[test]
fn a_secret_that_comes_with_an_update_is_scheduled_like_the_others() {
    let (two, three) = (rotated(MONTHLY), rotated(MONTHLY).with_nodes(&[0, 1, 2]));
    let world = in_service(&two);
    update(&world, &two, &three, "update-1").unwrap().unwrap();
    assert_scheduled(&world, Some(MONTHLY), "with a third node");
    let added = &world.stored().secrets[&secret_name(2, "api-key/default")];
    assert_eq!(added.rotation, Some(schedule(MONTHLY)));
    // What somebody has switched off by hand is on again with the next change of the stack.
    world.stored.borrow_mut().secrets.get_mut(&secret_name(0, "management-key")).unwrap().rotation = None;
    update(&world, &three, &three, "update-2").unwrap().unwrap();
    assert_scheduled(&world, Some(MONTHLY), "switched on again");
}

#[test]
fn without_a_function_that_rotates_a_schedule_is_refused_before_anything_is_made() {
    let world = World::default();
    world.has_no_rotator.set(true);
    for (property, declared) in [
        ("RotateApiKeysEvery", rotated(DAILY)),
        ("RotateP2pKeysEvery", Declared::nodes(&[0]).with("RotateP2pKeysEvery", DAILY)),
    ] {
        let refused = create(&world, &declared, "create-1").unwrap().unwrap_err();
        assert!(
            matches!(&refused, ProvisionError::Property(fault) if fault.property == property),
            "{refused}"
        );
        assert!(world.stored().is_empty());
    }
    create(&world, &Declared::nodes(&[0]), "create-2").unwrap().unwrap();
    assert_in_service(&world, &Declared::nodes(&[0]));
}
