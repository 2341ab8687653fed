//! KMS, Secrets Manager, Parameter Store and two questions to CloudFormation, over HTTP, as AWS
//! documents them.
//!
//! A local emulator answers so that programs work; this double answers so that programs which
//! misread the documentation fail. Each rule names the page it was taken from. One [`Double`]
//! listens on loopback, holds several accounts and speaks to the real SDKs. It writes down every
//! call, and at any call a test can put a fault or a stop. What it does not know it refuses loudly,
//! with the code `NotInTheDouble`. Signatures are not checked: whoever names an access key is
//! believed.

mod access;
mod clock;
pub mod core_stack;
pub mod deploy;
mod double;
mod error;
mod identities;
mod kms;
mod limits;
mod paging;
mod parameters;
mod place;
mod random;
mod rates;
mod record;
mod secrets;
mod server;
mod service;
mod snapshot;
mod stacks;
mod tags;
mod twists;
mod under_way;
mod wire;
mod world;
mod xml;

pub use access::Policy;
pub use double::Double;
pub use error::ApiError;
pub use identities::Role;
pub use kms::{Key, KeySpec, KeyState, KeyUsage, NewKey};
pub use parameters::{Parameter, ParameterKind, ParameterVersion, Tier};
pub use place::Place;
pub use record::{Call, CallKey, Outcome, call_keys, most_at_once, sequential_rounds};
pub use secrets::{Deletion, Rotation, RotationRules, Secret, SecretValue, SecretVersion};
pub use service::Service;
pub use snapshot::{ParameterSnapshot, SecretSnapshot, Snapshot};
pub use stacks::{Resource, Stack};
pub use twists::{Hold, Pattern, Side, Twist};
pub use world::{Linger, World};
