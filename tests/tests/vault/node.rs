//! `keyboot-node` where the cluster is on a server: what the command gets and what it does not, what is left of the
//! login, what is told where it does not come to the command, and when the command is started again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use key_material::ethereum::EthereumAddress;
use key_material::{Curve, P2pPrivateKey};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rig::programs;
use serde_json::{Value, json};
use tempfile::TempDir;
use vault::server::Role;
use vault::{Mounts, RoleName, Server, Session, Token};

use crate::stage::{Act, As, CHAIN, Chain, Cluster, Declared, SERVER, Stage, TRANSIT, text_in};

/// Everything that a container is not.
const ACCEPTED: &str = "accepted-findings = [\"command-is-root\", \"core-dumps\", \"login-readable\", \
                        \"memory-not-locked\", \"private-files-swap\", \"proc-visible\", \"ptrace\", \"shared-user\", \
                        \"swap\"]";
/// What somebody's shell may have in its environment, and no command of ours inherits.
const SOMEBODYS: [(&str, &str); 4] = [
    ("BAO_TOKEN", "canary-bao"),
    ("VAULT_ADDR", "https://canary-address.example:8200"),
    ("VAULT_CACERT", "/nowhere/canary-ca.pem"),
    ("VAULT_TOKEN", "canary-token"),
];
const PATIENCE: Duration = Duration::from_secs(30);

/// A server with a cluster and a chain, and nodes that can log in.
struct Nodes {
    stage: Stage,
    declared: Declared,
    server: Session,
    /// The public half of the key that signs records, as a configuration pins it.
    pin: String,
    folder: TempDir,
    program: PathBuf,
}

impl Nodes {
    async fn set() -> Result<Self> {
        let stage = Stage::new().await?;
        let mut declared = Declared::cluster("keyboot", Cluster::of(&[0, 1]));
        declared.chain = Some(Chain::of(&["batcher", "sequencer"], &[0]));
        stage.admit(&declared.subjects()?).await?;
        stage.act(&Act::makes(declared.clone())).await?;
        let bao = &stage.bao;
        let server = Session::with_token(
            &bao.server.address().parse()?,
            &bao.server.ca_file(),
            &Token::new(&bao.root_token)?,
        )?;
        Server::new(server.connection()).ensure_app_role(&Mounts::default().app_role).await?;
        let key = stage.ask(Method::GET, &format!("{TRANSIT}/keys/records"), None).await?.accepted()?;
        let pem = text_in(&key, "/data/keys/1/public_key")?;
        let pin = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let folder = tempfile::Builder::new().prefix("keyboot-node-").tempdir()?;
        let program = programs::path(programs::KEYBOOT_NODE)?;
        Ok(Self { stage, declared, server, pin, folder, program })
    }

    /// A role that logs in once with each secret id, or as often as it likes.
    async fn role(&self, name: &str, policies: &[&str], once: bool) -> Result<RoleName> {
        let role: RoleName = name.parse()?;
        let how = Role {
            token_policies: policies.iter().map(|policy| (*policy).to_owned()).collect(),
            token_no_default_policy: true,
            token_ttl: 600,
            token_max_ttl: 3600,
            token_type: "service".into(),
            bind_secret_id: true,
            secret_id_num_uses: u64::from(once),
            secret_id_ttl: if once { 600 } else { 0 },
            ..Role::default()
        };
        Server::new(self.server.connection()).write_role(&Mounts::default().app_role, &role, &how).await?;
        Ok(role)
    }

    /// What a configuration says of a login with a wrapped secret id, and the file that this is in.
    async fn granted(&self, role: &RoleName) -> Result<(String, PathBuf)> {
        let (server, mounts) = (Server::new(self.server.connection()), Mounts::default());
        let wrapped = server.wrapped_secret_id(&mounts.app_role, role, Duration::from_mins(5)).await?;
        let file = self.folder.path().join(format!("grant-{role}"));
        fs::write(&file, wrapped.token.expose())?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
        Ok((self.login(role, &file, "").await?, file))
    }

    async fn login(&self, role: &RoleName, file: &Path, more: &str) -> Result<String> {
        let id = Server::new(self.server.connection()).role_id(&Mounts::default().app_role, role).await?;
        let role = role.as_str();
        Ok(format!(
            "[vault.app-role]\nrole = {role:?}\nrole-id = {id:?}\nsecret-id-file = \"{}\"\n{more}",
            file.display()
        ))
    }

