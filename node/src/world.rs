//! What keyboot-node reads with: AWS or a server, whichever the configuration names, and never both.

use std::future::Future;

use aws::reading::ReadingWorld;
use provisioning::sealing::SealedSecret;
use reading::ReadError;
use reading::ports::{
    CurrentReader, CurrentValue, DocumentReader, Opened, Opener, SecretReader, StoredText, VersionReader,
};
use vault::VaultReader;

use crate::log;

/// What keyboot-node reads with.
#[derive(Debug)]
pub enum SourceWorld {
    /// AWS.
    Aws(Box<ReadingWorld>),
    /// A Vault or `OpenBao` server.
    Vault(Box<VaultReader>),
}

/// What may have logged in somewhere, and gives its login back before a command takes its place: one that stayed
/// valid would be of use to whoever finds it.
pub trait LogOut {
    /// Gives the login back, where there is one of its own. Where that fails it is told, and the login ends by
    /// itself.
    fn log_out(&self) -> impl Future<Output = ()>;
}

impl LogOut for SourceWorld {
    async fn log_out(&self) {
        match self {
            // Its credentials are those of the process or the instance.
            Self::Aws(_) => {}
            Self::Vault(server) => {
                if let Err(error) = server.end().await {
                    log::say(&format!("the login at the server could not be given back: {error}"));
                }
            }
        }
    }
}

impl DocumentReader for SourceWorld {
    async fn read_documents(&self, names: &[String]) -> Result<Vec<Option<String>>, ReadError> {
        match self {
            Self::Aws(aws) => aws.read_documents(names).await,
            Self::Vault(server) => server.read_documents(names).await,
        }
    }
}

impl SecretReader for SourceWorld {
    async fn fetch_version(&self, arn: &str, version_id: &str) -> Result<StoredText, ReadError> {
        match self {
            Self::Aws(aws) => aws.fetch_version(arn, version_id).await,
            Self::Vault(server) => server.fetch_version(arn, version_id).await,
        }
    }
}

impl CurrentReader for SourceWorld {
    async fn fetch_current(&self, arn: &str) -> Result<CurrentValue, ReadError> {
        match self {
            Self::Aws(aws) => aws.fetch_current(arn).await,
            Self::Vault(server) => server.fetch_current(arn).await,
        }
    }
}

impl VersionReader for SourceWorld {
    async fn current_version(&self, arn: &str) -> Result<String, ReadError> {
        match self {
            Self::Aws(aws) => aws.current_version(arn).await,
            Self::Vault(server) => server.current_version(arn).await,
        }
    }
}

impl Opener for SourceWorld {
    async fn open(&self, sealed: &SealedSecret) -> Result<Opened, ReadError> {
        match self {
            Self::Aws(aws) => aws.open(sealed).await,
            Self::Vault(server) => server.open(sealed).await,
        }
    }
}
