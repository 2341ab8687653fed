//! Why keyboot-node did not do what it was asked to, in one sentence.

use std::process::ExitCode;

use reading::ReadError;

/// Why keyboot-node did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// Its configuration is wrong.
    #[error("the configuration is wrong: {0}")]
    Config(String),
    /// What it keeps between two runs cannot be read or written.
    #[error(
        "what has been seen cannot be kept, and without it an older record would pass for the latest: {0}"
    )]
    State(String),
    /// Records that came as files cannot be read.
    #[error("imported records cannot be read: {0}")]
    Imports(String),
    /// Something could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The program cannot run with these keys.
    #[error(transparent)]
    Format(#[from] crate::formats::FormatError),
    /// The secrets cannot be handed over.
    #[error(transparent)]
    Delivery(#[from] crate::delivery::DeliveryError),
    /// The host is not fit to run the command.
    #[error(transparent)]
    Host(#[from] crate::host::HostError),
    /// The host did not let keyboot-node protect itself.
    #[error(transparent)]
    Hardening(#[from] crate::hardening::HardeningError),
    /// A public file cannot be written.
    #[error("{path} cannot be written: {error}")]
    Write {
        /// The file.
        path: String,
        /// Why not.
        error: std::io::Error,
    },
    /// The command cannot be started.
    #[error("the command {command} cannot be started: {error}")]
    Command {
        /// The command, without its arguments.
        command: String,
        /// Why not.
        error: std::io::Error,
    },
}

impl NodeError {
    /// How the process ends, as in sysexits.h and env(1): 75 where trying again later may help, 77 for a
    /// policy, 78 for the configuration, 126 and 127 for the command.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Read(
                ReadError::Unavailable { .. } | ReadError::NoCredentials { .. } | ReadError::NoLogin { .. },
            ) => 75,
            Self::Read(ReadError::Denied { .. }) => 77,
            Self::Config(_) => 78,
            Self::Command { error, .. } if error.kind() == std::io::ErrorKind::NotFound => 127,
            Self::Command { .. } => 126,
            _ => 1,
        })
    }
}