    /// A configuration of node 0 of the cluster or the chain.
    fn configure(&self, name: &str, before: &str, login: &str, after: &str) -> Result<PathBuf> {
        let (address, ca) = (self.stage.bao.server.address(), self.stage.bao.server.ca_file());
        let (state, pin) = (self.folder.path().join(format!("state-{name}")), &self.pin);
        let path = self.folder.path().join(format!("{name}.toml"));
        let text = format!(
            "{before}\nindex = 0\nstate = \"{}\"\n{ACCEPTED}\n\
             sealed-under = [\"arn:vault:transit:{SERVER}:root:key/seal\"]\n\n[[pin]]\n\
             signer = \"arn:vault:transit:{SERVER}:root:key/records\"\npublic-key = \"{pin}\"\n\n\
             [vault]\naddress = {address:?}\nname = \"{SERVER}\"\nca-file = \"{}\"\n{login}\n{after}",
            state.display(),
            ca.display()
        );
        fs::write(&path, text)?;
        Ok(path)
    }

    fn command(&self, mode: &str, config: &Path, rest: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(mode).arg("--config").arg(config).args(rest);
        command.env_clear().env("PATH", "/usr/bin:/bin").envs(SOMEBODYS).stdin(Stdio::null());
        command
    }

    /// Waits for the program without keeping the server's connections from going on.
    async fn ran(&self, mode: &str, config: &Path, rest: &[&str]) -> Result<Output> {
        let mut command = tokio::process::Command::from(self.command(mode, config, rest));
        Ok(tokio::time::timeout(PATIENCE, command.kill_on_drop(true).output()).await.context("no end")??)
    }

    /// What `exec` hands to a command that shows its environment.
    async fn environment(&self, config: &Path) -> Result<BTreeMap<String, String>> {
        let output = self.ran("exec", config, &["--", "/usr/bin/env", "-0"]).await?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8(output.stderr)?;
        let environment = variables(&String::from_utf8(output.stdout)?);
        for value in environment.values().filter(|value| value.len() > 20) {
            ensure!(!said.contains(value.as_str()), "a value is in what it says");
        }
        Ok(environment)
    }

    /// What tells tokens apart, of all that live.
    async fn tokens(&self) -> Result<BTreeSet<String>> {
        Ok(Server::new(self.server.connection()).token_accessors().await?.into_iter().collect())
    }

    async fn value(&self, path: &str) -> Result<String> {
        let read =
            self.stage.ask(Method::GET, &format!("keyboot-secrets/data/{path}"), None).await?.accepted()?;
        Ok(text_in(&read, "/data/data/value")?.to_owned())
    }

    async fn document(&self, path: &str) -> Result<Value> {
        let read =
            self.stage.ask(Method::GET, &format!("keyboot-documents/data/{path}"), None).await?.accepted()?;
        Ok(serde_json::from_str(text_in(&read, "/data/data/text")?)?)
    }

    /// One step of a rotation of the sequencer's key.
    async fn rotate(&self, step: &str) -> Result<()> {
        let words = ["rotate", step, "--chain", CHAIN, "--role", "sequencer"];
        self.stage.act(&Act::of(As::Rotator, &words, self.declared.clone())).await.map(drop)
    }
}

