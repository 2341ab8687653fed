//! A chain's node whose keys are on a server: what op-node gets, by which documents, and what it does not start
//! with. The server is played in memory; what a real one says is tried elsewhere.

use std::cell::RefCell;
use std::collections::BTreeMap;

use key_material::ethereum::EthereumAddress;
use key_material::{Curve, P2pPrivateKey};
use keyboot_node::config::{Config, Overrides};
use keyboot_node::reader::{Prepared, Reader};
use keyboot_node::verify::{Verdict, verify_documents};
use provisioning::chain::{ChainDocument, RoleKey, RoleKeys};
use provisioning::names::{ClusterName, Slot};
use provisioning::ownership::Generation;
use provisioning::record::NodeRecord;
use provisioning::roster::{self, RosterEntry, RosterIndex};
use provisioning::sealing::{EncryptionContext, SealedSecret};
use provisioning::signed::Document;
use provisioning::store::Store;
use reading::ReadError;
use reading::ports::{CurrentReader, CurrentValue, DocumentReader, Opened, Opener, SecretReader, StoredText};
use serde_json::json;
use tempfile::TempDir;

use crate::world::{node, now, run, sign, verifying_key};

const SIGNER: &str = "arn:vault:transit:ops:root:key/records";
const SEAL: &str = "arn:vault:transit:ops:root:key/seal";
/// What stands in place of a ciphertext: whoever opens it gets the rest.
const SEALED: &[u8] = b"sealed:";

fn chain() -> ClusterName {
    "keyboot/l2".parse().unwrap()
}

fn key(seed: u8) -> P2pPrivateKey {
    P2pPrivateKey::from_scalar(Curve::Secp256k1, &[seed; 32]).unwrap()
}

/// Key `number` of the sequencer is made of that number.
fn role_key(number: u32) -> RoleKey {
    let key = key(u8::try_from(number).unwrap());
    RoleKey { address: EthereumAddress::of(&key.public_key()).unwrap(), number }
}

fn secret(name: &str) -> String {
    format!("arn:vault:kv:ops:root:secret/keyboot/l2/{name}")
}

/// What a server holds.
#[derive(Default)]
struct Server {
    documents: BTreeMap<String, String>,
    secrets: BTreeMap<String, String>,
    /// What was asked for.
    fetched: RefCell<Vec<String>>,
    read: RefCell<Vec<String>>,
}

impl Server {
    /// Chain `l2` with the node 0 and two keys of its sequencer, the first of which counts.
    fn new() -> Self {
        let mut server = Self::default();
        let public_key = key(100).public_key();
        let record = NodeRecord {
            api_keys: BTreeMap::new(),
            cluster: chain(),
            curve: Curve::Secp256k1,
            fingerprint: public_key.fingerprint(),
            generation: Generation::new("provision-1"),
            index: node(0),
            management_keys: Vec::new(),
            pending: None,
            public_key,
            regenerate: None,
            schema: 1,
            serial: 1,
            share_version_id: None,
            version: 1,
            version_id: "1".into(),
        };
        let pages = roster::pages(&[RosterEntry::from(&record)]).unwrap();
        let index = RosterIndex {
            adopted_from: None,
            cluster: chain(),
            finished: Vec::new(),
            generation: Generation::new("provision-1"),
            node_count: 1,
            owner: "keyboot/keyboot/l2/0123456789abcdef".into(),
            pages: pages.len(),
            regenerate: None,
            regenerate_before: None,
            rotation: None,
            schema: 1,
            serial: 1,
            sha256: roster::digest(&pages),
            store: Store::Vault,
        };
        let environment = json!({
            "cluster": "keyboot/l2", "index": 0, "p2pKeyArn": secret("node/0/p2p-key"), "peers": "roster",
            "recordArn": "arn:r", "schema": 1
        });
        server.publish("/keyboot/l2/node/0/record", &record);
        server.publish("/keyboot/l2/roster/index", &index);
        server.documents.insert("/keyboot/l2/roster/1/page/0".into(), pages[0].clone());
        server.documents.insert("/keyboot/l2/node/0/env".into(), environment.to_string());
        let slot = Slot { index: node(0), purpose: "p2p-key".parse().unwrap() };
        // EXPOSE: to an envelope of this test's.
        let inside = [SEALED, &key(100).expose_pkcs8_der()].concat();
        let context = EncryptionContext::of(&chain(), &slot);
        let envelope = SealedSecret::new(&slot.purpose, &inside, SEAL, context).to_stored_value().unwrap();
        // EXPOSE: to a store in memory.
        server.secrets.insert(secret("node/0/p2p-key"), envelope.expose().to_owned());
        for number in [1, 2] {
            let name = secret(&format!("role/sequencer/{number}"));
            // EXPOSE: as above.
            server.secrets.insert(name, key(number).expose_scalar_hex().to_string());
        }
        server.count(1, 1);
        server
    }

