//! A server with what `keyboot-onprem` works on, the program itself, and what stands on the server.
//!
//! What is stored is looked at by plain HTTPS as root, and never by the adapters that stored it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::{Method, StatusCode};
use jiff::Timestamp;
use keyboot_onprem::policies::Subjects;
use provisioning::names::ClusterName;
use provisioning::signed::PinnedKeys;
use rig::fuse::{Burn, Fuse};
use rig::openbao::{Answer, Ready};
use rig::programs;
use rig::python::Venv;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::sync::Mutex;
use vault::Mounts;

/// The server's short name.
pub(crate) const SERVER: &str = "ops";
/// Who the declarations speak for.
pub(crate) const OWNER: &str = "team";
/// The engines.
pub(crate) const SECRETS: &str = "keyboot-secrets";
pub(crate) const DOCUMENTS: &str = "keyboot-documents";
pub(crate) const TRANSIT: &str = "keyboot-transit";
/// The file that a run's token is in.
pub(crate) const LOGIN: &str = "token";
/// How long the program may take.
const SOON: Duration = Duration::from_mins(1);
/// How long a fresh engine may not be there yet.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server, unsealed, with its engines and keys, and a folder for what is written by hand.
pub(crate) struct Stage {
    pub(crate) bao: Ready,
    /// The key that documents are signed with, pinned as a reader pins it.
    pub(crate) keys: PinnedKeys,
    program: PathBuf,
    folder: TempDir,
    runs: AtomicU32,
    /// A token for each role and namespace.
    tokens: Mutex<BTreeMap<String, String>>,
    /// What stands in the program's environment beside.
    environment: Vec<(&'static str, &'static str)>,
}

/// With whose rights the program runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum As {
    /// Who makes keys.
    Provisioner,
    /// Who also replaces and removes them.
    Rotator,
}

/// How a run of the program ended.
#[derive(Clone, Debug)]
pub(crate) struct Ran {
    /// The exit status.
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Everything that it printed.
    pub(crate) fn printed(&self) -> String {
        format!("{}{}", self.out, self.err)
    }

    /// What it printed where it succeeded.
    pub(crate) fn succeeded(self) -> Result<Self> {
        ensure!(self.code == 0, "it ended with {}:\n{}", self.code, self.printed());
        Ok(self)
    }

    /// The same where it refused or gave up.
    pub(crate) fn failed(self) -> Result<Self> {
        ensure!(self.code != 0, "it succeeded:\n{}", self.printed());
        Ok(self)
    }
}

