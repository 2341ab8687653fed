//! A cluster that lives: keys rotate, nodes come, go and die, the store is away, and a client that calls
//! without pause has no call that fails. A command is started again where it has to be, and nowhere else.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use provisioning::names::Purpose;
use rig::nodes::{How, Nodes};
use rig::rotating;
use stand_in::Status;

use crate::calling::{Calling, until};
use crate::stage::{Stage, cluster, parameters};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_rotate_and_no_call_fails() -> Result<()> {
    let stage = Stage::set(
        How::MemoryFile,
        [
            ("RotateApiKeysEvery", "rate(30 days)"),
            ("RotateP2pKeysEvery", "rate(90 days)"),
            ("CutOverMinutes", "5"),
        ],
    )
    .await?;
    let before = stage.statuses(3).await?;
    let calling = Calling::start(stage.caller(3));

    // An API key: its node reads the configuration again, and nobody is started again.
    rotate(&stage, 0, "api-key/default").await?;
    until("node 0 accepts both keys", 20, async || Ok(stage.statuses(3).await?[0].accepted_hashes == 2))
        .await?;
    let client = stage.caller(3);
    until("the key that is handed out is accepted by all", 20, async || {
        Ok(client.call(0).await.is_ok() && client.call(1).await.is_ok() && client.call(2).await.is_ok())
    })
    .await?;
    assert_started_again(&before, &stage.statuses(3).await?, &[])?;

    // A P2P key: nothing changes before its time; then its node is started again, and the others are not.
    rotate(&stage, 2, "p2p-key").await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let waiting = stage.statuses(3).await?;
    assert_started_again(&before, &waiting, &[])?;
    ensure!(waiting[2].fingerprint == before[2].fingerprint, "the key counts before its time");
    stage.wait_for_the_cut_over_of(2).await?;
    until("node 2 runs with its new key", 60, async || {
        let found = stage.statuses(3).await;
        Ok(found.is_ok_and(|found| found[2].fingerprint != before[2].fingerprint))
    })
    .await?;
    until("all reach each other", 20, async || reach_each_other(&stage, 3).await).await?;
    assert_started_again(&before, &stage.statuses(3).await?, &[2])?;

    calling.end().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_come_go_and_die_and_the_store_is_away_and_no_call_fails() -> Result<()> {
    let mut stage = Stage::set(How::Environment, [("ManagementKey", "true")]).await?;
    let before = stage.statuses(3).await?;
    let calling = Calling::start(stage.caller(3));

    // A fourth node: the others learn of it as they run.
    stage.stack = update(&stage, 4).await?;
    stage.nodes.start(&stage.stack, 3).await?;
    until("all four reach each other", 30, async || reach_each_other(&stage, 4).await).await?;
    assert_started_again(&before, &stage.statuses(3).await?, &[])?;

    // It goes again.
    stage.nodes.stop(3)?;
    stage.stack = update(&stage, 3).await?;
    let client = stage.caller(3);
    until("the others know it no more", 30, async || {
        let mut calls = Vec::new();
        for index in 0..3 {
            calls.push(client.call(index).await);
        }
        Ok(calls.iter().all(|call| call.as_ref().is_ok_and(|called| !called.peers.contains_key(&3))))
    })
    .await?;
    assert_started_again(&before, &stage.statuses(3).await?, &[])?;

    // One dies, and comes back with the same key.
    kill(Pid::from_raw(i32::try_from(before[1].pid)?), Signal::SIGKILL)?;
    until("node 1 is back", 30, async || {
        let found = stage.statuses(3).await;
        Ok(found.is_ok_and(|found| {
            found[1].pid != before[1].pid && found[1].fingerprint == before[1].fingerprint
        }))
    })
    .await?;
    until("all reach each other", 20, async || reach_each_other(&stage, 3).await).await?;
    let after = stage.statuses(3).await?;
    assert_started_again(&before, &after, &[1])?;

    // The store is away: what runs goes on, and what dies comes back afterwards.
    stage.gate.shut();
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_started_again(&after, &stage.statuses(3).await?, &[])?;
    ensure!(stage.log(0).contains("what runs goes on"), "{}", stage.log(0));
    kill(Pid::from_raw(i32::try_from(after[0].pid)?), Signal::SIGKILL)?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    ensure!(stage.nodes.status(0).is_err(), "a node has started without its store");
    stage.gate.open();
    until("node 0 is back", 90, async || {
        Ok(stage.statuses(3).await.is_ok_and(|found| found[0].fingerprint == before[0].fingerprint))
    })
    .await?;
    until("all reach each other", 20, async || reach_each_other(&stage, 3).await).await?;
    assert_started_again(&after, &stage.statuses(3).await?, &[0])?;

    calling.end().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_that_do_not_reload_start_again_in_turns_and_no_call_fails() -> Result<()> {
    let rotating = [
        ("RotateApiKeysEvery", "rate(30 days)"),
        ("RotateP2pKeysEvery", "rate(90 days)"),
        ("CutOverMinutes", "5"),
    ];
    let stage = Stage::set_with(How::MemoryFile, rotating, Nodes::without_reloads).await?;
    let before = stage.statuses(3).await?;
    let calling = Calling::start(stage.caller(3));

    // An API key concerns its own node.
    rotate(&stage, 1, "api-key/default").await?;
    until("node 1 accepts both keys", 40, async || {
        Ok(stage.statuses(3).await.is_ok_and(|found| found[1].accepted_hashes == 2))
    })
    .await?;
    until("all reach each other", 20, async || reach_each_other(&stage, 3).await).await?;
    let between = stage.statuses(3).await?;
    assert_started_again(&before, &between, &[1])?;

    // A P2P key concerns all, and each is started again once.
    rotate(&stage, 0, "p2p-key").await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_started_again(&between, &stage.statuses(3).await?, &[])?;
    stage.wait_for_the_cut_over_of(0).await?;
    until("each runs anew", 60, async || {
        let found = stage.statuses(3).await;
        Ok(found.is_ok_and(|found| found.iter().zip(&between).all(|(found, before)| found.pid != before.pid)))
    })
    .await?;
    until("all reach each other", 20, async || reach_each_other(&stage, 3).await).await?;
    let after = stage.statuses(3).await?;
    ensure!(after[0].fingerprint != before[0].fingerprint, "node 0 runs with its old key");
    let mut starts: Vec<_> = after.iter().map(|status| (status.started, status.index)).collect();
    starts.sort_unstable();
    ensure!(starts[1].1 == 0, "whose key it is was not in the middle: {starts:?}");
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_started_again(&after, &stage.statuses(3).await?, &[])?;

    calling.end().await?;
    Ok(())
}

async fn update(stage: &Stage, nodes: u32) -> Result<rig::stack::Deployed> {
    let parameters = parameters(nodes);
    let parameters = parameters.iter().map(|(name, value)| (*name, value.as_str()));
    stage.deployment.clone().with_all(parameters).update().await
}

async fn rotate(stage: &Stage, index: u32, purpose: &str) -> Result<()> {
    let purpose: Purpose = purpose.parse()?;
    let name = cluster().secret_name(index.to_string().parse()?, &purpose);
    let version = rotating::begin(&stage.root, name.as_str()).await?;
    rotating::wait(&stage.root, &[(name.as_str(), version.as_str())], async || Ok(())).await
}

async fn reach_each_other(stage: &Stage, count: u32) -> Result<bool> {
    let client = stage.caller(count);
    for index in 0..count {
        let reaches = |called: stand_in::Called| (0..count).all(|peer| peer == index || called.reaches(peer));
        if !client.call(index).await.is_ok_and(reaches) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// These nodes, and no others, have another process than before.
fn assert_started_again(before: &[Status], after: &[Status], expected: &[u32]) -> Result<()> {
    let again: BTreeSet<u32> = before
        .iter()
        .zip(after)
        .filter(|(before, after)| before.pid != after.pid)
        .map(|(before, _)| before.index)
        .collect();
    ensure!(again == expected.iter().copied().collect(), "started again: {again:?}, not {expected:?}");
    after.get(..before.len()).context("a node is missing").map(|_| ())
}
