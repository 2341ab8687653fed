//! AWS in memory, as far as provisioning sees it: the rules are those of the services' API
//! references, and every call is written down. A death or a fault can be put at any call.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use key_material::{Curve, P2pPrivateKey};
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use p256::pkcs8::EncodePublicKey as _;
use provisioning::audit::AuditEvent;
use provisioning::authority::Permit;
use provisioning::names::{ParameterName, SecretName};
use provisioning::ownership::{OWNER_TAG, OwnerId, Tags};
use provisioning::ports::{
    AuditLog, CURRENT, Clock, NewSecret, NewVersion, PENDING, PREVIOUS, Pace, PairSealer, PortError,
    Publisher, RecordSigner, ResourceState, RotationSchedule, SealedPair, Sealer, SecretFacts, SecretStore,
    StackState, StoredReaders, StoredSecret, Workload,
};
use provisioning::principals::Readers;
use provisioning::properties::SealingKeyArn;
use provisioning::sealing::EncryptionContext;
use provisioning::signed::PinnedKeys;
use provisioning::store::Store;
use provisioning::version_label::{SignedLabel, VersionLabel};

pub(crate) const SIGNER: &str =
    "arn:aws:kms:eu-central-1:111122223333:key/00000000-0000-0000-0000-000000000001";

/// The function that rotates.
pub(crate) const ROTATOR: &str = "arn:aws:lambda:eu-central-1:111122223333:function:key-rotation";

static SIGNING: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_slice(&[7; 32]).unwrap());
/// The key of a function of another KMS Stack.
pub(crate) const OTHER_SIGNER: &str =
    "arn:aws:kms:eu-central-1:111122223333:key/00000000-0000-0000-0000-000000000002";
static OTHER_SIGNING: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_slice(&[9; 32]).unwrap());

static SPKI: LazyLock<Vec<u8>> =
    LazyLock::new(|| SIGNING.verifying_key().to_public_key_der().unwrap().to_vec());

/// What a call does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Effect {
    /// It changes nothing.
    Reads,
    /// It changes nothing and costs: sealing and signing.
    Makes,
    /// It changes something.
    Writes,
}

/// One call, in the order in which calls took effect.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Call {
    pub(crate) effect: Effect,
    pub(crate) verb: &'static str,
    pub(crate) subject: String,
}

/// What happens at a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mishap {
    /// The process is gone before the call takes effect.
    DiesBefore,
    /// The process is gone after the call has taken effect.
    DiesAfter,
    /// The service fails, and the call has no effect.
    FailsBefore,
    /// The answer is lost, although the call took effect.
    FailsAfter,
}

impl Mishap {
    pub(crate) const ALL: [Self; 4] =
        [Self::DiesBefore, Self::DiesAfter, Self::FailsBefore, Self::FailsAfter];
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Secret {
    pub(crate) store: Store,
    pub(crate) arn: String,
    pub(crate) versions: Vec<(String, String)>,
    /// Which version has which label.
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) tags: Tags,
    pub(crate) key: String,
    /// The days of the recovery window that it is in.
    pub(crate) scheduled: Option<u8>,
    /// When that window is over, where the store does not end it.
    pub(crate) awaits_removal_from: Option<Timestamp>,
    pub(crate) retrieved: bool,
    pub(crate) readers: StoredReaders,
    pub(crate) rotation: Option<RotationSchedule>,
}

#[derive(Clone, Debug, Eq)]
pub(crate) struct Document {
    pub(crate) text: String,
    pub(crate) tags: Tags,
    pub(crate) expires: Option<Timestamp>,
    /// How many times it was written.
    pub(crate) number: u64,
}

/// However often it was written.
impl PartialEq for Document {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, &self.tags, &self.expires) == (&other.text, &other.tags, &other.expires)
    }
}

/// What is stored.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Stored {
    pub(crate) secrets: BTreeMap<String, Secret>,
    pub(crate) documents: BTreeMap<String, Document>,
}

impl Stored {
    /// Everything that ever was under these names, so that nothing hides.
    pub(crate) fn is_empty(&self) -> bool {
        self.secrets.is_empty() && self.documents.is_empty()
    }
}

