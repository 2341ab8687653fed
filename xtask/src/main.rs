//! `cargo xtask …`: the project's own commands.

mod bench;
mod checks;
mod demo;
mod fuzz;
mod mutants;
mod package;
mod picture;
mod terminal;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What keyboot's developers and first users run.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures node-keys beside a Rust function without an SDK and one in Python (`--help` tells more)
    #[command(disable_help_flag = true)]
    Bench(bench::Options),
    /// Starts a local AWS, deploys the KMS Stack, makes a cluster's keys and shows them
    Demo(demo::Options),
    /// Tries the fuzz targets on inputs that libFuzzer makes up (needs a nightly compiler)
    Fuzz(fuzz::Options),
    /// Puts faults into the libraries, one at a time, and says which no test notices (takes hours)
    Mutants(mutants::Options),
    /// Builds the functions for Lambda and writes the templates for deploying; the Core Stack's with --database-roots
    Package(package::Options),
    /// Draws the picture in the README from its text
    Picture(picture::Options),
    /// Runs every check and every test
    Test(checks::Options),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Bench(options) => bench::run(&options),
        Command::Demo(options) => demo::run(&options),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Mutants(options) => mutants::run(&options),
        Command::Package(options) => package::run(&options),
        Command::Picture(options) => picture::run(&options),
        Command::Test(options) => checks::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::complain(&error);
            ExitCode::FAILURE
        }
    }
}
