//! What a node starts with, and what it refuses.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::process::Command;

use key_material::{Curve, P2pPrivateKey};
use nix::sys::memfd::{MFdFlags, memfd_create};
use stand_in::{Config, PeerFault, stranger};

use crate::cluster::{Cluster, Node, PASSWORD};

/// What must not be repeated.
const CANARY: &str = "canary-7f3a";

/// Reads a configuration with a node's secrets in the environment, and gives the refusal.
fn refusal(node: &Node, text: &str) -> String {
    // EXPOSE: to the parser.
    let key = node.key.expose_sec1_base64();
    let variables = move |variable: &str| match variable {
        "P2P_KEY" => Some(key.as_str().into()),
        "SHARE_PASSWORD" => Some(PASSWORD.into()),
        "CANARY" => Some(CANARY.into()),
        "EMPTY" => Some(OsString::new()),
        _ => None,
    };
    match Config::parse(text, &variables) {
        Ok(_) => panic!("this passed:\n{text}"),
        Err(fault) => fault.to_string(),
    }
}

#[tokio::test]
async fn secrets_may_be_in_files_and_in_memory_files() {
    let mut cluster = Cluster::start().await;
    // EXPOSE: to the process of a node, by a file of this test and by its memory.
    let key = cluster.nodes[0].key.expose_sec1_base64();
    let on_disk = cluster.file("key", &key);
    let mut in_memory = std::fs::File::from(memfd_create(c"password", MFdFlags::empty()).unwrap());
    in_memory.write_all(PASSWORD.as_bytes()).unwrap();
    // The same number stands for it in the node, which inherits it.
    let in_memory_path = format!("/proc/self/fd/{}", in_memory.as_raw_fd());

    let node = &mut cluster.nodes[0];
    node.signal(nix::sys::signal::Signal::SIGTERM);
    node.ended().await;
    node.start_with(&[("P2P_KEY_FILE", on_disk.to_str().unwrap()), ("SHARE_PASSWORD_FILE", &in_memory_path)]);
    node.noted("started with").await;
    let expected = node.key.public_key();
    let peer = &cluster.nodes[1];
    assert_eq!(stranger(cluster.nodes[0].mpc(), &expected, &peer.key).await, Ok(0));
    assert!(cluster.client().call(0).await.unwrap().reaches(1));

    // What it holds open of them is read again, too.
    cluster.nodes[0].signal(nix::sys::signal::Signal::SIGHUP);
    cluster.nodes[0].noted("took its configuration again").await;
}

#[tokio::test]
async fn a_node_whose_variable_is_not_set_does_not_start_and_names_it() {
    let mut cluster = Cluster::make();
    let node = &mut cluster.nodes[0];
    node.start_with(&[("SHARE_PASSWORD", PASSWORD)]);
    assert_eq!(node.ended().await.code(), Some(1));
    assert_eq!(
        node.log(),
        "stand-in: the configuration is refused: neither P2P_KEY nor P2P_KEY_FILE is set in the environment\n"
    );

    node.start_with(&[("P2P_KEY_FILE", "/proc/self/fd/999"), ("SHARE_PASSWORD", PASSWORD)]);
    assert_eq!(node.ended().await.code(), Some(1));
    assert!(node.log().contains("the file that P2P_KEY_FILE names cannot be read"), "{}", node.log());
}

#[test]
fn a_reference_that_nothing_here_uses_must_lead_somewhere_too() {
    let cluster = Cluster::make();
    let node = &cluster.nodes[0];
    let text = node.config().replace("\"/dev/null\"", "\"{{ env `DATABASE_URL` }}\"");
    assert!(refusal(node, &text).contains("DATABASE_URL"));
}

#[test]
fn other_fields_and_tables_pass() {
    let cluster = Cluster::make();
    let node = &cluster.nodes[0];
    let text = node.config() + "\n[MultiInstance]\nAddress = \"127.0.0.1:1\"\nCleanupInterval = 5\n";
    // EXPOSE: to the parser.
    let key = node.key.expose_sec1_base64();
    let variables = move |variable: &str| match variable {
        "P2P_KEY" => Some(key.as_str().into()),
        "SHARE_PASSWORD" => Some(OsString::from(PASSWORD)),
        _ => None,
    };
    let config = Config::parse(&text, &variables).ok().unwrap();
    assert_eq!(config.ports, node.ports);
    assert_eq!(config.share_password.as_deref().map(String::as_str), Some(PASSWORD));
    assert_eq!(config.peers.keys().collect::<Vec<_>>(), [&1, &2]);
    assert_eq!(config.api_keys.iter().map(|key| key.application.as_str()).collect::<Vec<_>>(), ["default"]);

    // Without a database of its own, and without a management port, it is a configuration as well.
    let (head, rest) = text.split_once("[Database]").unwrap();
    let rest = &rest[rest.find("[MPCDirectServer]").unwrap()..rest.find("[ManagementServer]").unwrap()];
    let config = Config::parse(&format!("{head}{rest}"), &variables).ok().unwrap();
    assert!(config.share_password.is_none() && config.ports.management.is_none());
}

