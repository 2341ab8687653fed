//! A cluster is used with as many of its nodes as a threshold asks for.

use std::collections::BTreeMap;
use std::future::ready;

use key_material::{ApiKey, ApiKeyKind};
use nix::sys::signal::Signal;
use stand_in::{CallFault, Client};

use crate::cluster::Cluster;

#[tokio::test]
async fn a_cluster_that_is_whole_has_a_quorum_of_all() {
    let cluster = Cluster::start().await;
    let quorum = cluster.client().quorum_call(3).await.unwrap();
    assert_eq!(quorum.nodes.into_iter().collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(cluster.client().quorum_call(2).await.unwrap().nodes.len(), 2);
}

#[tokio::test]
async fn a_node_that_is_down_is_missed_only_where_all_are_needed() {
    let mut cluster = Cluster::start().await;
    cluster.nodes[1].signal(Signal::SIGTERM);
    cluster.nodes[1].ended().await;
    let quorum = cluster.client().quorum_call(2).await.unwrap();
    assert_eq!(quorum.nodes.into_iter().collect::<Vec<_>>(), [0, 2]);
    assert!(matches!(quorum.outcomes[&1], Err(CallFault::NotConnected)));
    let fault = cluster.client().quorum_call(3).await.unwrap_err();
    assert!(matches!(fault.outcomes[&1], Err(CallFault::NotConnected)), "{fault}");
    assert!(fault.to_string().starts_with("3 nodes are needed, and 2 accepted their API keys;"), "{fault}");
}

#[tokio::test]
async fn a_key_that_is_refused_is_missed_only_where_all_are_needed() {
    let cluster = Cluster::start().await;
    let another = ApiKey::make(ApiKeyKind::Application).unwrap();
    let client = cluster.client_with(BTreeMap::from([(2, another.expose().to_owned())]));
    let quorum = client.quorum_call(2).await.unwrap();
    assert_eq!(quorum.nodes.into_iter().collect::<Vec<_>>(), [0, 1]);
    assert!(matches!(quorum.outcomes[&2], Err(CallFault::Refused)));
    let fault = client.quorum_call(3).await.unwrap_err();
    assert!(fault.to_string().contains("node 2: it refuses the API key"), "{fault}");
    assert!(!format!("{fault:?}").contains(another.expose()));
}

#[tokio::test]
async fn nodes_that_accept_their_keys_and_do_not_know_each_other_are_no_quorum() {
    let cluster = Cluster::start_with(|nodes| {
        for node in nodes {
            node.peers.clear();
        }
    })
    .await;
    let fault = cluster.client().quorum_call(2).await.unwrap_err();
    let words = "3 nodes accepted their API keys, and no 2 of them reach each other";
    assert_eq!(fault.to_string(), words);
}

#[tokio::test]
async fn a_key_that_cannot_be_had_is_told_from_one_that_is_refused() {
    let client = Client::new([(0, 1)], |_| ready(Err(anyhow::anyhow!("the store is away"))));
    let fault = client.call(0).await.unwrap_err();
    assert_eq!(fault.to_string(), "there is no API key for it: the store is away");
}
