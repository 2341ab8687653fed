//! `cargo xtask bench`: measures, in a program of its own, with options of its own.

use std::process::Stdio;

use anyhow::{Context as _, bail};
use clap::Args;
use rig::functions::cargo;

/// What is measured: `--help` shows it.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Handed on to the program that measures.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    arguments: Vec<String>,
}

/// Builds the program that measures, and runs it.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let mut command = cargo();
    command.args(["run", "--quiet", "--locked", "--package", "bench", "--"]).args(&options.arguments);
    let status = command.stdin(Stdio::null()).status().context("starting cargo")?;
    if !status.success() {
        bail!("nothing was measured to its end; the reason is above");
    }
    Ok(())
}
