//! A node from its start to its end: what it is for good, and what a SIGHUP changes.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use futures_util::future::join_all;
use jiff::Timestamp;
use key_material::{ApiKeyHash, Fingerprint, P2pPrivateKey};
use rustls::ServerConfig;
use rustls::sign::CertifiedKey;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use crate::answers::{Called, Status};
use crate::config::{Config, ConfigError, ManagementKey, Peer, Ports};
use crate::database::Database;
use crate::environment::Variables;
use crate::http::{self, Interface};
use crate::mpc::{self, PeerFault};
use crate::{listening, tls};

/// The variable with the address of loopback that a node listens on, where it is another one than 127.0.0.1.
pub const ADDRESS: &str = "STAND_IN_ADDRESS";

/// A node does not start, or does not take another configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// Its configuration is refused.
    #[error("the configuration is refused: {0}")]
    Config(ConfigError),
    /// The configuration changes what a running node is.
    #[error("the configuration changes {0}: that takes a new process")]
    Changed(&'static str),
    /// It was told to listen elsewhere than on this machine.
    #[error("{ADDRESS} is no IPv4 address of loopback")]
    Address,
    /// It cannot listen.
    #[error("port {port} of {address} cannot be listened on: {fault}")]
    Port {
        /// The address.
        address: Ipv4Addr,
        /// The port.
        port: u16,
        /// What the operating system says.
        fault: io::Error,
    },
    /// TLS does not take its keys.
    #[error("TLS does not take the keys: {0}")]
    Tls(rustls::Error),
    /// It cannot receive signals.
    #[error("signals cannot be received: {0}")]
    Signals(io::Error),
}

