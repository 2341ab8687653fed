//! A signer from the grant to the signature: what the units start, beside a server and a stand-in for Web3Signer.

use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use hyper::Method;
use rig::onprem::OnPrem;
use rig::programs;
use rig::python::Venv;
use rig::web3signer::{Mode, Web3Signer};
use serde_json::{Value, json};

const DECLARATION: &str = "owner = \"ops\"\n\n[[chain]]\nname = \"l2\"\nchain-id = 901\nl1-chain-id = 1\n\
                           roles = [\"batcher\"]\nnodes = [0]\n";

/// A server with a chain's keys.
struct Scene {
    onprem: OnPrem,
    venv: Venv,
    declaration: PathBuf,
}

impl Scene {
    async fn set() -> Self {
        let venv = Venv::onprem().unwrap();
        let onprem = OnPrem::start(&venv).unwrap();
        let declaration = onprem.declare(DECLARATION).unwrap();
        onprem.init(&declaration).await.unwrap();
        let scene = Self { onprem, venv, declaration };
        scene.succeed("provisioner", &["provision"], &[]).await;
        scene
    }

    /// Runs a mode as a role, on the declaration.
    async fn succeed(&self, role: &str, mode: &[&str], options: &[&str]) -> String {
        let declaration = self.declaration.display().to_string();
        let words: Vec<_> = [mode, &[declaration.as_str()], options].concat();
        self.onprem.run_as(role, &words).await.unwrap().succeeded().unwrap()
    }

    /// The address of the batcher's key, by where it stands.
    async fn address(&self, which: &str) -> String {
        let shown: Value =
            serde_json::from_str(&self.succeed("provisioner", &["show"], &["--json"]).await).unwrap();
        shown["chains"][0]["roles"][0][which]["address"].as_str().unwrap().to_lowercase()
    }

    /// A folder for key files, in memory as the server's own is.
    fn folder(&self) -> PathBuf {
        let folder = self.onprem.file("keys");
        let _ = std::fs::DirBuilder::new().mode(0o700).create(&folder);
        folder
    }

    /// A keeper of a key's file, once that stands.
    async fn keeper(&self, number: u32) -> Keeper {
        let login = login(number);
        let config = self.onprem.grant(&login).await.unwrap();
        let child = program(&config)
            .args(["signer", "keep", "--chain", "l2", "--role", "batcher", "--out"])
            .arg(self.folder())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let file = self.folder().join(format!("{login}.yaml"));
        let until = Instant::now() + Duration::from_secs(30);
        while !file.exists() {
            assert!(Instant::now() < until, "no {}", file.display());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Keeper { child, file }
    }
}

fn login(number: u32) -> String {
    format!("signer.keyboot.l2.batcher.{number}")
}

fn program(config: &Path) -> Command {
    let mut command = Command::new(programs::path(programs::KEYBOOT_ONPREM).unwrap());
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).arg("--config").arg(config);
    command
}

fn reload(signer: &Web3Signer, options: &[&str]) -> Output {
    let mut command = program(Path::new("/nowhere"));
    command.args(["signer", "reload", "--within", "5", "--web3signer", &signer.endpoint()]).args(options);
    command.stdout(Stdio::piped()).output().unwrap()
}

struct Keeper {
    child: Child,
    file: PathBuf,
}

