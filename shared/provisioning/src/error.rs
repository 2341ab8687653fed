//! Why an operation did not succeed, in words for whoever reads the stack's events.

use std::time::Duration;

use crate::ports::{MakeError, PortError};
use crate::properties::PropertyFault;
use crate::signed::DocumentError;

/// Why an operation did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProvisionError {
    /// A property is wrong.
    #[error(transparent)]
    Property(#[from] PropertyFault),
    /// The event's stack is not one the template pinned.
    #[error(
        "nothing was changed: this StackId is not among the stacks pinned for this function; \
         add it to the KMS Stack's parameter ClientStackIds"
    )]
    NotPinned,
    /// CloudFormation shows another state than the event claims.
    #[error(
        "nothing more was changed: CloudFormation does not show this operation in progress (it shows {0})"
    )]
    NotInProgress(String),
    /// A name belongs to somebody else.
    #[error("{subject} belongs to {owner}: nothing of it was touched; choose another Cluster or Namespace")]
    Foreign {
        /// The name.
        subject: String,
        /// The owner, or what is known of it.
        owner: String,
    },
    /// A published document does not check out, so nothing is built on it.
    #[error("{subject} cannot be built on, {error}; nothing was changed")]
    Document {
        /// The parameter.
        subject: String,
        /// What is wrong with it.
        error: DocumentError,
    },
    /// A thing lacks what is needed to go on with it.
    #[error("{subject} {fault}")]
    Incomplete {
        /// The thing.
        subject: String,
        /// What it lacks, and what to do.
        fault: &'static str,
    },
    /// The time of this run is nearly over. What was done stands, and a retry goes on from there.
    #[error(
        "the time was over before all was done; what was done stands, and the next run goes on from there"
    )]
    OutOfTime,
    /// The time of this run was over before anything could be begun.
    #[error("the time was over before anything could be begun: raise the KMS Stack's FunctionTimeout")]
    NoTime,
    /// It would take longer than there is time for, so nothing of it was begun.
    #[error(
        "nothing was changed: this takes about {} s at the rates that AWS allows, and there are {} s in all runs of \
         the function; change at most {nodes} nodes at a time (create the cluster with so many, then add as many \
         with each update), or raise the KMS Stack's FunctionTimeout or the account's Parameter Store throughput",
        takes.as_secs(), has.as_secs()
    )]
    TakesTooLong {
        /// How long it would take.
        takes: Duration,
        /// How long there is.
        has: Duration,
        /// How many nodes fit.
        nodes: usize,
    },
    /// A key was not made.
    #[error(transparent)]
    Make(#[from] MakeError),
    /// A service did not do what was asked.
    #[error(transparent)]
    Port(#[from] PortError),
}
