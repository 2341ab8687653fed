//! The roles of an OP-stack chain whose keys a program signs with, and those whose keys no program may hold.

use std::fmt;
use std::str::FromStr;

use provisioning::names::Segment;
use serde::{Deserialize, Serialize};

/// What a role may be, as a phrase that follows "must be".
pub const ROLES_ALLOWED: &str = "a list of distinct roles of batcher, proposer, challenger and sequencer";

/// A role whose key a program signs with, all day.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Sends the chain's transactions to L1: op-batcher.
    Batcher,
    /// Proposes what the chain has come to: op-proposer.
    Proposer,
    /// Challenges what others have proposed, and defends what is right: op-challenger.
    Challenger,
    /// Signs blocks that are not on L1 yet, towards the other nodes: op-node of the sequencer, the chain's
    /// unsafe-block signer.
    Sequencer,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Batcher, Self::Proposer, Self::Challenger, Self::Sequencer];

    /// The name as text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Batcher => "batcher",
            Self::Proposer => "proposer",
            Self::Challenger => "challenger",
            Self::Sequencer => "sequencer",
        }
    }

    /// The name as a part of other names.
    ///
    /// # Panics
    ///
    /// Never: each of the names is one.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the four names above are segments: a test parses them")]
    pub fn as_segment(self) -> Segment {
        self.as_str().parse().expect("a segment")
    }

    /// Whether the account sends transactions on L1, and so needs funds there. The sequencer's signs messages
    /// between nodes, and no transaction.
    #[must_use]
    pub fn pays_for_transactions(self) -> bool {
        self != Self::Sequencer
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text names no role whose key is made here.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RoleError {
    /// Nobody knows such a role.
    #[error("it must be batcher, proposer, challenger or sequencer")]
    Unknown,
    /// It is another name of the sequencer's.
    #[error("it is the key that the sequencer signs with: declare the role sequencer")]
    UnsafeBlockSigner,
    /// It may change the chain itself.
    #[error("{HARDWARE_WALLET}")]
    Administrative,
}

/// What is done in place of making a key that may change the chain itself.
pub const HARDWARE_WALLET: &str = "an admin or owner key is made on a hardware wallet and never anywhere else, so none is made \
     here: read its address with `cast wallet address --ledger`, put that address (best as a signer of a multisig) into \
     the chain's configuration, and send what it has to sign with `cast send <contract> <signature> <arguments> --ledger \
     --rpc-url <L1>`";

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        if let Some(role) = Self::ALL.into_iter().find(|role| role.as_str() == text) {
            return Ok(role);
        }
        // Whatever it is called: p2pSequencerAddress in a deployment's configuration.
        let plain: String =
            text.chars().filter(char::is_ascii_alphanumeric).map(|each| each.to_ascii_lowercase()).collect();
        if matches!(plain.as_str(), "unsafeblocksigner" | "p2psequencer" | "p2psequenceraddress") {
            return Err(RoleError::UnsafeBlockSigner);
        }
        if ADMINISTRATIVE.iter().any(|word| plain.contains(word)) {
            return Err(RoleError::Administrative);
        }
        Err(RoleError::Unknown)
    }
}

/// What the names of administrative roles have in them: proxy admin, system config owner, guardian, superchain
/// config, security council and the like.
const ADMINISTRATIVE: [&str; 11] = [
    "admin",
    "owner",
    "guardian",
    "superchain",
    "council",
    "multisig",
    "governance",
    "governor",
    "upgrader",
    "deployer",
    "systemconfig",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roles_are_spelled_in_one_way() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
            assert_eq!(role.as_segment().as_str(), role.as_str());
            assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
        }
        for bad in ["", "Batcher", "batchers", "op-batcher", "signer"] {
            assert_eq!(bad.parse::<Role>(), Err(RoleError::Unknown), "{bad}");
        }
        for same in ["unsafe-block-signer", "unsafeBlockSigner", "p2p-sequencer"] {
            assert_eq!(same.parse::<Role>(), Err(RoleError::UnsafeBlockSigner), "{same}");
        }
    }

    #[test]
    fn a_role_that_may_change_the_chain_is_refused_with_the_hardware_wallet() {
        for role in [
            "admin",
            "owner",
            "proxy-admin",
            "l1ProxyAdminOwner",
            "guardian",
            "system-config-owner",
            "systemConfigOwner",
            "superchain-config",
            "superchainConfigGuardian",
            "protocol-versions-owner",
            "final-system-owner",
            "security-council",
            "deployer",
        ] {
            let error = role.parse::<Role>().unwrap_err();
            assert_eq!(error, RoleError::Administrative, "{role}");
            let told = error.to_string();
            assert!(told.contains("cast wallet address --ledger"), "{told}");
            assert!(told.contains("--ledger --rpc-url"), "{told}");
        }
    }
}
