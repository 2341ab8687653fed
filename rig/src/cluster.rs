//! A cluster as its readers see it: the roster and the records, every signature checked.

use std::collections::BTreeMap;

use anyhow::Context as _;
use provisioning::names::{ClusterName, NodeIndex, ParameterName};
use provisioning::record::NodeRecord;
use provisioning::roster::RosterIndex;
use provisioning::signed::PinnedKeys;

use crate::cloud::Cloud;

/// What a cluster has published.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Published {
    /// The roster's index.
    pub index: RosterIndex,
    /// The records of the nodes that the roster lists.
    pub records: BTreeMap<NodeIndex, NodeRecord>,
}

/// Reads what a cluster has published, as a node would: against the pinned key `signer`.
///
/// # Errors
///
/// When something is not there, or does not check out.
pub async fn read(cloud: &Cloud, cluster: &ClusterName, signer: &str) -> anyhow::Result<Published> {
    let keys = pin(cloud, signer).await?;
    let index = document(cloud, &cluster.roster_index_parameter()).await?;
    let index = RosterIndex::verify(&index, &keys, cluster).context("the roster's index")?;
    let mut pages = Vec::new();
    for page in 0..index.pages {
        pages.push(document(cloud, &cluster.roster_page_parameter(index.serial, page)).await?);
    }
    let mut records = BTreeMap::new();
    for entry in index.entries(&pages)? {
        let text = document(cloud, &cluster.record_parameter(entry.index)).await?;
        let record = NodeRecord::verify(&text, &keys, cluster, entry.index, 0);
        let record = record.with_context(|| format!("the record of node {}", entry.index))?;
        anyhow::ensure!(
            record.fingerprint == entry.fingerprint,
            "the roster lists another key for node {}",
            entry.index
        );
        records.insert(entry.index, record);
    }
    Ok(Published { index, records })
}

/// Pins the public half of the key that signs.
///
/// # Errors
///
/// When KMS does not give it.
pub async fn pin(cloud: &Cloud, signer: &str) -> anyhow::Result<PinnedKeys> {
    let answer =
        cloud.kms().get_public_key().key_id(signer).send().await.context("asking for the verifying key")?;
    let spki = answer.public_key.context("KMS gave no public key")?;
    Ok(PinnedKeys::default().pin(signer, spki.as_ref())?)
}

/// Reads one public document.
///
/// # Errors
///
/// When it is not there.
pub async fn document(cloud: &Cloud, name: &ParameterName) -> anyhow::Result<String> {
    let answer = cloud.parameters().get_parameter().name(name.as_str()).send().await;
    let parameter = answer.with_context(|| format!("reading {name}"))?.parameter;
    parameter.and_then(|parameter| parameter.value).with_context(|| format!("{name} has no value"))
}
