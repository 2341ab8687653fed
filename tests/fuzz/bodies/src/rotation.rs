//! Rotation events: bytes that somebody hands to the function as Secrets Manager's, or as a schedule's.

use provisioning::scheduled::{Scheduled, What};
use rotation::RotationEvent;
use serde_json::Value;

use crate::Verdict;

/// Reads an event, which must be right or wrong by the rules as they stand here, and tell nothing of
/// its token or, where it is wrong, of itself.
#[must_use]
pub fn rotation(bytes: &[u8]) -> Verdict {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else {
        return Verdict::Refused;
    };
    if scheduled(&value) == Verdict::Accepted {
        return Verdict::Accepted;
    }
    let wrong = first_wrong_field(&value);
    match RotationEvent::parse(&value) {
        Ok(event) => {
            assert_eq!(wrong, None, "{value}");
            assert_eq!(value["Step"], event.step.as_str());
            assert_eq!(value["SecretId"], event.secret_id.as_str());
            assert_eq!(value["ClientRequestToken"], event.version.as_str());
            assert_eq!(
                value["RotationToken"].as_str(),
                event.rotation_token.as_ref().map(rotation::RotationToken::expose)
            );
            assert_eq!(format!("{event:?} {event:#?}"), without_token(&value), "it tells nothing of a token");
            Verdict::Accepted
        }
        Err(fault) => {
            let said = fault.to_string();
            assert_eq!(said.split_once(' ').map(|(first, _)| first), wrong, "{said}: {value}");
            assert!(SENTENCES.contains(&said.as_str()), "another sentence, from the event? {said}");
            Verdict::Refused
        }
    }
}

/// Reads the same as an event of a schedule, which asks for what it says and nothing else.
fn scheduled(value: &Value) -> Verdict {
    match Scheduled::parse(value) {
        Ok(Scheduled::Rotate { what, cluster, index, at }) => {
            let what = match what {
                What::ApiKeys => "api-keys".to_owned(),
                What::One(purpose) => purpose.to_string(),
            };
            assert_ne!(what, "share-encryption-password", "it is never rotated: {value}");
            assert_eq!((&value["Rotate"], &value["Cluster"]), (&what.into(), &cluster.as_str().into()));
            assert_eq!(value["Node"], index.to_string());
            let told = value["At"].as_str().and_then(|at| at.parse().ok());
            assert_eq!(told, Some(at), "{value}");
            Verdict::Accepted
        }
        Ok(Scheduled::Retire { cluster }) => {
            assert_eq!(value["Retire"], cluster.as_str());
            Verdict::Accepted
        }
        Err(fault) => {
            let said = fault.to_string();
            assert!(SENTENCES.contains(&said.as_str()), "another sentence, from the event? {said}");
            Verdict::Refused
        }
    }
}

/// All that is ever said.
const SENTENCES: &[&str] = &[
    "the event is no JSON object: it must be one, with Step, SecretId and ClientRequestToken",
    "Step is missing: it must be createSecret, setSecret, testSecret or finishSecret",
    "Step is no text: it must be createSecret, setSecret, testSecret or finishSecret",
    "Step is wrong: it must be createSecret, setSecret, testSecret or finishSecret",
    "SecretId is missing: it must be the ARN of a secret",
    "SecretId is no text: it must be the ARN of a secret",
    "SecretId is wrong: it must be the ARN of a secret",
    "ClientRequestToken is missing: it must be 32 to 64 letters, digits and dashes",
    "ClientRequestToken is no text: it must be 32 to 64 letters, digits and dashes",
    "ClientRequestToken is wrong: it must be 32 to 64 letters, digits and dashes",
    "RotationToken is no text: it must be 1 to 1,024 visible ASCII characters, or left out",
    "RotationToken is wrong: it must be 1 to 1,024 visible ASCII characters, or left out",
    "the event is none: it must be a JSON object with Step (of Secrets Manager), or with Rotate or Retire (of a schedule)",
    "Rotate is missing or wrong: it must be api-keys, api-key/<application>, management-key or p2p-key",
    "Cluster is missing or wrong: it must be <namespace>/<cluster>",
    "Node is missing or wrong: it must be a node's index, as text",
    "At is missing or wrong: it must be a time as in 2026-01-02T03:04:05Z",
    "Retire is missing or wrong: it must be <namespace>/<cluster>",
];

/// The first word of what must be said of an event, if anything is wrong.
fn first_wrong_field(event: &Value) -> Option<&'static str> {
    if !event.is_object() {
        return Some("the");
    }
    let is = |name: &str, rule: fn(&str) -> bool| event[name].as_str().is_some_and(rule);
    let rules = [
        (
            "Step",
            is("Step", |step| "createSecret setSecret testSecret finishSecret".split(' ').any(|s| s == step)),
        ),
        ("SecretId", is("SecretId", is_arn)),
        (
            "ClientRequestToken",
            is("ClientRequestToken", |id| {
                id.chars().filter(|c| *c == '-' || c.is_ascii_alphanumeric()).count() == id.len()
                    && id.len() >= 32
                    && id.len() <= 64
            }),
        ),
        (
            "RotationToken",
            event["RotationToken"].is_null()
                || is("RotationToken", |token| {
                    !token.is_empty()
                        && token.len() <= 1024
                        && token.chars().all(|c| ('!'..='~').contains(&c))
                }),
        ),
    ];
    rules.into_iter().find(|(_, holds)| !holds).map(|(name, _)| name)
}

/// The rule for the ARN of a secret, read from either end.
fn is_arn(text: &str) -> bool {
    let words = |text: &str| {
        let parts: Vec<&str> = text.split(':').collect();
        parts.len() == 2
            && parts.iter().all(|part| {
                !part.is_empty()
                    && part.len() <= 32
                    && part.chars().all(|c| c == '-' || c.is_ascii_lowercase() || c.is_ascii_digit())
            })
    };
    let Some((head, name)) = text.rsplit_once(":secret:") else { return false };
    let Some((head, account)) = head.rsplit_once(':') else { return false };
    let Some((partition, region)) = head.strip_prefix("arn:").and_then(|h| h.split_once(":secretsmanager:"))
    else {
        return false;
    };
    words(&format!("{partition}:{region}"))
        && account.len() == 12
        && account.chars().all(|c| c.is_ascii_digit())
        && !name.is_empty()
        && name.len() <= 519
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "/_+=.@-".contains(c))
}

/// How the event is shown if its token is another one.
fn without_token(event: &Value) -> String {
    let mut other = event.clone();
    if !other["RotationToken"].is_null() {
        other["RotationToken"] = Value::from("another");
    }
    let other = RotationEvent::parse(&other).expect("it differs in a sound token only");
    format!("{other:?} {other:#?}")
}
