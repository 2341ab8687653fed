//! `cargo xtask package`: the functions as Lambda takes them, and the KMS Stack's template with and
//! without transforms.
//!
//! `target/package/` then holds an archive for each function, `template.yaml` for
//! `aws cloudformation package`, and `template.expanded.json` for what takes no transform, such as a
//! StackSet whose permissions the service manages.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use clap::{Args, ValueEnum};
use policies::template::{Expansion, Template};
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

/// How large each function's archive may be, in bytes: what Lambda loads before it starts one.
const LIMITS: [(&str, usize); 2] = [("node-keys", 3_000_000), ("unanswered", 1_000_000)];

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
    let expanded = expanded(&template, &nodes, &names)?;
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
    let mut build = cargo();
    with_programs_of(&venv, &mut build);
    build.args(["lambda", "build", "--locked", "--profile", "lambda", "--disable-optimizations"]);
    build.args(["--target", architecture.target(), "--skip-target-check", "--output-format", "binary"]);
    build.arg("--lambda-dir").arg(&programs);
    build.args(functions::ALL.iter().flat_map(|name| ["--package", name]));
    let status = build.stdin(Stdio::null()).status().context("starting cargo")?;
    ensure!(status.success(), "cargo-lambda could not build the functions ({status})");
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
    say(&format!("  {file}   {} bytes of at most {limit}, {unpacked} unpacked", archive.len()));
    ensure!(archive.len() <= limit, "{name} is too large: {} bytes, and {limit} are allowed", archive.len());
    Ok(file)
}

/// What the template says of code that has not been built yet.
fn code_uri(name: &str) -> String {
    format!("target/functions/{name}/bootstrap.zip")
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

/// The template without transforms, for these nodes and archives.
pub(crate) fn expanded(
    template: &str,
    nodes: &[String],
    archives: &[(&str, &str)],
) -> anyhow::Result<String> {
    let nodes: Vec<_> = nodes.iter().map(String::as_str).collect();
    let expansion = Expansion::default().value("Nodes", &nodes);
    let expansion = archives
        .iter()
        .fold(expansion, |expansion, (name, archive)| expansion.code(&code_uri(name), archive));
    Ok(Template::read(template)?.expand(&expansion)?)
}
