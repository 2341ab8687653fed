//! moto's server, for as long as a value lives: a second opinion about what AWS answers.

use std::process::Command;

use crate::python::Venv;
use crate::service::{self, Service};

/// A running moto: everything on loopback, without IAM, nothing kept.
#[derive(Debug)]
pub struct Moto {
    service: Service,
}

impl Moto {
    /// Starts moto on a port that is free now.
    ///
    /// # Errors
    ///
    /// When it does not come up; the message then ends with the last lines of its log.
    pub fn start(venv: &Venv) -> anyhow::Result<Self> {
        let service =
            Service::start("moto", service::free_port()?, "/moto-api/data.json", |folder, address| {
                let mut command = Command::new(venv.program("python"));
                command
                    .arg(crate::repository().join("rig/moto/launch.py"))
                    .arg(address.port().to_string())
                    .env_clear()
                    .env("PATH", service::path_with(&venv.programs()))
                    .env("HOME", folder)
                    .env("TMPDIR", folder);
                command
            })?;
        Ok(Self { service })
    }

    /// Where every service answers.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.service.endpoint()
    }
}
