//! What a node or an auditor reads of a cluster, and what must hold before it is believed.
//!
//! [`ClusterView::read`] reads what is public: a node's record, its peers', the roster. Everything is
//! signed by a key that the reader has [pinned](Pins), and no older than what he has [`Seen`].
//! [`NodeSecrets::fetch`] reads what is the node's own, each by the version id that the node's record
//! names, never by a stage: whoever may move a stage cannot choose which key a node runs with. The one
//! exception is the [`DatabaseLogin`], which is no key and of another stack. [`fetch_role_key`] does the same for
//! the key of a chain's role, which the [chain document](read_chain) names.
//!
//! The functions that make keys do not depend on this crate: no code is in them that reads one. No I/O
//! here; stores and keys are [`ports`].

mod chain;
mod environment;
mod error;
mod login;
mod pins;
pub mod ports;
mod secrets;
mod seen;
mod view;

pub use chain::{fetch_role_key, read_chain};
pub use environment::NodeEnvironment;
pub use error::ReadError;
pub use login::{DatabaseLogin, SecretArn, SecretArnError};
pub use pins::{Pin, Pins};
pub use secrets::NodeSecrets;
pub use seen::Seen;
pub use view::{ClusterView, Imported, Refusal, Roster, Whose};
