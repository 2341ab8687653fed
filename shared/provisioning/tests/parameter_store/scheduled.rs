//! What a schedule asks for: rotations of a node's secrets, and the end of overlaps.

use provisioning::ProvisionError;
use provisioning::record::KeyState;
use provisioning::scheduled::{Scheduled, carry_out};
use serde_json::json;

use crate::deaths::at_every_call;
use crate::fixtures::{Declared, in_service, pinned, record, secret};
use crate::world::World;

const AT: &str = "2026-01-02T03:04:05Z";

fn declared() -> Declared {
    Declared::nodes(&[0, 1])
        .with("RotateApiKeysEvery", "cron(0 3 * * ? *)")
        .with("RotateP2pKeysEvery", "cron(0 4 1 * ? *)")
        .with("Applications", vec!["default", "other"])
}

fn rotate(what: &str) -> Scheduled {
    Scheduled::parse(&json!({"Rotate": what, "Cluster": "keyboot/tsm", "Node": "0", "At": AT})).unwrap()
}

fn retire() -> Scheduled {
    Scheduled::parse(&json!({"Retire": "keyboot/tsm"})).unwrap()
}

fn run(world: &World, asked: &Scheduled, seconds: i64) -> Option<Result<Vec<String>, ProvisionError>> {
    world.seconds.set(seconds);
    world.drive(carry_out(world, &pinned(), asked))
}

/// How many versions each secret of a node has.
fn versions(world: &World, index: u32) -> [usize; 4] {
    ["api-key/default", "api-key/other", "management-key", "p2p-key"]
        .map(|purpose| secret(world, index, purpose).versions.len())
}

#[test]
fn what_is_asked_for_is_rotated_once_and_nothing_else() {
    for (what, rotated) in [
        ("api-keys", [2, 2, 2, 1]),
        ("api-key/other", [1, 2, 1, 1]),
        ("management-key", [1, 1, 2, 1]),
        ("p2p-key", [1, 1, 1, 2]),
    ] {
        let world = in_service(&declared());
        let told = run(&world, &rotate(what), 0).unwrap().unwrap();
        assert_eq!(told.len(), rotated.iter().filter(|count| **count == 2).count(), "{what}: {told:?}");
        assert_eq!((versions(&world, 0), versions(&world, 1)), (rotated, [1; 4]), "{what}");
        // It comes again, a minute later and a day later.
        let before = record(&world, 0);
        for seconds in [60, 86_000] {
            run(&world, &rotate(what), seconds).unwrap().unwrap();
            assert_eq!((versions(&world, 0), &record(&world, 0)), (rotated, &before), "{what}");
        }
    }
}

#[test]
fn what_ended_anywhere_is_completed_when_it_comes_again() {
    let start = in_service(&declared());
    let (points, _) = at_every_call(
        &start,
        |world| matches!(run(world, &rotate("api-keys"), 0), Some(Ok(_))),
        |world, point| {
            run(world, &rotate("api-keys"), 90).unwrap().unwrap();
            let record = record(world, 0);
            for keys in record.api_keys.values().chain([&record.management_keys]) {
                let states: Vec<_> = keys.iter().map(|key| key.state).collect();
                assert_eq!(states, [KeyState::Current, KeyState::Retiring], "{point}");
            }
        },
    );
    assert!(points > 30, "{points}");
}

#[test]
fn overlaps_end_when_their_time_is_over_and_a_record_without_one_is_not_written() {
    let world = in_service(&declared());
    run(&world, &rotate("api-keys"), 0).unwrap().unwrap();
    let day = 24 * 3600;
    world.revive();
    assert_eq!(run(&world, &retire(), day - 60).unwrap().unwrap(), [""; 0]);
    assert_eq!(world.writes(), [""; 0]);
    assert_eq!(run(&world, &retire(), day + 60).unwrap().unwrap(), ["node 0 accepts replaced keys no more"]);
    let record = record(&world, 0);
    assert!(record.api_keys.values().chain([&record.management_keys]).all(|keys| keys.len() == 1));
    world.revive();
    assert_eq!(run(&world, &retire(), 2 * day).unwrap().unwrap(), [""; 0]);
    assert_eq!(world.writes(), [""; 0]);
}

#[test]
fn what_is_not_there_or_not_declared_is_refused() {
    let refuse = |world: &World, asked: &Scheduled, why: &str| {
        let before = world.stored();
        let refused = run(world, asked, 0).unwrap().unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
        assert_eq!(world.stored(), before);
    };
    refuse(&World::default(), &rotate("api-keys"), "no such cluster");
    refuse(&World::default(), &retire(), "no such cluster");
    let nothing = in_service(&Declared::nodes(&[0]));
    refuse(&nothing, &rotate("api-keys"), "set RotateApiKeysEvery");
    let world = in_service(&declared());
    refuse(&world, &rotate("api-key/third"), "does not exist");
    let event = json!({"Rotate": "api-keys", "Cluster": "keyboot/tsm", "Node": "7", "At": AT});
    refuse(&world, &Scheduled::parse(&event).unwrap(), "no such node");
    // In the other store, secrets have schedules of their own.
    let other = in_service(&declared().with("Store", "SecretsManager"));
    refuse(&other, &rotate("p2p-key"), "does not exist");
}
