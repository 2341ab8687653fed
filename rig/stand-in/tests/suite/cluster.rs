//! Nodes, started for a test and ended with it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::future::ready;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use key_material::{ApiKey, ApiKeyHash, ApiKeyKind, Curve, P2pPrivateKey, P2pPublicKey};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stand_in::{ApiKeys, Client, Ports};
use tempfile::TempDir;
use zeroize::Zeroizing;

/// How long a node may take to do what it is told.
const PATIENCE: Duration = Duration::from_secs(20);

/// What opens a node's database in these tests.
pub(crate) const PASSWORD: &str = "a password of the key shares, 7f3a";

/// Three nodes. A test changes what it likes in a configuration, before or after it is followed.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    folder: TempDir,
}

/// A node: what it is made of, its configuration, and its process while there is one.
pub(crate) struct Node {
    pub(crate) index: u32,
    pub(crate) key: P2pPrivateKey,
    pub(crate) api_key: ApiKey,
    pub(crate) management_key: ApiKey,
    pub(crate) ports: Ports,
    /// The peers that stand in its configuration.
    pub(crate) peers: BTreeMap<u32, (u16, P2pPublicKey)>,
    /// The hashes that stand in its configuration.
    pub(crate) hashes: Vec<ApiKeyHash>,
    /// The driver and the source of its database.
    pub(crate) database: [&'static str; 2],
    /// What it is started with besides.
    pub(crate) options: &'static [&'static str],
    folder: PathBuf,
    process: Option<Child>,
}

impl Cluster {
    /// Starts three nodes and waits until they answer.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// As [`Cluster::start`], with something changed before.
    pub(crate) async fn start_with(change: impl Fn(&mut [Node])) -> Self {
        // Between its choice and its use, a port may become somebody else's.
        for _ in 0..3 {
            let mut cluster = Self::make();
            change(&mut cluster.nodes);
            for node in &mut cluster.nodes {
                node.start();
            }
            if cluster.answers().await {
                return cluster;
            }
        }
        panic!("three times nodes did not start")
    }

    /// Makes three nodes, none of them started.
    pub(crate) fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = || rig::free_port().unwrap();
        let mut nodes: Vec<_> = [Curve::P256, Curve::P384, Curve::P256]
            .into_iter()
            .zip(0..)
            .map(|(curve, index)| {
                let api_key = ApiKey::make(ApiKeyKind::Application).unwrap();
                let own = folder.path().join(index.to_string());
                fs::create_dir(&own).unwrap();
                Node {
                    index,
                    key: P2pPrivateKey::make(curve).unwrap(),
                    management_key: ApiKey::make(ApiKeyKind::Management).unwrap(),
                    ports: Ports { mpc: port(), sdk: port(), management: Some(port()) },
                    peers: BTreeMap::new(),
                    hashes: vec![api_key.hash()],
                    api_key,
                    database: ["sqlite3", "/dev/null"],
                    options: &[],
                    folder: own,
                    process: None,
                }
            })
            .collect();
        let all: BTreeMap<_, _> =
            nodes.iter().map(|node| (node.index, (node.ports.mpc, node.key.public_key()))).collect();
        for node in &mut nodes {
            node.peers = all.clone();
            node.peers.remove(&node.index);
        }
        Self { nodes, folder }
    }

    /// A client that holds each node's key.
    pub(crate) fn client(&self) -> Client<impl ApiKeys + use<>> {
        self.client_with(BTreeMap::new())
    }

    /// A client that holds other keys for some nodes.
    pub(crate) fn client_with(&self, others: BTreeMap<u32, String>) -> Client<impl ApiKeys + use<>> {
        let mut keys: BTreeMap<u32, String> =
            self.nodes.iter().map(|node| (node.index, node.api_key.expose().to_owned())).collect();
        keys.extend(others);
        let ports = self.nodes.iter().map(|node| (node.index, node.ports.sdk));
        Client::new(ports, move |index| ready(Ok(Zeroizing::new(keys[&index].clone()))))
    }

    /// A file of the test.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// Waits until every node that was started answers; not, if one ends.
    async fn answers(&mut self) -> bool {
        let client = self.client();
        for node in &mut self.nodes {
            let asked = Instant::now();
            // Another test's node may have the port, and this one none.
            while !client.status(node.index).await.is_ok_and(|status| Some(status.pid) == node.pid()) {
                if node.has_ended() || asked.elapsed() > PATIENCE {
                    return false;
                }
                pause().await;
            }
        }
        true
    }
}

