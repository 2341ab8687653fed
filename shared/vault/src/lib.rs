//! Vault and `OpenBao` behind the ports of `provisioning` and of `reading`: the only crate that names a
//! client of theirs.
//!
//! A [`Session`] is a login; [`VaultWorld`] is what provisioning runs on, [`VaultReader`] what a node reads
//! with, and [`RoleKeyStore`] keeps the keys of a chain's roles. [`Server`] is for whoever sets a server up or
//! looks at one. Whoever provisions writes values and never reads one: what describes a secret is read by
//! calls that give none.

pub mod ceremony;
mod connection;
mod error;
mod facts;
pub mod kv;
pub mod operation;
mod random;
mod reader;
pub mod role_keys;
pub mod server;
mod session;
pub mod settings;
pub mod transit;
mod world;

pub use connection::{Connection, Token, TokenError};
pub use error::VaultError;
pub use operation::{Beginning, HeldOperation, begin};
pub use reader::VaultReader;
pub use role_keys::{RoleKeyFacts, RoleKeyName, RoleKeyState, RoleKeyStore, RoleKeys};
pub use server::Server;
pub use session::{Session, TokenFacts};
pub use settings::{
    ADDRESS_ALLOWED, Address, AppRole, Login, MOUNT_ALLOWED, Mount, Mounts, Place, ROLE_ALLOWED, RoleName,
    SettingError, Settings,
};
pub use world::{EXPIRES, VaultWorld};
