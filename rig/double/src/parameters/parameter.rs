//! A parameter, as it is stored.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock::seconds;
use crate::place::Place;

/// A parameter.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Parameter {
    /// Where it is.
    pub place: Place,
    /// Its full ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its versions that are kept, the oldest first; never none.
    pub versions: Vec<ParameterVersion>,
}

/// A version of a parameter.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ParameterVersion {
    /// Its number, from 1.
    pub version: i64,
    /// Its value, decrypted.
    pub value: String,
    /// What of a value it is.
    pub kind: ParameterKind,
    /// Its tier.
    pub tier: Tier,
    /// The key of a secure string, as it was named.
    pub key: Option<String>,
    /// Its labels.
    pub labels: BTreeSet<String>,
    /// Its policies, each a JSON object.
    pub policies: Vec<Value>,
    /// When an Expiration takes the parameter away.
    pub expires: Option<Timestamp>,
    /// What it says of itself.
    pub description: Option<String>,
    /// When it was put.
    pub modified: Timestamp,
    /// The ARN of who put it.
    pub modified_by: String,
    /// The number of the call that put it.
    pub created_by: u64,
    /// The ARN of the customer's key that a secure string is encrypted with.
    pub(crate) key_arn: Option<String>,
    /// What a reader without decryption gets of a secure string.
    pub(crate) ciphertext: Option<String>,
}

/// What of a value a parameter holds.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
pub enum ParameterKind {
    /// A text.
    String,
    /// Texts with commas between.
    StringList,
    /// A text that KMS encrypts.
    SecureString,
}

/// What a parameter may hold, and what it costs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tier {
    /// Up to 4,096 bytes.
    Standard,
    /// Up to 8,192 bytes, policies, shares.
    Advanced,
}

impl ParameterKind {
    /// The name in the API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "String",
            Self::StringList => "StringList",
            Self::SecureString => "SecureString",
        }
    }
}

impl Tier {
    /// The name in the API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "Standard",
            Self::Advanced => "Advanced",
        }
    }

    /// The longest value, in bytes (Systems Manager API Reference, `PutParameter`, Tier).
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Standard => 4096,
            Self::Advanced => 8192,
        }
    }
}

impl Parameter {
    /// The version that counts: the latest.
    ///
    /// # Panics
    ///
    /// When a test has taken all versions away.
    #[must_use]
    pub fn latest(&self) -> &ParameterVersion {
        self.versions.last().expect("a parameter has a version")
    }

    pub(crate) fn latest_mut(&mut self) -> &mut ParameterVersion {
        self.versions.last_mut().expect("a parameter has a version")
    }

    /// The value that counts, decrypted.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.latest().value
    }

    /// A version as `GetParameter` gives it.
    pub(super) fn shown(&self, version: &ParameterVersion, decrypted: bool, selector: Option<&str>) -> Value {
        let hidden = version.ciphertext.as_ref().filter(|_| !decrypted);
        let mut shown = json!({
            "Name": self.name,
            "Type": version.kind.name(),
            "Value": hidden.unwrap_or(&version.value),
            "Version": version.version,
            "LastModifiedDate": seconds(version.modified),
            "ARN": self.arn,
            "DataType": "text",
        });
        if let Some(selector) = selector {
            shown["Selector"] = json!(format!(":{selector}"));
        }
        shown
    }
}