impl Stage {
    /// A server on which nothing has been made yet, with the engines as `init` sets them up.
    pub(crate) async fn new() -> Result<Self> {
        let bao = Ready::start(&Venv::onprem()?).await?;
        let kv = json!({ "type": "kv", "options": { "version": "2" } });
        let transit = json!({ "type": "transit" });
        for (mount, kind) in [(SECRETS, &kv), (DOCUMENTS, &kv), (TRANSIT, &transit)] {
            bao.call(Method::POST, &format!("sys/mounts/{mount}"), Some(kind)).await?.accepted()?;
        }
        let (seal, records) =
            (json!({ "type": "aes256-gcm96", "derived": true }), json!({ "type": "ecdsa-p256" }));
        for (key, kind) in [("seal", &seal), ("records", &records)] {
            bao.call(Method::POST, &format!("{TRANSIT}/keys/{key}"), Some(kind)).await?.accepted()?;
        }
        // A fresh engine is not there at once.
        let rules = json!({ "cas_required": true, "max_versions": 100 });
        let started = Instant::now();
        for mount in [SECRETS, DOCUMENTS] {
            let path = format!("{mount}/config");
            while bao.call(Method::POST, &path, Some(&rules)).await?.status == StatusCode::BAD_REQUEST {
                ensure!(started.elapsed() < PATIENCE, "{mount} is not ready");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        let key = bao.call(Method::GET, &format!("{TRANSIT}/keys/records"), None).await?.accepted()?;
        let pem = key["data"]["keys"]["1"]["public_key"].as_str().context("no public half")?;
        let der = pem.lines().filter(|line| !line.starts_with("-----")).collect::<String>();
        let signer = format!("arn:vault:transit:{SERVER}:root:key/records");
        let keys = PinnedKeys::default().pin(signer, &STANDARD.decode(der)?)?;
        let program = programs::path(programs::KEYBOOT_ONPREM)?;
        let folder = tempfile::Builder::new().prefix("keyboot-vault-").tempdir()?;
        Ok(Self {
            bao,
            keys,
            program,
            folder,
            runs: AtomicU32::new(0),
            tokens: Mutex::default(),
            environment: Vec::new(),
        })
    }

    /// The same, on which the program has these variables.
    pub(crate) fn with_environment(self, environment: &[(&'static str, &'static str)]) -> Self {
        Self { environment: environment.to_vec(), ..self }
    }

    /// The folder of configurations, declarations and audit logs.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Asks the server as root.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        self.bao.call(method, path, body).await.with_context(|| path.to_owned())
    }

    /// Puts every policy of these subjects on the server.
    pub(crate) async fn admit(&self, subjects: &Subjects) -> Result<()> {
        for policy in subjects.policies(&Mounts::default())? {
            let path = format!("sys/policies/acl/{}", policy.name());
            let body = json!({ "policy": policy.text() });
            self.ask(Method::PUT, &path, Some(&body)).await?.accepted()?;
        }
        Ok(())
    }

    /// A token of a policy that is there, and of no other.
    pub(crate) async fn token_of(&self, policies: &[&str]) -> Result<String> {
        let wanted = json!({ "policies": policies, "no_default_policy": true, "ttl": "1h" });
        let made = self.ask(Method::POST, "auth/token/create", Some(&wanted)).await?.accepted()?;
        Ok(made["auth"]["client_token"].as_str().context("no token")?.to_owned())
    }

    /// Runs the program by way of an address, with a token of this role.
    ///
    /// `arguments` stand before the declaration.
    pub(crate) async fn run(
        &self,
        who: As,
        address: &str,
        arguments: &[&str],
        declared: &Declared,
    ) -> Result<Ran> {
        let role = match who {
            As::Provisioner => "provisioner",
            As::Rotator => "rotator",
        };
        // Each namespace has a policy of its own here: many run side by side.
        let name = format!("{role}.{}", declared.namespace.replace('/', "."));
        let known = self.tokens.lock().await.get(&name).cloned();
        let token = match known {
            Some(token) => token,
            None => self.token_for(role, &name, declared).await?,
        };
        self.run_with(&token, address, arguments, declared).await
    }

    async fn token_for(&self, role: &str, name: &str, declared: &Declared) -> Result<String> {
        let policies = declared.everything().subjects()?.policies(&Mounts::default())?;
        let policy = policies.iter().find(|policy| policy.name() == role).context("no such policy")?;
        let body = json!({ "policy": policy.text() });
        self.ask(Method::PUT, &format!("sys/policies/acl/{name}"), Some(&body)).await?.accepted()?;
        let token = self.token_of(&[name]).await?;
        self.tokens.lock().await.insert(name.to_owned(), token.clone());
        Ok(token)
    }

    /// The same with a token that is there.
    async fn run_with(
        &self,
        token: &str,
        address: &str,
        arguments: &[&str],
        declared: &Declared,
    ) -> Result<Ran> {
        let folder = self.folder_of_a_run()?;
        let (declaration, login) = (folder.join("declaration.toml"), folder.join(LOGIN));
        std::fs::write(&login, token)?;
        std::fs::write(&declaration, declared.text())?;
        let declaration = declaration.to_str().context("a path that is no text")?;
        let arguments: Vec<&str> = arguments.iter().copied().chain([declaration]).collect();
        self.start(&folder, address, &format!("token-file = \"{}\"", login.display()), &arguments).await
    }

    /// A folder of its own for each run.
    pub(crate) fn folder_of_a_run(&self) -> Result<PathBuf> {
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        let folder = self.folder.path().join(format!("run-{number}"));
        std::fs::create_dir(&folder)?;
        Ok(folder)
    }

    /// Starts the program in a folder, with these lines on how it logs in, and waits for its end.
    pub(crate) async fn start(
        &self,
        folder: &Path,
        address: &str,
        login: &str,
        arguments: &[&str],
    ) -> Result<Ran> {
        let config = folder.join("onprem.toml");
        let (audit, ca) = (folder.join("audit.log"), self.bao.server.ca_file());
        let server =
            format!("[vault]\naddress = {address:?}\nname = {SERVER:?}\nca-file = \"{}\"", ca.display());
        std::fs::write(&config, format!("audit-log = \"{}\"\n{server}\n{login}\n", audit.display()))?;
        let mut command = tokio::process::Command::new(&self.program);
        command.args(arguments).arg("--config").arg(&config);
        command.env_clear().env("HOME", folder).env("TMPDIR", folder).current_dir(folder);
        command.envs(self.environment.iter().copied());
        command.stdin(Stdio::null()).kill_on_drop(true);
        let ran = tokio::time::timeout(SOON, command.output()).await.context("no end in a minute")??;
        let code = ran.status.code().with_context(|| format!("it ended by {}", ran.status))?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Ran { code, out: text(ran.stdout), err: text(ran.stderr) })
    }