#[derive(Default)]
pub(crate) struct World {
    pub(crate) stored: RefCell<Stored>,
    pub(crate) calls: RefCell<Vec<Call>>,
    pub(crate) events: RefCell<Vec<String>>,
    /// Every plaintext that passed through.
    pub(crate) plaintexts: RefCell<BTreeSet<Vec<u8>>>,
    /// KMS makes pairs on this curve, whatever it is asked for.
    pub(crate) other_curve: Cell<Option<Curve>>,
    /// Days that have passed since everything began.
    pub(crate) days: Cell<i64>,
    /// How many seconds have gone by since the day began.
    pub(crate) seconds: Cell<i64>,
    resource: RefCell<Option<ResourceState>>,
    stack: RefCell<Option<String>>,
    mishap: Cell<Option<(usize, Mishap)>>,
    effects: Cell<usize>,
    dead: Cell<bool>,
    /// Above zero: calls take turns, in an order that follows from this number.
    turns: Cell<u64>,
    /// From this call on, everything waits.
    pause: Cell<Option<usize>>,
    under_way: Cell<usize>,
    most_under_way: Cell<usize>,
    /// What CloudFormation shows of other resources, by stack and logical id.
    others: RefCell<BTreeMap<(String, String), Option<ResourceState>>>,
    /// The stack and the resource that nobody may ask for.
    denied: RefCell<String>,
    /// Whether the function is that of another KMS Stack, with a signing key of its own.
    is_another_stacks: Cell<bool>,
    /// Whether there is no function that rotates.
    pub(crate) has_no_rotator: Cell<bool>,
    /// The former signing keys that it was told of.
    former: RefCell<BTreeSet<String>>,
    born: Cell<u64>,
    signed: Cell<u64>,
}

