//! What provisioning needs from the world, a trait for each need.
//!
//! Every method that changes something takes a [`Permit`], and a permit comes only from having
//! asked CloudFormation whether the operation is still in progress: a write without that question
//! does not compile. No trait here can read a secret's value.

use std::fmt;
use std::future::Future;

use jiff::Timestamp;
use key_material::{Curve, P2pPublicKey};

use crate::audit::AuditEvent;
use crate::authority::Permit;
use crate::names::{ParameterName, SecretName, Slot};
use crate::ownership::{OwnerId, Tags};
use crate::properties::KmsKeyArn;
use crate::sealing::{EncryptionContext, StoredValue};
use crate::store::Store;

/// Why a call to a store, a key or the stack failed, by what the caller does next.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PortError {
    /// The name is taken already, by a thing in use or in its recovery window.
    #[error("{what} exists already")]
    Exists {
        /// The call and its object.
        what: String,
    },
    /// The thing is not there.
    #[error("{what} does not exist")]
    NotFound {
        /// The call and its object.
        what: String,
    },
    /// The caller may not do this: a policy has to change first.
    #[error("{what} was denied ({code}): check the function's role, the key policy and the resource policy")]
    Denied {
        /// The call and its object.
        what: String,
        /// The service's error code.
        code: String,
    },
    /// The service refuses the request itself: repeating it does not help.
    #[error("{what} was refused ({code})")]
    Refused {
        /// The call and its object.
        what: String,
        /// The service's error code.
        code: String,
    },
    /// The service could not be reached, or not in time, or it throttled us to the end.
    #[error("{what} did not succeed ({code}), although it was retried: try the operation again")]
    Unavailable {
        /// The call and its object.
        what: String,
        /// The service's error code, or what happened instead of an answer.
        code: String,
    },
}

/// A secret that is about to be stored for the first time.
#[derive(Debug)]
pub struct NewSecret<'a> {
    /// The store that it goes to.
    pub store: Store,
    /// Its name.
    pub name: &'a SecretName,
    /// The token that makes a repeated call harmless, where the store takes one; there it becomes the
    /// version id.
    pub token: &'a str,
    /// Its value.
    pub value: &'a StoredValue,
    /// The customer's key that the store encrypts with.
    pub key: &'a KmsKeyArn,
    /// What the secret is for, in a sentence for operators.
    pub description: &'a str,
    /// Its tags: set in the call that creates it.
    pub tags: &'a Tags,
}

/// A secret that has just been stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredSecret {
    /// Its full ARN.
    pub arn: String,
    /// The id of the version that holds the value.
    pub version_id: String,
}

/// What can be told of a secret without reading it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SecretFacts {
    /// The store that it is in.
    pub store: Store,
    /// Its full ARN.
    pub arn: String,
    /// Its tags.
    pub tags: Tags,
    /// The key that the store encrypts with.
    pub key: Option<String>,
    /// Whether it is in its recovery window.
    pub scheduled_for_deletion: bool,
    /// When its recovery window is over, where the store does not end it: then a later operation of
    /// its owner removes it.
    pub awaits_removal_from: Option<Timestamp>,
    /// Whether its value was ever retrieved, as far as the store tells.
    pub was_retrieved: bool,
}

/// Stores of secrets that nobody here can read. A secret's ARN tells which one it is in.
pub trait SecretStore {
    /// Stores a new secret. A name in its recovery window counts as taken.
    fn create_secret(
        &self,
        permit: &Permit,
        secret: NewSecret<'_>,
    ) -> impl Future<Output = Result<StoredSecret, PortError>>;
    /// What can be told of a secret; `None` when there is none. A read error is never `None`.
    fn describe_secret(
        &self,
        store: Store,
        name: &SecretName,
    ) -> impl Future<Output = Result<Option<SecretFacts>, PortError>>;
    /// The names of an owner's secrets that are in a recovery window which the store does not end, as
    /// far as the store lists them by now: for what is over by days, an old list is as good.
    fn secrets_awaiting_removal(
        &self,
        store: Store,
        owner: &OwnerId,
    ) -> impl Future<Output = Result<Vec<String>, PortError>>;
    /// Takes a secret out of its recovery window, with its value.
    fn restore_secret(&self, permit: &Permit, arn: &str) -> impl Future<Output = Result<(), PortError>>;
    /// Puts a secret into its recovery window of `days` days; one that is gone or there already is fine.
    fn schedule_secret(
        &self,
        permit: &Permit,
        arn: &str,
        days: u8,
    ) -> impl Future<Output = Result<(), PortError>>;
    /// Removes a secret for good: one that nobody can have used, or whose recovery window is over where
    /// the store does not end it. One that is gone is fine.
    fn remove_secret(&self, permit: &Permit, arn: &str) -> impl Future<Output = Result<(), PortError>>;
}

