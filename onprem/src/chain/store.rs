//! Where a chain's role keys and its document are kept, as far as a plan and its carrying out need it.
//!
//! Nothing here gives a key back.

use std::future::Future;

use jiff::Timestamp;
use key_material::P2pPrivateKey;
use key_material::ethereum::EthereumAddress;
use provisioning::audit::AuditEvent;
use provisioning::chain::ChainDocument;
use provisioning::ownership::{Generation, Owner};

use super::{ChainError, Role};

/// One key of a chain, by role and number.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct KeyId {
    /// The role.
    pub role: Role,
    /// The number among the role's keys, from 1.
    pub number: u32,
}

/// Whether a key can be read by those who sign with it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It can.
    Held,
    /// It is let go of.
    Leaving {
        /// When it may be removed; none where that is not told.
        until: Option<Timestamp>,
        /// Whether it cannot be read any more.
        hidden: bool,
    },
    /// Its value is gone for good.
    Lost,
}

/// What can be told of a key.
#[derive(Clone, Debug)]
pub struct FoundKey {
    /// Which it is.
    pub id: KeyId,
    /// The address of the account that it controls.
    pub address: EthereumAddress,
    /// Its public half: SPKI in base64.
    pub public: String,
    /// Whose it is; none where its tags name nobody.
    pub owner: Option<Owner>,
    /// The operation that made it.
    pub generation: Option<Generation>,
    /// Whether it can be read.
    pub standing: Standing,
}

/// What is there of a chain.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// How many times the document was written; the next writing has to follow that one.
    pub newest: u64,
    /// The document, checked.
    pub document: Option<ChainDocument>,
    /// The keys.
    pub keys: Vec<FoundKey>,
    /// Keys that cannot be believed to be what they say, and why.
    pub unknown: Vec<(KeyId, &'static str)>,
}

impl Found {
    /// What can be told of one key.
    #[must_use]
    pub fn key(&self, id: KeyId) -> Option<&FoundKey> {
        self.keys.iter().find(|key| key.id == id)
    }
}

/// Where a chain's keys and its document are.
pub trait ChainStore {
    /// What is there.
    fn find(&self) -> impl Future<Output = Result<Found, ChainError>>;
    /// Stores a key where none is yet: [`ChainError::Meanwhile`] where one is.
    fn create(
        &self,
        id: KeyId,
        key: &P2pPrivateKey,
        owner: &Owner,
        generation: &Generation,
    ) -> impl Future<Output = Result<(), ChainError>>;
    /// Makes a key this owner's.
    fn take_over(&self, id: KeyId, owner: &Owner) -> impl Future<Output = Result<(), ChainError>>;
    /// Takes a key out of its recovery window, with its value. One that is not in it is fine.
    fn restore(&self, id: KeyId) -> impl Future<Output = Result<(), ChainError>>;
    /// Hides a key from its readers until it is restored, or removed after `until`. One that is hidden is fine.
    fn schedule(&self, id: KeyId, until: Timestamp) -> impl Future<Output = Result<(), ChainError>>;
    /// Removes a key for good. One that is gone is fine.
    fn remove(&self, id: KeyId) -> impl Future<Output = Result<(), ChainError>>;
    /// Signs and writes the document, if it was written `newest` times so far: [`ChainError::Meanwhile`]
    /// otherwise.
    fn write(&self, document: &ChainDocument, newest: u64) -> impl Future<Output = Result<(), ChainError>>;
    /// The name of a key, in the form of an ARN.
    fn key_arn(&self, id: KeyId) -> String;
    /// The name of the document, in the form of an ARN.
    fn document_arn(&self) -> String;
    /// Writes down what was done.
    fn record(&self, event: &AuditEvent<'_>);
}
