//! What a signal does to a node, and what it leaves alone.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use key_material::{ApiKey, ApiKeyKind, Curve, P2pPrivateKey};
use nix::sys::signal::Signal;
use stand_in::{CallFault, PeerFault, stranger};

use crate::cluster::Cluster;

/// Asks for `/ping` on a connection that stays.
fn ping(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(b"GET /ping HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"pong") {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "the connection ended");
        answer.push(byte[0]);
    }
}

#[tokio::test]
async fn sighup_accepts_the_hashes_of_the_configuration_as_it_is_then() {
    let mut cluster = Cluster::start().await;
    let new = ApiKey::make(ApiKeyKind::Application).unwrap();
    let with_new = cluster.client_with(BTreeMap::from([(0, new.expose().to_owned())]));
    let with_old = cluster.client();
    assert!(matches!(with_new.call(0).await, Err(CallFault::Refused)));
    let mut open = TcpStream::connect((Ipv4Addr::LOCALHOST, cluster.nodes[0].ports.sdk)).unwrap();
    ping(&mut open);
    let pid = with_old.status(0).await.unwrap().pid;

    // Both, as a rotation has it.
    let node = &mut cluster.nodes[0];
    node.hashes.push(new.hash());
    node.configure(&node.config());
    assert!(matches!(with_new.call(0).await, Err(CallFault::Refused)), "a file alone changes nothing");
    node.signal(Signal::SIGHUP);
    node.noted("took its configuration again").await;
    assert!(with_new.call(0).await.is_ok() && with_old.call(0).await.is_ok());
    let status = with_new.status(0).await.unwrap();
    assert_eq!((status.accepted_hashes, status.configured, status.pid), (2, 2, pid));

    // And then the new one alone.
    node.hashes.remove(0);
    node.configure(&node.config());
    node.signal(Signal::SIGHUP);
    while with_new.status(0).await.unwrap().configured < 3 {
        crate::cluster::pause().await;
    }
    assert!(matches!(with_old.call(0).await, Err(CallFault::Refused)));
    assert!(with_new.call(0).await.is_ok());
    ping(&mut open);
}

#[tokio::test]
async fn sighup_swaps_whom_the_other_nodes_are_expected_to_be() {
    let mut cluster = Cluster::start().await;
    let new = P2pPrivateKey::make(Curve::P256).unwrap();
    let (address, expected) = (cluster.nodes[0].mpc(), cluster.nodes[0].key.public_key());
    assert_eq!(stranger(address, &expected, &new).await, Err(PeerFault::Refused));

    let node = &mut cluster.nodes[0];
    node.peers.get_mut(&1).unwrap().1 = new.public_key();
    node.configure(&node.config());
    node.signal(Signal::SIGHUP);
    node.noted("took its configuration again").await;
    assert_eq!(stranger(address, &expected, &new).await, Ok(0));
    let old = stranger(address, &expected, &cluster.nodes[1].key).await;
    assert_eq!(old, Err(PeerFault::Refused));
    let called = cluster.client().call(0).await.unwrap();
    assert_eq!(called.peers[&1], PeerFault::AnotherKey.to_string());
}

#[tokio::test]
async fn a_configuration_that_is_none_changes_nothing() {
    let cluster = Cluster::start().await;
    let node = &cluster.nodes[0];
    let right = node.config();
    let other_port = right.replace(
        &format!("Port = {}", node.ports.management.unwrap()),
        &format!("Port = {}", node.ports.sdk),
    );
    let other_node = right.replace("Index = 0", "Index = 7");
    for (text, words) in [
        ("[Player", "goes on as it was: the configuration is refused: line 1:"),
        ("", "goes on as it was: the configuration is refused: line 1: missing field `Player`"),
        (&other_node, "goes on as it was: the configuration changes the node's index"),
        (&other_port, "goes on as it was: the configuration changes a port"),
    ] {
        node.configure(text);
        node.signal(Signal::SIGHUP);
        node.noted(words).await;
        let called = cluster.client().call(0).await.unwrap();
        assert!(called.reaches(1) && called.reaches(2), "{text}");
    }
    assert_eq!(cluster.client().status(0).await.unwrap().configured, 1);
}

#[tokio::test]
async fn sigterm_ends_it_within_a_second_whoever_is_connected() {
    let mut cluster = Cluster::start().await;
    let node = &mut cluster.nodes[0];
    let mut idle = TcpStream::connect((Ipv4Addr::LOCALHOST, node.ports.sdk)).unwrap();
    ping(&mut idle);
    // Half a request, and half a handshake.
    let mut slow = TcpStream::connect((Ipv4Addr::LOCALHOST, node.ports.sdk)).unwrap();
    slow.write_all(b"GET /ping HTTP/1.1\r\n").unwrap();
    let _silent = TcpStream::connect(node.mpc()).unwrap();

    let asked = Instant::now();
    node.signal(Signal::SIGTERM);
    assert_eq!(node.ended().await.code(), Some(0), "{}", node.log());
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    for port in [node.ports.mpc, node.ports.sdk, node.ports.management.unwrap()] {
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err(), "{port} is still open");
    }
}

#[tokio::test]
async fn sigabrt_is_left_alone() {
    use std::os::unix::process::ExitStatusExt as _;
    let mut cluster = Cluster::start().await;
    cluster.nodes[0].signal(Signal::SIGABRT);
    assert_eq!(cluster.nodes[0].ended().await.signal(), Some(Signal::SIGABRT as i32));
}
