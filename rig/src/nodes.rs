//! Stand-in nodes of a cluster on this machine, each under `keyboot-node watch` with a role of its own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use aws_credential_types::Credentials;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use provisioning::names::{ClusterName, Purpose};
use serde_json::{Value, json};
use stand_in::ApiKeys;
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::cloud::{Cloud, REGION};
use crate::programs;
use crate::service::free_port;
use crate::stack::Deployed;

/// The account of the local AWS.
pub const ACCOUNT: &str = "000000000000";
/// What of a developer's machine, or of a container, is not as a node's host has to be.
pub const ACCEPTED: [&str; 8] = [
    "command-is-root",
    "memory-not-locked",
    "metadata-reachable",
    "private-files-swap",
    "proc-visible",
    "ptrace",
    "shared-user",
    "swap",
];
/// How often the nodes look, and how long each has for starting again.
const POLL_SECONDS: u64 = 1;
const STAGGER_SECONDS: u64 = 4;
/// How long a node may take to answer for the first time.
const START: Duration = Duration::from_secs(30);

/// The ARN of a node's role.
#[must_use]
pub fn role_of_node(index: u32) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/node-{index}")
}

/// The ARN of the API client's role.
#[must_use]
pub fn role_of_client() -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/client")
}

/// The ports of a node.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// Where its peers reach it.
    pub mpc: u16,
    /// Where its API clients reach it.
    pub sdk: u16,
}

/// How the nodes get their secrets, in the words of the configuration.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum How {
    /// `environment`
    Environment,
    /// `memory-file`
    MemoryFile,
    /// `private-file`
    PrivateFile,
}

/// Nodes of a cluster on this machine; they end with this value.
#[derive(Debug)]
pub struct Nodes {
    cloud: Cloud,
    endpoint: String,
    cluster: ClusterName,
    pin: [String; 2],
    sealed_under: Vec<String>,
    how: How,
    reloads: bool,
    ports: BTreeMap<u32, Ports>,
    running: BTreeMap<u32, Child>,
    folder: TempDir,
}

impl Nodes {
    /// Prepares for nodes with indexes from 0 to `most - 1`, of which none is started yet.
    ///
    /// # Errors
    ///
    /// When the stack does not tell the key that signs, or no port is free.
    pub async fn of(
        cloud: &Cloud,
        stack: &Deployed,
        cluster: &ClusterName,
        most: u32,
        how: How,
    ) -> anyhow::Result<Self> {
        let signer = stack.output("RecordKeyArn")?.to_owned();
        let key = cloud.kms().get_public_key().key_id(&signer).send().await?.public_key;
        let key = STANDARD.encode(key.context("KMS gave no public key")?.as_ref());
        let ports = (0..most).map(|index| Ok((index, Ports { mpc: free_port()?, sdk: free_port()? })));
        std::fs::create_dir_all(crate::home())?;
        Ok(Self {
            cloud: cloud.clone(),
            endpoint: cloud.endpoint().to_owned(),
            cluster: cluster.clone(),
            pin: [signer, key],
            sealed_under: vec![stack.output("KmsKeyArn")?.to_owned()],
            how,
            reloads: true,
            ports: ports.collect::<anyhow::Result<_>>()?,
            running: BTreeMap::new(),
            folder: tempfile::Builder::new().prefix("nodes-").tempdir_in(crate::home())?,
        })
    }

    /// The same nodes, who reach the local AWS by another endpoint.
    #[must_use]
    pub fn through(self, endpoint: &str) -> Self {
        // `self` ends its nodes when it is dropped, so it is changed in place.
        let mut nodes = self;
        endpoint.clone_into(&mut nodes.endpoint);
        nodes
    }

    /// The same nodes of a cluster whose secrets are not sealed.
    #[must_use]
    pub fn without_envelopes(self) -> Self {
        let mut nodes = self;
        nodes.sealed_under.clear();
        nodes
    }

    /// The same nodes, as if they did not read their configuration again.
    #[must_use]
    pub fn without_reloads(self) -> Self {
        let mut nodes = self;
        nodes.reloads = false;
        nodes
    }

    /// The ports of the nodes.
    #[must_use]
    pub fn ports(&self) -> &BTreeMap<u32, Ports> {
        &self.ports
    }

    /// Where the nodes' files are: configurations, logs, state.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What a node and its keyboot-node wrote.
    #[must_use]
    pub fn log(&self, index: u32) -> PathBuf {
        self.folder.path().join(format!("node-{index}.log"))
    }

    /// The process of a node's `keyboot-node watch`.
    #[must_use]
    pub fn watcher(&self, index: u32) -> Option<u32> {
        self.running.get(&index).map(Child::id)
    }

    /// Has all nodes believe that it is so much later.
    ///
    /// # Errors
    ///
    /// When the file that tells them cannot be written.
    pub fn set_ahead(&self, seconds: i64) -> anyhow::Result<()> {
        Ok(std::fs::write(self.folder.path().join("ahead"), seconds.to_string())?)
    }

