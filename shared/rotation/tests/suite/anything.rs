//! Events that are anything at all.

use proptest::collection::{hash_map, vec};
use proptest::prelude::*;
use rotation::RotationEvent;
use serde_json::{Map, Number, Value, json};

use crate::support::{SECRET_ID, VERSION, json_event};

/// What must never be said.
const NEEDLE: &str = "zQ7xKw0b92382";

/// What an event may have.
const NAMES: &[&str] = &["Step", "SecretId", "ClientRequestToken", "RotationToken", "Other"];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        Just("createSecret".to_owned()),
        Just(SECRET_ID.to_owned()),
        Just(VERSION.to_owned()),
    ]
}

/// A text around the needle.
fn secret() -> impl Strategy<Value = String> {
    (text(), any::<bool>())
        .prop_map(|(text, after)| if after { format!("{text}{NEEDLE}") } else { format!("{NEEDLE}{text}") })
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| Number::from_f64(number).map_or(Value::Null, Value::Number)),
        secret().prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::Array),
            hash_map(secret(), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// What anything may be that stands where something is known to stand.
fn nearly() -> impl Strategy<Value = Value> {
    vec((proptest::sample::select(NAMES), anything()), 0..3).prop_map(|changes| {
        let mut event = json_event("createSecret", VERSION);
        event["RotationToken"] = json!(NEEDLE);
        for (name, value) in changes {
            event[name] = value;
        }
        event
    })
}

/// What is said, whatever it is.
fn said(event: &Value) -> String {
    match RotationEvent::parse(event) {
        Ok(event) => format!("{event:?} {event:#?}"),
        Err(fault) => format!("{fault} {fault:?} {fault:#?}"),
    }
}

/// Whether a version id of a sound event holds the needle: there it may be said.
fn is_named(event: &Value) -> bool {
    let names = |name: &str| event[name].as_str().is_some_and(|text| text.contains(NEEDLE));
    RotationEvent::parse(event).is_ok() && (names("ClientRequestToken") || names("SecretId"))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn is_read_without_a_panic_and_never_echoed(event in anything()) {
        prop_assert!(!said(&event).contains(NEEDLE));
        prop_assert!(RotationEvent::parse(&event).is_err());
    }

    #[test]
    fn is_read_where_an_event_is_expected(event in nearly()) {
        prop_assert!(is_named(&event) || !said(&event).contains(NEEDLE), "{}", said(&event));
    }

    #[test]
    fn is_not_minded_beside_what_is_known(name in "[a-z]{1,9}", value in anything()) {
        let mut event = json_event("createSecret", VERSION);
        event[name] = value;
        prop_assert!(RotationEvent::parse(&event).is_ok());
        prop_assert!(!said(&event).contains(NEEDLE));
    }

    #[test]
    fn is_a_version_only_by_its_rule(text in "[A-Za-z0-9_. -]{28,68}") {
        let event = json_event("createSecret", &text);
        let sound = (32..=64).contains(&text.len())
            && text.chars().all(|c| c == '-' || c.is_ascii_digit() || c.is_ascii_alphabetic());
        prop_assert_eq!(RotationEvent::parse(&event).is_ok(), sound);
    }
}