    fn publish<D: Document>(&mut self, name: &str, document: &D) {
        self.documents.insert(name.to_owned(), sign(document, SIGNER, 1));
    }

    /// Publishes which key of the sequencer counts.
    fn count(&mut self, number: u32, serial: u64) {
        self.publish("/keyboot/l2/chain", &document(Some(role_key(number)), serial));
    }
}

fn document(current: Option<RoleKey>, serial: u64) -> ChainDocument {
    let keys = RoleKeys { current, highest: 2, ..RoleKeys::default() };
    ChainDocument {
        chain: chain(),
        chain_id: 901,
        generation: Generation::new("provision-1"),
        l1_chain_id: 1,
        owner: "keyboot/keyboot/l2/0123456789abcdef".into(),
        roles: BTreeMap::from([("sequencer".parse().unwrap(), keys)]),
        schema: 1,
        serial,
    }
}

impl DocumentReader for Server {
    async fn read_documents(&self, names: &[String]) -> Result<Vec<Option<String>>, ReadError> {
        self.read.borrow_mut().extend(names.iter().cloned());
        Ok(names.iter().map(|name| self.documents.get(name).cloned()).collect())
    }
}

impl SecretReader for Server {
    async fn fetch_version(&self, arn: &str, version_id: &str) -> Result<StoredText, ReadError> {
        assert_eq!(version_id, "1");
        self.fetched.borrow_mut().push(arn.to_owned());
        let missing = || ReadError::NotFound { name: arn.to_owned(), hint: "it is not there" };
        self.secrets.get(arn).cloned().map(StoredText::new).ok_or_else(missing)
    }
}

impl CurrentReader for Server {
    async fn fetch_current(&self, arn: &str) -> Result<CurrentValue, ReadError> {
        Err(ReadError::Refused { name: arn.to_owned(), code: "nothing is current here".into() })
    }
}

impl Opener for Server {
    async fn open(&self, sealed: &SealedSecret) -> Result<Opened, ReadError> {
        assert_eq!(sealed.key_arn(), SEAL);
        Ok(Opened::new(sealed.ciphertext().strip_prefix(SEALED).unwrap().to_vec()))
    }
}

/// A node's configuration, and the folder that keeps what it has seen.
fn configured(sequencer: &str) -> (TempDir, Config) {
    let folder = TempDir::new().unwrap();
    let text = format!(
        "cluster = \"keyboot/l2\"\nindex = 0\nformat = \"op-node\"\nstate = \"{}\"\nsealed-under = [\"{SEAL}\"]\n\n\
         [[pin]]\nsigner = \"{SIGNER}\"\npublic-key = \"{}\"\n\n[vault]\naddress = \"https://vault.example:8200\"\n\
         name = \"ops\"\nca-file = \"/etc/ca.pem\"\ntoken-file = \"/run/token\"\n\n{sequencer}",
        folder.path().join("state").display(),
        verifying_key(1)
    );
    let path = folder.path().join("node.toml");
    std::fs::write(&path, text).unwrap();
    let config = Config::read(&path, &Overrides::default()).unwrap();
    (folder, config)
}

fn prepare(server: &Server, config: &Config) -> Result<Prepared, String> {
    let reader = Reader::new(server, config).unwrap();
    let prepared = run(async { reader.prepare(&reader.view().await?, now()).await });
    prepared.map_err(|error| error.to_string())
}

/// What the command is handed: (variable, value).
fn handed(prepared: &Prepared) -> Vec<(String, String)> {
    // EXPOSE: to a test.
    prepared.secrets.iter().map(|it| (it.variable.to_string(), it.expose().to_owned())).collect()
}

fn expected(own: u8, sequencer: Option<u8>) -> Vec<(String, String)> {
    let own = ("OP_NODE_P2P_PRIV_RAW".to_owned(), format!("{own:02x}").repeat(32));
    let sequencer =
        sequencer.map(|seed| ("OP_NODE_P2P_SEQUENCER_KEY".to_owned(), format!("{seed:02x}").repeat(32)));
    std::iter::once(own).chain(sequencer).collect()
}

#[test]
fn op_node_gets_the_key_of_its_peer_id_and_that_of_the_sequencer_where_it_is_told() {
    let server = Server::new();
    let (_folder, config) = configured("");
    assert_eq!(handed(&prepare(&server, &config).unwrap()), expected(100, None));
    // Who is not the sequencer's asks for nothing of the sequencer.
    assert_eq!(*server.fetched.borrow(), [secret("node/0/p2p-key")]);
    assert!(!server.read.borrow().iter().any(|name| name.ends_with("/chain")));
    let (_folder, config) = configured("[sequencer]\n");
    let prepared = prepare(&server, &config).unwrap();
    assert_eq!(handed(&prepared), expected(100, Some(1)));
    let shown = format!("{prepared:?}");
    assert!(!shown.contains("0101") && !shown.contains("6464"), "{shown}");
}

