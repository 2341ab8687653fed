//! What nobody may read in a log.

use rotation::{CURRENT, PENDING, RotationEvent, SecretVersions};
use serde_json::json;

use crate::support::{OLD, OTHER, Recorder, VERSION, described, json_event};

/// Without a part that stands in anything else here.
const CANARY: &str = "c4ca4238zQ7xKw0b92382";

/// How much of it is a part of it.
const PART: usize = 4;

/// Asserts that no part of the canary is in a text.
pub(crate) fn assert_silent(text: &str) {
    for from in 0..=CANARY.len() - PART {
        let part = &CANARY[from..from + PART];
        assert!(!text.contains(part), "{part} in {text}");
    }
}

#[test]
#[should_panic(expected = "8zQ7 in x8zQ7x")]
fn a_part_would_be_found() {
    assert_silent("x8zQ7x");
}

#[test]
fn the_token_is_in_nothing_that_holds_it() {
    for step in ["createSecret", "setSecret", "testSecret", "finishSecret"] {
        let mut event = json_event(step, VERSION);
        event["RotationToken"] = json!(CANARY);
        let event = RotationEvent::parse(&event).unwrap();
        let token = event.rotation_token.as_ref().unwrap();
        assert_eq!(token.expose(), CANARY, "it is there");
        assert_eq!(format!("{token:?}"), "RotationToken { .. }");
        let shown = format!("{event:?}");
        assert!(shown.contains(VERSION) && shown.contains("RotationToken"), "{shown}");
        for text in [shown, format!("{event:#?}"), format!("{token:?} {token:#?}")] {
            assert_silent(&text);
        }

        let stale = [(OLD, &[CURRENT][..]), (VERSION, &[PENDING]), (OTHER, &[PENDING])];
        for described in [described(true, &stale), described(false, &stale), SecretVersions::default()] {
            for fails in [None, Some("discard"), Some("create"), Some("finish"), Some("")] {
                let mut recorder = Recorder::of(described.clone());
                recorder.fails = fails;
                match recorder.rotate(&event).0 {
                    Ok(rotated) => assert_silent(&format!("{rotated} {rotated:?} {rotated:#?}")),
                    Err(error) => assert_silent(&format!("{error} {error:?} {error:#?}")),
                }
            }
        }
    }
}

#[test]
fn no_fault_has_anything_of_the_event() {
    for name in ["Step", "SecretId", "ClientRequestToken", "RotationToken"] {
        for value in [
            json!(format!("{CANARY} ")),
            json!([CANARY]),
            json!({ CANARY: CANARY }),
            json!(CANARY.repeat(100)),
        ] {
            let mut event = json_event("createSecret", VERSION);
            event["RotationToken"] = json!(CANARY);
            event["More"] = json!(CANARY);
            event[name] = value;
            let fault = RotationEvent::parse(&event).unwrap_err();
            assert_silent(&format!("{fault} {fault:?} {fault:#?}"));
        }
    }
}
