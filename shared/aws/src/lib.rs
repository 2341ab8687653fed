//! AWS behind the ports of `provisioning`: the only crate that names an AWS SDK.
//!
//! One [`AwsWorld`] serves a function for its whole life. A client is built when the first call
//! needs it: a request pays for no service it does not use. Endpoints follow from partition and
//! Region alone and certificates are checked against roots compiled in, so nothing in the
//! environment can send a secret elsewhere. Every request waits for its turn, so that calls come no
//! faster than AWS takes them. The SDK's own logs are never switched on: told so by
//! two variables of its own, it prints request bodies at its finest level.

mod audit;
#[cfg(feature = "reading")]
pub mod auditing;
mod failure;
mod kms;
#[cfg(feature = "database")]
mod logins;
mod outgoing;
mod pacing;
mod parameter_store;
mod patience;
mod rates;
#[cfg(feature = "reading")]
pub mod reading;
mod secret_policy;
mod secrets_manager;
mod secure_strings;
mod session;
mod settings;
#[cfg(feature = "reading")]
pub mod sharing;
mod stacks;
mod stores;
mod turns;

pub use audit::JsonLines;
#[cfg(feature = "database")]
pub use logins::{LoginSettings, Logins};
pub use rates::Rates;
pub use session::AwsWorld;
pub use settings::{Credentials, KeyArnError, Rotator, Settings, SettingsFault, SigningKeyArn};
pub use turns::in_turn;
