//! What keyboot decides: which keys a cluster has, who owns them, and what becomes of them.
//!
//! The crate turns what a stack declares into calls on [`ports`], and knows no service behind
//! them. [`reconcile`] is Create and Update, [`remove`] is Delete, a [`Rotation`] is of one secret
//! that is in service, and [`scheduled`] is what a schedule asks for. It makes keys, never reads one back, and changes nothing without a
//! [`Permit`](authority::Permit).

mod admitting;
mod adopting;
pub mod audit;
pub mod authority;
pub mod chain;
mod drafting;
mod environment;
mod error;
mod estimating;
mod foreseeing;
mod giving_up;
mod intent;
mod leases;
mod making;
pub mod names;
mod node_ranges;
mod observing;
mod operation;
mod outcome;
mod overtaking;
pub mod ownership;
mod parallel;
mod planning;
pub mod ports;
pub mod principals;
pub mod properties;
mod publishing;
mod reconciling;
pub mod record;
mod renewing;
mod retiring;
pub mod roster;
mod rotating;
pub mod rotation_policy;
pub mod scheduled;
mod scheduling;
pub mod sealing;
pub mod signed;
pub mod store;
mod storing;
mod time;
pub mod version_label;
mod versions;

pub use error::ProvisionError;
pub use foreseeing::{Foresight, foresee, foresee_removal};
pub use operation::{Operation, OperationKind};
pub use outcome::{NodeOutcome, Outcome};
pub use reconciling::reconcile;
pub use retiring::remove;
pub use rotating::{Progress, Rotation};
pub use time::TimeBudget;
