//! `keyboot-node`: see the library.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus};

use aws::auditing::{AuditingWorld, Auditor};
use aws::reading::ReadingWorld;
use aws::sharing::SharingWorld;
use clap::{Args, Parser, Subcommand};
use keyboot_node::accept::{Outcome, accept_shares};
use keyboot_node::config::{Config, Overrides};
use keyboot_node::error::NodeError;
use keyboot_node::exec::{CommandLine, exec, rehearse};
use keyboot_node::formats::tsm;
use keyboot_node::log::say;
use keyboot_node::reader::Reader;
use keyboot_node::source::Source;
use keyboot_node::watch::{Launch, watch};
use keyboot_node::world::{LogOut as _, SourceWorld};
use keyboot_node::{clock, import, status, verify};
use vault::VaultReader;

/// Hands a node's keys to its process without touching a disk, and shows a cluster's public facts.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Fetch the node's secrets and become the command
    Exec(Exec),
    /// Keep the command running with what counts now: starts `exec` again when it has to be
    Watch(Run),
    /// Show the TSM node's config.toml, with references in place of secrets
    Render(Where),
    /// Show what is public of the cluster, every signature checked
    Status(Status),
    /// Check what there is against the signed documents, without reading a secret
    Verify(Status),
    /// Accept what another organization shares, where the configuration names sender and share
    Accept(Accept),
    /// Take peers' signed records that came as files
    Import(Import),
}

#[derive(Args, Debug)]
struct Where {
    /// The configuration, a TOML file
    #[arg(long, env = "KEYBOOT_NODE_CONFIG", default_value = "/etc/keyboot/node.toml")]
    config: PathBuf,
    /// The cluster, `<namespace>/<cluster>`, instead of the file's
    #[arg(long, env = "KEYBOOT_NODE_CLUSTER")]
    cluster: Option<String>,
    /// The node's index, instead of the file's
    #[arg(long, env = "KEYBOOT_NODE_INDEX")]
    index: Option<u32>,
    /// The Region of the stack, instead of the file's; of a cluster on a server it says nothing
    #[arg(long, env = "AWS_REGION")]
    region: Option<String>,
}