impl World {
    /// Another world in which the same is stored.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::default();
        *copy.stored.borrow_mut() = self.stored();
        copy.born.set(self.born.get());
        *copy.others.borrow_mut() = self.others.borrow().clone();
        copy.is_another_stacks.set(self.is_another_stacks.get());
        copy.has_no_rotator.set(self.has_no_rotator.get());
        copy.former.borrow_mut().clone_from(&self.former.borrow());
        copy.days.set(self.days.get());
        copy.seconds.set(self.seconds.get());
        copy
    }

    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        crate::fixtures::NOW.parse::<Timestamp>().unwrap() + SignedDuration::from_hours(24 * self.days.get())
    }

    /// What CloudFormation shows of the resource from now on.
    pub(crate) fn show(&self, status: &str, physical_id: Option<&str>) {
        *self.resource.borrow_mut() =
            Some(ResourceState { status: status.into(), physical_id: physical_id.map(str::to_owned) });
    }

    /// What CloudFormation shows of the stack from now on.
    pub(crate) fn show_stack(&self, status: &str) {
        *self.stack.borrow_mut() = Some(status.into());
    }

    /// CloudFormation knows nothing of the resource.
    pub(crate) fn show_nothing(&self) {
        *self.resource.borrow_mut() = None;
        *self.stack.borrow_mut() = None;
    }

    /// What CloudFormation shows of another resource from now on; `None` when it knows nothing of it.
    pub(crate) fn show_other(&self, stack: &str, logical_id: &str, shown: Option<(&str, &str)>) {
        let shown = shown.map(|(status, id)| ResourceState {
            status: status.into(),
            physical_id: Some(id).filter(|id| !id.is_empty()).map(str::to_owned),
        });
        self.others.borrow_mut().insert((stack.into(), logical_id.into()), shown);
    }

    /// From now on CloudFormation may not be asked about this resource.
    pub(crate) fn deny_asking_for(&self, stack: &str, logical_id: &str) {
        *self.denied.borrow_mut() = format!("{stack} {logical_id}");
    }

    /// From now on the function is that of another KMS Stack, which trusts these former keys.
    pub(crate) fn is_of_another_stack(&self, former: &[&str]) {
        self.is_another_stacks.set(true);
        *self.former.borrow_mut() = former.iter().map(|key| (*key).to_owned()).collect();
    }

    /// From now on the function is that of the first stack again.
    pub(crate) fn is_of_the_first_stack(&self) {
        self.is_another_stacks.set(false);
        self.former.borrow_mut().clear();
    }

    fn own_key(&self) -> (&'static SigningKey, Vec<u8>) {
        let key = if self.is_another_stacks.get() { &*OTHER_SIGNING } else { &*SIGNING };
        (key, key.verifying_key().to_public_key_der().unwrap().to_vec())
    }

    /// Puts a mishap at the call that takes effect as number `at` from now, from 0.
    pub(crate) fn plan(&self, at: usize, mishap: Mishap) {
        self.revive();
        self.mishap.set(Some((at, mishap)));
    }

    /// A new process: no mishap, and the count of calls begins again.
    pub(crate) fn revive(&self) {
        self.dead.set(false);
        self.mishap.set(None);
        self.effects.set(0);
        self.under_way.set(0);
        self.calls.borrow_mut().clear();
    }

    /// Lets the call that would take effect as number `at` from now wait for [`World::go_on`].
    pub(crate) fn pause_at(&self, at: usize) {
        self.effects.set(0);
        self.pause.set(Some(at));
    }

    /// Ends the pause.
    pub(crate) fn go_on(&self) {
        self.pause.set(None);
    }

    /// Lets calls take turns instead of taking effect at once.
    pub(crate) fn take_turns(&self, seed: u64) {
        self.turns.set(seed);
    }

    pub(crate) fn most_under_way(&self) -> usize {
        self.most_under_way.get()
    }

    /// The calls since the last [`World::revive`].
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.borrow().clone()
    }

    /// The calls that changed something, as `verb subject`.
    pub(crate) fn writes(&self) -> Vec<String> {
        let calls = self.calls();
        let writes = calls.iter().filter(|call| call.effect == Effect::Writes);
        writes.map(|call| format!("{} {}", call.verb, call.subject)).collect()
    }

    pub(crate) fn stored(&self) -> Stored {
        self.stored.borrow().clone()
    }

    /// The keys that sign.
    pub(crate) fn verifying_keys() -> [VerifyingKey; 2] {
        [*SIGNING.verifying_key(), *OTHER_SIGNING.verifying_key()]
    }

    pub(crate) fn pinned_keys() -> PinnedKeys {
        let other = OTHER_SIGNING.verifying_key().to_public_key_der().unwrap();
        PinnedKeys::default().pin(SIGNER, &SPKI).unwrap().pin(OTHER_SIGNER, other.as_bytes()).unwrap()
    }

    /// Signs as the service does.
    pub(crate) fn sign(digest: [u8; 32]) -> Vec<u8> {
        let signature: Signature = SIGNING.sign_prehash(&digest).unwrap();
        signature.to_der().as_bytes().to_vec()
    }

    /// Runs `work` until it ends, or until the process is gone.
    pub(crate) fn drive<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..1_000_000 {
            match work.as_mut().poll(&mut context) {
                Poll::Ready(output) => return Some(output),
                Poll::Pending if self.dead.get() => return None,
                Poll::Pending => {}
            }
        }
        panic!("nothing goes on")
    }

    async fn turn(&self) {
        let seed = self.turns.get();
        if seed == 0 {
            return;
        }
        let next = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.turns.set(next);
        let mut rounds = (next >> 33) % 8;
        poll_fn(|context| {
            if rounds == 0 {
                return Poll::Ready(());
            }
            rounds -= 1;
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    async fn call<T>(
        &self,
        effect: Effect,
        verb: &'static str,
        subject: &str,
        work: impl FnOnce(&mut Stored) -> Result<T, PortError>,
    ) -> Result<T, PortError> {
        self.under_way.set(self.under_way.get() + 1);
        self.most_under_way.set(self.most_under_way.get().max(self.under_way.get()));
        self.turn().await;
        poll_fn(|context| {
            if self.pause.get().is_none_or(|at| self.effects.get() < at) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        if self.dead.get() {
            std::future::pending::<()>().await;
        }
        let number = self.effects.replace(self.effects.get() + 1);
        let mishap = self.mishap.get().filter(|(at, _)| *at == number).map(|(_, mishap)| mishap);
        let unavailable = || PortError::Unavailable {
            what: format!("{verb} {subject}"),
            code: "InternalServiceError".into(),
        };
        if mishap == Some(Mishap::DiesBefore) {
            self.dead.set(true);
            std::future::pending::<()>().await;
        }
        if mishap == Some(Mishap::FailsBefore) {
            self.under_way.set(self.under_way.get() - 1);
            return Err(unavailable());
        }
        self.calls.borrow_mut().push(Call { effect, verb, subject: subject.into() });
        let result = work(&mut self.stored.borrow_mut());
        if mishap == Some(Mishap::DiesAfter) {
            self.dead.set(true);
            std::future::pending::<()>().await;
        }
        self.under_way.set(self.under_way.get() - 1);
        if mishap == Some(Mishap::FailsAfter) {
            return Err(unavailable());
        }
        result
    }

    fn plaintext(&self, bytes: &[u8]) {
        self.plaintexts.borrow_mut().insert(bytes.to_vec());
    }
}

/// What this world's KMS makes of a plaintext, and the other way round.
pub(crate) fn scramble(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| byte ^ 0x5a).collect()
}

fn by_arn<'a>(stored: &'a mut Stored, arn: &str) -> Option<(String, &'a mut Secret)> {
    stored
        .secrets
        .iter_mut()
        .find(|(_, secret)| secret.arn == arn)
        .map(|(name, secret)| (name.clone(), secret))
}

/// A secret that is not in its recovery window.
fn in_use<'a>(stored: &'a mut Stored, arn: &str) -> Result<&'a mut Secret, PortError> {
    let what = || format!("secret {arn}");
    let (_, secret) = by_arn(stored, arn).ok_or_else(|| PortError::NotFound { what: what() })?;
    if secret.scheduled.is_some() {
        return Err(PortError::Refused { what: what(), code: "InvalidRequestException".into() });
    }
    Ok(secret)
}

