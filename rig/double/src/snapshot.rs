//! Everything that is stored, to be compared with what was stored before.

use std::collections::{BTreeMap, BTreeSet};

use crate::parameters::{ParameterKind, Tier};
use crate::secrets::{Rotation, SecretValue};
use crate::world::World;

/// What is stored, without the times and the calls by which it came to be.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Snapshot {
    /// The secrets, by ARN.
    pub secrets: BTreeMap<String, SecretSnapshot>,
    /// The parameters, by ARN.
    pub parameters: BTreeMap<String, ParameterSnapshot>,
}

/// What is stored of a secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SecretSnapshot {
    /// The values and stages of its versions, by id; no value where none has been put yet.
    pub versions: BTreeMap<String, (Option<SecretValue>, BTreeSet<String>)>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its key, its description and its resource policy.
    pub settings: [Option<String>; 3],
    /// How it is rotated, but for when that was done last.
    pub rotation: Option<Rotation>,
    /// Whether it is scheduled for deletion.
    pub scheduled: bool,
}

/// What is stored of a parameter.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ParameterSnapshot {
    /// The values of its versions, with their labels, by number.
    pub versions: BTreeMap<i64, (String, BTreeSet<String>)>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its type and its tier.
    pub kind: (ParameterKind, Tier),
    /// Its policies.
    pub policies: Vec<serde_json::Value>,
}

impl World {
    /// What is stored now, in all accounts.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let secrets = self.secrets.values().flat_map(BTreeMap::values).map(|secret| {
            let versions = secret.versions.values();
            let versions =
                versions.map(|version| (version.id.clone(), (version.value.clone(), version.stages.clone())));
            let snapshot = SecretSnapshot {
                versions: versions.collect(),
                tags: secret.tags.clone(),
                settings: [
                    secret.key.clone(),
                    secret.description.clone(),
                    secret.policy.as_ref().map(|policy| policy.text().to_owned()),
                ],
                rotation: secret.rotation.clone().map(|rotation| Rotation { last_rotated: None, ..rotation }),
                scheduled: secret.deletion.is_some(),
            };
            (secret.arn.clone(), snapshot)
        });
        let parameters = self.parameters.values().flat_map(BTreeMap::values).map(|parameter| {
            let versions = parameter.versions.iter();
            let versions =
                versions.map(|version| (version.version, (version.value.clone(), version.labels.clone())));
            let snapshot = ParameterSnapshot {
                versions: versions.collect(),
                tags: parameter.tags.clone(),
                kind: (parameter.latest().kind, parameter.latest().tier),
                policies: parameter.latest().policies.clone(),
            };
            (parameter.arn.clone(), snapshot)
        });
        Snapshot { secrets: secrets.collect(), parameters: parameters.collect() }
    }
}
