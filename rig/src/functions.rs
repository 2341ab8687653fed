//! Our Lambda functions, built for this machine and packed as Lambda takes them.

use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};
use zip::write::SimpleFileOptions;

use crate::python::Venv;

/// Every function of the KMS Stack's template, by the name of its package.
pub const ALL: [&str; 3] = ["key-rotation", "node-keys", "unanswered"];
/// Every function of the Core Stack's.
pub const CORE: [&str; 1] = ["database-login"];

/// The level of compression at which the zip library lets zopfli go over the files three times: deflate
/// that everybody reads, and three hundredths smaller than at the levels before. More rounds find nothing.
const SMALLEST: i64 = 12;

/// How a function is built.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Build {
    /// As it is deployed, but for the optimizer: without the feature `local`.
    Deployable,
    /// For the rig: it talks to the endpoint it is told, and answers on loopback.
    Local,
}

impl Build {
    /// The folder of its artifacts below the rig's.
    fn folder(self) -> PathBuf {
        crate::home().join("functions").join(match self {
            Self::Deployable => "deployable",
            Self::Local => "local",
        })
    }
}

/// The program of a function that [`build`] made.
///
/// # Errors
///
/// When it has not been built.
pub fn bootstrap(name: &str, build: Build) -> anyhow::Result<PathBuf> {
    let path = build.folder().join(name).join("bootstrap");
    if path.exists() {
        Ok(path)
    } else {
        bail!("{} has not been built: run the tests with `cargo xtask test`", path.display())
    }
}

/// The zip of a function that [`build`] made.
///
/// # Errors
///
/// When it has not been built.
pub fn archive(name: &str, build: Build) -> anyhow::Result<PathBuf> {
    Ok(bootstrap(name, build)?.with_file_name("bootstrap.zip"))
}

/// Builds every function of both stacks in the development profile and packs it.
///
/// All are built at once, so that what they share is compiled once. The two builds differ in a
/// feature only, so cargo keeps both side by side and each program is copied away before the other
/// one replaces it.
///
/// # Errors
///
/// When cargo fails.
pub fn build(build: Build) -> anyhow::Result<()> {
    let mut cargo = cargo();
    cargo.args(["build", "--locked"]).args(both().flat_map(|name| ["--package", name]));
    if build == Build::Local {
        cargo.args(["--features", "local"]);
    }
    let status = cargo.stdin(Stdio::null()).status().context("starting cargo")?;
    if !status.success() {
        bail!("cargo could not build the functions");
    }
    both().try_for_each(|name| keep(name, build))
}

/// The functions of both stacks.
fn both() -> impl Iterator<Item = &'static str> {
    ALL.into_iter().chain(CORE)
}

/// Builds one function as it is deployed, with cargo-lambda out of [`Venv::packaging`], and gives its
/// program, which is `<programs>/<name>/bootstrap`.
///
/// One at a time: of packages that are built together each gets the features that any of them asks of
/// what they share, and `unanswered` would carry what the AWS SDK needs.
///
/// # Errors
///
/// When cargo-lambda fails.
pub fn build_deployed(
    venv: &Venv,
    name: &str,
    features: &[&str],
    target: &str,
    programs: &Path,
) -> anyhow::Result<PathBuf> {
    let mut build = cargo();
    build.args(["lambda", "build", "--locked", "--profile", "lambda", "--disable-optimizations"]);
    build.args(["--target", target, "--skip-target-check", "--output-format", "binary"]);
    build.arg("--lambda-dir").arg(programs).args(["--package", name]);
    build.args(features.iter().flat_map(|feature| ["--features", feature]));
    let status = venv.lend_to(&mut build).stdin(Stdio::null()).status().context("starting cargo")?;
    if !status.success() {
        bail!("cargo-lambda could not build {name} ({status})");
    }
    Ok(programs.join(name).join("bootstrap"))
}

/// Copies away what cargo made of a function, and packs it.
fn keep(name: &str, build: Build) -> anyhow::Result<()> {
    let product = crate::home().with_file_name("debug").join(name);
    let folder = build.folder().join(name);
    std::fs::create_dir_all(&folder)?;
    let program = folder.join("bootstrap");
    // Beside, then renamed: a program that runs cannot be written.
    let fresh = folder.join("bootstrap.fresh");
    std::fs::copy(&product, &fresh).with_context(|| format!("copying {}", product.display()))?;
    // Without symbols the archive is a fraction; it works as well with them.
    let _ = Command::new("strip").arg(&fresh).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if std::fs::read(&fresh)? == std::fs::read(&program).unwrap_or_default() {
        std::fs::remove_file(&fresh)?;
        return Ok(());
    }
    std::fs::write(folder.join("bootstrap.zip"), pack([("bootstrap", std::fs::read(&fresh)?)])?)?;
    std::fs::rename(&fresh, &program)?;
    Ok(())
}

/// Cargo, as if it had been started from a shell.
///
/// A program that `cargo run` started inherits variables about its own package; some build scripts
/// look at them, and would build their crates anew each time the caller changes.
#[must_use]
pub fn cargo() -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(crate::repository());
    for (name, _) in std::env::vars_os() {
        let about_the_caller = name.to_str().is_some_and(|name| {
            ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
        });
        if about_the_caller {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Packs files as Lambda takes them; every one may be run.
///
/// # Errors
///
/// When one of them cannot be packed.
pub fn pack<'a>(files: impl IntoIterator<Item = (&'a str, Vec<u8>)>) -> anyhow::Result<Vec<u8>> {
    pack_at(1, files)
}

/// The same, as small as it gets: the same files give the same bytes. It takes some seconds a megabyte.
///
/// # Errors
///
/// As [`pack`].
pub fn pack_small<'a>(files: impl IntoIterator<Item = (&'a str, Vec<u8>)>) -> anyhow::Result<Vec<u8>> {
    pack_at(SMALLEST, files)
}

/// The SHA-256 digest of an archive, in hexadecimal digits.
#[must_use]
pub fn digest(archive: &[u8]) -> String {
    hex::encode(Sha256::digest(archive))
}

fn pack_at<'a>(level: i64, files: impl IntoIterator<Item = (&'a str, Vec<u8>)>) -> anyhow::Result<Vec<u8>> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().unix_permissions(0o755).compression_level(Some(level));
    for (name, content) in files {
        zip.start_file(name, options)?;
        zip.write_all(&content)?;
    }
    Ok(zip.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_smallest_archive_is_the_same_each_time_smaller_and_read_as_any_other() {
        let content: Vec<u8> = (0..60_000_u32).flat_map(|n| (n * n / 97).to_string().into_bytes()).collect();
        let files = || [("bootstrap", content.clone())];
        let small = pack_small(files()).unwrap();
        assert_eq!(pack_small(files()).unwrap(), small);
        assert!(small.len() < pack(files()).unwrap().len());
        let mut archive = zip::ZipArchive::new(Cursor::new(small)).unwrap();
        let mut file = archive.by_name("bootstrap").unwrap();
        assert_eq!(file.unix_mode().map(|mode| mode & 0o777), Some(0o755));
        let mut read = Vec::new();
        file.read_to_end(&mut read).unwrap();
        assert_eq!(read, content);
    }
}
