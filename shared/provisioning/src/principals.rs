//! Who may read which secret: roles and accounts, parsed before they reach a policy.
//!
//! A principal is one role or one account, never a pattern: whatever a policy could take for more
//! than itself is refused here. What a resource names is kept short enough for one resource policy.
//! No I/O here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::names::{Application, NodeIndex, Purpose, Slot};
use crate::properties::{PropertyFault, fault, is_account, is_partition, strings};

/// What a map of principals may be.
pub(crate) const PRINCIPALS_MAP: &str = "a map of declared names to lists of full role ARNs, or 12-digit account ids with AllowAccountReaders, \
     without * ? or $, each list at most 40 of them with 8000 characters in all; or the same as a list of \
     <name>=<role ARN>, in which no role stands under two names";
/// What a list of principals may be.
pub(crate) const PRINCIPALS_LIST: &str = "a list of full role ARNs, or 12-digit account ids with AllowAccountReaders, without * ? or $, \
     at most 40 of them with 8000 characters in all";
/// The most principals of one secret.
const PRINCIPALS_MAX: usize = 40;
/// The most characters of one secret's principals. A policy holds each of them twice, and has 20,480
/// (Secrets Manager API Reference, `PutResourcePolicy`, `ResourcePolicy`).
const CHARACTERS_MAX: usize = 8000;
/// The longest path and name of a role (IAM API Reference, `CreateRole`: 512 and 64 characters, and
/// `role/` before them).
const ROLE_MAX: usize = 5 + 512 + 64;

const READERS: &str = "ReaderPrincipals";
const CLIENTS: &str = "ClientPrincipals";
const MANAGEMENT: &str = "ManagementPrincipals";

/// A role, by its full ARN.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub struct RoleArn(String);

/// A text is not the full ARN of a role.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not the full ARN of a role, arn:<partition>:iam::<account>:role/<path and name>")]
pub struct RoleArnError;

impl RoleArn {
    /// The ARN as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The account that the role is in.
    #[must_use]
    pub fn account(&self) -> &str {
        self.part(4)
    }

    /// `aws`, `aws-cn` or `aws-us-gov`.
    #[must_use]
    pub fn partition(&self) -> &str {
        self.part(1)
    }

    fn part(&self, number: usize) -> &str {
        self.0.split(':').nth(number).unwrap_or_default()
    }
}

impl FromStr for RoleArn {
    type Err = RoleArnError;

    fn from_str(text: &str) -> Result<Self, RoleArnError> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let is_role = |resource: &str| {
            resource.len() <= ROLE_MAX
                && resource.strip_prefix("role/").is_some_and(|role| {
                    !role.is_empty()
                        && !role.ends_with('/')
                        && role.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_+=,.@-".contains(&b))
                })
        };
        match parts.as_slice() {
            ["arn", partition, "iam", "", account, resource]
                if is_partition(partition) && is_account(account) && is_role(resource) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(RoleArnError),
        }
    }
}

impl fmt::Display for RoleArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Everybody who may read one secret; none: the account's own policies decide.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Readers {
    /// Roles.
    pub roles: BTreeSet<RoleArn>,
    /// Accounts of which everybody may read whom their own administrators let: twelve digits each.
    pub accounts: BTreeSet<String>,
}

impl Readers {
    /// Whether nobody is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.roles.is_empty() && self.accounts.is_empty()
    }
}

impl fmt::Display for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("whom the account's own policies let");
        }
        let names: Vec<&str> =
            self.roles.iter().map(RoleArn::as_str).chain(self.accounts.iter().map(String::as_str)).collect();
        f.write_str(&names.join(", "))
    }
}

/// Who may read which of a cluster's secrets.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Admitted {
    nodes: BTreeMap<NodeIndex, Readers>,
    applications: BTreeMap<Application, Readers>,
    management: Readers,
}

impl Admitted {
    /// Who may read the secret of a slot.
    #[must_use]
    pub fn to(&self, slot: &Slot) -> Readers {
        let named = match &slot.purpose {
            Purpose::P2pKey | Purpose::SharePassword => self.nodes.get(&slot.index),
            Purpose::ApiKey(application) => self.applications.get(application),
            Purpose::ManagementKey => Some(&self.management),
        };
        named.cloned().unwrap_or_default()
    }

