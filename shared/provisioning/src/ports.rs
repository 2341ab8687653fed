//! What provisioning needs from the world, a trait for each need.
//!
//! Every method that changes something takes a [`Permit`], and a permit comes only from having
//! asked CloudFormation whether the operation is still in progress: a write without that question
//! does not compile. No trait here can read a secret's value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;
use key_material::{Curve, P2pPublicKey};

use crate::audit::AuditEvent;
use crate::authority::Permit;
use crate::names::{ParameterName, SecretName, Slot};
use crate::ownership::{OwnerId, Tags};
use crate::principals::Readers;
use crate::properties::SealingKeyArn;
use crate::sealing::{EncryptionContext, StoredValue};
use crate::store::Store;
use crate::version_label::SignedLabel;

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
    pub key: &'a SealingKeyArn,
    /// What the secret is for, in a sentence for operators, where the store has room for it.
    pub description: &'a str,
    /// What must be known of its first version, where the store keeps that with each version; none of
    /// what has no public half.
    pub label: Option<&'a SignedLabel>,
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

/// A further version of a secret that is there.
#[derive(Debug)]
pub struct NewVersion<'a> {
    /// The secret's name.
    pub name: &'a SecretName,
    /// Its full ARN.
    pub arn: &'a str,
    /// The token that makes a repeated call harmless; it becomes the version id where the store
    /// takes tokens.
    pub token: &'a str,
    /// The value.
    pub value: &'a StoredValue,
    /// What tells what it is, in the same call.
    pub label: &'a SignedLabel,
    /// Whether it is [`PENDING`] beside, where the store has such labels: a rotation makes it.
    pub pending: bool,
    /// The key that it is encrypted with; the secret's own, where versions share one.
    pub key: &'a SealingKeyArn,
}

/// The label of the version that is handed out to who names none.
pub const CURRENT: &str = "AWSCURRENT";
/// The label of the version that a rotation makes.
pub const PENDING: &str = "AWSPENDING";
/// The label of the version that was [`CURRENT`] before.
pub const PREVIOUS: &str = "AWSPREVIOUS";

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
    /// By whom and when it is rotated, if its store has it rotated.
    pub rotation: Option<RotationSchedule>,
    /// The versions that are held, by id, with their labels. Where versions are counted, those are the
    /// one that is [`CURRENT`], the one that was before it, and what came after both.
    pub versions: BTreeMap<String, BTreeSet<String>>,
}

impl SecretFacts {
    /// The id of the version with a label.
    #[must_use]
    pub fn staged(&self, label: &str) -> Option<&str> {
        let staged = self.versions.iter().find(|(_, labels)| labels.contains(label));
        staged.map(|(id, _)| id.as_str())
    }
}

/// By whom and when a secret is rotated.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RotationSchedule {
    /// The function that its store invokes, by its full ARN.
    pub function: String,
    /// When.
    pub every: String,
}

/// Who may read a secret, as its resource policy says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StoredReaders {
    /// It has no policy: those whom the account's own policies let.
    None,
    /// These, by a policy as we write it.
    Admitted(Readers),
    /// Others than anybody here could have named: the policy is not as we write it.
    Otherwise,
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
    /// Stores a further version, which nobody is handed unasked. A token that another value was put
    /// under counts as taken: [`PortError::Exists`]. Gives the version's id.
    fn put_version(
        &self,
        permit: &Permit,
        version: NewVersion<'_>,
    ) -> impl Future<Output = Result<String, PortError>>;
    /// Puts a label on a version, in a store whose versions have no number; one that is there already
    /// is fine.
    fn label_version(
        &self,
        permit: &Permit,
        arn: &str,
        version_id: &str,
        label: &str,
    ) -> impl Future<Output = Result<(), PortError>>;
    /// Takes a label from a version; one that is not there is fine.
    fn unlabel_version(
        &self,
        permit: &Permit,
        arn: &str,
        version_id: &str,
        label: &str,
    ) -> impl Future<Output = Result<(), PortError>>;
    /// Makes version `to` [`CURRENT`] if `from` is; if `to` is already, that is fine. If a third one
    /// is, it is refused.
    fn make_current(
        &self,
        permit: &Permit,
        arn: &str,
        from: &str,
        to: &str,
    ) -> impl Future<Output = Result<(), PortError>>;
    /// Has versions from now on encrypted with `key`, in a store where they share one.
    fn encrypt_with(
        &self,
        permit: &Permit,
        arn: &str,
        key: &SealingKeyArn,
    ) -> impl Future<Output = Result<(), PortError>>;
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
    /// Sets tags of a secret that is not in its recovery window; others stay.
    fn tag_secret(
        &self,
        permit: &Permit,
        arn: &str,
        tags: &Tags,
    ) -> impl Future<Output = Result<(), PortError>>;
    /// Takes tags off a secret that is not in its recovery window; those that are not there are fine.
    fn untag_secret(
        &self,
        permit: &Permit,
        arn: &str,
        keys: &[&str],
    ) -> impl Future<Output = Result<(), PortError>>;
    /// Removes a secret for good: one that nobody can have used, or whose recovery window is over where
    /// the store does not end it. One that is gone is fine.
    fn remove_secret(&self, permit: &Permit, arn: &str) -> impl Future<Output = Result<(), PortError>>;
    /// Who may read a secret that is in use.
    fn secret_readers(&self, arn: &str) -> impl Future<Output = Result<StoredReaders, PortError>>;
    /// Lets these read a secret and nobody else, the account's administrators included. Where nobody
    /// is named, the account's own policies decide again.
    fn admit_readers(
        &self,
        permit: &Permit,
        arn: &str,
        readers: &Readers,
    ) -> impl Future<Output = Result<(), PortError>>;
    /// The function that rotates secrets, by its full ARN, where there is one.
    fn rotator(&self) -> Option<String>;
    /// Has a secret rotated from now on, in a store that does so; not at once.
    fn rotate_by(
        &self,
        permit: &Permit,
        arn: &str,
        schedule: &RotationSchedule,
    ) -> impl Future<Output = Result<(), PortError>>;
    /// Has a secret rotated no more.
    fn stop_rotating(&self, permit: &Permit, arn: &str) -> impl Future<Output = Result<(), PortError>>;
}

