//! MiniStack, with the rig's plug-ins or as it comes, for as long as a value lives.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::bail;

use crate::python::Venv;
use crate::service::{self, Service};

/// Where MiniStack says that it is up.
const HEALTH: &str = "/_ministack/health";

/// A running MiniStack: everything on loopback, nothing kept.
#[derive(Debug)]
pub struct MiniStack {
    service: Service,
}

impl MiniStack {
    /// Starts MiniStack with the plug-ins and with IAM, on a port, or on one that is free now.
    ///
    /// # Errors
    ///
    /// When the port is in use, or when it does not come up; the message then ends with the last
    /// lines of its log.
    pub fn start(venv: &Venv, port: Option<u16>) -> anyhow::Result<Self> {
        let port = match port {
            Some(port) if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() => port,
            Some(port) => {
                bail!("port {port} of 127.0.0.1 is in use: name another one, or none for a free one")
            }
            None => service::free_port()?,
        };
        Self::start_on(venv, port, None)
    }

    /// As [`start`](Self::start), with functions that have at most so many seconds for an event,
    /// where their `Timeout` is longer: for tests that wait for one to be ended.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn start_hurried(venv: &Venv, seconds: u32) -> anyhow::Result<Self> {
        Self::start_on(venv, service::free_port()?, Some(seconds))
    }

    fn start_on(venv: &Venv, port: u16, function_seconds: Option<u32>) -> anyhow::Result<Self> {
        let service = Service::start("MiniStack", port, HEALTH, |folder, address| {
            let mut command = launcher(venv, folder, address);
            command
                .env("AUTH", "true")
                .env("KEYBOOT_RIG_CALLS", calls(folder))
                .env("KEYBOOT_RIG_DATABASES", databases(folder))
                .env("KEYBOOT_RIG_RETRY_SECONDS", "0.2")
                .envs(function_seconds.map(|seconds| ("KEYBOOT_RIG_FUNCTION_SECONDS", seconds.to_string())));
            command
        })?;
        Ok(Self { service })
    }

    /// Starts MiniStack as it comes: without our plug-ins, which mend its faults, and without IAM.
    /// It keeps no record of calls.
    ///
    /// # Errors
    ///
    /// When it does not come up; the message then ends with the last lines of its log.
    pub fn start_as_it_comes(venv: &Venv) -> anyhow::Result<Self> {
        let service = Service::start("MiniStack", service::free_port()?, HEALTH, |folder, address| {
            let mut command = launcher(venv, folder, address);
            command.env("KEYBOOT_RIG_PLUGINS", "none");
            command
        })?;
        Ok(Self { service })
    }

    /// Where every service answers.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.service.endpoint()
    }

    /// The record of all AWS calls, one JSON object a line.
    #[must_use]
    pub fn calls(&self) -> PathBuf {
        calls(self.service.folder())
    }

    /// The certificates that its databases are believed by: the local `rds-roots.pem`.
    #[must_use]
    pub fn database_roots(&self) -> PathBuf {
        self.databases().join("authority/ca.pem")
    }

    /// Where its databases are, each in a folder of its own, and the last copies of those that were deleted.
    #[must_use]
    pub fn databases(&self) -> PathBuf {
        databases(self.service.folder())
    }

    /// The types of resources that plug-ins add to MiniStack's CloudFormation, or mend: what they do, by types.
    ///
    /// # Errors
    ///
    /// When its log cannot be read.
    pub fn played(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let log = std::fs::read_to_string(self.log())?;
        let told = log.lines().filter_map(|line| line.strip_prefix("rig: ")?.split_once(" is "));
        Ok(told.map(|(kind, by)| (kind.to_owned(), by.to_owned())).collect())
    }

    /// What MiniStack and its functions wrote.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.service.log()
    }
}

fn launcher(venv: &Venv, folder: &Path, address: SocketAddr) -> Command {
    let mut command = Command::new(venv.program("python"));
    command
        .arg(crate::repository().join("rig/ministack/launch.py"))
        // Nothing of this machine's environment reaches the services or the functions.
        .env_clear()
        .env("PATH", service::path_with(&venv.programs()))
        .env("HOME", folder)
        .env("TMPDIR", folder)
        .env("GATEWAY_PORT", address.port().to_string())
        .env("BIND_HOST", "127.0.0.1")
        .env("MINISTACK_HOST", "127.0.0.1")
        .env("AWS_ENDPOINT_URL", format!("http://{address}"))
        .env("KEYBOOT_RATES_TIMES", crate::runtime::RATES_TIMES)
        .env("IOT_MTLS_ENABLED", "false")
        .env("SFTP_ENABLED", "false");
    command
}

fn databases(folder: &Path) -> PathBuf {
    folder.join("databases")
}

fn calls(folder: &Path) -> PathBuf {
    folder.join("calls.jsonl")
}
