//! Builds what is measured, as it would be deployed.
//!
//! Rust functions are built as `cargo xtask package` builds them, for this machine's processor.
//! node-keys is built twice: a deployed build talks to AWS's endpoints and to nothing else, so what it
//! does with AWS is measured on a build of the same profile with the feature `local`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use rig::functions;
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
    } else {
        say("measuring what was built before");
    }
    Ok(Programs {
        sdk_less: bootstrap(&deployed, "sdk-less")?,
        shipped: bootstrap(&deployed, "node-keys")?,
        local: bootstrap(&local, "node-keys")?,
        interpreter: python.program("python"),
    })
}

/// The size of a function's archive as `cargo xtask package` makes it, in bytes.
pub(crate) fn archive_size(name: &str) -> Result<usize> {
    let program = bootstrap(&home().join("deployed"), name)?;
    let program = std::fs::read(&program).with_context(|| format!("reading {}", program.display()))?;
    Ok(functions::pack_small([("bootstrap", program)])?.len())
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
    let path = programs.join(name).join("bootstrap");
    ensure!(path.exists(), "{} has not been built: leave out --no-build", path.display());
    Ok(path)
}
