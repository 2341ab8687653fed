//! EventBridge's event patterns, as far as the template's rules use them.
//!
//! EventBridge User Guide, "Comparison operators for use in event patterns" and "Amazon EventBridge
//! event patterns: arrays". An operator that is not known here fails the test that meets it, so that
//! no pattern is quietly without effect.

use serde_json::Value;

/// Whether a pattern matches an event.
pub(crate) fn matches(pattern: &Value, event: &Value) -> bool {
    object(pattern, Some(event))
}

fn object(pattern: &Value, event: Option<&Value>) -> bool {
    // Of several objects, one has to match as a whole.
    if let Some(Value::Array(events)) = event {
        return events.iter().any(|event| object(pattern, Some(event)));
    }
    pattern.as_object().unwrap().iter().all(|(key, wanted)| match (key.as_str(), wanted) {
        ("$or", Value::Array(choices)) => {
            assert!(choices.len() > 1, "a choice of one");
            choices.iter().any(|choice| object(choice, event))
        }
        (key, Value::Array(wanted)) => {
            let found = event.and_then(|event| event.get(key));
            wanted.iter().any(|wanted| field(wanted, found))
        }
        (key, wanted) => object(wanted, event.and_then(|event| event.get(key))),
    })
}

fn field(wanted: &Value, found: Option<&Value>) -> bool {
    if let Some(Value::Array(found)) = found {
        return found.iter().any(|found| field(wanted, Some(found)));
    }
    let Some((operator, operand)) = wanted.as_object().map(only) else { return Some(wanted) == found };
    if operator == "exists" {
        return operand == found.is_some();
    }
    let Some(found) = found.and_then(Value::as_str) else { return false };
    compare(operator, operand, found)
}

fn only(operator: &serde_json::Map<String, Value>) -> (&str, &Value) {
    assert_eq!(operator.len(), 1, "{operator:?}");
    operator.iter().map(|(name, operand)| (name.as_str(), operand)).next().unwrap()
}

fn compare(operator: &str, operand: &Value, found: &str) -> bool {
    match (operator, operand) {
        ("anything-but", Value::Object(inner)) => {
            let (operator, operand) = only(inner);
            let operands = operand.as_array().cloned().unwrap_or_else(|| vec![operand.clone()]);
            !operands.iter().any(|operand| compare(operator, operand, found))
        }
        ("anything-but", Value::Array(not)) => !not.iter().any(|not| not == found),
        ("equals-ignore-case", Value::String(text)) => text.eq_ignore_ascii_case(found),
        ("prefix", Value::String(text)) => found.starts_with(text.as_str()),
        ("wildcard", Value::String(text)) => wildcard(text, found),
        _ => panic!("{operator} of {operand} is not known here"),
    }
}

/// `*` stands for any characters, none included.
fn wildcard(pattern: &str, found: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == found,
        Some((before, after)) => found.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).any(|skipped| rest.get(skipped..).is_some_and(|rest| wildcard(after, rest)))
        }),
    }
}
