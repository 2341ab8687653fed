//! The words that keyboot-onprem is called with, and which module does what they ask for.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::Config;
use crate::error::OnpremError;
use crate::{doctor, grant, init, policies, provision, remove, rotate, show, signer};

/// Makes the keys of a cluster or a chain on one's own servers, in Vault or `OpenBao`. Shows none.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Arguments {
    #[command(flatten)]
    from: Where,
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Args, Debug)]
struct Where {
    /// The configuration, a TOML file
    #[arg(
        long,
        global = true,
        env = "KEYBOOT_ONPREM_CONFIG",
        default_value = "/etc/keyboot/onprem.toml",
        value_name = "FILE"
    )]
    config: PathBuf,
}

impl Where {
    fn read(&self) -> Result<Config, OnpremError> {
        Config::read(&self.config)
    }
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Bring clusters and chains to what a declaration says: make, restore, let go, take over
    Provision(provision::Options),
    /// Show what is public of what a declaration names: addresses, enodes, peer ids, fingerprints
    Show(show::Options),
    /// Replace a key of a chain's role or of a node, in steps
    Rotate(rotate::Options),
    /// Let go of a whole cluster or chain, by the rules of its declaration
    Remove(remove::Options),
    /// Set a server up for production, once: initialise, open, furnish, revoke the root token
    Init(init::Options),
    /// Make a login for a role: a secret id that is good once, wrapped
    Grant(grant::Options),
    /// Show the policies that `init` writes
    Policies(policies::Options),
    /// What Web3Signer needs to sign with a role's key: a token for it, and the server's fingerprint
    Signer(signer::Options),
    /// Look for what of this host, and of the server, would let a key out: each with its remedy
    Doctor(doctor::Options),
}

/// Does what is asked for, and says how the process ends.
///
/// # Errors
///
/// [`OnpremError`], which says why it was not done.
pub async fn run(arguments: Arguments) -> Result<ExitCode, OnpremError> {
    let Arguments { from, mode } = arguments;
    match mode {
        Mode::Provision(options) => provision::run(&options, &from.read()?).await,
        Mode::Show(options) => show::run(&options, &from.read()?).await,
        Mode::Rotate(options) => rotate::run(&options, &from.read()?).await,
        Mode::Remove(options) => remove::run(&options, &from.read()?).await,
        Mode::Init(options) => init::run(&options, &from.read()?).await,
        Mode::Grant(options) => grant::run(&options, &from.read()?).await,
        Mode::Policies(options) => policies::run(&options, &from.read()?),
        Mode::Signer(options) => signer::run(&options, from.read()).await,
        Mode::Doctor(options) => Ok(doctor::run(&options, &from.config).await),
    }
}
