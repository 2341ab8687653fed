//! `cargo xtask fuzz`: the fuzz targets under libFuzzer, two side by side.
//!
//! It needs a nightly compiler, for the instrumentation, and never downloads one. Without it the
//! corpora are still replayed by the tests, which need nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context as _, bail};
use clap::Args;
use rig::functions::cargo;
use rig::python::Venv;

use crate::checks::with_programs_of;
use crate::terminal::{headline, say, step};

/// How long `cargo xtask test` tries each target.
const BRIEFLY: u64 = 30;
/// How many targets are tried at once.
const SIDE_BY_SIDE: usize = 2;
/// An input that takes longer, in seconds, is a fault.
const SLOWEST_INPUT: u64 = 10;

/// What is tried, and for how long.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Only this target
    target: Option<String>,
    /// How long each target is tried
    #[arg(long, default_value_t = 600)]
    seconds: u64,
}

/// Tries the targets for as long as is asked for.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    headline("keyboot fuzz");
    let venv = step("Python environment with cargo-fuzz", Venv::ready)?;
    let Some(nightly) = Nightly::installed() else {
        bail!("no nightly compiler is installed: `rustup toolchain install nightly` gets one");
    };
    let mut targets = targets()?;
    if let Some(name) = &options.target {
        targets.retain(|target| target == name);
        if targets.is_empty() {
            bail!("there is no target {name}");
        }
    }
    let programs = match step("fuzz targets", || nightly.build(&venv))? {
        Built::Programs(programs) => programs,
        Built::Impossible(why) => bail!("{} cannot build the targets:\n{why}", nightly.name),
    };
    try_all(&programs, &targets, options.seconds)
}

/// Tries each target for half a minute, where there is a nightly compiler that can build them.
pub(crate) fn briefly(venv: &Venv) -> anyhow::Result<()> {
    headline("fuzz targets");
    let Some(nightly) = Nightly::installed() else {
        say("SKIPPED: no nightly compiler is installed, so only the corpora were replayed");
        return Ok(());
    };
    match step(&format!("built with {}", nightly.name), || nightly.build(venv))? {
        Built::Programs(programs) => try_all(&programs, &targets()?, BRIEFLY),
        Built::Impossible(why) => {
            say(&format!("SKIPPED: {} cannot build them, so only the corpora were replayed", nightly.name));
            say(&why);
            Ok(())
        }
    }
}

fn folder() -> PathBuf {
    rig::repository().join("tests/fuzz")
}

/// Where everything goes that a run makes.
fn output() -> PathBuf {
    rig::home().with_file_name("fuzz")
}

/// The names of the targets.
fn targets() -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for file in std::fs::read_dir(folder().join("fuzz_targets"))? {
        let path = file?.path();
        names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

/// A nightly toolchain.
struct Nightly {
    name: String,
}

/// What came of building the targets.
enum Built {
    /// The folder of the programs.
    Programs(PathBuf),
    /// This machine cannot build them, and why.
    Impossible(String),
}

impl Nightly {
    fn installed() -> Option<Self> {
        let list = Command::new("rustup").args(["toolchain", "list"]).stdin(Stdio::null()).output().ok()?;
        let list = String::from_utf8_lossy(&list.stdout).into_owned();
        let name = list.lines().find(|line| line.starts_with("nightly"))?.split_whitespace().next()?;
        Some(Self { name: name.to_owned() })
    }

    /// Has a command use this toolchain; nothing is installed for it.
    fn runs<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("RUSTUP_TOOLCHAIN", &self.name).env("RUSTUP_AUTO_INSTALL", "0").stdin(Stdio::null())
    }

    /// Builds the targets. That the toolchain cannot is no fault; that our code cannot be built is.
    fn build(&self, venv: &Venv) -> anyhow::Result<Built> {
        let mut command = cargo();
        self.runs(with_programs_of(venv, &mut command));
        // No code of ours is `unsafe`, so a sanitizer has nothing to find and takes twice the time.
        command.args(["fuzz", "build", "--sanitizer", "none", "--fuzz-dir"]).arg(folder());
        let output = command.arg("--target-dir").arg(self::output()).output().context("starting cargo")?;
        if output.status.success() {
            let programs = self::output().join(self.host()?).join("release");
            return Ok(Built::Programs(programs));
        }
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        let ours = ["fuzz", "fuzz-bodies", "custom-resource", "key-material", "provisioning", "rotation"];
        if ours.iter().any(|name| why.contains(&format!("could not compile `{name}`"))) {
            bail!("the fuzz targets do not compile:\n{why}");
        }
        Ok(Built::Impossible(why))
    }

    fn host(&self) -> anyhow::Result<String> {
        let output = self.runs(Command::new("rustc").arg("-vV")).output().context("starting rustc")?;
        let version = String::from_utf8_lossy(&output.stdout).into_owned();
        let host = version.lines().find_map(|line| line.strip_prefix("host: "));
        host.map(str::to_owned).context("rustc does not say which machine it is for")
    }
}

