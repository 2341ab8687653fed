//! What keyboot-onprem decides, without a server.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod chains;
mod declarations;
mod memory;