fn attach(secret: &mut Secret, label: &str, id: &str) {
    secret.labels.insert(label.to_owned(), id.to_owned());
    let takes = if secret.store == Store::SecretsManager { 20 } else { usize::MAX };
    assert!(secret.labels.len() <= takes, "a secret takes 20 labels: {:?}", secret.labels);
}

/// The versions that a store tells of, with their labels.
pub(crate) fn held(secret: &Secret) -> BTreeMap<String, BTreeSet<String>> {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (label, id) in &secret.labels {
        versions.entry(id.clone()).or_default().insert(label.clone());
    }
    if secret.store == Store::ParameterStore {
        let number = |id: &String| id.parse::<u32>().unwrap();
        let staged = [CURRENT, PREVIOUS].map(|stage| secret.labels.get(stage));
        let newest = staged.into_iter().flatten().map(number).max();
        versions.retain(|id, _| staged.contains(&Some(id)) || Some(number(id)) > newest);
    }
    versions
}

impl SecretStore for World {
    async fn create_secret(&self, _: &Permit, new: NewSecret<'_>) -> Result<StoredSecret, PortError> {
        // EXPOSE: to this test, which plays the store.
        let value = new.value.expose().to_owned();
        self.plaintext(value.as_bytes());
        let name = new.name.as_str();
        self.call(Effect::Writes, "create_secret", name, |stored| {
            if let Some(there) = stored.secrets.get(name) {
                let same = (new.token.to_owned(), value.clone());
                let takes_tokens = new.store == Store::SecretsManager;
                if takes_tokens && there.scheduled.is_none() && there.versions.contains(&same) {
                    return Ok(StoredSecret { arn: there.arn.clone(), version_id: same.0 });
                }
                return Err(PortError::Exists { what: format!("secret {name}") });
            }
            self.born.set(self.born.get() + 1);
            let (arn, version_id) = match new.store {
                // The store appends six random characters: a name that comes again has another ARN.
                Store::SecretsManager => {
                    let arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:";
                    (format!("{arn}{name}-{:06}", self.born.get()), new.token.to_owned())
                }
                // A name that comes again has the same ARN and counts from 1 again.
                Store::ParameterStore | Store::Vault => {
                    (format!("arn:aws:ssm:eu-central-1:111122223333:parameter/{name}"), "1".to_owned())
                }
            };
            let secret = Secret {
                store: new.store,
                arn: arn.clone(),
                versions: vec![(version_id.clone(), value.clone())],
                labels: [CURRENT]
                    .into_iter()
                    .chain(new.label.into_iter().flat_map(|signed| [&*signed.label, &*signed.signature]))
                    .map(|at| (at.to_owned(), version_id.clone()))
                    .collect(),
                tags: new.tags.clone(),
                key: new.key.to_string(),
                scheduled: None,
                awaits_removal_from: None,
                retrieved: false,
                readers: StoredReaders::None,
                rotation: None,
            };
            stored.secrets.insert(name.to_owned(), secret);
            Ok(StoredSecret { arn, version_id })
        })
        .await
    }

