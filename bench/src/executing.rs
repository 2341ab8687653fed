//! One start of a node's command, with its secrets out of a cluster on a contract double, watched from
//! outside.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aws_credential_types::Credentials;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contract_double::deploy::{KmsStack, STACK_ID};
use contract_double::{Double, Pattern, Twist, sequential_rounds};
use rig::cloud::Cloud;
use rig::nodes::ACCEPTED;
use tempfile::TempDir;
use tokio::process::Command;

use crate::creating::make;
use crate::subject::{Contender as _, Programs, Starter, python};

/// The node whose command is started.
const CLUSTER: &str = "keyboot/tsm";
const INDEX: u32 = 0;
/// What a start becomes: it does nothing.
const COMMAND: &str = "/bin/true";
/// What is started instead to see what it is handed.
const SHOW: &str = "/usr/bin/env";
/// What it is handed, as the tables of `keyboot-node` name it.
const HANDED: [&str; 2] = ["KEYBOOT_P2P_PRIVATE_KEY=", "KEYBOOT_SHARE_ENCRYPTION_PASSWORD="];
/// How long a call takes while it is counted how often a start waits for one.
const DELAY: Duration = Duration::from_millis(50);

/// A node of a cluster that has been made, on a host that has run it before.
#[derive(Debug)]
pub(crate) struct Node {
    double: Double,
    stack: KmsStack,
    // The configuration and what keyboot-node keeps between two runs.
    folder: TempDir,
}

/// What was seen of a start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    /// From the start of the process until the command that it became has ended.
    pub(crate) took: Duration,
    /// The most memory that it had in use, in KiB.
    peak_memory: u64,
}

impl Start {
    /// As the stopwatch writes it.
    fn parse(line: &str) -> Option<Self> {
        let (took, peak_memory) = line.trim().split_once(' ')?;
        Some(Self { took: Duration::from_nanos(took.parse().ok()?), peak_memory: peak_memory.parse().ok()? })
    }

    /// The most memory that it had in use, in MiB.
    pub(crate) fn peak_memory_mib(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "memory of a process is far below 2^52 KiB")]
        let kibibytes = self.peak_memory as f64;
        kibibytes / 1024.0
    }
}

/// How a start gets to its command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    /// The calls that it makes.
    pub(crate) calls: usize,
    /// The longest chain of calls of which each came after the answer to the one before.
    pub(crate) waits: usize,
    /// Whether it says that its memory cannot be locked here.
    pub(crate) cannot_lock_memory: bool,
}

impl Node {
    /// Has a cluster of so many nodes made, and prepares a host for the first of them.
    pub(crate) async fn of_a_cluster(programs: &Programs, nodes: u32) -> Result<Self> {
        let double = Double::start().await?;
        let readers = KmsStack::readers(STACK_ID, 0..nodes);
        let stack = KmsStack::deploy(&double, [("ReaderPrincipals", readers.as_str())])?;
        make(programs, &stack, nodes).await?;
        std::fs::create_dir_all(rig::home())?;
        let folder = tempfile::Builder::new().prefix("exec-").tempdir_in(rig::home())?;
        let node = Self { double, stack, folder };
        std::fs::write(node.config(), node.configuration().await?)?;
        Ok(node)
    }

    /// How each way to the command goes, once both were seen to hand the same to it.
    pub(crate) async fn ways(&self, programs: &Programs) -> Result<BTreeMap<Starter, Way>> {
        self.double.twist(Pattern::any().every(), Twist::Slow(DELAY));
        let (mut ways, mut handed) = (BTreeMap::new(), BTreeSet::new());
        for starter in Starter::ALL {
            let before = self.double.calls().len();
            let (shown, said) = self.run(&[], &self.words(programs, starter, SHOW)).await?;
            let calls = self.double.calls_since(before);
            let way = Way {
                calls: calls.len(),
                waits: sequential_rounds(&calls),
                cannot_lock_memory: said.contains("memory-not-locked"),
            };
            ways.insert(starter, way);
            let lines = shown.lines().filter(|line| HANDED.iter().any(|name| line.starts_with(name)));
            let lines: BTreeSet<_> = lines.map(str::to_owned).collect();
            ensure!(lines.len() == HANDED.len(), "{} does not hand over all secrets", starter.name());
            handed.insert(lines);
        }
        self.double.clear_twists();
        ensure!(handed.len() == 1, "what is compared does not hand over the same");
        Ok(ways)
    }

