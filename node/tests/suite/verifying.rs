//! `verify`: one fault at a time is planted, found by its check, and by no other.

use std::collections::BTreeSet;

use aws::auditing::DriftedResource;
use keyboot_node::state::State;
use keyboot_node::verify::{Report, Row, Verdict, to_json, to_text};
use provisioning::ownership::{CLUSTER_TAG, NODE_TAG, OWNER_TAG, PURPOSE_TAG};
use provisioning::ports::{CURRENT, RotationSchedule, StoredReaders};
use provisioning::principals::Readers;
use provisioning::record::{KeyState, NodeRecord};
use provisioning::roster::NamedOwner;
use provisioning::store::Store;
use reading::Seen;
use tempfile::TempDir;

use crate::world::{
    FUNCTION, KEY, MONTHLY, OWNER, PURPOSES, SIGNER, World, accepted, audit, cluster, config, label, node,
    now, record, report, rotated, secret, sign, verifying_key, versions,
};

/// What an auditor finds who has seen nothing before.
fn found(world: &World) -> Report {
    let folder = TempDir::new().unwrap();
    report(world, &config(folder.path(), "", &audit()))
}

/// Checks and subjects with a verdict.
fn with(report: &Report, verdict: Verdict) -> Vec<(&str, &str)> {
    let rows = report.rows.iter().filter(|row| row.verdict == verdict);
    rows.map(|row| (row.check.name(), row.subject.as_str())).collect()
}

fn row<'a>(report: &'a Report, check: &str, subject: &str) -> &'a Row {
    let mut rows = report.rows.iter().filter(|row| row.check.name() == check && row.subject == subject);
    let row = rows.next().unwrap_or_else(|| panic!("no {check} of {subject}"));
    assert_eq!(rows.next(), None, "two rows of {check} of {subject}");
    row
}

/// Plants something, and gives what is said of it after nothing else was found to be wrong.
fn planted(plant: impl FnOnce(&mut World), check: &str, subject: &str) -> String {
    let mut world = World::new();
    plant(&mut world);
    let report = found(&world);
    assert_eq!(with(&report, Verdict::Fault), [(check, subject)], "{}", to_text(&report));
    assert_eq!(with(&report, Verdict::Unknown), [], "{}", to_text(&report));
    assert!(!report.is_without_fault());
    row(&report, check, subject).explanation.clone()
}

fn says(explanation: &str, words: &[&str]) {
    for word in words {
        assert!(explanation.contains(word), "no {word:?} in {explanation:?}");
    }
}

#[test]
fn nothing_is_wrong_with_a_cluster_as_it_was_made() {
    let report = found(&World::new());
    assert!(report.is_without_fault());
    assert_eq!(with(&report, Verdict::Unknown), []);
    // The roster, and for each node its record, its entry and seven checks of each secret; and drift.
    assert_eq!(report.rows.len(), 1 + 3 * (2 + 7 * PURPOSES.len()) + 1);
    assert_eq!(report.count(Verdict::Ok), report.rows.len());
}

const RECORD_1: &str = "/keyboot/tsm/node/1/record";
const ROSTER: &str = "/keyboot/tsm/roster/index";

#[test]
fn a_record_that_is_not_believed_is_a_fault_and_the_others_are_checked() {
    let refused = [
        ("does not fit", sign(&record(1), SIGNER, 2)),
        ("not pinned", sign(&record(1), "arn:aws:kms:us-east-1:111122223333:key/other", 2)),
        ("of node 2", sign(&record(2), SIGNER, 1)),
        ("malformed", serde_json::to_string(&record(1)).unwrap()),
    ];
    for (why, text) in refused {
        let plant = |world: &mut World| drop(world.documents.insert(RECORD_1.into(), text));
        says(&planted(plant, "record", RECORD_1), &[why]);
    }
    let plant = |world: &mut World| drop(world.documents.remove(RECORD_1));
    says(&planted(plant, "record", RECORD_1), &["does not exist"]);
}

