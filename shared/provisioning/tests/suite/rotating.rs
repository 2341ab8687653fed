//! Rotations of single secrets: ended at any call, side by side, and in the middle of what a stack does.

use jiff::SignedDuration;
use key_material::{ApiKeyHash, P2pPrivateKey};
use provisioning::authority::PinnedStacks;
use provisioning::names::{Purpose, Slot};
use provisioning::ownership::Generation;
use provisioning::ports::{Clock, PENDING, PREVIOUS};
use provisioning::record::{AcceptedKey, KeyState, NodeRecord};
use provisioning::store::Store;
use provisioning::version_label::VersionLabel;
use provisioning::{OperationKind, Progress, ProvisionError, Rotation};

use crate::deaths::at_every_call;
use crate::fixtures::{
    Declared, OWNER, assert_in_service, cluster, current, delete, document, in_service, node, open,
    operation, own_labels, pinned, record, roster, secret, secret_name, update, value_of,
};
use crate::planted::his_label;
use crate::world::World;

const ROTATED: [&str; 3] = ["p2p-key", "api-key/default", "management-key"];
/// An expression that either store takes.
const DAILY: &str = "cron(0 3 * * ? *)";
const TOKEN: &str = "11111111-aaaa-4bbb-8ccc-000000000001";
const NEXT: &str = "11111111-aaaa-4bbb-8ccc-000000000002";

fn rotation(world: &World, purpose: &str, token: &str) -> Rotation {
    Rotation {
        store: crate::STORE,
        cluster: cluster(),
        slot: Slot { index: node(0), purpose: purpose.parse().unwrap() },
        token: token.to_owned(),
        now: world.now(),
    }
}

/// A cluster of which everything is rotated that ever is.
fn rotated(nodes: &[u32]) -> Declared {
    Declared::nodes(nodes)
        .with("RotateApiKeysEvery", DAILY)
        .with("RotateP2pKeysEvery", DAILY)
        .with("CutOverMinutes", "30")
}

/// The same, begun again so much later.
fn later(world: &World, rotation: &Rotation, seconds: i64) -> Rotation {
    world.seconds.set(world.seconds.get() + seconds);
    Rotation { now: rotation.now + SignedDuration::from_secs(seconds), ..rotation.clone() }
}

/// The same while time goes by.
fn by_now(world: &World, rotation: &Rotation) -> Rotation {
    Rotation { now: Clock::now(world), ..rotation.clone() }
}

/// What Secrets Manager does before its first step: the id of the version to come is there already.
fn begin(world: &World, rotation: &Rotation) {
    if crate::STORE == Store::SecretsManager {
        let mut stored = world.stored.borrow_mut();
        let name = secret_name(rotation.slot.index.get(), &rotation.slot.purpose.to_string());
        let secret = stored.secrets.get_mut(&name).unwrap();
        if current(secret) != rotation.token {
            secret.labels.insert(PENDING.into(), rotation.token.clone());
        }
    }
}

type Stepped = Result<Progress, ProvisionError>;

fn make(world: &World, rotation: &Rotation) -> Option<Stepped> {
    world.drive(rotation.make(world, &pinned()))
}

fn publish(world: &World, rotation: &Rotation) -> Option<Stepped> {
    world.drive(rotation.publish(world, &pinned()))
}

fn check(world: &World, rotation: &Rotation) -> Option<Stepped> {
    world.drive(rotation.check(world, &pinned()))
}

fn finish(world: &World, rotation: &Rotation) -> Option<Stepped> {
    world.drive(rotation.finish(world, &pinned()))
}

const STEPS: [fn(&World, &Rotation) -> Option<Stepped>; 4] = [make, publish, check, finish];

/// All steps, as far as they go.
fn rotate(world: &World, rotation: &Rotation) -> bool {
    begin(world, rotation);
    STEPS.iter().all(|step| matches!(step(world, rotation), Some(Ok(done)) if done != Progress::Nothing))
}

/// The same, once more where another rotation was at work.
fn rotate_in_the_end(world: &World, rotation: &Rotation) {
    begin(world, rotation);
    for step in STEPS {
        let mut done = step(world, rotation).unwrap();
        if matches!(done, Err(ProvisionError::Busy { .. })) {
            done = step(world, rotation).unwrap();
        }
        assert_ne!(done.unwrap(), Progress::Nothing);
    }
}

