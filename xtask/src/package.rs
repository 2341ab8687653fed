//! `cargo xtask package`: the functions as Lambda takes them, what an instance installs, and the stacks'
//! templates with and without transforms.
//!
//! `target/package/` then holds an archive for each function, `template.yaml` for
//! `aws cloudformation package`, and for what takes no transform, such as a stack set whose permissions the
//! service manages, `template.expanded.json` for certain nodes and `template.node.json` for any one node.
//!
//! The Core Stack needs AWS's certificates of databases, which are not in the repository since AWS changes
//! them: with `--database-roots` its templates and what is in its archives are there too.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use clap::{Args, ValueEnum};
use rig::expanded::{code_uri, expand, expand_for_one};
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
    /// The certificates that databases are believed by, as AWS has them at
    /// <https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem> (RDS User Guide, "Using SSL/TLS to encrypt a
    /// connection to a DB instance"; other partitions have others): packages the Core Stack as well
    #[arg(long, value_name = "FILE")]
    database_roots: Option<PathBuf>,
    /// The program that nodes run, for this architecture: packages what an instance installs
    #[arg(long, value_name = "FILE", requires = "database_roots")]
    node_program: Option<PathBuf>,
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
/// The same of the Core Stack's, certificates included.
const CORE_LIMIT: (&str, usize) = ("database-login", 3_000_000);
/// What of the Core Stack runs on an instance.
const NODE: &str = "keyboot-node";
/// The certificates' file, beside the function's program and among what an instance installs.
const ROOTS: &str = "rds-roots.pem";
/// The code of the Core Stack's function in its template.
const CORE_CODE: &str = "database-login.zip";
/// Templates that deploy both stacks into many accounts.
const OTHERS: [&str; 3] = ["central.yaml", "guardrails.yaml", "per-account.yaml"];

/// Builds, packs and writes everything.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    headline("keyboot package");
    let folder = rig::home().with_file_name("package");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let roots = options.database_roots.as_deref().map(roots).transpose()?;
    let program = options.node_program.as_deref();
    let program =
        program.map(|file| std::fs::read(file).with_context(|| format!("reading {}", file.display())));
    let program = program.transpose()?;
    let core = if roots.is_some() { &[CORE_LIMIT.0, NODE][..] } else { &[] };
    let programs = built(options.architecture, functions::ALL.iter().chain(core))?;
    headline("Archives");
    let mut archives = Vec::new();
    for (name, limit) in LIMITS {
        archives.push((name, archived(&folder, &programs, name, limit, None)?));
    }
    headline("Templates");
    let template = std::fs::read_to_string(rig::template())?;
    let template = with_architecture(&template, options.architecture)?;
    let names: Vec<_> = archives.iter().map(|(name, archive)| (*name, archive.as_str())).collect();
    std::fs::write(folder.join("template.yaml"), with_archives(&template, &names)?)?;
    let nodes: Vec<_> = options.nodes.iter().map(ToString::to_string).collect();
    let indexes: Vec<_> = nodes.iter().map(String::as_str).collect();
    let expanded = expand(&template, &indexes, names.iter().copied())?;
    std::fs::write(folder.join("template.expanded.json"), &expanded)?;
    std::fs::write(folder.join("template.node.json"), expand_for_one(&template, names)?)?;
    say("  template.yaml            for `aws cloudformation package`, any nodes");
    say(&format!(
        "  template.expanded.json   without transforms, nodes {}, {} bytes",
        nodes.join(","),
        expanded.len()
    ));
    say("  template.node.json       without transforms, one node, which is a parameter");
    match roots {
        Some(roots) => core_stack(options.architecture, &folder, &programs, &indexes, roots, program)?,
        None => say("  the Core Stack is left out: --database-roots names the certificates that it needs"),
    }
    say(&format!("everything is in {}", folder.display()));
    Ok(())
}