#[test]
fn a_record_and_a_roster_that_are_older_than_what_was_seen_are_faults() {
    let folder = TempDir::new().unwrap();
    let config = config(folder.path(), "", &audit());
    let mut seen = Seen::default();
    seen.note_record(&cluster(), node(1), 4);
    State::below(&config.state).keep(&seen).unwrap();
    let world = World::new();
    let older = report(&world, &config);
    assert_eq!(with(&older, Verdict::Fault), [("record", RECORD_1)]);
    says(&row(&older, "record", RECORD_1).explanation, &["older", "serial 3", "serial 4"]);
    seen.note_roster(&cluster(), 6);
    State::below(&config.state).keep(&seen).unwrap();
    let older = report(&world, &config);
    assert_eq!(with(&older, Verdict::Fault), [("roster", ROSTER)]);
    // An auditor keeps nothing.
    assert_eq!(State::below(&config.state).load().unwrap(), seen);
}

#[test]
fn a_roster_that_is_not_believed_is_a_fault_and_drift_is_looked_for_all_the_same() {
    let changed = |why: &'static str, change: fn(&mut World)| (why, change);
    for (why, change) in [
        changed("does not fit", |world| {
            world.documents.insert(ROSTER.into(), sign(&world.index, SIGNER, 2));
        }),
        changed("its digest is not that of its pages", |world| {
            let page = cluster().roster_page_parameter(5, 0).to_string();
            let text = world.documents[&page].replacen("\"version\":1", "\"version\":2", 1);
            world.documents.insert(page, text);
        }),
        changed("does not exist", |world| drop(world.documents.remove(ROSTER))),
    ] {
        let mut world = World::new();
        change(&mut world);
        let report = found(&world);
        assert_eq!(with(&report, Verdict::Fault), [("roster", ROSTER)], "{why}");
        says(&row(&report, "roster", ROSTER).explanation, &[why]);
        assert_eq!(with(&report, Verdict::Unknown), [("secret-present", "keyboot/tsm")]);
        assert_eq!(with(&report, Verdict::Ok), [("drift", "kms")]);
    }
}

#[test]
fn a_roster_that_lists_a_later_key_tells_that_the_record_is_older() {
    let second = rotated(1, "2026-01-01T00:00:00Z").at(now());
    let older = |world: &mut World| world.list(&[record(0), second.clone(), record(2)]);
    says(&planted(older, "roster-entry", RECORD_1), &["number 2", "number 1", "older"]);
    let other = NodeRecord { version: 1, ..second.clone() };
    let other = |world: &mut World| world.list(&[record(0), other, record(2)]);
    says(&planted(other, "roster-entry", RECORD_1), &["as P2P key number 1", "sha256:"]);
}

#[test]
fn a_rotation_since_the_roster_was_written_is_no_fault() {
    for (counts_from, said) in [
        // It counts, and nothing has written the record since.
        ("2026-01-31T23:59:59Z", "it was rotated since"),
        ("2026-02-01T00:00:01Z", "the same P2P key, number 1"),
    ] {
        let mut world = World::new();
        world.publish(&rotated(1, counts_from));
        world.facts(1, "p2p-key").versions = versions(&[("v1", &[]), ("v2", &[CURRENT, &label(2)])]);
        let report = found(&world);
        assert_eq!(report.count(Verdict::Ok), report.rows.len(), "{}", to_text(&report));
        says(&row(&report, "roster-entry", RECORD_1).explanation, &[said]);
    }
}

#[test]
fn a_secret_that_is_not_there_or_about_to_go_is_a_fault() {
    let subject = secret(2, "share-encryption-password");
    let gone = |world: &mut World| drop(world.secrets.remove(&secret(2, "share-encryption-password")));
    says(&planted(gone, "secret-present", &subject), &["no such secret"]);
    let leaving = |world: &mut World| {
        world.facts(2, "share-encryption-password").scheduled_for_deletion = true;
    };
    says(&planted(leaving, "secret-present", &subject), &["scheduled for deletion"]);
}

#[test]
fn a_policy_is_not_asked_for_in_a_recovery_window() {
    let mut world = World::new();
    world.facts(0, "p2p-key").scheduled_for_deletion = true;
    found(&world);
    let arn = world.facts(0, "p2p-key").arn.clone();
    assert_eq!(world.asked.borrow().len(), 3 * PURPOSES.len() - 1);
    assert!(!world.asked.borrow().contains(&arn));
}

#[test]
fn a_secret_with_tags_of_another_owner_is_a_fault() {
    for (tag, other) in [
        (OWNER_TAG, Some("keyboot/keyboot/tsm/fedcba9876543210")),
        (CLUSTER_TAG, Some("keyboot/other")),
        (NODE_TAG, Some("2")),
        (PURPOSE_TAG, None),
    ] {
        let plant = |world: &mut World| {
            let tags = &mut world.facts(1, "api-key/default").tags;
            tags.remove(tag);
            tags.extend(other.map(|value| (tag.to_owned(), value.to_owned())));
        };
        let said = planted(plant, "secret-owner", &secret(1, "api-key/default"));
        says(&said, &[tag, other.unwrap_or("missing")]);
    }
}

