//! One stack, what it declares, what CloudFormation sends for it, and what must hold afterwards.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use key_material::{ApiKeyHash, P2pPrivateKey};
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use provisioning::authority::PinnedStacks;
use provisioning::names::{ClusterName, NodeIndex, Purpose, SecretName, Slot};
use provisioning::ownership::{Generation, Owner};
use provisioning::ports::{CURRENT, PREVIOUS};
use provisioning::principals::Readers;
use provisioning::properties::{ClusterSpec, LenientSpec};
use provisioning::record::{AcceptedKey, KeyState, NodeRecord};
use provisioning::roster::{RosterEntry, RosterIndex};
use provisioning::store::Store;
use provisioning::version_label::{SignedLabel, VersionLabel};
use provisioning::{Operation, OperationKind, Outcome, ProvisionError, TimeBudget};
use serde_json::{Map, Value, json};

use crate::world::{Secret, Stored, World, held, said, scramble};

pub(crate) const STACK: &str =
    "arn:aws:cloudformation:eu-central-1:111122223333:stack/kms/11111111-2222-3333-4444-555555555555";
pub(crate) const LOGICAL_ID: &str = "Keys";
pub(crate) const OWNER: &str = "keyboot/keyboot/tsm/0123456789abcdef";
pub(crate) const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/0a0a0a0a-0b0b-0c0c-0d0d-0e0e0e0e0e0e";
pub(crate) const OTHER_KEY: &str =
    "arn:aws:kms:eu-central-1:111122223333:key/1a1a1a1a-0b0b-0c0c-0d0d-0e0e0e0e0e0e";
pub(crate) const NOW: &str = "2026-01-02T03:04:05Z";

pub(crate) type Answer = Result<Outcome, ProvisionError>;

/// The properties of a resource.
#[derive(Clone, Debug)]
pub(crate) struct Declared(pub(crate) Map<String, Value>);

impl Declared {
    pub(crate) fn nodes(nodes: &[u32]) -> Self {
        let Value::Object(properties) = json!({"Cluster": "tsm", "KmsKeyArn": KEY}) else { unreachable!() };
        let declared = Self(properties).with_nodes(nodes);
        // Left out where it is the default, as most templates do.
        if crate::STORE == Store::default() {
            declared
        } else {
            declared.with("Store", crate::STORE.as_str())
        }
    }

