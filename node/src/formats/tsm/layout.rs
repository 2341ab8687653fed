//! What the operator says about a `config.toml`: everything that no record can know.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use provisioning::names::NodeIndex;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use toml::{Table, Value};

/// Sections that are written from records and from the rest of a [`Layout`].
const OURS: [&str; 7] =
    ["Authentication", "Database", "ManagementServer", "MPCDirectServer", "Player", "Players", "SDKServer"];
/// Lets keys be exported.
const EXPORT: &str = "ExportWhiteList";

/// How a TSM node is laid out. Everything has a default but the addresses of nodes in a cluster without a
/// domain.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Layout {
    /// Where nodes are, by index, in place of `<scheme>://<name>:<mpc-port>`. The node's own is not used, so
    /// that all nodes may have the same list.
    #[serde(deserialize_with = "by_index")]
    pub addresses: BTreeMap<NodeIndex, Address>,
    /// How nodes talk with each other.
    pub scheme: Scheme,
    /// The port at which nodes listen for each other.
    pub mpc_port: NonZeroU16,
    /// The port for clients.
    pub sdk_port: NonZeroU16,
    /// The port of the management interface; 0 switches it off.
    #[serde(deserialize_with = "zero_is_none")]
    pub management_port: Option<NonZeroU16>,
    /// Whether metrics have the form of Prometheus.
    pub prometheus: bool,
    /// The node's database.
    pub database: Option<Database>,
    /// How long a client's token counts.
    pub token_lifetime: Option<Lifetime>,
    /// What management keys may do.
    pub management_permissions: Vec<Permission>,
    /// The vendor's other sections, such as those that enable protocols.
    pub sections: Sections,
}

impl Default for Layout {
    fn default() -> Self {
        fn port(number: u16) -> NonZeroU16 {
            NonZeroU16::new(number).unwrap_or(NonZeroU16::MIN)
        }
        Self {
            addresses: BTreeMap::new(),
            scheme: Scheme::Tcp,
            mpc_port: port(9000),
            sdk_port: port(8080),
            management_port: Some(port(14401)),
            prometheus: false,
            database: None,
            token_lifetime: None,
            management_permissions: vec![Permission::Health, Permission::TsmInfo, Permission::Metrics],
            sections: Sections::default(),
        }
    }
}

/// How a node talks with another one directly.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// TCP.
    Tcp,
    /// TCP under TLS.
    Tcps,
    /// WebSocket.
    Ws,
    /// WebSocket under TLS.
    Wss,
}

impl Scheme {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tcps => "tcps",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    /// Whether nodes listen for web sockets.
    pub(super) fn is_web_socket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }
}

/// A database of a node.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Database {
    /// Its kind.
    pub driver: Driver,
    /// The environment variable that says where it is. Never that itself: it has a password in it.
    #[serde(default)]
    pub data_source_variable: Variable,
    /// The most connections that are open at once.
    pub max_open_conns: Option<u32>,
    /// The most connections that are kept open unused.
    pub max_idle_conns: Option<u32>,
}

/// A kind of database.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// `PostgreSQL`.
    Postgres,
    /// `MySQL` or `MariaDB`.
    Mysql,
    /// `SQLite`.
    Sqlite3,
}

/// What a management key may do.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Permission {
    /// Ask whether the node is well.
    Health,
    /// Ask what the node is.
    TsmInfo,
    /// Read metrics.
    Metrics,
    /// Change API keys.
    ApiKey,
}

/// Where a node is: one of the vendor's schemes, `://`, and what follows.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String")]
pub struct Address(String);

impl Address {
    /// `<scheme>://<host>:<port>`, if the host is a name or an IPv4 address.
    pub(super) fn new(scheme: Scheme, host: &str, port: NonZeroU16) -> Option<Self> {
        let is_in_label = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let is_host = host.split('.').all(|label| !label.is_empty() && label.bytes().all(is_in_label));
        is_host.then(|| Self(format!("{}://{host}:{port}", scheme.name())))
    }
}

impl TryFrom<String> for Address {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        const DIRECT: [&str; 4] = ["tcp", "tcps", "ws", "wss"];
        const OTHERS: [&str; 2] = ["incoming", "broker"];
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?&=%[]".contains(&byte);
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        let has_scheme = DIRECT.contains(&scheme) && !rest.is_empty() || OTHERS.contains(&scheme);
        if has_scheme && rest.bytes().all(is_plain) {
            Ok(Self(text))
        } else {
            Err("an address is <scheme>://<host>:<port>, the scheme one of tcp, tcps, ws, wss, incoming and \
                 broker, and no reference")
        }
    }
}

/// The name of an environment variable.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "String")]
pub struct Variable(String);

impl Variable {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Variable {
    fn default() -> Self {
        Self("KEYBOOT_DATABASE_URL".to_owned())
    }
}

impl TryFrom<String> for Variable {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_name = !text.starts_with(|first: char| first.is_ascii_digit())
            && !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        // The text is not repeated: it may be the secret that the variable should hold.
        if is_name { Ok(Self(text)) } else { Err("this takes the name of an environment variable") }
    }
}

/// A length of time, such as `1h30m`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String")]
pub struct Lifetime(String);

impl TryFrom<String> for Lifetime {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_plain = |byte: u8| byte.is_ascii_digit() || b".hmsun".contains(&byte);
        let is_one = text.starts_with(|first: char| first.is_ascii_digit()) && text.bytes().all(is_plain);
        if is_one { Ok(Self(text)) } else { Err("a lifetime is a length of time such as 1h30m") }
    }
}

/// Sections of the vendor's that are taken as they are. None of them is one that is written from records,
/// and none lets keys be exported.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(try_from = "Table")]
pub struct Sections(Table);

impl Sections {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<Table> for Sections {
    type Error = String;

    fn try_from(sections: Table) -> Result<Self, Self::Error> {
        for (name, section) in &sections {
            // The vendor's reader may not tell upper from lower case.
            if OURS.iter().any(|ours| ours.eq_ignore_ascii_case(name)) {
                return Err(format!("the section {name} is written from the records and the other settings"));
            }
            if !section.is_table() {
                return Err(format!("{name} is no section"));
            }
            if lets_export(section) {
                return Err(format!("the section {name} has {EXPORT} in it, which lets keys be exported"));
            }
        }
        Ok(Self(sections))
    }
}

fn lets_export(value: &Value) -> bool {
    match value {
        Value::Table(table) => {
            table.iter().any(|(name, value)| name.eq_ignore_ascii_case(EXPORT) || lets_export(value))
        }
        Value::Array(values) => values.iter().any(lets_export),
        _ => false,
    }
}

fn by_index<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<NodeIndex, Address>, D::Error> {
    let addresses = BTreeMap::<String, Address>::deserialize(from)?;
    let parsed = addresses.into_iter().map(|(index, address)| Ok((index.parse()?, address)));
    parsed.collect::<Result<_, provisioning::names::NameError>>().map_err(D::Error::custom)
}

fn zero_is_none<'de, D: Deserializer<'de>>(from: D) -> Result<Option<NonZeroU16>, D::Error> {
    u16::deserialize(from).map(NonZeroU16::new)
}
