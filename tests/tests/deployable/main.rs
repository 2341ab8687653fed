//! What a deployed function does by itself, seen from outside: the build without the feature
//! `local`, run as Lambda runs it. No service is near it, and it must not find one.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends that way")]

mod answering;
mod starting;
mod surroundings;
