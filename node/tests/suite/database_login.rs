//! The login at a node's database, from its secret to the command: what the command gets, what it does not
//! start with, and when it is started again. AWS is played here; the program is the one that ships.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use key_material::SharePassword;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use provisioning::sealing::StoredValue;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{Request, Services};
use crate::world::{World, arn, configure, p2p_key, secret};

const LOGIN: &str =
    "arn:aws:secretsmanager:us-east-1:111122223333:secret:keyboot-storage/tsm/node/0/database-login-AbCdEf";
/// Everything that a container is not.
const ACCEPTED: &str = "accepted-findings = [\"command-is-root\", \"core-dumps\", \"memory-not-locked\", \
                        \"metadata-reachable\", \"private-files-swap\", \"proc-visible\", \"ptrace\", \
                        \"shared-user\", \"swap\"]";
const STAGGER: u64 = 2;
const NODES: u64 = 3;

/// What the stores hold and let be read, as a test changes it.
struct Stored {
    /// What `GetSecretValue` gives, and `DescribeSecret` tells.
    value: String,
    version: String,
    /// What `DescribeSecret` tells in its place for so many more times.
    behind: (usize, String),
    /// What is refused, with this code.
    refused: Option<(&'static str, &'static str)>,
}

/// AWS with a cluster and a login, and a node that is configured for it.
struct Stage {
    services: Services,
    stored: Arc<Mutex<Stored>>,
    folder: TempDir,
    config: PathBuf,
}

fn login(user: &str) -> String {
    json!({
        "engine": "postgres", "host": "db.example", "port": 5432, "dbname": "tsm", "username": user,
        "password": format!("canary/{user}"),
    })
    .to_string()
}

fn url(user: &str, roots: &Path) -> String {
    let roots = roots.display();
    format!("postgres://{user}:canary%2F{user}@db.example:5432/tsm?sslmode=verify-full&sslrootcert={roots}")
}