    /// Gives a node its role, as the stack means it, and starts it.
    ///
    /// # Errors
    ///
    /// When it does not come up; the message ends with its log.
    pub async fn start(&mut self, stack: &Deployed, index: u32) -> anyhow::Result<()> {
        let credentials = self.credentials(stack, index).await?;
        let log = File::create(self.log(index))?;
        let child = self
            .keyboot_node("watch", index, &credentials)?
            .arg("--")
            .arg(programs::path(programs::STAND_IN)?)
            .arg("node")
            .arg(self.rendered(index))
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .context("starting keyboot-node")?;
        self.running.insert(index, child);
        self.wait_until_up(index)
    }

    /// The credentials of a node's role, which the stack's policy is attached to.
    ///
    /// # Errors
    ///
    /// When the stack has no such node, or IAM refuses.
    pub async fn credentials(&self, stack: &Deployed, index: u32) -> anyhow::Result<Credentials> {
        let policy = stack.output(&format!("Node{index}ReaderPolicyArn"))?;
        assume_with(&self.cloud, &format!("node-{index}"), policy).await
    }

    /// keyboot-node in one of its modes, configured for a node.
    ///
    /// # Errors
    ///
    /// When it has not been built, or there is no such node.
    pub fn keyboot_node(&self, mode: &str, index: u32, credentials: &Credentials) -> anyhow::Result<Command> {
        let config = self.folder.path().join(format!("node-{index}.toml"));
        std::fs::write(&config, self.config(index)?)?;
        // It ends with this process, however that ends.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "TERM"])
            .arg(programs::path(programs::KEYBOOT_NODE)?)
            .arg(mode)
            .arg("--config")
            .arg(&config)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("AWS_ACCESS_KEY_ID", credentials.access_key_id())
            .env("AWS_SECRET_ACCESS_KEY", credentials.secret_access_key())
            .envs(credentials.session_token().map(|token| ("AWS_SESSION_TOKEN", token)))
            .env("KEYBOOT_NODE_SECONDS_AHEAD_FILE", self.folder.path().join("ahead"))
            .stdin(Stdio::null());
        Ok(command)
    }

    /// Waits until a node answers.
    ///
    /// # Errors
    ///
    /// When it does not; the message ends with its log.
    pub fn wait_until_up(&self, index: u32) -> anyhow::Result<()> {
        wait_until_it_answers(
            index,
            START,
            || self.status(index),
            || std::fs::read_to_string(self.log(index)).unwrap_or_default(),
        )
    }

    /// What a node tells of itself.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub fn status(&self, index: u32) -> anyhow::Result<Value> {
        let port = self.ports.get(&index).context("no such node")?.sdk;
        status_at((Ipv4Addr::LOCALHOST, port).into())
    }

    /// Sends a signal to a node's `keyboot-node watch`.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn signal(&self, index: u32, signal: Signal) -> anyhow::Result<()> {
        let pid = self.watcher(index).context("the node was not started")?;
        Ok(kill(Pid::from_raw(i32::try_from(pid)?), signal)?)
    }

    /// Ends a node.
    ///
    /// # Errors
    ///
    /// When it was not started.
    pub fn stop(&mut self, index: u32) -> anyhow::Result<()> {
        end(&mut self.running.remove(&index).context("the node was not started")?);
        Ok(())
    }

    /// Where keyboot-node writes what the node reads.
    #[must_use]
    pub fn rendered(&self, index: u32) -> PathBuf {
        self.folder.path().join(format!("config-{index}.toml"))
    }

    fn config(&self, index: u32) -> anyhow::Result<String> {
        let folder = self.folder.path();
        let how = match self.how {
            How::Environment => "how = \"environment\"".to_owned(),
            How::MemoryFile => "how = \"memory-file\"".to_owned(),
            How::PrivateFile => {
                let directory = private_folder(index)?;
                format!("how = \"private-file\"\ndirectory = \"{}\"", directory.display())
            }
        };
        let Ports { mpc, sdk } = self.ports.get(&index).context("no such node")?;
        let [signer, key] = &self.pin;
        let mut text = format!(
            "cluster = \"{}\"\nindex = {index}\nregion = \"{REGION}\"\nformat = \"tsm\"\nstate = \"{}\"\n\
             accepted-findings = {ACCEPTED:?}\nsealed-under = [{}]\n\n[[pin]]\nsigner = \"{signer}\"\npublic-key = \"{key}\"\n\n\
             [delivery]\n{how}\n\n\
             [watch]\npoll-seconds = {POLL_SECONDS}\nstagger-seconds = {STAGGER_SECONDS}\nstop-seconds = 5\n\
             reloads = {}\n\n[tsm]\ntakes-files = true\nconfig = \"{}\"\n\n[tsm.layout]\nmpc-port = {mpc}\nsdk-port = {sdk}\n\
             management-port = 0\n\n\
             [tsm.layout.addresses]\n",
            self.cluster,
            folder.join(format!("state-{index}")).display(),
            self.sealed_under.iter().map(|key| format!("\"{key}\"")).collect::<Vec<_>>().join(", "),
            self.reloads,
            self.rendered(index).display(),
        );
        for (peer, ports) in &self.ports {
            let _ = writeln!(text, "{peer} = \"tcp://127.0.0.1:{}\"", ports.mpc);
        }
        Ok(text)
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        self.running.values_mut().for_each(end);
        for index in self.ports.keys() {
            let _ = std::fs::remove_dir_all(private_folder_path(*index));
        }
    }
}