    pub(crate) fn with_nodes(self, nodes: &[u32]) -> Self {
        self.with("Nodes", nodes.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }

    pub(crate) fn spec(&self) -> ClusterSpec {
        ClusterSpec::parse(&self.0).unwrap()
    }

    pub(crate) fn lenient(&self) -> LenientSpec {
        LenientSpec::read(&self.0)
    }
}

pub(crate) fn pinned() -> PinnedStacks {
    format!("arn:aws:cloudformation:eu-central-1:111122223333:stack/x/1, {STACK}").parse().unwrap()
}

pub(crate) fn operation(kind: OperationKind, request: &str) -> Operation {
    Operation {
        kind,
        owner: Owner { id: OWNER.parse().unwrap(), stack_id: STACK.into(), logical_id: LOGICAL_ID.into() },
        generation: Generation::new(request),
        delivered_id: OWNER.into(),
        now: NOW.parse().unwrap(),
        time: TimeBudget::unlimited(),
    }
}

/// A stack that has nothing to do with the other one, and wants the same cluster.
pub(crate) fn of_another_stack(mut operation: Operation) -> Operation {
    operation.owner.id = "keyboot/keyboot/tsm/fedcba9876543210".parse().unwrap();
    operation.owner.stack_id = "arn:aws:cloudformation:eu-central-1:111122223333:stack/x/1".into();
    operation.delivered_id = operation.owner.id.to_string();
    operation
}

/// CloudFormation sends a Create; `None` when the process died.
pub(crate) fn create(world: &World, declared: &Declared, request: &str) -> Option<Answer> {
    world.show("CREATE_IN_PROGRESS", None);
    world.show_stack("CREATE_IN_PROGRESS");
    run(world, &operation(OperationKind::Create, request), declared, None)
}

/// CloudFormation sends an Update; `None` when the process died.
pub(crate) fn update(world: &World, old: &Declared, new: &Declared, request: &str) -> Option<Answer> {
    world.show("UPDATE_IN_PROGRESS", Some(OWNER));
    world.show_stack("UPDATE_IN_PROGRESS");
    run(world, &operation(OperationKind::Update, request), new, Some(old))
}

/// CloudFormation sends a Delete; `None` when the process died.
pub(crate) fn delete(
    world: &World,
    declared: &Declared,
    request: &str,
) -> Option<Result<Vec<String>, ProvisionError>> {
    world.show("DELETE_IN_PROGRESS", Some(OWNER));
    world.show_stack("DELETE_IN_PROGRESS");
    run_removal(world, &operation(OperationKind::Delete, request), declared)
}

pub(crate) fn run(
    world: &World,
    operation: &Operation,
    declared: &Declared,
    old: Option<&Declared>,
) -> Option<Answer> {
    let before = old.map(Declared::lenient);
    let operation = Operation { now: world.now(), ..operation.clone() };
    world.drive(provisioning::reconcile(world, &pinned(), &operation, &declared.spec(), before.as_ref()))
}

pub(crate) fn run_removal(
    world: &World,
    operation: &Operation,
    declared: &Declared,
) -> Option<Result<Vec<String>, ProvisionError>> {
    let operation = Operation { now: world.now(), ..operation.clone() };
    world.drive(provisioning::remove(world, &pinned(), &operation, &declared.lenient()))
}

/// A world in which a Create of `declared` has been completed.
pub(crate) fn in_service(declared: &Declared) -> World {
    let world = World::default();
    create(&world, declared, "create-1").unwrap().unwrap();
    assert_in_service(&world, declared);
    world.revive();
    world
}

pub(crate) fn cluster() -> ClusterName {
    "keyboot/tsm".parse().unwrap()
}

pub(crate) fn node(index: u32) -> NodeIndex {
    index.to_string().parse().unwrap()
}

pub(crate) fn secret_name(index: u32, purpose: &str) -> String {
    format!("keyboot/tsm/node/{index}/{purpose}")
}

pub(crate) fn secret(world: &World, index: u32, purpose: &str) -> Secret {
    let name = secret_name(index, purpose);
    world.stored().secrets.get(&name).unwrap_or_else(|| panic!("there is no {name}")).clone()
}

pub(crate) fn document(stored: &Stored, name: &str) -> String {
    stored.documents.get(name).unwrap_or_else(|| panic!("there is no {name}")).text.clone()
}

pub(crate) fn record(world: &World, index: u32) -> NodeRecord {
    let index = node(index);
    let text = document(&world.stored(), cluster().record_parameter(index).as_str());
    NodeRecord::verify(&text, &World::pinned_keys(), &cluster(), index, 0).unwrap()
}

pub(crate) fn roster(world: &World) -> (RosterIndex, Vec<RosterEntry>) {
    let stored = world.stored();
    let text = document(&stored, cluster().roster_index_parameter().as_str());
    let index = RosterIndex::verify(&text, &World::pinned_keys(), &cluster()).unwrap();
    let page = |page| document(&stored, cluster().roster_page_parameter(index.serial, page).as_str());
    let pages: Vec<_> = (0..index.pages).map(page).collect();
    let entries = index.entries(&pages).unwrap();
    (index, entries)
}

/// Everybody who may read, with a role of this name for node 0: of another account, where the store lets
/// others in.
pub(crate) fn read_by(declared: Declared, name: &str) -> Declared {
    let account = if crate::STORE == Store::SecretsManager { "444455556666" } else { "111122223333" };
    let role = |name: &str| format!("arn:aws:iam::{account}:role/{name}");
    declared
        .with("ReaderPrincipals", json!({"0": [role(name)]}))
        .with("ClientPrincipals", json!({"default": [role("client")]}))
        .with("ManagementPrincipals", json!([role("manager")]))
}

/// The id of the version that a secret hands out unasked.
pub(crate) fn current(secret: &Secret) -> &str {
    &secret.labels[CURRENT]
}

/// The labels of ours on a secret's versions, by the version.
pub(crate) fn own_labels(secret: &Secret) -> BTreeMap<String, VersionLabel> {
    let of_version = |(id, labels): (String, BTreeSet<String>)| {
        Some((id, labels.iter().find_map(|label| label.parse().ok())?))
    };
    held(secret).into_iter().filter_map(of_version).collect()
}

/// Every label of ours on the version that is handed out, and on the one before it, is signed for it.
fn assert_signed(secret: &Secret, name: &SecretName) {
    let key = World::verifying_keys();
    let staged = |id: &String| [CURRENT, PREVIOUS].iter().any(|stage| secret.labels.get(*stage) == Some(id));
    for (id, labels) in held(secret).into_iter().filter(|(id, _)| staged(id)) {
        for label in labels.iter().filter(|label| label.parse::<VersionLabel>().is_ok()) {
            let first = Generation::new(&*secret.tags["keyboot:generation"]);
            let digest = SignedLabel::digest(name, &first, &id, label);
            let signatures = labels.iter().filter_map(|label| label.strip_prefix("keyboot-signed-"));
            let mut signatures = signatures.map(|text| URL_SAFE_NO_PAD.decode(text).unwrap());
            let is_signed = |der: Vec<u8>| {
                let signature = p256::ecdsa::DerSignature::try_from(der.as_slice()).unwrap();
                key.iter().any(|key| key.verify_prehash(&digest, &signature).is_ok())
            };
            assert!(signatures.any(is_signed), "{label} is not signed: {labels:?}");
        }
    }
}

/// The version that counts and its value: the one version of a secret that was never renewed, and
/// of one that was, the one that is handed out, labelled with the token that is declared.
fn counting<'a>(secret: &'a Secret, spec: &ClusterSpec) -> (&'a str, &'a str) {
    let mut labels = own_labels(secret);
    // Where versions are counted, one that was put and given up stays, and no record names it.
    if secret.store == Store::ParameterStore {
        labels.retain(|id, _| [CURRENT, PREVIOUS].iter().any(|stage| secret.labels.get(*stage) == Some(id)));
    }
    if labels.is_empty() {
        assert_eq!(secret.versions.len(), 1, "{} has several versions and no label", secret.arn);
    } else {
        assert!(labels.len() <= 2, "{} holds too many versions: {labels:?}", secret.arn);
        let token = labels.get(current(secret)).map(|label| label.token);
        assert_eq!(token, Some(spec.token()), "{}: {:?}", secret.arn, secret.labels);
        for other in labels.keys().filter(|id| *id != current(secret)) {
            assert_eq!(secret.labels.get(PREVIOUS), Some(other), "{}", secret.arn);
        }
    }
    (current(secret), value_of(secret, current(secret)))
}

