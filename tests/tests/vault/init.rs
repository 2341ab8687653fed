//! A server, set up once by the program itself: what is there afterwards, who is an administrator (nobody), and
//! which servers are refused.

use std::collections::BTreeSet;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use hyper::{Method, StatusCode};
use rig::onprem::OnPrem;
use rig::openbao::{Kind, OpenBao};
use rig::programs;
use rig::python::Venv;
use serde_json::{Value, json};
use tempfile::TempDir;

const DECLARATION: &str = "owner = \"team\"\n\n[[cluster]]\nname = \"tsm\"\nnodes = [0, 1]\n";

/// A server that is to be set up, with what the program is told of it.
struct Candidate {
    server: OpenBao,
    folder: TempDir,
}

/// How the program ended.
#[derive(Debug)]
struct Ran {
    code: i32,
    printed: String,
}

impl Candidate {
    fn of(kind: Kind) -> Result<Self> {
        let server = OpenBao::start_as(&Venv::onprem()?, kind)?;
        let candidate = Self { server, folder: tempfile::tempdir()? };
        for holder in 0..3 {
            std::fs::DirBuilder::new().mode(0o700).create(candidate.file(&format!("holder-{holder}")))?;
        }
        std::fs::write(candidate.file("declaration.toml"), DECLARATION)?;
        candidate.set("setup.toml", &candidate.setup())?;
        candidate.set("onprem.toml", &candidate.configuration(&candidate.server.address()))?;
        Ok(candidate)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn set(&self, name: &str, text: &str) -> Result<()> {
        Ok(std::fs::write(self.file(name), text)?)
    }

    fn shares(&self) -> Vec<PathBuf> {
        (0..3).map(|holder| self.file(&format!("holder-{holder}/share"))).collect()
    }

    fn setup(&self) -> String {
        format!("threshold = 2\nshares = {}\n", json!(self.shares()))
    }

    fn configuration(&self, address: &str) -> String {
        let (ca, token) = (json!(self.server.ca_file()), json!(self.file("no-token")));
        format!("[vault]\naddress = \"{address}\"\nname = \"ops\"\nca-file = {ca}\ntoken-file = {token}\n")
    }

    async fn init(&self, more: &[&str]) -> Result<Ran> {
        let mut command = tokio::process::Command::new(programs::path(programs::KEYBOOT_ONPREM)?);
        command.args(["--config", "onprem.toml", "init", "setup.toml", "declaration.toml"]).args(more);
        command.env_clear().current_dir(self.folder.path()).stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await?;
        let printed = [output.stdout, output.stderr].concat();
        let code = output.status.code().context("it was ended by a signal")?;
        Ok(Ran { code, printed: String::from_utf8(printed)? })
    }

    async fn is_initialized(&self) -> Result<bool> {
        let told = self.server.call(Method::GET, "sys/seal-status", None, None).await?.accepted()?;
        told["initialized"].as_bool().context("it does not say")
    }
}

fn lines(path: &Path) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(path)?;
    text.lines().map(|line| serde_json::from_str(line).context("a line that is no JSON")).collect()
}

