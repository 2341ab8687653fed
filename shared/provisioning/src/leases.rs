//! One at a time on a node's record: four secrets of a node may be rotated at once, each by a process of
//! its own, and a document can be replaced but not compared and set.
//!
//! A lease is a document that only one of them can be the first to write. It names its holder and its
//! end: who dies with it holds up the others for as long, and no longer. Whoever finds one that is over
//! takes it away and comes again.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::authority::Permit;
use crate::error::ProvisionError;
use crate::names::ParameterName;
use crate::observing::read_one;
use crate::ownership::Owner;
use crate::ports::{PortError, World};

/// How long a lease holds: several times as long as what is done under it takes.
const HOLDS: SignedDuration = SignedDuration::from_secs(60);

/// A lease as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct Lease {
    holder: String,
    until: Timestamp,
}

/// Takes the lease `name` for `holder`, or gives [`ProvisionError::Busy`]. One that `holder` has already is
/// its own.
pub(crate) async fn take(
    world: &impl World,
    permit: &Permit,
    owner: &Owner,
    name: &ParameterName,
    holder: &str,
    now: Timestamp,
) -> Result<(), ProvisionError> {
    let until = now.checked_add(HOLDS).unwrap_or(Timestamp::MAX);
    let lease = Lease { holder: holder.to_owned(), until };
    let text = serde_json::to_string(&lease).map_err(crate::ports::MakeError::from)?;
    match world.publish_new(permit, name, &text, &owner.document_tags()).await {
        Ok(()) => Ok(()),
        Err(PortError::Exists { .. }) => {
            let stored = read_one(world, name).await?;
            let stored = stored.and_then(|text| serde_json::from_str::<Lease>(&text).ok());
            if stored.as_ref().is_some_and(|lease| lease.holder == holder) {
                return Ok(());
            }
            if stored.is_none_or(|lease| lease.until <= now) {
                world.withdraw(permit, std::slice::from_ref(name)).await?;
            }
            Err(ProvisionError::Busy { subject: name.to_string() })
        }
        Err(error) => Err(error.into()),
    }
}

/// Gives a lease back.
pub(crate) async fn release(
    world: &impl World,
    permit: &Permit,
    name: &ParameterName,
) -> Result<(), ProvisionError> {
    Ok(world.withdraw(permit, std::slice::from_ref(name)).await?)
}