    async fn describe_secret(
        &self,
        store: Store,
        name: &SecretName,
    ) -> Result<Option<SecretFacts>, PortError> {
        self.call(Effect::Reads, "describe_secret", name.as_str(), |stored| {
            let there = stored.secrets.get(name.as_str()).filter(|secret| secret.store == store);
            Ok(there.map(|secret| SecretFacts {
                store,
                arn: secret.arn.clone(),
                tags: secret.tags.clone(),
                key: Some(secret.key.clone()),
                scheduled_for_deletion: secret.scheduled.is_some(),
                versions: held(secret),
                awaits_removal_from: secret.awaits_removal_from,
                was_retrieved: secret.retrieved && store == Store::SecretsManager,
                rotation: secret.rotation.clone(),
            }))
        })
        .await
    }

    async fn put_version(&self, _: &Permit, new: NewVersion<'_>) -> Result<String, PortError> {
        // EXPOSE: to this test, which plays the store.
        let value = new.value.expose().to_owned();
        self.plaintext(value.as_bytes());
        let SignedLabel { label: text, signature } = new.label;
        assert!(text.len() <= 256 && signature.len() <= 256 && text != CURRENT, "{text} {signature}");
        self.call(Effect::Writes, "put_version", new.name.as_str(), |stored| {
            let secret = in_use(stored, new.arn)?;
            if secret.store == Store::ParameterStore {
                let label: VersionLabel = text.parse().unwrap();
                let is_same = |other: &VersionLabel| {
                    (&other.token, &other.generation) == (&label.token, &label.generation)
                };
                if secret.labels.keys().filter_map(|label| label.parse().ok()).any(|other| is_same(&other)) {
                    return Err(PortError::Exists { what: format!("a version of {}", new.arn) });
                }
                let id = (secret.versions.len() + 1).to_string();
                secret.versions.push((id.clone(), value.clone()));
                attach(secret, text, &id);
                attach(secret, signature, &id);
                return Ok(id);
            }
            if let Some((_, there)) = secret.versions.iter().find(|(id, _)| id == new.token) {
                if *there == value {
                    return Ok(new.token.to_owned());
                }
                return Err(PortError::Exists { what: format!("version {} of {}", new.token, new.arn) });
            }
            secret.versions.push((new.token.to_owned(), value.clone()));
            attach(secret, text, new.token);
            attach(secret, signature, new.token);
            if new.pending {
                attach(secret, PENDING, new.token);
            }
            Ok(new.token.to_owned())
        })
        .await
    }

    async fn label_version(&self, _: &Permit, arn: &str, id: &str, label: &str) -> Result<(), PortError> {
        assert!(label.len() <= 256 && label != CURRENT, "{label}");
        self.call(Effect::Writes, "label_version", arn, |stored| {
            let secret = in_use(stored, arn)?;
            assert_eq!(secret.store, Store::SecretsManager, "a counted version has its label from the start");
            if !secret.versions.iter().any(|(known, _)| known == id) {
                return Err(PortError::NotFound { what: format!("version {id} of {arn}") });
            }
            let holder = secret.labels.get(label);
            assert!(holder.is_none_or(|holder| holder == id), "{label} is on another version");
            attach(secret, label, id);
            Ok(())
        })
        .await
    }

    async fn unlabel_version(&self, _: &Permit, arn: &str, id: &str, label: &str) -> Result<(), PortError> {
        assert_ne!(label, CURRENT);
        self.call(Effect::Writes, "unlabel_version", arn, |stored| {
            let secret = in_use(stored, arn)?;
            if secret.labels.get(label).is_some_and(|holder| holder == id) {
                secret.labels.remove(label);
            }
            Ok(())
        })
        .await
    }

    async fn make_current(&self, _: &Permit, arn: &str, from: &str, to: &str) -> Result<(), PortError> {
        self.call(Effect::Writes, "make_current", arn, |stored| {
            let secret = in_use(stored, arn)?;
            if !secret.versions.iter().any(|(known, _)| known == to) {
                return Err(PortError::NotFound { what: format!("version {to} of {arn}") });
            }
            let current = secret.labels[CURRENT].clone();
            if current == to {
                return Ok(());
            }
            if current != from {
                return Err(PortError::Refused {
                    what: arn.into(),
                    code: "InvalidParameterException".into(),
                });
            }
            attach(secret, CURRENT, to);
            attach(secret, PREVIOUS, from);
            Ok(())
        })
        .await
    }

