//! `keyboot-node exec`: fetches what is the node's own, hands it over, and becomes the command.
//!
//! The command takes this process's place, so that nothing of ours stays in memory beside it, signals and
//! the exit status are its own, and no secret was ever an argument or written to a disk.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nix::unistd::User;
use reading::ports::World;

use crate::config::Config;
use crate::error::NodeError;
use crate::host::{self, Finding};
use crate::reader::Reader;
use crate::source::Source;
use crate::world::LogOut;
use crate::{clock, hardening, log};

/// What the command does not inherit: keyboot-node's own credentials and settings, by how the names begin.
const OWN: [&str; 8] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_CONTAINER_",
    "AWS_EC2_METADATA_",
    "AWS_ENDPOINT_URL",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "KEYBOOT_NODE_",
    // An older name, which is taken as well.
    "SECRET_ACCESS_KEY",
];
/// The same where the cluster is on a server. keyboot-node reads none of them: whoever starts it may have them, and
/// with them a token.
const OF_A_SERVER: [&str; 2] = ["BAO_", "VAULT_"];

/// What the process is called until it is the command.
pub(crate) const EXEC_NAME: &str = "keyboot-exec";

/// A program and its arguments.
#[derive(Clone, Debug)]
pub struct CommandLine {
    /// The program.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

impl CommandLine {
    /// Takes them apart; `None` where there is no program.
    #[must_use]
    pub fn new(words: Vec<OsString>) -> Option<Self> {
        let mut words = words.into_iter();
        Some(Self { program: words.next()?, arguments: words.collect() })
    }
}

/// Fetches, converts and checks as [`exec`] does, hands nothing over and starts nothing. It is
/// the command's user afterwards, to find out what that user reaches.
///
/// # Errors
///
/// [`NodeError`]: then [`exec`] would fail as well.
pub async fn rehearse(
    world: &(impl World + LogOut),
    config: &Config,
    command: &CommandLine,
) -> Result<(), NodeError> {
    config.refuse_what_is_said_twice(&command.arguments)?;
    let (user, mut findings) = prepare_host(config)?;
    // What runs now is the user's other process.
    findings.retain(|finding| finding.name != host::SHARED_USER);
    host::refuse(findings, &config.accepted_findings)?;
    let (reader, now) = (Reader::new(world, config)?, clock::now());
    let prepared = async { reader.prepare(&reader.view().await?, now).await }.await;
    world.log_out().await;
    drop(prepared?);
    // As the command's user would: this process ends, and may stop being root.
    if let Some(user) = &user {
        hardening::become_user(user)?;
    }
    host::refuse(reachable_login(config).into_iter().collect(), &config.accepted_findings)?;
    config.refuse_unreadable_roots()
}

/// Becomes the command.
///
/// `watcher` is the process of the `keyboot-node watch` that started it: then it ends with it.
///
/// # Errors
///
/// [`NodeError`]; it does not return otherwise.
pub async fn exec(
    world: &(impl World + LogOut),
    config: &Config,
    command: &CommandLine,
    watcher: Option<u32>,
) -> Result<std::convert::Infallible, NodeError> {
    hardening::call_itself(EXEC_NAME);
    config.refuse_what_is_said_twice(&command.arguments)?;
    let (user, findings) = prepare_host(config)?;
    tell(&host::refuse(findings, &config.accepted_findings)?);
    let (reader, now) = (Reader::new(world, config)?, clock::now());
    let view = reader.view().await?;
    for refusal in &view.refused {
        log::say(&format!("node {} is left out: {}", refusal.index, refusal.error));
    }
    for refusal in &view.kept {
        log::say(&format!("node {} is as it was believed before: {}", refusal.index, refusal.error));
    }
    let prepared = reader.prepare(&view, now).await;
    world.log_out().await;
    let prepared = prepared?;
    prepared.with.say(reader.state())?;
    prepared.with.write_public(config)?;
    let owner = user.as_ref().map(|user| (user.uid, user.gid));
    let delivered = config.delivery.deliver(&prepared.secrets, owner)?;
    // A value that was in the environment before must not come before the one that counts.
    let variables: Vec<String> = prepared
        .secrets
        .iter()
        .flat_map(|secret| [secret.variable.to_string(), secret.variable_of_file()])
        .collect();
    drop(prepared);
    if let Some(user) = &user {
        hardening::become_user(user)?;
    }
    hardening::gain_nothing()?;
    if let Some(watcher) = watcher {
        hardening::end_with_parent(watcher)?;
    }
    tell(&host::refuse(reachable_login(config).into_iter().collect(), &config.accepted_findings)?);
    config.refuse_unreadable_roots()?;
    let mut process = Command::new(&command.program);
    process.args(&command.arguments);
    for (name, _) in std::env::vars_os() {
        let is_own = name.to_str().is_some_and(|name| {
            is_own(&config.source, name) || variables.iter().any(|variable| variable == name)
        });
        if is_own {
            process.env_remove(name);
        }
    }
    process.envs(config.format()?.settings().iter().copied());
    // EXPOSE: to the command's environment, as configured; values or paths of what holds them.
    process.envs(delivered.variables());
    let error = process.exec();
    drop(delivered);
    Err(NodeError::Command { command: command.program.display().to_string(), error })
}

/// Whether a variable is keyboot-node's own.
fn is_own(source: &Source, name: &str) -> bool {
    let begins = |names: &[&str]| names.iter().any(|own| name.starts_with(own));
    begins(&OWN) || matches!(source, Source::Vault(_)) && begins(&OF_A_SERVER)
}

/// Whether the command's user could read what keyboot-node reads, as keyboot-node does. To be asked as that user.
fn reachable_login(config: &Config) -> Option<Finding> {
    match &config.source {
        Source::Aws { .. } => host::reachable_metadata(),
        Source::Vault(settings) => host::readable_login(settings.login.file()),
    }
}

/// Protects this process, and looks who the command is to be and what of the host is missing.
fn prepare_host(config: &Config) -> Result<(Option<User>, Vec<Finding>), NodeError> {
    let user = config.user.as_deref().map(find_user).transpose()?;
    let mut findings = hardening::lock()?;
    findings.extend(host::missing(&host::Context::of(&config.delivery, user.as_ref())));
    Ok((user, findings))
}

fn find_user(name: &str) -> Result<User, NodeError> {
    match User::from_name(name) {
        Ok(Some(user)) => Ok(user),
        Ok(None) => Err(NodeError::Config(format!("`user`: there is no user {name} on this host"))),
        Err(error) => Err(NodeError::Config(format!("`user`: {name} cannot be looked up: {error}"))),
    }
}

fn tell(accepted: &[Finding]) {
    if accepted.is_empty() {
        return;
    }
    let names: Vec<_> = accepted.iter().map(|finding| finding.name).collect();
    log::say(&format!("missing on this host, and accepted by the configuration: {}", names.join(", ")));
}