#[test]
fn a_version_that_counts_and_is_not_held_is_a_fault() {
    let plant = |world: &mut World| {
        world.publish(&rotated(1, "2026-02-01T00:00:01Z"));
        world.facts(1, "p2p-key").versions = versions(&[("v2", &[CURRENT, &label(2)])]);
    };
    says(&planted(plant, "secret-version", &secret(1, "p2p-key")), &["does not hold v1,"]);
    let plant = |world: &mut World| {
        let mut record = record(1);
        record.management_keys[0].version_id = Some("v2".into());
        record.management_keys.push(accepted("older", "v1"));
        record.management_keys[1].state = KeyState::Retiring;
        record.management_keys[1].until = Some("2026-02-02T00:00:00Z".parse().unwrap());
        world.publish(&record);
    };
    says(&planted(plant, "secret-version", &secret(1, "management-key")), &["does not hold v2,"]);
}

#[test]
fn a_key_that_is_announced_need_not_be_there_and_one_that_retires_neither() {
    let mut world = World::new();
    let mut record = record(1);
    let keys = record.api_keys.get_mut(&"default".parse().unwrap()).unwrap();
    for (version, state) in [("v0", KeyState::Retiring), ("v2", KeyState::Candidate)] {
        keys.push(accepted(version, version));
        keys.last_mut().unwrap().state = state;
    }
    world.publish(&record);
    let report = found(&world);
    assert_eq!(report.count(Verdict::Ok), report.rows.len(), "{}", to_text(&report));
}

#[test]
fn a_version_that_is_handed_out_and_not_named_is_a_fault() {
    let subject = secret(1, "management-key");
    let handed_out = |labels: Vec<String>| {
        move |world: &mut World| {
            let labels: Vec<&str> = labels.iter().map(String::as_str).chain([CURRENT]).collect();
            world.facts(1, "management-key").versions = versions(&[("v1", &[]), ("v2", &labels)]);
        }
    };
    let newer = planted(handed_out(vec![label(2)]), "secret-current", &subject);
    says(&newer, &["v2", "newer", "put an older record back"]);
    let foreign = planted(handed_out(vec![]), "secret-current", &subject);
    says(&foreign, &["v2", "keyboot has not handed it out"]);
    let none = |world: &mut World| world.facts(1, "management-key").versions = versions(&[("v1", &[])]);
    says(&planted(none, "secret-current", &subject), &["no version of it is AWSCURRENT"]);
}

#[test]
fn a_key_that_is_accepted_no_more_and_handed_out_again_is_a_fault() {
    let subject = secret(1, "management-key");
    let moved_back = |until: &'static str| {
        move |world: &mut World| {
            let mut record = record(1);
            record.management_keys.insert(0, accepted("second", "v2"));
            record.management_keys[1].state = KeyState::Retiring;
            record.management_keys[1].until = Some(until.parse().unwrap());
            world.publish(&record);
            world.facts(1, "management-key").versions = versions(&[("v1", &[CURRENT]), ("v2", &[&label(2)])]);
        }
    };
    let said = planted(moved_back("2026-01-31T00:00:00Z"), "secret-current", &subject);
    says(&said, &["v1", "no more since 2026-01-31T00:00:00Z"]);
    let mut world = World::new();
    moved_back("2026-02-02T00:00:00Z")(&mut world);
    let report = found(&world);
    assert!(report.is_without_fault());
    says(&row(&report, "secret-current", &subject).explanation, &["until 2026-02-02T00:00:00Z"]);
}

#[test]
fn a_secret_under_another_key_is_a_fault() {
    let subject = secret(0, "p2p-key");
    let other = |world: &mut World| world.facts(0, "p2p-key").key = Some("arn:other".into());
    says(&planted(other, "secret-key", &subject), &["arn:other", KEY]);
    let none = |world: &mut World| world.facts(0, "p2p-key").key = None;
    says(&planted(none, "secret-key", &subject), &["the account's own key"]);
    // Secrets Manager may tell the key by its id.
    let mut world = World::new();
    world.facts(0, "p2p-key").key = Some("secrets".into());
    assert!(found(&world).is_without_fault());
}

