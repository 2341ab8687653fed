//! Who gets in: at the MPC port by a P2P key, at the others by an API key.

use std::collections::BTreeMap;

use key_material::{ApiKey, ApiKeyKind, Curve, P2pPrivateKey};
use stand_in::{CallFault, PeerFault, misled, stranger};

use crate::cluster::{Cluster, Node, request};

fn new_key() -> P2pPrivateKey {
    P2pPrivateKey::make(Curve::P256).unwrap()
}

#[tokio::test]
async fn nodes_know_each_other_by_their_keys() {
    let cluster = Cluster::start().await;
    let client = cluster.client();
    for node in &cluster.nodes {
        let called = client.call(node.index).await.unwrap();
        let others: BTreeMap<_, _> = node.peers.keys().map(|peer| (*peer, "ok".to_owned())).collect();
        assert_eq!((called.index, called.peers), (node.index, others));
        let status = client.status(node.index).await.unwrap();
        assert_eq!(status.fingerprint, node.key.public_key().fingerprint().to_string());
        assert_eq!((status.index, status.configured), (node.index, 1));
        assert_eq!((status.accepted_hashes, status.management_hashes), (1, 1));
    }
}

#[tokio::test]
async fn a_stranger_is_refused_by_every_node() {
    let cluster = Cluster::start().await;
    for node in &cluster.nodes {
        for curve in [Curve::P256, Curve::P384] {
            let key = P2pPrivateKey::make(curve).unwrap();
            let outcome = stranger(node.mpc(), &node.key.public_key(), &key).await;
            assert_eq!(outcome, Err(PeerFault::Refused), "node {}, {curve}", node.index);
        }
        // It is not the program that cannot get in, but the key.
        let peer = cluster.nodes.iter().find(|peer| peer.index != node.index).unwrap();
        assert_eq!(stranger(node.mpc(), &node.key.public_key(), &peer.key).await, Ok(node.index));
        node.noted("shows a key that is not expected").await;
    }
}

#[tokio::test]
async fn who_dials_refuses_a_server_with_another_key() {
    let cluster = Cluster::start().await;
    let [server, client, _] = &cluster.nodes[..] else { panic!("three nodes") };
    assert_eq!(misled(server.mpc(), &client.key).await, Err(PeerFault::AnotherKey));
    // Its own key was right: it is let in where the server's is expected.
    assert_eq!(stranger(server.mpc(), &server.key.public_key(), &client.key).await, Ok(server.index));
    server.noted("refuses this key").await;
}

#[tokio::test]
async fn a_peer_listed_with_another_key_is_reached_neither_way() {
    let another = new_key().public_key();
    let wrong = |nodes: &mut [Node]| nodes[0].peers.get_mut(&1).unwrap().1 = another.clone();
    let cluster = Cluster::start_with(wrong).await;
    let client = cluster.client();
    let outcomes = client.call(0).await.unwrap();
    assert_eq!(outcomes.peers[&1], PeerFault::AnotherKey.to_string());
    assert!(outcomes.reaches(2));
    let outcomes = client.call(1).await.unwrap();
    assert_eq!(outcomes.peers[&0], PeerFault::Refused.to_string());
    assert!(outcomes.reaches(2));
}

#[tokio::test]
async fn a_closed_port_is_told_from_a_refusal() {
    let mut cluster = Cluster::start().await;
    cluster.nodes[1].signal(nix::sys::signal::Signal::SIGTERM);
    cluster.nodes[1].ended().await;
    let [node, gone, _] = &cluster.nodes[..] else { panic!("three nodes") };
    let outcome = stranger(gone.mpc(), &gone.key.public_key(), &new_key()).await;
    assert_eq!(outcome, Err(PeerFault::NotConnected));
    let client = cluster.client();
    assert!(matches!(client.call(gone.index).await, Err(CallFault::NotConnected)));
    let called = client.call(node.index).await.unwrap();
    assert_eq!(called.peers[&gone.index], PeerFault::NotConnected.to_string());
}

