//! Everything that is stored, to compare what was there before with what is there after.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use key_material::ApiKeyHash;
use rig::calls;
use rig::cloud::Cloud;
use serde_json::Value;

use crate::support::Aws;

/// Every secret and every parameter of the account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Snapshot {
    pub(crate) secrets: BTreeMap<String, Secret>,
    pub(crate) parameters: BTreeMap<String, Parameter>,
}

/// A secret as it is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Secret {
    pub(crate) arn: String,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) key: Option<String>,
    pub(crate) description: Option<String>,
    /// When it will be gone, in seconds since 1970.
    pub(crate) deleted: Option<i64>,
    /// By version id.
    pub(crate) versions: BTreeMap<String, Version>,
}

/// A version of a secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Version {
    pub(crate) stages: BTreeSet<String>,
    /// The SHA-256 of its value; absent where it was not read.
    pub(crate) digest: Option<String>,
}

/// A parameter as it is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Parameter {
    pub(crate) value: String,
    pub(crate) version: i64,
    pub(crate) tags: BTreeMap<String, String>,
    /// As they were last put, since the emulator cannot tell them.
    pub(crate) policies: String,
}

impl Snapshot {
    /// Takes one, reading every value that can be read.
    pub(crate) async fn take(aws: &Aws) -> Result<Self> {
        Self::read(aws, true).await
    }

    /// Takes one without reading a value: Secrets Manager remembers reads, and what was read is
    /// not removed by force.
    pub(crate) async fn glance(aws: &Aws) -> Result<Self> {
        Self::read(aws, false).await
    }

    async fn read(aws: &Aws, values: bool) -> Result<Self> {
        Ok(Self { secrets: secrets(&aws.root, values).await?, parameters: parameters(aws).await? })
    }

    /// The names of the secrets that are not scheduled for deletion.
    pub(crate) fn kept(&self) -> BTreeSet<&str> {
        self.named(|secret| secret.deleted.is_none())
    }

    /// The names of the secrets that are.
    pub(crate) fn scheduled(&self) -> BTreeSet<&str> {
        self.named(|secret| secret.deleted.is_some())
    }

    fn named(&self, which: impl Fn(&Secret) -> bool) -> BTreeSet<&str> {
        self.secrets.iter().filter(|(_, secret)| which(secret)).map(|(name, _)| name.as_str()).collect()
    }
}

async fn secrets(root: &Cloud, values: bool) -> Result<BTreeMap<String, Secret>> {
    let client = root.secrets();
    let mut found = BTreeMap::new();
    let mut entries = Vec::new();
    let mut pages = client.list_secrets().include_planned_deletion(true).into_paginator().send();
    while let Some(page) = pages.next().await {
        entries.extend(page?.secret_list.unwrap_or_default());
    }
    for entry in entries {
        let name = entry.name.context("a secret without a name")?;
        let described = client.describe_secret().secret_id(&name).send().await?;
        let mut versions = BTreeMap::new();
        let deleted = described.deleted_date.map(|date| date.secs());
        for (id, stages) in described.version_ids_to_stages.unwrap_or_default() {
            let digest = if values && deleted.is_none() {
                let read = client.get_secret_value().secret_id(&name).version_id(&id).send().await?;
                Some(ApiKeyHash::of(&read.secret_string.context("no text")?).to_string())
            } else {
                None
            };
            versions.insert(id, Version { stages: stages.into_iter().collect(), digest });
        }
        let tags = described.tags.unwrap_or_default().into_iter();
        let secret = Secret {
            arn: described.arn.unwrap_or_default(),
            tags: tags.filter_map(|tag| Some((tag.key?, tag.value?))).collect(),
            key: described.kms_key_id,
            description: described.description,
            deleted,
            versions,
        };
        found.insert(name, secret);
    }
    Ok(found)
}

async fn parameters(aws: &Aws) -> Result<BTreeMap<String, Parameter>> {
    let client = aws.root.parameters();
    let mut found = BTreeMap::new();
    let mut entries = Vec::new();
    let mut pages = client.get_parameters_by_path().path("/").recursive(true).into_paginator().send();
    while let Some(page) = pages.next().await {
        entries.extend(page?.parameters.unwrap_or_default());
    }
    let policies = policies(aws)?;
    for stored in entries {
        let name = stored.name.context("a parameter without a name")?;
        let tags = client
            .list_tags_for_resource()
            .resource_type(aws_sdk_ssm::types::ResourceTypeForTagging::Parameter)
            .resource_id(&name)
            .send()
            .await?
            .tag_list
            .unwrap_or_default();
        let parameter = Parameter {
            value: stored.value.unwrap_or_default(),
            version: stored.version,
            tags: tags.into_iter().map(|tag| (tag.key, tag.value)).collect(),
            policies: policies.get(&name).cloned().unwrap_or_default(),
        };
        found.insert(name, parameter);
    }
    Ok(found)
}

/// What a parameter is put with to have no policy.
const NONE: &str = "[{}]";

/// The policies that each parameter was last put with.
fn policies(aws: &Aws) -> Result<BTreeMap<String, String>> {
    let mut policies = BTreeMap::new();
    for call in calls::read(&aws.ministack.calls())? {
        if call.operation.as_deref() != Some("PutParameter") || call.status != 200 {
            continue;
        }
        let put: Value = serde_json::from_str(call.request.as_deref().context("no request")?)?;
        let name = put["Name"].as_str().context("a parameter without a name")?.to_owned();
        match put["Policies"].as_str() {
            Some(NONE) => drop(policies.remove(&name)),
            Some(text) => drop(policies.insert(name, text.to_owned())),
            None => {}
        }
    }
    Ok(policies)
}
