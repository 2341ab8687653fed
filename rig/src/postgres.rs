//! A PostgreSQL server behind TLS, for as long as a value lives: what RDS is to a node's database.
//!
//! What it is good for, and what it gets wrong, is told by `rig/postgres/launch.py`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use crate::python::Venv;
use crate::service::{self, Service};

/// A running server: on loopback, with one database and a master user in it.
#[derive(Debug)]
pub struct Postgres {
    service: Service,
    port: u16,
}

impl Postgres {
    /// The name in the server's certificate, unless another one is asked for.
    pub const HOST: &str = "localhost";
    /// The database that it has.
    pub const DATABASE: &str = "tsm";
    /// The user that RDS would call the master user.
    pub const MASTER: &str = "postgres";
    /// His first password.
    pub const PASSWORD: &str = "the 'first' password";
    /// The superuser, who is RDS's own there.
    pub const SUPERUSER: &str = "rdsadmin";

    /// Starts one on a port that is free now.
    ///
    /// # Errors
    ///
    /// When it does not come up; the message then ends with the last lines of its log.
    pub fn start(venv: &Venv) -> anyhow::Result<Self> {
        Self::start_as(venv, Self::HOST)
    }

    /// The same with another name in its certificate.
    ///
    /// # Errors
    ///
    /// As [`Postgres::start`].
    pub fn start_as(venv: &Venv, host: &str) -> anyhow::Result<Self> {
        let port = service::free_port()?;
        let service = Service::start("PostgreSQL", port, "/", |folder, address| {
            let mut command = Command::new(venv.program("python"));
            command
                .arg(crate::repository().join("rig/postgres/launch.py"))
                .args(["--port", &address.port().to_string(), "--host", host])
                .args(["--user", Self::MASTER, "--password", Self::PASSWORD, "--database", Self::DATABASE])
                .arg("--folder")
                .arg(folder)
                .env_clear()
                .env("PATH", service::path_with(&venv.programs()))
                .env("HOME", folder)
                .env("TMPDIR", folder);
            command
        })?;
        Ok(Self { service, port })
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The authority that its certificate is from, in PEM: for `rds-roots.pem`.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.service.folder().join("ca.pem")
    }

    /// The superuser's password.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn password_of_superuser(&self) -> anyhow::Result<String> {
        let path = self.service.folder().join("rdsadmin-password");
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    }

    /// What the server has logged: every connection and every statement.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn log(&self) -> anyhow::Result<String> {
        let path = self.service.folder().join("postgres.log");
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    }
}