#[tokio::test]
async fn a_call_takes_a_key_whose_hash_is_configured() {
    let cluster = Cluster::start().await;
    let node = &cluster.nodes[0];
    let another = ApiKey::make(ApiKeyKind::Application).unwrap();
    let (right, wrong) = (node.api_key.expose(), another.expose());
    for (authorization, status) in [
        (Some(format!("APIKEY {right}")), 200),
        (Some(format!("Bearer {right}")), 200),
        (Some(format!("APIKEY {wrong}")), 401),
        (Some(format!("Bearer {wrong}")), 401),
        (Some(format!("APIKEY {right}0")), 401),
        (Some(format!("APIKEY  {right}")), 401),
        (Some(format!("APIKEY {}", node.api_key.hash())), 401),
        (Some(format!("APIKEY {}", node.management_key.expose())), 401),
        (Some(format!("Basic {right}")), 401),
        (Some(right.to_owned()), 401),
        (Some("APIKEY ".to_owned()), 401),
        (None, 401),
    ] {
        let (answered, answer) = request(node.ports.sdk, "POST /call", authorization.as_deref());
        assert_eq!(answered, status, "{answer}");
        assert!(!answer.contains(right) && !answer.contains(wrong), "a key is repeated");
    }
    let wrong = cluster.client_with(BTreeMap::from([(0, wrong.to_owned())]));
    assert!(matches!(wrong.call(0).await, Err(CallFault::Refused)));
}

#[tokio::test]
async fn what_needs_no_key_is_answered_to_anybody() {
    let cluster = Cluster::start().await;
    let ports = cluster.nodes[0].ports;
    for port in [ports.sdk, ports.management.unwrap()] {
        let (status, answer) = request(port, "GET /ping", None);
        assert!(status == 200 && answer.ends_with("\r\n\r\npong"), "{answer}");
    }
    assert_eq!(request(ports.sdk, "GET /status", None).0, 200);
    assert_eq!(request(ports.sdk, "GET /call", None).0, 404);
    assert_eq!(request(ports.sdk, "GET /health", None).0, 404);
    assert_eq!(request(ports.management.unwrap(), "POST /call", None).0, 404);
}

#[tokio::test]
async fn the_management_port_takes_management_keys() {
    let cluster = Cluster::start().await;
    let node = &cluster.nodes[0];
    let health =
        |key: &str| request(node.ports.management.unwrap(), "GET /health", Some(&format!("APIKEY {key}"))).0;
    assert_eq!(health(node.management_key.expose()), 200);
    assert_eq!(health(node.api_key.expose()), 401);
    node.configure(&node.config().replace("\"HEALTH\", ", ""));
    node.signal(nix::sys::signal::Signal::SIGHUP);
    node.noted("took its configuration again").await;
    assert_eq!(health(node.management_key.expose()), 401, "a key that may not ask for it");
}

#[tokio::test]
async fn no_log_holds_a_secret() {
    let cluster = Cluster::start().await;
    let client = cluster.client();
    for node in &cluster.nodes {
        client.call(node.index).await.unwrap();
        let _ = stranger(node.mpc(), &node.key.public_key(), &new_key()).await;
        request(node.ports.sdk, "POST /call", Some(&format!("APIKEY {}", node.management_key.expose())));
        // A secret in the file is refused, and not shown.
        // EXPOSE: to a configuration that nobody should write.
        let key = node.key.expose_sec1_base64();
        node.configure(&node.config().replace("{{ env `P2P_KEY` }}", &key));
        node.signal(nix::sys::signal::Signal::SIGHUP);
        node.noted("goes on as it was").await;
        let log = node.log();
        for secret in node.secrets() {
            assert!(!log.contains(&secret), "node {}", node.index);
        }
        assert!(log.contains(&node.key.public_key().fingerprint().to_string()), "{log}");
    }
}
