//! What a reader needs of the world, a trait for each need.

use std::fmt;
use std::future::Future;

use provisioning::sealing::SealedSecret;
use zeroize::Zeroizing;

use crate::error::ReadError;

/// A secret's text as it is stored. Wiped when dropped, never printed.
pub struct StoredText(Zeroizing<String>);

impl StoredText {
    /// Takes a text over.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Reveals the text.
    ///
    /// # Security
    ///
    /// Where it is no envelope this is the secret. Whoever calls this says in an `EXPOSE` comment where it
    /// goes.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for StoredText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredText").finish_non_exhaustive()
    }
}

/// What an envelope held. Wiped when dropped, never printed.
pub struct Opened(Zeroizing<Vec<u8>>);

impl Opened {
    /// Takes bytes over.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Reveals the bytes.
    ///
    /// # Security
    ///
    /// This is the secret. Whoever calls this says in an `EXPOSE` comment where it goes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").finish_non_exhaustive()
    }
}

/// Where public documents are.
pub trait DocumentReader {
    /// The texts under some names or ARNs, at most 10 of them, in their order; `None` where there is none.
    /// A read error is never `None`.
    fn read_documents(
        &self,
        names: &[String],
    ) -> impl Future<Output = Result<Vec<Option<String>>, ReadError>>;
}

/// Where secrets are.
pub trait SecretReader {
    /// The value of one version of a secret.
    fn fetch_version(
        &self,
        arn: &str,
        version_id: &str,
    ) -> impl Future<Output = Result<StoredText, ReadError>>;
}

/// The value of a secret that is current.
#[derive(Debug)]
pub struct CurrentValue {
    /// The version that it is.
    pub version_id: String,
    /// Its text.
    pub text: StoredText,
}

/// Where secrets are that nobody signs, such as the login at a database.
pub trait CurrentReader {
    /// The value of the version that is current.
    fn fetch_current(&self, arn: &str) -> impl Future<Output = Result<CurrentValue, ReadError>>;
}

/// Who tells which version of such a secret is current. He gives no value: who holds only this reads none.
pub trait VersionReader {
    /// The id of the version that is current.
    fn current_version(&self, arn: &str) -> impl Future<Output = Result<String, ReadError>>;
}

/// What opens envelopes.
pub trait Opener {
    /// Opens an envelope, under the context that stands in it and was compared before.
    fn open(&self, sealed: &SealedSecret) -> impl Future<Output = Result<Opened, ReadError>>;
}

/// What a node's command is started with: all of it but what is told without a value.
pub trait World: DocumentReader + SecretReader + CurrentReader + Opener {}

impl<T: DocumentReader + SecretReader + CurrentReader + Opener> World for T {}
