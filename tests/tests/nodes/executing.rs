//! `keyboot-node exec` seen from outside: what the command gets, how it ends, and what is said where it is
//! not started.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, ensure};
use aws_credential_types::Credentials;
use key_material::{P2pPrivateKey, SharePassword};
use nix::unistd::geteuid;
use provisioning::names::ClusterName;
use rig::cloud::Cloud;
use rig::cluster;
use rig::metadata::Metadata;
use rig::ministack::MiniStack;
use rig::nodes::{How, Nodes, role_of_node};
use rig::programs;
use rig::python::Venv;
use rig::stack::{Deployed, Deployment};
use serde_json::Value;

/// A stack, and the roles of two nodes that do not run.
pub(crate) struct Ready {
    pub(crate) nodes: Nodes,
    pub(crate) stack: Deployed,
    pub(crate) deployment: Deployment,
    pub(crate) root: Cloud,
    pub(crate) roles: [Credentials; 2],
    _ministack: MiniStack,
}

impl Ready {
    pub(crate) async fn set() -> Result<Self> {
        Self::set_with([]).await
    }

    async fn set_with<const N: usize>(more: [(&str, &str); N]) -> Result<Self> {
        let venv = Venv::ready()?;
        let ministack = MiniStack::start(&venv, None)?;
        let root = Cloud::as_root(&ministack.endpoint());
        let readers = format!("0={},1={}", role_of_node(0), role_of_node(1));
        let deployment = Deployment::of_kms_stack(&root, "kms", [("Nodes", "0,1")]).await?;
        let is_service = more.contains(&("Protection", "Service"));
        // Parameters have no policies of readers of their own.
        let deployment = deployment.with("ReaderPrincipals", &readers).with_all(more);
        let stack = deployment.create().await?;
        let nodes = Nodes::of(&root, &stack, &cluster(), 2, How::Environment).await?;
        let nodes = if is_service { nodes.without_envelopes() } else { nodes };
        let roles = [nodes.credentials(&stack, 0).await?, nodes.credentials(&stack, 1).await?];
        Ok(Self { nodes, stack, deployment, root, roles, _ministack: ministack })
    }

    /// Runs a command as a node's, with what is done to keyboot-node before.
    pub(crate) fn exec(&self, script: &str, change: impl FnOnce(&mut Command)) -> Result<Output> {
        self.exec_as(0, &self.roles[0], script, change)
    }

    fn exec_as(
        &self,
        index: u32,
        role: &Credentials,
        script: &str,
        change: impl FnOnce(&mut Command),
    ) -> Result<Output> {
        let mut command = self.nodes.keyboot_node("exec", index, role)?;
        command.args(["--", "sh", "-c", script]);
        change(&mut command);
        Ok(command.output()?)
    }
}

fn cluster() -> ClusterName {
    "keyboot/tsm".parse().expect("a cluster's name")
}

