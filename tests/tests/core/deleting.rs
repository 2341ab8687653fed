//! The end of a Core Stack: key shares and database secrets stay, and what stays is told.

use anyhow::{Context as _, Result, ensure};
use rig::core_stack::left_behind;
use serde_json::json;

use crate::stage::{Stage, cluster, resources};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_stack_leaves_key_shares_and_database_secrets_and_says_so() -> Result<()> {
    let stage = Stage::set(1, &[]).await?;
    let database = stage.of_node("AWS::RDS::DBInstance", 0).await?;
    let login = stage.login_secret(0)?;
    let value = stage.value(&login).await?;
    let key = stage.core.output("StorageKeyArn")?.to_owned();

    // Protected, which is the default: nothing of the database goes.
    stage.deployment.begin_delete().await?;
    let refused = stage.deployment.wait(&stage.core.id, |_| ()).await?;
    ensure!(refused.status == "DELETE_FAILED", "{}", refused.status);
    let reasons = refused.reasons().join("\n");
    ensure!(reasons.contains("Database0") && reasons.to_lowercase().contains("protect"), "{reasons}");
    let shown = stage.ask("rds", "describe_db_instances", &json!({"DBInstanceIdentifier": database}))?;
    ensure!(shown["DBInstances"][0]["DBInstanceStatus"] == "available", "{shown}");
    ensure!(stage.value(&login).await? == value, "the login has changed");

    // As the guide says it: protection off, and again.
    let off =
        json!({"DBInstanceIdentifier": database, "DeletionProtection": false, "ApplyImmediately": true});
    stage.ask("rds", "modify_db_instance", &off)?;
    let deleted = stage.deployment.delete(&stage.core.id).await?;
    ensure!(deleted.status == "DELETE_COMPLETE", "{}", deleted.status);
    let snapshots = stage.ask("rds", "describe_db_snapshots", &json!({}))?;
    let snapshots = snapshots["DBSnapshots"].as_array().context("no list")?;
    ensure!(snapshots.len() == 1, "{snapshots:?}");
    ensure!(snapshots[0]["DBInstanceIdentifier"] == database.as_str(), "{snapshots:?}");
    ensure!(stage.value(&login).await? == value, "the login is gone");
    let described =
        stage.root.kms().describe_key().key_id(&key).send().await?.key_metadata.context("no key")?;
    ensure!(described.enabled && described.deletion_date.is_none(), "{described:?}");
    // What stays is in the stack's own events, and was said by an output before.
    let said = stage.core.output("WhatStays")?;
    ensure!(["snapshot", "storage key", "logins"].iter().all(|what| said.contains(what)), "{said}");
    let left = left_behind(&deleted);
    for resource in ["StorageKey", "LoginSecret0", "NodeLogGroup0"] {
        ensure!(left.contains_key(resource), "{resource} is not told to stay: {left:?}");
    }
    // Nothing of the KMS Stack has changed.
    let p2p_key = format!("{}/node/0/p2p-key", cluster());
    ensure!(stage.root.secrets().describe_secret().secret_id(p2p_key).send().await?.deleted_date.is_none());
    ensure!(!resources(&stage.root, &stage.kms.id, "AWS::KMS::Key").await?.is_empty());
    Ok(())
}
