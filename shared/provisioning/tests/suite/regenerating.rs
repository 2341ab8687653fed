//! `Regenerate`: a new token makes new keys, and the way back from it brings the old ones back.

use std::collections::BTreeMap;

use key_material::Curve;
use provisioning::ports::PREVIOUS;
use provisioning::store::Store;
use provisioning::version_label::KeyDigest;
use provisioning::{OperationKind, ProvisionError};

use crate::deaths::at_every_call;
use crate::fixtures::{
    Declared, KEY, OTHER_KEY, OWNER, assert_gone_by_rule, assert_in_service, current, delete, in_service,
    operation, own_labels, pinned, record, roster, secret, update, value_of,
};
use crate::world::{Effect, World};

const RENEWED: [&str; 3] = ["p2p-key", "api-key/default", "management-key"];

/// An Update with another token, and what else it changes.
#[derive(Clone)]
struct Change {
    what: &'static str,
    old: Declared,
    new: Declared,
}

fn with_token(declared: &Declared, token: &str) -> Declared {
    declared.clone().with("Regenerate", token)
}

fn changes() -> Vec<Change> {
    let one = Declared::nodes(&[0]);
    let change = |what, old: &Declared, new: Declared| Change { what, old: old.clone(), new };
    let token = with_token(&one, "1");
    vec![
        change("a first token", &one, token.clone()),
        change("another token", &token, with_token(&one, "2")),
        change("a token taken away", &token, one.clone()),
        change(
            "a node added, one removed",
            &one.clone().with_nodes(&[0, 1]),
            token.clone().with_nodes(&[0, 2]),
        ),
        change("an application added", &one, token.clone().with("Applications", vec!["default", "x"])),
        change(
            "a curve and an origin",
            &one,
            token.clone().with("P2pCurve", "secp256k1").with("KeyOrigin", "Kms"),
        ),
        change("a protection", &one, token.clone().with("Protection", "Service")),
        change("a key", &one, token.with("KmsKeyArn", OTHER_KEY)),
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

/// What a rollback has to bring back: what every secret hands out, the key it is encrypted with, every
/// record but its serial number, and the roster's digest.
fn to_bring_back(world: &World, declared: &Declared) -> (BTreeMap<String, String>, Vec<String>, String) {
    let spec = declared.spec();
    let secrets = spec.slots().into_iter().map(|slot| {
        let purpose = slot.purpose.to_string();
        let secret = secret(world, slot.index.get(), &purpose);
        let held = value_of(&secret, current(&secret));
        (
            format!("{} {purpose}", slot.index),
            format!("{} {} {held} {}", secret.arn, current(&secret), secret.key),
        )
    });
    let records = spec.nodes.iter().map(|node| {
        let mut record = record(world, node.get());
        record.serial = 0;
        serde_json::to_string(&record).unwrap()
    });
    (secrets.collect(), records.collect(), roster(world).0.sha256)
}

#[test]
fn a_new_token_makes_new_keys_and_leaves_the_password() {
    let old = Declared::nodes(&[0, 1]);
    let new = with_token(&old, "2026-01");
    let world = in_service(&old);
    let (before, kept) = (world.stored(), record(&world, 0));
    let outcome = update(&world, &old, &new, "update-1").unwrap().unwrap();
    assert_in_service(&world, &new);
    let after = record(&world, 0);
    assert_eq!((after.version, after.serial, after.generation.as_str()), (2, kept.serial + 1, "update-1"));
    assert_ne!(after.public_key, kept.public_key);
    assert_ne!(after.api_keys, kept.api_keys);
    assert_ne!(after.management_keys, kept.management_keys);
    assert_eq!(after.share_version_id, kept.share_version_id);
    for (name, before) in &before.secrets {
        let after = &world.stored().secrets[name];
        if name.ends_with("/share-encryption-password") {
            assert_eq!(after, before);
            continue;
        }
        // The version before is held, and known by a label of its own.
        assert_eq!((&after.versions[0], after.versions.len()), (&before.versions[0], 2), "{name}");
        assert_eq!(after.labels[PREVIOUS], before.versions[0].0);
        let labels = own_labels(after);
        let (old, new) = (&labels[before.versions[0].0.as_str()], &labels[current(after)]);
        assert_eq!((old.number, old.generation.as_str()), (1, "create-1"));
        assert_eq!((new.number, new.generation.as_str()), (2, "update-1"));
        assert_eq!(old.public_base64(), before.tags["keyboot:public"]);
    }
    // The same again, and the same answer.
    world.revive();
    for request in ["update-1", "update-2"] {
        assert_eq!(update(&world, &old, &new, request).unwrap().unwrap(), outcome);
        assert!(world.calls().iter().all(|call| call.effect == Effect::Reads), "{:?}", world.writes());
    }
}

#[test]
fn an_update_with_another_token_that_ended_anywhere_is_completed_by_its_retry() {
    for change in changes() {
        let start = in_service(&change.old);
        let (points, shown) = at_every_call(
            &start,
            |world| change.carry_out(world),
            |world, point| {
                let point = format!("{}, {point}", change.what);
                let before = world.stored();
                assert!(change.carry_out(world), "{point}");
                assert_in_service(world, &change.new);
                // One version for one request, whatever was put before counts.
                for (name, secret) in &world.stored().secrets {
                    let was = before.secrets.get(name).map_or(0, |secret| secret.versions.len());
                    assert!(secret.versions.len() <= 2, "{point}: {name}");
                    assert!(was < 2 || secret.versions == before.secrets[name].versions, "{point}: {name}");
                }
                world.revive();
                assert!(change.carry_out(world), "{point}");
                assert_eq!(world.writes(), [""; 0], "{point}: the third delivery");
            },
        );
        assert!(points > 30 && shown > 10, "{}: {points}, {shown}", change.what);
    }
}

#[test]
fn an_update_with_another_token_that_ended_anywhere_is_rolled_back_to_what_was_before() {
    for change in changes() {
        let start = in_service(&change.old);
        let before = to_bring_back(&start, &change.old);
        let check = |world: &World, point: &str| {
            let point = format!("{}, {point}", change.what);
            assert!(change.roll_back(world), "{point}");
            assert_in_service(world, &change.old);
            assert_eq!(to_bring_back(world, &change.old), before, "{point}");
            world.revive();
            assert!(change.roll_back(world), "{point}");
            assert_eq!(world.writes(), [""; 0], "{point}: the second rollback");
        };
        at_every_call(&start, |world| change.carry_out(world), check);
        let after_the_mark = start.copy();
        assert!(change.carry_out(&after_the_mark));
        check(&after_the_mark, "after it was done");
        // And forward again: the token's versions are held.
        update(&after_the_mark, &change.old, &change.new, "update-2").unwrap().unwrap();
        assert_in_service(&after_the_mark, &change.new);
        assert_eq!(record(&after_the_mark, 0).generation.as_str(), "update-1", "{}", change.what);
        delete(&after_the_mark, &change.new, "delete-1").unwrap().unwrap();
        assert_gone_by_rule(&after_the_mark, change.what);
    }
}

#[test]
fn a_rollback_that_ended_anywhere_is_completed_by_its_retry() {
    for change in changes() {
        let service = in_service(&change.old);
        let before = to_bring_back(&service, &change.old);
        let calm = service.copy();
        assert!(change.carry_out(&calm));
        let is_last = |verb: &str| calm.calls().iter().rposition(|call| call.verb == verb).unwrap();
        // After the versions, between records and what is handed out, and after the mark.
        for ended_at in [is_last("put_version"), is_last("make_current") - 1, calm.calls().len() - 1] {
            let start = service.copy();
            start.plan(ended_at, crate::world::Mishap::DiesAfter);
            assert!(!change.carry_out(&start));
            start.revive();
            at_every_call(
                &start,
                |world| change.roll_back(world),
                |world, point| {
                    assert!(change.roll_back(world), "{point}");
                    assert_in_service(world, &change.old);
                    assert_eq!(to_bring_back(world, &change.old), before, "{}, {point}", change.what);
                },
            );
        }
    }
}

#[test]
fn the_same_update_twice_at_once_makes_one_version_and_answers_the_same() {
    for change in changes() {
        let service = in_service(&change.old);
        for seed in 1..12 {
            let world = service.copy();
            world.take_turns(seed);
            world.show("UPDATE_IN_PROGRESS", Some(OWNER));
            let (update, spec, before, pinned) = (
                operation(OperationKind::Update, "update-1"),
                change.new.spec(),
                change.old.lenient(),
                pinned(),
            );
            let once = || provisioning::reconcile(&world, &pinned, &update, &spec, Some(&before));
            let (a, b) = world.drive(futures_util::future::join(once(), once())).unwrap();
            let (a, b) = (a.unwrap(), b.unwrap());
            assert_eq!((a.nodes, a.roster_sha256), (b.nodes, b.roster_sha256), "{} {seed}", change.what);
            assert_in_service(&world, &change.new);
            assert!(world.stored().secrets.values().all(|secret| secret.versions.len() <= 2));
        }
    }
}

#[test]
fn a_regeneration_that_its_rollback_overtook_is_put_right() {
    for change in changes() {
        let service = in_service(&change.old);
        let before = to_bring_back(&service, &change.old);
        let calm = service.copy();
        assert!(change.carry_out(&calm));
        for pause_at in 0..calm.calls().len() {
            let world = service.copy();
            world.show("UPDATE_IN_PROGRESS", Some(OWNER));
            let (spec, old, pinned) = (change.new.spec(), change.old.lenient(), pinned());
            let first = operation(OperationKind::Update, "update-1");
            let mut first =
                std::pin::pin!(provisioning::reconcile(&world, &pinned, &first, &spec, Some(&old)));
            world.pause_at(pause_at);
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(first.as_mut().poll(&mut context).is_pending(), "{pause_at}");
            world.go_on();
            assert!(change.roll_back(&world));
            if world.drive(first).unwrap().is_err() {
                world.stored.borrow_mut().documents.retain(|name, _| !name.contains("/node/2/"));
            }
            update(&world, &change.old, &change.old, "update-2").unwrap().unwrap();
            assert_in_service(&world, &change.old);
            assert_eq!(to_bring_back(&world, &change.old), before, "{}, {pause_at}", change.what);
        }
    }
}

#[test]
fn a_late_duplicate_of_an_older_update_turns_nothing_back() {
    let old = Declared::nodes(&[0]);
    let [first, second] = ["1", "2"].map(|token| with_token(&old, token));
    let world = in_service(&old);
    update(&world, &old, &first, "update-1").unwrap().unwrap();
    update(&world, &first, &second, "update-2").unwrap().unwrap();
    assert_in_service(&world, &second);
    let before = world.stored();
    world.revive();
    assert!(matches!(update(&world, &old, &first, "update-1"), Some(Err(ProvisionError::NotInProgress(_)))));
    assert_eq!(world.writes(), [""; 0]);
    assert_eq!(world.stored(), before);
}

#[test]
fn many_tokens_in_a_row_hold_two_versions_and_the_one_before_can_come_back() {
    let nodes = Declared::nodes(&[0]);
    let world = in_service(&nodes);
    let mut last = nodes.clone();
    for number in 2..32_u64 {
        let next = with_token(&nodes, &number.to_string());
        update(&world, &last, &next, &format!("update-{number}")).unwrap().unwrap();
        assert_in_service(&world, &next);
        assert_eq!(record(&world, 0).version, number);
        for purpose in RENEWED {
            assert_eq!(own_labels(&secret(&world, 0, purpose)).len(), 2);
        }
        last = next;
    }
    let before = with_token(&nodes, "30");
    update(&world, &last, &before, "update-a").unwrap().unwrap();
    assert_in_service(&world, &before);
    assert_eq!((record(&world, 0).version, record(&world, 0).generation.as_str()), (30, "update-30"));
    // One that is held no more is a new one.
    let long_ago = with_token(&nodes, "4");
    update(&world, &before, &long_ago, "update-b").unwrap().unwrap();
    assert_in_service(&world, &long_ago);
    assert_eq!((record(&world, 0).version, record(&world, 0).generation.as_str()), (32, "update-b"));
}

#[test]
fn a_node_that_comes_back_after_a_regeneration_gets_new_keys_and_its_password_back() {
    let two = Declared::nodes(&[0, 1]);
    let one = Declared::nodes(&[0]);
    let world = in_service(&two);
    let (password, before) = (secret(&world, 1, "share-encryption-password"), record(&world, 1));
    update(&world, &two, &one, "update-1").unwrap().unwrap();
    update(&world, &one, &with_token(&one, "1"), "update-2").unwrap().unwrap();
    update(&world, &with_token(&one, "1"), &with_token(&two, "1"), "update-3").unwrap().unwrap();
    assert_in_service(&world, &with_token(&two, "1"));
    assert_ne!(record(&world, 1).public_key, before.public_key);
    assert_eq!(record(&world, 1).version, 2);
    assert_eq!(secret(&world, 1, "share-encryption-password"), password);
}

#[test]
fn what_asks_for_new_keys_is_refused_with_a_token_that_is_in_use() {
    for (property, value) in [("P2pCurve", "P-384"), ("Protection", "Service"), ("KeyOrigin", "Kms")] {
        let plain = Declared::nodes(&[0]);
        for old in [plain.clone(), with_token(&plain, "1")] {
            let world = in_service(&old);
            // As well where the keys are further versions.
            if old.0.contains_key("Regenerate") {
                update(&world, &old, &plain, "update-0").unwrap().unwrap();
                update(&world, &plain, &old, "update-1").unwrap().unwrap();
            }
            let before = world.stored();
            world.revive();
            let new = old.clone().with(property, value);
            let refused = update(&world, &old, &new, "update-2").unwrap();
            let Err(ProvisionError::Property(fault)) = &refused else { panic!("{refused:?}") };
            assert_eq!(fault.property, property);
            assert!(fault.allowed.contains("Regenerate"), "{fault}");
            assert!(world.calls().iter().all(|call| call.effect == Effect::Reads));
            assert_eq!(world.stored(), before);
            update(&world, &old, &with_token(&new, "2"), "update-3").unwrap().unwrap();
            assert_in_service(&world, &with_token(&new, "2"));
        }
    }
}

#[test]
fn a_token_whose_keys_are_of_another_kind_makes_new_ones() {
    let old = Declared::nodes(&[0]);
    let world = in_service(&old);
    let (p256, p384) = (with_token(&old, "1"), with_token(&old, "1").with("P2pCurve", "P-384"));
    update(&world, &old, &p256, "update-1").unwrap().unwrap();
    update(&world, &p256, &old, "rollback-1").unwrap().unwrap();
    update(&world, &old, &p384, "update-2").unwrap().unwrap();
    assert_in_service(&world, &p384);
    assert_eq!((record(&world, 0).curve, record(&world, 0).version), (Curve::P384, 3));
}

#[test]
fn passwords_stay_as_they_were_made_and_it_is_said() {
    let old = Declared::nodes(&[0]);
    let new = with_token(&old, "1").with("Protection", "Service");
    let world = in_service(&old);
    let before = secret(&world, 0, "share-encryption-password");
    for request in ["update-1", "update-2"] {
        let outcome = update(&world, &old, &new, request).unwrap().unwrap();
        assert!(
            outcome.told.iter().any(|line| line.contains("password") && line.contains("Envelope")),
            "{:?}",
            outcome.told
        );
    }
    assert_eq!(secret(&world, 0, "share-encryption-password"), before);
    assert!(value_of(&secret(&world, 0, "p2p-key"), &record(&world, 0).version_id).contains("\"pkcs8\""));
}

#[test]
fn another_encryption_key_holds_for_what_is_made_anew_and_what_needs_the_old_one_is_named() {
    let old = Declared::nodes(&[0]);
    let new = with_token(&old, "1").with("KmsKeyArn", OTHER_KEY);
    let world = in_service(&old);
    let told = |outcome: provisioning::Outcome| outcome.told.join("\n");
    let said = told(update(&world, &old, &new, "update-1").unwrap().unwrap());
    assert_in_service(&world, &new);
    for purpose in RENEWED {
        let secret = secret(&world, 0, purpose);
        if secret.store == Store::SecretsManager {
            assert_eq!(secret.key, OTHER_KEY, "{purpose}");
        }
        assert_eq!(own_labels(&secret)[current(&secret)].key, KeyDigest::of(OTHER_KEY), "{purpose}");
    }
    let sealed = value_of(&secret(&world, 0, "p2p-key"), &record(&world, 0).version_id).to_owned();
    assert!(sealed.contains(OTHER_KEY) && !sealed.contains(KEY));
    // The password was sealed with the old key, and will never be sealed again.
    assert!(said.contains("password") && said.contains(KEY) && !said.contains("regenerated"), "{said}");
    assert_eq!(secret(&world, 0, "share-encryption-password").key, KEY);
    // Back to the token alone: those keys were encrypted with the old key.
    let back = old.clone().with("KmsKeyArn", OTHER_KEY);
    let said = told(update(&world, &new, &back, "update-2").unwrap().unwrap());
    assert_in_service(&world, &back);
    // Which one that was is not told by a secret whose versions share one.
    let of_the_first =
        if crate::STORE == Store::SecretsManager { "the key that they were made under" } else { KEY };
    assert!(said.contains(&format!("made before still need {of_the_first}")), "{said}");
}

#[test]
fn a_pair_of_kms_that_is_not_what_was_asked_for_is_not_taken() {
    let old = Declared::nodes(&[0]);
    let new = with_token(&old, "1").with("KeyOrigin", "Kms");
    let world = in_service(&old);
    world.other_curve.set(Some(Curve::P384));
    let refused = update(&world, &old, &new, "update-1").unwrap().unwrap_err();
    assert!(refused.to_string().contains("not on P-256"), "{refused}");
    let is_of_the_pair = |write: &String| write.starts_with("put_version") && write.contains("p2p-key");
    assert!(!world.writes().iter().any(is_of_the_pair), "{:?}", world.writes());
    assert!(!world.writes().iter().any(|write| write.contains("/record")), "{:?}", world.writes());
    world.other_curve.set(None);
    update(&world, &old, &new, "update-1").unwrap().unwrap();
    assert_in_service(&world, &new);
    let held = own_labels(&secret(&world, 0, "p2p-key")).remove(record(&world, 0).version_id.as_str());
    assert_eq!(held.unwrap().form.origin, provisioning::sealing::KeyOrigin::Kms);
    // Nothing that this process has seen opens it.
    let pem = crate::fixtures::open(value_of(&secret(&world, 0, "p2p-key"), &record(&world, 0).version_id));
    assert!(!world.plaintexts.borrow().contains(&pem));
}

#[test]
fn what_is_done_to_versions_is_written_down() {
    let old = Declared::nodes(&[0]);
    let new = with_token(&old, "1").with("KmsKeyArn", OTHER_KEY);
    let world = in_service(&old);
    world.events.borrow_mut().clear();
    update(&world, &old, &new, "update-1").unwrap().unwrap();
    update(&world, &new, &with_token(&new, "2"), "update-2").unwrap().unwrap();
    let events = world.events.borrow();
    // Where versions are counted, each is under a key of its own and describes itself.
    let of_labels = if crate::STORE == Store::SecretsManager { 3 } else { 0 };
    for (action, times) in
        [("renewed", 6), ("made-current", 6), ("rekeyed", of_labels), ("released", of_labels)]
    {
        let found = events.iter().filter(|event| event.contains(&format!("\"action\":\"{action}\"")));
        let found: Vec<_> = found.collect();
        assert_eq!(found.len(), times, "{action}");
        assert!(found.iter().all(|event| event.contains("\"purpose\":")), "{found:?}");
    }
}