#[test]
fn who_reads_is_told_by_name_and_a_policy_of_another_form_is_a_fault() {
    let (admitted, other) = (secret(0, "p2p-key"), secret(1, "p2p-key"));
    let mut world = World::new();
    let role = "arn:aws:iam::444455556666:role/node-0";
    let readers =
        Readers { roles: [role.parse().unwrap()].into(), accounts: ["777788889999".to_owned()].into() };
    let arns = [world.facts(0, "p2p-key").arn.clone(), world.facts(1, "p2p-key").arn.clone()];
    world.readers.insert(arns[0].clone(), StoredReaders::Admitted(readers));
    let report = found(&world);
    assert!(report.is_without_fault());
    says(&row(&report, "secret-readers", &admitted).explanation, &[role, "777788889999", "nobody else"]);
    says(&row(&report, "secret-readers", &other).explanation, &["the account's own policies decide"]);
    let plant = |world: &mut World| drop(world.readers.insert(arns[1].clone(), StoredReaders::Otherwise));
    says(&planted(plant, "secret-readers", &other), &["not one that keyboot writes"]);
}

#[test]
fn a_schedule_other_than_the_signed_one_is_a_fault() {
    let subject = secret(0, "api-key/default");
    let schedule = |function: &str, every: &str| {
        Some(RotationSchedule { function: function.to_owned(), every: every.to_owned() })
    };
    for (rotation, words) in [
        (schedule(FUNCTION, "rate(999 days)"), ["rate(999 days)", MONTHLY]),
        (schedule("arn:other", MONTHLY), ["by arn:other", FUNCTION]),
        (None, ["not rotated", MONTHLY]),
    ] {
        let plant = |world: &mut World| world.facts(0, "api-key/default").rotation = rotation;
        says(&planted(plant, "secret-rotation", &subject), &words);
    }
    let never = secret(0, "share-encryption-password");
    let plant = |world: &mut World| {
        world.facts(0, "share-encryption-password").rotation = schedule(FUNCTION, MONTHLY);
    };
    says(&planted(plant, "secret-rotation", &never), &["the roster says that it is not"]);
}

#[test]
fn what_was_taken_over_keeps_its_schedule_until_that_is_confirmed() {
    let mut world = World::new();
    world.index.adopted_from =
        Some(NamedOwner { owner: OWNER.into(), resource: "Keys".into(), stack: "arn:old".into() });
    world.sign_index();
    world.facts(0, "p2p-key").rotation = None;
    let report = found(&world);
    assert_eq!(with(&report, Verdict::Fault), []);
    assert_eq!(with(&report, Verdict::Unknown), [("secret-rotation", secret(0, "p2p-key").as_str())]);
}

#[test]
fn a_stack_that_has_drifted_is_a_fault_that_names_its_resources() {
    let drifted = |properties: &[&str]| DriftedResource {
        name: "SecretsKey".into(),
        kind: "AWS::KMS::Key".into(),
        properties: properties.iter().map(|path| (*path).to_owned()).collect(),
    };
    let plant =
        |world: &mut World| world.drift.drifted = vec![drifted(&["/KeyPolicy/Statement/0"]), drifted(&[])];
    let said = planted(plant, "drift", "kms");
    says(&said, &["SecretsKey (AWS::KMS::Key)", "/KeyPolicy/Statement/0", "was deleted"]);
    let mut world = World::new();
    world.drift.incomplete = Some("no permission for lambda:GetFunction".into());
    let report = found(&world);
    assert_eq!(with(&report, Verdict::Unknown), [("drift", "kms")]);
    says(&row(&report, "drift", "kms").explanation, &["lambda:GetFunction"]);
}

#[test]
fn what_the_role_may_not_see_is_unknown_and_the_rest_is_checked() {
    for (permission, unknown, ok) in [
        // Of a secret that cannot be described its policy is told all the same.
        ("secretsmanager:DescribeSecret", 12, 1 + 6 + 12 + 1),
        ("secretsmanager:GetResourcePolicy", 12, 1 + 6 + 12 * 6 + 1),
        ("cloudformation:DetectStackDrift", 1, 1 + 6 + 12 * 7),
        ("ssm:GetParameters", 2, 1),
    ] {
        let mut world = World::new();
        world.denied = Some(permission);
        let report = found(&world);
        assert!(report.is_without_fault());
        assert_eq!(
            (report.count(Verdict::Unknown), report.count(Verdict::Ok)),
            (unknown, ok),
            "{permission}"
        );
        let named = report.rows.iter().filter(|row| row.explanation.contains(permission)).count();
        assert!(named > 0 && named <= unknown, "{permission}: {}", to_text(&report));
    }
}

