//! `doctor` looks at a real server: at one as `init` leaves it, in an auditor's name, and at others with one
//! fault each. What it says of a host is shown beside its source; here, how the program ends.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use keyboot_onprem::doctor::finding::{Fault, Report};
use keyboot_onprem::doctor::server::{Login, look, look_without_tls};
use rig::onprem::OnPrem;
use rig::openbao::{Kind, OpenBao, Ready};
use rig::programs;
use rig::python::Venv;
use serde_json::{Value, json};
use tempfile::TempDir;
use vault::Settings;

use crate::stage::{Chain, Cluster, Declared, SERVER, Stage, text_in};

const DECLARATION: &str = r#"
owner = "team"

[[cluster]]
name = "tsm"
nodes = [0, 1]

[[chain]]
name = "l2"
chain-id = 901
l1-chain-id = 1
roles = ["batcher", "sequencer"]
nodes = [0]
node-domain = "l2.internal"
"#;

/// A server with everybody's policies and roles, an auditor's token, and no root token that lives.
struct Audited {
    stage: Stage,
    login: Login,
    settings: Settings,
}

impl Audited {
    /// Such a server, after somebody with root's rights has changed something.
    async fn after(change: impl AsyncFnOnce(&Stage) -> Result<()>) -> Result<Self> {
        let stage = Stage::new().await?;
        let mut cluster = Cluster::of(&[0, 1]);
        cluster.management_key = true;
        let mut declared = Declared::cluster("keyboot", cluster);
        declared.chain = Some(Chain::of(&["batcher", "sequencer"], &[0]));
        let subjects = declared.subjects()?;
        stage.admit(&subjects).await?;
        let app_role = json!({ "type": "approle" });
        stage.ask(Method::POST, "sys/auth/approle", Some(&app_role)).await?.accepted()?;
        let role = json!({
            "bind_secret_id": true,
            "secret_id_num_uses": 1,
            "secret_id_ttl": 600,
            "token_max_ttl": 3600,
            "token_no_default_policy": true,
            "token_policies": ["provisioner"],
            "token_ttl": 600,
        });
        stage.ask(Method::POST, "auth/approle/role/provisioner", Some(&role)).await?.accepted()?;
        // It lives longer than the one that makes it.
        let wanted =
            json!({ "policies": ["auditor"], "no_default_policy": true, "no_parent": true, "ttl": "1h" });
        let made = stage.ask(Method::POST, "auth/token/create", Some(&wanted)).await?.accepted()?;
        let file = stage.folder().join("auditor");
        fs::write(&file, text_in(&made, "/auth/client_token")?)?;
        change(&stage).await?;
        stage.ask(Method::POST, "auth/token/revoke-self", None).await?.accepted()?;
        let settings = settings(&stage.bao.server)?;
        Ok(Self { stage, login: Login::TokenFile(file), settings })
    }

    async fn look(&self) -> Report {
        let mut report = Report::default();
        look(&self.settings, &self.login, &mut report).await;
        report
    }
}

/// The settings of a server, which name no login that there is.
fn settings(server: &OpenBao) -> Result<Settings> {
    let text = format!(
        "address = {:?}\nname = {SERVER:?}\nca-file = {:?}\n[app-role]\nrole = \"nobody\"\nrole-id = \"nobody\"\n\
         secret-id-file = \"/nowhere\"\n",
        server.address(),
        server.ca_file().to_str().context("an unusual name")?,
    );
    Ok(toml::from_str(&text)?)
}

async fn looked_at(server: &OpenBao, login: Login) -> Result<Report> {
    let mut report = Report::default();
    look(&settings(server)?, &login, &mut report).await;
    Ok(report)
}

fn faults(report: &Report) -> BTreeSet<Fault> {
    report.findings.iter().map(|finding| finding.fault).collect()
}

async fn write_policy(stage: &Stage, name: &str, text: &str) -> Result<()> {
    let body = json!({ "policy": text });
    stage.ask(Method::PUT, &format!("sys/policies/acl/{name}"), Some(&body)).await?.accepted().map(drop)
}