/// The value of a version.
pub(crate) fn value_of<'a>(secret: &'a Secret, version_id: &str) -> &'a str {
    let version = secret.versions.iter().find(|(id, _)| id == version_id);
    &version.unwrap_or_else(|| panic!("{} has no version {version_id}", secret.arn)).1
}

/// The value of the one version of a secret.
pub(crate) fn value(secret: &Secret) -> &str {
    let [(_, value)] = secret.versions.as_slice() else { panic!("{} has not one version", secret.arn) };
    value
}

/// Opens what is sealed in a secret's value.
pub(crate) fn open(value: &str) -> Vec<u8> {
    let json: Value = serde_json::from_str(value).unwrap();
    match json["sealed"].as_str() {
        Some(sealed) => scramble(&STANDARD.decode(sealed).unwrap()),
        None => STANDARD.decode(json["pkcs8"].as_str().unwrap()).unwrap(),
    }
}

/// Everything that must hold of a cluster in service, whatever happened before: each public half
/// fits its private half, each record names the version that is stored, and nothing is left over.
pub(crate) fn assert_in_service(world: &World, declared: &Declared) {
    assert_in_service_of(world, declared, OWNER);
}

/// The same of a cluster of another owner.
pub(crate) fn assert_in_service_of(world: &World, declared: &Declared, owner: &str) {
    let spec = declared.spec();
    let stored = world.stored();
    let (index, entries) = roster(world);
    assert_eq!(index.owner, owner);
    assert_eq!(index.regenerate, spec.regenerate);
    assert_eq!(entries.iter().map(|entry| entry.index).collect::<BTreeSet<_>>(), spec.nodes, "roster");

    let mut documents = BTreeSet::from([cluster().roster_index_parameter()]);
    documents.extend((0..index.pages).map(|page| cluster().roster_page_parameter(index.serial, page)));
    for &node in &spec.nodes {
        documents.extend([cluster().record_parameter(node), cluster().environment_parameter(node)]);
    }
    let documents: BTreeSet<_> = documents.iter().map(|name| name.as_str().to_owned()).collect();
    for (name, document) in &stored.documents {
        if documents.contains(name) {
            assert_eq!(document.expires, None, "{name} vanishes");
        } else if !name.ends_with("/lease") {
            assert!(name.ends_with("/record") && document.expires.is_some(), "{name} is left over");
        }
    }

    let declared_slots = spec.slots();
    let names: BTreeMap<_, _> = declared_slots
        .iter()
        .map(|slot| (cluster().secret_name(slot.index, &slot.purpose).as_str().to_owned(), slot))
        .collect();
    for (name, secret) in &stored.secrets {
        let kept = name.ends_with("/share-encryption-password") || secret.scheduled.is_some();
        assert!(names.contains_key(name) || kept, "{name} is left over");
    }
    for entry in &entries {
        let number = entry.index.get();
        let record = record(world, number);
        assert_eq!((&record.fingerprint, record.version), (&entry.fingerprint, entry.version));
        let environment = document(&stored, cluster().environment_parameter(entry.index).as_str());
        let environment: Value = serde_json::from_str(&environment).unwrap();
        let applications: BTreeSet<_> = record.api_keys.keys().collect();
        assert_eq!(applications, spec.applications.iter().collect(), "applications of node {number}");
        assert_eq!(record.management_keys.is_empty(), !spec.management_key);
        assert_eq!(record.share_version_id.is_some(), spec.share_password);
        for purpose in spec.purposes() {
            let secret = secret(world, number, &purpose.to_string());
            assert_eq!(secret.scheduled, None, "{}", secret.arn);
            let slot = Slot { index: entry.index, purpose: purpose.clone() };
            // Parameters have no policies of readers.
            let has_policy = secret.store == Store::SecretsManager;
            let readers = if has_policy { spec.admitted.to(&slot) } else { Readers::default() };
            assert_eq!(secret.readers, said(&readers), "{}", secret.arn);
            let (version_id, held) = counting(&secret, &spec);
            assert_signed(&secret, &cluster().secret_name(entry.index, &purpose));
            let names_it = |keys: &[AcceptedKey]| {
                let [key] = keys else { panic!("node {number} accepts {} keys", keys.len()) };
                assert_eq!(
                    (key.hash, key.state),
                    (ApiKeyHash::of(held), KeyState::Current),
                    "{}",
                    secret.arn
                );
                assert_eq!(key.version_id.as_deref(), Some(version_id), "{}", secret.arn);
            };
            match &purpose {
                Purpose::P2pKey => {
                    let key = P2pPrivateKey::from_pkcs8_der(&open(held)).unwrap();
                    assert!(key.matches(&record.public_key), "{} does not fit its record", secret.arn);
                    assert_eq!(record.version_id, version_id);
                    assert_eq!(record.curve, spec.curve);
                    assert_eq!(environment["p2pKeyArn"], secret.arn);
                }
                Purpose::SharePassword => {
                    assert_eq!(record.share_version_id.as_deref(), Some(version_id));
                    assert_eq!(secret.versions.len(), 1, "{} is written once", secret.arn);
                    assert_eq!(environment["shareSecretArn"], secret.arn);
                }
                Purpose::ManagementKey => names_it(&record.management_keys),
                Purpose::ApiKey(application) => names_it(&record.api_keys[application]),
            }
        }
    }
}

/// Nothing is left of a cluster that was never in service.
pub(crate) fn assert_nothing_is_left(world: &World, of: &str) {
    let stored = world.stored();
    let names: Vec<_> = stored.secrets.keys().chain(stored.documents.keys()).collect();
    assert!(stored.is_empty(), "{of}: left over: {names:?}");
}

/// A cluster that was in service and is deleted by the default rules: secrets can come back, the
/// password stays, documents vanish in time, and nothing tells of an unfinished removal.
pub(crate) fn assert_gone_by_rule(world: &World, of: &str) {
    let stored = world.stored();
    for (name, secret) in &stored.secrets {
        let password = name.ends_with("/share-encryption-password");
        assert_eq!(secret.scheduled, (!password).then_some(30), "{of}: {name}");
    }
    for (name, document) in &stored.documents {
        assert!(name.ends_with("/record") || name.contains("/roster/"), "{of}: {name} is left over");
        let kept = name.contains("/roster/");
        assert!(document.expires.is_some() || kept, "{of}: {name} does not vanish");
    }
}