/// What a run ended with, and what it said.
pub(crate) fn ended(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_gets_the_nodes_secrets_and_nothing_of_keyboot_nodes_own() -> Result<()> {
    own_secrets(&Ready::set().await?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_it_does_where_kms_made_the_key_pairs() -> Result<()> {
    own_secrets(&Ready::set_with([("KeyOrigin", "Kms")]).await?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_it_does_where_secrets_are_not_sealed() -> Result<()> {
    own_secrets(&Ready::set_with([("Protection", "Service")]).await?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_it_does_from_parameter_store() -> Result<()> {
    own_secrets(&Ready::set_with([("Store", "ParameterStore")]).await?).await
}

async fn own_secrets(ready: &Ready) -> Result<()> {
    // Whatever makes programs talk.
    let loud = |command: &mut Command| {
        command.envs([("RUST_LOG", "trace"), ("SMITHY_LOG", "trace"), ("RUST_BACKTRACE", "full")]);
        command.envs([("LOG_SIGNABLE_BODY", "true"), ("LOG_SENSITIVE_BODIES", "true"), ("KEPT", "kept")]);
        command.env("KEYBOOT_NODE_CLUSTER", "keyboot/tsm");
    };
    let output = ready.exec("env -0; exit 7", loud)?;
    let (code, said) = ended(&output);
    ensure!(code == Some(7), "{code:?}: {said}");
    let variables: BTreeMap<String, String> = String::from_utf8(output.stdout)?
        .split('\0')
        .filter_map(|one| one.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let published = cluster::read(&ready.root, &cluster(), ready.stack.output("RecordKeyArn")?).await?;
    let record = &published.records[&"0".parse()?];
    let private_key = &variables["KEYBOOT_P2P_PRIVATE_KEY"];
    let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, private_key)?;
    ensure!(P2pPrivateKey::from_sec1_der(&der)?.matches(&record.public_key), "another node's key");
    let password = &variables["KEYBOOT_SHARE_ENCRYPTION_PASSWORD"];
    ensure!(SharePassword::parse(password).is_ok(), "no password");
    ensure!(variables["KEPT"] == "kept", "the command's own environment is lost");
    let own: Vec<_> = variables
        .keys()
        .filter(|name| name.starts_with("AWS_") || name.starts_with("KEYBOOT_NODE_"))
        .collect();
    ensure!(own.is_empty(), "inherited: {own:?}");
    for secret in [private_key, password] {
        ensure!(!said.contains(secret.as_str()), "a secret in the log");
    }
    // It takes keyboot-node's place: what ends it is what is seen.
    let killed = ready.exec("kill -TERM $$", |_| ())?;
    ensure!(killed.status.signal() == Some(15), "{:?}", killed.status);
    let other = ready.exec("printf %s \"$KEYBOOT_P2P_PRIVATE_KEY\"", |command| {
        command.env("KEYBOOT_P2P_PRIVATE_KEY", "planted");
    })?;
    ensure!(other.stdout == private_key.as_bytes(), "what was in the environment before is what counts");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stands_in_the_way_is_named_and_nothing_is_started() -> Result<()> {
    let ready = Ready::set().await?;
    let marker = ready.nodes.folder().join("started");
    let script = format!("touch {}", marker.display());
    let check = |what: &str, output: &Output, code: i32, why: &[&str]| -> Result<()> {
        let (found, said) = ended(output);
        ensure!(found == Some(code), "{what}: {found:?}, not {code}: {said}");
        for why in why {
            ensure!(said.contains(why), "{what}: not told of {why}: {said}");
        }
        ensure!(!marker.exists(), "{what}: the command was started");
        Ok(())
    };
    // Another node's role: which name, which account, which permission.
    let denied = ready.exec_as(0, &ready.roles[1], &script, |_| ())?;
    check("another node's role", &denied, 77, &["ssm:GetParameters", "/keyboot/tsm/node/0/env"])?;
    let away = ready.exec(&script, |command| {
        command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    })?;
    check("no store", &away, 75, &["could not be read now"])?;
    let nobody = ready.exec(&script, |command| {
        for own in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
            command.env_remove(own);
        }
        command.env("AWS_EC2_METADATA_DISABLED", "true");
    })?;
    check("no credentials", &nobody, 75, &["there are no credentials"])?;
    let config = ready.nodes.folder().join("node-0.toml");
    let edited = |from: &str, to: &str| -> Result<Output> {
        let mut command = ready.nodes.keyboot_node("exec", 0, &ready.roles[0])?;
        let text = fs::read_to_string(&config)?;
        ensure!(text.contains(from), "{text}");
        fs::write(&config, text.replacen(from, to, 1))?;
        Ok(command.args(["--", "sh", "-c", &script]).output()?)
    };
    check("an unknown field", &edited("format =", "fromat =")?, 78, &["fromat"])?;
    check("another program", &edited("\"tsm\"", "\"geth\"")?, 1, &["geth", "P-256", "secp256k1"])?;
    let unfit = edited("accepted-findings = [", "accepted-findings = [] #")?;
    check("a host that is not fit", &unfit, 1, &["proc-visible"])?;
    check("a finding that there is none of", &edited("\"swap\"", "\"swop\"")?, 78, &["swop"])?;
    let another_key = edited("public-key = \"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE", {
        "public-key = \"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE0AyIB0e0A00Z+ovqDQ5mjffEqVabU/eEOwOOrkElnSX1qPkgIn5eLIOC7OWQq6dgZnJLjElg6R4vR5a91aAE8w==\" #"
    })?;
    check("another pinned key", &another_key, 1, &["does not fit", "roster/index"])?;
    let mut missing = ready.nodes.keyboot_node("exec", 0, &ready.roles[0])?;
    check("no such program", &missing.args(["--", "/no/such"]).output()?, 127, &["/no/such"])?;

    // A record that somebody has put back, after a newer one was seen.
    let record = ready.root.parameters();
    let name = "/keyboot/tsm/node/0/record";
    let old = record.get_parameter().name(name).send().await?.parameter.and_then(|found| found.value);
    ready.deployment.clone().with("Applications", "default,other").update().await?;
    let seen = ready.exec("true", |_| ())?;
    ensure!(ended(&seen).0 == Some(0), "{:?}", ended(&seen));
    record.put_parameter().name(name).value(old.context("no record")?).overwrite(true).send().await?;
    check("an older record", &ready.exec(&script, |_| ())?, 1, &["older", name])?;

    // And with nothing in the way it is started.
    let fine = ready.exec_as(1, &ready.roles[1], &script, |_| ())?;
    ensure!(ended(&fine).0 == Some(0) && marker.exists(), "{:?}", ended(&fine));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_public_is_shown_and_a_configuration_holds_references_only() -> Result<()> {
    let ready = Ready::set().await?;
    let shown = |mode: &str, more: &[&str]| -> Result<String> {
        let output = ready.nodes.keyboot_node(mode, 0, &ready.roles[0])?.args(more).output()?;
        ensure!(output.status.success(), "{:?}", ended(&output));
        Ok(String::from_utf8(output.stdout)?)
    };
    let published = cluster::read(&ready.root, &cluster(), ready.stack.output("RecordKeyArn")?).await?;
    let status: Value = serde_json::from_str(&shown("status", &["--json"])?)?;
    ensure!(status["roster"]["sha256"] == published.index.sha256.as_str(), "{status}");
    let table = shown("status", &[])?;
    for record in published.records.values() {
        ensure!(table.contains(&record.fingerprint.to_string()), "{table}");
    }
    let config: toml::Table = shown("render", &[])?.parse()?;
    ensure!(
        config["Player"]["PrivateKey"].as_str() == Some("{{ env `KEYBOOT_P2P_PRIVATE_KEY` }}"),
        "{config}"
    );
    let peer = config["Players"]["1"]["PublicKey"].as_str();
    ensure!(peer == Some(published.records[&"1".parse()?].public_key.to_spki_base64().as_str()), "{config}");
    Ok(())
}

/// As in the unit: keyboot-node is root with a narrow umask, and the command another user.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_runs_as_a_user_of_its_own_and_reads_what_is_meant_for_it() -> Result<()> {
    if !geteuid().is_root() {
        // Only root can become somebody else.
        return Ok(());
    }
    let ready = Ready::set().await?;
    // The configuration is written with it.
    ready.nodes.keyboot_node("exec", 0, &ready.roles[0])?;
    // Where every user gets to.
    let open = rig::nodes::open_folder("node-of-its-own")?;
    let config = open.path().join("node.toml");
    let text = fs::read_to_string(ready.nodes.folder().join("node-0.toml"))?;
    let rendered = open.path().join("config.toml");
    let text = text.replacen("index = 0", "index = 0\nuser = \"nobody\"", 1);
    let text = text.replacen("how = \"environment\"", "how = \"memory-file\"", 1);
    let text = text.replace(&ready.nodes.rendered(0).display().to_string(), &rendered.display().to_string());
    fs::write(&config, text.replacen("\"command-is-root\", ", "", 1))?;
    let program = programs::path(programs::KEYBOOT_NODE)?;
    let script = format!(
        "id -u; wc -c < \"$KEYBOOT_P2P_PRIVATE_KEY_FILE\"; grep -c PrivateKey {}; umask; sleep 3",
        rendered.display()
    );
    let mut keyboot_node = Command::new("sh");
    keyboot_node.args(["-c", "umask 077; exec \"$@\"", "sh"]).arg(program).args(["exec", "--config"]);
    keyboot_node.arg(&config).args(["--", "sh", "-c", &script]).env_clear();
    keyboot_node.env("PATH", "/usr/bin:/bin").env("AWS_ENDPOINT_URL", ready.root.endpoint());
    keyboot_node.env("AWS_ACCESS_KEY_ID", ready.roles[0].access_key_id());
    keyboot_node.env("AWS_SECRET_ACCESS_KEY", ready.roles[0].secret_access_key());
    keyboot_node.envs(ready.roles[0].session_token().map(|token| ("AWS_SESSION_TOKEN", token)));
    let child = keyboot_node.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let pid = child.id();
    let is_other = |what: &str| -> Result<bool> {
        let mut cat = Command::new("setpriv");
        cat.args(["--reuid=65533", "--regid=65533", "--clear-groups", "cat"])
            .arg(format!("/proc/{pid}/{what}"));
        Ok(cat.output()?.status.success())
    };
    std::thread::sleep(std::time::Duration::from_millis(1500));
    ensure!(
        is_other("status")? && !is_other("environ")? && !is_other("fd/3")?,
        "another user reads what is its own"
    );
    let output = child.wait_with_output()?;
    let (code, said) = ended(&output);
    ensure!(code == Some(0), "{said}");
    // base64 of 121 bytes, and what a reader of the file finds in it.
    ensure!(String::from_utf8_lossy(&output.stdout) == "65534\n164\n1\n0077\n", "{:?} {said}", output.stdout);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instances_or_a_containers_role_is_used() -> Result<()> {
    let ready = Ready::set().await?;
    let metadata = Metadata::of("node-0", &ready.roles[0])?;
    let without = |command: &mut Command| {
        for own in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
            command.env_remove(own);
        }
    };
    let script = "test -n \"$KEYBOOT_P2P_PRIVATE_KEY\" && env";
    let on_an_instance = ready.exec(script, |command| {
        without(command);
        command.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.endpoint());
    })?;
    ensure!(ended(&on_an_instance).0 == Some(0), "{:?}", ended(&on_an_instance));
    // The second version of the protocol, with a session.
    ensure!(metadata.asked().contains(&"PUT /latest/api/token".to_owned()), "{:?}", metadata.asked());
    let in_a_container = ready.exec(script, |command| {
        without(command);
        command.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/role", metadata.endpoint()));
    })?;
    ensure!(ended(&in_a_container).0 == Some(0), "{:?}", ended(&in_a_container));
    ensure!(metadata.asked().contains(&"GET /role".to_owned()), "{:?}", metadata.asked());
    for output in [on_an_instance, in_a_container] {
        let given = String::from_utf8(output.stdout)?;
        ensure!(!given.contains(&metadata.endpoint()), "the command inherits where credentials are");
    }
    Ok(())
}