    /// Time goes by: whoever died holds nobody up any more.
    pub(crate) async fn holds_are_over(&self, namespace: &str) -> Result<()> {
        for name in self.list(DOCUMENTS, namespace).await? {
            if !name.ends_with("/operation") && !name.ends_with("/lease") {
                continue;
            }
            let path = format!("{DOCUMENTS}/data/{name}");
            let read = self.ask(Method::GET, &path, None).await?.accepted()?;
            let (mut data, version) = (read["data"]["data"].clone(), &read["data"]["metadata"]["version"]);
            let mut text: Value = serde_json::from_str(text_in(&data, "/text")?)?;
            if text["until"].is_string() {
                text["until"] = json!("1970-01-01T00:00:00Z");
                data["text"] = json!(text.to_string());
                let body = json!({ "options": { "cas": version }, "data": data });
                self.ask(Method::POST, &path, Some(&body)).await?.accepted()?;
            }
        }
        Ok(())
    }

    /// Everything that is stored below a namespace.
    pub(crate) async fn stored(&self, namespace: &str) -> Result<Stored> {
        let mut stored = Stored::default();
        for path in self.list(SECRETS, namespace).await? {
            let metadata =
                self.ask(Method::GET, &format!("{SECRETS}/metadata/{path}"), None).await?.accepted()?;
            let metadata = &metadata["data"];
            let mut secret = Secret { tags: texts(&metadata["custom_metadata"]), ..Secret::default() };
            let versions = metadata["versions"].as_object().context("no versions")?;
            for number in versions.keys() {
                let number: u64 = number.parse()?;
                let read = format!("{SECRETS}/data/{path}?version={number}");
                let answer = self.ask(Method::GET, &read, None).await?;
                let data = &answer.body["data"]["data"];
                secret.values.insert(number, data["value"].as_str().map(str::to_owned));
                let told = data["keyboot"].as_object();
                secret.told.insert(number, told.into_iter().flat_map(|told| told.keys().cloned()).collect());
            }
            stored.secrets.insert(path, secret);
        }
        for path in self.list(DOCUMENTS, namespace).await? {
            let answer = self.ask(Method::GET, &format!("{DOCUMENTS}/data/{path}"), None).await?;
            // One that was taken away, whatever is still told of it.
            let Some(text) = answer.body["data"]["data"]["text"].as_str() else { continue };
            let document = Document {
                text: text.to_owned(),
                version: answer.body["data"]["metadata"]["version"].as_u64().context("no version")?,
                expires: answer.body["data"]["data"]["expires"].as_str().map(str::to_owned),
            };
            stored.documents.insert(path, document);
        }
        Ok(stored)
    }

