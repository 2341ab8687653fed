//! Why something of a server could not be had or done, by what the caller does next.
//!
//! A server's own sentences are never taken over, since they may repeat what was sent: of them only what is
//! known to be said is recognised, and told in our words.

use provisioning::ports::PortError;
use reading::ReadError;

/// Whose rights are short where a server refuses: what is behind the name of a permission.
const OWNER: &str = "the Vault server";

/// Why a call to a server failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The token's policies do not let it, or the token is none any more.
    #[error("{what} was denied: the policies of this login do not let it, or the token has ended")]
    Denied {
        /// The call and its object.
        what: String,
    },
    /// There is nothing of the kind.
    #[error("{what}: there is none")]
    NotFound {
        /// The call and its object.
        what: String,
    },
    /// It is there already, or somebody else was faster.
    #[error("{what}: it is there already, or somebody else has changed it meanwhile")]
    Conflict {
        /// The call and its object.
        what: String,
    },
    /// The server was not reached, or not in time, or could not do it now.
    #[error("{what} did not succeed ({code}), although it was tried again where that is harmless")]
    Unavailable {
        /// The call and its object.
        what: String,
        /// The status of the answer, or what happened instead of one.
        code: String,
    },
    /// The server refuses the request itself.
    #[error("{what} was refused ({code})")]
    Refused {
        /// The call and its object.
        what: String,
        /// The status of the answer, or which rule was broken.
        code: String,
    },
    /// The server is sealed: who holds shares of its key has to open it.
    #[error("the server is sealed: nothing is read or written until it is unsealed")]
    Sealed,
    /// Nobody could log in.
    #[error("no login from {file}: {fault}")]
    NoLogin {
        /// The file that the login is made with.
        file: String,
        /// What is wrong with it; never what it holds.
        fault: String,
    },
    /// The authorities that the server's certificate may come from cannot be read.
    #[error("{file} is no list of certificates of authorities, in PEM: {fault}")]
    NoAuthorities {
        /// The file.
        file: String,
        /// What is wrong with it.
        fault: String,
    },
    /// Another process is at work on the same cluster or chain.
    #[error(
        "{cluster} is being worked on, by operation {id} of {owner}: its hold ends at {until} unless it goes on"
    )]
    Held {
        /// The cluster or chain.
        cluster: String,
        /// The operation's id.
        id: String,
        /// On whose behalf it runs.
        owner: String,
        /// Until when nobody else begins.
        until: String,
    },
}

impl VaultError {
    pub(crate) fn refused(what: impl Into<String>, code: impl Into<String>) -> Self {
        Self::Refused { what: what.into(), code: code.into() }
    }

    /// The same in a reader's words: what failed is the use of `permission` on `name`.
    #[must_use]
    pub fn into_read_error(self, permission: &'static str, name: &str, hint: &'static str) -> ReadError {
        let name = name.to_owned();
        match self {
            Self::Denied { .. } => {
                ReadError::Denied { account: OWNER.to_owned(), permission, name, code: "403".into() }
            }
            Self::NotFound { .. } => ReadError::NotFound { name, hint },
            Self::Unavailable { code, .. } => ReadError::Unavailable { name, code },
            Self::Sealed => ReadError::Unavailable { name, code: "the server is sealed".into() },
            Self::Refused { code, .. } => ReadError::Refused { name, code },
            other @ (Self::NoLogin { .. } | Self::NoAuthorities { .. }) => {
                ReadError::NoLogin { name, fault: other.to_string() }
            }
            other @ (Self::Conflict { .. } | Self::Held { .. }) => {
                ReadError::Refused { name, code: other.to_string() }
            }
        }
    }
}

impl From<VaultError> for PortError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Denied { what } => Self::Denied { what, code: "403".into() },
            VaultError::NotFound { what } => Self::NotFound { what },
            VaultError::Conflict { what } => Self::Exists { what },
            VaultError::Unavailable { what, code } => Self::Unavailable { what, code },
            VaultError::Refused { what, code } => Self::Refused { what, code },
            VaultError::Sealed => {
                Self::Unavailable { what: "the server".into(), code: "it is sealed".into() }
            }
            other @ (VaultError::NoLogin { .. }
            | VaultError::NoAuthorities { .. }
            | VaultError::Held { .. }) => {
                Self::Refused { what: "the server".into(), code: other.to_string() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_caller_does_next_stays_the_same() {
        let what = || "writing x".to_owned();
        assert!(matches!(PortError::from(VaultError::Conflict { what: what() }), PortError::Exists { .. }));
        assert!(matches!(PortError::from(VaultError::Denied { what: what() }), PortError::Denied { .. }));
        assert!(matches!(PortError::from(VaultError::Sealed), PortError::Unavailable { .. }));
        assert!(matches!(PortError::from(VaultError::NotFound { what: what() }), PortError::NotFound { .. }));
        let read = |error: VaultError| error.into_read_error("read", "name", "hint");
        assert!(matches!(read(VaultError::Sealed), ReadError::Unavailable { .. }));
        assert!(matches!(read(VaultError::Denied { what: what() }), ReadError::Denied { .. }));
        assert!(matches!(read(VaultError::NotFound { what: what() }), ReadError::NotFound { .. }));
        let no_login = VaultError::NoLogin { file: "f".into(), fault: "empty".into() };
        assert!(matches!(read(no_login), ReadError::NoLogin { .. }));
    }
}
