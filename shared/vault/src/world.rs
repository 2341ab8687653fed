//! A server behind the ports of `provisioning`.
//!
//! Secrets are kept as Parameter Store keeps them elsewhere: whose one is stands in its tags, versions are
//! counted, and one that is let go of says in its tags until when it can come back. But a write compares, so
//! that of two deliveries of one request one puts; and what a version tells of itself is told by the names
//! of its keys, which a token reads that may read no value. A secret's tags are told in its first version as
//! well, in the call that creates it: where a death kept them from the metadata, they are taken from there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use futures_util::future::try_join_all;
use jiff::Timestamp;
use key_material::Curve;
use provisioning::audit::AuditEvent;
use provisioning::authority::Permit;
use provisioning::names::{ParameterName, SecretName, Segment};
use provisioning::ownership::{
    DELETE_AFTER_TAG, GENERATION_TAG, KEY_TAG, LEAVING_TAG, OWNER_TAG, OwnerId, Tags,
};
use provisioning::ports::{
    AuditLog, CURRENT, Clock, NewSecret, NewVersion, PREVIOUS, Pace, PairSealer, PortError, Publisher,
    RecordSigner, ResourceState, RotationSchedule, SealedPair, Sealer, SecretFacts, SecretStore, StackState,
    StoredReaders, StoredSecret, Workload,
};
use provisioning::principals::Readers;
use provisioning::properties::SealingKeyArn;
use provisioning::sealing::EncryptionContext;
use provisioning::store::{Store, end_of_window};
use provisioning::version_label::VersionLabel;

use crate::connection::Connection;
use crate::error::VaultError;
use crate::facts::{Facts, facts_of};
use crate::kv::{Held, Kv, Metadata, TEXT, VersionState};
use crate::operation::HeldOperation;
use crate::session::Session;
use crate::settings::{Place, is_path};
use crate::transit::Transit;

/// The metadata that names the version which is handed out to who names none.
pub(crate) const CURRENT_VERSION: &str = "keyboot:current";
/// The metadata that names the version that was it before.
pub(crate) const PREVIOUS_VERSION: &str = "keyboot:previous";
/// The key that stands beside a document's text and says when it is over.
pub const EXPIRES: &str = "expires";
/// What the tags of a document begin with among its keys.
const TAG: &str = "tag:";
/// Looks while others write the same document.
const TRIES: u32 = 10;

/// A server, as provisioning sees it.
pub struct VaultWorld<'a> {
    session: &'a Session,
    place: Place,
    signer: String,
    operation: Option<&'a HeldOperation>,
    audit: Box<dyn Fn(&AuditEvent<'_>) + 'a>,
    clock: Box<dyn Fn() -> Timestamp + 'a>,
}

impl<'a> VaultWorld<'a> {
    /// What is behind a session. Without an operation nothing counts as in progress: then it is read only,
    /// or a rotation. Each event of what was done goes to `audit`.
    #[must_use]
    pub fn new(
        session: &'a Session,
        place: Place,
        operation: Option<&'a HeldOperation>,
        audit: impl Fn(&AuditEvent<'_>) + 'a,
    ) -> Self {
        let signer = place.signer();
        let (audit, clock) = (Box::new(audit), Box::new(Timestamp::now));
        Self { session, place, signer, operation, audit, clock }
    }

    /// The same with another clock.
    #[must_use]
    pub fn at(self, clock: impl Fn() -> Timestamp + 'a) -> Self {
        Self { clock: Box::new(clock), ..self }
    }

    /// What names things on the server.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    fn connection(&self) -> &Connection {
        self.session.connection()
    }

