//! AWS in memory, as far as provisioning sees it: the rules are those of the services' API
//! references, and every call is written down. A death or a fault can be put at any call.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use jiff::{SignedDuration, Timestamp};
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::EncodePublicKey as _;
use provisioning::audit::AuditEvent;
use provisioning::authority::Permit;
use provisioning::names::{ParameterName, SecretName};
use provisioning::ownership::{OWNER_TAG, OwnerId, Tags};
use provisioning::ports::{
    AuditLog, NewSecret, PortError, Publisher, RecordSigner, ResourceState, Sealer, SecretFacts, SecretStore,
    StackState, StoredSecret,
};
use provisioning::properties::KmsKeyArn;
use provisioning::sealing::EncryptionContext;
use provisioning::signed::PinnedKeys;
use provisioning::store::Store;

pub(crate) const SIGNER: &str =
    "arn:aws:kms:eu-central-1:111122223333:key/00000000-0000-0000-0000-000000000001";

static SIGNING: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_slice(&[7; 32]).unwrap());
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
    pub(crate) tags: Tags,
    pub(crate) key: String,
    /// The days of the recovery window that it is in.
    pub(crate) scheduled: Option<u8>,
    /// When that window is over, where the store does not end it.
    pub(crate) awaits_removal_from: Option<Timestamp>,
    pub(crate) retrieved: bool,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Document {
    pub(crate) text: String,
    pub(crate) tags: Tags,
    pub(crate) expires: Option<Timestamp>,
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
    /// Days that have passed since everything began.
    pub(crate) days: Cell<i64>,
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
    born: Cell<u64>,
    signed: Cell<u64>,
}

impl World {
    /// Another world in which the same is stored.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::default();
        *copy.stored.borrow_mut() = self.stored();
        copy.born.set(self.born.get());
        copy.days.set(self.days.get());
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

    pub(crate) fn pinned_keys() -> PinnedKeys {
        PinnedKeys::default().pin(SIGNER, &SPKI).unwrap()
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
                Store::ParameterStore => {
                    (format!("arn:aws:ssm:eu-central-1:111122223333:parameter/{name}"), "1".to_owned())
                }
            };
            let secret = Secret {
                store: new.store,
                arn: arn.clone(),
                versions: vec![(version_id.clone(), value.clone())],
                tags: new.tags.clone(),
                key: new.key.to_string(),
                scheduled: None,
                awaits_removal_from: None,
                retrieved: false,
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
                awaits_removal_from: secret.awaits_removal_from,
                was_retrieved: secret.retrieved && store == Store::SecretsManager,
            }))
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
}

impl Sealer for World {
    async fn seal(
        &self,
        key: &KmsKeyArn,
        _: &EncryptionContext,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, PortError> {
        assert!(plaintext.len() <= 4096, "KMS encrypts at most 4,096 bytes");
        self.plaintext(plaintext);
        self.call(Effect::Makes, "seal", key.as_str(), |_| Ok(scramble(plaintext))).await
    }
}

impl RecordSigner for World {
    fn signer(&self) -> &'static str {
        SIGNER
    }

    async fn sign_digest(&self, _: &Permit, digest: [u8; 32]) -> Result<Vec<u8>, PortError> {
        self.call(Effect::Makes, "sign_digest", SIGNER, |_| {
            let signature: Signature = SIGNING.sign_prehash(&digest).unwrap();
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
        self.call(Effect::Reads, "verifying_key", SIGNER, |_| Ok(SPKI.clone())).await
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
    ) -> Result<(), PortError> {
        assert!(text.len() <= 8192, "{name} has {} bytes", text.len());
        self.call(Effect::Writes, "publish_new", name.as_str(), |stored| {
            if stored.documents.contains_key(name.as_str()) {
                return Err(PortError::Exists { what: format!("parameter {name}") });
            }
            let document = Document { text: text.into(), tags: tags.clone(), expires: None };
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
            let document =
                document.or_insert(Document { text: String::new(), tags: Tags::new(), expires: None });
            text.clone_into(&mut document.text);
            document.expires = expires;
            Ok(())
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
        self.call(Effect::Reads, "resource_state", &subject, |_| Ok(self.resource.borrow().clone())).await
    }

    async fn stack_status(&self, stack_id: &str) -> Result<Option<String>, PortError> {
        self.call(Effect::Reads, "stack_status", stack_id, |_| Ok(self.stack.borrow().clone())).await
    }
}

impl AuditLog for World {
    fn record(&self, event: &AuditEvent<'_>) {
        self.events.borrow_mut().push(serde_json::to_string(event).unwrap());
    }
}