#[test]
fn what_is_refused_is_named_and_not_repeated() {
    let cluster = Cluster::make();
    let node = &cluster.nodes[0];
    let secp256k1 = P2pPrivateKey::make(Curve::Secp256k1).unwrap().public_key().to_spki_base64();
    let (address, key) = (format!("tcp://127.0.0.1:{}", node.peers[&1].0), node.peers[&1].1.to_spki_base64());
    let (second, own) = (node.peers[&2].1.to_spki_base64(), node.key.public_key().to_spki_base64());
    let hash = node.hashes[0].to_string();
    let index = "Index = 0";
    let sqlite = "\"sqlite3\"\nDataSourceName = \"/dev/null\"";
    for (from, to, named) in [
        (sqlite, "\"postgres\"\nDataSourceName = \"postgres://canary-7f3a\"", "Database.DataSourceName"),
        (sqlite, "\"postgres\"\nDataSourceName = \"{{ env `CANARY` }}\"", "Database.DataSourceName"),
        ("{{ env `P2P_KEY` }}", CANARY, "Player.PrivateKey"),
        ("{{ env `P2P_KEY` }}", "{{ env `CANARY` }}", "Player.PrivateKey"),
        ("{{ env `P2P_KEY` }}", "{{ env `EMPTY` }}", "Player.PrivateKey"),
        ("{{ env `SHARE_PASSWORD` }}", CANARY, "Database.EncryptorMasterPassword"),
        ("{{ env `SHARE_PASSWORD` }}", "{{ env `EMPTY` }}", "Database.EncryptorMasterPassword"),
        (&address, CANARY, "Players.1.Address"),
        (&address, "tcp://canary-7f3a.example.com:9000", "Players.1.Address"),
        (&address, "tcp://127.0.0.1:canary-7f3a", "Players.1.Address"),
        (&key, CANARY, "Players.1.PublicKey"),
        (&key, &secp256k1, "Players.1.PublicKey"),
        (&key, &own, "Players.1"),
        (&key, &second, "Players.2"),
        ("[Players.1]", "[Players.canary-7f3a]", "Players"),
        ("[Players.1]", "[Players.0]", "Players.0"),
        (&hash, CANARY, "Authentication.APIKeys"),
        (&node.management_key.hash().to_string(), CANARY, "ManagementServer.APIKeys"),
        (index, "", "line 1: missing field `Index`"),
        (index, "Index = \"canary-7f3a\"", "line 2"),
        (index, "Index = canary-7f3a", "line 2"),
    ] {
        let text = node.config();
        assert!(text.contains(from), "{from}");
        let words = refusal(node, &text.replacen(from, to, 1));
        assert!(words.starts_with(named), "{named}: {words}");
        assert!(!words.contains(CANARY), "{words}");
    }
}

#[tokio::test]
async fn it_takes_as_much_memory_as_it_is_told_to() {
    let cluster = Cluster::start_with(|nodes| nodes[0].options = &["--mem", "64"]).await;
    let pid = cluster.client().status(0).await.unwrap().pid;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kibibytes: u64 = resident.split_whitespace().next().unwrap().parse().unwrap();
    assert!(kibibytes > 64 << 10, "{kibibytes} KiB");
}

#[test]
fn it_says_that_it_is_no_tsm() {
    for arguments in [&["--help"][..], &["node", "--help"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_stand-in")).args(arguments).output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains("It is no TSM"), "{arguments:?}");
    }
}

#[tokio::test]
async fn who_is_not_there_in_time_is_late() {
    // It takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let key = P2pPrivateKey::make(Curve::P256).unwrap();
    let outcome = stranger(silent.local_addr().unwrap(), &key.public_key(), &key).await;
    assert_eq!(outcome, Err(PeerFault::Late));
}
