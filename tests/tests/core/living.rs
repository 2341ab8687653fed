//! A Core Stack that lives: nodes come and go by stack updates, instances are replaced, a database login rotates,
//! and a client that calls without pause has no call that fails.

use anyhow::{Result, ensure};
use rig::core_stack::{indexes, parameters_of_kms_stack};
use stand_in::{Row, Status};

use crate::calling::{Calling, until};
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_come_and_go_by_stack_updates_and_no_call_fails() -> Result<()> {
    let mut stage = Stage::running(3, &[("DatabaseDeletionProtection", "false")]).await?;
    let before = stage.statuses(3).await?;
    let calling = Calling::start(stage.caller(3));

    // A fourth node: its keys first, then what runs it.
    update_kms_stack(&stage, 4).await?;
    let deployment = stage.deployment.clone();
    let updated = deployment.clone().with("Nodes", &indexes(4)).update().await?;
    stage.core = updated;
    let changes = stage.instances.follow().await?;
    ensure!(changes.started == [3].into() && changes.ended.is_empty(), "{changes:?}");
    stage.instances.wait_until_up(3)?;
    stage.wait_until_whole(4).await?;
    // Who was there runs on, on the instance it was on; it may have been told of the new one by another start.
    same_nodes(&before, &stage.statuses(3).await?)?;

    // It goes again: what runs it first, then its keys.
    stage.core = deployment.with("Nodes", &indexes(3)).update().await?;
    let changes = stage.instances.follow().await?;
    ensure!(changes.ended == [3].into() && changes.started.is_empty(), "{changes:?}");
    update_kms_stack(&stage, 3).await?;
    stage.wait_until_whole(3).await?;
    same_nodes(&before, &stage.statuses(3).await?)?;

    calling.end().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_instance_is_the_same_node_and_a_rotated_login_is_used_and_no_call_fails() -> Result<()> {
    let mut stage = Stage::running(3, &[]).await?;
    let before = stage.statuses(3).await?;
    let calling = Calling::start(stage.caller(3));

    let group = stage.instances.groups()[&1].clone();
    let ended = stage.instances.terminate(1)?;
    let changes = stage.instances.follow().await?;
    ensure!(changes.started == [1].into() && changes.ended.is_empty(), "{changes:?}");
    stage.instances.wait_until_up(1)?;
    ensure!(stage.instances.instance(1)?.id != ended, "it is the same instance");
    ensure!(stage.instances.groups()[&1].role == group.role, "it has another role");
    stage.wait_until_whole(3).await?;
    let after = stage.statuses(3).await?;
    same_nodes(&before, &after)?;
    ensure!(after[1].started != before[1].started, "nothing was replaced");

    // A database login.
    let before_login = login(&before[0]);
    let secret = stage.login_secret(0)?;
    let version = rig::rotating::begin(&stage.root, &secret).await?;
    rig::rotating::wait(&stage.root, &[(secret.as_str(), version.as_str())], async || Ok(())).await?;
    until("node 0 uses its new login", 60, async || {
        let found = stage.statuses(3).await;
        Ok(found.is_ok_and(|found| login(&found[0]).is_some_and(|login| Some(login) != before_login)))
    })
    .await?;
    stage.wait_until_whole(3).await?;
    let after = stage.statuses(3).await?;
    same_nodes(&before, &after)?;
    ensure!(login(&after[2]) == login(&before[2]), "another node's login has changed");

    calling.end().await?;
    Ok(())
}

async fn update_kms_stack(stage: &Stage, nodes: u32) -> Result<()> {
    let parameters = parameters_of_kms_stack(nodes);
    let parameters = parameters.iter().map(|(name, value)| (*name, value.as_str()));
    stage.kms_deployment.clone().with_all(parameters).update().await?;
    Ok(())
}

/// These nodes have the keys and the rows in their databases that they had before.
fn same_nodes(before: &[Status], after: &[Status]) -> Result<()> {
    for (before, after) in before.iter().zip(after) {
        ensure!(before.index == after.index && before.fingerprint == after.fingerprint, "{after:?}");
        ensure!(row(before).is_some() && row(before) == row(after), "{before:?} has become {after:?}");
    }
    Ok(())
}

/// A node's own row in its database.
fn row(status: &Status) -> Option<&Row> {
    status.database.as_ref()?.row.as_ref()
}

/// Whom a node is logged in as.
fn login(status: &Status) -> Option<&str> {
    status.database.as_ref().filter(|database| database.is_connected)?.user.as_deref()
}
