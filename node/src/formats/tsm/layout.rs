//! What the operator says about a `config.toml`: everything that no record can know.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use provisioning::names::NodeIndex;
use reading::SecretArn;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use toml::{Table, Value};

/// Sections that are written from records and from the rest of a [`Layout`].
const OURS: [&str; 7] =
    ["Authentication", "Database", "ManagementServer", "MPCDirectServer", "Player", "Players", "SDKServer"];
/// The variables of the secrets that are handed over besides.
const TAKEN: [&str; 2] = [super::PRIVATE_KEY, super::SHARE_PASSWORD];
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
#[serde(try_from = "WrittenDatabase")]
pub struct Database {
    /// Its kind.
    pub driver: Driver,
    /// The environment variable that says where it is. Never that itself: it has a password in it.
    pub data_source_variable: Variable,
    /// The login that keyboot-node fetches and hands on in that variable; where there is none, the variable is
    /// whoever's who starts keyboot-node.
    pub login: Option<Login>,
    /// The most connections that are open at once.
    pub max_open_conns: Option<u32>,
    /// The most connections that are kept open unused.
    pub max_idle_conns: Option<u32>,
}

/// Where a login at a database is, and how the database is known again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Login {
    /// The secret that holds it.
    pub secret: SecretArn,
    /// The certificates that the database's goes back to.
    pub roots: Roots,
}

/// A database as it is written.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct WrittenDatabase {
    driver: Driver,
    #[serde(default)]
    data_source_variable: Variable,
    secret: Option<SecretArn>,
    roots: Option<Roots>,
    max_open_conns: Option<u32>,
    max_idle_conns: Option<u32>,
}

impl TryFrom<WrittenDatabase> for Database {
    type Error = String;

    fn try_from(written: WrittenDatabase) -> Result<Self, Self::Error> {
        let WrittenDatabase { driver, data_source_variable, secret, roots, .. } = written;
        let login = match (secret, roots) {
            (None, None) => None,
            (Some(secret), Some(roots)) => Some(Login { secret, roots }),
            (Some(_), None) => {
                return Err(
                    "with `secret` belongs `roots`, the file of the certificates that the database's \
                            goes back to: without them anybody could be the database"
                        .into(),
                );
            }
            (None, Some(_)) => return Err("`roots` is of use with `secret` only".into()),
        };
        if login.is_some() && driver != Driver::Postgres {
            return Err(
                "`secret` goes with the driver postgres only: of another one keyboot-node does not know \
                        what its data source looks like"
                    .into(),
            );
        }
        if login.is_some() && TAKEN.contains(&data_source_variable.as_str()) {
            return Err(format!(
                "`data-source-variable`: {} holds another secret",
                data_source_variable.as_str()
            ));
        }
        Ok(Self {
            driver,
            data_source_variable,
            login,
            max_open_conns: written.max_open_conns,
            max_idle_conns: written.max_idle_conns,
        })
    }
}

/// The path of a file of certificates, in PEM.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "String")]
pub struct Roots(String);

impl Roots {
    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Roots {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        // Where the command stands when it reads it is the command's own affair.
        if text.starts_with('/') && !text.chars().any(char::is_control) {
            Ok(Self(text))
        } else {
            Err("`roots` takes the absolute path of a file of certificates")
        }
    }
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
