//! `cargo xtask package`: the functions as Lambda takes them, and the KMS Stack's template with and
//! without transforms.
//!
//! `target/package/` then holds an archive for each function, `template.yaml` for
//! `aws cloudformation package`, and `template.expanded.json` for what takes no transform, such as a
//! stack set whose permissions the service manages.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use clap::{Args, ValueEnum};
use rig::expanded::{code_uri, expand};
use rig::functions::{self, cargo};
use rig::python::Venv;

use crate::checks::with_programs_of;
use crate::terminal::{headline, say, step};

/// What is packaged.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The nodes of the expanded template, for good: indexes, separated by commas
    #[arg(long, default_value = "0,1,2", value_delimiter = ',')]
    nodes: Vec<u32>,
    /// What the functions are built for
    #[arg(long, value_enum, default_value_t = Architecture::Arm64)]
    architecture: Architecture,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Architecture {
    Arm64,
    #[value(name = "x86_64")]
    X86_64,
}

impl Architecture {
    /// As the template's parameter says it.
    fn name(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
            Self::X86_64 => "x86_64",
        }
    }

    fn target(self) -> &'static str {
        match self {
            Self::Arm64 => "aarch64-unknown-linux-gnu",
            Self::X86_64 => "x86_64-unknown-linux-gnu",
        }
    }
}

/// How large each function's archive is meant to be at most, in bytes: it is what Lambda loads before
/// it starts one. One that is larger works, and is told.
const LIMITS: [(&str, usize); 3] =
    [("key-rotation", 3_000_000), ("node-keys", 3_000_000), ("unanswered", 1_000_000)];

/// Builds, packs and writes everything.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    headline("keyboot package");
    let folder = rig::home().with_file_name("package");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let programs = built(options.architecture)?;
    headline("Archives");
    let mut archives = Vec::new();
    for (name, limit) in LIMITS {
        archives.push((name, archived(&folder, &programs, name, limit)?));
    }
    headline("Templates");
    let template = std::fs::read_to_string(rig::template())?;
    let template = with_architecture(&template, options.architecture)?;
    let names: Vec<_> = archives.iter().map(|(name, archive)| (*name, archive.as_str())).collect();
    std::fs::write(folder.join("template.yaml"), with_archives(&template, &names)?)?;
    let nodes: Vec<_> = options.nodes.iter().map(ToString::to_string).collect();
    let indexes: Vec<_> = nodes.iter().map(String::as_str).collect();
    let expanded = expand(&template, &indexes, names)?;
    std::fs::write(folder.join("template.expanded.json"), &expanded)?;
    say("  template.yaml            for `aws cloudformation package`, any nodes");
    say(&format!(
        "  template.expanded.json   without transforms, nodes {}, {} bytes",
        nodes.join(","),
        expanded.len()
    ));
    say(&format!("everything is in {}", folder.display()));
    Ok(())
}

/// The folder with cargo-lambda's programs.
fn built(architecture: Architecture) -> anyhow::Result<PathBuf> {
    let venv = step("Python environment with cargo-lambda and Zig", Venv::packaging)?;
    ensure_target(architecture)?;
    headline("functions (the last step of each takes minutes)");
    let programs = rig::home().join("functions").join("packaged").join(architecture.name());
    // One at a time: built at once, each would carry what only another one asks of a library they share.
    for name in functions::ALL {
        let mut build = cargo();
        with_programs_of(&venv, &mut build);
        build.args(["lambda", "build", "--locked", "--profile", "lambda", "--disable-optimizations"]);
        build.args(["--target", architecture.target(), "--skip-target-check", "--output-format", "binary"]);
        build.arg("--lambda-dir").arg(&programs).args(["--package", name]);
        let status = build.stdin(Stdio::null()).status().context("starting cargo")?;
        ensure!(status.success(), "cargo-lambda could not build {name} ({status})");
    }
    Ok(programs)
}

