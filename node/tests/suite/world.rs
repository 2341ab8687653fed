//! A cluster in memory, signed with keys made here, and the configuration of who looks at it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use aws::auditing::Drift;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use key_material::{ApiKeyHash, Curve, P2pPrivateKey};
use keyboot_node::config::{Config, Overrides};
use keyboot_node::reader::Reader;
use keyboot_node::verify::{Auditing, Report, verify};
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::EncodePublicKey as _;
use provisioning::names::{ClusterName, NodeIndex, SecretName};
use provisioning::ownership::{CLUSTER_TAG, Generation, NODE_TAG, OWNER_TAG, PURPOSE_TAG, Tags};
use provisioning::ports::{CURRENT, RotationSchedule, SecretFacts, StoredReaders};
use provisioning::record::{AcceptedKey, KeyState, NodeRecord, PendingKey};
use provisioning::roster::{self, RosterEntry, RosterIndex};
use provisioning::rotation_policy::RotationPolicy;
use provisioning::signed::{CanonicalText, Document};
use provisioning::store::Store;
use reading::ReadError;
use reading::ports::DocumentReader;

pub(crate) const SIGNER: &str = "arn:aws:kms:us-east-1:111122223333:key/records";
pub(crate) const KEY: &str = "arn:aws:kms:us-east-1:111122223333:key/secrets";
pub(crate) const OWNER: &str = "keyboot/keyboot/tsm/0123456789abcdef";
pub(crate) const FUNCTION: &str = "arn:aws:lambda:us-east-1:111122223333:function:kms-KeyRotation";
pub(crate) const MONTHLY: &str = "rate(30 days)";
pub(crate) const PURPOSES: [&str; 4] =
    ["p2p-key", "share-encryption-password", "management-key", "api-key/default"];

pub(crate) fn cluster() -> ClusterName {
    "keyboot/tsm".parse().unwrap()
}

pub(crate) fn node(index: u32) -> NodeIndex {
    index.to_string().parse().unwrap()
}

pub(crate) fn now() -> Timestamp {
    "2026-02-01T00:00:00Z".parse().unwrap()
}

fn signing_key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).unwrap()
}

/// The public half of a key that signs, in base64.
pub(crate) fn verifying_key(seed: u8) -> String {
    let key = p256::PublicKey::from(signing_key(seed).verifying_key());
    STANDARD.encode(key.to_public_key_der().unwrap())
}

pub(crate) fn sign<D: Document>(document: &D, signer: &str, seed: u8) -> String {
    let text = CanonicalText::of(document).unwrap();
    let signature: DerSignature = signing_key(seed).sign_prehash(&text.digest()).unwrap();
    text.signed(signature.as_bytes(), signer).unwrap()
}

pub(crate) fn p2p_key(index: u32, version: u8) -> P2pPrivateKey {
    let mut scalar = [version; 32];
    scalar[31] = u8::try_from(index).unwrap() + 1;
    P2pPrivateKey::from_scalar(Curve::P256, &scalar).unwrap()
}

pub(crate) fn accepted(text: &str, version: &str) -> AcceptedKey {
    AcceptedKey {
        hash: ApiKeyHash::of(text),
        state: KeyState::Current,
        until: None,
        version_id: Some(version.into()),
    }
}

pub(crate) fn record(index: u32) -> NodeRecord {
    let public_key = p2p_key(index, 1).public_key();
    NodeRecord {
        api_keys: BTreeMap::from([("default".parse().unwrap(), vec![accepted("api", "v1")])]),
        cluster: cluster(),
        curve: Curve::P256,
        fingerprint: public_key.fingerprint(),
        generation: Generation::new("create-1"),
        index: node(index),
        management_keys: vec![accepted("management", "v1")],
        pending: None,
        public_key,
        regenerate: None,
        schema: 1,
        serial: 3,
        share_version_id: Some("v1".into()),
        version: 1,
        version_id: "v1".into(),
    }
}

