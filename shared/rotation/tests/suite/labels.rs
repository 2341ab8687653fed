//! Every step in every state of the labels.

use rotation::{CURRENT, Done, PENDING, PREVIOUS, Refusal, RotateError, SecretVersions, Tested};

use crate::support::{Fault, OLD, OTHER, Recorder, VERSION, described, event};

const STEPS: [&str; 4] = ["createSecret", "setSecret", "testSecret", "finishSecret"];

/// What comes of an event: the calls that were made, and the end.
fn outcome(recorder: &Recorder, step: &str) -> String {
    let (end, calls) = recorder.rotate(&event(step, VERSION));
    let end = match end {
        Ok(rotated) => {
            assert_eq!((rotated.step.as_str(), rotated.version.as_str()), (step, VERSION));
            match rotated.done {
                Done::Step => "done",
                Done::AlreadyCurrent => "current",
                Done::FinishedAgain => "again",
                Done::NotOurs => "not ours",
                other => panic!("{other:?}"),
            }
        }
        Err(RotateError::Refused { refusal, step: refused, .. }) => {
            assert_eq!(refused.as_str(), step);
            match refusal {
                Refusal::RotationOff => "off",
                Refusal::UnknownVersion => "unknown",
                Refusal::NotPending => "not pending",
                other => panic!("{other:?}"),
            }
        }
        Err(RotateError::Failed { .. }) => "failed",
        Err(other) => panic!("{other}"),
    };
    let calls: Vec<&str> = calls.iter().map(String::as_str).collect();
    [&calls[..], &[end]].concat().join(", ")
}

/// The labels of the version, none being other than no version at all.
fn with(labels: Option<&[&str]>, enabled: bool) -> SecretVersions {
    let current_is_other = labels.is_none_or(|labels| !labels.contains(&CURRENT));
    let mut versions: Vec<(&str, &[&str])> = Vec::new();
    versions.push((OLD, if current_is_other { &[CURRENT] } else { &[PREVIOUS] }));
    versions.extend(labels.map(|labels| (VERSION, labels)));
    described(enabled, &versions)
}

const STATES: [Option<&[&str]>; 9] = [
    None,
    Some(&[]),
    Some(&[PENDING]),
    Some(&[CURRENT]),
    Some(&[CURRENT, PENDING]),
    Some(&[PREVIOUS]),
    Some(&[PREVIOUS, PENDING]),
    Some(&["MINE"]),
    Some(&["MINE", PENDING]),
];

#[test]
fn a_version_that_was_made_here() {
    let pending = ["create, done", "set, done", "test, done", "finish, done"];
    let current = ["current", "current", "current", "finish, again"];
    let unknown = ["unknown", "unknown", "test, unknown", "unknown"];
    let without = ["not pending", "not pending", "test, not pending", "not pending"];
    let expected = [unknown, without, pending, current, current, without, pending, without, pending];
    for (labels, expected) in STATES.into_iter().zip(expected) {
        let recorder = Recorder::of(with(labels, true));
        assert_eq!(STEPS.map(|step| outcome(&recorder, step)), expected, "{labels:?}");
    }
}

#[test]
fn a_version_that_was_not_made_here_passes_its_test_in_every_state() {
    for (labels, enabled) in STATES.into_iter().flat_map(|labels| [(labels, true), (labels, false)]) {
        let mut recorder = Recorder::of(with(labels, enabled));
        recorder.tested = Tested::NotOurs;
        let is_current = enabled && labels.is_some_and(|labels| labels.contains(&CURRENT));
        let expected = if is_current { "current" } else { "test, not ours" };
        assert_eq!(outcome(&recorder, "testSecret"), expected, "{labels:?} {enabled}");
    }
}

#[test]
fn where_rotation_is_off_nothing_is_done() {
    for labels in STATES {
        let recorder = Recorder::of(with(labels, false));
        let expected = ["off", "off", "test, off", "off"];
        assert_eq!(STEPS.map(|step| outcome(&recorder, step)), expected, "{labels:?}");
    }
}

#[test]
fn a_test_that_cannot_be_made_is_no_version_that_was_not_made_here() {
    for (labels, enabled) in STATES.into_iter().flat_map(|labels| [(labels, true), (labels, false)]) {
        let mut recorder = Recorder::of(with(labels, enabled));
        recorder.tested = Tested::NotOurs;
        recorder.fails = Some("test");
        let is_current = enabled && labels.is_some_and(|labels| labels.contains(&CURRENT));
        let expected = if is_current { "current" } else { "test, failed" };
        assert_eq!(outcome(&recorder, "testSecret"), expected, "{labels:?} {enabled}");
    }
}