    /// Every path below one, of an engine.
    pub(crate) async fn list(&self, mount: &str, below: &str) -> Result<Vec<String>> {
        let (mut paths, mut folders) = (Vec::new(), vec![below.to_owned()]);
        while let Some(folder) = folders.pop() {
            let list = Method::from_bytes(b"LIST")?;
            let answer = self.ask(list, &format!("{mount}/metadata/{folder}"), None).await?;
            for name in answer.body["data"]["keys"].as_array().into_iter().flatten() {
                let name = format!("{folder}/{}", name.as_str().context("no name")?);
                match name.strip_suffix('/') {
                    Some(folder) => folders.push(folder.to_owned()),
                    None => paths.push(name),
                }
            }
        }
        Ok(paths)
    }

    /// Opens what was sealed, whoever may.
    pub(crate) async fn open(&self, value: &str) -> Result<Vec<u8>> {
        let stored: Value = serde_json::from_str(value).context("a value that is no JSON")?;
        let sealed = stored["sealed"].as_str().context("it is not sealed")?;
        let ciphertext = String::from_utf8(STANDARD.decode(sealed)?)?;
        let context: BTreeMap<String, String> = serde_json::from_value(stored["context"].clone())?;
        let body = json!({
            "ciphertext": ciphertext,
            "context": STANDARD.encode(serde_json::to_string(&context)?),
        });
        let opened = self.ask(Method::POST, &format!("{TRANSIT}/decrypt/seal"), Some(&body)).await?;
        let opened = opened.accepted()?;
        Ok(STANDARD.decode(opened["data"]["plaintext"].as_str().context("nothing was opened")?)?)
    }
}

fn texts(value: &Value) -> BTreeMap<String, String> {
    serde_json::from_value(value.clone()).unwrap_or_default()
}

/// A secret as it is stored.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Secret {
    /// What may be changed beside it.
    pub(crate) tags: BTreeMap<String, String>,
    /// Its values by version; none of one that cannot be read now.
    pub(crate) values: BTreeMap<u64, Option<String>>,
    /// What is told of each version in the names of its keys.
    pub(crate) told: BTreeMap<u64, BTreeSet<String>>,
}

impl Secret {
    /// The version that is handed out to who names none.
    pub(crate) fn current(&self) -> Result<u64> {
        let current = self.tags.get("keyboot:current").map_or(Ok(1), |number| number.parse())?;
        ensure!(self.values.contains_key(&current), "the current version is none");
        Ok(current)
    }

    /// The value of a version.
    pub(crate) fn value(&self, version: u64) -> Result<&str> {
        let value = self.values.get(&version).and_then(Option::as_deref);
        value.with_context(|| format!("version {version} cannot be read"))
    }

    /// What a tag says or, where a death kept the tags away, what its first version tells.
    pub(crate) fn tag(&self, name: &str) -> Option<&str> {
        let told = || {
            let mut first = self.told.get(&1)?.iter();
            first.find_map(|fact| fact.strip_prefix(name)?.strip_prefix('='))
        };
        self.tags.get(name).map(String::as_str).or_else(told)
    }

    /// The owner that its tags name.
    pub(crate) fn owner(&self) -> Option<&str> {
        self.tag("keyboot:owner")
    }

    /// Whether it is in its recovery window.
    pub(crate) fn is_leaving(&self) -> bool {
        self.tags.contains_key("keyboot:delete-after")
    }
}