/// A key that seals, and cannot open.
pub trait Sealer {
    /// Encrypts `plaintext` (at most 4,096 bytes) under `key` and `context`.
    fn seal(
        &self,
        key: &SealingKeyArn,
        context: &EncryptionContext,
        plaintext: &[u8],
    ) -> impl Future<Output = Result<Vec<u8>, PortError>>;
}

/// A key pair whose private half nobody has seen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SealedPair {
    /// The public half, SPKI in DER.
    pub spki: Vec<u8>,
    /// The private half, PKCS#8 in DER, sealed.
    pub sealed: Vec<u8>,
}

/// A key that makes pairs, and keeps their private halves to itself.
pub trait PairSealer {
    /// Makes a pair on `curve`, and seals its private half under `key` and `context`.
    fn make_sealed_pair(
        &self,
        key: &SealingKeyArn,
        context: &EncryptionContext,
        curve: Curve,
    ) -> impl Future<Output = Result<SealedPair, PortError>>;
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
    /// The pair that was made elsewhere is not the one that was asked for.
    #[error("KMS made a key pair that is not on {0}")]
    OtherCurve(Curve),
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
    /// The ARNs of the keys that signed what may be taken over, beside the signer.
    fn former_signers(&self) -> Vec<String>;
    /// The public half of one of these, SPKI in DER.
    fn former_verifying_key(&self, signer: &str) -> impl Future<Output = Result<Vec<u8>, PortError>>;
}

/// Where public documents are kept.
pub trait Publisher {
    /// Reads documents; `None` for each that is not there, in the order asked for.
    fn read_documents(
        &self,
        names: &[ParameterName],
    ) -> impl Future<Output = Result<Vec<Option<String>>, PortError>>;
    /// Reads a document, and how many times it was written by then; `None` where it is not there.
    fn read_numbered(
        &self,
        name: &ParameterName,
    ) -> impl Future<Output = Result<Option<(u64, String)>, PortError>>;
    /// Writes a document that must not exist yet, with its owner's tags; with `expires` it vanishes then by
    /// itself.
    fn publish_new(
        &self,
        permit: &Permit,
        name: &ParameterName,
        text: &str,
        tags: &Tags,
        expires: Option<Timestamp>,
    ) -> impl Future<Output = Result<(), PortError>>;
    /// Replaces a document; with `expires` it vanishes then by itself.
    fn republish(
        &self,
        permit: &Permit,
        name: &ParameterName,
        text: &str,
        expires: Option<Timestamp>,
    ) -> impl Future<Output = Result<(), PortError>>;
    /// The same, but not where somebody else is writing it at the same moment: [`PortError::Exists`].
    /// Gives how many times it has been written by now.
    fn replace_numbered(
        &self,
        permit: &Permit,
        name: &ParameterName,
        text: &str,
        expires: Timestamp,
    ) -> impl Future<Output = Result<u64, PortError>>;
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

/// Calls that an operation is about to make, as far as they tell how long it takes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Workload {
    /// Where the secrets are.
    pub store: Store,
    /// Documents that are written.
    pub published: usize,
    /// Secrets that are made.
    pub created: usize,
    /// Further versions of secrets that are put.
    pub renewed: usize,
    /// Secrets that are taken out of their recovery window.
    pub restored: usize,
    /// Secrets that go, by the deletion rules or at once.
    pub removed: usize,
}

impl std::ops::Add for Workload {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            store: self.store,
            published: self.published + other.published,
            created: self.created + other.created,
            renewed: self.renewed + other.renewed,
            restored: self.restored + other.restored,
            removed: self.removed + other.removed,
        }
    }
}

/// What time it is.
pub trait Clock {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// How fast calls can be made.
pub trait Pace {
    /// How long this takes at the least.
    fn time_for(&self, work: &Workload) -> Duration;
}

/// Where it is written down what was done. Never a value.
pub trait AuditLog {
    /// Writes one event down.
    fn record(&self, event: &AuditEvent<'_>);
}

/// Everything at once: what an operation runs on.
pub trait World:
    SecretStore + Sealer + PairSealer + RecordSigner + Publisher + StackState + AuditLog + Clock + Pace
{
}

impl<T> World for T where
    T: SecretStore + Sealer + PairSealer + RecordSigner + Publisher + StackState + AuditLog + Clock + Pace
{
}

impl fmt::Display for ResourceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.status)
    }
}
