//! What an Auto Scaling group of one does, on this machine: for each instance that a group of the deployed Core
//! Stack has, the launch template's user data is run as it is, with what the instance's profile may.
//!
//! An instance is a process tree in mount and process namespaces of its own, with its own `/etc`,
//! `/usr/local/bin`, `/var/lib`, `/var/log` and `/run` (`rig/instance/boot.py`). It shares this machine's
//! network: each uses the standard ports on a loopback address of its own, which its load balancer's name leads
//! to. Its credentials come from a metadata service of its own; nothing of this machine's reaches it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use aws_credential_types::Credentials;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, geteuid};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::asking::{ask, script};
use crate::cloud::{Cloud, REGION};
use crate::metadata::Metadata;
use crate::nodes::{ACCEPTED, assume_role, status_at, wait_until_it_answers};
use crate::python::Venv;

/// Where a node's peers reach it, and where its clients do, on its own address.
pub const MPC_PORT: u16 = 9000;
/// Where a node's clients reach it.
pub const SDK_PORT: u16 = 8080;
/// What of this machine may not be as a node's host has to be, and its instances cannot have otherwise: they share
/// its kernel, its limits and its network. All else is as the unit and user data make it.
const FINDINGS: [&str; 4] = ["memory-not-locked", "metadata-reachable", "ptrace", "swap"];
/// How often nodes look, how long each has for starting again, and how long its command has for its end: all
/// shorter than the defaults.
const WATCH: &str = "\n[watch]\npoll-seconds = 1\nstagger-seconds = 4\nstop-seconds = 5\n";
/// How long an instance may take until its node answers.
const BOOT: Duration = Duration::from_mins(1);
/// How long it may take to end in an orderly way.
const SHUTDOWN: Duration = Duration::from_secs(8);

/// A group of one, and what it is to run.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// Which node it runs.
    pub index: u32,
    /// Its name.
    pub group: String,
    /// The ids of its instances.
    pub instances: Vec<String>,
    /// The ARN of the role of its instances' profile.
    pub role: String,
    /// Its launch template's user data.
    pub user_data: String,
    /// What its peers call it: Cloud Map's names of its load balancer.
    pub names: Vec<String>,
    /// The ports of that load balancer's listeners, each with the port of the instance that it leads to.
    pub ports: BTreeMap<u16, u16>,
}

/// The groups of a stack, as the local AWS tells of them.
///
/// # Errors
///
/// When it does not.
pub fn groups(venv: &Venv, cloud: &Cloud, stack: &str) -> anyhow::Result<Vec<Group>> {
    let answer = script(venv, cloud, "groups.py", &[stack], "");
    Ok(serde_json::from_value(answer.with_context(|| format!("reading the groups of {stack}"))?)?)
}

/// The instances of a stack's groups on this machine; they end with this value.
#[derive(Debug)]
pub struct Instances {
    cloud: Cloud,
    venv: Venv,
    stack: String,
    network: Network,
    groups: BTreeMap<u32, Group>,
    running: BTreeMap<u32, Instance>,
    folder: TempDir,
}

/// What a look at the groups changed, as node indexes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Changes {
    /// Instances that came.
    pub started: BTreeSet<u32>,
    /// Instances that went: those of groups that are gone, and those that their group has replaced.
    pub ended: BTreeSet<u32>,
}

impl Instances {
    /// Prepares for the instances of a stack, of which none runs yet.
    ///
    /// # Errors
    ///
    /// When this machine has no addresses for them.
    pub fn of(cloud: &Cloud, venv: &Venv, stack: &str) -> anyhow::Result<Self> {
        std::fs::create_dir_all(crate::home())?;
        Ok(Self {
            cloud: cloud.clone(),
            venv: venv.clone(),
            stack: stack.to_owned(),
            network: Network::free()?,
            groups: BTreeMap::new(),
            running: BTreeMap::new(),
            folder: tempfile::Builder::new().prefix("instances-").tempdir_in(crate::home())?,
        })
    }

    /// Does what the groups do: ends instances that are in none any more, and starts those that are not there yet.
    /// It does not wait for what they run.
    ///
    /// # Errors
    ///
    /// When the groups cannot be read, or an instance gets no credentials.
    pub async fn follow(&mut self) -> anyhow::Result<Changes> {
        let groups = groups(&self.venv, &self.cloud, &self.stack)?;
        self.groups = groups.into_iter().map(|group| (group.index, group)).collect();
        let mut changes = Changes::default();
        let wanted = |index: &u32| self.groups.get(index).and_then(|group| group.instances.first());
        let gone = self.running.iter().filter(|(index, instance)| wanted(index) != Some(&instance.id));
        for index in gone.map(|(index, _)| *index).collect::<Vec<_>>() {
            self.running.remove(&index);
            changes.ended.insert(index);
        }
        self.write_names()?;
        for (index, group) in &self.groups {
            let Some(id) = group.instances.first() else { continue };
            if !self.running.contains_key(index) {
                let instance = self.boot(group, id).await?;
                self.running.insert(*index, instance);
                changes.started.insert(*index);
            }
        }
        self.write_names()?;
        Ok(changes)
    }

