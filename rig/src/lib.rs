//! The local services: what starts them, stops them and looks into them.
//!
//! Used by `cargo xtask` and by the end-to-end tests alike. Everything is created below the
//! target folder, listens on loopback on ports chosen for the run, and ends with the value that
//! stands for it.

pub mod asking;
pub mod calls;
pub mod cloud;
pub mod cluster;
pub mod core_stack;
pub mod ethereum;
pub mod examples;
pub mod expanded;
pub mod functions;
pub mod fuse;
mod http;
pub mod instances;
pub mod metadata;
pub mod ministack;
pub mod moto;
pub mod nodes;
pub mod onprem;
pub mod onprem_story;
pub mod openbao;
pub mod postgres;
mod presigned;
pub mod programs;
pub mod python;
pub mod receiver;
pub mod rotating;
pub mod runtime;
mod service;
pub mod stack;
mod tls;
pub mod web3signer;

pub use service::free_port;

use std::path::{Path, PathBuf};

/// The root of the repository.
#[must_use]
pub fn repository() -> &'static Path {
    let rig = Path::new(env!("CARGO_MANIFEST_DIR"));
    rig.parent().unwrap_or(rig)
}

/// Where the rig keeps what it makes: `rig/` below the target folder.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "cargo says by this variable where its target folder is")]
pub fn home() -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
    target.join("rig")
}

/// The workspace's `Cargo.toml` of the repository that is built.
#[must_use]
pub fn template() -> PathBuf {
    repository().join("template.yaml")
}

/// The folder of the templates beside it: the Core Stack's, and what deploys both into many accounts.
#[must_use]
pub fn stacks() -> PathBuf {
    repository().join("stacks")
}