/// Says what is missing, rather than have it installed unasked.
fn ensure_target(architecture: Architecture) -> anyhow::Result<()> {
    let target = architecture.target();
    let mut rustc = Command::new("rustc");
    rustc.current_dir(rig::repository()).args(["--print", "target-libdir", "--target", target]);
    let output = rustc.stdin(Stdio::null()).output().context("starting rustc")?;
    let library = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if !output.status.success() || !library.exists() {
        bail!(
            "the compiler has no library for {target}: install it (`rustup target add {target}`), or build for \
             this machine with --architecture"
        );
    }
    Ok(())
}

/// Packs a function under a name that follows from what is in it, so that a stack notices other code.
fn archived(folder: &Path, programs: &Path, name: &str, limit: usize) -> anyhow::Result<String> {
    let program = programs.join(name).join("bootstrap");
    let program = std::fs::read(&program).with_context(|| format!("reading {}", program.display()))?;
    let unpacked = program.len();
    let archive = functions::pack_small([("bootstrap", program)])?;
    let file = format!("{name}-{}.zip", &functions::digest(&archive)[..16]);
    std::fs::write(folder.join(&file), &archive)?;
    say(&format!("  {file}   {}, {unpacked} unpacked", size(archive.len(), limit)));
    Ok(file)
}

fn size(bytes: usize, limit: usize) -> String {
    match bytes.checked_sub(limit) {
        None | Some(0) => format!("{bytes} bytes of at most {limit}"),
        Some(over) => format!("{bytes} bytes, TOO LARGE by {over} of {limit}"),
    }
}

/// The template with another default architecture: the one that the code was built for.
fn with_architecture(template: &str, architecture: Architecture) -> anyhow::Result<String> {
    replaced_once(template, "    Default: arm64\n", &format!("    Default: {}\n", architecture.name()))
}

fn with_archives(template: &str, archives: &[(&str, &str)]) -> anyhow::Result<String> {
    archives.iter().try_fold(template.to_owned(), |template, (name, archive)| {
        replaced_once(&template, &format!("CodeUri: {}", code_uri(name)), &format!("CodeUri: {archive}"))
    })
}

fn replaced_once(text: &str, from: &str, to: &str) -> anyhow::Result<String> {
    ensure!(text.matches(from).count() == 1, "the template does not say `{}` exactly once", from.trim());
    Ok(text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packaged_template_names_what_was_built() {
        let template = std::fs::read_to_string(rig::template()).unwrap();
        let template = with_architecture(&template, Architecture::X86_64).unwrap();
        let archives = [
            ("key-rotation", "key-rotation-3.zip"),
            ("node-keys", "node-keys-1.zip"),
            ("unanswered", "unanswered-2.zip"),
        ];
        // What is packed, in the order in which it is built.
        assert_eq!(archives.map(|(name, _)| name), functions::ALL);
        assert_eq!(LIMITS.map(|(name, _)| name), functions::ALL);
        let packaged = with_archives(&template, &archives).unwrap();
        let said = archives.map(|(_, archive)| format!("CodeUri: {archive}"));
        for said in said.iter().map(String::as_str).chain(["Default: x86_64"]) {
            assert_eq!(packaged.matches(said).count(), 1, "{said}");
        }
        assert!(!packaged.contains("target/functions") && packaged.contains("Fn::ForEach"));
        let expanded = expand(&template, &["0"], archives).unwrap();
        assert!(expanded.contains("${CodePrefix}node-keys-1.zip") && expanded.contains("\"x86_64\""));
        assert!(with_archives("no template", &archives).is_err());
    }

    #[test]
    fn an_archive_is_named_by_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let programs = folder.path().join("programs");
        std::fs::create_dir_all(programs.join("unanswered")).unwrap();
        let write = |content: &[u8]| std::fs::write(programs.join("unanswered/bootstrap"), content).unwrap();
        let pack = || archived(folder.path(), &programs, "unanswered", 1_000_000).unwrap();
        write(b"one");
        let one = pack();
        assert_eq!(pack(), one, "the same again");
        write(b"two");
        assert_ne!(pack(), one);
        assert_eq!(std::fs::read(folder.path().join(&one)).unwrap()[..2], *b"PK");
    }

    #[test]
    fn what_is_too_large_is_told() {
        assert_eq!(size(10, 10), "10 bytes of at most 10");
        assert_eq!(size(13, 10), "13 bytes, TOO LARGE by 3 of 10");
    }
}
