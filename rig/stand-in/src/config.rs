//! What a node is configured with: the fields of a TSM node's `config.toml` that this program uses.
//!
//! Other fields are let pass, as the file is the vendor's and not ours. What is used is read strictly.
//! A secret that stands in the file itself is refused: such a file is what this project does away
//! with. No message holds a value that was read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::fs;
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use key_material::{ApiKeyHash, Curve, P2pPrivateKey, P2pPublicKey};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::address::PeerAddress;
use crate::data_source::DataSource;
use crate::environment::{ReferenceFault, Variables, look_up, referenced};

/// What a node runs with. It holds secrets, so it cannot be shown.
pub struct Config {
    /// `Player.Index`: which node of the cluster this is.
    pub index: u32,
    /// `Player.PrivateKey`: the node's own P2P key, on P-256 or P-384.
    pub private_key: P2pPrivateKey,
    /// `Database.EncryptorMasterPassword`, if there is one: never empty.
    pub share_password: Option<Zeroizing<String>>,
    /// `Database.DataSourceName`, where `Database.DriverName` is `postgres`.
    pub database: Option<DataSource>,
    /// `Players`: every other node.
    pub peers: BTreeMap<u32, Peer>,
    /// Where it listens.
    pub ports: Ports,
    /// `Authentication.APIKeys`: the keys that the SDK port accepts.
    pub api_keys: Vec<ApplicationKey>,
    /// `ManagementServer.APIKeys`: the keys that the management port accepts.
    pub management_keys: Vec<ManagementKey>,
}

/// Another node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Peer {
    /// Its MPC port.
    pub address: PeerAddress,
    /// The key that it proves itself with.
    pub public_key: P2pPublicKey,
}

/// Where a node listens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ports {
    /// `MPCDirectServer.Port`: the other nodes.
    pub mpc: u16,
    /// `SDKServer.Port`: applications.
    pub sdk: u16,
    /// `ManagementServer.Port`: who runs the node.
    pub management: Option<u16>,
}

/// A key that an application's requests may bear.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ApplicationKey {
    /// `ApplicationID`: whose it is. One application may have several keys.
    pub application: String,
    /// `APIKey`: what the node holds of it.
    pub hash: ApiKeyHash,
}

/// A key that requests to the management port may bear.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ManagementKey {
    /// `APIKey`: what the node holds of it.
    pub hash: ApiKeyHash,
    /// `Permissions`: what it opens, such as `HEALTH`.
    pub permissions: Vec<String>,
}

/// A configuration is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
    /// It is no TOML, or not of this shape.
    #[error("line {line}: {fault}")]
    Shape {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong there.
        fault: String,
    },
    /// It refers to a variable that leads nowhere.
    #[error(transparent)]
    Reference(#[from] ReferenceFault),
    /// A value is not what its field takes.
    #[error("{field}: {fault}")]
    Value {
        /// The field, such as `Players.1.Address`.
        field: String,
        /// What is wrong with it.
        fault: String,
    },
}

impl Config {
    /// Reads a file and what it refers to.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with the first fault.
    pub fn read(path: &Path, variables: &Variables) -> Result<Self, ConfigError> {
        Self::parse(&fs::read_to_string(path).map_err(ConfigError::Unreadable)?, variables)
    }