fn answer(world: &World, stored: &Mutex<Stored>, request: &Request) -> (u16, String) {
    let input: Value = serde_json::from_str(&request.body).unwrap();
    let mut stored = stored.lock().unwrap();
    let call = request.target.split_once('.').unwrap().1;
    if let Some((_, code)) = stored.refused.filter(|(refused, _)| *refused == call) {
        let status = if code == "InternalServiceError" { 500 } else { 400 };
        return (status, json!({ "__type": code, "message": "canary" }).to_string());
    }
    let id = input["SecretId"].as_str().unwrap_or_default();
    let value = |value: &str, version: &str| {
        json!({ "ARN": id, "Name": "n", "SecretString": value, "VersionId": version }).to_string()
    };
    let answer = match call {
        "GetParameters" => {
            let names = input["Names"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
            let found = names.filter_map(|name| Some((name, world.documents.get(name)?)));
            let found: Vec<_> = found.map(|(name, text)| json!({ "Name": name, "Value": text })).collect();
            json!({ "Parameters": found, "InvalidParameters": [] }).to_string()
        }
        "DescribeSecret" if id == LOGIN => {
            let version = match stored.behind.0.checked_sub(1) {
                Some(left) => {
                    stored.behind.0 = left;
                    stored.behind.1.clone()
                }
                None => stored.version.clone(),
            };
            let stages = json!({ "v-0": ["AWSPREVIOUS"], version: ["AWSCURRENT", "AWSPENDING"] });
            json!({ "ARN": LOGIN, "Name": "n", "VersionIdsToStages": stages }).to_string()
        }
        "GetSecretValue" if id == LOGIN => {
            assert_eq!(input["VersionStage"], "AWSCURRENT");
            value(&stored.value, &stored.version)
        }
        "GetSecretValue" if id == arn(&secret(0, "p2p-key")) => {
            value(StoredValue::plain_p2p_key(&p2p_key(0, 1)).expose(), "v1")
        }
        "GetSecretValue" if id == arn(&secret(0, "share-encryption-password")) => {
            let password = SharePassword::derive_from_entropy(&[9; 32]);
            value(StoredValue::plain_share_password(&password).expose(), "v1")
        }
        _ => return (400, json!({ "__type": "NotPlayed" }).to_string()),
    };
    (200, answer)
}

impl Stage {
    fn set(stagger: u64) -> Self {
        let mut world = World::new();
        let environment = json!({
            "cluster": "keyboot/tsm", "index": 0, "node": "node-0.nodes.internal", "peers": "roster", "schema": 1,
            "p2pKeyArn": arn(&secret(0, "p2p-key")), "recordArn": "arn:r",
            "shareSecretArn": arn(&secret(0, "share-encryption-password")),
        });
        world.documents.insert("/keyboot/tsm/node/0/env".into(), environment.to_string());
        let folder = TempDir::new().unwrap();
        let roots = folder.path().join("roots.pem");
        fs::write(&roots, "").unwrap();
        let config = configure(
            folder.path(),
            &format!("index = 0\nformat = \"tsm\"\nsealed-under = []\n{ACCEPTED}\n"),
            &format!(
                "[tsm]\nconfig = \"{}\"\n[tsm.layout.database]\ndriver = \"postgres\"\nsecret = \"{LOGIN}\"\n\
                 roots = \"{}\"\n[watch]\npoll-seconds = 1\nstagger-seconds = {stagger}\nstop-seconds = 5\n",
                folder.path().join("config.toml").display(),
                roots.display()
            ),
        );
        let stored = Arc::new(Mutex::new(Stored {
            value: login("node_a"),
            version: "v-1".into(),
            behind: (0, String::new()),
            refused: None,
        }));
        // The double of this module's world is read by the thread that answers.
        let documents = World { documents: world.documents, ..World::new() };
        let state = Arc::clone(&stored);
        let documents = Mutex::new(documents);
        let services = Services::start(move |request| answer(&documents.lock().unwrap(), &state, request));
        Self { services, stored, folder, config }
    }

    fn change(&self, change: impl FnOnce(&mut Stored)) {
        change(&mut self.stored.lock().unwrap());
    }

    fn rotate(&self, user: &str, version: &str) {
        self.change(|stored| {
            stored.value = login(user);
            version.clone_into(&mut stored.version);
        });
    }

    fn roots(&self) -> PathBuf {
        self.folder.path().join("roots.pem")
    }

    fn keyboot_node(&self, mode: &[&str], script: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyboot-node"));
        command
            .args(mode)
            .arg("--config")
            .arg(&self.config)
            .args(["--", "sh", "-c", script])
            .env_clear()
            .envs([
                ("AWS_ACCESS_KEY_ID", "id"),
                ("AWS_SECRET_ACCESS_KEY", "of-nobody"),
                ("AWS_ENDPOINT_URL", &self.services.endpoint),
                ("PATH", "/usr/bin:/bin"),
            ]);
        command
    }

    fn exec(&self, script: &str) -> Output {
        self.keyboot_node(&["exec"], script).output().unwrap()
    }

    /// Starts `watch` of a command that notes when it begins and what it gets, a line each time.
    fn watch(&self) -> Watch<'_> {
        let script = format!(
            "echo \"$(date +%s%3N) $KEYBOOT_DATABASE_URL\" >> {}; exec sleep 600",
            self.folder.path().join("starts").display()
        );
        let log = fs::File::create(self.folder.path().join("log")).unwrap();
        let child = self.keyboot_node(&["watch"], &script).stdin(Stdio::null()).stderr(log).spawn().unwrap();
        Watch { stage: self, child }
    }
}

/// A `watch` that runs; it ends with this value.
struct Watch<'a> {
    stage: &'a Stage,
    child: Child,
}

