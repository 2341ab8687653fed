//! One operation on a cluster, as CloudFormation asked for it.

use jiff::Timestamp;

use crate::ownership::{Generation, Owner};
use crate::time::TimeBudget;

/// What is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OperationKind {
    /// A resource is new.
    Create,
    /// A resource changes, in place.
    Update,
    /// A resource goes.
    Delete,
}

/// One operation on a cluster.
#[derive(Clone, Debug)]
pub struct Operation {
    /// What is asked for.
    pub kind: OperationKind,
    /// On whose behalf.
    pub owner: Owner,
    /// The operation's own id: whatever it makes carries it.
    pub generation: Generation,
    /// The physical id as it was delivered; the same as the owner's but for a Delete of an id
    /// that CloudFormation made up.
    pub delivered_id: String,
    /// When the operation was received.
    pub now: Timestamp,
    /// How much time it has in this run.
    pub time: TimeBudget,
}
