//! Why an operation did not succeed, in words for whoever reads the stack's events.

use std::time::Duration;

use crate::ownership::OwnerId;
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
    #[error("{subject} belongs to {owner}: nothing of it was touched; {}", what_helps(owner))]
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
    /// A cluster's documents are signed by a key that is not pinned.
    #[error(
        "{subject} is signed with {signer}, which this function does not trust: nothing was changed; to take \
         over what another KMS Stack has made, name this key in the parameter FormerRecordKeyArns{}",
        adopt_from(.owner.as_deref())
    )]
    UnknownSigner {
        /// The parameter.
        subject: String,
        /// The key that it names.
        signer: String,
        /// The owner, as far as tags tell.
        owner: Option<String>,
    },
    /// The secrets of an old owner were not taken over.
    #[error("nothing of {from} was taken over: {fault}")]
    NotAdopted {
        /// The old owner.
        from: String,
        /// Why, and what to do.
        fault: String,
    },
    /// What was taken over may not change yet.
    #[error(
        "the cluster was taken over from {from}, which still exists, so that it can be handed back as it was: \
         {change}, and nothing may change before {from} is gone; adopt with the same properties first, remove \
         it from its template, change afterwards"
    )]
    Provisional {
        /// The old owner.
        from: String,
        /// What would change.
        change: &'static str,
    },
    /// Another operation or rotation is writing what it guards.
    #[error("{subject} is held by another operation or rotation, for half a minute at most: try again")]
    Busy {
        /// The lease.
        subject: String,
    },
    /// A secret is to be rotated that its stack has not declared so.
    #[error("{subject} is not to be rotated: nothing was changed; set {property} on its resource first")]
    NotRotated {
        /// The secret.
        subject: String,
        /// The property that would have it rotated.
        property: &'static str,
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

/// What to do about a name that is taken: whoever is one of our resources can be taken over.
fn what_helps(owner: &str) -> String {
    if owner.parse::<OwnerId>().is_ok() {
        format!("set AdoptFrom to {owner} to take it over, or choose another Cluster or Namespace")
    } else {
        "choose another Cluster or Namespace".to_owned()
    }
}

fn adopt_from(owner: Option<&str>) -> String {
    owner.map(|owner| format!(" and set AdoptFrom to {owner}")).unwrap_or_default()
}