#[tokio::test]
async fn a_server_is_set_up_once_and_nobody_is_an_administrator_afterwards() -> Result<()> {
    let candidate = Candidate::of(Kind::Production)?;
    let ran = candidate.init(&["--operator", "operator"]).await?;
    ensure!(ran.code == 0, "{}", ran.printed);
    ensure!(
        ran.printed.contains("The root token is revoked: the server answers 403 to it"),
        "{}",
        ran.printed
    );
    // The shares: one each, three of them, in no other place.
    let shares: Vec<String> =
        candidate.shares().iter().map(std::fs::read_to_string).collect::<std::io::Result<_>>()?;
    let distinct: BTreeSet<&str> = shares.iter().map(|share| share.trim()).collect();
    ensure!(distinct.len() == 3 && !distinct.contains(""));
    for path in candidate.shares() {
        ensure!(std::fs::metadata(&path)?.permissions().mode() & 0o777 == 0o600, "{}", path.display());
    }
    let logs: Vec<String> =
        candidate.server.audit_logs().iter().map(std::fs::read_to_string).collect::<std::io::Result<_>>()?;
    for share in &distinct {
        ensure!(!ran.printed.contains(share), "a share was printed");
        ensure!(logs.iter().all(|log| !log.contains(share)), "a share is in an audit log");
    }
    let login = std::fs::read_to_string(candidate.file("operator"))?;
    ensure!(!ran.printed.contains(login.trim()), "the operator's login was printed");
    // The one who was root revoked himself, and was refused afterwards: so say both logs.
    for log in candidate.server.audit_logs() {
        let lines = lines(&log)?;
        let at = |path: &str| {
            lines.iter().rposition(|line| line["type"] == "response" && line["request"]["path"] == path)
        };
        let (revoked, looked) = (at("auth/token/revoke-self"), at("auth/token/lookup-self"));
        let (revoked, looked) =
            (revoked.context("nobody revoked himself")?, looked.context("nobody looked")?);
        ensure!(revoked < looked && !lines[looked]["error"].is_null(), "{}", lines[looked]);
        ensure!(lines[revoked]["auth"]["token_policies"] == json!(["root"]), "{}", lines[revoked]);
    }
    // Once is once.
    let ran = candidate.init(&["--operator", "another"]).await?;
    ensure!(ran.code == 77 && ran.printed.contains("is initialised already"), "{ran:?}");
    ensure!(!candidate.file("another").exists());
    ensure!(std::fs::read_to_string(candidate.file("operator"))? == login);
    // Two holders open it again.
    candidate.server.restart().await?;
    for (share, sealed) in [(&shares[0], true), (&shares[2], false)] {
        let body = json!({ "key": share.trim() });
        let told = candidate.server.call(Method::POST, "sys/unseal", None, Some(&body)).await?.accepted()?;
        ensure!(told["sealed"] == sealed, "{told}");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_there_afterwards_is_as_it_has_to_be() -> Result<()> {
    let on_prem = OnPrem::start(&Venv::onprem()?)?;
    let declaration = on_prem.declare(DECLARATION)?;
    let told = on_prem.init(&declaration).await?;
    let auditor = on_prem.token_of("auditor").await?;
    let read = async |path: &str| -> Result<Value> {
        let answer = on_prem.call(Method::GET, path, Some(&auditor), None).await?.accepted()?;
        Ok(answer["data"].clone())
    };
    let mounts = read("sys/mounts").await?;
    for mount in ["keyboot-secrets/", "keyboot-documents/"] {
        ensure!(mounts[mount]["type"] == "kv" && mounts[mount]["options"]["version"] == "2", "{mounts}");
    }
    let config = read("keyboot-secrets/config").await?;
    ensure!(config["cas_required"] == true && config["max_versions"] == 100, "{config}");
    let seal = read("keyboot-transit/keys/seal").await?;
    ensure!(seal["type"] == "aes256-gcm96" && seal["derived"] == true, "{seal}");
    let records = read("keyboot-transit/keys/records").await?;
    ensure!(records["type"] == "ecdsa-p256", "{records}");
    for key in [&seal, &records] {
        for flag in ["exportable", "allow_plaintext_backup", "deletion_allowed"] {
            ensure!(key[flag] == false, "{flag}: {key}");
        }
    }
    // What readers pin is printed, and it is the server's key.
    let pem = records["keys"]["1"]["public_key"].as_str().context("no public half")?;
    let public: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    ensure!(told.contains(&format!("public-key = \"{public}\"")), "{told}");
    // Logins: once, for an hour; tokens without the default policy, that end.
    for role in
        ["provisioner", "rotator", "auditor", "custodian", "node.keyboot.tsm.0", "client.keyboot.tsm.default"]
    {
        let role = read(&format!("auth/approle/role/{role}")).await?;
        ensure!(role["secret_id_num_uses"] == 1 && role["secret_id_ttl"] == 3600, "{role}");
        ensure!(role["token_no_default_policy"] == true && role["bind_secret_id"] == true, "{role}");
        ensure!(role["token_max_ttl"].as_u64().is_some_and(|ttl| ttl > 0 && ttl <= 8 * 3600), "{role}");
    }
    // No root token lives: every token there is says what it may.
    let list = Method::from_bytes(b"LIST")?;
    let accessors = on_prem.call(list, "auth/token/accessors", Some(&auditor), None).await?.accepted()?;
    let accessors = accessors["data"]["keys"].as_array().context("no list")?;
    ensure!(!accessors.is_empty(), "not even the auditor's");
    for accessor in accessors {
        let body = json!({ "accessor": accessor });
        let told =
            on_prem.call(Method::POST, "auth/token/lookup-accessor", Some(&auditor), Some(&body)).await?;
        if told.status.is_success() {
            let policies = &told.body["data"]["policies"];
            ensure!(!policies.to_string().contains("root"), "a root token lives: {policies}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn development_mode_is_refused_before_anything_is_written() -> Result<()> {
    let candidate = Candidate::of(Kind::Dev)?;
    for more in [&["--operator", "operator"][..], &["--again"][..]] {
        let ran = candidate.init(more).await?;
        ensure!(ran.code == 77 && ran.printed.contains("THIS SERVER IS IN DEVELOPMENT MODE"), "{ran:?}");
    }
    ensure!(!candidate.file("operator").exists());
    ensure!(candidate.shares().iter().all(|share| !share.exists()));
    let root = Some(OpenBao::DEV_ROOT_TOKEN);
    let mounts = candidate.server.call(Method::GET, "sys/mounts", root, None).await?.accepted()?;
    ensure!(mounts["data"].get("keyboot-secrets/").is_none(), "{mounts}");
    // Nor is its listener without TLS spoken to at all.
    let plain = candidate.server.plain_address().context("no such listener")?;
    candidate.set("onprem.toml", &candidate.configuration(&plain))?;
    let ran = candidate.init(&["--operator", "operator"]).await?;
    ensure!(ran.code == 78 && ran.printed.contains("plain http is refused"), "{ran:?}");
    Ok(())
}

#[tokio::test]
async fn fewer_than_two_audit_devices_are_refused_and_nobody_stays_an_administrator() -> Result<()> {
    for devices in [0, 1] {
        let candidate = Candidate::of(Kind::WithAuditDevices(devices))?;
        let ran = candidate.init(&["--operator", "operator"]).await?;
        ensure!(
            ran.code == 77 && ran.printed.contains(&format!("the server has {devices} audit devices")),
            "{ran:?}"
        );
        ensure!(ran.printed.contains("The root token is revoked"), "{}", ran.printed);
        ensure!(!candidate.file("operator").exists());
        // Nobody can log in: nothing was made.
        let login = json!({ "role_id": "any", "secret_id": "any" });
        let answer = candidate.server.call(Method::POST, "auth/approle/login", None, Some(&login)).await?;
        ensure!(answer.status != StatusCode::OK, "{:?}", answer.body);
        if devices == 1 {
            let lines = lines(&candidate.server.audit_logs()[0])?;
            let wrote = |line: &&Value| {
                line["request"]["operation"] == "update" || line["request"]["operation"] == "create"
            };
            let written: BTreeSet<_> =
                lines.iter().filter(wrote).filter_map(|line| line["request"]["path"].as_str()).collect();
            ensure!(
                written.iter().all(|path| !path.contains("keyboot") && !path.starts_with("sys/polic")),
                "{written:?}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_server_is_not_initialised_where_its_shares_have_no_place() -> Result<()> {
    let candidate = Candidate::of(Kind::Production)?;
    let refused = async |what: &str| -> Result<()> {
        let ran = candidate.init(&["--operator", "operator"]).await?;
        ensure!(ran.code != 0 && ran.printed.contains(what), "{what}: {ran:?}");
        ensure!(!candidate.is_initialized().await?, "{what}: it is initialised");
        Ok(())
    };
    // Two with one holder.
    let together = candidate.setup().replace("holder-1/share", "holder-0/other");
    candidate.set("setup.toml", &together)?;
    refused("in one folder").await?;
    // One that everybody opens.
    candidate.set("setup.toml", &candidate.setup().replace("threshold = 2", "threshold = 1"))?;
    refused("at least 2").await?;
    // One that stands there of another server.
    candidate.set("setup.toml", &candidate.setup())?;
    std::fs::write(&candidate.shares()[2], "of another server")?;
    refused("holder-2/share cannot be written").await?;
    ensure!(std::fs::read_to_string(&candidate.shares()[2])? == "of another server");
    std::fs::remove_file(&candidate.shares()[2])?;
    // A folder that others look into.
    let folder = candidate.file("holder-1");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755))?;
    refused("must have mode 0700").await?;
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700))?;
    // Nobody who hands out logins.
    let ran = candidate.init(&[]).await?;
    ensure!(ran.code == 78 && ran.printed.contains("--operator"), "{ran:?}");
    ensure!(!candidate.is_initialized().await?);
    // And then it is.
    let ran = candidate.init(&["--operator", "operator"]).await?;
    ensure!(ran.code == 0 && candidate.is_initialized().await?, "{ran:?}");
    Ok(())
}

#[tokio::test]
async fn the_holders_bring_it_to_what_is_declared_later() -> Result<()> {
    let on_prem = OnPrem::start(&Venv::onprem()?)?;
    let declaration = on_prem.declare(DECLARATION)?;
    on_prem.init(&declaration).await?;
    let (setup, file) = (on_prem.file("setup.toml"), declaration.clone());
    let (setup, file) = (setup.to_str().context("text")?, file.to_str().context("text")?);
    let again = async |more: &[&str]| {
        let arguments = [&["init", setup, file, "--again"], more].concat();
        on_prem.run_as("custodian", &arguments).await
    };
    // The same once more: nothing is written that stands.
    let told = again(&[]).await?.succeeded()?;
    ensure!(told.contains("of which 0 were written now"), "{told}");
    ensure!(told.contains("The root token is revoked"), "{told}");
    // Another node comes and one goes; who is declared no more stays until it is said.
    on_prem.declare(&DECLARATION.replace("[0, 1]", "[1, 2]"))?;
    let told = again(&[]).await?.succeeded()?;
    ensure!(told.contains("Role node.keyboot.tsm.0 is in no declaration: it stands"), "{told}");
    on_prem
        .grant("node.keyboot.tsm.0")
        .await
        .context("one that stands is granted no more")
        .err()
        .context("the operator still hands out what nobody declares")?;
    on_prem.grant("node.keyboot.tsm.2").await?;
    let auditor = on_prem.token_of("auditor").await?;
    let role = async |name: &str| -> Result<StatusCode> {
        Ok(on_prem
            .call(Method::GET, &format!("auth/approle/role/{name}"), Some(&auditor), None)
            .await?
            .status)
    };
    ensure!(role("node.keyboot.tsm.0").await? == StatusCode::OK);
    let told = again(&["--remove-undeclared"]).await?.succeeded()?;
    ensure!(told.contains("Role node.keyboot.tsm.0 is in no declaration: removed"), "{told}");
    ensure!(role("node.keyboot.tsm.0").await? == StatusCode::NOT_FOUND);
    ensure!(role("node.keyboot.tsm.1").await? == StatusCode::OK);
    // A root token that was made in another way is used up by it.
    let root = on_prem.root_by_shares().await?;
    let left = on_prem.file("root");
    std::fs::write(&left, &root)?;
    let with_it = ["init", setup, file, "--again", "--token-file", left.to_str().context("text")?];
    on_prem.call(Method::GET, "auth/token/lookup-self", Some(&root), None).await?.accepted()?;
    on_prem.run(&on_prem.file("operator.toml"), &with_it).await?.succeeded()?;
    let answer = on_prem.call(Method::GET, "auth/token/lookup-self", Some(&root), None).await?;
    ensure!(answer.status == StatusCode::FORBIDDEN, "it lives: {}", answer.status);
    // One holder alone is not enough, nor is anybody who is no custodian.
    let ran = on_prem.run_as("auditor", &["init", setup, file, "--again"]).await?;
    ensure!(ran.code == 77 && ran.err.contains("denied"), "{ran:?}");
    for holder in [1, 2] {
        std::fs::rename(
            on_prem.file(&format!("holder-{holder}/share")),
            on_prem.file(&format!("holder-{holder}/taken-away")),
        )?;
    }
    let ran = again(&[]).await?;
    ensure!(
        ran.code == 77 && ran.err.contains("2 shares of the unseal key are needed and 1 are here"),
        "{ran:?}"
    );
    Ok(())
}

/// A run that died after the server was initialised: its root token lives, nobody knows it, and nobody can log
/// in. The shares are there, and whoever keeps the server's configuration lets them be used, for this once.
#[tokio::test]
async fn where_nobody_can_log_in_any_more_the_shares_are_the_way_back() -> Result<()> {
    let candidate = Candidate::of(Kind::Production)?;
    let Candidate { server, folder } = candidate;
    let ready = server.initialise().await?;
    let (root, unseal_keys) = (ready.root_token, ready.unseal_keys);
    let candidate = Candidate { server: ready.server, folder };
    for (path, share) in candidate.shares().iter().zip(&unseal_keys) {
        std::fs::write(path, share)?;
    }
    let arguments = ["--again", "--without-login", "--operator", "operator"];
    let ran = candidate.init(&arguments).await?;
    ensure!(
        ran.code != 0 && !candidate.file("operator").exists(),
        "the listener lets nobody, and it works: {ran:?}"
    );
    let configuration = std::fs::read_to_string(candidate.server.configuration())?;
    let open = "listener \"tcp\" {\n  disable_unauthed_generate_root_endpoints = false";
    std::fs::write(candidate.server.configuration(), configuration.replace("listener \"tcp\" {", open))?;
    // Sealed, as it is after each start: the shares open it as well.
    candidate.server.restart().await?;
    let ran = candidate.init(&arguments).await?;
    ensure!(ran.code == 0 && candidate.file("operator").exists(), "{ran:?}");
    ensure!(ran.printed.contains("Another root token was still alive, and is revoked"), "{}", ran.printed);
    let answer = candidate.server.call(Method::GET, "auth/token/lookup-self", Some(&root), None).await?;
    ensure!(
        answer.status == StatusCode::FORBIDDEN,
        "the root token that was left behind is answered {}",
        answer.status
    );
    // A root token is looked for where it is said to be, and nowhere else.
    let begun = candidate.init(&["--again", "--token-file", "no-token"]).await?;
    ensure!(begun.code != 0 && begun.printed.contains("no-token cannot be read"), "{begun:?}");
    Ok(())
}

/// A server with keys that loses an audit device later is not told to begin anew.
#[tokio::test]
async fn a_server_that_holds_keys_is_never_told_to_be_emptied() -> Result<()> {
    let on_prem = OnPrem::start(&Venv::onprem()?)?;
    let declaration = on_prem.declare(DECLARATION)?;
    on_prem.init(&declaration).await?;
    let custodian = on_prem.grant("custodian").await?;
    let configuration = std::fs::read_to_string(on_prem.server().configuration())?;
    let without = configuration.split("\naudit \"file\" \"file-2\"").next().context("no second device")?;
    std::fs::write(on_prem.server().configuration(), without)?;
    on_prem.server().restart().await?;
    let setup = on_prem.file("setup.toml");
    let arguments =
        ["init", setup.to_str().context("text")?, declaration.to_str().context("text")?, "--again"];
    let ran = on_prem.run(&custodian, &arguments).await?;
    ensure!(ran.code == 77 && ran.err.contains("the server has 1 audit devices"), "{ran:?}");
    ensure!(
        ran.err.contains("its data stay as they are") && !ran.err.contains("remove its data"),
        "{}",
        ran.err
    );
    ensure!(ran.out.contains("The root token is revoked"), "{}", ran.out);
    // With the device it is as before, and the holders open it.
    std::fs::write(on_prem.server().configuration(), &configuration)?;
    on_prem.server().restart().await?;
    let ran = on_prem.run(&custodian, &arguments).await?;
    ensure!(ran.code != 0 && ran.err.contains("no login from"), "a login was good twice: {ran:?}");
    on_prem.run_as("custodian", &arguments).await?.succeeded()?;
    Ok(())
}
