//! What the programs that run with a node's secrets take, and under which names.

mod geth;
mod horcrux;
mod op_node;
pub mod tsm;

use std::fmt;

use jiff::Timestamp;
use provisioning::names::NodeIndex;
use reading::{ClusterView, NodeSecrets};
use zeroize::Zeroizing;

/// A program that runs with a node's secrets.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// A Builder Vault TSM node.
    Tsm,
    /// go-ethereum.
    Geth,
    /// op-node.
    OpNode,
    /// horcrux.
    Horcrux,
}

/// One secret as its reader takes it. Wiped when dropped, never printed.
pub struct Handed {
    /// The environment variable that holds it, or with `_FILE` behind it the path where it is.
    pub variable: &'static str,
    value: Zeroizing<String>,
}

impl Handed {
    /// Takes a value over; it must not have grown in place, which leaves copies behind.
    #[must_use]
    pub fn new(variable: &'static str, value: Zeroizing<String>) -> Self {
        Self { variable, value }
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

/// A node's secrets cannot be given to this program.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{program} cannot run with these keys: {fault}")]
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
    /// [`FormatError`], such as for a key on another curve than the program takes.
    pub fn convert(
        self,
        secrets: &NodeSecrets,
        view: &ClusterView,
        index: NodeIndex,
        now: Timestamp,
    ) -> Result<Vec<Handed>, FormatError> {
        let _ = (secrets, view, index, now);
        todo!()
    }
}