fn accepted<'a>(record: &'a NodeRecord, purpose: &str) -> &'a [AcceptedKey] {
    match purpose.parse().unwrap() {
        Purpose::ApiKey(application) => &record.api_keys[&application],
        _ => &record.management_keys,
    }
}

/// Whoever holds what is handed out now is accepted by what is published now.
fn assert_usable(world: &World, point: &str) {
    let record = record(world, 0);
    for purpose in ROTATED {
        let secret = secret(world, 0, purpose);
        let value = value_of(&secret, current(&secret));
        if purpose == "p2p-key" {
            let key = P2pPrivateKey::from_pkcs8_der(&open(value)).unwrap();
            let pending = record.pending.as_ref().map(|pending| &pending.public_key);
            let mut listed = [Some(&record.public_key), pending].into_iter().flatten();
            assert!(listed.any(|public| key.matches(public)), "{point}: {purpose}");
        } else {
            let hash = ApiKeyHash::of(value);
            assert!(accepted(&record, purpose).iter().any(|key| key.hash == hash), "{point}: {purpose}");
        }
    }
}

/// Rotated once: one new version, handed out and published, and nothing left over.
fn assert_rotated(world: &World, purpose: &str, before: &NodeRecord, versions: usize) {
    assert_usable(world, purpose);
    let (secret, record) = (secret(world, 0, purpose), record(world, 0));
    assert_eq!(secret.versions.len(), versions, "{purpose}: {:?}", secret.labels);
    assert_eq!(secret.labels.get(PENDING), None, "{purpose}");
    assert_ne!(current(&secret), secret.labels[PREVIOUS]);
    assert!(own_labels(&secret).contains_key(current(&secret)));
    if purpose == "p2p-key" {
        let pending = record.pending.as_ref().unwrap();
        assert_eq!(pending.version_id, current(&secret));
        assert_eq!((&record.version_id, record.version), (&before.version_id, before.version));
        assert_eq!(pending.version, before.version + 1);
    } else {
        let [new, old] = accepted(&record, purpose) else { panic!("{:?}", accepted(&record, purpose)) };
        assert_eq!((new.state, new.version_id.as_deref()), (KeyState::Current, Some(current(&secret))));
        assert_eq!((old.state, old.hash), (KeyState::Retiring, accepted(before, purpose)[0].hash));
        assert!(old.until.is_some());
    }
}

#[test]
fn a_rotation_that_ended_anywhere_is_completed_by_its_retry() {
    let declared = rotated(&[0]);
    let start = in_service(&declared);
    let before = record(&start, 0);
    for purpose in ROTATED {
        let first = rotation(&start, purpose, TOKEN);
        let (points, shown) = at_every_call(
            &start,
            |world| rotate(world, &first),
            |world, point| {
                let point = format!("{purpose}, {point}");
                assert_usable(world, &point);
                let again = later(world, &first, 90);
                at_every_call_usable(world, &again);
                rotate_in_the_end(world, &again);
                // What was put and given up stays where versions are counted, and nobody knows it.
                let versions = secret(world, 0, purpose).versions.len();
                assert!(versions == 2 || crate::STORE == Store::ParameterStore, "{point}: {versions}");
                assert_rotated(world, purpose, &before, versions);
                world.revive();
                rotate_in_the_end(world, &later(world, &again, 90));
                assert!(
                    world.writes().iter().all(|write| write.contains("/lease")),
                    "{point}: {:?}",
                    world.writes()
                );
            },
        );
        assert!(points > 10 && shown > 5, "{purpose}: {points}, {shown}");
    }
}

/// After each call of a rotation that goes through, what is handed out is accepted.
fn at_every_call_usable(start: &World, rotation: &Rotation) {
    let calm = start.copy();
    rotate_in_the_end(&calm, rotation);
    for at in 0..calm.calls().len() {
        let world = start.copy();
        world.plan(at, crate::world::Mishap::DiesAfter);
        let _ = rotate(&world, rotation);
        world.revive();
        assert_usable(&world, &format!("call {at} of the second run"));
    }
}

