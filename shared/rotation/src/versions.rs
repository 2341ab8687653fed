//! What can be told of a secret's versions without reading one.

use std::collections::{BTreeMap, BTreeSet};

/// The label of the version that is handed out to who names none.
pub const CURRENT: &str = "AWSCURRENT";
/// The label of the version that a rotation is making.
pub const PENDING: &str = "AWSPENDING";
/// The label of the version that was [`CURRENT`] before.
pub const PREVIOUS: &str = "AWSPREVIOUS";

/// What describing a secret gives.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SecretVersions {
    /// Whether rotation is enabled. Where Secrets Manager says neither, rotation was never set up,
    /// and it is not.
    pub rotation_enabled: bool,
    /// The versions, by id, with their labels.
    pub versions: BTreeMap<String, BTreeSet<String>>,
}

impl SecretVersions {
    /// Whether there is such a version, and it has the label.
    #[must_use]
    pub fn is_staged(&self, version: &str, label: &str) -> bool {
        self.versions.get(version).is_some_and(|labels| labels.contains(label))
    }

    /// The id of the version with a label: the first, should there be more than one.
    #[must_use]
    pub fn staged(&self, label: &str) -> Option<&str> {
        let staged = self.versions.iter().find(|(_, labels)| labels.contains(label));
        staged.map(|(id, _)| id.as_str())
    }

    /// What other rotations than that to `version` have left pending. A version that is or was
    /// current is none of it, whatever else it is called: it is in use.
    pub(crate) fn stale(&self, version: &str) -> Vec<String> {
        let stale = self.versions.iter().filter(|(id, labels)| {
            *id != version
                && labels.contains(PENDING)
                && !labels.contains(CURRENT)
                && !labels.contains(PREVIOUS)
        });
        stale.map(|(id, _)| id.clone()).collect()
    }
}