/// A public document as it is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Document {
    pub(crate) text: String,
    /// How many times it was written.
    pub(crate) version: u64,
    /// When it vanishes, if it does.
    pub(crate) expires: Option<String>,
}

/// Everything that is stored, by path.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Stored {
    pub(crate) secrets: BTreeMap<String, Secret>,
    pub(crate) documents: BTreeMap<String, Document>,
}

impl Stored {
    /// The same without the notes of who is at work, and whose turn it is.
    pub(crate) fn at_rest(&self) -> Self {
        let mut stored = self.clone();
        stored.documents.retain(|name, _| !name.ends_with("/operation") && !name.ends_with("/lease"));
        stored
    }

    pub(crate) fn document(&self, name: &str) -> Result<&Document> {
        let found = self.documents.get(name.trim_start_matches('/'));
        found.with_context(|| format!("there is no {name}"))
    }

    pub(crate) fn secret(&self, name: &str) -> Result<&Secret> {
        self.secrets.get(name).with_context(|| format!("there is no {name}"))
    }
}

/// A declaration: one cluster, or one chain, or both, of one owner.
#[derive(Clone, Debug)]
pub(crate) struct Declared {
    pub(crate) owner: &'static str,
    pub(crate) namespace: String,
    /// The own name of the cluster.
    pub(crate) name: &'static str,
    pub(crate) cluster: Option<Cluster>,
    pub(crate) chain: Option<Chain>,
}

/// A cluster as it is declared.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) nodes: BTreeSet<u32>,
    pub(crate) applications: Vec<&'static str>,
    pub(crate) management_key: bool,
    pub(crate) share_password: bool,
    /// Further lines, each a key and its value as TOML has it.
    pub(crate) lines: BTreeMap<&'static str, String>,
}

/// A chain as it is declared.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub(crate) roles: BTreeSet<&'static str>,
    pub(crate) nodes: BTreeSet<u32>,
    pub(crate) lines: BTreeMap<&'static str, String>,
}

/// The own name of the cluster of a declaration.
pub(crate) const CLUSTER: &str = "tsm";
/// The own name of its chain.
pub(crate) const CHAIN: &str = "l2";

impl Cluster {
    /// These nodes, each with a P2P key, a key of one application and a share-encryption password.
    pub(crate) fn of(nodes: &[u32]) -> Self {
        Self {
            nodes: nodes.iter().copied().collect(),
            applications: vec!["default"],
            management_key: false,
            share_password: true,
            lines: BTreeMap::new(),
        }
    }

    pub(crate) fn with(mut self, key: &'static str, value: &str) -> Self {
        self.lines.insert(key, value.to_owned());
        self
    }

    /// The same, of which everything is rotated that ever is.
    pub(crate) fn with_rotation(self) -> Self {
        self.with("rotate-api-keys-every", "\"cron(0 8 1 * ? *)\"")
            .with("rotate-p2p-keys-every", "\"cron(0 8 1 1 ? *)\"")
    }

    pub(crate) fn with_nodes(self, nodes: &[u32]) -> Self {
        Self { nodes: nodes.iter().copied().collect(), ..self }
    }

    /// What each of its nodes has a secret for.
    pub(crate) fn purposes(&self) -> Vec<String> {
        let mut purposes = vec!["p2p-key".to_owned()];
        purposes.extend(self.applications.iter().map(|application| format!("api-key/{application}")));
        purposes.extend(self.management_key.then(|| "management-key".to_owned()));
        purposes.extend(self.share_password.then(|| "share-encryption-password".to_owned()));
        purposes
    }
}

impl Chain {
    pub(crate) fn of(roles: &[&'static str], nodes: &[u32]) -> Self {
        Self {
            roles: roles.iter().copied().collect(),
            nodes: nodes.iter().copied().collect(),
            lines: BTreeMap::new(),
        }
    }

    pub(crate) fn with(mut self, key: &'static str, value: &str) -> Self {
        self.lines.insert(key, value.to_owned());
        self
    }
}

impl Declared {
    pub(crate) fn cluster(namespace: &str, cluster: Cluster) -> Self {
        Self { cluster: Some(cluster), ..Self::nothing(namespace) }
    }