#[test]
fn what_is_not_configured_is_not_asked_for() {
    let folder = TempDir::new().unwrap();
    let world = World::new();
    let report = report(&world, &config(folder.path(), "", ""));
    assert_eq!(world.asked.borrow().len(), 0);
    assert!(report.is_without_fault());
    says(&row(&report, "drift", "(no stack)").explanation, &["not asked for", "`[audit]`"]);
    says(&row(&report, "secret-readers", &secret(0, "p2p-key")).explanation, &["NodeKeysRoleArn"]);
    says(&row(&report, "secret-rotation", &secret(0, "p2p-key")).explanation, &["KeyRotationFunctionArn"]);
    // Nine of the twelve secrets are rotated.
    assert_eq!(report.count(Verdict::Unknown), 1 + 12 + 9);
}

#[test]
fn without_a_roster_records_and_secrets_are_checked_and_the_rest_is_compared_with_nothing() {
    let folder = TempDir::new().unwrap();
    let mut world = World::new();
    world.documents.remove(ROSTER);
    let report = report(&world, &config(folder.path(), "nodes = [0, 1, 2]", &audit()));
    assert!(report.is_without_fault());
    let unknown: BTreeSet<_> = with(&report, Verdict::Unknown).into_iter().map(|(check, _)| check).collect();
    assert_eq!(unknown, BTreeSet::from(["roster", "secret-key", "secret-owner", "secret-rotation"]));
    assert_eq!(report.count(Verdict::Ok), 3 + 12 * 4 + 1);
}

#[test]
fn the_secrets_of_a_node_made_elsewhere_are_left_to_its_own_auditor() {
    let folder = TempDir::new().unwrap();
    let other = "arn:aws:kms:us-east-1:444455556666:key/records";
    let pin = format!("[[pin]]\nsigner = \"{other}\"\npublic-key = \"{}\"\n\n", verifying_key(2));
    let config = config(folder.path(), "", &(pin + &audit()));
    let imports = config.imports();
    std::fs::create_dir_all(&imports).unwrap();
    std::fs::write(imports.join("7.json"), sign(&record(7), other, 2)).unwrap();
    let report = report(&World::new(), &config);
    assert_eq!(with(&report, Verdict::Fault), []);
    assert_eq!(with(&report, Verdict::Unknown), [("secret-present", "keyboot/tsm/node/7")]);
    assert_eq!(row(&report, "record", "/keyboot/tsm/node/7/record").verdict, Verdict::Ok);
}

#[test]
fn secure_strings_are_rotated_by_schedules_of_the_template() {
    let mut world = World::new();
    world.index.store = Store::ParameterStore;
    world.sign_index();
    for facts in world.secrets.values_mut() {
        (facts.store, facts.rotation) = (Store::ParameterStore, None);
    }
    let report = found(&world);
    assert!(report.is_without_fault());
    let unknown = with(&report, Verdict::Unknown);
    assert!(unknown.len() == 9 && unknown.iter().all(|(check, _)| *check == "secret-rotation"));
}

/// A small world in which each verdict comes up.
fn of_each() -> Report {
    let mut world = World::new();
    world.list(&[record(0)]);
    let mut record = record(0);
    (record.management_keys, record.api_keys, record.share_version_id) = (Vec::new(), [].into(), None);
    world.publish(&record);
    world.facts(0, "p2p-key").rotation = None;
    world.denied = Some("cloudformation:DetectStackDrift");
    found(&world)
}

#[test]
fn the_form_of_the_json_is_this_one() {
    assert_eq!(format!("{:#}\n", to_json(&of_each())), include_str!("verify.json"));
}

#[test]
fn in_the_table_the_worst_stands_last_and_the_counts_below() {
    let text = to_text(&of_each());
    let at = |word: &str| text.find(word).unwrap_or_else(|| panic!("no {word} in {text}"));
    assert!(at("secret-readers") < at("drift") && at("drift") < at("secret-rotation"), "{text}");
    assert!(text.ends_with("keyboot/tsm: 9 ok, 1 unknown, 1 at fault\n"), "{text}");
}
