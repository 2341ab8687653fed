//! Which store keeps a cluster's secrets, and what follows from it.
//!
//! A cluster's secrets are all in one store, told by its properties, and later by its signed
//! documents: a Delete must find them even where the properties cannot be read. A store never
//! changes under a cluster: a move is a new cluster. No I/O here.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::names::SecretName;
use crate::ownership::{Generation, first_version_token};

/// A store of secrets.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Ord, PartialOrd, Serialize, Deserialize)]
pub enum Store {
    /// Secrets Manager.
    #[default]
    SecretsManager,
    /// Parameter Store: secure strings under the same names.
    ParameterStore,
    /// A Vault or `OpenBao` server on premises: its key-value store, version 2. No stack's property names it.
    Vault,
}

/// A text names no store.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("neither SecretsManager nor ParameterStore")]
pub struct StoreError;

impl Store {
    /// The name as in the resource's properties.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SecretsManager => "SecretsManager",
            Self::ParameterStore => "ParameterStore",
            Self::Vault => "Vault",
        }
    }

    /// The version id of a secret's first version. Secrets Manager takes the request's token for it; the
    /// others count from 1, and begin again when a name is deleted and comes back.
    #[must_use]
    pub fn first_version_id(self, generation: &Generation, name: &SecretName) -> String {
        match self {
            Self::SecretsManager => first_version_token(generation, name),
            Self::ParameterStore | Self::Vault => "1".into(),
        }
    }

    /// The version id of what is put next under `token`, if nobody is faster; `held` are the versions that
    /// there are, the newest among them.
    pub(crate) fn next_version_id<T>(self, token: &str, held: &BTreeMap<String, T>) -> String {
        match self {
            Self::SecretsManager => token.to_owned(),
            Self::ParameterStore | Self::Vault => {
                let newest = held.keys().filter_map(|id| id.parse::<u64>().ok()).max();
                newest.unwrap_or(0).saturating_add(1).to_string()
            }
        }
    }

    /// Whether versions have numbers from 1, which begin again when a name is deleted and comes back,
    /// and each tells itself what it is and which key it is under. In the other store they have ids that
    /// never come again, labels that are put and taken, and one key for all that are yet to come.
    pub(crate) fn counts_versions(self) -> bool {
        matches!(self, Self::ParameterStore | Self::Vault)
    }

    /// Whether each secret has a policy that names its readers. In the others who reads what is up to the
    /// rights that readers have at the store.
    #[must_use]
    pub fn names_readers(self) -> bool {
        self == Self::SecretsManager
    }

    /// Whether it is the one that documents and properties mean where they name none.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference over")]
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl FromStr for Store {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        [Self::SecretsManager, Self::ParameterStore]
            .into_iter()
            .find(|store| store.as_str() == text)
            .ok_or(StoreError)
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// When a recovery window of `days` that starts now is over, in whole seconds.
#[must_use]
pub fn end_of_window(now: Timestamp, days: u8) -> Timestamp {
    let end = now.saturating_add(SignedDuration::from_hours(24 * i64::from(days)));
    let end = end.unwrap_or(Timestamp::MAX);
    Timestamp::from_second(end.as_second()).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_spelled_alike_in_properties_and_documents() {
        for store in [Store::SecretsManager, Store::ParameterStore] {
            assert_eq!(store.as_str().parse(), Ok(store));
            assert_eq!(serde_json::to_value(store).unwrap(), store.as_str());
        }
        assert_eq!("parameterstore".parse::<Store>(), Err(StoreError));
    }

    #[test]
    fn a_recovery_window_is_told_in_whole_seconds() {
        let now: Timestamp = "2026-01-02T03:04:05.678Z".parse().unwrap();
        assert_eq!(end_of_window(now, 30).to_string(), "2026-02-01T03:04:05Z");
        assert_eq!(end_of_window(Timestamp::MAX, 7).as_second(), Timestamp::MAX.as_second());
    }
}
