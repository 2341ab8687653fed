//! The on-premises half on a real OpenBao server: who may do what there, the rules that never break, and where
//! no secret is.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends that way")]

mod chains;
mod contract;
mod crash;
mod demo;
mod doctor;
mod grant;
mod init;
mod node;
mod parallel;
mod policies;
mod secrecy;
#[path = "../secrecy/secret.rs"]
mod secret;
mod separation;
mod stage;
mod store;