#[test]
fn rotations_in_a_row_hold_two_versions_and_accept_two_keys() {
    let declared = rotated(&[0]);
    for purpose in ROTATED {
        let world = in_service(&declared);
        for number in 1..30_i64 {
            let before = record(&world, 0).at(world.now());
            world.days.set(2 * number);
            let token = format!("11111111-aaaa-4bbb-8ccc-{number:012}");
            assert!(rotate(&world, &rotation(&world, purpose, &token)), "{purpose} {number}");
            let versions = usize::try_from(number).unwrap() + 1;
            assert_rotated(&world, purpose, &before.at(world.now()), versions);
            let held = own_labels(&secret(&world, 0, purpose)).len();
            assert!(held <= 2, "{purpose}: {held}");
        }
    }
}

#[test]
fn secrets_of_a_node_are_rotated_side_by_side_and_the_record_tells_of_all() {
    let start = in_service(&rotated(&[0]));
    let before = record(&start, 0);
    for seed in 1..40 {
        let world = start.copy();
        let all = ROTATED.map(|purpose| rotation(&world, purpose, TOKEN));
        for rotation in &all {
            begin(&world, rotation);
        }
        world.take_turns(seed);
        let (world, pinned) = (&world, &pinned());
        let run = async |rotation: &Rotation| {
            let mut step = 0;
            for _ in 0..2000 {
                let rotation = by_now(world, rotation);
                let done = match step {
                    0 => rotation.make(world, pinned).await,
                    1 => rotation.publish(world, pinned).await,
                    2 => rotation.check(world, pinned).await,
                    _ => rotation.finish(world, pinned).await,
                };
                match done {
                    Err(ProvisionError::Busy { .. }) => continue,
                    done => assert_ne!(done.unwrap(), Progress::Nothing),
                }
                step += 1;
                if step == 4 {
                    return;
                }
            }
            panic!("it never had its turn");
        };
        let [a, b, c] = &all;
        world.drive(futures_util::future::join3(run(a), run(b), run(c))).unwrap();
        world.take_turns(0);
        for purpose in ROTATED {
            assert_rotated(world, purpose, &before, 2);
        }
        let lease = &world.stored().documents["/keyboot/tsm/node/0/lease"];
        assert!(lease.expires.is_some(), "{lease:?}");
    }
}

#[test]
fn the_same_rotation_twice_at_once_puts_one_version() {
    let start = in_service(&rotated(&[0]));
    let before = record(&start, 0);
    for purpose in ROTATED {
        for seed in 1..40 {
            let world = start.copy();
            let first = rotation(&world, purpose, TOKEN);
            let second = first.clone();
            begin(&world, &first);
            world.take_turns(seed);
            let (world, pinned) = (&world, &pinned());
            // Each step may meet the other run's; what fails is repeated.
            let run = async |rotation: &Rotation| {
                for _ in 0..2000 {
                    let rotation = by_now(world, rotation);
                    let steps = async {
                        rotation.make(world, pinned).await?;
                        rotation.publish(world, pinned).await?;
                        rotation.check(world, pinned).await?;
                        rotation.finish(world, pinned).await
                    };
                    if steps.await.is_ok() {
                        return;
                    }
                }
                panic!("it never had its turn");
            };
            world.drive(futures_util::future::join(run(&first), run(&second))).unwrap();
            world.take_turns(0);
            let versions = secret(world, 0, purpose).versions.len();
            assert!(versions == 2 || crate::STORE == Store::ParameterStore, "{purpose} {seed}: {versions}");
            assert_rotated(world, purpose, &before, versions);
        }
    }
}

#[test]
fn a_key_that_waits_for_its_time_is_not_replaced_and_counts_afterwards() {
    let declared = rotated(&[0]);
    let world = in_service(&declared);
    let before = record(&world, 0);
    let first = rotation(&world, "p2p-key", TOKEN);
    assert!(rotate(&world, &first));
    let pending = record(&world, 0).pending.unwrap();
    assert_eq!(pending.counts_from, first.now + SignedDuration::from_mins(30));
    world.revive();
    let early = rotation(&world, "p2p-key", NEXT);
    begin(&world, &early);
    let refused = make(&world, &early).unwrap().unwrap_err();
    assert!(refused.to_string().contains("has not begun to count"), "{refused}");
    assert_eq!(world.writes(), [""; 0]);
    // An Update in between leaves both as they are; one afterwards lists the new one.
    if crate::STORE == Store::SecretsManager {
        world.stored.borrow_mut().secrets.get_mut(&secret_name(0, "p2p-key")).unwrap().labels.remove(PENDING);
    }
    update(&world, &declared, &declared, "update-1").unwrap().unwrap();
    assert_eq!(world.writes(), [""; 0]);
    world.days.set(1);
    update(&world, &declared, &declared, "update-2").unwrap().unwrap();
    let entry = &roster(&world).1[0];
    assert_eq!((entry.version, &entry.fingerprint), (2, &pending.fingerprint));
    world.revive();
    update(&world, &declared, &declared, "update-3").unwrap().unwrap();
    assert_eq!(world.writes(), [""; 0]);
    let next = rotation(&world, "p2p-key", NEXT);
    assert!(rotate(&world, &next));
    let after = record(&world, 0);
    assert_eq!((after.version, &after.public_key), (2, &pending.public_key));
    assert_ne!(after.public_key, before.public_key);
    assert_eq!(after.pending.unwrap().version, 3);
}