/// The same after its P2P key was rotated: the second one counts from a time on.
pub(crate) fn rotated(index: u32, counts_from: &str) -> NodeRecord {
    let record = record(index);
    let public_key = p2p_key(index, 2).public_key();
    let pending = PendingKey {
        counts_from: counts_from.parse().unwrap(),
        fingerprint: public_key.fingerprint(),
        generation: Generation::new("rotation-1"),
        public_key,
        version: 2,
        version_id: "v2".into(),
    };
    NodeRecord { pending: Some(pending), serial: 4, ..record }
}

pub(crate) fn secret(index: u32, purpose: &str) -> String {
    format!("keyboot/tsm/node/{index}/{purpose}")
}

pub(crate) fn arn(name: &str) -> String {
    format!("arn:aws:secretsmanager:us-east-1:111122223333:secret:{name}-AbCdEf")
}

/// A version label as keyboot puts it, with a number.
pub(crate) fn label(number: u64) -> String {
    format!("keyboot-b93d48954fb38451-{number}-sf-128f496b-rotation_{number}-_-8-")
}

/// Versions by id, with their labels.
pub(crate) fn versions(these: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
    let labels = |labels: &[&str]| labels.iter().map(|label| (*label).to_owned()).collect();
    these.iter().map(|(id, held)| ((*id).to_owned(), labels(held))).collect()
}

fn facts(index: u32, purpose: &str) -> SecretFacts {
    let rotation = RotationSchedule { function: FUNCTION.into(), every: MONTHLY.into() };
    let tag = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    SecretFacts {
        store: Store::SecretsManager,
        arn: arn(&secret(index, purpose)),
        tags: Tags::from([
            tag(OWNER_TAG, OWNER),
            tag(CLUSTER_TAG, "keyboot/tsm"),
            tag(NODE_TAG, &index.to_string()),
            tag(PURPOSE_TAG, purpose),
        ]),
        key: Some(KEY.into()),
        scheduled_for_deletion: false,
        awaits_removal_from: None,
        was_retrieved: true,
        rotation: (purpose != "share-encryption-password").then_some(rotation),
        versions: versions(&[("v1", &[CURRENT])]),
    }
}

/// Everything that there is, and what of it may not be seen.
pub(crate) struct World {
    pub(crate) documents: BTreeMap<String, String>,
    pub(crate) secrets: BTreeMap<String, SecretFacts>,
    /// By ARN; nobody is named where there is none.
    pub(crate) readers: BTreeMap<String, StoredReaders>,
    pub(crate) drift: Drift,
    /// The permission that is missing.
    pub(crate) denied: Option<&'static str>,
    /// The secrets whose policies were asked for.
    pub(crate) asked: RefCell<Vec<String>>,
    /// The index, as it was signed last.
    pub(crate) index: RosterIndex,
}

impl World {
    /// A cluster of three nodes, of which nothing is wrong.
    pub(crate) fn new() -> Self {
        let mut world = Self {
            documents: BTreeMap::new(),
            secrets: BTreeMap::new(),
            readers: BTreeMap::new(),
            drift: Drift::default(),
            denied: None,
            asked: RefCell::default(),
            index: index(),
        };
        for index in 0..3 {
            world.publish(&record(index));
            for purpose in PURPOSES {
                world.secrets.insert(secret(index, purpose), facts(index, purpose));
            }
        }
        world.list(&[record(0), record(1), record(2)]);
        world
    }

    pub(crate) fn publish(&mut self, record: &NodeRecord) {
        let text = sign(record, SIGNER, 1);
        self.documents.insert(cluster().record_parameter(record.index).to_string(), text);
    }

    /// Publishes a roster that lists these.
    pub(crate) fn list(&mut self, records: &[NodeRecord]) {
        let entries: Vec<RosterEntry> = records.iter().map(RosterEntry::from).collect();
        let pages = roster::pages(&entries).unwrap();
        self.index.node_count = entries.len();
        self.index.pages = pages.len();
        self.index.sha256 = roster::digest(&pages);
        for (page, text) in pages.into_iter().enumerate() {
            let name = cluster().roster_page_parameter(self.index.serial, page);
            self.documents.insert(name.to_string(), text);
        }
        self.sign_index();
    }