/// What the Core Stack is deployed from.
fn core_stack(
    architecture: Architecture,
    folder: &Path,
    programs: &Path,
    nodes: &[&str],
    roots: Vec<u8>,
    program: Option<Vec<u8>>,
) -> anyhow::Result<()> {
    headline("Core Stack");
    let installed = folder.join("node");
    std::fs::create_dir(&installed)?;
    let unit = rig::repository().join("node/systemd");
    for name in ["keyboot-node@.service", "keyboot-node.nft"] {
        std::fs::copy(unit.join(name), installed.join(name)).with_context(|| format!("copying {name}"))?;
    }
    std::fs::copy(programs.join(NODE).join("bootstrap"), installed.join(NODE))?;
    std::fs::write(installed.join(ROOTS), &roots)?;
    let (name, limit) = CORE_LIMIT;
    let archive = archived(folder, programs, name, limit, Some((ROOTS, roots)))?;
    match program {
        Some(program) => {
            std::fs::write(installed.join("tsm-node"), program)?;
            let (file, sha256) = node_archive(folder, &installed)?;
            say(&format!("  {file}   NodeArchiveKey; its NodeArchiveSha256 is {sha256}"));
        }
        None => say("  node/   what an instance installs, but for tsm-node: --node-program names that"),
    }
    let template = std::fs::read_to_string(rig::stacks().join("core.yaml"))?;
    let template = replaced_once(&for_nodes_of(&template, architecture)?, CORE_CODE, &archive)?;
    std::fs::write(folder.join("core.expanded.json"), expand(&template, nodes, [])?)?;
    std::fs::write(folder.join("core.node.json"), expand_for_one(&template, [])?)?;
    std::fs::write(folder.join("core.yaml"), template)?;
    for name in OTHERS {
        let template = std::fs::read_to_string(rig::stacks().join(name))?;
        let template =
            if name == "guardrails.yaml" { template } else { for_nodes_of(&template, architecture)? };
        std::fs::write(folder.join(name), template)?;
    }
    say("  core.yaml, core.expanded.json, core.node.json   as those of the KMS Stack");
    say(&format!("  {}   for many accounts", OTHERS.join(", ")));
    Ok(())
}

/// The certificates, or what is wrong with the file.
fn roots(file: &Path) -> anyhow::Result<Vec<u8>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    ensure!(text.contains("-----BEGIN CERTIFICATE-----"), "{} holds no certificate in PEM", file.display());
    ensure!(!text.contains("PRIVATE KEY"), "{} holds a private key", file.display());
    Ok(text.into_bytes())
}

/// Packs what an instance installs, under a name that follows from what is in it, and tells its SHA-256: the same
/// files give the same archive.
fn node_archive(folder: &Path, installed: &Path) -> anyhow::Result<(String, String)> {
    let fresh = folder.join("node.tar.gz");
    let mut tar = Command::new("tar");
    tar.args([
        "--create",
        "--sort=name",
        "--mtime=@0",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--mode=u=rwX,go=rX",
    ]);
    tar.args(["--use-compress-program", "gzip --no-name --best", "--file"]).arg(&fresh);
    tar.arg("--directory").arg(installed).arg("--transform=s,^[.]/,,").arg(".");
    let status = tar.stdin(Stdio::null()).status().context("starting tar")?;
    ensure!(status.success(), "tar could not pack what an instance installs ({status})");
    let sha256 = functions::digest(&std::fs::read(&fresh)?);
    let file = format!("node-{}.tar.gz", &sha256[..16]);
    std::fs::rename(&fresh, folder.join(&file))?;
    Ok((file, sha256))
}