#[test]
fn what_was_replaced_is_accepted_until_its_overlap_is_over() {
    let world = in_service(&rotated(&[0]));
    let old = record(&world, 0).api_keys;
    let first = rotation(&world, "api-key/default", TOKEN);
    assert!(rotate(&world, &first));
    let hour = |hours: i64| Rotation { now: first.now + SignedDuration::from_hours(hours), ..first.clone() };
    for (hours, keys) in [(23, 2), (24, 1), (25, 1)] {
        world.drive(hour(hours).retire(&world, &pinned())).unwrap().unwrap();
        let record = record(&world, 0);
        let accepted = accepted(&record, "api-key/default");
        assert_eq!(accepted.len(), keys, "{hours}");
        assert_eq!(accepted[0].state, KeyState::Current);
        let is_old = |key: &AcceptedKey| key.hash == old[&"default".parse().unwrap()][0].hash;
        assert_eq!(accepted.iter().any(is_old), keys == 2);
    }
}

#[test]
fn what_may_not_be_rotated_is_refused_and_nothing_is_written() {
    let declared = rotated(&[0]);
    let start = in_service(&declared);
    let refuse = |world: &World, rotation: &Rotation, pinned: &PinnedStacks, why: &str| {
        let before = world.stored();
        let steps: [Stepped; 3] = [
            world.drive(rotation.make(world, pinned)).unwrap(),
            world.drive(rotation.publish(world, pinned)).unwrap(),
            world.drive(rotation.finish(world, pinned)).unwrap(),
        ];
        for step in steps {
            let error = step.unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        let checked = world.drive(rotation.check(world, pinned)).unwrap();
        assert!(checked.is_err() || checked.is_ok_and(|done| done == Progress::Nothing));
        assert_eq!(world.stored(), before);
    };
    let api_key = rotation(&start, "api-key/default", TOKEN);
    refuse(&start, &rotation(&start, "share-encryption-password", TOKEN), &pinned(), "written once");
    refuse(&start, &rotation(&start, "api-key/other", TOKEN), &pinned(), "does not exist");
    let others = "arn:aws:cloudformation:eu-central-1:111122223333:stack/x/1".parse().unwrap();
    refuse(&start, &api_key, &others, "pinned");
    let world = start.copy();
    let name = secret_name(0, "api-key/default");
    world.stored.borrow_mut().secrets.get_mut(&name).unwrap().tags.clear();
    refuse(&world, &api_key, &pinned(), "belongs to");
    let world = start.copy();
    world.stored.borrow_mut().documents.remove("/keyboot/tsm/node/0/record");
    refuse(&world, &api_key, &pinned(), "is not there");
    let world = start.copy();
    delete(&world, &declared, "delete-1").unwrap().unwrap();
    refuse(&world, &api_key, &pinned(), "recovery window");
    // What its stack has not declared.
    let only_p2p = in_service(&Declared::nodes(&[0]).with("RotateP2pKeysEvery", DAILY));
    refuse(&only_p2p, &api_key, &pinned(), "set RotateApiKeysEvery");
    let nothing = in_service(&Declared::nodes(&[0]));
    refuse(&nothing, &api_key, &pinned(), "set RotateApiKeysEvery");
    let only_api_keys = in_service(&Declared::nodes(&[0]).with("RotateApiKeysEvery", DAILY));
    refuse(&only_api_keys, &rotation(&start, "p2p-key", TOKEN), &pinned(), "set RotateP2pKeysEvery");
    let elsewhere = match crate::STORE {
        Store::SecretsManager => Store::ParameterStore,
        Store::ParameterStore | Store::Vault => Store::SecretsManager,
    };
    refuse(&start, &Rotation { store: elsewhere, ..api_key }, &pinned(), "does not exist");
}

#[test]
fn a_version_that_rotation_did_not_make_changes_nothing() {
    // As Secrets Manager tries a rotation out when it is switched on: an id, a test, and no more.
    for purpose in ROTATED {
        let world = in_service(&rotated(&[0]));
        let tried = rotation(&world, purpose, TOKEN);
        begin(&world, &tried);
        let before = world.stored();
        for step in [publish, check, finish] {
            assert_eq!(step(&world, &tried).unwrap().unwrap(), Progress::Nothing);
        }
        assert_eq!(world.stored(), before);
        // It is tried out before the cluster has a roster, too.
        world.stored.borrow_mut().documents.clear();
        assert_eq!(check(&world, &tried).unwrap().unwrap(), Progress::Nothing);
    }
}

#[test]
fn what_somebody_put_under_the_id_of_a_rotation_is_not_published() {
    let declared = rotated(&[0]);
    for purpose in ROTATED {
        let world = in_service(&declared);
        let before = record(&world, 0);
        let first = rotation(&world, purpose, TOKEN);
        let label = VersionLabel { generation: Generation::new(TOKEN), ..his_label(&declared, purpose, 2) };
        let his = label.public_base64();
        let mut stored = world.stored.borrow_mut();
        let secret = stored.secrets.get_mut(&secret_name(0, purpose)).unwrap();
        let id = match crate::STORE {
            Store::SecretsManager => TOKEN.to_owned(),
            Store::ParameterStore | Store::Vault => "2".to_owned(),
        };
        secret.versions.push((id.clone(), "his".into()));
        secret.labels.insert(label.to_text().unwrap(), id);
        drop(stored);
        let done = STEPS.map(|step| step(&world, &first).unwrap());
        let text = world.stored().documents["/keyboot/tsm/node/0/record"].text.clone();
        assert!(!text.contains(&his), "{purpose}: {done:?}");
        assert_ne!(
            value_of(&self::secret(&world, 0, purpose), current(&self::secret(&world, 0, purpose))),
            "his"
        );
        assert_usable(&world, purpose);
        assert_eq!(record(&world, 0).version_id, before.version_id);
    }
}

#[test]
fn new_keys_by_a_token_end_a_rotation_and_the_next_one_goes_through() {
    let old = rotated(&[0]);
    let new = old.clone().with("Regenerate", "1");
    for purpose in ROTATED {
        for stop in 0..=4 {
            let world = in_service(&old);
            let first = rotation(&world, purpose, TOKEN);
            begin(&world, &first);
            STEPS.iter().take(stop).for_each(|step| {
                step(&world, &first).unwrap().unwrap();
            });
            update(&world, &old, &new, "update-1").unwrap().unwrap();
            assert_usable(&world, purpose);
            // The version before is the one that counted, not the one that was handed out early.
            let is_early = purpose == "p2p-key" && stop == 4;
            if !is_early {
                assert_in_service(&world, &new);
            }
            // What comes late of it turns nothing back.
            let before = world.stored();
            for step in [publish, check, finish] {
                let _ = step(&world, &later(&world, &first, 90)).unwrap();
            }
            assert_eq!(world.stored().documents, before.documents, "{purpose} {stop}");
            world.days.set(1);
            let next = rotation(&world, purpose, NEXT);
            assert!(rotate(&world, &next), "{purpose} {stop}");
            assert_usable(&world, purpose);
        }
    }
}

#[test]
fn the_way_back_from_a_token_leads_to_what_was_rotated_last() {
    let old = rotated(&[0]);
    let new = old.clone().with("Regenerate", "1");
    let world = in_service(&old);
    for purpose in ROTATED {
        assert!(rotate(&world, &rotation(&world, purpose, TOKEN)), "{purpose}");
    }
    world.days.set(2);
    let before = record(&world, 0).at(world.now());
    update(&world, &old, &new, "update-1").unwrap().unwrap();
    assert_in_service(&world, &new);
    update(&world, &new, &old, "rollback-1").unwrap().unwrap();
    let after = record(&world, 0);
    assert_eq!((&after.public_key, &after.version_id), (&before.public_key, &before.version_id));
    for purpose in ["api-key/default", "management-key"] {
        assert_eq!(accepted(&after, purpose)[0].hash, accepted(&before, purpose)[0].hash, "{purpose}");
    }
    assert_usable(&world, "after the way back");
}

#[test]
fn a_pending_version_that_an_older_rotation_left_is_taken_back() {
    let start = in_service(&rotated(&[0]));
    if crate::STORE == Store::ParameterStore {
        // Nothing is pending there: the next rotation announces another key, and that one is forgotten.
        let world = start.copy();
        make(&world, &rotation(&world, "api-key/default", TOKEN)).unwrap().unwrap();
        assert!(rotate(&world, &rotation(&world, "api-key/default", NEXT)));
        assert_eq!(accepted(&record(&world, 0), "api-key/default").len(), 2);
        return;
    }
    for purpose in ROTATED {
        let world = start.copy();
        let before = record(&world, 0);
        let stale = rotation(&world, purpose, TOKEN);
        begin(&world, &stale);
        make(&world, &stale).unwrap().unwrap();
        let next = rotation(&world, purpose, NEXT);
        world.drive(next.discard(&world, &pinned())).unwrap().unwrap();
        assert_eq!(secret(&world, 0, purpose).labels.get(PENDING), None);
        assert!(!own_labels(&secret(&world, 0, purpose)).contains_key(TOKEN));
        if purpose != "p2p-key" {
            assert_eq!(accepted(&record(&world, 0), purpose), accepted(&before, purpose));
        }
        assert!(rotate(&world, &next), "{purpose}");
        assert_rotated(&world, purpose, &before, 3);
    }
}

#[test]
fn an_update_in_the_middle_of_a_rotation_turns_nothing_back() {
    let declared = rotated(&[0]);
    let more = declared.clone().with_nodes(&[0, 1]);
    for purpose in ROTATED {
        for stop in 0..=4 {
            let world = in_service(&declared);
            let before = record(&world, 0);
            let first = rotation(&world, purpose, TOKEN);
            begin(&world, &first);
            STEPS.iter().take(stop).for_each(|step| {
                step(&world, &first).unwrap().unwrap();
            });
            let (handed_out, rotating) = (current(&secret(&world, 0, purpose)).to_owned(), record(&world, 0));
            update(&world, &declared, &more, "update-1").unwrap().unwrap();
            assert_eq!(current(&secret(&world, 0, purpose)), handed_out, "{purpose} {stop}");
            assert_eq!(record(&world, 0), rotating, "{purpose} {stop}");
            assert!(rotate(&world, &later(&world, &first, 90)), "{purpose} {stop}");
            assert_rotated(&world, purpose, &before, 2);
        }
    }
}

#[test]
fn an_update_and_a_rotation_take_turns_at_the_record() {
    let declared = rotated(&[0]);
    let more = declared.clone().with("Applications", vec!["default", "other"]);
    let start = in_service(&declared);
    for seed in 1..60 {
        let world = start.copy();
        world.show("UPDATE_IN_PROGRESS", Some(OWNER));
        world.show_stack("UPDATE_IN_PROGRESS");
        let first = rotation(&world, "api-key/default", TOKEN);
        begin(&world, &first);
        world.take_turns(seed);
        let (world, pinned) = (&world, &pinned());
        let rotates = async {
            for _ in 0..2000 {
                let rotation = by_now(world, &first);
                let steps = async {
                    rotation.make(world, pinned).await?;
                    rotation.finish(world, pinned).await
                };
                match steps.await {
                    Err(ProvisionError::Busy { .. }) => {}
                    done => return assert_ne!(done.unwrap(), Progress::Nothing),
                }
            }
            panic!("it never had its turn");
        };
        let updates = async {
            let (spec, before) = (more.spec(), declared.lenient());
            for _ in 0..2000 {
                let mut operation = operation(OperationKind::Update, "update-1");
                operation.now = by_now(world, &first).now;
                match provisioning::reconcile(world, pinned, &operation, &spec, Some(&before)).await {
                    Err(ProvisionError::Busy { .. }) => {}
                    done => return drop(done.unwrap()),
                }
            }
            panic!("it never had its turn");
        };
        world.drive(futures_util::future::join(rotates, updates)).unwrap();
        world.take_turns(0);
        assert_usable(world, &format!("{seed}"));
        let record = record(world, 0);
        assert_eq!(record.api_keys.len(), 2, "{seed}");
        assert_eq!(accepted(&record, "api-key/default").len(), 2, "{seed}");
    }
}

#[test]
fn who_died_with_the_record_in_hand_holds_it_up_for_half_a_minute() {
    let world = in_service(&rotated(&[0]));
    let dead = rotation(&world, "api-key/default", TOKEN);
    begin(&world, &dead);
    let calm = world.copy();
    make(&calm, &dead).unwrap().unwrap();
    let is_taking =
        |call: &crate::world::Call| call.verb == "publish_new" && call.subject.ends_with("/lease");
    let taken = calm.calls().iter().position(is_taking).unwrap();
    world.plan(taken, crate::world::Mishap::DiesAfter);
    assert!(make(&world, &dead).is_none());
    world.revive();
    let other = rotation(&world, "management-key", TOKEN);
    begin(&world, &other);
    for (seconds, is_busy) in [(0, true), (28, true), (1, true), (2, false)] {
        let done = make(&world, &later(&world, &other, seconds)).unwrap();
        assert_eq!(matches!(done, Err(ProvisionError::Busy { .. })), is_busy, "{seconds}: {done:?}");
    }
}

#[test]
fn a_record_that_somebody_put_back_is_not_built_on() {
    let declared = rotated(&[0]);
    let other = declared.clone().with("Applications", vec!["default", "other"]);
    let put_back = |world: &World, old: &str| {
        let mut stored = world.stored.borrow_mut();
        old.clone_into(&mut stored.documents.get_mut("/keyboot/tsm/node/0/record").unwrap().text);
    };
    let text = |world: &World| document(&world.stored(), "/keyboot/tsm/node/0/record");
    let refuse_rotations = |world: &World, old: &str, why: &str| {
        for purpose in ROTATED {
            begin(world, &rotation(world, purpose, NEXT));
            for step in STEPS {
                if let Err(error) = step(world, &rotation(world, purpose, NEXT)).unwrap() {
                    assert!(error.to_string().contains(why), "{purpose}: {error}");
                }
            }
        }
        assert_eq!(text(world), old);
    };
    for purpose in ROTATED {
        let world = in_service(&declared);
        let old = text(&world);
        assert!(rotate(&world, &rotation(&world, purpose, TOKEN)), "{purpose}");
        world.days.set(2);
        assert!(rotate(&world, &rotation(&world, purpose, "11111111-aaaa-4bbb-8ccc-000000000003")));
        let latest = text(&world);
        put_back(&world, &old);
        world.days.set(3);
        refuse_rotations(&world, &old, "put an older text back");
        let error = update(&world, &declared, &other, "update-1").unwrap().unwrap_err().to_string();
        assert!(error.contains("put an older text back"), "{purpose}: {error}");
        assert_eq!(text(&world), old, "{purpose}");
        put_back(&world, &latest);
        update(&world, &declared, &other, "update-2").unwrap().unwrap();
        assert_usable(&world, purpose);
    }
    // What of another key is over is not taken out of it either.
    let world = in_service(&declared);
    assert!(rotate(&world, &rotation(&world, "management-key", TOKEN)));
    let old = text(&world);
    assert!(rotate(&world, &rotation(&world, "api-key/default", TOKEN)));
    put_back(&world, &old);
    world.days.set(3);
    let retired = rotation(&world, "management-key", NEXT);
    let error = world.drive(retired.retire(&world, &pinned())).unwrap().unwrap_err().to_string();
    assert!(error.contains("put an older text back"), "{error}");
    assert_eq!(text(&world), old);
    // One that lists an application which was removed.
    let world = in_service(&other);
    let old = text(&world);
    update(&world, &other, &declared, "update-1").unwrap().unwrap();
    put_back(&world, &old);
    let error = make_begun(&world, &rotation(&world, "management-key", NEXT));
    assert!(error.contains("lists a secret that is not in service"), "{error}");
    assert_eq!(text(&world), old);
}

/// The first step of a rotation that is refused.
fn make_begun(world: &World, rotation: &Rotation) -> String {
    begin(world, rotation);
    make(world, rotation).unwrap().unwrap_err().to_string()
}
