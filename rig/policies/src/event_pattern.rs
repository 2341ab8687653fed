//! EventBridge's event patterns, as far as the templates' rules use them.
//!
//! EventBridge User Guide, "Comparison operators for use in event patterns" and "Amazon EventBridge event
//! patterns: arrays". An operator that is not known here is an error, so that no pattern is quietly without
//! effect.

use serde_json::{Value, json};

/// A pattern that EventBridge would refuse, or that this crate does not understand.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0} is not known in a pattern")]
pub struct PatternError(String);

/// Whether a pattern matches an event.
///
/// # Errors
///
/// [`PatternError`], where a part of the pattern that decides is not understood.
pub fn matches(pattern: &Value, event: &Value) -> Result<bool, PatternError> {
    object(pattern, Some(event))
}

/// A call as CloudTrail tells it (CloudTrail User Guide, "CloudTrail record contents for management, data, and
/// network activity events"), and EventBridge hands it on.
#[must_use]
pub fn call(service: &str, name: &str, who: &Value, parameters: &Value) -> Value {
    json!({
        "source": format!("aws.{service}"),
        "detail-type": "AWS API Call via CloudTrail",
        "detail": {
            "eventSource": format!("{service}.amazonaws.com"),
            "eventName": name,
            "userIdentity": who,
            "requestParameters": parameters,
        },
    })
}

fn object(pattern: &Value, event: Option<&Value>) -> Result<bool, PatternError> {
    // Of several objects, one has to match as a whole.
    if let Some(Value::Array(events)) = event {
        return any(events, |event| object(pattern, Some(event)));
    }
    let Some(members) = pattern.as_object() else { return Err(unknown(pattern)) };
    for (key, wanted) in members {
        let matches = match (key.as_str(), wanted) {
            ("$or", Value::Array(choices)) if choices.len() > 1 => {
                any(choices, |choice| object(choice, event))?
            }
            ("$or", _) => return Err(unknown(wanted)),
            (key, Value::Array(wanted)) => {
                let found = event.and_then(|event| event.get(key));
                any(wanted, |wanted| field(wanted, found))?
            }
            (key, wanted) => object(wanted, event.and_then(|event| event.get(key)))?,
        };
        if !matches {
            return Ok(false);
        }
    }
    Ok(true)
}

fn field(wanted: &Value, found: Option<&Value>) -> Result<bool, PatternError> {
    if let Some(Value::Array(found)) = found {
        return any(found, |found| field(wanted, Some(found)));
    }
    let Value::Object(operator) = wanted else { return Ok(Some(wanted) == found) };
    let (operator, operand) = only(operator)?;
    if operator == "exists" {
        return Ok(*operand == found.is_some());
    }
    match found.and_then(Value::as_str) {
        Some(found) => compare(operator, operand, found),
        None => Ok(false),
    }
}

fn only(operator: &serde_json::Map<String, Value>) -> Result<(&str, &Value), PatternError> {
    match operator.iter().collect::<Vec<_>>()[..] {
        [(name, operand)] => Ok((name, operand)),
        _ => Err(PatternError(format!("{operator:?}"))),
    }
}

fn compare(operator: &str, operand: &Value, found: &str) -> Result<bool, PatternError> {
    Ok(match (operator, operand) {
        ("anything-but", Value::Object(inner)) => {
            let (operator, operand) = only(inner)?;
            let operands = operand.as_array().cloned().unwrap_or_else(|| vec![operand.clone()]);
            !any(&operands, |operand| compare(operator, operand, found))?
        }
        ("anything-but", Value::Array(not)) => !not.iter().any(|not| not == found),
        ("equals-ignore-case", Value::String(text)) => text.eq_ignore_ascii_case(found),
        ("prefix", Value::String(text)) => found.starts_with(text.as_str()),
        ("prefix", Value::Object(inner)) => match only(inner)? {
            ("equals-ignore-case", Value::String(text)) => {
                found.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text))
            }
            _ => return Err(PatternError(format!("{operator} of {operand}"))),
        },
        ("suffix", Value::String(text)) => found.ends_with(text.as_str()),
        ("wildcard", Value::String(text)) => wildcard(text, found),
        _ => return Err(PatternError(format!("{operator} of {operand}"))),
    })
}

fn any(items: &[Value], holds: impl Fn(&Value) -> Result<bool, PatternError>) -> Result<bool, PatternError> {
    for item in items {
        if holds(item)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn unknown(part: &Value) -> PatternError {
    PatternError(part.to_string())
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
