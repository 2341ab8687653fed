//! A Builder Vault TSM node: its secrets as environment variables, and a `config.toml` that refers to them.
//!
//! The vendor's format lets any value be a reference to an environment variable, so the file can be public.
//! It is made of the signed records, but for names and addresses. Those come from an unsigned document or
//! from the operator, and are read strictly: a name with a reference in it would send the private key out
//! as a question to DNS.
//!
//! `ExportWhiteList` is never in it: the vendor's samples let any key be exported.

mod config;
mod database;
mod layout;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use key_material::Curve;
use provisioning::names::{Application, NodeIndex};
use provisioning::record::{AcceptedKey, KeyState, NodeRecord};
use reading::{ClusterView, DatabaseLogin, NodeSecrets};
use zeroize::Zeroizing;

pub use layout::{
    Address, Database, Driver, Layout, Lifetime, Login, Permission, Roots, Scheme, Sections, Variable,
};

use super::{FormatError, Handed, refuse_other_curves};

const PROGRAM: &str = "a TSM node";
/// The vendor allows P-521 too, which is no curve of ours.
const CURVES: [Curve; 2] = [Curve::P256, Curve::P384];

const PRIVATE_KEY: &str = "KEYBOOT_P2P_PRIVATE_KEY";
const SHARE_PASSWORD: &str = "KEYBOOT_SHARE_ENCRYPTION_PASSWORD";

pub(super) fn convert(secrets: &NodeSecrets, index: NodeIndex) -> Result<Vec<Handed>, FormatError> {
    refuse_other_curves(PROGRAM, index, secrets.p2p_key.curve(), &CURVES)?;
    // EXPOSE: to the TSM node, as the variable that `Player.PrivateKey` refers to.
    let private_key = Handed::new(PRIVATE_KEY, secrets.p2p_key.expose_sec1_base64());
    let password = secrets.share_password.as_ref().map(|password| {
        // EXPOSE: to the TSM node, as the variable that `Database.EncryptorMasterPassword` refers to.
        Handed::new(SHARE_PASSWORD, Zeroizing::new(password.expose().to_owned()))
    });
    Ok([Some(private_key), password].into_iter().flatten().collect())
}

/// Converts the login at a node's database to what its driver takes.
pub(crate) fn convert_login(variable: &Variable, login: &DatabaseLogin, roots: &Roots) -> Handed {
    Handed::new(variable.as_str().to_owned(), database::data_source(login, roots))
}

/// Writes the `config.toml` of node `index` as it is to be at a time. It holds references in place of
/// secrets, and no more than this depends on: what counts at the time. So a text that is another one is a
/// reason to start the node anew, and a record with a new serial number alone is not.
///
/// Peers whose records are not believed are left out, and named at the top; the other nodes can sign
/// without them. Two nodes are the fewest: the vendor's smallest TSM has two, both needed (its "TSM Security
/// Model"), and with three of which one is out the other two still sign.
///
/// # Errors
///
/// [`FormatError`]: the view has no record of this node or of no other one, a key is on a curve that the
/// program does not take, or a peer has no address.
pub fn render(
    view: &ClusterView,
    index: NodeIndex,
    now: Timestamp,
    layout: &Layout,
) -> Result<String, FormatError> {
    config::Config::new(view, index, now, layout)?.to_text(view, index)
}

/// The hashes of API keys that a node accepts, in base64. Two of them are equal when a node accepts the same
/// keys, whatever their states.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Accepted {
    /// Of the SDK, by application.
    pub applications: BTreeMap<Application, BTreeSet<String>>,
    /// Of the management interface.
    pub management: BTreeSet<String>,
}

/// What a node accepts at a time: candidates, which are announced before their plaintext is stored, what is
/// in use, and what is replaced until its time is over.
#[must_use]
pub fn accepted_at(record: &NodeRecord, now: Timestamp) -> Accepted {
    let hashes = |keys: &[AcceptedKey]| -> BTreeSet<String> {
        let accepted = keys.iter().filter(|key| key.is_accepted_at(now));
        accepted.map(|key| key.hash.to_string()).collect()
    };
    let applications = record.api_keys.iter().map(|(application, keys)| (application.clone(), hashes(keys)));
    Accepted {
        applications: applications.filter(|(_, hashes)| !hashes.is_empty()).collect(),
        management: hashes(&record.management_keys),
    }
}

/// The next time at which a replaced key is accepted no more.
#[must_use]
pub fn next_end(record: &NodeRecord, now: Timestamp) -> Option<Timestamp> {
    let keys = record.management_keys.iter().chain(record.api_keys.values().flatten());
    let retiring = keys.filter(|key| key.state == KeyState::Retiring);
    retiring.filter_map(|key| key.until).filter(|until| *until > now).min()
}

fn fault(fault: impl Into<String>) -> FormatError {
    FormatError { program: PROGRAM, fault: fault.into() }
}
