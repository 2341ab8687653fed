//! Stands in for a node. See the library for what that means, and what it does not.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

/// Stands in for a node of a threshold-signing cluster, in tests and demonstrations. It is no TSM:
/// it signs nothing and keeps no key shares.
#[derive(Debug, Parser)]
#[command(name = "stand-in")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a node until SIGTERM; SIGHUP has it read its configuration again
    ///
    /// It is no TSM. It reads a TSM node's config.toml, with references such as {{ env `NAME` }} to
    /// variables that hold secrets (or `NAME_FILE`, to a file that does), and uses them: it proves itself
    /// to the other nodes with its P2P key, and accepts the API keys whose hashes it is given.
    /// Everything listens on 127.0.0.1, or on the address of loopback in `STAND_IN_ADDRESS`.
    ///
    /// Where its database is `PostgreSQL`, it logs in there and keeps a mark that stands for key shares.
    ///
    /// Called by the name tsm-node, it takes the config.toml alone, as the vendor's program does.
    Node {
        /// The config.toml
        config: PathBuf,
        /// Take so many MiB of memory besides, and write to all of it every second
        #[arg(long, value_name = "MiB")]
        mem: Option<usize>,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    surroundings::install_silent_panic_hook();
    match run(command()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            let _ = writeln!(std::io::stderr(), "stand-in: {fault:#}");
            ExitCode::FAILURE
        }
    }
}

/// What the command line says. A node's host knows the program by another name, under which there is one thing to do.
fn command() -> Command {
    let mut words: Vec<OsString> = std::env::args_os().collect();
    let name = words.first().map(PathBuf::from);
    if name.is_some_and(|name| name.file_name().is_some_and(|name| name == "tsm-node")) {
        words.insert(1, "node".into());
    }
    Arguments::parse_from(words).command
}

#[expect(clippy::disallowed_methods, reason = "which variables are read stands in the configuration")]
async fn run(command: Command) -> anyhow::Result<()> {
    let Command::Node { config, mem } = command;
    if let Some(mebibytes) = mem {
        stand_in::press(mebibytes).with_context(|| format!("taking {mebibytes} MiB of memory"))?;
    }
    Ok(stand_in::run(&config, &|variable| std::env::var_os(variable)).await?)
}
