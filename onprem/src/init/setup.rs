//! What `init` is told: who holds the shares of the unseal key, and what is set for single roles.
//!
//! ```toml
//! threshold = 3
//! shares = ["/media/ann/share", "/media/ben/share", "/media/cleo/share", "/media/dan/share", "/media/eve/share"]
//!
//! [addresses]
//! provisioner = ["192.0.2.10/32"]
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::config::no_toml;
use crate::error::OnpremError;
use crate::policies::{Limits, ROLE_NUMBERS, Role};

/// The most shares that a key is cut into.
const SHARES_MAX: usize = 255;

/// What `init` is told.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Setup {
    /// How many of the shares open the server; where it opens itself, how many make a root token.
    pub(crate) threshold: usize,
    /// Where the shares go: a file for each holder, in a folder of his own.
    pub(crate) shares: Vec<PathBuf>,
    /// For how many keys of each role of a chain there are signers.
    #[serde(default = "role_numbers")]
    pub(crate) role_numbers: u32,
    /// Files of audit devices, where the server takes them by its API and has none by its configuration.
    #[serde(default)]
    pub(crate) audit_files: Vec<PathBuf>,
    /// Roles whose secret ids are for many logins, such as those of nodes that start again by themselves.
    #[serde(default)]
    standing: BTreeSet<String>,
    /// From which addresses roles may log in, as blocks such as `192.0.2.10/32`.
    #[serde(default)]
    addresses: BTreeMap<String, Vec<String>>,
}

fn role_numbers() -> u32 {
    ROLE_NUMBERS
}

impl Setup {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`OnpremError::Config`], with what is wrong.
    pub(crate) fn read(path: &Path) -> Result<Self, OnpremError> {
        let fault = |fault: String| OnpremError::Config(format!("{}: {fault}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
        Self::parse(&text).map_err(fault)
    }

    /// Reads a text.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| no_toml(text, &error))?;
        let setup: Self = serde_path_to_error::deserialize(toml::Value::Table(table))
            .map_err(|error| format!("`{}` is wrong: {}", error.path(), error.inner().message()))?;
        setup.checked()
    }

    fn checked(self) -> Result<Self, String> {
        let shares = self.shares.len();
        // One holder alone would hold everything; and where all are needed, one that is lost loses everything.
        if !(2..shares).contains(&self.threshold) || shares > SHARES_MAX {
            return Err(format!(
                "with {shares} shares `threshold` is {}: it must be at least 2, and there must be more shares than \
                 that, at most {SHARES_MAX}: one holder alone must not open the server, and one lost share must not \
                 close it for ever",
                self.threshold
            ));
        }
        if !(1..=64).contains(&self.role_numbers) {
            return Err("`role-numbers` must be 1 to 64".to_owned());
        }
        for path in self.shares.iter().chain(&self.audit_files) {
            if !path.is_absolute() || path.file_name().is_none() {
                return Err(format!("{} must be the absolute path of a file", path.display()));
            }
        }
        for (role, blocks) in &self.addresses {
            if blocks.is_empty() || !blocks.iter().all(|block| is_block(block)) {
                return Err(format!(
                    "`addresses.{role}` must be a list of blocks such as 192.0.2.10/32, and of no smaller prefix \
                     than /8 (IPv4) or /32 (IPv6)"
                ));
            }
        }
        if let Some(role) = self.standing.iter().find(|role| !self.addresses.contains_key(*role)) {
            return Err(format!(
                "`standing` names {role}, whose secret ids are then good for many logins: it must stand under \
                 `addresses` as well, so that they are good from there alone"
            ));
        }
        Ok(self)
    }

    /// Refuses names that are no role's: a limit that holds for nobody was meant for somebody.
    pub(crate) fn refuse_unknown_roles(&self, roles: &[Role]) -> Result<(), OnpremError> {
        let known: BTreeSet<String> = roles.iter().map(Role::to_string).collect();
        match self.standing.iter().chain(self.addresses.keys()).find(|name| !known.contains(*name)) {
            None => Ok(()),
            Some(name) => Err(OnpremError::Config(format!(
                "there is no role {name}; there are {}",
                known.into_iter().collect::<Vec<_>>().join(", ")
            ))),
        }
    }

    /// What is set for a role.
    pub(crate) fn limits(&self, role: &Role) -> Limits {
        let name = role.to_string();
        Limits {
            cidrs: self.addresses.get(&name).cloned().unwrap_or_default(),
            standing: self.standing.contains(&name),
        }
    }
}

/// Whether a text is a block of addresses that leaves most of the world out.
fn is_block(text: &str) -> bool {
    let Some((address, prefix)) = text.split_once('/') else { return false };
    let (Ok(address), Ok(prefix)) = (address.parse::<std::net::IpAddr>(), prefix.parse::<u8>()) else {
        return false;
    };
    if address.is_ipv4() { (8..=32).contains(&prefix) } else { (32..=128).contains(&prefix) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "threshold = 2\nshares = [\"/a/share\", \"/b/share\", \"/c/share\"]\n";

    fn refused(text: &str) -> String {
        Setup::parse(text).unwrap_err()
    }

    #[test]
    fn one_holder_never_opens_the_server_and_one_lost_share_never_closes_it() {
        assert_eq!(Setup::parse(GOOD).unwrap().threshold, 2);
        for threshold in [0, 1, 3, 4] {
            let text = GOOD.replace("threshold = 2", &format!("threshold = {threshold}"));
            assert!(refused(&text).contains("at least 2"), "{threshold}");
        }
    }

    #[test]
    fn what_is_unknown_or_not_absolute_is_refused_by_name() {
        assert!(refused(&format!("{GOOD}thresold = 2\n")).contains("thresold"));
        assert!(refused(&GOOD.replace("/a/share", "a/share")).contains("a/share must be the absolute path"));
        assert!(refused(&format!("{GOOD}role-numbers = 0\n")).contains("role-numbers"));
    }

    #[test]
    fn a_secret_id_of_many_logins_is_bound_to_addresses() {
        let text = format!("{GOOD}standing = [\"node.keyboot.tsm.0\"]\n");
        assert!(refused(&text).contains("node.keyboot.tsm.0"));
        let bound = |block: &str| format!("{text}[addresses]\n\"node.keyboot.tsm.0\" = [\"{block}\"]\n");
        for block in ["0.0.0.0/0", "192.0.2.1", "192.0.2.1/33", "::/0", "somewhere", ""] {
            assert!(refused(&bound(block)).contains("addresses.node.keyboot.tsm.0"), "{block}");
        }
        let role = Role::Node { cluster: "keyboot/tsm".parse().unwrap(), index: "0".parse().unwrap() };
        let setup = Setup::parse(&bound("192.0.2.1/32")).unwrap();
        let limits = setup.limits(&role);
        assert_eq!((limits.cidrs, limits.standing), (vec!["192.0.2.1/32".to_owned()], true));
        assert!(setup.refuse_unknown_roles(&[role]).is_ok());
        assert!(setup.refuse_unknown_roles(&[Role::Auditor]).is_err());
    }
}
