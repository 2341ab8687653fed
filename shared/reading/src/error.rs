//! Why something could not be read, in one sentence that says what to change.

use provisioning::signed::DocumentError;

/// Why something could not be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// A policy stands in the way.
    #[error(
        "{account} does not let this role use {permission} on {name} ({code}): allow it in the role's policy, \
         and where it is another account's in the policy of the secret or key as well"
    )]
    Denied {
        /// Whose it is, as far as its name tells.
        account: String,
        /// The action that is missing.
        permission: &'static str,
        /// What was asked for.
        name: String,
        /// The service's error code.
        code: String,
    },
    /// There is nothing under the name.
    #[error("{name} does not exist: {hint}")]
    NotFound {
        /// What was asked for.
        name: String,
        /// What to look at.
        hint: &'static str,
    },
    /// The service could not be reached, or not in time: it may be there again later.
    #[error("{name} could not be read now ({code}), although it was tried again")]
    Unavailable {
        /// What was asked for.
        name: String,
        /// The service's error code, or what happened instead of an answer.
        code: String,
    },
    /// There is nobody to ask as.
    #[error(
        "{name} was not asked for: there are no credentials in the environment (AWS_ACCESS_KEY_ID and \
         AWS_SECRET_ACCESS_KEY), of a container or of an instance"
    )]
    NoCredentials {
        /// What was to be asked for.
        name: String,
    },
    /// Nobody could log in at a server on premises.
    #[error("{name} was not asked for: {fault}")]
    NoLogin {
        /// What was to be asked for.
        name: String,
        /// What the login is made with, and what is wrong with it; never what it holds.
        fault: String,
    },
    /// The service refuses the request itself.
    #[error("{name} was refused ({code})")]
    Refused {
        /// What was asked for.
        name: String,
        /// The service's error code.
        code: String,
    },
    /// A public document is not one to believe.
    #[error("{name} is not believed: {error}")]
    Document {
        /// The parameter.
        name: String,
        /// What is wrong with it.
        error: DocumentError,
    },
    /// What is stored is not what the node's record tells of.
    #[error("{name} is not used: {fault}")]
    Mismatch {
        /// The secret.
        name: String,
        /// What is wrong with it; never a value.
        fault: String,
    },
}

impl ReadError {
    /// Whether the same request may succeed later although nobody changes anything.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::NoCredentials { .. } | Self::NoLogin { .. })
    }

    pub(crate) fn document(name: &str, error: DocumentError) -> Self {
        Self::Document { name: name.to_owned(), error }
    }

    pub(crate) fn mismatch(name: &str, fault: impl Into<String>) -> Self {
        Self::Mismatch { name: name.to_owned(), fault: fault.into() }
    }
}
