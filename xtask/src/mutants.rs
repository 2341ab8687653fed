//! `cargo xtask mutants`: are the tests any good? Faults are put into the libraries, one at a time,
//! and some test has to notice each. It takes hours, so it is never a part of `cargo xtask test`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use clap::Args;
use rig::functions::cargo;
use rig::python::Venv;

use crate::checks::with_programs_of;
use crate::terminal::{headline, say, step};

/// The version of cargo-mutants, which has no wheel and is compiled when it is first needed.
const VERSION: &str = "27.1.0";

/// The libraries that decide something, the quickest first.
const CRATES: &[&str] = &["rotation", "key-material", "custom-resource", "provisioning", "reading"];

/// What cargo-mutants ends with when a mutant was missed, and when one ran out of time.
const SURVIVORS: [Option<i32>; 2] = [Some(2), Some(3)];

/// Which faults are tried.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The crates; all that have mutants, if none is given
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(CRATES))]
    crates: Vec<String>,
    /// Only this part of the mutants: `k/n`, k from 0
    #[arg(long)]
    shard: Option<String>,
    /// Only mutants whose name matches this regular expression
    #[arg(long)]
    only: Option<String>,
    /// Only mutants that were not caught the last time
    #[arg(long)]
    again: bool,
}

/// Tries the mutants of each crate, and fails when one survives.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    headline("keyboot mutants");
    let venv = step("Python environment with cargo-nextest", Venv::ready)?;
    let tool = ready()?;
    let crates: Vec<&str> = if options.crates.is_empty() {
        CRATES.to_vec()
    } else {
        options.crates.iter().map(String::as_str).collect()
    };
    let mut survivors = Vec::new();
    for name in crates {
        headline(name);
        let mut runs = features(name).iter().enumerate();
        // What one set of features left over is tried with the next: a function may be there for a
        // feature or for its absence only.
        let caught = runs.try_fold(false, |caught, (number, features)| {
            let again = options.again || number > 0;
            if caught { Ok(true) } else { are_caught(options, &venv, &tool, name, features, again) }
        })?;
        survivors.extend((!caught).then_some(name));
    }
    if !survivors.is_empty() {
        bail!("mutants survived in {}; target/mutants has the list", survivors.join(", "));
    }
    say("no mutant survived");
    Ok(())
}

/// The features under which the tests of a crate are run.
fn features(name: &str) -> &'static [&'static str] {
    match name {
        "custom-resource" => &["local", ""],
        _ => &[""],
    }
}

/// Whether every mutant of a crate is caught.
fn are_caught(
    options: &Options,
    venv: &Venv,
    tool: &Path,
    name: &str,
    features: &str,
    again: bool,
) -> anyhow::Result<bool> {
    let output = output();
    let mut command = Command::new(tool);
    with_programs_of(venv, &mut command)
        .current_dir(rig::repository())
        .stdin(Stdio::null())
        .env("KEYBOOT_PYTHON", venv.program("python"))
        // A copy of the tree is mutated; what it is built of is kept, so that the next run is quicker.
        .env("CARGO_TARGET_DIR", output.join("build"))
        .env("CARGO_PROFILE_DEV_DEBUG", "none")
        .env("CARGO_PROFILE_TEST_DEBUG", "none")
        .env("NEXTEST_PROFILE", "mutants")
        // One at a time: the compiler and the tests use what cores there are.
        .args(["mutants", "--jobs", "1", "--package", name, "--output"])
        .arg(output.join(name));
    if again {
        command.arg("--iterate");
    }
    if !features.is_empty() {
        command.args(["--features", features]);
    }
    if let Some(shard) = &options.shard {
        command.args(["--sharding", "round-robin", "--shard", shard]);
    }
    if let Some(name) = &options.only {
        command.args(["--re", name]);
    }
    let status = command.status().context("starting cargo-mutants")?;
    match status.code() {
        Some(0) => Ok(true),
        code if SURVIVORS.contains(&code) => Ok(false),
        _ => bail!("cargo-mutants failed ({status}); what it says is above"),
    }
}

/// The program, compiled if this machine does not have it yet.
fn ready() -> anyhow::Result<PathBuf> {
    let root = rig::home().with_file_name("tools");
    let program = root.join("bin/cargo-mutants");
    let version = Command::new(&program).args(["mutants", "--version"]).output();
    let present = version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(VERSION));
    if present {
        return Ok(program);
    }
    step(
        &format!("cargo-mutants {VERSION}, from crates.io: it has no wheel, so it is compiled once"),
        || {
            let mut command = cargo();
            command.args([
                "install",
                "cargo-mutants",
                "--version",
                &format!("={VERSION}"),
                "--locked",
                "--quiet",
            ]);
            let output =
                command.arg("--root").arg(root).stdin(Stdio::null()).output().context("starting cargo")?;
            if !output.status.success() {
                bail!("it could not be installed:\n{}", String::from_utf8_lossy(&output.stderr));
            }
            Ok(())
        },
    )?;
    Ok(program)
}

/// Where the results go, and what is built on the way.
fn output() -> PathBuf {
    rig::home().with_file_name("mutants")
}
