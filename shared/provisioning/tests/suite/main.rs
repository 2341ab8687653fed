//! What `provisioning` promises, seen from outside: whole operations on a world in memory, with
//! deaths, faults and duplicates at every call, and the documents and properties by themselves.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends that way")]

use provisioning::store::Store;

mod admitting;
mod adopting;
mod committing;
mod creating;
mod deaths;
mod documents;
mod fixtures;
mod foreseeing;
mod pinning;
mod planted;
mod properties;
mod regenerating;
mod relabelled;
mod removing;
mod rotating;
mod running_out;
mod scheduling;
mod telling;
mod updating;
mod world;

/// Where the secrets of these tests are.
pub(crate) const STORE: Store = Store::SecretsManager;
