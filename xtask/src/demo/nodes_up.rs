//! `cargo xtask demo --nodes-up`: stand-in nodes run with the cluster's keys, each under keyboot-node with a
//! role of its own; they know each other, and accept their client. They are no TSM.

use anyhow::{Context as _, ensure};
use key_material::{ApiKey, ApiKeyKind, Curve, P2pPrivateKey};
use provisioning::names::ClusterName;
use rig::cloud::Cloud;
use rig::cluster::Published;
use rig::nodes::{How, Nodes, as_client};
use rig::stack::Deployed;
use stand_in::{CallFault, Client, PeerFault};
use zeroize::Zeroizing;

use super::table;
use crate::terminal::{headline, say, step};

/// Whose client calls.
const APPLICATION: &str = "default";
/// How many nodes have to agree.
const THRESHOLD: usize = 2;

/// Starts the nodes, shows that they know whom they should and refuse whom they should not, and ends them.
pub(super) async fn show(
    cloud: &Cloud,
    stack: &Deployed,
    cluster: &ClusterName,
    published: &Published,
) -> anyhow::Result<()> {
    headline("Stand-in nodes run with these keys (they are no TSM)");
    let indexes: Vec<u32> = published.records.keys().map(|index| index.get()).collect();
    let most = indexes.iter().max().context("no nodes")? + 1;
    let mut nodes = Nodes::of(cloud, stack, cluster, most, How::MemoryFile).await?;
    for &index in &indexes {
        nodes.start(stack, index).await?;
        say(&format!("  node {index} is up: keyboot-node fetched its keys, and became it"));
    }
    let reader = as_client(cloud, cluster, APPLICATION).await?;
    let ports = || indexes.iter().map(|index| (*index, nodes.ports()[index].sdk));
    let client = Client::new(ports(), reader);

    let mut rows = table(["node", "process", "fingerprint", "accepts its client", "knows its peers (TLS)"]);
    for &index in &indexes {
        let (status, called) = (client.status(index).await?, client.call(index).await?);
        ensure!(called.peers.len() + 1 == indexes.len(), "node {index} knows {} peers", called.peers.len());
        ensure!(indexes.iter().all(|peer| *peer == index || called.reaches(*peer)), "{called:?}");
        let reached = called.peers.iter().map(|(peer, outcome)| format!("{peer}: {outcome}"));
        let reached = reached.collect::<Vec<_>>().join(", ");
        rows.add_row([
            index.to_string(),
            status.pid.to_string(),
            status.fingerprint,
            "yes".to_owned(),
            reached,
        ]);
    }
    say(&rows.to_string());
    let quorum = client.quorum_call(THRESHOLD).await;
    ensure!(quorum.is_ok(), "{quorum:?}");

    let stranger_key = ApiKey::make(ApiKeyKind::Application)?;
    // EXPOSE: to a node that has to refuse it.
    let text = Zeroizing::new(stranger_key.expose().to_owned());
    let with_wrong = Client::new(ports(), move |_| {
        let text = text.clone();
        async move { Ok(text) }
    });
    let refused = with_wrong.call(indexes[0]).await;
    ensure!(matches!(refused, Err(CallFault::Refused)), "{refused:?}");
    say("  a wrong API key: refused");

    let (first, record) = published.records.first_key_value().context("no nodes")?;
    let address = ([127, 0, 0, 1], nodes.ports()[&first.get()].mpc).into();
    let stranger = P2pPrivateKey::make(Curve::P256)?;
    let refused = stand_in::stranger(address, &record.public_key, &stranger).await;
    ensure!(refused == Err(PeerFault::Refused), "{refused:?}");
    say("  a stranger with a key that nobody published: refused");
    step("the nodes ended", || {
        drop(nodes);
        Ok(())
    })
}