    async fn encrypt_with(&self, _: &Permit, arn: &str, key: &SealingKeyArn) -> Result<(), PortError> {
        self.call(Effect::Writes, "encrypt_with", arn, |stored| {
            in_use(stored, arn)?.key = key.to_string();
            Ok(())
        })
        .await
    }

    async fn secrets_awaiting_removal(
        &self,
        store: Store,
        owner: &OwnerId,
    ) -> Result<Vec<String>, PortError> {
        if store == Store::SecretsManager {
            return Ok(Vec::new());
        }
        self.call(Effect::Reads, "secrets_awaiting_removal", owner.as_str(), |stored| {
            let waits = |secret: &Secret| {
                secret.awaits_removal_from.is_some()
                    && secret.tags.get(OWNER_TAG).is_some_and(|id| id == owner.as_str())
            };
            let awaiting = stored.secrets.iter().filter(|(_, secret)| waits(secret));
            Ok(awaiting.map(|(name, _)| name.clone()).collect())
        })
        .await
    }

    async fn restore_secret(&self, _: &Permit, arn: &str) -> Result<(), PortError> {
        self.call(Effect::Writes, "restore_secret", arn, |stored| match by_arn(stored, arn) {
            Some((_, secret)) => {
                secret.scheduled = None;
                secret.awaits_removal_from = None;
                Ok(())
            }
            None => Err(PortError::NotFound { what: format!("secret {arn}") }),
        })
        .await
    }

    async fn schedule_secret(&self, _: &Permit, arn: &str, days: u8) -> Result<(), PortError> {
        assert!((7..=30).contains(&days), "{days} days");
        self.call(Effect::Writes, "schedule_secret", arn, |stored| {
            if let Some((_, secret)) = by_arn(stored, arn) {
                if secret.scheduled.is_none() && secret.store == Store::ParameterStore {
                    let window = SignedDuration::from_hours(24 * i64::from(days));
                    secret.awaits_removal_from = Some(self.now() + window);
                }
                secret.scheduled = secret.scheduled.or(Some(days));
            }
            Ok(())
        })
        .await
    }

    async fn tag_secret(&self, _: &Permit, arn: &str, tags: &Tags) -> Result<(), PortError> {
        self.call(Effect::Writes, "tag_secret", arn, |stored| {
            in_use(stored, arn)?.tags.extend(tags.clone());
            Ok(())
        })
        .await
    }

    async fn untag_secret(&self, _: &Permit, arn: &str, keys: &[&str]) -> Result<(), PortError> {
        self.call(Effect::Writes, "untag_secret", arn, |stored| {
            in_use(stored, arn)?.tags.retain(|key, _| !keys.contains(&key.as_str()));
            Ok(())
        })
        .await
    }

    async fn remove_secret(&self, _: &Permit, arn: &str) -> Result<(), PortError> {
        self.call(Effect::Writes, "remove_secret", arn, |stored| {
            if let Some((name, secret)) = by_arn(stored, arn) {
                let end = secret.awaits_removal_from;
                let is_over = end.is_some_and(|end| end <= self.now());
                assert!(is_over || !secret.retrieved, "{name} was retrieved and is removed at once");
                stored.secrets.remove(&name);
            }
            Ok(())
        })
        .await
    }

    async fn secret_readers(&self, arn: &str) -> Result<StoredReaders, PortError> {
        self.call(Effect::Reads, "secret_readers", arn, |stored| Ok(in_use(stored, arn)?.readers.clone()))
            .await
    }

    async fn admit_readers(&self, _: &Permit, arn: &str, readers: &Readers) -> Result<(), PortError> {
        self.call(Effect::Writes, "admit_readers", arn, |stored| {
            in_use(stored, arn)?.readers = said(readers);
            Ok(())
        })
        .await
    }

    fn rotator(&self) -> Option<String> {
        (!self.has_no_rotator.get()).then(|| ROTATOR.to_owned())
    }

