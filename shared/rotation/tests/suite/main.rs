//! What `rotation` promises, seen from outside.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends that way")]

mod anything;
mod events;
mod interrupted;
mod labels;
mod memory;
mod redaction;
mod said;
mod support;
mod two_runs;
