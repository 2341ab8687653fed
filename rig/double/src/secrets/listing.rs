//! `ListSecrets`, which may lag behind, and `ListSecretVersionIds`.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::access::{self, Context, Owner, Question};
use crate::clock::seconds;
use crate::error::{Answer, ApiError};
use crate::identities::Caller;
use crate::paging::page;
use crate::place::Place;
use crate::secrets::Secrets;
use crate::secrets::finding::find_allowed;
use crate::secrets::reading::described;
use crate::world::World;

/// What lists show, and since when. A list "might not reflect changes from the last five minutes"
/// (Secrets Manager API Reference, `ListSecrets`).
#[derive(Clone, Debug, Default)]
pub(crate) struct Lag {
    /// How long lists lag behind; not at all unless a test says so.
    by: Option<SignedDuration>,
    /// Each change of an entry, by ARN, with its time; `None` when the secret went.
    changes: Vec<(Timestamp, Place, String, Option<Value>)>,
    /// The entries after all changes.
    latest: BTreeMap<String, Value>,
}

impl Lag {
    /// Lets lists lag behind from now on.
    pub(crate) fn start(&mut self, by: Duration, secrets: &Secrets, now: Timestamp) {
        let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
        *self = Self { by: Some(by), ..Self::default() };
        // What is there already has been seen.
        let before = now.saturating_sub(by).unwrap_or(Timestamp::MIN);
        self.note(secrets, before);
    }

    /// Writes down what has changed.
    pub(crate) fn note(&mut self, secrets: &Secrets, now: Timestamp) {
        if self.by.is_none() {
            return;
        }
        let mut gone = std::mem::take(&mut self.latest);
        for (place, there) in secrets {
            for secret in there.values() {
                let entry = described(secret, "SecretVersionsToStages");
                if gone.remove(&secret.arn).as_ref() != Some(&entry) {
                    self.changes.push((now, place.clone(), secret.arn.clone(), Some(entry.clone())));
                }
                self.latest.insert(secret.arn.clone(), entry);
            }
        }
        for arn in gone.into_keys() {
            if let Some((place, _)) = Place::of_arn(&arn, "secretsmanager") {
                self.changes.push((now, place, arn, None));
            }
        }
    }

    /// The entries of a place that a list shows now.
    fn shown(&self, place: &Place, secrets: &Secrets, now: Timestamp) -> Vec<Value> {
        let Some(by) = self.by else {
            let there = secrets.get(place).into_iter().flat_map(BTreeMap::values);
            return there.map(|secret| described(secret, "SecretVersionsToStages")).collect();
        };
        let mut shown: BTreeMap<&str, &Value> = BTreeMap::new();
        for (at, changed, arn, entry) in &self.changes {
            if changed != place || now.duration_since(*at) < by {
                continue;
            }
            match entry {
                Some(entry) => drop(shown.insert(arn, entry)),
                None => drop(shown.remove(arn.as_str())),
            }
        }
        shown.into_values().cloned().collect()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ListSecrets {
    #[serde(default)]
    filters: Vec<Filter>,
    #[serde(default)]
    include_planned_deletion: bool,
    max_results: Option<usize>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Filter {
    key: String,
    values: Vec<String>,
}

/// Scheduled secrets are shown only to who asks for them (Secrets Manager API Reference, `ListSecrets`,
/// `IncludePlannedDeletion`).
pub(super) fn secrets(world: &mut World, caller: &Caller, input: &ListSecrets) -> Answer {
    let owner = Owner::Account(&caller.place.account);
    let (action, resource) = ("secretsmanager:ListSecrets", "*".to_owned());
    access::require(world, caller, Question { action, resource, owner, context: Context::default() })?;
    let mut shown = world.lag.shown(&caller.place, &world.secrets, world.now());
    shown.retain(|entry| input.include_planned_deletion || entry["DeletedDate"].is_null());
    for filter in &input.filters {
        filter.check()?;
        shown.retain(|entry| filter.matches(entry));
    }
    shown.sort_by_key(|entry| entry["CreatedDate"].as_i64());
    let (page, next) = page(shown, input.max_results, 1..=100, input.next_token.as_deref())
        .map_err(|error| ApiError { code: next_token_code(&error).to_owned(), ..error })?;
    Ok(with_next(json!({ "SecretList": page }), next))
}

impl Filter {
    fn check(&self) -> Result<(), ApiError> {
        let negated = self.values.iter().any(|value| value.starts_with('!'));
        match self.key.as_str() {
            "name" | "tag-key" | "tag-value" if !negated => Ok(()),
            key => Err(ApiError::not_in_the_double(format!("this filter of {key}"))),
        }
    }

    /// Prefixes, with regard to case; one of the values is enough (Secrets Manager User Guide, "Find
    /// secrets in AWS Secrets Manager").
    fn matches(&self, entry: &Value) -> bool {
        let starts = |text: &Value| {
            text.as_str().is_some_and(|text| self.values.iter().any(|value| text.starts_with(value)))
        };
        let mut tags = entry["Tags"].as_array().into_iter().flatten();
        match self.key.as_str() {
            "name" => starts(&entry["Name"]),
            "tag-key" => tags.any(|tag| starts(&tag["Key"])),
            _ => tags.any(|tag| starts(&tag["Value"])),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ListSecretVersionIds {
    secret_id: String,
    #[serde(default)]
    include_deprecated: bool,
    max_results: Option<usize>,
    next_token: Option<String>,
}

/// Versions without a label are shown only to who asks for them (Secrets Manager API Reference,
/// `ListSecretVersionIds`, `IncludeDeprecated`). Those without a value are not shown at all: the list
/// "can omit the `AWSPENDING` version" of a rotation, whatever is asked for (PCS User Guide, "Rotate a
/// cluster secret in AWS PCS", which says to look at `DescribeSecret` instead).
pub(super) fn versions(world: &mut World, caller: &Caller, input: &ListSecretVersionIds) -> Answer {
    let action = "secretsmanager:ListSecretVersionIds";
    let secret = find_allowed(world, caller, action, &input.secret_id, Context::default())?;
    let versions = secret.versions.values().filter(|version| version.value.is_some());
    let versions = versions.filter(|version| input.include_deprecated || !version.stages.is_empty());
    let shown = versions.map(|version| {
        let mut shown = json!({
            "VersionId": version.id,
            "VersionStages": version.stages,
            "CreatedDate": seconds(version.created),
            "KmsKeyIds": [version.key.as_deref().unwrap_or("DefaultEncryptionKey")],
        });
        if let Some(at) = version.last_accessed {
            shown["LastAccessedDate"] = seconds(at);
        }
        shown
    });
    let (page, next) = page(shown.collect(), input.max_results, 1..=100, input.next_token.as_deref())
        .map_err(|error| ApiError { code: next_token_code(&error).to_owned(), ..error })?;
    Ok(with_next(json!({ "ARN": secret.arn, "Name": secret.name, "Versions": page }), next))
}

/// Secrets Manager's own code for a token that it did not give.
fn next_token_code(error: &ApiError) -> &str {
    if error.code == "InvalidNextToken" { "InvalidNextTokenException" } else { &error.code }
}

fn with_next(mut answer: Value, next: Option<String>) -> Value {
    if let Some(next) = next {
        answer["NextToken"] = json!(next);
    }
    answer
}