impl Watch<'_> {
    /// When the command was started, in milliseconds, and what it got.
    fn starts(&self) -> Vec<(u64, String)> {
        let text = fs::read_to_string(self.stage.folder.path().join("starts")).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let starts = whole.lines().filter_map(|line| line.split_once(' '));
        starts.map(|(time, url)| (time.parse().unwrap(), url.to_owned())).collect()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.stage.folder.path().join("log")).unwrap_or_default()
    }

    /// The last start, once there were so many.
    fn started(&self, times: usize) -> (u64, String) {
        let begin = Instant::now();
        loop {
            let starts = self.starts();
            assert!(starts.len() <= times, "{starts:?}\n{}", self.log());
            if let Some(last) = starts.get(times - 1) {
                return last.clone();
            }
            assert!(begin.elapsed() < Duration::from_secs(30), "{starts:?}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Nothing is started again for some looks.
    fn goes_on(&self) {
        let before = self.starts().len();
        std::thread::sleep(Duration::from_millis(3500));
        assert_eq!(self.starts().len(), before, "{}", self.log());
    }

    fn says(&self, words: &str) {
        let begin = Instant::now();
        while !self.log().contains(words) {
            assert!(begin.elapsed() < Duration::from_mins(1), "{words}: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).unwrap();
        kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn the_command_gets_the_current_login_in_its_variable_and_nowhere_else() {
    let stage = Stage::set(0);
    let output = stage.exec("tr '\\0' '\\n' < /proc/self/environ; tr '\\0' ' ' < /proc/$$/cmdline >&2");
    let (said, errors) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{errors}");
    let lines: Vec<&str> = said.lines().filter(|line| line.contains("canary")).collect();
    assert_eq!(lines, [format!("KEYBOOT_DATABASE_URL={}", url("node_a", &stage.roots()))], "{said}");
    assert!(said.contains("KEYBOOT_P2P_PRIVATE_KEY=") && said.contains("KEYBOOT_SHARE_ENCRYPTION_PASSWORD="));
    assert!(!errors.contains("canary"), "{errors}");
    // What it says of itself names the version, and what it writes holds references.
    let running = fs::read_to_string(stage.folder.path().join("state/running.json")).unwrap();
    let running: Value = serde_json::from_str(&running).unwrap();
    assert_eq!(running["with"]["database_login"], "v-1");
    let written = fs::read_to_string(stage.folder.path().join("config.toml")).unwrap();
    assert!(written.contains("DataSourceName = \"{{ env `KEYBOOT_DATABASE_URL` }}\""), "{written}");
    assert!(!found_below(stage.folder.path(), "canary"));
    // It needs no permission but to read it.
    assert!(!stage.services.asked("/").iter().any(|body| body.contains("DescribeSecret")));
}

/// Whether a text is in any file below a folder.
fn found_below(folder: &Path, text: &str) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return found_below(&path, text);
        }
        fs::read(&path).unwrap().windows(text.len()).any(|some| some == text.as_bytes())
    })
}

#[test]
fn what_stands_in_the_way_is_named_and_nothing_is_started() {
    let stage = Stage::set(0);
    for (mode, started) in [(&["exec", "--dry-run"][..], ""), (&["exec"], "started\n")] {
        let output = stage.keyboot_node(mode, "echo started").output().unwrap();
        assert_eq!((output.status.code(), output.stdout), (Some(0), started.into()));
    }
    let fails = |code: i32, words: &[&str], change: &dyn Fn(&mut Command)| {
        for mode in [&["exec", "--dry-run"][..], &["exec"]] {
            let mut command = stage.keyboot_node(mode, "echo started");
            change(&mut command);
            let output = command.output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(code), "{said}");
            assert!(output.stdout.is_empty() && !said.contains("canary"), "{said}");
            for word in words {
                assert!(said.contains(word), "{word}: {said}");
            }
        }
    };
    for name in ["KEYBOOT_DATABASE_URL", "KEYBOOT_DATABASE_URL_FILE"] {
        let words = [name, "is set in the environment", "tsm.layout.database.secret"];
        let set = |command: &mut Command| {
            command.env(name, "postgres://canary");
        };
        fails(78, &words, &set);
        // `watch` does not try that again and again.
        let mut command = stage.keyboot_node(&["watch"], "echo started");
        set(&mut command);
        assert_eq!(command.output().unwrap().status.code(), Some(78));
    }
    let nothing = |_: &mut Command| {};
    stage.change(|stored| stored.value = "{\"engine\":\"postgres\",\"password\":\"canary\"}".into());
    fails(1, &[LOGIN, "is not used", "it lacks `host`"], &nothing);
    stage.change(|stored| stored.value = login("node_a"));
    // The same for the login as for everything else that is read.
    for (error, code, words) in [
        ("AccessDeniedException", 77, &["secretsmanager:GetSecretValue", "keyboot/tsm"][..]),
        ("InternalServiceError", 75, &["could not be read now"]),
    ] {
        stage.change(|stored| stored.refused = Some(("GetSecretValue", error)));
        fails(code, words, &nothing);
    }
    stage.change(|stored| stored.refused = None);
    fs::remove_file(stage.roots()).unwrap();
    fails(78, &["tsm.layout.database.roots", "roots.pem cannot be read"], &nothing);
}

#[test]
fn a_login_that_does_not_exist_yet_is_told_as_that() {
    let stage = Stage::set(0);
    // Of the login alone: the others are there.
    stage.change(|stored| stored.refused = Some(("GetSecretValue", "ResourceNotFoundException")));
    let output = stage.exec("echo started");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(1), true), "{said}");
    assert!(said.contains("does not exist"), "{said}");
}

