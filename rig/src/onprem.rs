//! keyboot-onprem beside an `OpenBao` of its own, driven from outside as its operators drive it.
//!
//! The server comes up sealed and is set up by the program itself. Every run afterwards is with a login that the
//! operator granted for it, and that is good once. The working folder is in memory where the machine has such a
//! file system: logins and the shares of the unseal key are never on a disk.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail, ensure};
use hyper::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::openbao::{Answer, OpenBao};
use crate::programs;
use crate::python::Venv;

/// The server's short name, which its ARNs have.
pub const SERVER: &str = "ops";
/// Where the login of roles is mounted.
const LOGIN: &str = "auth/approle";
/// A file system in memory.
const IN_MEMORY: &str = "/dev/shm";
/// How many hold a share of the unseal key, and how many are needed.
const SHARES: usize = 3;
const THRESHOLD: usize = 2;

/// A server with keyboot-onprem beside it.
#[derive(Debug)]
pub struct OnPrem {
    server: OpenBao,
    program: PathBuf,
    folder: TempDir,
}

/// How a run of the program ended.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Its exit status.
    pub code: i32,
    /// What it wrote.
    pub out: String,
    /// What it complained of, and its audit log.
    pub err: String,
}

impl Ran {
    /// What it wrote, where it did what it was asked for.
    ///
    /// # Errors
    ///
    /// When it did not; the message is the program's.
    pub fn succeeded(self) -> anyhow::Result<String> {
        ensure!(self.code == 0, "keyboot-onprem ended with {}:\n{}{}", self.code, self.out, self.err);
        Ok(self.out)
    }
}

impl OnPrem {
    /// Starts the server; nothing is on it.
    ///
    /// # Errors
    ///
    /// When it does not come up, or the program was not built.
    pub fn start(venv: &Venv) -> anyhow::Result<Self> {
        let program = programs::path(programs::KEYBOOT_ONPREM)?;
        let folder = tempfile::Builder::new().prefix("keyboot-onprem-").tempdir_in(work())?;
        Ok(Self { server: OpenBao::start(venv)?, program, folder })
    }

    /// The server.
    #[must_use]
    pub fn server(&self) -> &OpenBao {
        &self.server
    }

    /// The working folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A file in the working folder.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a declaration and gives its path.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn declare(&self, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.file("declaration.toml");
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// Sets the server up for a declaration, and gives what the program wrote.
    ///
    /// # Errors
    ///
    /// When it was refused.
    pub async fn init(&self, declaration: &Path) -> anyhow::Result<String> {
        let mut shares = Vec::new();
        for holder in 1..=SHARES {
            let folder = self.file(&format!("holder-{holder}"));
            // The holder's alone: init refuses another one.
            std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
            shares.push(folder.join("share").display().to_string());
        }
        let setup = self.file("setup.toml");
        std::fs::write(&setup, format!("threshold = {THRESHOLD}\nshares = {}\n", json!(shares)))?;
        // Of no use before there is a server to log in to.
        let config = self.configure("init", &format!("token-file = {}\n", quoted(&self.file("no-token"))))?;
        let (setup, declaration) = (setup.display().to_string(), declaration.display().to_string());
        let operator = self.login_of("operator").display().to_string();
        let ran = self.run(&config, &["init", &setup, &declaration, "--operator", &operator]).await?;
        let told = ran.succeeded()?;
        let block = login_in(&told).context("init does not say how the operator logs in")?;
        self.configure("operator", &block)?;
        Ok(told)
    }

    /// Has the operator grant a login for a role, and gives the configuration that logs in with it.
    ///
    /// # Errors
    ///
    /// When it was refused.
    pub async fn grant(&self, role: &str) -> anyhow::Result<PathBuf> {
        let file = self.login_of(role).display().to_string();
        let operator = self.file("operator.toml");
        let told = self.run(&operator, &["grant", role, "--out", &file]).await?.succeeded()?;
        self.configure(role, &login_in(&told).context("grant does not say how to log in")?)
    }

    /// Runs the program as a role, with a login for this once.
    ///
    /// # Errors
    ///
    /// When the login was refused, or the program does not start.
    pub async fn run_as(&self, role: &str, arguments: &[&str]) -> anyhow::Result<Ran> {
        let config = self.grant(role).await?;
        self.run(&config, arguments).await
    }

