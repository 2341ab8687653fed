//! keyboot-onprem: the keys of a cluster or of a chain on one's own servers, in Vault or `OpenBao`.
//!
//! A [declaration](declaration) is the on-premises twin of `Custom::NodeKeys`: it says what there has to be,
//! and `provision` brings the store there. Clusters go through `provisioning`, as in AWS; what only an OP-stack
//! chain has, the keys of its roles, goes through [`chain`]. No mode shows a key, and none could: whoever
//! provisions may write, and not read.

pub mod audit;
pub mod chain;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod declaration;
pub mod doctor;
pub mod error;
pub mod grant;
pub mod hardening;
pub mod init;
pub mod policies;
pub mod provision;
pub mod remove;
pub mod rotate;
pub mod show;
pub mod signer;
pub mod terminal;
