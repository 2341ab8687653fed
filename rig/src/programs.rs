//! The programs that run beside or as a node, built for this machine.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use crate::functions::cargo;

/// keyboot-node as the rig needs it: it talks to the endpoint that it is told.
pub const KEYBOOT_NODE: &str = "keyboot-node";
/// What stands in for a node's own program.
pub const STAND_IN: &str = "stand-in";

/// A program that [`build`] made.
///
/// # Errors
///
/// When it has not been built.
pub fn path(name: &str) -> anyhow::Result<PathBuf> {
    let path = folder().join(name);
    if path.exists() {
        Ok(path)
    } else {
        bail!("{} has not been built: run the tests with `cargo xtask test`", path.display())
    }
}

/// Builds both in the development profile.
///
/// # Errors
///
/// When cargo fails.
pub fn build() -> anyhow::Result<()> {
    let mut cargo = cargo();
    cargo.args(["build", "--locked", "--package", KEYBOOT_NODE, "--features", "keyboot-node/local"]);
    let status =
        cargo.args(["--package", STAND_IN]).stdin(Stdio::null()).status().context("starting cargo")?;
    if !status.success() {
        bail!("cargo could not build what runs on a node");
    }
    std::fs::create_dir_all(folder())?;
    for name in [KEYBOOT_NODE, STAND_IN] {
        let (product, kept) = (crate::home().with_file_name("debug").join(name), folder().join(name));
        // Beside, then renamed: a program that runs cannot be written.
        let fresh = kept.with_extension("fresh");
        std::fs::copy(&product, &fresh).with_context(|| format!("copying {}", product.display()))?;
        // Without symbols what an instance downloads is a fraction; they work as well with them.
        let _ = Command::new("strip").arg(&fresh).stdout(Stdio::null()).stderr(Stdio::null()).status();
        std::fs::rename(&fresh, &kept)?;
    }
    Ok(())
}

fn folder() -> PathBuf {
    crate::home().join("programs")
}