/// Tries every target, as many side by side as there is room for.
fn try_all(programs: &Path, targets: &[String], seconds: u64) -> anyhow::Result<()> {
    let waiting = Mutex::new(targets.iter());
    let results = Mutex::new(Vec::new());
    let what = format!("{}, {seconds} s each, {SIDE_BY_SIDE} side by side", targets.join(", "));
    step(&what, || {
        std::thread::scope(|scope| {
            for _ in 0..SIDE_BY_SIDE {
                scope.spawn(|| {
                    while let Some(target) = locked(&waiting).next() {
                        let result = try_one(programs, target, seconds);
                        locked(&results).push((target, result));
                    }
                });
            }
        });
        Ok(())
    })?;
    let mut faults = Vec::new();
    for (target, result) in results.into_inner().unwrap_or_default() {
        match result {
            Ok(inputs) => say(&format!("  {target:<12} {inputs} inputs")),
            Err(error) => faults.push(format!("{target}: {error:#}")),
        }
    }
    if faults.is_empty() { Ok(()) } else { bail!("{}", faults.join("\n")) }
}

fn locked<T>(value: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    value.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Tries one target, and tells how many inputs it was given.
fn try_one(programs: &Path, target: &str, seconds: u64) -> anyhow::Result<String> {
    let artifacts = output().join("artifacts").join(target);
    let log = output().join(format!("{target}.log"));
    std::fs::create_dir_all(&artifacts)?;
    std::fs::create_dir_all(found(target))?;
    let mut command = libfuzzer(programs, target)?;
    let written = std::fs::File::create(&log)?;
    command.stdout(written.try_clone()?).stderr(written);
    command.args([format!("-max_total_time={seconds}"), format!("-timeout={SLOWEST_INPUT}")]);
    command.args(["-max_len=65536", "-print_final_stats=1"]);
    command.arg(format!("-artifact_prefix={}/", artifacts.display()));
    // The first folder takes what is found, the second is only read.
    let status = command.arg(found(target)).arg(corpus(target)).status()?;
    let told = String::from_utf8_lossy(&std::fs::read(&log)?).into_owned();
    if !status.success() {
        let from = told.find("panicked at").or_else(|| told.find("ERROR: libFuzzer")).unwrap_or_default();
        let fault: Vec<&str> = told.get(from..).unwrap_or(&told).lines().take(12).collect();
        bail!(
            "an input breaks a rule; it is kept in {}, and belongs into {}. {} begins:\n{}",
            artifacts.display(),
            corpus(target).display(),
            log.display(),
            fault.join("\n")
        );
    }
    let inputs = told.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    Ok(inputs.context("libFuzzer told no number of inputs")?.trim().to_owned())
}

fn libfuzzer(programs: &Path, target: &str) -> anyhow::Result<Command> {
    let program = programs.join(target);
    if !program.exists() {
        bail!("{} was not built", program.display());
    }
    let mut command = Command::new(program);
    command.current_dir(output()).stdin(Stdio::null());
    let words = folder().join("dictionaries").join(format!("{target}.dict"));
    if words.exists() {
        command.arg(format!("-dict={}", words.display()));
    }
    Ok(command)
}

/// The inputs of a target that are part of the repository.
fn corpus(target: &str) -> PathBuf {
    folder().join("corpus").join(target)
}

/// The inputs of a target that runs on this machine have found.
fn found(target: &str) -> PathBuf {
    output().join("found").join(target)
}
