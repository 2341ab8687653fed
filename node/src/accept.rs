//! `keyboot-node accept --share`: takes part in what another organization shares.
//!
//! Resource Access Manager invites whoever is in no organization with the sharing account, and
//! `CloudFormation` cannot accept. Anybody can send invitations, under any name: only one whose sender and
//! share are both pinned is accepted.

use std::fmt;
use std::future::Future;

use aws::sharing::{Invitation, InvitationState, SharingWorld};
use reading::ReadError;

use crate::config::PinnedShare;
use crate::error::NodeError;

/// Who is invited.
pub trait Sharing {
    /// All invitations.
    fn invitations(&self) -> impl Future<Output = Result<Vec<Invitation>, ReadError>>;
    /// Accepts one.
    fn accept(&self, invitation: &Invitation) -> impl Future<Output = Result<(), ReadError>>;
}

impl Sharing for SharingWorld {
    async fn invitations(&self) -> Result<Vec<Invitation>, ReadError> {
        Self::invitations(self).await
    }

    async fn accept(&self, invitation: &Invitation) -> Result<(), ReadError> {
        Self::accept(self, invitation).await
    }
}

/// What is done with an invitation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Decision {
    /// It is accepted.
    Accept,
    /// It is left as it is; why.
    Leave(&'static str),
}

/// What became of an invitation, or of a share that is pinned.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It was accepted.
    Accepted(Invitation),
    /// It was left as it is; why.
    Left(Invitation, &'static str),
    /// It was to be accepted, and was not.
    Failed(Invitation, ReadError),
    /// Nobody has sent one.
    Missing(PinnedShare),
}

/// What is done with an invitation.
#[must_use]
pub fn decide(invitation: &Invitation, pinned: &[PinnedShare]) -> Decision {
    let of_sender = || pinned.iter().filter(|share| share.account == invitation.sender);
    if of_sender().next().is_none() {
        return Decision::Leave("no `[[share]]` of the configuration names its sender");
    }
    if !of_sender().any(|share| share.name == invitation.share) {
        return Decision::Leave("no `[[share]]` of its sender in the configuration has its name");
    }
    match invitation.state {
        InvitationState::Pending => Decision::Accept,
        InvitationState::Accepted => Decision::Leave("it was accepted before"),
        InvitationState::Rejected => Decision::Leave(
            "it was rejected: its sender has to take the account off the share and put it on again",
        ),
        InvitationState::Expired => Decision::Leave(
            "it has expired: its sender has to take the account off the share and put it on again",
        ),
        InvitationState::Other => Decision::Leave("its state is none that is known here"),
    }
}

/// Accepts the invitations that are pinned, and tells what became of all. One that fails stops no other.
///
/// # Errors
///
/// [`NodeError::Config`] when no share is pinned; [`NodeError::Read`] when invitations cannot be listed.
pub async fn accept_shares(
    sharing: &impl Sharing,
    pinned: &[PinnedShare],
) -> Result<Vec<Outcome>, NodeError> {
    if pinned.is_empty() {
        let missing = "no `[[share]]` is pinned, with `account` and `name`, so none would be accepted";
        return Err(NodeError::Config(missing.into()));
    }
    let invitations = sharing.invitations().await?;
    let is_there = |share: &&PinnedShare| {
        invitations.iter().any(|found| found.sender == share.account && found.share == share.name)
    };
    let missing = pinned.iter().filter(|share| !is_there(share)).cloned().map(Outcome::Missing);
    let missing: Vec<Outcome> = missing.collect();
    let mut outcomes = Vec::new();
    for invitation in invitations {
        outcomes.push(match decide(&invitation, pinned) {
            Decision::Leave(why) => Outcome::Left(invitation, why),
            Decision::Accept => match sharing.accept(&invitation).await {
                Ok(()) => Outcome::Accepted(invitation),
                Err(error) => Outcome::Failed(invitation, error),
            },
        });
    }
    outcomes.extend(missing);
    Ok(outcomes)
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |share: &str, account: &str| format!("share {share:?} of account {account}");
        let invited = |invitation: &Invitation| of(&invitation.share, &invitation.sender);
        match self {
            Self::Accepted(invitation) => write!(f, "accepted: {}", invited(invitation)),
            Self::Left(invitation, why) => write!(f, "left: {}: {why}", invited(invitation)),
            Self::Failed(invitation, error) => write!(f, "not accepted: {}: {error}", invited(invitation)),
            Self::Missing(PinnedShare { account, name }) => write!(
                f,
                "not there: {}: no invitation to it has come; within one organization none is needed",
                of(name, account)
            ),
        }
    }
}