#[test]
fn another_version_has_the_command_started_again_in_its_turn_and_nothing_else_does() {
    let stage = Stage::set(STAGGER);
    let watch = stage.watch();
    let (_, first) = watch.started(1);
    assert_eq!(first, url("node_a", &stage.roots()));
    watch.goes_on();

    stage.rotate("node_b", "v-2");
    let (at, second) = watch.started(2);
    assert_eq!(second, url("node_b", &stage.roots()));
    // Node 0's slot is the first of three; what begins in its second half waits for the next cycle.
    let within = at % (NODES * STAGGER * 1000);
    assert!(within < STAGGER * 1000, "{within} ms into the cycle: {}", watch.log());
    watch.goes_on();
    assert!(!watch.log().contains("canary"), "{}", watch.log());
}

#[test]
fn where_secrets_manager_tells_nothing_what_runs_goes_on() {
    let stage = Stage::set(0);
    let watch = stage.watch();
    watch.started(1);
    for code in ["AccessDeniedException", "InternalServiceError"] {
        stage.change(|stored| stored.refused = Some(("DescribeSecret", code)));
        stage.rotate("node_b", "v-2");
        watch.goes_on();
        stage.rotate("node_a", "v-1");
        stage.change(|stored| stored.refused = None);
        watch.goes_on();
    }
    watch.says("the login at the database stays as it is: account 111122223333 does not let this role use");
    watch.says("secretsmanager:DescribeSecret on arn:aws:secretsmanager");

    // It tells of another one, and that one cannot be had: it is tried before anything is ended.
    stage.change(|stored| stored.refused = Some(("GetSecretValue", "AccessDeniedException")));
    stage.rotate("node_b", "v-2");
    watch.says("what the command would run with cannot be had now: what runs goes on");
    assert_eq!(watch.starts().len(), 1);
    stage.change(|stored| stored.refused = None);
    assert_eq!(watch.started(2).1, url("node_b", &stage.roots()));
}

#[test]
fn a_command_that_got_a_newer_one_than_was_seen_is_not_started_again() {
    let stage = Stage::set(0);
    stage.rotate("node_b", "v-2");
    stage.change(|stored| stored.behind = (1, "v-1".into()));
    let watch = stage.watch();
    assert_eq!(watch.started(1).1, url("node_b", &stage.roots()));
    watch.goes_on();
    // It is denied, and the command dies and comes back with one that was not seen: that one it runs with.
    stage.change(|stored| stored.refused = Some(("DescribeSecret", "AccessDeniedException")));
    stage.rotate("node_a", "v-3");
    watch.says("the login at the database stays as it is");
    let running = fs::read_to_string(stage.folder.path().join("state/running.json")).unwrap();
    let running: Value = serde_json::from_str(&running).unwrap();
    let pid = i32::try_from(running["pid"].as_i64().unwrap()).unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    assert_eq!(watch.started(2).1, url("node_a", &stage.roots()));
    watch.goes_on();
}