    fn secrets(&self) -> Kv<'_> {
        Kv::new(self.connection(), &self.place.mounts.secrets)
    }

    fn documents(&self) -> Kv<'_> {
        Kv::new(self.connection(), &self.place.mounts.documents)
    }

    fn transit(&self) -> Transit<'_> {
        Transit::new(self.connection(), &self.place.mounts.transit)
    }

    fn path_of<'b>(&self, arn: &'b str) -> Result<&'b str, PortError> {
        let no_secret =
            || PortError::Refused { what: arn.to_owned(), code: "no secret of this server".into() };
        self.place.secret_path(arn).ok_or_else(no_secret)
    }

    fn key_of(&self, arn: &str) -> Result<Segment, PortError> {
        let no_key = || PortError::Refused { what: arn.to_owned(), code: "no key of this server".into() };
        self.place.transit_key(arn).ok_or_else(no_key)
    }

    /// What can be told of a path, and the tags: those of the metadata and, where a death kept them from
    /// there, those of the first version. None where no version was ever written.
    async fn look(&self, path: &str) -> Result<Option<(Metadata, Tags)>, PortError> {
        let Some(metadata) = self.secrets().metadata(path).await?.filter(|it| it.newest > 0) else {
            return Ok(None);
        };
        let mut tags = if metadata.custom.contains_key(OWNER_TAG) {
            Tags::new()
        } else {
            self.facts(path, 1).await?.tags
        };
        tags.extend(metadata.custom.clone());
        Ok(Some((metadata, tags)))
    }

    async fn facts(&self, path: &str, version: u64) -> Result<Facts, PortError> {
        let keys = self.secrets().facts(path, Some(version)).await?;
        Ok(keys.map(|keys| Facts::read(&keys)).unwrap_or_default())
    }

    /// What is known of the versions that can be read from `from` on, oldest first.
    async fn past(
        &self,
        path: &str,
        metadata: &Metadata,
        from: &BTreeSet<u64>,
    ) -> Result<Vec<Past>, PortError> {
        let held = metadata.versions.iter().filter(|(_, state)| **state == VersionState::Held);
        let asked = held.map(|(number, _)| *number).filter(|number| from.contains(number));
        try_join_all(asked.map(async |number| {
            let label = self.facts(path, number).await?.label;
            Ok(Past { number, label })
        }))
        .await
    }

    /// Changes metadata in one call. What a death left untagged is tagged whole with it.
    async fn change(&self, path: &str, changes: &BTreeMap<&str, Option<&str>>) -> Result<(), PortError> {
        let not_found = || PortError::NotFound { what: format!("secret {path}") };
        let (metadata, tags) = self.look(path).await?.ok_or_else(not_found)?;
        let mut whole = BTreeMap::new();
        if !metadata.custom.contains_key(OWNER_TAG) {
            whole.extend(tags.iter().map(|(key, value)| (key.as_str(), Some(value.as_str()))));
        }
        whole.extend(changes);
        Ok(self.secrets().merge_custom(path, &whole).await?)
    }

    /// Writes a document if it was written `number` times by now.
    async fn write_document(
        &self,
        path: &str,
        text: &str,
        tags: &Tags,
        expires: Option<Timestamp>,
        number: u64,
    ) -> Result<u64, VaultError> {
        let expires = expires.map(|at| at.to_string());
        let tags: Vec<_> = tags.iter().map(|(key, value)| (format!("{TAG}{key}"), value)).collect();
        let mut fields = BTreeMap::from([(TEXT, text)]);
        fields.extend(expires.as_deref().map(|at| (EXPIRES, at)));
        fields.extend(tags.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        self.documents().put_fields(path, &fields, number).await
    }

    /// How many times a document was written, and what it is: none where it is not there, or is over.
    async fn document(&self, path: &str) -> Result<(u64, Option<Document>), PortError> {
        let (number, held) = self.documents().read_numbered(path).await?;
        let is_over = |document: &Document| document.expires.is_some_and(|at| at <= self.now());
        Ok((number, held.and_then(Document::read).filter(|document| !is_over(document))))
    }
}

impl fmt::Debug for VaultWorld<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultWorld").field("place", &self.place).finish_non_exhaustive()
    }
}

/// A document that is there.
struct Document {
    text: String,
    tags: Tags,
    expires: Option<Timestamp>,
}

impl Document {
    fn read(mut held: Held) -> Option<Self> {
        let text = held.take(TEXT)?;
        let expires = held.take(EXPIRES).and_then(|at| at.parse().ok());
        let tags = held
            .into_fields()
            .filter_map(|(key, value)| Some((key.strip_prefix(TAG)?.to_owned(), value.as_str().to_owned())));
        Some(Self { text: text.as_str().to_owned(), tags: tags.collect(), expires })
    }
}

/// A version, as the names of its keys tell of it.
struct Past {
    number: u64,
    /// What it says of itself, where it is one of ours, and the signature behind it.
    label: Option<(VersionLabel, Option<String>)>,
}