fn variables(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// No variable is of somebody's who uses a server, and no value is what a login is made with.
fn ensure_nothing_of_a_login(environment: &BTreeMap<String, String>, login: &[&str]) -> Result<()> {
    for (name, value) in environment {
        let is_of_a_server = ["VAULT", "BAO", "KEYBOOT_NODE", "AWS"].iter().any(|it| name.starts_with(it));
        let tells = value.contains("canary") || login.iter().any(|login| value.contains(login));
        ensure!(
            !is_of_a_server && !tells && !value.starts_with("hvs.") && !value.starts_with("s."),
            "{name}"
        );
    }
    Ok(())
}

fn secp256k1(hex_digits: &str) -> Result<P2pPrivateKey> {
    Ok(P2pPrivateKey::from_scalar(Curve::Secp256k1, &hex::decode(hex_digits)?)?)
}

fn is_node_of_the_chain(nodes: &Nodes) -> String {
    format!("cluster = \"{}\"\nformat = \"op-node\"", nodes.declared.chain_name())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nodes_command_gets_its_own_secrets_and_nothing_of_the_login() -> Result<()> {
    let nodes = Nodes::set().await?;
    let role = nodes.role("node.keyboot.tsm.0", &["node.keyboot.tsm.0"], true).await?;
    let (login, file) = nodes.granted(&role).await?;
    let wrapping = fs::read_to_string(&file)?;
    let config = nodes.configure("tsm", "cluster = \"keyboot/tsm\"\nformat = \"tsm\"", &login, "")?;
    let before = nodes.tokens().await?;
    let environment = nodes.environment(&config).await?;

    let key = P2pPrivateKey::from_sec1_der(&STANDARD.decode(&environment["KEYBOOT_P2P_PRIVATE_KEY"])?)?;
    let record = nodes.document("keyboot/tsm/node/0/record").await?;
    ensure!(record["record"]["publicKey"] == key.public_key().to_spki_base64(), "it is another key");
    let stored = nodes.value("keyboot/tsm/node/0/share-encryption-password").await?;
    let password = nodes.stage.open(&stored).await?;
    ensure!(environment["KEYBOOT_SHARE_ENCRYPTION_PASSWORD"].as_bytes() == password, "another password");
    let names: BTreeSet<&str> = environment.keys().map(String::as_str).collect();
    let expected = ["KEYBOOT_P2P_PRIVATE_KEY", "KEYBOOT_SHARE_ENCRYPTION_PASSWORD", "PATH"];
    ensure!(names == BTreeSet::from(expected), "{names:?}");
    ensure_nothing_of_a_login(&environment, &[&wrapping])?;

    // The login was good once, and is over although the command has taken the process's place.
    ensure!(!file.exists(), "the used secret id is still there");
    let after = nodes.tokens().await?;
    ensure!(after.is_subset(&before), "a token outlives its login: {:?}", after.difference(&before));
    let again = nodes.ran("exec", &config, &["--", "/usr/bin/env"]).await?;
    let said = String::from_utf8(again.stderr)?;
    ensure!((again.status.code(), again.stdout.is_empty()) == (Some(75), true), "{said}");
    ensure!(said.contains("no login from") && said.contains("grant-node.keyboot.tsm.0"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sequencers_op_node_gets_the_key_that_counts_and_a_plain_one_does_not() -> Result<()> {
    let nodes = Nodes::set().await?;
    let policies = ["node.keyboot.l2.0", "sequencer.keyboot.l2"];
    let (plain, both) = (
        nodes.role("node.keyboot.l2.0", &policies[..1], true).await?,
        nodes.role("sequencer.keyboot.l2.0", &policies, true).await?,
    );
    let own = is_node_of_the_chain(&nodes);
    let peer_id = |environment: &BTreeMap<String, String>| -> Result<P2pPrivateKey> {
        secp256k1(&environment["OP_NODE_P2P_PRIV_RAW"])
    };
    let (login, _) = nodes.granted(&plain).await?;
    let environment = nodes.environment(&nodes.configure("plain", &own, &login, "")?).await?;
    let record = nodes.document("keyboot/l2/node/0/record").await?;
    let public_key = peer_id(&environment)?.public_key().to_spki_base64();
    ensure!(record["record"]["publicKey"] == public_key, "it is another key");
    ensure!(!environment.contains_key("OP_NODE_P2P_SEQUENCER_KEY"), "it got the sequencer's key");

    let counting = async |number: u32| -> Result<()> {
        let (login, _) = nodes.granted(&both).await?;
        let config = nodes.configure("sequencer", &own, &login, "[sequencer]\n")?;
        let environment = nodes.environment(&config).await?;
        let handed = &environment["OP_NODE_P2P_SEQUENCER_KEY"];
        let stored = nodes.value(&format!("keyboot/l2/role/sequencer/{number}")).await?;
        ensure!(*handed == stored, "it is not number {number}");
        let address = EthereumAddress::of(&secp256k1(handed)?.public_key())?.to_string();
        let document = nodes.document("keyboot/l2/chain").await?;
        let current = &document["chain"]["roles"]["sequencer"]["current"];
        ensure!(*current == json!({ "address": address, "number": number }), "{current}");
        ensure_nothing_of_a_login(&environment, &[])
    };
    counting(1).await?;
    nodes.rotate("prepare").await?;
    // What is only prepared does not count.
    counting(1).await?;
    nodes.rotate("finish").await?;
    counting(2).await?;

    // Who is not let to the role's key is told which one it is, and its command is not started.
    let (login, _) = nodes.granted(&plain).await?;
    let config = nodes.configure("denied", &own, &login, "[sequencer]\n")?;
    let denied = nodes.ran("exec", &config, &["--", "/usr/bin/env"]).await?;
    let said = String::from_utf8(denied.stderr)?;
    ensure!((denied.status.code(), denied.stdout.is_empty()) == (Some(77), true), "{said}");
    ensure!(said.contains("keyboot/l2/chain"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_the_nodes_own_is_denied_and_a_sealed_server_is_said_to_be_one() -> Result<()> {
    let nodes = Nodes::set().await?;
    let stranger = nodes.role("node.keyboot.tsm.1", &["node.keyboot.tsm.1"], true).await?;
    let tsm = "cluster = \"keyboot/tsm\"\nformat = \"tsm\"";
    let (login, _) = nodes.granted(&stranger).await?;
    let config = nodes.configure("stranger", tsm, &login, "")?;
    let denied = nodes.ran("exec", &config, &["--", "/usr/bin/env"]).await?;
    let said = String::from_utf8(denied.stderr)?;
    ensure!((denied.status.code(), denied.stdout.is_empty()) == (Some(77), true), "{said}");
    ensure!(said.contains("/keyboot/tsm/node/0/env"), "{said}");

    // A wrapping that was made for another role is not used.
    let own = nodes.role("node.keyboot.tsm.0", &["node.keyboot.tsm.0"], true).await?;
    let (_, file) = nodes.granted(&stranger).await?;
    let login = nodes.login(&own, &file, "").await?;
    let config = nodes.configure("exchanged", tsm, &login, "")?;
    let refused = nodes.ran("exec", &config, &["--", "/usr/bin/env"]).await?;
    let said = String::from_utf8(refused.stderr)?;
    ensure!(!refused.status.success() && refused.stdout.is_empty(), "{said}");
    ensure!(said.contains("node.keyboot.tsm.1"), "{said}");

    let (login, _) = nodes.granted(&own).await?;
    let config = nodes.configure("sealed", tsm, &login, "")?;
    nodes.stage.bao.server.restart().await?;
    let sealed = nodes.ran("exec", &config, &["--", "/usr/bin/env"]).await?;
    let said = String::from_utf8(sealed.stderr)?;
    ensure!((sealed.status.code(), sealed.stdout.is_empty()) == (Some(75), true), "{said}");
    ensure!(said.contains("sealed"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_public_is_shown_and_verified_with_no_right_to_a_secret() -> Result<()> {
    let nodes = Nodes::set().await?;
    let token = nodes.stage.token_of(&["auditor"]).await?;
    let file = nodes.folder.path().join("auditor");
    fs::write(&file, &token)?;
    let config =
        nodes.configure("auditor", "cluster = \"keyboot/tsm\"", &format!("token-file = {file:?}"), "")?;
    let shown = nodes.ran("status", &config, &["--json"]).await?;
    ensure!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    let shown: Value = serde_json::from_slice(&shown.stdout)?;
    ensure!(
        (&shown["roster"]["store"], &shown["roster"]["nodeCount"]) == (&json!("Vault"), &json!(2)),
        "{shown}"
    );
    let verified = nodes.ran("verify", &config, &["--json"]).await?;
    ensure!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    let verified: Value = serde_json::from_slice(&verified.stdout)?;
    // The roster, and of each node its record and its entry.
    ensure!(verified["counts"] == json!({ "fault": 0, "ok": 5, "unknown": 1 }), "{verified}");
    // A token that came from a file is somebody else's, and is not ended.
    let facts = Session::with_token(
        &nodes.stage.bao.server.address().parse()?,
        &nodes.stage.bao.server.ca_file(),
        &Token::new(&token)?,
    )?;
    ensure!(facts.token_facts().await?.policies == ["auditor"]);
    let accepted = nodes.ran("accept", &config, &["--share"]).await?;
    let said = String::from_utf8(accepted.stderr)?;
    ensure!(accepted.status.code() == Some(78) && said.contains("Resource Access Manager"), "{said}");

    // A record that somebody has put in another one's place is seen.
    let other =
        nodes.stage.ask(Method::GET, "keyboot-documents/data/keyboot/tsm/node/1/record", None).await?;
    let text = text_in(&other.accepted()?, "/data/data/text")?.to_owned();
    let path = "keyboot-documents/data/keyboot/tsm/node/0/record";
    let held = nodes.stage.ask(Method::GET, path, None).await?.accepted()?;
    let cas = &held["data"]["metadata"]["version"];
    let body = json!({ "options": { "cas": cas }, "data": { "text": text } });
    nodes.stage.ask(Method::POST, path, Some(&body)).await?.accepted()?;
    let verified = nodes.ran("verify", &config, &["--json"]).await?;
    ensure!(verified.status.code() == Some(1), "{}", String::from_utf8_lossy(&verified.stdout));
    Ok(())
}

/// A `keyboot-node watch`, which ends with the test.
struct Watching(Child);

impl Drop for Watching {
    fn drop(&mut self) {
        let end = i32::try_from(self.0.id()).map(|pid| kill(Pid::from_raw(pid), Signal::SIGTERM));
        if !matches!(end, Ok(Ok(()))) {
            let _ = self.0.kill();
        }
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_is_started_again_when_another_key_of_the_sequencer_counts() -> Result<()> {
    let nodes = Nodes::set().await?;
    let policies = ["node.keyboot.l2.0", "sequencer.keyboot.l2"];
    let own = is_node_of_the_chain(&nodes);
    let watching = "[sequencer]\n[watch]\npoll-seconds = 1\nstagger-seconds = 1\nstop-seconds = 5\n";

    // A login that is good for once does not do.
    let once = nodes.role("sequencer.keyboot.l2.0", &policies, true).await?;
    let (login, file) = nodes.granted(&once).await?;
    let config = nodes.configure("once", &own, &login, watching)?;
    let refused = nodes.ran("watch", &config, &["--", "/usr/bin/env"]).await?;
    let said = String::from_utf8(refused.stderr)?;
    ensure!(refused.status.code() == Some(78) && said.contains("wrapped = false"), "{said}");
    ensure!(file.exists(), "it was used up all the same");

    let standing = nodes.role("sequencer.keyboot.l2.1", &policies, false).await?;
    let path = format!("auth/approle/role/{standing}/secret-id");
    let made = nodes.stage.ask(Method::POST, &path, Some(&json!({}))).await?.accepted()?;
    let file = nodes.folder.path().join("secret-id");
    fs::write(&file, text_in(&made, "/data/secret_id")?)?;
    let login = nodes.login(&standing, &file, "wrapped = false\n").await?;
    let config = nodes.configure("watched", &own, &login, watching)?;
    let shown = nodes.folder.path().join("shown");
    let script = format!("env -0 > {0}.new && mv {0}.new {0} && exec sleep 600", shown.display());
    let log = fs::File::create(nodes.folder.path().join("log"))?;
    let mut command = nodes.command("watch", &config, &["--", "/bin/sh", "-c", &script]);
    let _watching = Watching(command.stdout(Stdio::null()).stderr(log).spawn()?);

    let runs_with = async |number: u32| -> Result<()> {
        let expected = nodes.value(&format!("keyboot/l2/role/sequencer/{number}")).await?;
        let started = Instant::now();
        loop {
            let environment = variables(&fs::read_to_string(&shown).unwrap_or_default());
            if environment.get("OP_NODE_P2P_SEQUENCER_KEY") == Some(&expected) {
                return ensure_nothing_of_a_login(&environment, &[&fs::read_to_string(&file)?]);
            }
            let said = || fs::read_to_string(nodes.folder.path().join("log")).unwrap_or_default();
            ensure!(started.elapsed() < PATIENCE, "it does not run with number {number}:\n{}", said());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    runs_with(1).await?;
    nodes.rotate("prepare").await?;
    nodes.rotate("finish").await?;
    runs_with(2).await?;
    let said = fs::read_to_string(nodes.folder.path().join("log"))?;
    ensure!(said.matches("it is started again").count() == 1, "{said}");
    ensure!(file.exists(), "a secret id of many uses was removed");
    Ok(())
}
