//! Builds what is measured, as it would be deployed.
//!
//! Rust functions are built as `cargo xtask package` builds them, for this machine's processor.
//! node-keys is built twice: a deployed build talks to AWS's endpoints and to nothing else, so what it
//! does with AWS is measured on a build of the same profile with the feature `local`. keyboot-node is as
//! well, by cargo alone: it is no function, and runs where it was built for.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail, ensure};
use rig::functions::{self, cargo};
use rig::programs::KEYBOOT_NODE;
use rig::python::Venv;

use crate::subject::Programs;
use crate::terminal::{headline, say};

/// The functions that are built as they are deployed, the quick ones first.
const DEPLOYED: [&str; 4] = ["sdk-less", "unanswered", "key-rotation", "node-keys"];

/// Builds everything, or finds what was built before.
pub(crate) fn build(again: bool) -> Result<Programs> {
    headline("the Python function's packages");
    let python = Venv::measured()?;
    let (deployed, local) = (home().join("deployed"), home().join("local"));
    if again {
        let venv = Venv::packaging()?;
        let target = target()?;
        for name in DEPLOYED {
            headline(&format!("{name} as it is deployed (the link of one with an SDK takes some minutes)"));
            functions::build_deployed(&venv, name, &[], target, &deployed)?;
        }
        headline("node-keys with the feature `local` (which takes them again)");
        functions::build_deployed(&venv, "node-keys", &["local"], target, &local)?;
        headline("keyboot-node, as it is deployed and with the feature `local` (some minutes each)");
        build_node(&[], &deployed)?;
        build_node(&["--features", "local"], &local)?;
    } else {
        say("measuring what was built before");
    }
    Ok(Programs {
        sdk_less: bootstrap(&deployed, "sdk-less")?,
        shipped: bootstrap(&deployed, "node-keys")?,
        local: bootstrap(&local, "node-keys")?,
        keyboot_node: built(local.join(KEYBOOT_NODE))?,
        stopwatch: stopwatch()?,
        interpreter: python.program("python"),
    })
}

/// The size of a function's archive as `cargo xtask package` makes it, in bytes.
pub(crate) fn archive_size(name: &str) -> Result<usize> {
    let program = bootstrap(&home().join("deployed"), name)?;
    let program = std::fs::read(&program).with_context(|| format!("reading {}", program.display()))?;
    Ok(functions::pack_small([("bootstrap", program)])?.len())
}

/// The size of keyboot-node as it is deployed, in bytes.
pub(crate) fn node_size() -> Result<u64> {
    let program = built(home().join("deployed").join(KEYBOOT_NODE))?;
    Ok(program.metadata().with_context(|| format!("looking at {}", program.display()))?.len())
}

/// Builds keyboot-node in the profile that functions are deployed in, and keeps it in a folder.
fn build_node(features: &[&str], programs: &Path) -> Result<()> {
    let profile = "lambda";
    let mut build = cargo();
    build.args(["build", "--locked", "--profile", profile, "--package", KEYBOOT_NODE]).args(features);
    let status = build.stdin(Stdio::null()).status().context("starting cargo")?;
    ensure!(status.success(), "cargo could not build {KEYBOOT_NODE} ({status})");
    let (product, kept) =
        (rig::home().with_file_name(profile).join(KEYBOOT_NODE), programs.join(KEYBOOT_NODE));
    std::fs::copy(&product, &kept).with_context(|| format!("copying {}", product.display()))?;
    Ok(())
}

/// Builds the stopwatch, which takes a second: it shares its packages with this program.
fn stopwatch() -> Result<PathBuf> {
    let name = "stopwatch";
    let mut build = cargo();
    build.args(["build", "--quiet", "--locked", "--package", env!("CARGO_PKG_NAME"), "--bin", name]);
    let status = build.stdin(Stdio::null()).status().context("starting cargo")?;
    ensure!(status.success(), "cargo could not build the {name} ({status})");
    Ok(rig::home().with_file_name("debug").join(name))
}

/// Where all this is kept: `bench/` below the target folder.
pub(crate) fn home() -> PathBuf {
    rig::home().with_file_name("bench")
}

fn target() -> Result<&'static str> {
    Ok(match std::env::consts::ARCH {
        "x86_64" => "x86_64-unknown-linux-gnu",
        "aarch64" => "aarch64-unknown-linux-gnu",
        other => bail!("Lambda has no processors of the kind {other}"),
    })
}

fn bootstrap(programs: &Path, name: &str) -> Result<PathBuf> {
    built(programs.join(name).join("bootstrap"))
}

fn built(path: PathBuf) -> Result<PathBuf> {
    ensure!(path.exists(), "{} has not been built: leave out --no-build", path.display());
    Ok(path)
}
