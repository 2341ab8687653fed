//! Resource Access Manager, as an account sees it that is invited to shares.
//!
//! Within an organization that has sharing switched on nobody is invited: shares are there at once. Credentials
//! are found as in [`reading`](crate::reading).

use aws_sdk_ram::error::SdkError;
use aws_sdk_ram::types::{ResourceShareInvitation, ResourceShareInvitationStatus};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use reading::ReadError;

use crate::failure::{THIS_ACCOUNT, failure, read_failure};
use crate::session::config_of_a_reader;

const LISTING: &str = "ram:GetResourceShareInvitations";
const ACCEPTING: &str = "ram:AcceptResourceShareInvitation";

/// An invitation to a share of another account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Invitation {
    /// Its ARN.
    pub arn: String,
    /// The account that has sent it.
    pub sender: String,
    /// The share's name, as the sender has chosen it.
    pub share: String,
    /// What has become of it.
    pub state: InvitationState,
}

/// What has become of an invitation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InvitationState {
    /// It can be accepted.
    Pending,
    /// It has been accepted.
    Accepted,
    /// It has been rejected.
    Rejected,
    /// Nobody has accepted it in time.
    Expired,
    /// Something that was unknown when this was written.
    Other,
}

/// Resource Access Manager.
#[derive(Debug)]
pub struct SharingWorld(aws_sdk_ram::Client);

impl SharingWorld {
    /// Makes the connection's settings; opens nothing. `endpoint` is where the service answers: for local
    /// emulators only.
    #[must_use]
    pub fn new(region: &str, #[cfg(feature = "local")] endpoint: Option<String>) -> Self {
        Self(aws_sdk_ram::Client::new(&config_of_a_reader(
            region,
            #[cfg(feature = "local")]
            endpoint,
        )))
    }

    /// All invitations to this account.
    ///
    /// # Errors
    ///
    /// [`ReadError`], which names the permission where one is missing.
    pub async fn invitations(&self) -> Result<Vec<Invitation>, ReadError> {
        let (mut invitations, mut next) = (Vec::new(), None);
        loop {
            let page = self.0.get_resource_share_invitations().set_next_token(next).send().await;
            let page = page.map_err(|error| why(LISTING, "the invitations to this account", &error))?;
            let found = page.resource_share_invitations.unwrap_or_default();
            invitations.extend(found.into_iter().map(Invitation::from));
            // A page may be empty and not the last (the API Reference's page on the call).
            next = page.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(invitations);
            }
        }
    }

    /// Accepts an invitation.
    ///
    /// # Errors
    ///
    /// As [`SharingWorld::invitations`].
    pub async fn accept(&self, invitation: &Invitation) -> Result<(), ReadError> {
        let arn = &invitation.arn;
        let accepted = self.0.accept_resource_share_invitation().resource_share_invitation_arn(arn);
        accepted.send().await.map(drop).map_err(|error| why(ACCEPTING, arn, &error))
    }
}

impl From<ResourceShareInvitation> for Invitation {
    fn from(found: ResourceShareInvitation) -> Self {
        let state = match found.status {
            Some(ResourceShareInvitationStatus::Pending) => InvitationState::Pending,
            Some(ResourceShareInvitationStatus::Accepted) => InvitationState::Accepted,
            Some(ResourceShareInvitationStatus::Rejected) => InvitationState::Rejected,
            Some(ResourceShareInvitationStatus::Expired) => InvitationState::Expired,
            _ => InvitationState::Other,
        };
        Self {
            arn: found.resource_share_invitation_arn.unwrap_or_default(),
            sender: found.sender_account_id.unwrap_or_default(),
            share: found.resource_share_name.unwrap_or_default(),
            state,
        }
    }
}

/// Why a call for `permission` on `name` failed. Of the service's answer only the code is taken over.
fn why<E: ProvideErrorMetadata>(permission: &'static str, name: &str, error: &SdkError<E>) -> ReadError {
    read_failure(failure("", name, error), THIS_ACCOUNT.into(), permission, name)
}