#[derive(Args, Debug)]
struct Run {
    #[command(flatten)]
    from: Where,
    /// The command and its arguments, after `--`
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

#[derive(Args, Debug)]
struct Exec {
    #[command(flatten)]
    run: Run,
    /// Fetch, convert and check, and start nothing
    #[arg(long)]
    dry_run: bool,
    /// The process of the `keyboot-node watch` that starts it: it ends with that one
    #[arg(long, hide = true, value_name = "PID")]
    watched: Option<u32>,
}

#[derive(Args, Debug)]
struct Status {
    #[command(flatten)]
    from: Where,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct Accept {
    #[command(flatten)]
    from: Where,
    /// Invitations to shares of Resource Access Manager: so far there is nothing else to accept
    #[arg(long, required = true)]
    share: bool,
}

#[derive(Args, Debug)]
struct Import {
    #[command(flatten)]
    from: Where,
    /// The records, each as it stands in its parameter
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    surroundings::install_silent_panic_hook();
    let mode = Arguments::parse().mode;
    #[cfg(not(feature = "local"))]
    if let Err(fault) = surroundings::refuse_tampered_environment(std::env::vars_os()) {
        say(&fault.to_string());
        return ExitCode::from(78);
    }
    match Box::pin(run(mode)).await {
        Ok(status) => status,
        Err(error) => {
            say(&error.to_string());
            error.exit_code()
        }
    }
}

async fn run(mode: Mode) -> Result<ExitCode, NodeError> {
    match mode {
        Mode::Exec(Exec { run, dry_run, watched }) => {
            let config = run.from.read()?;
            let (world, command) = (world(&config), command(run.command)?);
            // Where it has not come to the command, the login is still there.
            let end = if dry_run {
                rehearse(&world, &config, &command).await
            } else {
                exec(&world, &config, &command, watched).await.map(|never| match never {})
            };
            world.log_out().await;
            end.map(|()| ExitCode::SUCCESS)
        }
        Mode::Watch(run) => {
            let config = run.from.read()?;
            let launch = Launch {
                program: "/proc/self/exe".into(),
                arguments: run.from.to_arguments(),
                command: command(run.command)?,
            };
            let world = world(&config);
            let end = Box::pin(watch(&world, &config, &launch)).await;
            world.log_out().await;
            Ok(as_code(end?))
        }
        Mode::Render(from) => {
            let config = from.read()?;
            let world = world(&config);
            let view = Reader::new(&world, &config)?.view_of_the_node().await;
            world.log_out().await;
            let layout = config.tsm.clone().unwrap_or_default().layout;
            show(&tsm::render(&view?, config.index()?, clock::now(), &layout)?);
            Ok(ExitCode::SUCCESS)
        }
        Mode::Status(Status { from, json }) => {
            let config = from.read()?;
            let (world, now) = (world(&config), clock::now());
            let reader = Reader::new(&world, &config)?;
            let read =
                async { Ok((reader.view_without_keeping().await?, reader.database_login_status().await)) };
            let read: Result<_, NodeError> = read.await;
            world.log_out().await;
            let (view, login) = read?;
            show(&if json {
                format!("{:#}", status::to_json(&view, login.as_ref(), now))
            } else {
                status::to_text(&view, login.as_ref(), now)
            });
            Ok(if view.refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Mode::Verify(Status { from, json }) => {
            let config = from.read()?;
            let (world, now) = (world(&config), clock::now());
            let reader = Reader::new(&world, &config)?;
            let report = match &config.source {
                Source::Aws { region, .. } => {
                    verify::verify(&reader, &auditing(&config, region)?, &config, now).await
                }
                Source::Vault(_) => verify::verify_documents(&reader, &config, now).await,
            };
            world.log_out().await;
            let report = report?;
            show(&if json { format!("{:#}", verify::to_json(&report)) } else { verify::to_text(&report) });
            Ok(if report.is_without_fault() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Mode::Accept(Accept { from, share: _ }) => {
            let config = from.read()?;
            let Source::Aws { region, .. } = &config.source else {
                return Err(NodeError::Config(format!(
                    "there is nothing to accept from {}: shares are of Resource Access Manager, in AWS",
                    config.source
                )));
            };
            let outcomes = accept_shares(&sharing(region), &config.shares).await?;
            for outcome in &outcomes {
                show(&outcome.to_string());
            }
            let has_failed = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Failed(..)));
            Ok(if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
        }
        Mode::Import(Import { from, files }) => {
            let config = from.read()?;
            for file in files {
                let (index, kept) = import::import(&config, &file)?;
                show(&format!(
                    "{} is the record of node {index}: kept as {}",
                    file.display(),
                    kept.display()
                ));
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

impl Where {
    fn read(&self) -> Result<Config, NodeError> {
        let overrides =
            Overrides { cluster: self.cluster.clone(), index: self.index, region: self.region.clone() };
        Config::read(&self.config, &overrides)
    }

    /// The same for another process of this program.
    fn to_arguments(&self) -> Vec<OsString> {
        let mut arguments = vec!["--config".into(), self.config.clone().into_os_string()];
        let mut add = |name: &str, value: Option<String>| {
            arguments.extend(value.into_iter().flat_map(|value| [name.into(), value.into()]));
        };
        add("--cluster", self.cluster.clone());
        add("--index", self.index.map(|index| index.to_string()));
        add("--region", self.region.clone());
        arguments
    }
}

fn command(words: Vec<OsString>) -> Result<CommandLine, NodeError> {
    CommandLine::new(words).ok_or_else(|| NodeError::Config("a command is missing after `--`".into()))
}

/// What is read with. Nothing is asked yet, and of the other source nothing is built.
fn world(config: &Config) -> SourceWorld {
    match &config.source {
        Source::Aws { region, .. } => SourceWorld::Aws(Box::new(ReadingWorld::new(
            region,
            #[cfg(feature = "local")]
            endpoint(),
        ))),
        Source::Vault(settings) => SourceWorld::Vault(Box::new(VaultReader::new(settings.as_ref().clone()))),
    }
}

fn auditing(config: &Config, region: &str) -> Result<AuditingWorld, NodeError> {
    let signing_key = config.signer().parse();
    Ok(AuditingWorld::new(Auditor {
        region: region.to_owned(),
        signing_key: signing_key.map_err(|_| {
            NodeError::Config("the `signer` that is pinned first is not the ARN of a KMS key".into())
        })?,
        writers: config.audit.writers().cloned().collect(),
        #[cfg(feature = "local")]
        endpoint: endpoint(),
    }))
}

fn sharing(region: &str) -> SharingWorld {
    SharingWorld::new(
        region,
        #[cfg(feature = "local")]
        endpoint(),
    )
}

#[cfg(feature = "local")]
#[expect(clippy::disallowed_methods, reason = "this is where configuration is read")]
fn endpoint() -> Option<String> {
    std::env::var("AWS_ENDPOINT_URL").ok()
}

/// Writes what was asked for; a reader that has gone away wants no more.
fn show(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
}

/// A command's end as a shell tells it.
fn as_code(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
