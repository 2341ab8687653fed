//! A secret, as it is stored.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;

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

/// A version of a secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SecretVersion {
    /// Its id.
    pub id: String,
    /// What it holds.
    pub value: SecretValue,
    /// Its staging labels.
    pub stages: BTreeSet<String>,
    /// When it was put.
    pub created: Timestamp,
    /// The number of the call that put it.
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

impl Secret {
    /// The version with a staging label.
    #[must_use]
    pub fn staged(&self, stage: &str) -> Option<&SecretVersion> {
        self.versions.values().find(|version| version.stages.contains(stage))
    }

    /// The text of the version that counts.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.staged(CURRENT)?.value {
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
