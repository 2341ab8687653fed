//! keyboot's programs, and what stands in for a node's own, built for this machine.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use crate::functions::cargo;

/// keyboot-node as the rig needs it: it talks to the endpoint that it is told.
pub const KEYBOOT_NODE: &str = "keyboot-node";
/// keyboot-onprem as it is, but for the optimizer.
pub const KEYBOOT_ONPREM: &str = "keyboot-onprem";
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

/// Builds all of them in the development profile.
///
/// # Errors
///
/// When cargo fails.
pub fn build() -> anyhow::Result<()> {
    let mut cargo = cargo();
    cargo.args(["build", "--locked", "--package", KEYBOOT_NODE, "--features", "keyboot-node/local"]);
    cargo.args(["--package", KEYBOOT_ONPREM, "--package", STAND_IN]);
    let status = cargo.stdin(Stdio::null()).status().context("starting cargo")?;
    if !status.success() {
        bail!("cargo could not build keyboot's programs");
    }
    std::fs::create_dir_all(folder())?;
    for name in [KEYBOOT_NODE, KEYBOOT_ONPREM, STAND_IN] {
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