    pub(crate) fn chain(namespace: &str, chain: Chain) -> Self {
        Self { chain: Some(chain), ..Self::nothing(namespace) }
    }

    fn nothing(namespace: &str) -> Self {
        Self { owner: OWNER, namespace: namespace.to_owned(), name: CLUSTER, cluster: None, chain: None }
    }

    /// The same of a cluster with another name.
    pub(crate) fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    pub(crate) fn by(self, owner: &'static str) -> Self {
        Self { owner, ..self }
    }

    /// The full name of its cluster.
    pub(crate) fn cluster_name(&self) -> ClusterName {
        format!("{}/{}", self.namespace, self.name).parse().unwrap()
    }

    /// The full name of its chain.
    pub(crate) fn chain_name(&self) -> ClusterName {
        format!("{}/{CHAIN}", self.namespace).parse().unwrap()
    }

    /// The id of the owner of one of the two, as the shapes of names have it.
    pub(crate) fn owner_id(&self, name: &ClusterName) -> String {
        owner_id(self.owner, name)
    }

    /// All that a declaration of this namespace ever names here: rights are set up before a change, and are for
    /// what goes as well.
    fn everything(&self) -> Self {
        let mut cluster = Cluster::of(&[0]);
        cluster.applications = vec!["default", "other", "third"];
        cluster.management_key = true;
        let chain = Chain::of(&["batcher", "challenger", "proposer", "sequencer"], &[0]);
        Self { cluster: Some(cluster), chain: Some(chain), ..self.clone() }
    }

    /// Whose keys there are.
    pub(crate) fn subjects(&self) -> Result<Subjects> {
        let mut subjects = Subjects::default();
        let indexes = |nodes: &BTreeSet<u32>| {
            nodes.iter().map(|node| Ok(node.to_string().parse()?)).collect::<Result<Vec<_>>>()
        };
        if let Some(cluster) = &self.cluster {
            let applications: Result<Vec<_>> =
                cluster.applications.iter().map(|application| Ok(application.parse()?)).collect();
            subjects.add_cluster(
                &self.cluster_name(),
                indexes(&cluster.nodes)?,
                applications?,
                cluster.management_key,
                cluster.share_password,
            );
        }
        if let Some(chain) = &self.chain {
            let roles: Result<Vec<_>> = chain.roles.iter().map(|role| Ok(role.parse()?)).collect();
            subjects.add_chain(&self.chain_name(), indexes(&chain.nodes)?, roles?);
        }
        Ok(subjects)
    }

    /// The file.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("owner = {:?}\nnamespace = {:?}\n", self.owner, self.namespace);
        if let Some(cluster) = &self.cluster {
            let _ = writeln!(text, "[[cluster]]\nname = {:?}\nnodes = {}", self.name, list(&cluster.nodes));
            let _ = writeln!(text, "applications = {:?}", cluster.applications);
            let _ = writeln!(text, "management-key = {}", cluster.management_key);
            let _ = writeln!(text, "share-encryption-password = {}", cluster.share_password);
            for (key, value) in &cluster.lines {
                let _ = writeln!(text, "{key} = {value}");
            }
        }
        if let Some(chain) = &self.chain {
            let _ = writeln!(text, "[[chain]]\nname = {CHAIN:?}\nchain-id = 901\nl1-chain-id = 1");
            let _ = writeln!(text, "roles = {}", list(&chain.roles));
            let _ = writeln!(text, "nodes = {}", list(&chain.nodes));
            for (key, value) in &chain.lines {
                let _ = writeln!(text, "{key} = {value}");
            }
        }
        text
    }
}

