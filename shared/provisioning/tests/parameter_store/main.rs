//! The same promises with secrets in Parameter Store, test by test, and what only it asks for.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends that way")]

use provisioning::store::Store;

#[path = "../suite/adopting.rs"]
mod adopting;
#[path = "../suite/committing.rs"]
mod committing;
#[path = "../suite/creating.rs"]
mod creating;
#[path = "../suite/deaths.rs"]
mod deaths;
#[path = "../suite/fixtures.rs"]
mod fixtures;
mod moving;
#[path = "../suite/planted.rs"]
mod planted;
mod refusing;
#[path = "../suite/regenerating.rs"]
mod regenerating;
#[path = "../suite/removing.rs"]
mod removing;
#[path = "../suite/rotating.rs"]
mod rotating;
#[path = "../suite/running_out.rs"]
mod running_out;
mod scheduled;
mod sweeping;
#[path = "../suite/updating.rs"]
mod updating;
#[path = "../suite/world.rs"]
mod world;

/// Where the secrets of these tests are.
pub(crate) const STORE: Store = Store::ParameterStore;