    /// The property that names somebody outside of this account, if one does.
    pub(crate) fn names_another_account(&self, account: &str) -> Option<&'static str> {
        let is_elsewhere = |readers: &Readers| {
            let accounts = readers.accounts.iter().map(String::as_str);
            accounts.chain(readers.roles.iter().map(RoleArn::account)).any(|other| other != account)
        };
        let nodes = self.nodes.values().any(is_elsewhere).then_some(READERS);
        let applications = || self.applications.values().any(is_elsewhere).then_some(CLIENTS);
        nodes.or_else(applications).or_else(|| is_elsewhere(&self.management).then_some(MANAGEMENT))
    }

    /// Parses what a Create or an Update declares.
    pub(crate) fn parse(
        properties: &Map<String, Value>,
        accounts: bool,
        partition: &str,
        nodes: &BTreeSet<NodeIndex>,
        applications: &[Application],
    ) -> Result<Self, PropertyFault> {
        let list = |name, value: &Value| readers(name, value, accounts, partition);
        let nodes = map(properties, READERS, |index| nodes.contains(index), list)?;
        let applications = map(properties, CLIENTS, |known| applications.contains(known), list)?;
        let management = properties.get(MANAGEMENT).map(|value| list(MANAGEMENT, value)).transpose()?;
        Ok(Self { nodes, applications, management: management.unwrap_or_default() })
    }

    /// Reads what can be read of it, of properties that were accepted before.
    pub(crate) fn read(properties: &Map<String, Value>) -> Self {
        let all = |value: &Value| {
            let mut readers = Readers::default();
            for text in value.as_array().into_iter().flatten().filter_map(Value::as_str) {
                match text.parse() {
                    Ok(role) => drop(readers.roles.insert(role)),
                    Err(RoleArnError) if is_account(text) => drop(readers.accounts.insert(text.to_owned())),
                    Err(RoleArnError) => {}
                }
            }
            readers
        };
        Self {
            nodes: legible(properties.get(READERS), all),
            applications: legible(properties.get(CLIENTS), all),
            management: properties.get(MANAGEMENT).map(all).unwrap_or_default(),
        }
    }
}

/// What can be read of a map, or of the list that stands for it.
fn legible<K: FromStr + Ord>(value: Option<&Value>, all: impl Fn(&Value) -> Readers) -> BTreeMap<K, Readers> {
    let entries = match value {
        Some(Value::Object(entries)) => entries.clone(),
        Some(Value::Array(items)) => by_key(items.iter().filter_map(|item| item.as_str()?.split_once('='))),
        _ => Map::new(),
    };
    entries.iter().filter_map(|(key, value)| Some((key.parse().ok()?, all(value)))).collect()
}

/// The map that a list of keys and principals stands for.
fn by_key<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Map<String, Value> {
    let mut map = Map::new();
    for (key, principal) in entries {
        let listed = map.entry(key).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(principals) = listed {
            principals.push(Value::from(principal));
        }
    }
    map
}

/// The map that a list of `<key>=<role ARN>` stands for: a template's parameter can be such a list and no
/// map.
///
/// A role stands in it once: the statements that a template can make of such a list narrow a role to the
/// key of each entry, and would narrow one with two keys to nothing.
fn listed(name: &'static str, value: &Value) -> Result<Map<String, Value>, PropertyFault> {
    let texts = strings(value).ok_or_else(|| fault(name, "is neither a map nor a list of strings"))?;
    let mut entries = Vec::new();
    let mut keys = BTreeMap::new();
    for text in texts {
        let entry = text.split_once('=');
        let (key, principal) =
            entry.ok_or_else(|| fault(name, "is a list with an entry that is not <name>=<role ARN>"))?;
        if *keys.entry(principal).or_insert(key) != key {
            return Err(fault(name, "is a list in which one role stands under two names (only a map may)"));
        }
        entries.push((key, principal));
    }
    Ok(by_key(entries))
}

fn map<K: FromStr + Ord>(
    properties: &Map<String, Value>,
    name: &'static str,
    is_declared: impl Fn(&K) -> bool,
    list: impl Fn(&'static str, &Value) -> Result<Readers, PropertyFault>,
) -> Result<BTreeMap<K, Readers>, PropertyFault> {
    let entries = match properties.get(name) {
        None => return Ok(BTreeMap::new()),
        Some(Value::Object(entries)) => entries.clone(),
        Some(value) => listed(name, value)?,
    };
    let entry = |(key, value): (&String, &Value)| {
        let key = key.parse().map_err(|_| fault(name, "has a key that names no node or application"))?;
        if !is_declared(&key) {
            return Err(fault(name, "names a node or an application that is not declared"));
        }
        Ok((key, list(name, value)?))
    };
    entries.iter().map(entry).collect()
}

fn readers(
    name: &'static str,
    value: &Value,
    accounts: bool,
    partition: &str,
) -> Result<Readers, PropertyFault> {
    let texts = strings(value).ok_or_else(|| fault(name, "is not a list of strings"))?;
    if texts.len() > PRINCIPALS_MAX || texts.iter().map(|text| text.len()).sum::<usize>() > CHARACTERS_MAX {
        return Err(fault(name, "has more entries than one resource policy takes"));
    }
    let mut readers = Readers::default();
    for text in texts {
        if is_account(text) {
            if !accounts {
                return Err(fault(
                    name,
                    "names an account although AllowAccountReaders is not true (every administrator of \
                     that account could then read)",
                ));
            }
            readers.accounts.insert(text.to_owned());
            continue;
        }
        let role: RoleArn = text
            .parse()
            .map_err(|RoleArnError| fault(name, "has an entry that is not a role ARN or an account id"))?;
        if role.partition() != partition {
            return Err(fault(name, "names a role of another partition than the key's"));
        }
        readers.roles.insert(role);
    }
    Ok(readers)
}
