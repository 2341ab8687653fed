//! No secret is anywhere but in its store: a whole life of a cluster and of a chain, with every log as loud as
//! it gets, and then a search for every secret of it in every other place, in every spelling.
//!
//! A search that finds nothing proves nothing by itself: at the end something secret is put into each place,
//! and has to be found in each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use jiff::Timestamp;
use key_material::{Curve, P2pPrivateKey};
use serde_json::json;

use crate::secret::{Secret, search};
use crate::stage::{Act, As, CHAIN, Chain, Cluster, DOCUMENTS, Declared, LOGIN, SECRETS, Stage, text_in};

/// Whatever may make a program of ours, or a library in it, say more.
const LOUD: [(&str, &str); 8] = [
    ("RUST_LOG", "trace"),
    ("RUST_BACKTRACE", "full"),
    ("RUST_LIB_BACKTRACE", "full"),
    ("VAULT_LOG_LEVEL", "trace"),
    ("BAO_LOG_LEVEL", "trace"),
    ("VAULT_TOKEN", "a-token-of-nobody"),
    ("KEYBOOT_LOG", "trace"),
    ("SSLKEYLOGFILE", "keys-of-the-connections"),
];

/// Each place that is looked at, and what was found there.
type Places = BTreeMap<&'static str, Vec<u8>>;

const OUTPUT: &str = "what the program says";
const ERRORS: &str = "what the program complains of";
const PROGRAMS_LOG: &str = "the program's audit log";
const FILES: &str = "the folders that the program works in";
const SIGNERS_FILES: &str = "the folder of the signer";
const FIRST_DEVICE: &str = "the server's first audit device";
const SECOND_DEVICE: &str = "the server's second audit device";
const SERVERS_LOG: &str = "the server's log";
const STORAGE: &str = "the server's storage";
const DOCUMENTS_PLACE: &str = "public documents";
const BESIDE: &str = "what is told beside secrets";

/// A life, and what was printed in it.
struct Life {
    stage: Stage,
    out: String,
    err: String,
    /// The folder that a signer reads.
    signer: PathBuf,
    secrets: Vec<Secret>,
}

fn declared() -> Declared {
    let mut declared = Declared::cluster("keyboot", Cluster::of(&[0, 1]).with_rotation());
    if let Some(cluster) = &mut declared.cluster {
        cluster.management_key = true;
    }
    declared.chain = Some(Chain::of(&["batcher", "sequencer"], &[0]));
    declared
}

impl Life {
    async fn begin() -> Result<Self> {
        let stage = Stage::new().await?.with_environment(&LOUD);
        let signer = stage.folder().join("signer");
        std::fs::create_dir(&signer)?;
        Ok(Self { stage, out: String::new(), err: String::new(), signer, secrets: Vec::new() })
    }

    /// Does something, keeps what is printed, and takes in whatever is secret by now.
    async fn act(&mut self, act: &Act) -> Result<()> {
        let ran = self.stage.act_by(&self.stage.bao.server.address(), act).await?;
        self.out.push_str(&ran.out);
        self.err.push_str(&ran.err);
        ensure!(ran.code == 0, "{:?} ended with {}: {}", act.words, ran.code, ran.err);
        self.take_in_what_is_stored().await
    }

    async fn fails(&mut self, act: &Act) -> Result<()> {
        let ran = self.stage.act_by(&self.stage.bao.server.address(), act).await?.failed()?;
        self.out.push_str(&ran.out);
        self.err.push_str(&ran.err);
        Ok(())
    }

    async fn take_in_what_is_stored(&mut self) -> Result<()> {
        for (name, secret) in self.stage.stored("keyboot").await?.secrets {
            for (version, value) in secret.values {
                let Some(value) = value else { continue };
                let label = format!("version {version} of {name}");
                let found = if name.contains("/role/") {
                    let key = P2pPrivateKey::from_scalar(Curve::Secp256k1, &hex::decode(&value)?)?;
                    Secret::p2p_key(&label, &key)
                } else if value.contains("\"sealed\"") {
                    let opened = self.stage.open(&value).await?;
                    Secret { label, ..Secret::read(&name, &opened)? }
                } else {
                    Secret { label, ..Secret::read(&name, value.as_bytes())? }
                };
                if !self.secrets.contains(&found) {
                    self.secrets.push(found);
                }
            }
        }
        Ok(())
    }

