//! Where a cluster's documents and secrets are: in AWS, or on a server of one's own.
//!
//! A configuration names exactly one of the two. Nothing of the other one is built or asked for then.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// The fields of a configuration that say where its source is.
const FIELDS: [&str; 3] = ["region", "account", "vault"];
/// What they are called together while a configuration is read; no field has this name.
pub(crate) const TOGETHER: &str = "source";

/// Where a cluster's documents and secrets are.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Written")]
pub enum Source {
    /// In AWS.
    Aws {
        /// The Region of the stack.
        region: String,
        /// The account of the stack, where it is another one: then documents are asked for by their ARNs.
        account: Option<String>,
    },
    /// On a Vault or `OpenBao` server.
    Vault(Box<vault::Settings>),
}

/// The same as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    region: Option<String>,
    #[serde(default, deserialize_with = "optional_account")]
    account: Option<String>,
    #[serde(default)]
    vault: Option<Box<vault::Settings>>,
}

/// A configuration names no source, or two.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
enum SourceError {
    #[error(
        "it is missing where the cluster is: `region` for a stack in AWS, or the table `[vault]` for a server"
    )]
    None,
    #[error(
        "`{0}` is of a stack in AWS, and `[vault]` says that the cluster is on a server: leave one of them out"
    )]
    Both(&'static str),
}

impl TryFrom<Written> for Source {
    type Error = SourceError;

    fn try_from(written: Written) -> Result<Self, SourceError> {
        match written {
            Written { region: Some(region), account, vault: None } => Ok(Self::Aws { region, account }),
            Written { region: None, account: None, vault: Some(settings) } => Ok(Self::Vault(settings)),
            Written { region: None, vault: None, .. } => Err(SourceError::None),
            Written { region: Some(_), .. } => Err(SourceError::Both("region")),
            Written { .. } => Err(SourceError::Both("account")),
        }
    }
}

impl Source {
    /// Puts the fields of a configuration that say where its source is into one table, from which it is read.
    ///
    /// # Errors
    ///
    /// When there is such a table already: it is no field of a configuration.
    pub(crate) fn gather(table: &mut toml::Table) -> Result<(), String> {
        if table.contains_key(TOGETHER) {
            return Err(format!("unknown field `{TOGETHER}`"));
        }
        let found = FIELDS.iter().filter_map(|field| Some(((*field).to_owned(), table.remove(*field)?)));
        let found: toml::Table = found.collect();
        table.insert(TOGETHER.to_owned(), toml::Value::Table(found));
        Ok(())
    }

    /// The account of the stack, where it is another one.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        match self {
            Self::Aws { account, .. } => account.as_deref(),
            Self::Vault(_) => None,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aws { region, account: None } => write!(f, "AWS, {region}"),
            Self::Aws { region, account: Some(account) } => write!(f, "AWS, account {account}, {region}"),
            Self::Vault(settings) => write!(f, "the server {} ({})", settings.name, settings.address),
        }
    }
}

fn optional_account<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    account(from).map(Some)
}

/// The id of an account.
pub(crate) fn account<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(text);
    }
    Err(D::Error::custom("an account's id has twelve digits"))
}