#[test]
fn when_another_key_counts_the_command_runs_with_something_else() {
    let mut server = Server::new();
    let (_folder, config) = configured("[sequencer]\nchain = \"keyboot/l2\"\n");
    let before = prepare(&server, &config).unwrap();
    assert_eq!(before.with, prepare(&server, &config).unwrap().with);
    server.count(2, 2);
    let after = prepare(&server, &config).unwrap();
    assert_eq!(handed(&after), expected(100, Some(2)));
    assert_ne!(before.with, after.with);
    assert_eq!(before.with.own, after.with.own);
    let (first, second) = (before.with.sequencer.unwrap(), after.with.sequencer.unwrap());
    assert_eq!(first, format!("number 1 of keyboot/l2, {}", role_key(1).address));
    assert_eq!(second, format!("number 2 of keyboot/l2, {}", role_key(2).address));
    // Somebody puts the older document back.
    server.count(1, 1);
    let refused = prepare(&server, &config).unwrap_err();
    assert!(refused.contains("older (serial 1)"), "{refused}");
}

#[test]
fn a_fixed_number_is_taken_with_its_address_and_no_document_is_asked() {
    let server = Server::new();
    let fixed = |number: u32, of: u32| {
        let address = role_key(of).address;
        configured(&format!("[sequencer]\nnumber = {number}\naddress = \"{address}\"\n"))
    };
    let (_folder, config) = fixed(2, 2);
    assert_eq!(handed(&prepare(&server, &config).unwrap()), expected(100, Some(2)));
    assert!(!server.read.borrow().iter().any(|name| name.ends_with("/chain")));
    let (_folder, config) = fixed(2, 1);
    let refused = prepare(&server, &config).unwrap_err();
    assert!(refused.contains(&format!("its key does not control {}", role_key(1).address)), "{refused}");
    assert!(!refused.contains("0202"), "{refused}");
}

#[test]
fn without_a_key_that_counts_by_a_pinned_signature_nothing_is_handed_over() {
    let mut server = Server::new();
    let (_folder, config) = configured("[sequencer]\n");
    let none = document(None, 2);
    server.publish("/keyboot/l2/chain", &none);
    let refused = prepare(&server, &config).unwrap_err();
    assert!(refused.contains("tells of no key of the sequencer that counts"), "{refused}");
    let forged = sign(&document(Some(role_key(2)), 3), SIGNER, 2);
    server.documents.insert("/keyboot/l2/chain".into(), forged);
    let refused = prepare(&server, &config).unwrap_err();
    assert!(refused.contains("/keyboot/l2/chain is not believed: its signature does not fit"), "{refused}");
    server.documents.remove("/keyboot/l2/chain");
    let refused = prepare(&server, &config).unwrap_err();
    assert!(refused.contains("/keyboot/l2/chain does not exist"), "{refused}");
    assert!(!server.fetched.borrow().iter().any(|name| name.contains("/role/")));
}

#[test]
fn a_key_of_another_servers_is_not_the_nodes_own() {
    let mut server = Server::new();
    let environment = server.documents.get_mut("/keyboot/l2/node/0/env").unwrap();
    *environment = environment.replace(":ops:", ":dev:");
    let (_folder, config) = configured("");
    let refused = prepare(&server, &config).unwrap_err();
    assert!(refused.contains("on the server whose key signs its record"), "{refused}");
    assert!(server.fetched.borrow().is_empty());
}

#[test]
fn the_signed_documents_are_verified_and_what_is_told_of_secrets_is_not_known() {
    let mut server = Server::new();
    let (_folder, config) = configured("");
    let report = |server: &Server| {
        run(verify_documents(&Reader::new(server, &config).unwrap(), &config, now())).unwrap()
    };
    let sound = report(&server);
    let rows: Vec<_> = sound.rows.iter().map(|row| (row.check.name(), row.verdict)).collect();
    let ok = Verdict::Ok;
    assert_eq!(
        rows,
        [("roster", ok), ("record", ok), ("roster-entry", ok), ("secret-present", Verdict::Unknown)]
    );
    assert!(sound.rows[3].explanation.contains("the server ops (https://vault.example:8200)"));
    assert!(server.fetched.borrow().is_empty());
    let forged = sign(&document(None, 1), SIGNER, 1);
    server.documents.insert("/keyboot/l2/roster/index".into(), forged);
    assert!(!report(&server).is_without_fault());
}