impl Past {
    fn is_of_the_request_of(&self, other: &VersionLabel) -> bool {
        let label = self.label.as_ref().map(|(label, _)| label);
        label.is_some_and(|label| {
            (label.token, label.generation.as_str()) == (other.token, other.generation.as_str())
        })
    }
}

/// Which versions are handed out and were before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Stages {
    current: u64,
    previous: Option<u64>,
}

impl Stages {
    /// As metadata tells; where they do not, the first version is the one.
    fn told(metadata: &Metadata) -> Self {
        let number = |key| metadata.custom.get(key).and_then(|text| text.parse::<u64>().ok());
        Self { current: number(CURRENT_VERSION).unwrap_or(1), previous: number(PREVIOUS_VERSION) }
    }

    /// The versions that can count: these, and what came after both. Of the newest there is at least its
    /// number.
    fn counted(self, metadata: &Metadata) -> BTreeSet<u64> {
        let newest = self.previous.map_or(self.current, |previous| previous.max(self.current));
        let later = metadata.versions.keys().copied().filter(|number| *number > newest);
        later.chain([self.current]).chain(self.previous).chain([metadata.newest]).collect()
    }
}

/// The versions that can count, with what is known of each, without the ones that a slower delivery of a
/// request put.
fn held(metadata: &Metadata, stages: Stages, past: &[Past]) -> BTreeMap<String, BTreeSet<String>> {
    let mut held = BTreeMap::new();
    for version in past {
        let is_staged = version.number == stages.current || Some(version.number) == stages.previous;
        let is_second = version.label.as_ref().is_some_and(|(label, _)| {
            let mut others = past.iter().filter(|other| other.number < version.number);
            others.any(|other| other.is_of_the_request_of(label))
        });
        if is_second && !is_staged {
            continue;
        }
        let mut known = BTreeSet::new();
        if version.number == stages.current {
            known.insert(CURRENT.to_owned());
        }
        if Some(version.number) == stages.previous {
            known.insert(PREVIOUS.to_owned());
        }
        if let Some((label, signature)) = &version.label {
            known.extend(label.to_text().ok().into_iter().chain(signature.clone()));
        }
        held.insert(version.number.to_string(), known);
    }
    held.entry(metadata.newest.to_string()).or_default();
    held
}