/// A key that seals, and cannot open.
pub trait Sealer {
    /// Encrypts `plaintext` (at most 4,096 bytes) under `key` and `context`.
    fn seal(
        &self,
        key: &KmsKeyArn,
        context: &EncryptionContext,
        plaintext: &[u8],
    ) -> impl Future<Output = Result<Vec<u8>, PortError>>;
}

/// A fresh P2P key pair: the public half, and the private half ready for its store.
#[derive(Debug)]
pub struct MadeP2pKey {
    /// The public half.
    pub public: P2pPublicKey,
    /// The private half, in the form in which it is stored.
    pub value: StoredValue,
}

/// What makes P2P keys.
pub trait P2pKeyMaker {
    /// Makes a pair on `curve` for `slot`.
    fn make_p2p_key(&self, curve: Curve, slot: &Slot) -> impl Future<Output = Result<MadeP2pKey, MakeError>>;
}

/// A key was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MakeError {
    /// Key material could not be made or proven.
    #[error(transparent)]
    Material(#[from] key_material::KeyMaterialError),
    /// The key that seals it did not do so.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The stored form could not be written.
    #[error("the stored form could not be written")]
    Form(#[from] serde_json::Error),
}

/// The key that signs records, and its public half.
pub trait RecordSigner {
    /// The ARN of the signing key.
    fn signer(&self) -> &str;
    /// Signs a SHA-256 digest with ECDSA on P-256; the signature is DER.
    fn sign_digest(
        &self,
        permit: &Permit,
        digest: [u8; 32],
    ) -> impl Future<Output = Result<Vec<u8>, PortError>>;
    /// The public half, SPKI in DER.
    fn verifying_key(&self) -> impl Future<Output = Result<Vec<u8>, PortError>>;
}

/// Where public documents are kept.
pub trait Publisher {
    /// Reads documents; `None` for each that is not there, in the order asked for.
    fn read_documents(
        &self,
        names: &[ParameterName],
    ) -> impl Future<Output = Result<Vec<Option<String>>, PortError>>;
    /// Writes a document that must not exist yet, with its owner's tags.
    fn publish_new(
        &self,
        permit: &Permit,
        name: &ParameterName,
        text: &str,
        tags: &Tags,
    ) -> impl Future<Output = Result<(), PortError>>;
    /// Replaces a document; with `expires` it vanishes then by itself.
    fn republish(
        &self,
        permit: &Permit,
        name: &ParameterName,
        text: &str,
        expires: Option<Timestamp>,
    ) -> impl Future<Output = Result<(), PortError>>;
    /// Removes documents; those that are gone are fine.
    fn withdraw(
        &self,
        permit: &Permit,
        names: &[ParameterName],
    ) -> impl Future<Output = Result<(), PortError>>;
    /// The full ARN of a document.
    fn document_arn(&self, name: &ParameterName) -> String;
}

/// What CloudFormation says of a resource.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ResourceState {
    /// The status, such as `CREATE_IN_PROGRESS`.
    pub status: String,
    /// The physical id that CloudFormation holds; none while the first Create runs.
    pub physical_id: Option<String>,
}

/// What CloudFormation says about the operation that an event claims to be.
pub trait StackState {
    /// The state of one resource; `None` when the stack or the resource is not known.
    fn resource_state(
        &self,
        stack_id: &str,
        logical_id: &str,
    ) -> impl Future<Output = Result<Option<ResourceState>, PortError>>;
    /// The status of the stack, such as `UPDATE_COMPLETE_CLEANUP_IN_PROGRESS`; `None` when it is not known.
    fn stack_status(&self, stack_id: &str) -> impl Future<Output = Result<Option<String>, PortError>>;
}

/// Where it is written down what was done. Never a value.
pub trait AuditLog {
    /// Writes one event down.
    fn record(&self, event: &AuditEvent<'_>);
}

/// Everything at once: what an operation runs on.
pub trait World: SecretStore + Sealer + RecordSigner + Publisher + StackState + AuditLog {}

impl<T: SecretStore + Sealer + RecordSigner + Publisher + StackState + AuditLog> World for T {}

impl fmt::Display for ResourceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.status)
    }
}
