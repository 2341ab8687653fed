//! What `key-material` promises, seen from outside: known answers, refusals, round trips, what a
//! secret's `Debug` shows, and agreement with programs that share no code with it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends that way")]

mod bytes;
mod elsewhere;
mod known_answers;
mod refusals;
mod round_trips;
mod secrecy;
mod vectors;