    /// A signer logs in with its own wrapped secret id and writes its key file.
    async fn write_the_signers_file(&mut self) -> Result<()> {
        let role = "signer.keyboot.l2.batcher.2";
        let stage = &self.stage;
        stage.admit(&declared().subjects()?).await?;
        stage.ask(Method::POST, "sys/auth/approle", Some(&json!({ "type": "approle" }))).await?.accepted()?;
        let at = format!("auth/approle/role/{role}");
        let login = json!({
            "token_policies": [role], "token_no_default_policy": true, "token_period": "1h",
            "secret_id_num_uses": 1, "secret_id_ttl": "10m",
        });
        stage.ask(Method::POST, &at, Some(&login)).await?.accepted()?;
        let id = stage.ask(Method::GET, &format!("{at}/role-id"), None).await?.accepted()?;
        let role_id = text_in(&id, "/data/role_id")?.to_owned();
        let secret_id = stage.ask(Method::POST, &format!("{at}/secret-id"), None).await?.accepted()?;
        let secret_id = text_in(&secret_id, "/data/secret_id")?.to_owned();
        let folder = stage.folder_of_a_run()?;
        let file = folder.join(LOGIN);
        std::fs::write(&file, &secret_id)?;
        let login = format!(
            "[vault.app-role]\nrole = {role:?}\nrole-id = {role_id:?}\nsecret-id-file = \"{}\"\nwrapped = false",
            file.display()
        );
        let out = self.signer.to_str().context("a path that is no text")?;
        let words = ["signer", "write", "--out", out, "--on-disk"];
        let ran = stage.start(&folder, &stage.bao.server.address(), &login, &words).await?;
        self.out.push_str(&ran.out);
        self.err.push_str(&ran.err);
        ensure!(ran.code == 0, "the signer's file: {}", ran.printed());
        self.secrets.push(Secret::text("the signer's secret id", &secret_id));
        Ok(())
    }

    /// A host is looked at, and the server with it.
    async fn ask_the_doctor(&mut self) -> Result<()> {
        let stage = &self.stage;
        let token = stage.token_of(&["auditor"]).await?;
        let folder = stage.folder_of_a_run()?;
        let file = folder.join(LOGIN);
        std::fs::write(&file, &token)?;
        let (file, looked_at) =
            (file.to_str().context("no text")?, stage.folder().to_str().context("no text")?);
        let login = format!("token-file = {file:?}");
        for json in [&[][..], &["--json"]] {
            let words = [&["doctor", "--folder", looked_at, "--token-file", file][..], json].concat();
            let ran = stage.start(&folder, &stage.bao.server.address(), &login, &words).await?;
            // It finds something on this host, where test servers run.
            ensure!(matches!(ran.code, 0..=2), "the doctor: {}", ran.printed());
            self.out.push_str(&ran.out);
            self.err.push_str(&ran.err);
        }
        self.secrets.push(Secret::text("the auditor's token", &token));
        Ok(())
    }

    /// The tokens that were used, and what opens the server.
    fn logins(&self) -> Result<Vec<Secret>> {
        let bao = &self.stage.bao;
        let mut logins = vec![Secret::text("the root token", &bao.root_token)];
        for share in &bao.unseal_keys {
            logins.push(Secret {
                label: "a share".into(),
                cores: vec![share.clone().into_bytes(), STANDARD.decode(share)?],
            });
        }
        for entry in std::fs::read_dir(self.stage.folder())? {
            if let Ok(token) = std::fs::read_to_string(entry?.path().join(LOGIN)) {
                logins.push(Secret::text("the token of a run", &token));
            }
        }
        Ok(logins)
    }

