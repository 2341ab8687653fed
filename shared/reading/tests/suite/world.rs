//! A cluster in memory, signed with keys made here.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use key_material::{ApiKeyHash, Curve, P2pPrivateKey, SharePassword};
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::EncodePublicKey as _;
use provisioning::names::{ClusterName, NodeIndex, Slot};
use provisioning::record::{AcceptedKey, KeyState, NodeRecord, PendingKey};
use provisioning::roster::{self, RosterEntry, RosterIndex};
use provisioning::sealing::{EncryptionContext, SealedSecret, StoredValue};
use provisioning::signed::{CanonicalText, Document};
use reading::ports::{DocumentReader, Opened, Opener, SecretReader, StoredText};
use reading::{ClusterView, NodeSecrets, Pin, Pins, ReadError, Seen, Whose};

/// The key of the stack of these tests.
pub(crate) const SIGNER: &str = "arn:aws:kms:eu-central-1:111122223333:key/records";
pub(crate) const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/secrets";
pub(crate) const CUT_OVER: &str = "2026-03-01T00:00:00Z";

pub(crate) fn cluster() -> ClusterName {
    "keyboot/tsm".parse().unwrap()
}

pub(crate) fn node(index: u32) -> NodeIndex {
    index.to_string().parse().unwrap()
}

pub(crate) fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

/// A key that signs records.
pub(crate) fn signing_key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).unwrap()
}

pub(crate) fn pin(signer: &str, seed: u8) -> Pin {
    let public_key = p256::PublicKey::from(signing_key(seed).verifying_key());
    let public_key = public_key.to_public_key_der().unwrap().as_bytes().to_vec();
    Pin { signer: signer.to_owned(), public_key, home: None, nodes: None }
}

pub(crate) fn pins() -> Pins {
    Pins::new(vec![pin(SIGNER, 1)]).unwrap()
}

pub(crate) fn sign<D: Document>(document: &D, signer: &str, seed: u8) -> String {
    let text = CanonicalText::of(document).unwrap();
    let signature: DerSignature = signing_key(seed).sign_prehash(&text.digest()).unwrap();
    text.signed(signature.as_bytes(), signer).unwrap()
}

/// The P2P key of a node; `version` makes another one.
pub(crate) fn p2p_key(index: u32, version: u8) -> P2pPrivateKey {
    let mut scalar = [version; 32];
    scalar[31] = u8::try_from(index).unwrap() + 1;
    P2pPrivateKey::from_scalar(Curve::P256, &scalar).unwrap()
}

pub(crate) fn password() -> SharePassword {
    SharePassword::derive_from_entropy(&[9; 32])
}

pub(crate) fn record(index: u32) -> NodeRecord {
    let public_key = p2p_key(index, 1).public_key();
    let hash = |text: &str| ApiKeyHash::of(text);
    let key = |text: &str| AcceptedKey {
        hash: hash(text),
        state: KeyState::Current,
        until: None,
        version_id: Some("v1".into()),
    };
    NodeRecord {
        api_keys: BTreeMap::from([("default".parse().unwrap(), vec![key("api")])]),
        cluster: cluster(),
        curve: Curve::P256,
        fingerprint: public_key.fingerprint(),
        generation: serde_json::from_str("\"create-1\"").unwrap(),
        index: node(index),
        management_keys: vec![key("management")],
        pending: None,
        public_key,
        regenerate: None,
        schema: 1,
        serial: 3,
        share_version_id: Some("s1".into()),
        version: 1,
        version_id: "v1".into(),
    }
}

/// The same with a second key that waits for its time.
pub(crate) fn with_pending(record: NodeRecord) -> NodeRecord {
    let public_key = p2p_key(record.index.get(), 2).public_key();
    let pending = PendingKey {
        counts_from: at(CUT_OVER),
        fingerprint: public_key.fingerprint(),
        generation: record.generation.clone(),
        public_key,
        version: 2,
        version_id: "v2".into(),
    };
    NodeRecord { pending: Some(pending), serial: 4, ..record }
}

/// Everything that is stored.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) documents: BTreeMap<String, String>,
    /// By ARN and version id.
    pub(crate) secrets: BTreeMap<(String, String), String>,
    /// The keys that the node's secrets are sealed under, as its reader is told.
    pub(crate) sealed_under: Vec<String>,
    /// Names that may not be read.
    pub(crate) denied: Vec<String>,
    /// What was asked for.
    pub(crate) fetched: RefCell<Vec<(String, String)>>,
    pub(crate) opened: RefCell<usize>,
}

pub(crate) fn secret_arn(index: u32, purpose: &str) -> String {
    format!(
        "arn:aws:secretsmanager:eu-central-1:111122223333:secret:keyboot/tsm/node/{index}/{purpose}-AbCdEf"
    )
}

/// What stands in place of a ciphertext: whoever opens it gets the rest.
const SEALED: &[u8] = b"sealed:";

pub(crate) fn envelope(index: u32, purpose: &str, plain: &[u8]) -> String {
    envelope_under(KEY, index, purpose, plain)
}

pub(crate) fn envelope_under(key: &str, index: u32, purpose: &str, plain: &[u8]) -> String {
    let slot = Slot { index: node(index), purpose: purpose.parse().unwrap() };
    let context = EncryptionContext::of(&cluster(), &slot);
    let sealed = SealedSecret::new(&slot.purpose, &[SEALED, plain].concat(), key, context);
    sealed.to_stored_value().unwrap().expose().to_owned()
}