    /// Starts the node's command once.
    pub(crate) async fn start(&self, programs: &Programs, starter: Starter) -> Result<Start> {
        let stopwatch = [programs.stopwatch.clone().into_os_string()];
        let (written, _) = self.run(&stopwatch, &self.words(programs, starter, COMMAND)).await?;
        Start::parse(&written).with_context(|| format!("the stopwatch wrote {written:?}"))
    }

    /// What is started so that it becomes a command.
    fn words(&self, programs: &Programs, starter: Starter, command: &str) -> Vec<OsString> {
        let mut words: Vec<OsString> = match starter {
            Starter::KeybootNode => vec![
                programs.keyboot_node.clone().into(),
                "exec".into(),
                "--config".into(),
                self.config().into(),
                "--".into(),
            ],
            Starter::Python => vec![
                programs.interpreter.clone().into(),
                python().join("exec.py").into(),
                CLUSTER.into(),
                INDEX.to_string().into(),
            ],
        };
        words.push(command.into());
        words
    }

    /// Runs something as the node's host would, with the node's role, and gives what it writes and what it
    /// says of it.
    async fn run(&self, before: &[OsString], words: &[OsString]) -> Result<(String, String)> {
        let mut words = before.iter().chain(words);
        let program = words.next().context("nothing is to be run")?;
        let access_key = self.stack.nodes.get(&INDEX).context("the node has no role")?;
        let output = Command::new(program)
            .args(words)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("AWS_REGION", &self.stack.place.region)
            .env("AWS_DEFAULT_REGION", &self.stack.place.region)
            .env("AWS_ENDPOINT_URL", self.double.endpoint())
            .env("AWS_ACCESS_KEY_ID", access_key)
            .env("AWS_SECRET_ACCESS_KEY", "of-nobody")
            .env("AWS_SESSION_TOKEN", "of-nobody")
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| format!("starting {}", Path::new(program).display()))?;
        // What it writes to standard output may hold secrets of the double's.
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "the command was not reached ({}): {said}", output.status);
        Ok((String::from_utf8(output.stdout).context("something that is no text was written")?, said))
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("node.toml")
    }

    async fn configuration(&self) -> Result<String> {
        let (place, signer) = (&self.stack.place, &self.stack.record_key);
        let root = Credentials::new(&place.account, "of-nobody", None, None, "bench");
        let kms = Cloud::with(&self.double.endpoint(), root).kms();
        let key = kms.get_public_key().key_id(signer).send().await?.public_key;
        let key = STANDARD.encode(key.context("KMS gave no public key")?.as_ref());
        Ok(format!(
            "cluster = \"{CLUSTER}\"\nindex = {INDEX}\nregion = \"{}\"\nformat = \"tsm\"\nstate = \"{}\"\n\
             accepted-findings = {ACCEPTED:?}\nsealed-under = [\"{}\"]\n\n[[pin]]\nsigner = \"{signer}\"\npublic-key = \"{key}\"\n",
            place.region,
            self.folder.path().join("state").display(),
            self.stack.secrets_key,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_stopwatch_writes_is_read() {
        let start = Start::parse("12500000 10240\n").unwrap();
        assert_eq!(start.took, Duration::from_micros(12_500));
        assert!((start.peak_memory_mib() - 10.0).abs() < 1e-9);
        assert!(Start::parse("").is_none() && Start::parse("12500000").is_none());
    }
}