    async fn look(&self) -> Result<Places> {
        let server = &self.stage.bao.server;
        let [first, second] = server.audit_logs();
        let (mut programs_log, mut work) = (Vec::new(), Vec::new());
        files(self.stage.folder(), &mut |path, content| {
            let name = path.file_name().unwrap_or_default();
            // Where a login is handed over it is, and nowhere else.
            if name == LOGIN || path.starts_with(&self.signer) {
                return;
            }
            let place = if name == "audit.log" { &mut programs_log } else { &mut work };
            add(place, path.as_os_str().as_encoded_bytes());
            add(place, content);
        })?;
        let (mut signer, mut storage, mut documents, mut beside) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        files(&self.signer, &mut |_, content| add(&mut signer, content))?;
        files(&server.folder(), &mut |path, content| {
            let is_log = [&first, &second].contains(&&path.to_owned()) || path.ends_with("openbao.log");
            if !is_log {
                add(&mut storage, content);
            }
        })?;
        let stored = self.stage.stored("keyboot").await?;
        for (name, document) in &stored.documents {
            add(&mut documents, name.as_bytes());
            add(&mut documents, document.text.as_bytes());
        }
        for (name, secret) in &stored.secrets {
            add(&mut beside, name.as_bytes());
            for (tag, value) in &secret.tags {
                add(&mut beside, format!("{tag}={value}").as_bytes());
            }
            for told in secret.told.values().flatten() {
                add(&mut beside, told.as_bytes());
            }
        }
        Ok(Places::from([
            (OUTPUT, self.out.clone().into_bytes()),
            (ERRORS, self.err.clone().into_bytes()),
            (PROGRAMS_LOG, programs_log),
            (FILES, work),
            (SIGNERS_FILES, signer),
            (FIRST_DEVICE, std::fs::read(first)?),
            (SECOND_DEVICE, std::fs::read(second)?),
            (SERVERS_LOG, server.log()?.into_bytes()),
            (STORAGE, storage),
            (DOCUMENTS_PLACE, documents),
            (BESIDE, beside),
        ]))
    }

    /// Puts a canary into every place, and gives each with its place.
    async fn plant(&mut self) -> Result<Vec<(&'static str, Secret)>> {
        let stage = &self.stage;
        let server = &stage.bao.server;
        let mut planted = Vec::new();
        let mut canary = |place: &'static str, spell: fn(&str) -> String| -> Result<String> {
            let label = format!("the canary in {place}");
            let (secret, text) = Secret::fresh_password(&label)?;
            planted.push((place, secret));
            Ok(spell(&text))
        };
        let hex_of = |text: &str| hex::encode(text);
        let base64_of = |text: &str| STANDARD.encode(format!("x{text}"));
        // What a declaration names wrongly is told by its name, of letters, digits and dashes.
        let named = canary(ERRORS, hex_of)?;
        let folder = stage.folder_of_a_run()?;
        std::fs::write(folder.join("wrong.toml"), format!("owner = \"team\"\n{} = 1\n", &named[..62]))?;
        let wrong = folder.join("wrong.toml");
        let words = ["provision", wrong.to_str().context("no text")?];
        let ran =
            stage.start(&folder, &server.address(), "token-file = \"/nothing\"", &words).await?.failed()?;
        self.err.push_str(&ran.err);
        self.out.push_str(&canary(OUTPUT, str::to_owned)?);
        std::fs::write(
            folder.join("audit.log"),
            json!({ "a": canary(PROGRAMS_LOG, base64_of)? }).to_string(),
        )?;
        std::fs::create_dir(folder.join("deep"))?;
        std::fs::write(folder.join("deep/core"), canary(FILES, base64_of)?)?;
        std::fs::write(self.signer.join("batcher.yaml"), canary(SIGNERS_FILES, hex_of)?)?;
        std::fs::write(server.folder().join("beside-the-storage"), canary(STORAGE, str::to_owned)?)?;
        // The audit devices tell a path as it is; both tell the same.
        for place in [FIRST_DEVICE, SECOND_DEVICE] {
            let path = format!("{DOCUMENTS}/data/keyboot/{}", canary(place, hex_of)?);
            stage.ask(Method::GET, &path, None).await?;
        }
        let log = server.folder().join("openbao.log");
        let mut text = std::fs::read_to_string(&log)?;
        text.push_str(&canary(SERVERS_LOG, base64_of)?);
        std::fs::write(&log, text)?;
        let body =
            json!({ "options": { "cas": 0 }, "data": { "text": canary(DOCUMENTS_PLACE, base64_of)? } });
        stage
            .ask(Method::POST, &format!("{DOCUMENTS}/data/keyboot/tsm/canary"), Some(&body))
            .await?
            .accepted()?;
        let body = json!({ "custom_metadata": { "keyboot:public": canary(BESIDE, base64_of)? } });
        let path = format!("{SECRETS}/metadata/keyboot/tsm/node/0/p2p-key");
        stage.ask(Method::POST, &path, Some(&body)).await?.accepted()?;
        Ok(planted)
    }
}

