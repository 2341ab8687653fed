//! The keys that a reader believes, and for which nodes.
//!
//! In a cluster whose nodes' keys are made in accounts of their own each account signs its node's record
//! with a key of its own. A reader that let each of them speak for every node would let one account stand
//! in for another one's node, so a pin says for which nodes it counts.

use std::collections::BTreeSet;

use provisioning::names::NodeIndex;
use provisioning::signed::{DocumentError, PinnedKeys};

use crate::secrets::home_of;

/// One pinned key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pin {
    /// The ARN of the key that signs.
    pub signer: String,
    /// Its public half: SPKI in DER, on P-256.
    pub public_key: Vec<u8>,
    /// `<region>:<account>` of the stack that signs with it, where that is not the key's own.
    pub home: Option<String>,
    /// The nodes whose records it may sign; all of them where there is none.
    pub nodes: Option<BTreeSet<NodeIndex>>,
}

impl Pin {
    fn is_for(&self, index: NodeIndex) -> bool {
        self.nodes.as_ref().is_none_or(|nodes| nodes.contains(&index))
    }
}

/// The keys that a reader believes. Never empty.
#[derive(Clone, Debug)]
pub struct Pins(Vec<Pin>);

impl Pins {
    /// Pins these.
    ///
    /// # Errors
    ///
    /// [`DocumentError::Malformed`] when there is none, or one is no P-256 key.
    pub fn new(pins: Vec<Pin>) -> Result<Self, DocumentError> {
        if pins.is_empty() {
            return Err(DocumentError::Malformed("no key is pinned".into()));
        }
        keys(&pins, |_| true)?;
        Ok(Self(pins))
    }

    /// The keys that may sign the record of node `index`.
    #[must_use]
    pub fn of_node(&self, index: NodeIndex) -> PinnedKeys {
        self.those(|pin| pin.is_for(index))
    }

    /// The keys that may sign the roster for a reader: those of his own node's stack, or for an auditor those
    /// that speak for all nodes. A key that is pinned for another node says nothing about who is in.
    #[must_use]
    pub fn of_rosters(&self, reader: Option<NodeIndex>) -> PinnedKeys {
        match reader {
            Some(index) => self.of_node(index),
            None if self.0.iter().any(|pin| pin.nodes.is_none()) => self.those(|pin| pin.nodes.is_none()),
            None => self.of_any_node(),
        }
    }

    /// The keys that may sign any record at all.
    #[must_use]
    pub fn of_any_node(&self) -> PinnedKeys {
        self.those(|_| true)
    }

    /// `<region>:<account>` of the stacks that may sign the record of node `index`: there its secrets are.
    pub(crate) fn homes_of(&self, index: NodeIndex) -> impl Iterator<Item = &str> {
        let pins = self.0.iter().filter(move |pin| pin.is_for(index));
        pins.filter_map(|pin| pin.home.as_deref().or_else(|| home_of(&pin.signer)))
    }

    fn those(&self, is_one: impl Fn(&Pin) -> bool) -> PinnedKeys {
        // Each was tried when it was pinned.
        keys(&self.0, is_one).unwrap_or_default()
    }
}

fn keys(pins: &[Pin], is_one: impl Fn(&Pin) -> bool) -> Result<PinnedKeys, DocumentError> {
    let those = pins.iter().filter(|pin| is_one(pin));
    those.cloned().try_fold(PinnedKeys::default(), |keys, pin| keys.pin(pin.signer, &pin.public_key))
}
