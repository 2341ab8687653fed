//! What a reader believes, against a world in memory in which everything can be changed by somebody else.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends that way")]

mod chains;
mod logins;
mod secrets;
mod views;
mod world;