impl Keeper {
    /// A setting of the key file.
    fn setting(&self, name: &str) -> String {
        let text = std::fs::read_to_string(&self.file).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}: \""))).unwrap();
        line.strip_suffix('"').unwrap().to_owned()
    }

    fn stop(mut self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").arg(&id).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
        assert!(!self.file.exists());
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signer_keeps_one_key_and_gives_it_back() {
    let scene = Scene::set().await;
    let server = scene.onprem.server();
    let address = scene.address("current").await;
    let keeper = scene.keeper(1).await;
    assert_eq!(std::fs::metadata(&keeper.file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(keeper.setting("keyPath"), "/v1/keyboot-secrets/data/keyboot/l2/role/batcher/1");
    let known = std::fs::read_to_string(scene.folder().join("known-servers")).unwrap();
    assert_eq!(known, format!("127.0.0.1:{} {}\n", server.port(), server.fingerprint().unwrap()));

    // The token reads that one path, and nothing beside it.
    let token = keeper.setting("token");
    let reads = async |path: &str| {
        scene.onprem.call(Method::GET, path, Some(&token), None).await.unwrap().status.as_u16()
    };
    assert_eq!(reads("keyboot-secrets/data/keyboot/l2/role/batcher/1").await, 200);
    for path in [
        "keyboot-secrets/data/keyboot/l2/role/batcher/2",
        "keyboot-secrets/data/keyboot/l2/node/0/p2p-key",
        "keyboot-secrets/metadata/keyboot/l2/role/batcher/1",
        "keyboot-documents/data/keyboot/l2/chain",
        "sys/policies/acl",
        "auth/token/lookup-self",
    ] {
        assert_eq!(reads(path).await, 403, "{path}");
    }

    // Who reads the file signs for the address, and for no other.
    let signer = Web3Signer::start(&scene.venv, &scene.folder(), Mode::Eth1 { chain_id: 1 }).unwrap();
    assert_eq!(signer.accounts().await.unwrap(), std::slice::from_ref(&address));
    let looked = reload(&signer, &["--expect", &address]);
    assert!(looked.status.success(), "{}", String::from_utf8_lossy(&looked.stderr));

    // It is given back: the file is gone, the token dead, and after the next reload there is no key.
    keeper.stop();
    assert_eq!(reads("keyboot-secrets/data/keyboot/l2/role/batcher/1").await, 403);
    assert!(reload(&signer, &["--gone", &address]).status.success());
    assert!(signer.accounts().await.unwrap().is_empty());
    let missed = reload(&signer, &["--expect", &address]);
    assert_eq!(missed.status.code(), Some(75));
    assert!(String::from_utf8_lossy(&missed.stderr).contains(&format!("missing: {address}")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_keys_sign_while_a_batcher_changes_its_key() {
    let scene = Scene::set().await;
    let old = scene.address("current").await;
    let first = scene.keeper(1).await;
    let signer = Web3Signer::start(&scene.venv, &scene.folder(), Mode::Eth1 { chain_id: 1 }).unwrap();
    let of_batcher = ["--chain", "l2", "--role", "batcher"];
    scene.succeed("rotator", &["rotate", "prepare"], &of_batcher).await;
    let new = scene.address("pending").await;
    assert_ne!(old, new);
    let second = scene.keeper(2).await;
    let both = reload(&signer, &["--expect", &old, "--expect", &new]);
    assert!(both.status.success(), "{}", String::from_utf8_lossy(&both.stderr));

    scene.succeed("rotator", &["rotate", "finish"], &of_batcher).await;
    assert_eq!(scene.address("current").await, new);
    // The key that is let go of is hidden from whoever asks; who has it has it until its next reload.
    assert_eq!(signer.accounts().await.unwrap().len(), 2);
    first.stop();
    let one = reload(&signer, &["--expect", &new, "--gone", &old]);
    assert!(one.status.success(), "{}", String::from_utf8_lossy(&one.stderr));
    assert_eq!(signer.accounts().await.unwrap(), [new]);
    second.stop();
}

/// A token that lives for seconds shows in seconds what one of an hour does in hours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keeper_renews_its_token_and_goes_when_that_has_ended() {
    let scene = Scene::set().await;
    let root = scene.onprem.root_by_shares().await.unwrap();
    let short = json!({ "token_period": 4 });
    let role = format!("auth/approle/role/{}", login(1));
    scene.onprem.call(Method::POST, &role, Some(&root), Some(&short)).await.unwrap().accepted().unwrap();
    let mut keeper = scene.keeper(1).await;
    let token = keeper.setting("token");
    let path = "keyboot-secrets/data/keyboot/l2/role/batcher/1";
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(scene.onprem.call(Method::GET, path, Some(&token), None).await.unwrap().status.as_u16(), 200);
    assert!(keeper.child.try_wait().unwrap().is_none());

    // Nobody renews a token on a server that is sealed: a file with one that has ended is of no use to anybody.
    scene.onprem.call(Method::POST, "sys/seal", Some(&root), None).await.unwrap().accepted().unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    let ended = loop {
        match keeper.child.try_wait().unwrap() {
            Some(ended) => break ended,
            None if Instant::now() > until => panic!("it keeps a token that has ended"),
            None => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    };
    assert_eq!(ended.code(), Some(75));
    assert!(!keeper.file.exists());
}

/// What can go wrong before the login does not use it up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_is_not_used_up_by_what_fails_before_the_login() {
    let scene = Scene::set().await;
    let config = scene.onprem.grant(&login(1)).await.unwrap();
    let write = |options: &[&str], folder: &Path| {
        let mut command = program(&config);
        command.args(["signer", "write", "--out"]).arg(folder).args(options);
        command.stdout(Stdio::piped()).output().unwrap()
    };
    let open_to_all = scene.onprem.file("open");
    std::fs::DirBuilder::new().mode(0o700).create(&open_to_all).unwrap();
    std::fs::set_permissions(&open_to_all, std::fs::Permissions::from_mode(0o777)).unwrap();
    for (options, folder, fault) in [
        (&["--role", "proposer"][..], scene.folder(), "reads keyboot/l2/role/batcher/1 and no other key"),
        (&["--number", "2"], scene.folder(), "no other key"),
        (&[], open_to_all, "others may write in it"),
        (&[], scene.onprem.file("missing"), "is no folder for key files"),
        (&["--seen-as", "keys"], scene.folder(), "--seen-as must be an absolute path"),
    ] {
        let refused = write(options, &folder);
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(78) && told.contains(fault), "{fault}: {told}");
    }
    // A server that is sealed is told before the login, too.
    scene.onprem.server().restart().await.unwrap();
    let refused = write(&[], &scene.folder());
    assert!(!refused.status.success());
    assert_eq!(std::fs::read_dir(scene.folder()).unwrap().count(), 0, "a file was written");
    assert!(scene.onprem.file(&format!("{}.login", login(1))).exists(), "the grant is gone");
}