impl World {
    /// A cluster of so many nodes, sealed or not.
    pub(crate) fn of(nodes: u32, sealed: bool) -> Self {
        let sealed_under = if sealed { vec![KEY.to_owned()] } else { Vec::new() };
        let mut world = Self { sealed_under, ..Self::default() };
        for index in 0..nodes {
            world.publish(&record(index));
            let environment = format!(
                r#"{{"cluster":"keyboot/tsm","index":{index},"p2pKeyArn":"{}","peers":"roster","recordArn":"arn:r","schema":1,"shareSecretArn":"{}"}}"#,
                secret_arn(index, "p2p-key"),
                secret_arn(index, "share-encryption-password"),
            );
            world.documents.insert(format!("/keyboot/tsm/node/{index}/env"), environment);
            for version in [1, 2] {
                let key = p2p_key(index, version);
                let value = if sealed {
                    envelope(index, "p2p-key", &key.expose_pkcs8_der())
                } else {
                    StoredValue::plain_p2p_key(&key).expose().to_owned()
                };
                world.put(index, "p2p-key", &format!("v{version}"), &value);
            }
            let value = if sealed {
                envelope(index, "share-encryption-password", password().expose().as_bytes())
            } else {
                StoredValue::plain_share_password(&password()).expose().to_owned()
            };
            world.put(index, "share-encryption-password", "s1", &value);
        }
        world.list(nodes, 5);
        world
    }

    pub(crate) fn publish(&mut self, record: &NodeRecord) {
        let text = sign(record, SIGNER, 1);
        self.documents.insert(record.cluster.record_parameter(record.index).to_string(), text);
    }

    pub(crate) fn put(&mut self, index: u32, purpose: &str, version: &str, value: &str) {
        self.secrets.insert((secret_arn(index, purpose), version.to_owned()), value.to_owned());
    }

    /// A roster of the nodes from 0.
    pub(crate) fn list(&mut self, nodes: u32, serial: u64) {
        let entries: Vec<RosterEntry> = (0..nodes).map(|index| RosterEntry::from(&record(index))).collect();
        let pages = roster::pages(&entries).unwrap();
        let index = RosterIndex {
            adopted_from: None,
            cluster: cluster(),
            finished: Vec::new(),
            generation: serde_json::from_str("\"create-1\"").unwrap(),
            node_count: entries.len(),
            owner: "keyboot/keyboot/tsm/0123456789abcdef".into(),
            pages: pages.len(),
            regenerate: None,
            regenerate_before: None,
            rotation: None,
            schema: 1,
            serial,
            sha256: roster::digest(&pages),
            store: provisioning::store::Store::SecretsManager,
        };
        let name = cluster().roster_index_parameter().to_string();
        self.documents.insert(name, sign(&index, SIGNER, 1));
        for (page, text) in pages.into_iter().enumerate() {
            self.documents.insert(cluster().roster_page_parameter(serial, page).to_string(), text);
        }
    }
}

impl DocumentReader for World {
    async fn read_documents(&self, names: &[String]) -> Result<Vec<Option<String>>, ReadError> {
        assert!(names.len() <= 10, "{names:?}");
        if let Some(name) = names.iter().find(|name| self.denied.contains(name)) {
            let (permission, code) = ("ssm:GetParameters", "AccessDenied".to_owned());
            let account = "account 444455556666".to_owned();
            return Err(ReadError::Denied { account, permission, name: name.clone(), code });
        }
        Ok(names.iter().map(|name| self.documents.get(name).cloned()).collect())
    }
}

impl SecretReader for World {
    async fn fetch_version(&self, arn: &str, version_id: &str) -> Result<StoredText, ReadError> {
        let key = (arn.to_owned(), version_id.to_owned());
        self.fetched.borrow_mut().push(key.clone());
        let hint = "it is not there";
        let text = self.secrets.get(&key).ok_or(ReadError::NotFound { name: arn.to_owned(), hint })?;
        Ok(StoredText::new(text.clone()))
    }
}

impl Opener for World {
    async fn open(&self, sealed: &SealedSecret) -> Result<Opened, ReadError> {
        *self.opened.borrow_mut() += 1;
        let plain = sealed.ciphertext().strip_prefix(SEALED);
        Ok(Opened::new(plain.expect("no envelope of these tests").to_vec()))
    }
}

/// Runs a future that never waits.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(future)
}

pub(crate) fn of_node(index: u32) -> Whose {
    Whose {
        cluster: cluster(),
        index: Some(node(index)),
        documents: None,
        nodes: None,
        imported: BTreeMap::new(),
    }
}

pub(crate) fn view(world: &World, whose: &Whose, seen: &mut Seen) -> Result<ClusterView, ReadError> {
    run(ClusterView::read(world, whose, &pins(), seen))
}

pub(crate) fn fetch(world: &World, index: u32, now: &str) -> Result<NodeSecrets, ReadError> {
    let view = view(world, &of_node(index), &mut Seen::default())?;
    run(NodeSecrets::fetch(world, &view, &pins(), node(index), &world.sealed_under, at(now)))
}

pub(crate) fn indexes(view: &ClusterView) -> Vec<u32> {
    view.records.keys().map(|index| index.get()).collect()
}

pub(crate) fn nodes(indexes: &[u32]) -> BTreeSet<NodeIndex> {
    indexes.iter().copied().map(node).collect()
}