    /// Has a node's instance die, at once, and its disk with it. Its group is told, as a health check would; the
    /// next [`follow`](Self::follow) starts what the group puts in its place.
    ///
    /// # Errors
    ///
    /// When there is none, or the group cannot be told.
    pub fn terminate(&mut self, index: u32) -> anyhow::Result<String> {
        let mut instance = self.running.remove(&index).context("no such instance")?;
        instance.kill();
        let id = instance.id.clone();
        drop(instance);
        let told = json!({"InstanceId": id, "ShouldDecrementDesiredCapacity": false});
        let operation = "terminate_instance_in_auto_scaling_group";
        ask(&self.venv, &self.cloud, "autoscaling", operation, &told)?;
        Ok(id)
    }

    /// The groups, as they were at the last look.
    #[must_use]
    pub fn groups(&self) -> &BTreeMap<u32, Group> {
        &self.groups
    }

    /// A node's instance.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn instance(&self, index: u32) -> anyhow::Result<&Instance> {
        self.running.get(&index).with_context(|| format!("node {index} has no instance"))
    }

    /// Where the clients of the nodes reach them.
    #[must_use]
    pub fn sdk(&self) -> BTreeMap<u32, SocketAddr> {
        self.running.keys().map(|index| (*index, self.network.at(*index, SDK_PORT))).collect()
    }

    /// Where the peers of a node reach it.
    #[must_use]
    pub fn mpc(&self, index: u32) -> SocketAddr {
        self.network.at(index, MPC_PORT)
    }

    /// What a node tells of itself.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub fn status(&self, index: u32) -> anyhow::Result<Value> {
        status_at(self.network.at(index, SDK_PORT))
    }

    /// Waits until a node answers.
    ///
    /// # Errors
    ///
    /// When it does not; the message ends with what its instance wrote.
    pub fn wait_until_up(&self, index: u32) -> anyhow::Result<()> {
        wait_until_it_answers(
            index,
            BOOT,
            || self.status(index),
            || self.running.get(&index).map(Instance::console).unwrap_or_default(),
        )
    }

    /// The files of the instances' disks that one of these texts stands in.
    ///
    /// # Errors
    ///
    /// When grep does not run.
    pub fn find_on_disks<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> anyhow::Result<Vec<String>> {
        let mut grep = Command::new("grep");
        grep.args(["--recursive", "--files-with-matches", "--fixed-strings", "--file=-"]);
        grep.args(self.running.values().map(Instance::disk)).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = grep.spawn().context("starting grep")?;
        let patterns = texts.into_iter().collect::<Vec<_>>().join("\n");
        child.stdin.take().context("no pipe")?.write_all(patterns.as_bytes())?;
        let found = child.wait_with_output()?;
        ensure!(matches!(found.status.code(), Some(0 | 1)), "grep failed ({})", found.status);
        Ok(String::from_utf8_lossy(&found.stdout).lines().map(str::to_owned).collect())
    }

    async fn boot(&self, group: &Group, id: &str) -> anyhow::Result<Instance> {
        let credentials = assume_role(&self.cloud, &group.role, id).await?;
        let role = group.role.rsplit('/').next().unwrap_or_default();
        let metadata = Metadata::of(role, &credentials)?;
        let folder = self.folder.path().join(id);
        std::fs::create_dir_all(folder.join("disk/etc"))?;
        std::fs::write(folder.join("user-data"), &group.user_data)?;
        let address = self.network.address(group.index);
        let description = json!({
            "id": id, "region": REGION, "endpoint": self.cloud.endpoint(), "metadata": metadata.endpoint(),
            "environment": {"STAND_IN_ADDRESS": address.to_string()},
            "findings": findings(), "watch": WATCH,
        });
        std::fs::write(folder.join("instance.json"), description.to_string())?;
        std::fs::write(folder.join("disk/etc/hosts"), self.names())?;
        let console = File::create(folder.join("console"))?;
        let child = alone()
            .arg(self.venv.program("python"))
            .arg(crate::repository().join("rig/instance/boot.py"))
            .arg(&folder)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .stdout(console.try_clone()?)
            .stderr(console)
            .process_group(0)
            .spawn()
            .context("starting an instance")?;
        Ok(Instance { id: id.to_owned(), child, metadata, credentials, folder })
    }

    /// What the names of all nodes lead to, for each instance's resolver.
    fn names(&self) -> String {
        let mut hosts = "127.0.0.1 localhost\n::1 localhost\n".to_owned();
        for (index, group) in &self.groups {
            for name in &group.names {
                let _ = writeln!(hosts, "{} {name}", self.network.address(*index));
            }
        }
        hosts
    }

    fn write_names(&self) -> anyhow::Result<()> {
        let names = self.names();
        for instance in self.running.values() {
            // Beside, then renamed: whoever looks a name up finds it.
            let hosts = instance.disk().join("etc/hosts");
            let fresh = hosts.with_extension("fresh");
            std::fs::write(&fresh, &names)?;
            std::fs::rename(&fresh, &hosts)?;
        }
        Ok(())
    }
}

