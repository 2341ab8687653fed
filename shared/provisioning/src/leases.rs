//! One at a time on a node's record: four secrets of a node may be rotated at once, each by a process of
//! its own, while an update of the stack writes records too, and a document can be replaced but not
//! compared and set.
//!
//! A lease is a document that says until when it is held: who dies with it holds up the others for as
//! long, and no longer. A store counts how many times a document was written. Whoever takes a lease has
//! seen a number, and has it if his own writing is the next one: of two who saw the same, one.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::authority::Permit;
use crate::error::ProvisionError;
use crate::names::ParameterName;
use crate::ownership::Owner;
use crate::ports::{MakeError, PortError, World};

/// How long a lease holds: many times as long as what is done under it takes.
const HOLDS: SignedDuration = SignedDuration::from_secs(30);
/// How long a lease that nobody takes stays there.
const STAYS: SignedDuration = SignedDuration::from_hours(48);

/// A lease as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    /// The number that its writer has seen. Who came too late has seen no higher one than the holder.
    seen: u64,
    /// Until when it is held; free where it says no time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

/// A lease that is held.
#[derive(Debug)]
#[must_use = "a lease that is not released holds up the others for half a minute"]
pub(crate) struct Lease<'a> {
    name: &'a ParameterName,
    seen: u64,
}

impl<'a> Lease<'a> {
    /// Takes the lease `name`, or gives [`ProvisionError::Busy`].
    pub(crate) async fn take(
        world: &impl World,
        permit: &Permit,
        owner: &Owner,
        name: &'a ParameterName,
    ) -> Result<Self, ProvisionError> {
        let now = world.now();
        let busy = || ProvisionError::Busy { subject: name.to_string() };
        let held = |seen| Stored { seen, until: now.checked_add(HOLDS).ok() }.to_text();
        let Some((seen, stored)) = world.read_numbered(name).await? else {
            return match world
                .publish_new(permit, name, &held(0)?, &owner.document_tags(), Some(stays(now)))
                .await
            {
                Ok(()) => Ok(Self { name, seen: 0 }),
                Err(PortError::Exists { .. }) => Err(busy()),
                Err(error) => Err(error.into()),
            };
        };
        // What cannot be read was written by nobody who holds anything.
        let until = Stored::read(&stored).and_then(|stored| stored.until);
        if until.is_some_and(|until| until > now) {
            return Err(busy());
        }
        match world.replace_numbered(permit, name, &held(seen)?, stays(now)).await {
            Ok(number) if number == seen + 1 => Ok(Self { name, seen }),
            Ok(_) | Err(PortError::Exists { .. }) => Err(busy()),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives it back, where it was not taken by another when its time was over.
    pub(crate) async fn release(self, world: &impl World, permit: &Permit) -> Result<(), ProvisionError> {
        let stored = world.read_numbered(self.name).await?;
        let is_own = |stored: &Stored| stored.seen <= self.seen;
        if stored.and_then(|(_, text)| Stored::read(&text)).as_ref().is_some_and(is_own) {
            let free = Stored { seen: self.seen, until: None }.to_text()?;
            world.republish(permit, self.name, &free, Some(stays(world.now()))).await?;
        }
        Ok(())
    }
}

/// When a lease that nobody takes any more vanishes, in whole seconds.
fn stays(now: Timestamp) -> Timestamp {
    let end = now.checked_add(STAYS).unwrap_or(Timestamp::MAX);
    Timestamp::from_second(end.as_second()).unwrap_or(end)
}

impl Stored {
    fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    fn to_text(&self) -> Result<String, MakeError> {
        Ok(serde_json::to_string(self)?)
    }
}