/// What `init` sets up, and who was granted the login with which it is looked at: by the program alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_wrong_with_a_server_as_init_leaves_it() -> Result<()> {
    let on_prem = OnPrem::start(&Venv::onprem()?)?;
    on_prem.init(&on_prem.declare(DECLARATION)?).await?;
    let host = host()?;
    let root = host.path().to_str().context("an unusual name")?;
    let ran = on_prem.run_as("auditor", &["doctor", "--log-in", "--json", "--root", root]).await?;
    let told: Value = serde_json::from_str(&ran.out)?;
    assert_eq!((ran.code, names(&told), &told["unseen"]), (0, vec![], &json!([])), "{}", ran.err);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_wrong_with_a_server_on_which_nothing_was_planted() -> Result<()> {
    let audited = Audited::after(async |_| Ok(())).await?;
    assert_eq!(audited.look().await, Report::default());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_that_is_planted_on_a_server_is_found_and_nothing_else() -> Result<()> {
    let audited = Audited::after(async |stage| {
        for (name, text) in [
            ("broad", "path \"sys/policies/acl/*\" { capabilities = [\"create\", \"update\"] }"),
            ("many", "path \"keyboot-secrets/data/*\" { capabilities = [\"read\"] }"),
            ("sudo", "path \"sys/audit/*\" { capabilities = [\"update\", \"sudo\"] }"),
            ("nothing", "path \"secret/op/batcher\" { capabilities = [\"read\"] }"),
            ("no-data", "path \"keyboot-secrets/op/batcher\" { capabilities = [\"read\"] }"),
            (
                "parameters",
                "path \"keyboot-secrets/data/op/batcher\" {\n  capabilities = [\"create\"]\n  \
                 allowed_parameters = { \"value\" = [] }\n}",
            ),
        ] {
            write_policy(stage, name, text).await?;
        }
        let role = json!({ "bind_secret_id": true, "token_policies": ["auditor"] });
        stage.ask(Method::POST, "auth/approle/role/loose", Some(&role)).await?.accepted()?;
        let unbound = json!({
            "bind_secret_id": false,
            "token_bound_cidrs": ["127.0.0.1/32"],
            "token_policies": ["auditor"],
            "token_ttl": 60,
        });
        stage.ask(Method::POST, "auth/approle/role/unbound", Some(&unbound)).await?.accepted()?;
        let root = json!({ "policies": ["root"], "no_parent": true });
        stage.ask(Method::POST, "auth/token/create", Some(&root)).await?.accepted()?;
        let deletable = json!({ "deletion_allowed": true });
        stage
            .ask(Method::POST, "keyboot-transit/keys/seal/config", Some(&deletable))
            .await?
            .accepted()
            .map(drop)
    })
    .await?;
    let report = audited.look().await;
    let mut found: Vec<(&str, &str)> =
        report.findings.iter().map(|finding| (finding.fault.name(), finding.place.as_str())).collect();
    // What it is called is the server's choice.
    ensure!(found[0].0 == "vault-root-token" && found[0].1.contains(" accessor "), "{found:?}");
    found.remove(0);
    assert_eq!(
        found,
        [
            ("policy-over-broad", "policy broad"),
            ("policy-reads-many", "policy many"),
            ("policy-sudo", "policy sudo"),
            ("policy-parameters", "policy parameters"),
            ("policy-grants-nothing", "policy no-data"),
            ("policy-grants-nothing", "policy nothing"),
            ("role-unbound", "role approle/unbound"),
            ("role-secret-id", "role approle/loose"),
            ("role-token", "role approle/loose"),
            ("transit-key-leaves", "transit key keyboot-transit/seal"),
        ]
    );
    assert_eq!(report.unseen, BTreeSet::new());
    Ok(())
}

/// A rule that grants nothing, and one that looks alike and grants: so says the server itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_grants_nothing_grants_nothing() -> Result<()> {
    let stage = Stage::new().await?;
    let body = json!({ "options": { "cas": 0 }, "data": { "value": "x" } });
    stage.ask(Method::POST, "keyboot-secrets/data/op/batcher", Some(&body)).await?.accepted()?;
    for (path, is_read) in [("keyboot-secrets/op/batcher", false), ("keyboot-secrets/data/op/batcher", true)]
    {
        let policy = format!("path \"{path}\" {{ capabilities = [\"read\"] }}");
        let token = stage.bao.token_of("batcher", &policy).await?;
        let server = &stage.bao.server;
        let read = server.call(Method::GET, "keyboot-secrets/data/op/batcher", Some(&token), None).await?;
        assert_eq!(read.status.is_success(), is_read, "{path}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_closed_is_found() -> Result<()> {
    let server = OpenBao::start(&Venv::onprem()?)?;
    let report = looked_at(&server, Login::Nobody).await?;
    assert_eq!(faults(&report), [Fault::Uninitialized].into());
    let ready = server.initialise().await?;
    let report = looked_at(&ready.server, Login::Nobody).await?;
    assert_eq!((faults(&report), report.unseen.len()), (BTreeSet::new(), 1));
    ready.server.restart().await?;
    let report = looked_at(&ready.server, Login::Nobody).await?;
    assert_eq!(faults(&report), [Fault::Sealed].into());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roots_own_token_is_found_and_so_is_a_single_audit_device() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("token");
    for (devices, expected) in [(0, true), (1, true), (2, false)] {
        let server = OpenBao::start_as(&Venv::onprem()?, Kind::WithAuditDevices(devices))?;
        let Ready { server, root_token, .. } = server.initialise().await?;
        fs::write(&file, &root_token)?;
        let report = looked_at(&server, Login::TokenFile(file.clone())).await?;
        let mut wanted = BTreeSet::from([Fault::RootToken]);
        wanted.extend(expected.then_some(Fault::AuditDevices));
        assert_eq!(faults(&report), wanted, "{devices} audit devices");
        ensure!(!format!("{report:?}").contains(&root_token), "the token is told");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dev_server_is_found_without_a_login() -> Result<()> {
    let server = OpenBao::start_as(&Venv::onprem()?, Kind::Dev)?;
    let address = server.plain_address().context("it has TLS only")?;
    let report = tokio::task::spawn_blocking(move || {
        let mut report = Report::default();
        look_without_tls(&address, &mut report);
        report
    })
    .await?;
    assert_eq!(faults(&report), [Fault::TlsOff, Fault::DevMode].into());
    Ok(())
}

/// A host without a fault, in a folder.
fn host() -> Result<TempDir> {
    let host = tempfile::tempdir()?;
    let write = |path: &str, text: &str| -> Result<()> {
        let path = host.path().join(path);
        fs::create_dir_all(path.parent().context("no folder")?)?;
        Ok(fs::write(path, text)?)
    };
    write("proc/self/mountinfo", "22 1 253:0 / / rw - ext4 /dev/mapper/root rw\n")?;
    write("sys/devices/dm-0/dm/uuid", "CRYPT-LUKS2-root\n")?;
    fs::create_dir_all(host.path().join("sys/dev/block"))?;
    symlink(host.path().join("sys/devices/dm-0"), host.path().join("sys/dev/block/253:0"))?;
    write("proc/swaps", "Filename Type Size Used Priority\n")?;
    write("proc/sys/kernel/core_pattern", "core\n")?;
    write("proc/net/tcp", "  sl  local_address\n")?;
    write(
        "commands/nft",
        "{\"nftables\": [{\"chain\": {\"family\": \"inet\", \"table\": \"a\", \"name\": \"b\", \"hook\": \"input\", \
         \"policy\": \"drop\"}}]}",
    )?;
    Ok(host)
}

struct Doctor {
    program: PathBuf,
    host: TempDir,
    config: PathBuf,
}

impl Doctor {
    fn run(&self, arguments: &[&str]) -> Result<(i32, Value)> {
        let mut command = Command::new(&self.program);
        command.args(["doctor", "--json", "--root"]).arg(self.host.path()).arg("--config").arg(&self.config);
        let Output { status, stdout, .. } = command.args(arguments).env_clear().output()?;
        Ok((status.code().context("it was ended")?, serde_json::from_slice(&stdout)?))
    }
}

fn names(told: &Value) -> Vec<&str> {
    told["findings"].as_array().into_iter().flatten().filter_map(|finding| finding["name"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_exit_status_is_for_scripts() -> Result<()> {
    let audited = Audited::after(async |_| Ok(())).await?;
    let Login::TokenFile(token) = &audited.login else { unreachable!("it has one") };
    let config = audited.stage.folder().join("onprem.toml");
    let server = &audited.stage.bao.server;
    fs::write(
        &config,
        format!(
            "[vault]\naddress = {:?}\nname = {SERVER:?}\nca-file = {:?}\n[vault.app-role]\nrole = \"nobody\"\n\
             role-id = \"nobody\"\nsecret-id-file = \"/nowhere\"\n",
            server.address(),
            server.ca_file().to_str().context("an unusual name")?
        ),
    )?;
    let doctor = Doctor { program: programs::path(programs::KEYBOOT_ONPREM)?, host: host()?, config };
    let token = token.to_str().context("an unusual name")?;

    let (status, told) = doctor.run(&["--token-file", token])?;
    assert_eq!((status, names(&told), &told["unseen"]), (0, vec![], &json!([])));
    // Without a login it does not know.
    let (status, told) = doctor.run(&[])?;
    assert_eq!((status, names(&told)), (2, vec![]));
    let (status, _) = doctor.run(&["--host-only"])?;
    assert_eq!(status, 0);

    fs::create_dir_all(doctor.host.path().join("srv"))?;
    let key = "53dadf1d5a164d6b4acdb15e24aa4c5b1d3461bdbd42abedb0a4404d56ced8fb";
    fs::write(doctor.host.path().join("srv/nodekey"), key)?;
    let (status, told) = doctor.run(&["--token-file", token, "--folder", "/srv"])?;
    assert_eq!((status, names(&told)), (1, vec!["key-file"]));
    ensure!(!told.to_string().contains(key), "the key is told");
    let (status, told) =
        doctor.run(&["--host-only", "--folder", "/srv", "--accept", "key-file@/srv/nodekey"])?;
    assert_eq!((status, told["accepted"][0]["where"].as_str()), (0, Some("/srv/nodekey")));

    let nowhere = Doctor { config: Path::new("/nowhere.toml").to_owned(), ..doctor };
    assert_eq!(nowhere.run(&[])?.0, 2);
    Ok(())
}