/// An instance, as long as the value lives; its disk goes with it.
#[derive(Debug)]
pub struct Instance {
    /// Its id.
    pub id: String,
    child: Child,
    metadata: Metadata,
    credentials: Credentials,
    folder: PathBuf,
}

impl Instance {
    /// What its metadata service gives: the credentials of its profile's role.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Its metadata service.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// What of its disk is its own: `etc`, `usr/local/bin`, `var/lib`, `var/log`.
    #[must_use]
    pub fn disk(&self) -> PathBuf {
        self.folder.join("disk")
    }

    /// What it wrote: user data, its units, and what those run.
    #[must_use]
    pub fn console(&self) -> String {
        let logs = std::fs::read_dir(self.disk().join("var/log/keyboot-node"));
        let logs = logs.into_iter().flatten().flatten().map(|entry| entry.path());
        let wrote = std::iter::once(self.folder.join("console")).chain(logs);
        wrote.map(|path| std::fs::read_to_string(path).unwrap_or_default()).collect()
    }

    /// Whether user data ended well; `None` while it runs.
    #[must_use]
    pub fn has_booted(&self) -> Option<bool> {
        let told = std::fs::read_to_string(self.folder.join("booted")).ok()?;
        Some(told.contains("well"))
    }

    /// Waits for the end of user data, and tells whether it ended well.
    ///
    /// # Errors
    ///
    /// When it does not end.
    pub async fn booted(&self) -> anyhow::Result<bool> {
        let started = Instant::now();
        while started.elapsed() < BOOT {
            if let Some(ended) = self.has_booted() {
                return Ok(ended);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("user data does not end:\n{}", self.console())
    }

    /// Its first process: the one child of what keeps its namespaces.
    fn first_process(&self) -> Option<Pid> {
        let id = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok().map(Pid::from_raw)
    }

    fn kill(&mut self) {
        // What keeps the namespaces takes the first process with it, and that all others.
        if let Ok(group) = i32::try_from(self.child.id()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(first) = self.first_process() {
            let _ = kill(first, Signal::SIGTERM);
            let asked = Instant::now();
            while asked.elapsed() < SHUTDOWN && matches!(self.child.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        self.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Drop for Instances {
    fn drop(&mut self) {
        // All are told before one is waited for.
        for first in self.running.values().filter_map(Instance::first_process) {
            let _ = kill(first, Signal::SIGTERM);
        }
    }
}

/// Namespaces of mounts and processes for a command, which ends with whoever started it, however that ends.
fn alone() -> Command {
    let mut command = Command::new(if geteuid().is_root() { "setpriv" } else { "unshare" });
    if !geteuid().is_root() {
        // Root there, and users of its own: those that /etc/subuid gives to who runs this.
        command.args(["--map-root-user", "--map-auto", "setpriv"]);
    }
    command.args(["--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child=KILL"]);
    command.arg("--mount-proc");
    command
}

/// What of the host is accepted to be missing.
fn findings() -> Vec<&'static str> {
    if geteuid().is_root() { FINDINGS.to_vec() } else { ACCEPTED.to_vec() }
}

/// Loopback addresses for the nodes of one stack: `127.<a>.<b>.<1 + index>`. More stacks at once have others.
#[derive(Clone, Copy, Debug)]
struct Network([u8; 2]);

impl Network {
    fn free() -> anyhow::Result<Self> {
        static TAKEN: AtomicU32 = AtomicU32::new(0);
        // From this process's id on, so that those who look at the same time begin elsewhere.
        let first = std::process::id().wrapping_mul(31);
        let mut candidates = (0..200).map(|_| {
            let step = TAKEN.fetch_add(1, Ordering::Relaxed);
            let [low, high, ..] = first.wrapping_add(step).to_le_bytes();
            Self([1 + high % 254, low])
        });
        let is_free =
            |network: &Self| (0..4).all(|index| TcpListener::bind(network.at(index, SDK_PORT)).is_ok());
        candidates.find(is_free).context("no free loopback addresses for instances")
    }

    fn address(self, index: u32) -> Ipv4Addr {
        let [a, b] = self.0;
        Ipv4Addr::new(127, a, b, u8::try_from(index + 1).unwrap_or(u8::MAX))
    }

    fn at(self, index: u32, port: u16) -> SocketAddr {
        SocketAddrV4::new(self.address(index), port).into()
    }
}
