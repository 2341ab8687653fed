//! Virtual environments: of the local services, of the checkers, of what packages, measures and draws.
//!
//! Each has requirements of its own, which is why they are several: checkers pin libraries that the
//! services need newer. Each is made when it is first asked for.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// Where Python may be found, the most wanted name first.
const NAMES: &[&str] = &["python3.11", "python3.12", "python3.13", "python3", "python"];

/// A virtual environment below the rig's folder.
#[derive(Clone, Debug)]
pub struct Venv {
    root: PathBuf,
}

impl Venv {
    /// The rig's environment, made and filled if it is not there or its requirements changed.
    ///
    /// # Errors
    ///
    /// When there is no Python 3.11 or newer, or the packages cannot be installed.
    pub fn ready() -> anyhow::Result<Self> {
        Self::with("rig/ministack/requirements.txt", "venv")
    }

    /// The same with what looks at templates and needs other libraries than the services do.
    ///
    /// # Errors
    ///
    /// As [`Venv::ready`].
    pub fn checkers() -> anyhow::Result<Self> {
        Self::with("rig/checkers/requirements.txt", "checkers")
    }

    /// The same with what stands on one's own servers: OpenBao, and what the signer that stands beside it needs.
    ///
    /// # Errors
    ///
    /// As [`Venv::ready`].
    pub fn onprem() -> anyhow::Result<Self> {
        Self::with("rig/openbao/requirements.txt", "onprem")
    }

    /// The same with what builds functions for Lambda.
    ///
    /// # Errors
    ///
    /// As [`Venv::ready`].
    pub fn packaging() -> anyhow::Result<Self> {
        Self::with("rig/packaging/requirements.txt", "packaging")
    }

    /// The same with the Python function that ours are measured against.
    ///
    /// # Errors
    ///
    /// As [`Venv::ready`].
    pub fn measured() -> anyhow::Result<Self> {
        Self::with("bench/python/requirements.txt", "measured")
    }

    /// The same with what draws plots.
    ///
    /// # Errors
    ///
    /// As [`Venv::ready`].
    pub fn plotting() -> anyhow::Result<Self> {
        Self::with("bench/plot/requirements.txt", "plotting")
    }

    /// The same with what draws the picture in the README.
    ///
    /// # Errors
    ///
    /// As [`Venv::ready`].
    pub fn drawing() -> anyhow::Result<Self> {
        Self::with("xtask/picture/requirements.txt", "drawing")
    }

    fn with(requirements: &str, folder: &str) -> anyhow::Result<Self> {
        let requirements = crate::repository().join(requirements);
        let wanted = std::fs::read_to_string(&requirements)
            .with_context(|| format!("reading {}", requirements.display()))?;
        let venv = Self { root: crate::home().join(folder) };
        let stamp = venv.root.join("installed.txt");
        let is_made = || std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted);
        if is_made() {
            return Ok(venv);
        }
        std::fs::create_dir_all(crate::home())?;
        // Of those that ask at once, one makes it and the others wait.
        let lock = std::fs::File::create(crate::home().join(format!("{folder}.lock")))?;
        lock.lock()?;
        if is_made() {
            return Ok(venv);
        }
        let python = interpreter()?;
        run(Command::new(python).args(["-m", "venv", "--clear"]).arg(&venv.root))
            .context("making a virtual environment failed; on Debian install the package python3-venv")?;
        run(Command::new(venv.program("python"))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
            .arg(&requirements))
        .with_context(|| {
            format!("installing {} failed: is the Python package index reachable?", requirements.display())
        })?;
        std::fs::write(&stamp, wanted)?;
        Ok(venv)
    }

    /// A program of the environment.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.root.join("bin").join(name)
    }

    /// The environment's folder of programs.
    #[must_use]
    pub fn programs(&self) -> PathBuf {
        self.root.join("bin")
    }

    /// Lets a command find the environment's programs, before others of the same names: a subcommand
    /// of cargo is found on the path that cargo is started with.
    #[expect(clippy::disallowed_methods, reason = "the environment's programs go before the others")]
    pub fn lend_to<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let mut path = vec![self.programs()];
        path.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
        command.envs(std::env::join_paths(path).ok().map(|path| ("PATH", path)))
    }
}

/// A Python that is new enough.
fn interpreter() -> anyhow::Result<&'static str> {
    let is_new_enough = |name: &&str| {
        let check = "import sys, venv; sys.exit(sys.version_info < (3, 11))";
        let status =
            Command::new(name).args(["-c", check]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    match NAMES.iter().copied().find(is_new_enough) {
        Some(name) => Ok(name),
        None => bail!("no Python 3.11 or newer was found: install it and put it on the PATH"),
    }
}

/// Runs a program to its end and shows what it printed if it failed.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let program = Path::new(command.get_program()).display().to_string();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("starting {program}"))?;
    if !output.status.success() {
        bail!(
            "{program} failed ({}):\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}