/// The folder with cargo-lambda's programs.
fn built<'a>(
    architecture: Architecture,
    names: impl IntoIterator<Item = &'a &'a str>,
) -> anyhow::Result<PathBuf> {
    let venv = step("Python environment with cargo-lambda and Zig", Venv::packaging)?;
    ensure_target(architecture)?;
    headline("functions (the last step of each takes minutes)");
    let programs = rig::home().join("functions").join("packaged").join(architecture.name());
    // One at a time: built at once, each would carry what only another one asks of a library they share.
    for name in names {
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
fn archived(
    folder: &Path,
    programs: &Path,
    name: &str,
    limit: usize,
    beside: Option<(&str, Vec<u8>)>,
) -> anyhow::Result<String> {
    let program = programs.join(name).join("bootstrap");
    let program = std::fs::read(&program).with_context(|| format!("reading {}", program.display()))?;
    let unpacked = program.len();
    let archive = functions::pack_small(std::iter::once(("bootstrap", program)).chain(beside))?;
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

/// The same of a template that runs nodes: their image and type of instance are of the architecture too.
fn for_nodes_of(template: &str, architecture: Architecture) -> anyhow::Result<String> {
    let template = with_architecture(template, architecture)?;
    match architecture {
        Architecture::Arm64 => Ok(template),
        Architecture::X86_64 => {
            let template = replaced_once(&template, "kernel-default-arm64\n", "kernel-default-x86_64\n")?;
            replaced_once(&template, "    Default: c7g.large\n", "    Default: c7i.large\n")
        }
    }
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
        let pack = || archived(folder.path(), &programs, "unanswered", 1_000_000, None).unwrap();
        write(b"one");
        let one = pack();
        assert_eq!(pack(), one, "the same again");
        write(b"two");
        assert_ne!(pack(), one);
        assert_eq!(std::fs::read(folder.path().join(&one)).unwrap()[..2], *b"PK");
        let beside =
            archived(folder.path(), &programs, "unanswered", 1_000_000, Some((ROOTS, b"roots".into())));
        assert_ne!(beside.unwrap(), pack());
    }

    #[test]
    fn the_packaged_core_stack_names_what_was_built() {
        assert_eq!([CORE_LIMIT.0], functions::CORE);
        let template = std::fs::read_to_string(rig::stacks().join("core.yaml")).unwrap();
        let template = for_nodes_of(&template, Architecture::X86_64).unwrap();
        let template = replaced_once(&template, CORE_CODE, "database-login-1.zip").unwrap();
        assert!(!template.contains("Default: arm64") && template.contains("kernel-default-x86_64"));
        for expanded in [expand(&template, &["0", "7"], []).unwrap(), expand_for_one(&template, []).unwrap()]
        {
            assert!(
                expanded.contains("${CodePrefix}database-login-1.zip") && !expanded.contains("Fn::ForEach")
            );
        }
        for name in OTHERS {
            let template = std::fs::read_to_string(rig::stacks().join(name)).unwrap();
            let of_nodes = for_nodes_of(&template, Architecture::X86_64);
            assert_eq!(of_nodes.is_ok(), name != "guardrails.yaml", "{name}");
        }
    }

    #[test]
    fn what_an_instance_installs_is_packed_the_same_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let installed = folder.path().join("node");
        std::fs::create_dir(&installed).unwrap();
        for (name, content) in [("tsm-node", "program"), (ROOTS, "roots")] {
            std::fs::write(installed.join(name), content).unwrap();
        }
        let (file, sha256) = node_archive(folder.path(), &installed).unwrap();
        assert_eq!(node_archive(folder.path(), &installed).unwrap(), (file.clone(), sha256.clone()));
        assert_eq!(functions::digest(&std::fs::read(folder.path().join(&file)).unwrap()), sha256);
        let listed =
            Command::new("tar").arg("--list").arg("--file").arg(folder.path().join(file)).output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        assert!(
            listed.lines().any(|name| name == "tsm-node") && listed.lines().any(|name| name == ROOTS),
            "{listed}"
        );
    }

    #[test]
    fn only_certificates_are_taken_for_roots() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("roots.pem");
        let taken = |text: &str| {
            std::fs::write(&file, text).unwrap();
            roots(&file).is_ok()
        };
        assert!(taken("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"));
        assert!(!taken("<html>"));
        assert!(!taken("-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n"));
    }

    #[test]
    fn what_is_too_large_is_told() {
        assert_eq!(size(10, 10), "10 bytes of at most 10");
        assert_eq!(size(13, 10), "13 bytes, TOO LARGE by 3 of 10");
    }
}