impl Node {
    /// Its configuration, with every secret by reference.
    pub(crate) fn config(&self) -> String {
        let mut text = format!(
            "[Player]\nIndex = {}\nPrivateKey = \"{{{{ env `P2P_KEY` }}}}\"\n\n\
             [Database]\nDriverName = \"{}\"\nDataSourceName = \"{}\"\n\
             EncryptorMasterPassword = '{{{{ env `SHARE_PASSWORD` }}}}'\n\n\
             [MPCDirectServer]\nPort = {}\n\n[SDKServer]\nPort = {}\n\n",
            self.index, self.database[0], self.database[1], self.ports.mpc, self.ports.sdk
        );
        for (index, (port, key)) in &self.peers {
            let key = key.to_spki_base64();
            write!(
                text,
                "[Players.{index}]\nAddress = \"tcp://127.0.0.1:{port}\"\nPublicKey = \"{key}\"\n\n"
            )
            .unwrap();
        }
        for hash in &self.hashes {
            write!(text, "[[Authentication.APIKeys]]\nApplicationID = \"default\"\nAPIKey = \"{hash}\"\n\n")
                .unwrap();
        }
        if let Some(port) = self.ports.management {
            let hash = self.management_key.hash();
            write!(
                text,
                "[ManagementServer]\nPort = {port}\n\n\
                 [[ManagementServer.APIKeys]]\nAPIKey = \"{hash}\"\nPermissions = [\"HEALTH\", \"METRICS\"]\n"
            )
            .unwrap();
        }
        text
    }

    /// Writes its configuration and starts it, with its secrets in its environment.
    pub(crate) fn start(&mut self) {
        // EXPOSE: to the process of the node.
        let key = self.key.expose_sec1_base64();
        self.start_with(&[("P2P_KEY", &key), ("SHARE_PASSWORD", PASSWORD)]);
    }

    /// As [`Node::start`], with nothing but these variables in its environment.
    pub(crate) fn start_with(&mut self, variables: &[(&str, &str)]) {
        self.configure(&self.config());
        let child = Command::new(env!("CARGO_BIN_EXE_stand-in"))
            .arg("node")
            .arg(self.folder.join("config.toml"))
            .args(self.options)
            .env_clear()
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stderr(File::create(self.folder.join("log")).unwrap())
            .spawn();
        self.process = Some(child.unwrap());
    }

    /// Replaces its configuration file.
    pub(crate) fn configure(&self, text: &str) {
        fs::write(self.folder.join("config.toml"), text).unwrap();
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = self.pid().unwrap();
        kill(Pid::from_raw(pid.try_into().unwrap()), signal).unwrap();
    }

    /// Waits until it ends by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let mut process = self.process.take().unwrap();
        let asked = Instant::now();
        while asked.elapsed() < PATIENCE {
            if let Some(status) = process.try_wait().unwrap() {
                return status;
            }
            pause().await;
        }
        self.process = Some(process);
        panic!("node {} did not end:\n{}", self.index, self.log())
    }

    /// Waits until this stands in its log.
    pub(crate) async fn noted(&self, words: &str) {
        let asked = Instant::now();
        while !self.log().contains(words) {
            assert!(
                asked.elapsed() < PATIENCE,
                "node {} does not say {words:?}:\n{}",
                self.index,
                self.log()
            );
            pause().await;
        }
    }

    /// What it wrote so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Where other nodes reach it.
    pub(crate) fn mpc(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports.mpc).into()
    }

    /// The texts of its secrets, and of those of its clients.
    pub(crate) fn secrets(&self) -> Vec<String> {
        // EXPOSE: to the test, which looks for them where they must not be.
        vec![
            self.key.expose_sec1_base64().to_string(),
            self.key.expose_scalar_hex().to_string(),
            self.api_key.expose().to_owned(),
            self.management_key.expose().to_owned(),
            PASSWORD.to_owned(),
        ]
    }

    fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    fn has_ended(&mut self) -> bool {
        self.process.as_mut().is_none_or(|process| !matches!(process.try_wait(), Ok(None)))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Sends a request such as `POST /call`, with an `Authorization` if there is one, and gives the status
/// and all of the answer.
pub(crate) fn request(port: u16, request: &str, authorization: Option<&str>) -> (u16, String) {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let authorization = authorization.map(|value| format!("Authorization: {value}\r\n")).unwrap_or_default();
    write!(stream, "{request} HTTP/1.0\r\nHost: 127.0.0.1\r\n{authorization}\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

/// Waits a little, as one does who looks again and again.
pub(crate) async fn pause() {
    tokio::time::sleep(Duration::from_millis(10)).await;
}