    pub(crate) fn sign_index(&mut self) {
        let name = cluster().roster_index_parameter().to_string();
        self.documents.insert(name, sign(&self.index, SIGNER, 1));
    }

    pub(crate) fn facts(&mut self, index: u32, purpose: &str) -> &mut SecretFacts {
        self.secrets.get_mut(&secret(index, purpose)).unwrap()
    }

    fn refuse(&self, permission: &'static str, name: &str) -> Result<(), ReadError> {
        match self.denied {
            Some(denied) if denied == permission => Err(ReadError::Denied {
                account: "this account".into(),
                permission,
                name: name.to_owned(),
                code: "AccessDeniedException".into(),
            }),
            _ => Ok(()),
        }
    }
}

fn index() -> RosterIndex {
    RosterIndex {
        adopted_from: None,
        cluster: cluster(),
        finished: Vec::new(),
        generation: Generation::new("create-1"),
        node_count: 0,
        owner: OWNER.into(),
        pages: 0,
        regenerate: None,
        regenerate_before: None,
        rotation: Some(RotationPolicy {
            api_keys_every: Some(MONTHLY.parse().unwrap()),
            cut_over_minutes: 60,
            key_origin: "Kms".into(),
            kms_key_arn: KEY.into(),
            overlap_hours: 24,
            p2p_keys_every: Some(MONTHLY.parse().unwrap()),
            protection: "Envelope".into(),
        }),
        schema: 1,
        serial: 5,
        sha256: String::new(),
        store: Store::SecretsManager,
    }
}

impl DocumentReader for World {
    async fn read_documents(&self, names: &[String]) -> Result<Vec<Option<String>>, ReadError> {
        self.refuse("ssm:GetParameters", &names.join(", "))?;
        Ok(names.iter().map(|name| self.documents.get(name).cloned()).collect())
    }
}

impl Auditing for World {
    async fn describe(&self, store: Store, name: &SecretName) -> Result<Option<SecretFacts>, ReadError> {
        self.refuse("secretsmanager:DescribeSecret", name.as_str())?;
        let found = self.secrets.get(name.as_str()).cloned();
        Ok(found.filter(|facts| facts.store == store))
    }

    async fn readers(&self, id: &str) -> Result<StoredReaders, ReadError> {
        self.asked.borrow_mut().push(id.to_owned());
        self.refuse("secretsmanager:GetResourcePolicy", id)?;
        Ok(self.readers.get(id).cloned().unwrap_or(StoredReaders::None))
    }

    async fn drift(&self, stack: &str) -> Result<Drift, ReadError> {
        self.refuse("cloudformation:DetectStackDrift", stack)?;
        Ok(self.drift.clone())
    }
}

/// What an auditor of the cluster is configured with.
pub(crate) fn audit() -> String {
    format!(
        "[audit]\nstack = \"kms\"\nnode-keys-role = \"arn:aws:iam::111122223333:role/kms-NodeKeysRole\"\n\
         key-rotation-role = \"arn:aws:iam::111122223333:role/kms-KeyRotationRole\"\n\
         key-rotation-function = \"{FUNCTION}\"\n"
    )
}

/// Writes a configuration with more in it into a folder, which keeps what is seen as well.
pub(crate) fn configure(folder: &Path, before: &str, after: &str) -> std::path::PathBuf {
    let text = format!(
        "cluster = \"keyboot/tsm\"\nregion = \"us-east-1\"\nstate = \"{}\"\n{before}\n[[pin]]\nsigner = \
         \"{SIGNER}\"\npublic-key = \"{}\"\n\n{after}",
        folder.join("state").display(),
        verifying_key(1)
    );
    let path = folder.join("node.toml");
    std::fs::write(&path, text).unwrap();
    path
}

pub(crate) fn config(folder: &Path, before: &str, after: &str) -> Config {
    Config::read(&configure(folder, before, after), &Overrides::default()).unwrap()
}

/// Runs a future that never waits.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// What is found of a world by somebody with a configuration.
pub(crate) fn report(world: &World, config: &Config) -> Report {
    run(verify(&Reader::new(world, config).unwrap(), world, config, now())).unwrap()
}