    /// Takes the text of a file, and reads what it refers to.
    ///
    /// # Errors
    ///
    /// As [`Config::read`].
    pub fn parse(text: &str, variables: &Variables) -> Result<Self, ConfigError> {
        let shape = |fault: &toml::de::Error, words: &str| ConfigError::Shape {
            line: 1 + fault.span().map_or(0, |span| text[..span.start].matches('\n').count()),
            fault: words.to_owned(),
        };
        let all: toml::Table = toml::from_str(text).map_err(|fault| shape(&fault, fault.message()))?;
        let file: File = toml::from_str(text).map_err(|fault| match fault.message() {
            words if words.starts_with("missing field") => shape(&fault, words),
            // Other messages quote what was found.
            _ => shape(&fault, "a value of another kind belongs here"),
        })?;
        // The vendor's node fills in the whole file, whichever fields it uses.
        all.values().try_for_each(|value| refers_to_something(value, variables))?;
        file.resolve(variables)
    }
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct File {
    player: OwnPlayer,
    #[serde(default)]
    players: BTreeMap<String, OtherPlayer>,
    database: Option<Database>,
    #[serde(rename = "MPCDirectServer")]
    mpc_direct_server: Server,
    #[serde(rename = "SDKServer")]
    sdk_server: Server,
    #[serde(default)]
    management_server: ManagementServer,
    #[serde(default)]
    authentication: Authentication,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OwnPlayer {
    index: u32,
    private_key: Text,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OtherPlayer {
    address: Text,
    public_key: Text,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Database {
    driver_name: Option<Text>,
    data_source_name: Option<Text>,
    encryptor_master_password: Option<Text>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Server {
    port: u16,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ManagementServer {
    port: Option<u16>,
    #[serde(default, rename = "APIKeys")]
    api_keys: Vec<WrittenManagementKey>,
}

#[derive(Deserialize)]
struct WrittenManagementKey {
    #[serde(rename = "APIKey")]
    api_key: Text,
    #[serde(default, rename = "Permissions")]
    permissions: Vec<String>,
}

#[derive(Default, Deserialize)]
struct Authentication {
    #[serde(default, rename = "APIKeys")]
    api_keys: Vec<WrittenApplicationKey>,
}

#[derive(Deserialize)]
struct WrittenApplicationKey {
    #[serde(rename = "ApplicationID")]
    application_id: Text,
    #[serde(rename = "APIKey")]
    api_key: Text,
}

impl File {
    fn resolve(self, variables: &Variables) -> Result<Config, ConfigError> {
        let index = self.player.index;
        let private_key = own_key(&self.player.private_key, variables)?;
        let database = self.database.as_ref();
        let share_password = database.and_then(|database| database.encryptor_master_password.as_ref());
        let config = Config {
            share_password: share_password.map(|text| password(text, variables)).transpose()?,
            database: database.map(|database| data_source(database, variables)).transpose()?.flatten(),
            peers: peers(self.players, variables)?,
            ports: Ports {
                mpc: self.mpc_direct_server.port,
                sdk: self.sdk_server.port,
                management: self.management_server.port,
            },
            api_keys: application_keys(&self.authentication.api_keys, variables)?,
            management_keys: management_keys(self.management_server.api_keys, variables)?,
            index,
            private_key,
        };
        config.tells_nodes_apart()?;
        Ok(config)
    }
}

impl Config {
    /// A key stands for one node, and a node is not its own peer.
    fn tells_nodes_apart(&self) -> Result<(), ConfigError> {
        let mut keys = BTreeSet::from([self.private_key.public_key().fingerprint()]);
        for (index, peer) in &self.peers {
            let field = format!("Players.{index}");
            if *index == self.index {
                return Err(refused(&field, "this is the node itself; every other node belongs here"));
            }
            if !keys.insert(peer.public_key.fingerprint()) {
                return Err(refused(&field, "its public key is another node's as well"));
            }
        }
        Ok(())
    }
}

fn own_key(text: &Text, variables: &Variables) -> Result<P2pPrivateKey, ConfigError> {
    const FIELD: &str = "Player.PrivateKey";
    let base64 = text.secret(FIELD, variables)?;
    let sec1 = STANDARD.decode(&*base64).map(Zeroizing::new);
    let sec1 = sec1.map_err(|_| refused(FIELD, "standard, padded base64 is expected"))?;
    let key = P2pPrivateKey::from_sec1_der(&sec1).map_err(|fault| refused(FIELD, fault))?;
    is_for_nodes(FIELD, key.curve())?;
    Ok(key)
}

fn password(text: &Text, variables: &Variables) -> Result<Zeroizing<String>, ConfigError> {
    const FIELD: &str = "Database.EncryptorMasterPassword";
    let password = text.secret(FIELD, variables)?;
    if password.is_empty() { Err(refused(FIELD, "it is empty")) } else { Ok(password) }
}

/// Where the database is, if it is of the one kind that this program opens.
fn data_source(database: &Database, variables: &Variables) -> Result<Option<DataSource>, ConfigError> {
    const FIELD: &str = "Database.DataSourceName";
    let (Some(driver), Some(source)) = (&database.driver_name, &database.data_source_name) else {
        return Ok(None);
    };
    if driver.value(variables)?.as_str() != "postgres" {
        return Ok(None);
    }
    let source = DataSource::parse(&source.secret(FIELD, variables)?);
    source.map(Some).map_err(|fault| refused(FIELD, fault))
}

fn peers(
    written: BTreeMap<String, OtherPlayer>,
    variables: &Variables,
) -> Result<BTreeMap<u32, Peer>, ConfigError> {
    let peer = |(index, player): (String, OtherPlayer)| {
        let number = index.parse().map_err(|_| refused("Players", "a node's index belongs behind it"))?;
        let address = address(&format!("Players.{index}.Address"), &player.address.value(variables)?)?;
        let field = format!("Players.{index}.PublicKey");
        let public_key = P2pPublicKey::from_spki_base64(&player.public_key.value(variables)?)
            .map_err(|fault| refused(&field, fault))?;
        is_for_nodes(&field, public_key.curve())?;
        Ok((number, Peer { address, public_key }))
    };
    written.into_iter().map(peer).collect()
}

fn application_keys(
    written: &[WrittenApplicationKey],
    variables: &Variables,
) -> Result<Vec<ApplicationKey>, ConfigError> {
    let key = |key: &WrittenApplicationKey| {
        Ok(ApplicationKey {
            application: key.application_id.value(variables)?.to_string(),
            hash: hash("Authentication.APIKeys", &key.api_key, variables)?,
        })
    };
    written.iter().map(key).collect()
}

fn management_keys(
    written: Vec<WrittenManagementKey>,
    variables: &Variables,
) -> Result<Vec<ManagementKey>, ConfigError> {
    let key = |key: WrittenManagementKey| {
        let hash = hash("ManagementServer.APIKeys", &key.api_key, variables)?;
        Ok(ManagementKey { hash, permissions: key.permissions })
    };
    written.into_iter().map(key).collect()
}

fn hash(field: &str, text: &Text, variables: &Variables) -> Result<ApiKeyHash, ConfigError> {
    text.value(variables)?.parse().map_err(|fault| refused(field, fault))
}

/// Reads `tcp://host:port`, where the host can only be this machine.
fn address(field: &str, text: &str) -> Result<PeerAddress, ConfigError> {
    let (host, port) = text
        .strip_prefix("tcp://")
        .and_then(|rest| rest.rsplit_once(':'))
        .ok_or_else(|| refused(field, "`tcp://host:port` is expected"))?;
    let port = port.parse().map_err(|_| refused(field, "no port number at its end"))?;
    PeerAddress::new(host, port).ok_or_else(|| refused(field, "this program dials nothing but loopback"))
}

/// TLS knows no signatures on secp256k1, and the vendor's node takes no keys on it either.
fn is_for_nodes(field: &str, curve: Curve) -> Result<(), ConfigError> {
    match curve {
        Curve::P256 | Curve::P384 => Ok(()),
        Curve::Secp256k1 => Err(refused(field, "a key on P-256 or P-384 is expected")),
    }
}

fn refused(field: &str, fault: impl Display) -> ConfigError {
    ConfigError::Value { field: field.to_owned(), fault: fault.to_string() }
}

/// Finds the references in any value, and follows each.
fn refers_to_something(value: &toml::Value, variables: &Variables) -> Result<(), ReferenceFault> {
    match value {
        toml::Value::String(text) => match referenced(text) {
            Some(variable) => look_up(variable, variables).map(drop),
            None => Ok(()),
        },
        toml::Value::Array(values) => {
            values.iter().try_for_each(|value| refers_to_something(value, variables))
        }
        toml::Value::Table(table) => {
            table.values().try_for_each(|value| refers_to_something(value, variables))
        }
        _ => Ok(()),
    }
}

/// A text of the file: itself, or a reference to a variable.
#[derive(Deserialize)]
#[serde(from = "String")]
enum Text {
    Written(String),
    Reference { variable: String },
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        match referenced(&text) {
            Some(variable) => Self::Reference { variable: variable.to_owned() },
            None => Self::Written(text),
        }
    }
}

impl Text {
    fn value(&self, variables: &Variables) -> Result<Zeroizing<String>, ReferenceFault> {
        match self {
            Self::Written(text) => Ok(Zeroizing::new(text.clone())),
            Self::Reference { variable } => look_up(variable, variables),
        }
    }

    fn secret(&self, field: &str, variables: &Variables) -> Result<Zeroizing<String>, ConfigError> {
        match self {
            Self::Written(_) => {
                Err(refused(field, "a secret in the file; refer to a variable: {{ env `NAME` }}"))
            }
            Self::Reference { .. } => Ok(self.value(variables)?),
        }
    }
}