/// Runs a node until SIGTERM. SIGHUP has it read its configuration again, and follow it if it is one.
///
/// # Errors
///
/// [`NodeError`] when it does not start.
pub async fn run(config: &Path, variables: &Variables) -> Result<(), NodeError> {
    // Before all else: until then, a signal ends the process.
    let mut hang_up = signal(SignalKind::hangup()).map_err(NodeError::Signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(NodeError::Signals)?;

    let node = Arc::new(Node::new(Config::read(config, variables).map_err(NodeError::Config)?)?);
    // All of them, before any is served: a node that answers is a node that is there.
    let address = own_address(variables)?;
    let mpc = open(address, node.ports.mpc).await?;
    let mut interfaces = vec![(Interface::Sdk, open(address, node.ports.sdk).await?)];
    if let Some(port) = node.ports.management {
        interfaces.push((Interface::Management, open(address, port).await?));
    }

    let mut nodes = JoinSet::new();
    nodes.spawn(mpc::serve(mpc, Arc::clone(&node)));
    nodes.spawn(keep_database(Arc::clone(&node)));
    let (stop, stopped) = watch::channel(());
    let mut clients = JoinSet::new();
    for (interface, listener) in interfaces {
        clients.spawn(http::serve(listener, interface, Arc::clone(&node), stopped.clone()));
    }
    node.note(format_args!("started with {}", node.fingerprint));

    loop {
        tokio::select! {
            _ = hang_up.recv() => match node.follow(config, variables) {
                Ok(()) => node.note("took its configuration again"),
                Err(fault) => node.note(format_args!("goes on as it was: {fault}")),
            },
            _ = terminate.recv() => break,
        }
    }
    nodes.abort_all();
    drop(stop);
    clients.join_all().await;
    node.note("ended");
    Ok(())
}

fn own_address(variables: &Variables) -> Result<Ipv4Addr, NodeError> {
    let Some(text) = variables(ADDRESS) else { return Ok(Ipv4Addr::LOCALHOST) };
    let address = text.to_str().and_then(|text| text.parse().ok());
    address.filter(Ipv4Addr::is_loopback).ok_or(NodeError::Address)
}

async fn open(address: Ipv4Addr, port: u16) -> Result<TcpListener, NodeError> {
    let listener = listening::listen(address, port).await;
    listener.map_err(|fault| NodeError::Port { address, port, fault })
}

async fn keep_database(node: Arc<Node>) {
    if let Some(database) = &node.database {
        database.keep(|line| node.note(line)).await;
    }
}

/// A running node.
pub(crate) struct Node {
    pub(crate) index: u32,
    fingerprint: Fingerprint,
    ports: Ports,
    started: Timestamp,
    own: Arc<CertifiedKey>,
    admitted: RwLock<Arc<Admitted>>,
    database: Option<Database>,
    _secrets: Secrets,
}

/// What stays in the memory of a node for as long as it runs, though nothing here reads it.
struct Secrets {
    _private_key: P2pPrivateKey,
    _share_password: Option<Zeroizing<String>>,
}

/// Who gets in, and whom it dials: what another configuration changes, all at once.
pub(crate) struct Admitted {
    pub(crate) tls: Arc<ServerConfig>,
    peers: BTreeMap<u32, Peer>,
    api_keys: Vec<ApiKeyHash>,
    management_keys: Vec<ManagementKey>,
    /// How often there was a configuration.
    configured: u32,
}

impl Node {
    pub(crate) fn new(config: Config) -> Result<Self, NodeError> {
        let own = tls::certified(&config.private_key).map_err(NodeError::Tls)?;
        let admitted = Admitted::by(&config, &own, 1)?;
        let share_password = config.share_password.as_deref().map(String::as_str);
        let database = config.database.map(|source| Database::new(source, config.index, share_password));
        Ok(Self {
            database,
            index: config.index,
            fingerprint: config.private_key.public_key().fingerprint(),
            ports: config.ports,
            started: Timestamp::now(),
            own,
            admitted: RwLock::new(Arc::new(admitted)),
            _secrets: Secrets { _private_key: config.private_key, _share_password: config.share_password },
        })
    }

    /// Reads the configuration again. What is connected stays so; what comes next meets the new one.
    pub(crate) fn follow(&self, config: &Path, variables: &Variables) -> Result<(), NodeError> {
        let config = Config::read(config, variables).map_err(NodeError::Config)?;
        if config.index != self.index {
            return Err(NodeError::Changed("the node's index"));
        }
        if config.private_key.public_key().fingerprint() != self.fingerprint {
            return Err(NodeError::Changed("the node's own key"));
        }
        if config.ports != self.ports {
            return Err(NodeError::Changed("a port"));
        }
        if self.database.as_ref().map(Database::source) != config.database.as_ref() {
            return Err(NodeError::Changed("the node's database"));
        }
        let admitted = Admitted::by(&config, &self.own, self.admitted().configured + 1)?;
        *self.admitted.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(admitted);
        Ok(())
    }

    /// Who gets in now.
    pub(crate) fn admitted(&self) -> Arc<Admitted> {
        Arc::clone(&self.admitted.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Pings every other node, all at once, each over a connection of its own.
    pub(crate) async fn call(&self) -> Called {
        let admitted = self.admitted();
        let pings = admitted.peers.iter().map(async |(index, peer)| {
            let outcome = match mpc::ping(self.index, &self.own, &peer.address, &peer.public_key).await {
                Ok(player) if player == *index => Called::OK.to_owned(),
                Ok(player) => PeerFault::AnotherPlayer(player).to_string(),
                Err(fault) => fault.to_string(),
            };
            (*index, outcome)
        });
        Called { index: self.index, peers: join_all(pings).await.into_iter().collect() }
    }

    /// What anybody may know.
    pub(crate) fn status(&self) -> Status {
        let admitted = self.admitted();
        Status {
            index: self.index,
            fingerprint: self.fingerprint.to_string(),
            pid: std::process::id(),
            started: self.started,
            configured: admitted.configured,
            accepted_hashes: admitted.api_keys.len(),
            management_hashes: admitted.management_keys.len(),
            database: self.database.as_ref().map(Database::status),
        }
    }

    /// Whether there is a row of the node's own in its database, as far as it was seen once; a node without a
    /// database lacks nothing.
    pub(crate) fn has_been_at_its_database(&self) -> bool {
        self.database.as_ref().is_none_or(|database| database.status().row.is_some())
    }

    /// Writes a line to the log. It holds public facts only.
    pub(crate) fn note(&self, line: impl Display) {
        // Whoever closed the log goes without.
        let _ = writeln!(io::stderr(), "stand-in {}: {line}", self.index);
    }
}

impl Admitted {
    fn by(config: &Config, own: &Arc<CertifiedKey>, configured: u32) -> Result<Self, NodeError> {
        let keys: Vec<_> = config.peers.values().map(|peer| peer.public_key.clone()).collect();
        Ok(Self {
            tls: tls::server(own, &keys).map_err(NodeError::Tls)?,
            peers: config.peers.clone(),
            api_keys: config.api_keys.iter().map(|key| key.hash).collect(),
            management_keys: config.management_keys.clone(),
            configured,
        })
    }

    /// The player that a `SubjectPublicKeyInfo` stands for.
    pub(crate) fn player(&self, spki: &[u8]) -> Option<u32> {
        self.peers.iter().find(|(_, peer)| peer.public_key.to_spki_der() == spki).map(|(index, _)| *index)
    }

    /// Whether an application's key is accepted. Every hash is compared, each in constant time.
    pub(crate) fn accepts(&self, key: &str) -> bool {
        let hash = ApiKeyHash::of(key);
        self.api_keys.iter().filter(|other| **other == hash).count() > 0
    }

    /// Whether a management key is accepted for what needs this permission.
    pub(crate) fn permits(&self, key: &str, permission: &str) -> bool {
        let hash = ApiKeyHash::of(key);
        let known = self.management_keys.iter().filter(|other| other.hash == hash);
        known.filter(|key| key.permissions.iter().any(|known| known == permission)).count() > 0
    }
}