    async fn rotate_by(&self, _: &Permit, arn: &str, schedule: &RotationSchedule) -> Result<(), PortError> {
        self.call(Effect::Writes, "rotate_by", arn, |stored| {
            let secret = in_use(stored, arn)?;
            assert_eq!(secret.store, Store::SecretsManager, "the other one rotates nothing");
            secret.rotation = Some(schedule.clone());
            Ok(())
        })
        .await
    }

    async fn stop_rotating(&self, _: &Permit, arn: &str) -> Result<(), PortError> {
        self.call(Effect::Writes, "stop_rotating", arn, |stored| {
            in_use(stored, arn)?.rotation = None;
            Ok(())
        })
        .await
    }
}

/// What a policy that was written for these tells.
pub(crate) fn said(readers: &Readers) -> StoredReaders {
    if readers.is_empty() { StoredReaders::None } else { StoredReaders::Admitted(readers.clone()) }
}

impl Sealer for World {
    async fn seal(
        &self,
        key: &SealingKeyArn,
        _: &EncryptionContext,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, PortError> {
        assert!(plaintext.len() <= 4096, "KMS encrypts at most 4,096 bytes");
        self.plaintext(plaintext);
        self.call(Effect::Makes, "seal", key.as_str(), |_| Ok(scramble(plaintext))).await
    }
}

impl PairSealer for World {
    async fn make_sealed_pair(
        &self,
        key: &SealingKeyArn,
        _: &EncryptionContext,
        curve: Curve,
    ) -> Result<SealedPair, PortError> {
        let pair = P2pPrivateKey::make(self.other_curve.get().unwrap_or(curve)).unwrap();
        // EXPOSE: to this test, which plays KMS.
        let sealed = scramble(&pair.expose_pkcs8_der());
        let spki = pair.public_key().to_spki_der();
        self.call(Effect::Makes, "make_sealed_pair", key.as_str(), |_| Ok(SealedPair { spki, sealed })).await
    }
}

impl RecordSigner for World {
    fn signer(&self) -> &'static str {
        if self.is_another_stacks.get() { OTHER_SIGNER } else { SIGNER }
    }

    async fn sign_digest(&self, _: &Permit, digest: [u8; 32]) -> Result<Vec<u8>, PortError> {
        self.call(Effect::Makes, "sign_digest", self.signer(), |_| {
            let signature: Signature = self.own_key().0.sign_prehash(&digest).unwrap();
            // The service never signs the same way twice: (r, s) and (r, -s) are both valid.
            let turn = self.signed.replace(self.signed.get() + 1);
            let (r, s) = signature.split_scalars();
            let signature =
                if turn.is_multiple_of(2) { signature } else { Signature::from_scalars(*r, -*s).unwrap() };
            Ok(signature.to_der().as_bytes().to_vec())
        })
        .await
    }

    async fn verifying_key(&self) -> Result<Vec<u8>, PortError> {
        self.call(Effect::Reads, "verifying_key", self.signer(), |_| Ok(self.own_key().1)).await
    }

    fn former_signers(&self) -> Vec<String> {
        self.former.borrow().iter().cloned().collect()
    }

    async fn former_verifying_key(&self, signer: &str) -> Result<Vec<u8>, PortError> {
        assert_eq!(signer, SIGNER, "the only key of another stack");
        self.call(Effect::Reads, "former_verifying_key", signer, |_| Ok(SPKI.clone())).await
    }
}

impl Publisher for World {
    async fn read_documents(&self, names: &[ParameterName]) -> Result<Vec<Option<String>>, PortError> {
        assert!((1..=10).contains(&names.len()), "GetParameters takes 1 to 10 names");
        let subject = names.iter().map(ParameterName::as_str).collect::<Vec<_>>().join(" ");
        self.call(Effect::Reads, "read_documents", &subject, |stored| {
            let text = |name: &ParameterName| Some(stored.documents.get(name.as_str())?.text.clone());
            Ok(names.iter().map(text).collect())
        })
        .await
    }

