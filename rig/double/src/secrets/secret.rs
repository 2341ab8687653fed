//! A secret, as it is stored.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::access::Policy;
use crate::place::Place;

/// A secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Secret {
    /// Where it is.
    pub place: Place,
    /// Its full ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// What it says of itself.
    pub description: Option<String>,
    /// The customer's key, as it was named; `None` for `aws/secretsmanager`.
    pub key: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its versions, by id.
    pub versions: BTreeMap<String, SecretVersion>,
    /// Its resource policy.
    pub policy: Option<Policy>,
    /// How it is rotated; `None` when that was never set up.
    pub rotation: Option<Rotation>,
    /// When it was made.
    pub created: Timestamp,
    /// The number of the call that made it.
    pub created_by: u64,
    /// When anything of it was changed last.
    pub changed: Timestamp,
    /// The day on which its value was retrieved last.
    pub last_accessed: Option<Timestamp>,
    /// When it goes, if it is scheduled for deletion.
    pub deletion: Option<Deletion>,
}

/// A secret's recovery window.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Deletion {
    /// When it was asked for.
    pub asked: Timestamp,
    /// When the window ends.
    pub due: Timestamp,
}

/// How a secret is rotated.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rotation {
    /// Whether rotation is switched on.
    pub enabled: bool,
    /// The ARN of the function that rotates.
    pub function: String,
    /// When the secret is rotated, if that was ever said.
    pub rules: Option<RotationRules>,
    /// When a rotation was finished last.
    pub last_rotated: Option<Timestamp>,
}

/// When a secret is rotated (Secrets Manager API Reference, `RotationRulesType`).
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct RotationRules {
    /// After so many days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub automatically_after_days: Option<i64>,
    /// How long the window is in which it is rotated, as `3h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// The schedule, as `rate(10 days)` or `cron(0 8 1 * ? *)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule_expression: Option<String>,
}

/// A version of a secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SecretVersion {
    /// Its id.
    pub id: String,
    /// What it holds; nothing yet when a rotation has made it and its function has put no value.
    pub value: Option<SecretValue>,
    /// Its staging labels.
    pub stages: BTreeSet<String>,
    /// When it was made.
    pub created: Timestamp,
    /// The number of the call that put its value, or that made it; 0 while Secrets Manager has made it
    /// by itself and nobody has put a value.
    pub created_by: u64,
    /// The day on which it was retrieved last.
    pub last_accessed: Option<Timestamp>,
    /// The ARN of the customer's key that it is encrypted with.
    pub key: Option<String>,
}

/// What a version of a secret holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SecretValue {
    /// A text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
}

/// The label of the version that counts.
pub(crate) const CURRENT: &str = "AWSCURRENT";
/// The label of the version that a rotation is about to make count.
pub(super) const PENDING: &str = "AWSPENDING";
/// The label of the version that counted before.
pub(super) const PREVIOUS: &str = "AWSPREVIOUS";

impl Secret {
    /// The version with a staging label.
    #[must_use]
    pub fn staged(&self, stage: &str) -> Option<&SecretVersion> {
        self.versions.values().find(|version| version.stages.contains(stage))
    }

    /// The text of the version that counts.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self.staged(CURRENT)?.value.as_ref()? {
            SecretValue::Text(text) => Some(text),
            SecretValue::Binary(_) => None,
        }
    }
}

/// The day of a moment: Secrets Manager tells the last retrieval no closer (Secrets Manager API
/// Reference, `DescribeSecret`, `LastAccessedDate`).
pub(super) fn day_of(at: Timestamp) -> Timestamp {
    let midnight = at.to_zoned(TimeZone::UTC).start_of_day();
    midnight.map_or(at, |midnight| midnight.timestamp())
}
