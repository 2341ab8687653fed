//! The stand-in from outside: nodes as processes of their own, with keys made for the test.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends that way")]

mod authenticating;
mod cluster;
mod configuring;
mod databases;
mod quorums;
mod signals;
