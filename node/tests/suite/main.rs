//! What keyboot-node shows and checks of a cluster, on a cluster in memory and as a program.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends that way")]

mod accepting;
#[cfg(feature = "local")]
mod audited;
#[cfg(feature = "local")]
mod database_login;
mod importing;
mod on_a_server;
#[cfg(feature = "local")]
mod program;
mod showing;
mod verifying;
mod world;
