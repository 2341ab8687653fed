//! What the programs that run with a node's secrets take, and under which names.
//!
//! Each program has a module. What it takes is a contract, held byte for byte by the tests: a scalar or a
//! coordinate that begins with a zero byte keeps it. No I/O here.

mod geth;
mod horcrux;
pub(crate) mod op_node;
#[cfg(test)]
mod tests;
pub mod tsm;

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use key_material::Curve;
use provisioning::names::NodeIndex;
use reading::{ClusterView, NodeSecrets};
use zeroize::Zeroizing;

/// A program that runs with a node's secrets.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// A Builder Vault TSM node: `KEYBOOT_P2P_PRIVATE_KEY` and, where the node has a share-encryption
    /// password, `KEYBOOT_SHARE_ENCRYPTION_PASSWORD`, which a [configuration](tsm::render) refers to.
    Tsm,
    /// go-ethereum: `GETH_NODEKEYHEX`, or with a file `GETH_NODEKEY`.
    Geth,
    /// op-node: `OP_NODE_P2P_PRIV_RAW`, or with a file `OP_NODE_P2P_PRIV_PATH`.
    OpNode,
    /// horcrux: `KEYBOOT_HORCRUX_ECIES_KEYS`, of use as a file only.
    Horcrux,
}

/// One secret as its reader takes it. Wiped when dropped, never printed.
pub struct Handed {
    /// The environment variable that holds it.
    pub variable: Cow<'static, str>,
    /// The one that holds the path where it is, where that is not the first one with `_FILE` behind it.
    of_file: Option<&'static str>,
    value: Zeroizing<String>,
}

impl Handed {
    /// Takes a value over; it must not have grown in place, which leaves copies behind.
    #[must_use]
    pub fn new(variable: impl Into<Cow<'static, str>>, value: Zeroizing<String>) -> Self {
        Self { variable: variable.into(), of_file: None, value }
    }

    /// The same for a program that has a variable of its own for the path of a file.
    #[must_use]
    pub fn or_in_file(self, of_file: &'static str) -> Self {
        Self { of_file: Some(of_file), ..self }
    }

    /// The environment variable that holds the path where the value is, if it is in a file.
    #[must_use]
    pub fn variable_of_file(&self) -> String {
        self.of_file.map_or_else(|| format!("{}_FILE", self.variable), str::to_owned)
    }

    /// Reveals the value.
    ///
    /// # Security
    ///
    /// Its one sink is the process that is started. Whoever calls this says so in an `EXPOSE` comment.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.value
    }
}

impl fmt::Debug for Handed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handed").field("variable", &self.variable).finish_non_exhaustive()
    }
}

/// A program cannot run as this node. It never holds a secret.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{program} cannot run as this node: {fault}")]
pub struct FormatError {
    /// The program.
    pub program: &'static str,
    /// What is wrong, and what is allowed.
    pub fault: String,
}

impl Format {
    /// Converts what a node runs with at a time.
    ///
    /// # Errors
    ///
    /// [`FormatError`]: the key is on another curve than the program takes, or the view lacks what the
    /// program has to know of its peers.
    pub fn convert(
        self,
        secrets: &NodeSecrets,
        view: &ClusterView,
        index: NodeIndex,
        now: Timestamp,
    ) -> Result<Vec<Handed>, FormatError> {
        match self {
            Self::Tsm => tsm::convert(secrets, index),
            Self::Geth => geth::convert(&secrets.p2p_key, index).map(|key| vec![key]),
            Self::OpNode => op_node::convert(&secrets.p2p_key, index).map(|key| vec![key]),
            Self::Horcrux => horcrux::convert(&secrets.p2p_key, view, index, now).map(|keys| vec![keys]),
        }
    }
}

impl Format {
    /// What has to be in the program's environment besides, so that it keeps no copy of a secret.
    #[must_use]
    pub fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::OpNode => &[("OP_NODE_P2P_PEERSTORE_PATH", "memory")],
            Self::Tsm | Self::Geth | Self::Horcrux => &[],
        }
    }
}

/// Refuses a node's key on a curve that a program does not take.
fn refuse_other_curves(
    program: &'static str,
    index: NodeIndex,
    found: Curve,
    allowed: &[Curve],
) -> Result<(), FormatError> {
    if allowed.contains(&found) {
        return Ok(());
    }
    let names: Vec<_> = allowed.iter().map(|curve| curve.name()).collect();
    Err(FormatError {
        program,
        fault: format!(
            "the key of node {index} is on {found}, and the program takes {}; a cluster keeps its curve, so this takes a new \
             cluster with that P2pCurve",
            names.join(" or ")
        ),
    })
}
