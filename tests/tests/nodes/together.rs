//! Three nodes that know each other, by any delivery.

use anyhow::{Result, ensure};
use key_material::{Curve, P2pPrivateKey};
use rig::nodes::How;
use stand_in::{ApiKeys as _, PeerFault};

use crate::calling::THRESHOLD;
use crate::stage::{Stage, cluster};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_reach_each_other_by_variables() -> Result<()> {
    Box::pin(together(How::Environment)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_reach_each_other_by_memory_files() -> Result<()> {
    Box::pin(together(How::MemoryFile)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_reach_each_other_by_private_files() -> Result<()> {
    Box::pin(together(How::PrivateFile)).await
}

async fn together(how: How) -> Result<()> {
    let stage = Stage::set(how, [("ManagementKey", "true")]).await?;
    let client = stage.caller(3);
    for index in 0..3 {
        let called = client.call(index).await?;
        ensure!(called.peers.len() == 2 && called.peers.values().all(|peer| peer == "ok"), "{called:?}");
    }
    let quorum = client.quorum_call(THRESHOLD).await;
    ensure!(quorum.is_ok(), "{quorum:?}");
    // Another node's key is a wrong one.
    let ports = stage.nodes.ports();
    let wrong = stage.client.api_key(1).await?;
    let with_wrong = stand_in::Client::new([(0, ports[&0].sdk)], move |_| {
        let wrong = wrong.clone();
        async move { Ok(wrong) }
    });
    let refused = with_wrong.call(0).await;
    ensure!(matches!(refused, Err(stand_in::CallFault::Refused)), "{refused:?}");
    // And a stranger's key, among peers.
    let published = rig::cluster::read(&stage.root, &cluster(), stage.stack.output("RecordKeyArn")?).await?;
    let (expected, stranger) =
        (&published.records[&"0".parse()?].public_key, P2pPrivateKey::make(Curve::P256)?);
    let refused = stand_in::stranger(([127, 0, 0, 1], ports[&0].mpc).into(), expected, &stranger).await;
    ensure!(refused == Err(PeerFault::Refused), "{refused:?}");
    Ok(())
}
