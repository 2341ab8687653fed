//! What an event names: a step, a secret, a version.

use std::fmt;
use std::str::FromStr;

/// One of the four steps of a rotation, in their order.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum RotationStep {
    /// `createSecret`: make the new version.
    Create,
    /// `setSecret`: have what it opens accept it.
    Set,
    /// `testSecret`: see that it works.
    Test,
    /// `finishSecret`: make it current.
    Finish,
}

impl RotationStep {
    /// All four, in the order in which Secrets Manager sends them.
    pub const ALL: [Self; 4] = [Self::Create, Self::Set, Self::Test, Self::Finish];

    pub(crate) const ALLOWED: &str = "createSecret, setSecret, testSecret or finishSecret";

    /// The word that events use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "createSecret",
            Self::Set => "setSecret",
            Self::Test => "testSecret",
            Self::Finish => "finishSecret",
        }
    }
}

impl FromStr for RotationStep {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|known| known.as_str() == text);
        known.ok_or(Malformed { allowed: Self::ALLOWED })
    }
}

impl fmt::Display for RotationStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The ARN of a secret: `arn:<partition>:secretsmanager:<region>:<account>:secret:<name>`.
///
/// Calls are made with it and log lines hold it, so every part has its alphabet and its bound. The
/// name is up to 512 characters (Secrets Manager API reference, `CreateSecret`), to which Secrets
/// Manager adds a dash and six of its own.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SecretId(String);

impl SecretId {
    pub(crate) const ALLOWED: &str = "the ARN of a secret";

    /// The whole ARN, exactly as it was delivered.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SecretId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"/_+=.@-".contains(&byte);
        let parts: Vec<&str> = text.split(':').collect();
        let sound = match parts[..] {
            ["arn", partition, "secretsmanager", region, account, "secret", name] => {
                consists_of(partition, 1..=32, word)
                    && consists_of(region, 1..=32, word)
                    && consists_of(account, 12..=12, |byte| byte.is_ascii_digit())
                    && consists_of(name, 1..=519, in_name)
            }
            _ => false,
        };
        if sound { Ok(Self(text.to_owned())) } else { Err(Malformed { allowed: Self::ALLOWED }) }
    }
}

impl fmt::Display for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of the version that a rotation is about: 32 to 64 characters (Secrets Manager API
/// reference, `RotateSecret`, `ClientRequestToken`).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct VersionId(String);

impl VersionId {
    pub(crate) const ALLOWED: &str = "32 to 64 letters, digits and dashes";

    /// The text, exactly as it was delivered.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VersionId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if consists_of(text, 32..=64, |byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            Ok(Self(text.to_owned()))
        } else {
            Err(Malformed { allowed: Self::ALLOWED })
        }
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is not what it should be. It never holds the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not {allowed}")]
pub struct Malformed {
    pub(crate) allowed: &'static str,
}

/// Whether a text has a length in bytes, and nothing but bytes, that are allowed.
pub(crate) fn consists_of(
    text: &str,
    length: std::ops::RangeInclusive<usize>,
    allowed: impl Fn(u8) -> bool,
) -> bool {
    length.contains(&text.len()) && text.bytes().all(allowed)
}