fn add(place: &mut Vec<u8>, bytes: &[u8]) {
    place.extend_from_slice(bytes);
    place.push(b'\n');
}

/// Every file below a folder.
fn files(folder: &Path, found: &mut impl FnMut(&Path, &[u8])) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files(&path, found)?;
        } else if path.is_file() {
            found(&path, &std::fs::read(&path)?);
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_in_its_store_and_nowhere_else_and_the_search_sees_every_other_place() -> Result<()> {
    let mut life = Life::begin().await?;
    let at = Timestamp::from_second(Timestamp::now().as_second())?;
    let chain =
        |step| Act::of(As::Rotator, &["rotate", step, "--chain", CHAIN, "--role", "batcher"], declared());
    life.act(&Act::makes(declared())).await?;
    life.act(&Act::of(As::Provisioner, &["provision", "--json"], declared())).await?;
    life.act(&Act::of(As::Provisioner, &["show"], declared())).await?;
    life.act(&Act::of(As::Provisioner, &["show", "--json"], declared())).await?;
    life.act(&Act::rotates("api-key/default", at, declared())).await?;
    life.act(&Act::rotates("p2p-key", at, declared())).await?;
    life.act(&chain("prepare")).await?;
    life.write_the_signers_file().await?;
    life.ask_the_doctor().await?;
    life.act(&chain("finish")).await?;
    // Whoever may not is told so, and so is who is somebody else.
    let mut by_the_other = Act::rotates("api-key/default", Timestamp::now(), declared());
    by_the_other.who = As::Provisioner;
    life.fails(&by_the_other).await?;
    life.fails(&Act::changes(declared().by("stranger"))).await?;
    let mut changed = declared();
    changed.cluster = changed.cluster.map(|cluster| cluster.with_nodes(&[0, 2]).with("regenerate", "\"1\""));
    life.act(&Act::changes(changed.clone())).await?;
    let only_cluster = Declared { chain: None, ..changed };
    life.act(&Act::removes(only_cluster)).await?;
    life.act(&Act::removes(declared())).await?;

    // By what was asked for: of three nodes four secrets each; of one of them three made anew and two rotated; the
    // P2P key of the chain's node, and three keys of roles.
    let made = life.secrets.iter().filter(|secret| secret.label.starts_with("version")).count();
    ensure!(made == 12 + 3 + 2 + 1 + 3, "{made} secrets were made");
    let mut secrets = life.secrets.clone();
    secrets.extend(life.logins()?);
    let life_search = search(&secrets);
    let found = life.look().await?;
    let mut findings = Vec::new();
    for (place, bytes) in &found {
        ensure!(
            !bytes.is_empty() || *place == SERVERS_LOG,
            "{place} holds nothing at all: the search does not see it"
        );
        let seen = life_search.in_bytes(bytes);
        findings.extend(seen.into_iter().map(|secret| format!("{secret} is in {place}")));
    }
    ensure!(findings.is_empty(), "{}", findings.join("\n"));

    let planted = life.plant().await?;
    let canaries = search(planted.iter().map(|(_, secret)| secret));
    let found = life.look().await?;
    let unseen: Vec<_> = planted
        .iter()
        .filter(|(place, secret)| !canaries.in_bytes(&found[place]).contains(secret.label.as_str()))
        .map(|(place, _)| format!("what was put into {place} is not found"))
        .collect();
    ensure!(unseen.is_empty(), "{}", unseen.join("\n"));
    ensure!(planted.len() == found.len(), "a place was left out");
    Ok(())
}