/// What a node tells of itself at its SDK port.
/// Waits until a node tells of itself; if it does not, the message ends with what was written of it.
pub(crate) fn wait_until_it_answers(
    index: u32,
    time: Duration,
    status: impl Fn() -> anyhow::Result<Value>,
    written: impl FnOnce() -> String,
) -> anyhow::Result<()> {
    let started = Instant::now();
    while started.elapsed() < time {
        if status().is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("node {index} does not answer:\n{}", written())
}

pub(crate) fn status_at(address: SocketAddr) -> anyhow::Result<Value> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(b"GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let body = answer.split_once("\r\n\r\n").context("no HTTP answer")?.1;
    Ok(serde_json::from_str(body)?)
}

fn end(child: &mut Child) {
    let Ok(group) = i32::try_from(child.id()).map(Pid::from_raw) else { return };
    let _ = kill(group, Signal::SIGTERM);
    let asked = Instant::now();
    while asked.elapsed() < Duration::from_secs(8) && matches!(child.try_wait(), Ok(None)) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = killpg(group, Signal::SIGKILL);
    let _ = child.wait();
}

/// A folder that every user of this machine gets to and only this one writes to; it goes with the value.
///
/// # Errors
///
/// When it cannot be made.
pub fn open_folder(name: &str) -> anyhow::Result<TempDir> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::Builder::new().prefix(&format!("keyboot-{name}-")).tempdir()?;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
    Ok(folder)
}

/// A folder on a tmpfs for one node's files.
fn private_folder(index: u32) -> anyhow::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt as _;
    let path = private_folder_path(index);
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
    Ok(path)
}

fn private_folder_path(index: u32) -> PathBuf {
    PathBuf::from(format!("/dev/shm/keyboot-{}-node-{index}", std::process::id()))
}

/// A role that the account may take, with one policy, taken.
async fn assume_with(cloud: &Cloud, name: &str, policy: &str) -> anyhow::Result<Credentials> {
    make_role(cloud, name).await?;
    cloud.iam().attach_role_policy().role_name(name).policy_arn(policy).send().await?;
    assume(cloud, name).await
}

/// The API client's role, taken: what it reads are an application's keys of all nodes.
///
/// # Errors
///
/// When IAM refuses.
pub async fn as_client(
    cloud: &Cloud,
    cluster: &ClusterName,
    application: &str,
) -> anyhow::Result<ApiKeyReader> {
    const NAME: &str = "client";
    make_role(cloud, NAME).await?;
    let purpose = Purpose::ApiKey(application.parse()?);
    let secrets =
        format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{cluster}/node/*/{purpose}-??????");
    let policy = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": secrets},
        {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*",
         "Condition": {"StringLike": {"kms:EncryptionContext:SecretARN": secrets}}},
    ]});
    let call = cloud.iam().put_role_policy().role_name(NAME).policy_name("ReadApiKeys");
    call.policy_document(policy.to_string()).send().await?;
    let client = Cloud::with(cloud.endpoint(), assume(cloud, NAME).await?);
    Ok(ApiKeyReader { client, cluster: cluster.clone(), purpose })
}

/// An application's API keys, as its client reads them: anew for each call.
#[derive(Clone, Debug)]
pub struct ApiKeyReader {
    client: Cloud,
    cluster: ClusterName,
    purpose: Purpose,
}

impl ApiKeys for ApiKeyReader {
    async fn api_key(&self, index: u32) -> anyhow::Result<Zeroizing<String>> {
        let name = self.cluster.secret_name(index.to_string().parse()?, &self.purpose);
        let answer = self.client.secrets().get_secret_value().secret_id(name.as_str()).send().await;
        let answer = answer.with_context(|| format!("reading {name}"))?;
        Ok(Zeroizing::new(answer.secret_string.context("no text")?))
    }
}

async fn make_role(cloud: &Cloud, name: &str) -> anyhow::Result<()> {
    let statement = json!({"Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{ACCOUNT}:root")},
                           "Action": "sts:AssumeRole"});
    let trust = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
    cloud.iam().create_role().role_name(name).assume_role_policy_document(trust).send().await?;
    Ok(())
}

async fn assume(cloud: &Cloud, name: &str) -> anyhow::Result<Credentials> {
    assume_role(cloud, &format!("arn:aws:iam::{ACCOUNT}:role/{name}"), "rig").await
}

/// A role's credentials, for a session of this name.
///
/// # Errors
///
/// When it may not be taken.
pub async fn assume_role(cloud: &Cloud, arn: &str, session: &str) -> anyhow::Result<Credentials> {
    let session = cloud.sts().assume_role().role_arn(arn).role_session_name(session).send().await;
    let session = session.with_context(|| format!("taking {arn}"))?;
    let given = session.credentials.context("no credentials")?;
    Ok(Credentials::new(given.access_key_id, given.secret_access_key, Some(given.session_token), None, "rig"))
}
