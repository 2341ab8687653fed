//! What a deployed function does by itself, seen from outside: the build without the feature
//! `local`, run as Lambda runs it. No service is near it, and it must not find one. Only where its
//! answer has to arrive somewhere is it the build for the rig.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends that way")]

mod answering;
mod delivering;
mod key_rotation;
mod starting;
mod surroundings;
mod unanswered;
