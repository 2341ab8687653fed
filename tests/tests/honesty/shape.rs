//! How an answer is compared with a documented one, and made comparable with itself next time.
//!
//! A documented answer names the members that count; others may be there. Its strings may say:
//! `${name}` what was kept under a name; `<date>` about now, as seconds since the epoch;
//! `<in 7 days>`; `<32 bytes>` or `<bytes>`, in Base64; `<not …>` any other text;
//! `<a signature by ${public} of 32 bytes>` or `of a digest`; `<the private half of ${public}>`;
//! `<a glob with * and ?>` any text like it. `null` says that a member is absent. Lists are compared
//! without regard to their order.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::sequences::VERSION_IDS;
use crate::token::{days_from_now, says};

/// Members whose keys are data: they are compared with nothing left out.
const MAPS: &[&str] = &["SecretVersionsToStages", "VersionIdsToStages"];
/// Longer texts are told by their length.
const LONG: usize = 100;
/// So many items too many are not told one by one.
const MANY: usize = 10;
/// Longer texts in a place of keys, ciphertexts and signatures are none that can be compared.
const RANDOM: usize = 20;

/// What was kept in a sequence, by name.
pub(crate) type Kept = BTreeMap<&'static str, String>;

/// Puts what was kept in the place of its names; nothing where a name is unknown.
pub(crate) fn filled(value: &Value, kept: &Kept) -> Option<Value> {
    Some(match value {
        Value::String(text) => Value::String(filled_text(text, kept)?),
        Value::Array(items) => items.iter().map(|item| filled(item, kept)).collect::<Option<_>>()?,
        Value::Object(members) => {
            let members = members.iter().map(|(key, member)| {
                let key = filled_text(key, kept)?;
                Some((key, filled(member, kept)?))
            });
            Value::Object(members.collect::<Option<_>>()?)
        }
        other => other.clone(),
    })
}

/// The members of an answer that the documented one names, written as there wherever they fit.
pub(crate) fn projected(documented: &Value, observed: &Value, kept: &Kept) -> Value {
    match (documented, observed) {
        (Value::Object(named), Value::Object(members)) => {
            let members = named.iter().map(|(key, documented)| {
                let observed = members.get(key).unwrap_or(&Value::Null);
                let is_map = MAPS.contains(&key.as_str());
                let member =
                    if is_map { general(observed, kept) } else { projected(documented, observed, kept) };
                (key.clone(), member)
            });
            Value::Object(members.collect())
        }
        // A list that is not filtered grows with every sequence.
        (Value::Array(named), Value::Array(items)) if items.len() > named.len() + MANY => {
            Value::String("<many more>".to_owned())
        }
        (Value::Array(named), Value::Array(items)) => {
            let mut left: Vec<&Value> = named.iter().collect();
            let items = items.iter().map(|item| {
                let fitting = left.iter().position(|named| projected(named, item, kept) == canonical(named));
                match (fitting, named.last()) {
                    (Some(place), _) => canonical(left.remove(place)),
                    // An item that fits none is shown as the last one would be.
                    (None, Some(last)) => projected(last, item, kept),
                    (None, None) => "<another>".into(),
                }
            });
            sorted(items.collect())
        }
        (Value::String(text), observed) if fits(text, observed, kept) => documented.clone(),
        // What is random where it is right may be random where it is wrong.
        (Value::String(text), Value::String(other)) if text.starts_with('<') && other.len() > RANDOM => {
            Value::String("<something else>".to_owned())
        }
        (_, observed) => general(observed, kept),
    }
}

/// A documented answer as [`projected`] writes it.
pub(crate) fn canonical(documented: &Value) -> Value {
    match documented {
        Value::Array(items) => sorted(items.iter().map(canonical).collect()),
        Value::Object(members) => {
            Value::Object(members.iter().map(|(key, member)| (key.clone(), canonical(member))).collect())
        }
        other => other.clone(),
    }
}

/// An answer without what is different each time.
fn general(value: &Value, kept: &Kept) -> Value {
    match value {
        Value::String(text) => Value::String(general_text(text, kept)),
        Value::Number(number) => match days_from_now(number.as_f64().unwrap_or_default()) {
            Some(0) => "<date>".into(),
            Some(days) => format!("<in {days} days>").into(),
            None => value.clone(),
        },
        Value::Array(items) => sorted(items.iter().map(|item| general(item, kept)).collect()),
        Value::Object(members) => {
            let members = members.iter();
            let members = members.map(|(key, member)| (general_text(key, kept), general(member, kept)));
            Value::Object(members.collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

fn general_text(text: &str, kept: &Kept) -> String {
    if let Some((name, _)) = kept.iter().find(|(_, value)| *value == text) {
        return format!("${{{name}}}");
    }
    if VERSION_IDS.contains(&text) {
        return text.to_owned();
    }
    let is_hex = |part: &str| part.chars().all(|character| character.is_ascii_hexdigit());
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    if lengths == [8, 4, 4, 4, 12] && text.split('-').all(is_hex) {
        return "<uuid>".to_owned();
    }
    if text.len() > LONG {
        return format!("<{} characters>", text.len());
    }
    text.to_owned()
}

fn fits(documented: &str, observed: &Value, kept: &Kept) -> bool {
    let Some(documented) = filled_text(documented, kept) else { return false };
    match documented.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) {
        Some(token) => says(token, observed),
        None => observed.as_str() == Some(&documented),
    }
}

fn filled_text(text: &str, kept: &Kept) -> Option<String> {
    let mut text = text.to_owned();
    for (name, value) in kept {
        text = text.replace(&format!("${{{name}}}"), value);
    }
    (!text.contains("${")).then_some(text)
}

fn sorted(mut items: Vec<Value>) -> Value {
    items.sort_by_key(Value::to_string);
    Value::Array(items)
}

#[test]
fn what_is_different_each_time_is_written_as_documented() {
    use std::time::{SystemTime, UNIX_EPOCH};

    use serde_json::json;

    let kept = Kept::from([("first", "an id".to_owned())]);
    let documented = json!({
        "ARN": "<arn:*:secret:a-??????>",
        "Key": "<2 bytes>",
        "Made": "<date>",
        "Absent": null,
        "VersionIdsToStages": { "${first}": ["A", "B"] },
    });
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let observed = json!({
        "ARN": "arn:aws:secret:a-1b2c3d",
        "Key": "AAA=",
        "Made": now,
        "More": 1,
        "VersionIdsToStages": { "an id": ["B", "A"] },
    });
    assert_eq!(projected(&documented, &observed, &kept), canonical(&documented));
    for (member, other) in [
        ("ARN", json!("arn:aws:secret:a-1b2c")),
        ("Key", json!("AAAA")),
        ("Made", json!(now + 7 * 86_400)),
        ("Absent", json!(false)),
        ("VersionIdsToStages", json!({ "an id": ["A", "B"], "another": [] })),
    ] {
        let mut different = observed.clone();
        different[member] = other;
        assert_ne!(projected(&documented, &different, &kept), canonical(&documented), "{member}");
    }
}