/// As TOML has it.
fn list<T: std::fmt::Debug>(items: &BTreeSet<T>) -> String {
    format!("{:?}", items.iter().collect::<Vec<_>>())
}

/// One run of the program: with whose rights, with which words before the declaration, and the declaration.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    pub(crate) who: As,
    pub(crate) words: Vec<String>,
    pub(crate) declared: Declared,
}

impl Act {
    pub(crate) fn of(who: As, words: &[&str], declared: Declared) -> Self {
        Self { who, words: words.iter().map(|word| (*word).to_owned()).collect(), declared }
    }

    pub(crate) fn makes(declared: Declared) -> Self {
        Self::of(As::Provisioner, &["provision"], declared)
    }

    pub(crate) fn changes(declared: Declared) -> Self {
        Self::of(As::Rotator, &["provision"], declared)
    }

    /// Lets go of the cluster or, where there is one, of the chain.
    pub(crate) fn removes(declared: Declared) -> Self {
        let words = if declared.chain.is_some() {
            ["remove", "--chain", CHAIN]
        } else {
            ["remove", "--cluster", declared.name]
        };
        Self::of(As::Rotator, &words, declared)
    }

    /// Rotates secrets of node 0 of the cluster, for this time.
    pub(crate) fn rotates(what: &str, at: Timestamp, declared: Declared) -> Self {
        let at = at.to_string();
        let words =
            ["rotate", "node", "--cluster", declared.name, "--node", "0", "--what", what, "--at", &at];
        Self::of(As::Rotator, &words, declared)
    }

    /// The same in another namespace.
    pub(crate) fn at(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.declared.namespace);
        self
    }
}

impl Stage {
    /// Carries it out by way of an address.
    pub(crate) async fn act_by(&self, address: &str, act: &Act) -> Result<Ran> {
        let words: Vec<&str> = act.words.iter().map(String::as_str).collect();
        self.run(act.who, address, &words, &act.declared).await
    }

    /// Carries it out undisturbed; it has to succeed.
    pub(crate) async fn act(&self, act: &Act) -> Result<Ran> {
        let ran = self.act_by(&self.bao.server.address(), act).await?;
        ran.succeeded().with_context(|| format!("{:?}", act.words))
    }

    /// The same, and what it wrote.
    pub(crate) async fn writes_of(&self, act: &Act) -> Result<Vec<String>> {
        let fuse = Fuse::start(&self.bao.server, Burn::Never)?;
        self.act_by(&fuse.address(), act).await?.succeeded()?;
        let mut written = fuse.requests();
        written.retain(|request| is_write(request));
        // A rotation takes its turn before it can tell that it is done, and a removal says that it is at work.
        match act.words[0].as_str() {
            "rotate" => written.retain(|request| !request.ends_with("/lease")),
            "remove" => written.retain(|request| !request.ends_with("/operation")),
            _ => {}
        }
        Ok(written)
    }
}

/// The id of an owner on this server.
pub(crate) fn owner_id(owner: &str, name: &ClusterName) -> String {
    let stack = format!("onprem:{SERVER}:{owner}");
    let digest = Sha256::new().chain_update(stack).chain_update([0]).chain_update("NodeKeys").finalize();
    format!("keyboot/{name}/{}", hex::encode(&digest[..8]))
}

/// Whether a request that a fuse has seen changes what is stored.
pub(crate) fn is_write(request: &str) -> bool {
    let Some((method, path)) = request.split_once(" /v1/") else { return false };
    !matches!(method, "GET" | "LIST" | "HEAD")
        && [SECRETS, DOCUMENTS].iter().any(|engine| path.starts_with(engine))
}

/// The text of an answer that must be there.
pub(crate) fn text_in<'a>(value: &'a Value, pointer: &str) -> Result<&'a str> {
    match value.pointer(pointer).and_then(Value::as_str) {
        Some(text) => Ok(text),
        None => bail!("nothing is at {pointer}"),
    }
}
