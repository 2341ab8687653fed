//! A cluster whose secrets are in Parameter Store: made, read by its nodes and by nobody else, let go of.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use aws_sdk_ssm::types::ResourceTypeForTagging;
use provisioning::ownership::DELETE_AFTER_TAG;
use rig::stack::Deployed;
use serde_json::Value;

use crate::permissions::Verdict::{Allowed, Denied};
use crate::permissions::{ACCOUNT, Table, as_node};
use crate::support::{Aws, counting};

async fn deployed(aws: &Aws) -> Result<(rig::stack::Deployment, Deployed)> {
    let roles = format!("0={ACCOUNT}:role/node-0,1={ACCOUNT}:role/node-1");
    aws.deploy([("Store", "ParameterStore"), ("Nodes", "0,1"), ("ReaderPrincipals", roles.as_str())]).await
}

#[tokio::test]
async fn a_cluster_in_parameter_store_is_read_by_its_nodes_and_goes_by_its_tags() -> Result<()> {
    let aws = Aws::start()?;
    let (stack, kms) = deployed(&aws).await?;
    let published = aws.published(&kms).await?;
    let in_secrets_manager = aws.root.secrets().list_secrets().send().await?;
    assert_eq!(in_secrets_manager.secret_list().len(), 0, "secrets in the other store");

    let clouds = [as_node(&aws, &kms, 0).await?, as_node(&aws, &kms, 1).await?];
    let mut table = Table::default();
    for (me, other) in [(0_usize, 1_u32), (1, 0)] {
        for record in published.records.values() {
            for (purpose, version) in counting(record) {
                assert_eq!(version, "1", "{purpose} of node {}", record.index);
                let is_own = record.index.get() != other && purpose.is_read_by_the_node();
                let name = record.cluster.secret_name(record.index, &purpose);
                let read = clouds[me].parameters().get_parameter().with_decryption(true);
                let read = read.name(format!("/{name}:{version}")).send().await;
                if let (Ok(read), true) = (&read, is_own) {
                    let value = read.parameter.as_ref().and_then(|parameter| parameter.value.as_deref());
                    let stored: Value = serde_json::from_str(value.context("no value")?)?;
                    assert_eq!(stored["kind"], purpose.to_string().as_str());
                }
                table.row(if is_own { Allowed } else { Denied }, format!("node {me} reads {name}"), read);
            }
        }
    }
    table.holds()?;

    stack.delete(&kms.id).await?;
    for (name, tags) in tags_of_secrets(&aws, &published.records.values().collect::<Vec<_>>()).await? {
        let is_scheduled = tags.contains_key(DELETE_AFTER_TAG);
        assert_eq!(is_scheduled, !name.ends_with("share-encryption-password"), "{name}: {tags:?}");
    }
    Ok(())
}

async fn tags_of_secrets(
    aws: &Aws,
    records: &[&provisioning::record::NodeRecord],
) -> Result<BTreeMap<String, BTreeMap<String, String>>> {
    let mut found = BTreeMap::new();
    for record in records {
        for purpose in counting(record).into_keys() {
            let name = format!("/{}", record.cluster.secret_name(record.index, &purpose));
            let call = aws.root.parameters().list_tags_for_resource();
            let call = call.resource_type(ResourceTypeForTagging::Parameter).resource_id(&name);
            let tags = call.send().await.with_context(|| format!("the tags of {name}"))?;
            let tags = tags.tag_list.unwrap_or_default();
            found.insert(name, tags.into_iter().map(|tag| (tag.key, tag.value)).collect());
        }
    }
    Ok(found)
}
