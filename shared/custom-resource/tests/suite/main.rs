//! What `custom-resource` promises, seen from outside.
//!
//! Everything that sends needs the feature `local`, since only then may an answer go to this
//! machine. What must never send is proven without it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends that way")]

mod identity;
mod process;
mod response_url;
mod support;
mod unanswerable;

#[cfg(feature = "local")]
mod answers;
#[cfg(feature = "local")]
mod bad_events;
#[cfg(feature = "local")]
mod bucket;
#[cfg(feature = "local")]
mod clock;
#[cfg(feature = "local")]
mod delivery;
#[cfg(feature = "local")]
mod limits;
#[cfg(feature = "local")]
mod racing;
#[cfg(feature = "local")]
mod silence;