    async fn publish_new(
        &self,
        _: &Permit,
        name: &ParameterName,
        text: &str,
        tags: &Tags,
        expires: Option<Timestamp>,
    ) -> Result<(), PortError> {
        assert!(text.len() <= 8192, "{name} has {} bytes", text.len());
        self.call(Effect::Writes, "publish_new", name.as_str(), |stored| {
            if stored.documents.contains_key(name.as_str()) {
                return Err(PortError::Exists { what: format!("parameter {name}") });
            }
            let document = Document { text: text.into(), tags: tags.clone(), expires, number: 1 };
            stored.documents.insert(name.as_str().into(), document);
            Ok(())
        })
        .await
    }

    async fn republish(
        &self,
        _: &Permit,
        name: &ParameterName,
        text: &str,
        expires: Option<Timestamp>,
    ) -> Result<(), PortError> {
        assert!(text.len() <= 8192, "{name} has {} bytes", text.len());
        self.call(Effect::Writes, "republish", name.as_str(), |stored| {
            let document = stored.documents.entry(name.as_str().into());
            let document = document.or_insert(Document {
                text: String::new(),
                tags: Tags::new(),
                expires: None,
                number: 0,
            });
            text.clone_into(&mut document.text);
            document.expires = expires;
            document.number += 1;
            Ok(())
        })
        .await
    }

    async fn read_numbered(&self, name: &ParameterName) -> Result<Option<(u64, String)>, PortError> {
        self.call(Effect::Reads, "read_numbered", name.as_str(), |stored| {
            Ok(stored.documents.get(name.as_str()).map(|document| (document.number, document.text.clone())))
        })
        .await
    }

    async fn replace_numbered(
        &self,
        _: &Permit,
        name: &ParameterName,
        text: &str,
        expires: Timestamp,
    ) -> Result<u64, PortError> {
        self.call(Effect::Writes, "replace_numbered", name.as_str(), |stored| {
            let document = stored.documents.get_mut(name.as_str());
            let document =
                document.ok_or_else(|| PortError::NotFound { what: format!("parameter {name}") })?;
            text.clone_into(&mut document.text);
            document.expires = Some(expires);
            document.number += 1;
            Ok(document.number)
        })
        .await
    }

    async fn withdraw(&self, _: &Permit, names: &[ParameterName]) -> Result<(), PortError> {
        assert!((1..=10).contains(&names.len()), "DeleteParameters takes 1 to 10 names");
        let subject = names.iter().map(ParameterName::as_str).collect::<Vec<_>>().join(" ");
        self.call(Effect::Writes, "withdraw", &subject, |stored| {
            for name in names {
                stored.documents.remove(name.as_str());
            }
            Ok(())
        })
        .await
    }

    fn document_arn(&self, name: &ParameterName) -> String {
        format!("arn:aws:ssm:eu-central-1:111122223333:parameter{name}")
    }
}

impl StackState for World {
    async fn resource_state(
        &self,
        stack_id: &str,
        logical_id: &str,
    ) -> Result<Option<ResourceState>, PortError> {
        let subject = format!("{stack_id} {logical_id}");
        self.call(Effect::Reads, "resource_state", &subject, |_| {
            if *self.denied.borrow() == subject {
                let what = format!("DescribeStackResource {logical_id}");
                return Err(PortError::Denied { what, code: "AccessDenied".into() });
            }
            let others = self.others.borrow();
            let other = others.get(&(stack_id.to_owned(), logical_id.to_owned()));
            Ok(other.map_or_else(|| self.resource.borrow().clone(), Clone::clone))
        })
        .await
    }

    async fn stack_status(&self, stack_id: &str) -> Result<Option<String>, PortError> {
        self.call(Effect::Reads, "stack_status", stack_id, |_| Ok(self.stack.borrow().clone())).await
    }
}

impl Clock for World {
    /// A fiftieth of a second goes by with each call.
    fn now(&self) -> Timestamp {
        let calls = i64::try_from(self.calls.borrow().len()).unwrap();
        let passed = SignedDuration::from_secs(self.seconds.get()) + SignedDuration::from_millis(20 * calls);
        Self::now(self) + passed
    }
}

impl Pace for World {
    /// A document a second, ten secrets a second.
    fn time_for(&self, work: &Workload) -> Duration {
        let secrets = work.created + work.restored + work.removed;
        Duration::from_millis((work.published * 1000 + secrets * 100) as u64)
    }
}

impl AuditLog for World {
    fn record(&self, event: &AuditEvent<'_>) {
        self.events.borrow_mut().push(serde_json::to_string(event).unwrap());
    }
}
