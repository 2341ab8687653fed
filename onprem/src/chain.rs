//! The keys of a chain's roles: which there are, which of them count, and what a rotation of one takes.
//!
//! Each key has a path of its own that is written once, `<namespace>/<chain>/role/<role>/<number>`, so no key is
//! ever overwritten and a policy can name one key exactly. Which number counts is told by the signed
//! [chain document](provisioning::chain), which is written last of all and only if nobody has written it
//! meanwhile. [Planning](planning) only compares; [bringing](bringing) carries a plan out.

pub mod bringing;
pub mod guidance;
pub mod planning;
mod role;
pub mod store;
mod vault_store;

use key_material::KeyMaterialError;
use provisioning::signed::DocumentError;
use vault::VaultError;

pub use role::{HARDWARE_WALLET, ROLES_ALLOWED, Role, RoleError};
pub use vault_store::VaultChainStore;

/// Why a chain was not brought to what is declared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// The server did not do what was asked.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The chain document does not check out, so nothing is built on it.
    #[error("{subject} cannot be built on, {error}; nothing was changed")]
    Document {
        /// The document.
        subject: String,
        /// What is wrong with it.
        error: DocumentError,
    },
    /// A name belongs to somebody else.
    #[error(
        "{subject} belongs to {owner}: nothing of it was touched; set `adopt-from` to that owner to take it over, or \
         choose another name or namespace"
    )]
    Foreign {
        /// What it is.
        subject: String,
        /// Whose it is, or what is known of that.
        owner: String,
    },
    /// A thing is not as it has to be to go on with it.
    #[error("{subject} {fault}")]
    Incomplete {
        /// The thing.
        subject: String,
        /// What is wrong, and what to do.
        fault: &'static str,
    },
    /// The role is not in service, so nothing of it is rotated.
    #[error(
        "the role {role} of {chain} is not in service: declare it and provision it first; nothing was changed"
    )]
    NotInService {
        /// The chain.
        chain: String,
        /// The role.
        role: Role,
    },
    /// Another run has changed the chain while this one was at work.
    #[error(
        "another run has changed this chain meanwhile: run it again, and it goes on from what stands there now"
    )]
    Meanwhile,
    /// A key was not made.
    #[error(transparent)]
    Material(#[from] KeyMaterialError),
}
