//! Patterns of EventBridge (EventBridge User Guide, "Comparison operators for use in event patterns" and "Amazon
//! EventBridge event patterns: arrays").

use policies::event_pattern::matches;
use serde_json::{Value, json};

fn told(pattern: &Value, event: &Value) -> bool {
    matches(pattern, event).unwrap()
}

#[test]
fn a_field_matches_by_one_of_its_values() {
    let event = json!({"detail": {"name": "PutRolePolicy", "who": {"arn": "a"}, "list": ["x", "y"]}});
    for (pattern, expected) in [
        (json!({"detail": {"name": ["PutRolePolicy"]}}), true),
        (json!({"detail": {"name": ["GetRole", "PutRolePolicy"]}}), true),
        (json!({"detail": {"name": ["putrolepolicy"]}}), false),
        (json!({"detail": {"name": [{"prefix": "PutRole"}]}}), true),
        (json!({"detail": {"name": [{"suffix": "Policy"}]}}), true),
        (json!({"detail": {"name": [{"prefix": {"equals-ignore-case": "putrole"}}]}}), true),
        (json!({"detail": {"name": [{"prefix": {"equals-ignore-case": "PutRolePolicyAndMore"}}]}}), false),
        (json!({"detail": {"name": [{"equals-ignore-case": "putrolepolicy"}]}}), true),
        (json!({"detail": {"name": [{"wildcard": "Put*Pol*cy"}]}}), true),
        (json!({"detail": {"name": [{"wildcard": "*Role"}]}}), false),
        (json!({"detail": {"name": [{"anything-but": ["GetRole"]}]}}), true),
        (json!({"detail": {"name": [{"anything-but": {"prefix": "Put"}}]}}), false),
        (json!({"detail": {"name": [{"anything-but": {"wildcard": ["Get*", "Put*"]}}]}}), false),
        // Of an array one element is enough.
        (json!({"detail": {"list": ["y"]}}), true),
        (json!({"detail": {"list": [{"anything-but": ["x"]}]}}), true),
        // All fields of a pattern have to match, and one choice of several.
        (json!({"detail": {"name": ["PutRolePolicy"], "who": {"arn": ["b"]}}}), false),
        (json!({"detail": {"$or": [{"who": {"arn": ["b"]}}, {"name": ["PutRolePolicy"]}]}}), true),
        (json!({"detail": {"$or": [{"who": {"arn": ["b"]}}, {"name": ["GetRole"]}]}}), false),
    ] {
        assert_eq!(told(&pattern, &event), expected, "{pattern}");
    }
}

/// What is not there matches by `exists: false` only.
#[test]
fn a_field_that_is_not_there() {
    let event = json!({"detail": {}});
    let who = |arn: Value| json!({"detail": {"who": {"arn": arn}}});
    assert!(told(&who(json!([{"exists": false}])), &event));
    assert!(told(&who(json!([{"exists": false}, {"anything-but": ["a"]}])), &event));
    assert!(!told(&who(json!([{"anything-but": ["a"]}])), &event));
    assert!(!told(&who(json!([{"exists": true}])), &event));
    assert!(!told(&who(json!([{"prefix": ""}])), &event));
}

/// Of several objects in an array, one has to match as a whole.
#[test]
fn an_array_of_objects() {
    let event = json!({"resources": [{"type": "key", "arn": "a"}, {"type": "grant", "arn": "b"}]});
    let of = |kind: &str, arn: &str| json!({"resources": {"type": [kind], "arn": [arn]}});
    assert!(told(&of("grant", "b"), &event));
    assert!(!told(&of("key", "b"), &event));
}

#[test]
fn what_is_not_understood_is_an_error() {
    let event = json!({"detail": {"name": "x"}});
    for pattern in [
        json!({"detail": {"name": [{"cidr": "10.0.0.0/8"}]}}),
        json!({"detail": {"name": [{"prefix": 1}]}}),
        json!({"detail": {"name": [{"prefix": "x", "suffix": "x"}]}}),
        json!({"detail": {"name": "x"}}),
        json!({"detail": {"$or": [{"name": ["x"]}]}}),
    ] {
        assert!(matches(&pattern, &event).is_err(), "{pattern}");
    }
}