/// What changes something takes a permit, which says that the operation is in progress; the calls themselves
/// have no use for it.
impl SecretStore for VaultWorld<'_> {
    async fn create_secret(&self, _: &Permit, secret: NewSecret<'_>) -> Result<StoredSecret, PortError> {
        here(secret.store)?;
        let path = secret.name.as_str();
        let mut tags = secret.tags.clone();
        // What is told of a secret does not name its key.
        tags.insert(KEY_TAG.to_owned(), secret.key.to_string());
        let facts = facts_of(&tags, secret.label);
        // EXPOSE: to the store, over TLS.
        match self.secrets().put_secret(path, secret.value.expose(), &facts, 0).await {
            Ok(number) => {
                self.change(path, &BTreeMap::from([(CURRENT_VERSION, Some("1"))])).await?;
                let arn = self.place.secret_arn(path);
                Ok(StoredSecret { arn, version_id: number.to_string() })
            }
            // Whoever may create and not update is denied what is there already.
            Err(error @ (VaultError::Conflict { .. } | VaultError::Denied { .. })) => {
                let Some((metadata, found)) = self.look(path).await? else { return Err(error.into()) };
                let is_same = |tag: &str| found.get(tag) == tags.get(tag);
                // A delivery of this very request was faster, or an answer was lost: whichever it was, it may
                // not have come to the tags.
                if is_same(OWNER_TAG)
                    && is_same(GENERATION_TAG)
                    && !metadata.custom.contains_key(CURRENT_VERSION)
                {
                    self.change(path, &BTreeMap::from([(CURRENT_VERSION, Some("1"))])).await?;
                }
                Err(PortError::Exists { what: format!("secret {path}") })
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn describe_secret(
        &self,
        store: Store,
        name: &SecretName,
    ) -> Result<Option<SecretFacts>, PortError> {
        here(store)?;
        let path = name.as_str();
        let Some((metadata, mut tags)) = self.look(path).await? else { return Ok(None) };
        let stages = Stages::told(&metadata);
        let past = self.past(path, &metadata, &stages.counted(&metadata)).await?;
        tags.retain(|key, _| key != CURRENT_VERSION && key != PREVIOUS_VERSION);
        Ok(Some(SecretFacts {
            versions: held(&metadata, stages, &past),
            store: Store::Vault,
            arn: self.place.secret_arn(path),
            key: tags.get(KEY_TAG).cloned(),
            scheduled_for_deletion: tags.contains_key(DELETE_AFTER_TAG),
            // A time that cannot be read never comes.
            awaits_removal_from: tags.get(DELETE_AFTER_TAG).and_then(|at| at.parse().ok()),
            was_retrieved: false,
            rotation: None,
            tags,
        }))
    }

    /// Gives the version's number. Where a delivery of the same request was faster, its version is the one.
    async fn put_version(&self, _: &Permit, version: NewVersion<'_>) -> Result<String, PortError> {
        let path = self.path_of(version.arn)?;
        let wanted: VersionLabel = version.label.label.parse().map_err(|_| PortError::Refused {
            what: version.arn.to_owned(),
            code: "a version without a label of ours".into(),
        })?;
        let not_found = || PortError::NotFound { what: format!("secret {path}") };
        let facts =
            facts_of(&Tags::from([(KEY_TAG.to_owned(), version.key.to_string())]), Some(version.label));
        for _ in 0..TRIES {
            let (metadata, _) = self.look(path).await?.ok_or_else(not_found)?;
            let every = metadata.versions.keys().copied().collect();
            let past = self.past(path, &metadata, &every).await?;
            if let Some(first) = past.iter().find(|past| past.is_of_the_request_of(&wanted)) {
                return Err(PortError::Exists { what: format!("version {} of secret {path}", first.number) });
            }
            // EXPOSE: to the store, over TLS.
            match self.secrets().put_secret(path, version.value.expose(), &facts, metadata.newest).await {
                Ok(number) => return Ok(number.to_string()),
                // Somebody was faster, or an answer was lost: the next look tells which.
                Err(VaultError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(PortError::Unavailable { what: format!("secret {path}"), code: "others put all the time".into() })
    }

    async fn label_version(&self, _: &Permit, arn: &str, _: &str, _: &str) -> Result<(), PortError> {
        Err(PortError::Refused { what: arn.to_owned(), code: "a version without its description".into() })
    }

    async fn unlabel_version(&self, _: &Permit, arn: &str, _: &str, _: &str) -> Result<(), PortError> {
        Err(PortError::Refused { what: arn.to_owned(), code: "a description stays".into() })
    }

    /// Metadata have no comparison: what is compared is looked at a moment before. Both numbers change in one
    /// call.
    async fn make_current(&self, _: &Permit, arn: &str, from: &str, to: &str) -> Result<(), PortError> {
        let path = self.path_of(arn)?;
        let number = |version: &str| {
            let parsed = version.parse::<u64>();
            parsed
                .map_err(|_| PortError::Refused { what: arn.to_owned(), code: "no version's number".into() })
        };
        let (from, to) = (number(from)?, number(to)?);
        let not_found = |what: String| PortError::NotFound { what };
        let found = self.look(path).await?;
        let (metadata, _) = found.ok_or_else(|| not_found(format!("secret {path}")))?;
        if metadata.versions.get(&to) != Some(&VersionState::Held) {
            return Err(not_found(format!("version {to} of secret {path}")));
        }
        let current = Stages::told(&metadata).current;
        if current == to {
            return Ok(());
        }
        if current != from {
            let what = format!("making version {to} of secret {path} current");
            return Err(PortError::Refused { what, code: format!("version {current} is") });
        }
        let (from, to) = (from.to_string(), to.to_string());
        let stages = [(CURRENT_VERSION, Some(to.as_str())), (PREVIOUS_VERSION, Some(from.as_str()))];
        self.change(path, &stages.into()).await
    }

    /// Each version names its key.
    async fn encrypt_with(&self, _: &Permit, _: &str, _: &SealingKeyArn) -> Result<(), PortError> {
        Ok(())
    }

    async fn secrets_awaiting_removal(
        &self,
        store: Store,
        owner: &OwnerId,
    ) -> Result<Vec<String>, PortError> {
        here(store)?;
        let paths = self.secrets().list_all(&format!("{}/node", owner.cluster())).await?;
        let mut awaiting = Vec::new();
        for path in paths {
            let Some(metadata) = self.secrets().metadata(&path).await? else { continue };
            let is = |tag, value: &str| metadata.custom.get(tag).is_some_and(|found| found == value);
            if is(LEAVING_TAG, "true") && is(OWNER_TAG, owner.as_str()) {
                awaiting.push(path);
            }
        }
        Ok(awaiting)
    }

    async fn restore_secret(&self, permit: &Permit, arn: &str) -> Result<(), PortError> {
        self.untag_secret(permit, arn, &[DELETE_AFTER_TAG, LEAVING_TAG]).await
    }

    async fn schedule_secret(&self, _: &Permit, arn: &str, days: u8) -> Result<(), PortError> {
        let path = self.path_of(arn)?;
        // One that is gone is fine, and one that is there already keeps its time.
        let Some((_, tags)) = self.look(path).await? else { return Ok(()) };
        if tags.contains_key(DELETE_AFTER_TAG) {
            return Ok(());
        }
        let until = end_of_window(self.now(), days).to_string();
        let leaving = [(DELETE_AFTER_TAG, Some(until.as_str())), (LEAVING_TAG, Some("true"))];
        match self.change(path, &leaving.into()).await {
            Err(PortError::NotFound { .. }) => Ok(()),
            other => other,
        }
    }

    async fn tag_secret(&self, _: &Permit, arn: &str, tags: &Tags) -> Result<(), PortError> {
        let changes = tags.iter().map(|(key, value)| (key.as_str(), Some(value.as_str()))).collect();
        self.change(self.path_of(arn)?, &changes).await
    }

    async fn untag_secret(&self, _: &Permit, arn: &str, keys: &[&str]) -> Result<(), PortError> {
        let changes = keys.iter().map(|key| (*key, None)).collect();
        self.change(self.path_of(arn)?, &changes).await
    }

    async fn remove_secret(&self, _: &Permit, arn: &str) -> Result<(), PortError> {
        Ok(self.secrets().remove(self.path_of(arn)?).await?)
    }

    /// Who reads what is said by the policies of tokens, and not by a secret.
    async fn secret_readers(&self, _: &str) -> Result<StoredReaders, PortError> {
        Ok(StoredReaders::None)
    }

    async fn admit_readers(&self, _: &Permit, arn: &str, readers: &Readers) -> Result<(), PortError> {
        if readers.is_empty() {
            return Ok(());
        }
        Err(PortError::Refused {
            what: arn.to_owned(),
            code: "secrets here have no policies of readers".into(),
        })
    }

    /// Whoever runs the program: what is declared to rotate does so on command.
    fn rotator(&self) -> Option<String> {
        Some("keyboot-onprem".to_owned())
    }

    async fn rotate_by(&self, _: &Permit, arn: &str, _: &RotationSchedule) -> Result<(), PortError> {
        Err(PortError::Refused { what: arn.to_owned(), code: "nothing here rotates by a schedule".into() })
    }

    async fn stop_rotating(&self, _: &Permit, _: &str) -> Result<(), PortError> {
        Ok(())
    }
}

impl Sealer for VaultWorld<'_> {
    async fn seal(
        &self,
        key: &SealingKeyArn,
        context: &EncryptionContext,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, PortError> {
        let key = self.key_of(key.as_str())?;
        Ok(self.transit().seal(&key, context, plaintext).await?)
    }
}

impl PairSealer for VaultWorld<'_> {
    async fn make_sealed_pair(
        &self,
        key: &SealingKeyArn,
        _: &EncryptionContext,
        _: Curve,
    ) -> Result<SealedPair, PortError> {
        Err(PortError::Refused {
            what: format!("making a pair under {key}"),
            code: "this server makes no pairs whose private half only it has: have them made here".into(),
        })
    }
}

impl RecordSigner for VaultWorld<'_> {
    fn signer(&self) -> &str {
        &self.signer
    }

    async fn sign_digest(&self, _: &Permit, digest: [u8; 32]) -> Result<Vec<u8>, PortError> {
        Ok(self.transit().sign(&self.place.mounts.record_key, digest).await?)
    }

    async fn verifying_key(&self) -> Result<Vec<u8>, PortError> {
        Ok(self.transit().public_key(&self.place.mounts.record_key).await?)
    }

    fn former_signers(&self) -> Vec<String> {
        Vec::new()
    }

    async fn former_verifying_key(&self, signer: &str) -> Result<Vec<u8>, PortError> {
        Err(PortError::Refused { what: signer.to_owned(), code: "no former signer is known here".into() })
    }
}

impl Publisher for VaultWorld<'_> {
    async fn read_documents(&self, names: &[ParameterName]) -> Result<Vec<Option<String>>, PortError> {
        try_join_all(names.iter().map(async |name| {
            let read = self.documents().read(document_path(name)?, None).await?;
            let document = read.and_then(Document::read);
            let is_over = |document: &Document| document.expires.is_some_and(|at| at <= self.now());
            Ok(document.filter(|document| !is_over(document)).map(|document| document.text))
        }))
        .await
    }

    async fn read_numbered(&self, name: &ParameterName) -> Result<Option<(u64, String)>, PortError> {
        let (number, document) = self.document(document_path(name)?).await?;
        Ok(document.map(|document| (number, document.text)))
    }

    async fn publish_new(
        &self,
        _: &Permit,
        name: &ParameterName,
        text: &str,
        tags: &Tags,
        expires: Option<Timestamp>,
    ) -> Result<(), PortError> {
        let path = document_path(name)?;
        let exists = || PortError::Exists { what: format!("document {name}") };
        match self.write_document(path, text, tags, expires, 0).await {
            Ok(_) => return Ok(()),
            Err(VaultError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        // One that is over is none.
        let (number, document) = self.document(path).await?;
        if document.is_some() || number == 0 {
            return Err(exists());
        }
        match self.write_document(path, text, tags, expires, number).await {
            Ok(_) => Ok(()),
            Err(VaultError::Conflict { .. }) => Err(exists()),
            Err(error) => Err(error.into()),
        }
    }

    async fn republish(
        &self,
        _: &Permit,
        name: &ParameterName,
        text: &str,
        expires: Option<Timestamp>,
    ) -> Result<(), PortError> {
        let path = document_path(name)?;
        // Duplicates of one operation write the same document at once.
        for _ in 0..TRIES {
            let (number, document) = self.document(path).await?;
            let tags = document.map(|document| document.tags).unwrap_or_default();
            match self.write_document(path, text, &tags, expires, number).await {
                Ok(_) => return Ok(()),
                Err(VaultError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(PortError::Unavailable {
            what: format!("document {name}"),
            code: "others write all the time".into(),
        })
    }

    async fn replace_numbered(
        &self,
        _: &Permit,
        name: &ParameterName,
        text: &str,
        expires: Timestamp,
    ) -> Result<u64, PortError> {
        let path = document_path(name)?;
        let (number, document) = self.document(path).await?;
        let not_found = || PortError::NotFound { what: format!("document {name}") };
        let document = document.ok_or_else(not_found)?;
        match self.write_document(path, text, &document.tags, Some(expires), number).await {
            Ok(number) => Ok(number),
            Err(VaultError::Conflict { .. }) => {
                Err(PortError::Exists { what: format!("another writer of document {name}") })
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn withdraw(&self, _: &Permit, names: &[ParameterName]) -> Result<(), PortError> {
        for name in names {
            self.documents().remove(document_path(name)?).await?;
        }
        Ok(())
    }

    fn document_arn(&self, name: &ParameterName) -> String {
        self.place.document_arn(name.as_str())
    }
}

/// In CloudFormation's place: the one operation that this process holds.
impl StackState for VaultWorld<'_> {
    async fn resource_state(
        &self,
        stack_id: &str,
        logical_id: &str,
    ) -> Result<Option<ResourceState>, PortError> {
        let Some(operation) = self.operation.filter(|held| held.is_of(stack_id, logical_id)) else {
            return Ok(None);
        };
        if !operation.stands_at(self.connection(), &self.place, self.now()).await? {
            return Ok(None);
        }
        let physical_id = operation.shown_id().map(ToString::to_string);
        Ok(Some(ResourceState { status: operation.kind.status().to_owned(), physical_id }))
    }

    async fn stack_status(&self, _: &str) -> Result<Option<String>, PortError> {
        Ok(None)
    }
}

impl Clock for VaultWorld<'_> {
    fn now(&self) -> Timestamp {
        (self.clock)()
    }
}

/// Nobody counts calls here, and nothing ends a process that takes long.
impl Pace for VaultWorld<'_> {
    fn time_for(&self, _: &Workload) -> Duration {
        Duration::ZERO
    }
}

impl AuditLog for VaultWorld<'_> {
    fn record(&self, event: &AuditEvent<'_>) {
        (self.audit)(event);
    }
}

/// Refuses what is in another store.
fn here(store: Store) -> Result<(), PortError> {
    if store == Store::Vault {
        return Ok(());
    }
    Err(PortError::Refused {
        what: format!("a secret in {}", store.as_str()),
        code: "it is not there".into(),
    })
}

/// The path of a document below its engine.
fn document_path(name: &ParameterName) -> Result<&str, PortError> {
    let path = name.as_str().strip_prefix('/').filter(|path| is_path(path));
    path.ok_or_else(|| PortError::Refused { what: name.to_string(), code: "no document's name".into() })
}

#[cfg(test)]
mod tests {
    use provisioning::version_label::SignedLabel;

    use super::*;

    fn metadata(newest: u64, custom: &[(&str, &str)]) -> Metadata {
        Metadata {
            newest,
            versions: (1..=newest).map(|number| (number, VersionState::Held)).collect(),
            custom: custom.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        }
    }

    fn past(number: u64, request: &str) -> Past {
        let label = format!("keyboot-b93d48954fb38451-{number}-ek-128f496b-{request}-_-8-");
        Past { number, label: SignedLabel::in_description(&label) }
    }

    fn numbers(metadata: &Metadata, requests: &[&str]) -> Vec<String> {
        let stages = Stages::told(metadata);
        let counted = stages.counted(metadata);
        let every = (1..).zip(requests).map(|(number, request)| past(number, request));
        let past: Vec<_> = every.filter(|past| counted.contains(&past.number)).collect();
        held(metadata, stages, &past)
            .into_iter()
            .map(|(number, known)| {
                let stages = known.iter().filter(|known| known.starts_with("AWS"));
                std::iter::once(number).chain(stages.cloned()).collect::<Vec<_>>().join(" ")
            })
            .collect()
    }

    #[test]
    fn what_can_count_is_held_and_nothing_else() {
        assert_eq!(numbers(&metadata(2, &[]), &["a", "b"]), ["1 AWSCURRENT", "2"]);
        let later = [(CURRENT_VERSION, "3"), (PREVIOUS_VERSION, "2")];
        assert_eq!(
            numbers(&metadata(4, &later), &["a", "b", "c", "d"]),
            ["2 AWSPREVIOUS", "3 AWSCURRENT", "4"]
        );
        let back = [(CURRENT_VERSION, "1"), (PREVIOUS_VERSION, "2")];
        assert_eq!(numbers(&metadata(3, &back), &["a", "b", "c"]), ["1 AWSCURRENT", "2 AWSPREVIOUS", "3"]);
    }

    #[test]
    fn of_two_deliveries_of_one_request_the_first_version_is_the_one() {
        let put = metadata(4, &[(CURRENT_VERSION, "1")]);
        assert_eq!(numbers(&put, &["a", "b", "b", "c"]), ["1 AWSCURRENT", "2", "4"]);
        // Of the newest one its number is known, since the next one follows it, and nothing else.
        let put = metadata(3, &[(CURRENT_VERSION, "1")]);
        assert_eq!(numbers(&put, &["a", "b", "b"]), ["1 AWSCURRENT", "2", "3"]);
        let stages = Stages::told(&put);
        let known = held(&put, stages, &[past(1, "a"), past(2, "b"), past(3, "b")]);
        assert_eq!(known["3"], BTreeSet::new());
    }

    #[test]
    fn another_stores_secrets_are_not_here() {
        assert!(here(Store::Vault).is_ok());
        for store in [Store::SecretsManager, Store::ParameterStore] {
            assert!(here(store).is_err(), "{store:?}");
        }
    }
}