    /// Runs the program with a configuration.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub async fn run(&self, config: &Path, arguments: &[&str]) -> anyhow::Result<Ran> {
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(config).args(arguments);
        command.env_clear().current_dir(self.folder()).stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await.context("starting keyboot-onprem")?;
        let text = |bytes| String::from_utf8(bytes).context("it wrote something else than text");
        let code = output.status.code().context("keyboot-onprem was ended by a signal")?;
        Ok(Ran { code, out: text(output.stdout)?, err: text(output.stderr)? })
    }

    /// A token as a role gets it when it logs in, by plain HTTPS: for trying what it may do.
    ///
    /// # Errors
    ///
    /// When the login was refused.
    pub async fn token_of(&self, role: &str) -> anyhow::Result<String> {
        let config: toml::Table = std::fs::read_to_string(self.grant(role).await?)?.parse()?;
        let role_id = config["vault"]["app-role"]["role-id"].as_str().context("no role id")?.to_owned();
        let wrapping = std::fs::read_to_string(self.login_of(role))?;
        std::fs::remove_file(self.login_of(role))?;
        let unwrapped =
            self.call(Method::POST, "sys/wrapping/unwrap", Some(wrapping.trim()), None).await?.accepted()?;
        let login = json!({ "role_id": role_id, "secret_id": unwrapped["data"]["secret_id"] });
        let let_in =
            self.call(Method::POST, &format!("{LOGIN}/login"), None, Some(&login)).await?.accepted()?;
        Ok(let_in["auth"]["client_token"].as_str().context("no token")?.to_owned())
    }

    /// A root token made of the holders' shares, as they would after a loss. For looking at what is stored.
    ///
    /// # Errors
    ///
    /// When the server refuses.
    pub async fn root_by_shares(&self) -> anyhow::Result<String> {
        use base64::Engine as _;
        use base64::engine::general_purpose::STANDARD_NO_PAD;

        const CALL: &str = "sys/generate-root-token";
        let custodian = self.token_of("custodian").await?;
        let token = Some(custodian.as_str());
        let begun =
            self.call(Method::POST, &format!("{CALL}/attempt"), token, Some(&json!({}))).await?.accepted()?;
        let field =
            |name: &str| begun["data"][name].as_str().map(str::to_owned).context("an attempt without it");
        let (nonce, otp) = (field("nonce")?, field("otp")?);
        for holder in 1..=SHARES {
            let share = std::fs::read_to_string(self.file(&format!("holder-{holder}/share")))?;
            let part = json!({ "key": share.trim(), "nonce": nonce });
            let answer =
                self.call(Method::POST, &format!("{CALL}/update"), token, Some(&part)).await?.accepted()?;
            if answer["data"]["complete"] == true {
                let encoded = answer["data"]["encoded_token"].as_str().context("no token")?;
                let bytes = STANDARD_NO_PAD.decode(encoded.trim_end_matches('='))?;
                let text = bytes.iter().zip(otp.bytes()).map(|(left, right)| left ^ right).collect();
                return Ok(String::from_utf8(text)?);
            }
        }
        bail!("the shares are too few")
    }

    /// Asks the server.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        self.server.call(method, path, token, body).await.with_context(|| path.to_owned())
    }

    fn login_of(&self, role: &str) -> PathBuf {
        self.file(&format!("{role}.login"))
    }

    /// Writes a configuration with a login.
    fn configure(&self, name: &str, login: &str) -> anyhow::Result<PathBuf> {
        let path = self.file(&format!("{name}.toml"));
        let (address, ca) = (self.server.address(), quoted(&self.server.ca_file()));
        let text = format!("[vault]\naddress = \"{address}\"\nname = \"{SERVER}\"\nca-file = {ca}\n{login}");
        std::fs::write(&path, text)?;
        Ok(path)
    }
}

/// The table of a login in what the program wrote.
fn login_in(told: &str) -> Option<String> {
    let from = told.find("[vault.app-role]")?;
    let lines = told[from..].lines().take_while(|line| line.starts_with('[') || line.contains(" = \""));
    Some(lines.collect::<Vec<_>>().join("\n") + "\n")
}

/// A path as TOML and JSON write it.
fn quoted(path: &Path) -> String {
    json!(path).to_string()
}

fn work() -> PathBuf {
    let in_memory = PathBuf::from(IN_MEMORY);
    if in_memory.is_dir() { in_memory } else { std::env::temp_dir() }
}