#[test]
fn what_cannot_be_described_is_neither_absent_nor_touched() {
    for step in STEPS {
        let mut recorder = Recorder::of(SecretVersions::default());
        recorder.described = Err(Fault("it was throttled"));
        recorder.tested = Tested::NotOurs;
        let (end, calls) = recorder.rotate(&event(step, VERSION));
        assert!(
            matches!(end, Err(RotateError::Unreadable { why: Fault("it was throttled"), .. })),
            "{end:?}"
        );
        assert!(calls.is_empty(), "{calls:?}");

        recorder.described = Ok(None);
        let (end, calls) = recorder.rotate(&event(step, VERSION));
        assert!(matches!(end, Err(RotateError::Absent { .. })), "{end:?}");
        assert!(calls.is_empty(), "{calls:?}");
    }
}

#[test]
fn what_other_rotations_left_pending_is_discarded_before_a_version_is_made() {
    let stale = "00000000-0000-0000-0000-000000000000";
    let two =
        [(OLD, &[CURRENT][..]), (VERSION, &[PENDING]), (OTHER, &[PENDING, "MINE"]), (stale, &[PENDING])];
    let recorder = Recorder::of(described(true, &two));
    let expected = [
        &format!("discard {stale}, discard {OTHER}, create, done"),
        "set, done",
        "test, done",
        "finish, done",
    ];
    assert_eq!(STEPS.map(|step| outcome(&recorder, step)), expected);
    let (end, _) = recorder.rotate(&event("createSecret", VERSION));
    assert_eq!(end.unwrap().discarded, [stale, OTHER]);
}

#[test]
fn what_is_or_was_in_use_is_never_discarded() {
    for in_use in [&[CURRENT, PENDING][..], &[PREVIOUS, PENDING], &[CURRENT], &[PREVIOUS], &[], &["MINE"]] {
        let recorder = Recorder::of(described(true, &[(OTHER, in_use), (VERSION, &[PENDING])]));
        assert_eq!(outcome(&recorder, "createSecret"), "create, done", "{in_use:?}");
    }
}

#[test]
fn an_event_that_is_refused_discards_nothing() {
    for labels in [None, Some(&[][..]), Some(&[PREVIOUS][..]), Some(&["MINE"][..])] {
        let mut versions = with(labels, true);
        versions.versions.insert(OTHER.to_owned(), [PENDING.to_owned()].into());
        let recorder = Recorder::of(versions);
        let (end, calls) = recorder.rotate(&event("createSecret", VERSION));
        assert!(matches!(end, Err(RotateError::Refused { .. })), "{end:?}");
        assert!(calls.is_empty(), "{calls:?}");
    }
    let current = [(OTHER, &[PENDING][..]), (VERSION, &[CURRENT])];
    assert_eq!(outcome(&Recorder::of(described(true, &current)), "createSecret"), "current");
}

#[test]
fn a_version_is_not_made_while_a_stale_one_cannot_be_discarded() {
    let versions = [(OLD, &[CURRENT][..]), (VERSION, &[PENDING]), (OTHER, &[PENDING])];
    let mut recorder = Recorder::of(described(true, &versions));
    recorder.fails = Some("discard");
    let (end, calls) = recorder.rotate(&event("createSecret", VERSION));
    let Err(RotateError::NotDiscarded { stale, .. }) = end else { panic!("{end:?}") };
    assert_eq!((stale.as_str(), calls), (OTHER, vec![format!("discard {OTHER}")]));
}

#[test]
fn a_step_that_fails_has_failed() {
    for (step, call) in STEPS.into_iter().zip(["create", "set", "test", "finish"]) {
        for labels in [&[PENDING][..], &[CURRENT]] {
            let mut recorder = Recorder::of(with(Some(labels), true));
            recorder.fails = Some(call);
            let expected = match (labels[0], call) {
                (CURRENT, "create" | "set" | "test") => "current".to_owned(),
                _ => format!("{call}, failed"),
            };
            assert_eq!(outcome(&recorder, step), expected);
        }
    }
}

#[test]
fn a_label_is_that_of_its_version() {
    let versions = described(true, &[(OLD, &[CURRENT]), (VERSION, &[PENDING, "MINE"])]);
    assert_eq!([CURRENT, PENDING, PREVIOUS], ["AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"]);
    assert_eq!(versions.staged(CURRENT), Some(OLD));
    assert_eq!(versions.staged(PENDING), Some(VERSION));
    assert_eq!(versions.staged(PREVIOUS), None);
    assert!(versions.is_staged(VERSION, "MINE") && !versions.is_staged(OLD, "MINE"));
    assert!(!versions.is_staged(OTHER, CURRENT));
}
