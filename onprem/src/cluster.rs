//! A cluster's keys on premises: provisioning's own operations over Vault.
//!
//! What CloudFormation is in AWS is here an [operation](vault::operation) that this process holds: it gives the
//! request its id, which a run that goes on after a death keeps, and shows whether the request is still the one at
//! work. Nothing is begun where nothing has to be done.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use provisioning::authority::PinnedStacks;
use provisioning::names::{ClusterName, Segment};
use provisioning::ownership::{Generation, Owner, OwnerId};
use provisioning::roster::RosterIndex;
use provisioning::signed::PinnedKeys;
use provisioning::{
    Foresight, Operation, OperationKind, Outcome, ProvisionError, TimeBudget, foresee, reconcile,
};
use sha2::{Digest as _, Sha256};
use vault::kv::{Kv, TEXT};
use vault::operation::{HOLD, Kind};
use vault::transit::Transit;
use vault::{Beginning, EXPIRES, HeldOperation, Place, Session, VaultWorld};

use crate::audit::Audit;
use crate::declaration::ClusterDeclaration;
use crate::error::OnpremError;

/// What a cluster's or a chain's owner is called on its server: there is one for each name.
const RESOURCE: &str = "NodeKeys";
/// How long another run is waited for that holds a lease: longer than a lease lasts.
const PATIENCE: Duration = Duration::from_secs(45);
/// How long between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// Where things are done, and on whose behalf.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// The login.
    pub session: &'a Session,
    /// What names things on the server.
    pub place: &'a Place,
    /// Where it is written down.
    pub audit: &'a Audit,
    /// Who the declaration speaks for.
    pub owner: &'a Segment,
}

/// The owner of a cluster or a chain on a server: `keyboot/<namespace>/<name>/<16 hex digits>`.
///
/// # Errors
///
/// [`OnpremError::Config`], which it is for no name that was parsed.
pub fn owner_of(server: &Segment, owner: &Segment, name: &ClusterName) -> Result<Owner, OnpremError> {
    let stack_id = format!("onprem:{server}:{owner}");
    let digest = Sha256::new().chain_update(&stack_id).chain_update([0]).chain_update(RESOURCE).finalize();
    let id = format!("keyboot/{name}/{}", &hex::encode(digest)[..16]);
    let id = id.parse().map_err(|_| OnpremError::Config(format!("{id} is no owner's id")))?;
    Ok(Owner { id, stack_id, logical_id: RESOURCE.to_owned() })
}

/// What an operation would be, and the one before it.
#[derive(Clone, Debug)]
pub struct Next {
    /// What it would be, of a cluster that is wanted.
    pub kind: Kind,
    /// The id of one of this declaration that died: it goes on under it.
    pub unfinished: Option<Generation>,
    /// What stands there.
    pub roster: Roster,
}

/// Whose roster stands in a cluster's place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Roster {
    /// There is none.
    None,
    /// This owner's.
    Ours,
    /// This owner's, about to vanish after a removal.
    Leaving,
    /// Somebody else's.
    Anothers(String),
    /// One that does not check out: provisioning says why.
    Unreadable,
}

impl Next {
    /// The generation to foresee with: that of the operation that would go on, or of none.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.unfinished.clone().unwrap_or_else(|| Generation::new("foreseen"))
    }
}

impl<'a> Site<'a> {
    /// The owner of a cluster or a chain here.
    ///
    /// # Errors
    ///
    /// As [`owner_of`].
    pub fn owner_of(&self, name: &ClusterName) -> Result<Owner, OnpremError> {
        owner_of(&self.place.server, self.owner, name)
    }

    /// What provisioning runs on, with an operation that is held or with none.
    #[must_use]
    pub fn world<'b>(&self, held: Option<&'b HeldOperation>) -> VaultWorld<'b>
    where
        'a: 'b,
    {
        let audit = self.audit;
        VaultWorld::new(self.session, self.place.clone(), held, move |event| audit.write(event))
    }

    fn documents(&self) -> Kv<'a> {
        Kv::new(self.session.connection(), &self.place.mounts.documents)
    }

    /// What an operation on a cluster or a chain would be; `removes` says that it is a removal. What comes after a
    /// removal begins anew, and so does whoever takes over another's.
    ///
    /// # Errors
    ///
    /// [`OnpremError::Vault`].
    pub async fn next(
        &self,
        name: &ClusterName,
        declaration: &str,
        removes: bool,
    ) -> Result<Next, OnpremError> {
        let owner = self.owner_of(name)?.id;
        let roster = self.roster(name, &owner).await?;
        let last = vault::operation::last(self.session, self.place, name).await?;
        // What somebody else began or ended says nothing of what is this owner's.
        let last = last.filter(|last| last.owner == owner.as_str());
        let follows_a_removal = last.as_ref().is_some_and(|last| last.kind == Kind::Delete);
        let stands = matches!(roster, Roster::Ours | Roster::Unreadable);
        let unfinished = last.filter(|last| {
            !last.is_complete && last.declaration == declaration && (last.kind == Kind::Delete) == removes
        });
        Ok(Next {
            kind: if stands && !follows_a_removal { Kind::Update } else { Kind::Create },
            unfinished: unfinished.map(|last| last.id),
            roster,
        })
    }

    async fn roster(&self, name: &ClusterName, owner: &OwnerId) -> Result<Roster, OnpremError> {
        let path = name.roster_index_parameter().as_str().trim_start_matches('/').to_owned();
        let Some(mut held) = self.documents().read(&path, None).await? else { return Ok(Roster::None) };
        let expires = held.take(EXPIRES);
        let text = held.take(TEXT).unwrap_or_default();
        let transit = Transit::new(self.session.connection(), &self.place.mounts.transit);
        let spki = transit.public_key(&self.place.mounts.record_key).await?;
        let index = PinnedKeys::default()
            .pin(self.place.signer(), &spki)
            .and_then(|keys| RosterIndex::verify(&text, &keys, name));
        Ok(match index {
            Ok(index) if index.owner != owner.as_str() => Roster::Anothers(index.owner),
            Ok(_) if expires.is_some() => Roster::Leaving,
            Ok(_) => Roster::Ours,
            Err(_) => Roster::Unreadable,
        })
    }

    /// Begins an operation, does the work, and writes down that it has come to its end; one that failed is let go
    /// of, so that the next run goes on with it at once.
    ///
    /// # Errors
    ///
    /// [`OnpremError::Vault`] (`Held`) while another process is at work; else what the work says.
    pub async fn work_on<T>(
        &self,
        name: &ClusterName,
        kind: Kind,
        declaration: &str,
        work: impl AsyncFnOnce(&HeldOperation) -> Result<T, OnpremError>,
    ) -> Result<T, OnpremError> {
        let owner = self.owner_of(name)?;
        let beginning =
            Beginning { cluster: name, owner: &owner, kind, declaration, hold: HOLD, now: Timestamp::now() };
        let held = vault::begin(self.session, self.place, beginning).await?;
        match Box::pin(work(&held)).await {
            Ok(done) => {
                held.complete(self.session, self.place).await?;
                Ok(done)
            }
            Err(error) => {
                // Its hold ends by itself where this does not reach the server.
                let _ = held.let_go(self.session, self.place).await;
                Err(error)
            }
        }
    }
}

/// What bringing a cluster to what is declared would do. Writes nothing.
///
/// # Errors
///
/// What [`bring`] would refuse.
pub async fn foresee_cluster(
    site: &Site<'_>,
    cluster: &ClusterDeclaration,
    next: &Next,
) -> Result<Foresight, OnpremError> {
    let owner = site.owner_of(&cluster.name)?;
    let pinned = PinnedStacks::only(owner.stack_id.clone());
    let operation = operation(owner, next.kind.into(), next.generation());
    let spec = cluster.to_spec(site.place.seal_key());
    let world = site.world(None);
    Ok(Box::pin(foresee(&world, &pinned, &operation, &spec)).await?)
}

/// Brings a cluster to what is declared, in an operation that is held.
///
/// # Errors
///
/// [`OnpremError::Provision`]; what was done stands, and the next run goes on from there.
pub async fn bring(
    site: &Site<'_>,
    cluster: &ClusterDeclaration,
    held: &HeldOperation,
) -> Result<Outcome, OnpremError> {
    let pinned = PinnedStacks::only(held.owner().stack_id.clone());
    let spec = cluster.to_spec(site.place.seal_key());
    let world = site.world(Some(held));
    in_turn(async || {
        let operation = operation(held.owner().clone(), held.kind.into(), held.id.clone());
        Box::pin(reconcile(&world, &pinned, &operation, &spec, None)).await
    })
    .await
}

/// What letting go of a cluster would do. Writes nothing.
///
/// # Errors
///
/// [`OnpremError::Provision`].
pub async fn foresee_removal(
    site: &Site<'_>,
    cluster: &ClusterDeclaration,
    next: &Next,
) -> Result<Foresight, OnpremError> {
    if let Roster::Anothers(owner) = &next.roster {
        let subject = format!("cluster {}", cluster.name);
        return Err(ProvisionError::Foreign { subject, owner: owner.clone() }.into());
    }
    let operation = operation(site.owner_of(&cluster.name)?, OperationKind::Delete, next.generation());
    let world = site.world(None);
    Ok(Box::pin(provisioning::foresee_removal(&world, &operation, &cluster.to_lenient_spec())).await?)
}

/// Lets go of a cluster by its deletion rules, in an operation that is held; gives what stays and why.
///
/// # Errors
///
/// As [`bring`].
pub async fn remove(
    site: &Site<'_>,
    cluster: &ClusterDeclaration,
    held: &HeldOperation,
) -> Result<Vec<String>, OnpremError> {
    let pinned = PinnedStacks::only(held.owner().stack_id.clone());
    let spec = cluster.to_lenient_spec();
    let world = site.world(Some(held));
    in_turn(async || {
        let operation = operation(held.owner().clone(), OperationKind::Delete, held.id.clone());
        Box::pin(provisioning::remove(&world, &pinned, &operation, &spec)).await
    })
    .await
}

/// Does a piece of work again for as long as another run holds what it needs.
///
/// # Errors
///
/// What the work says at last.
pub async fn in_turn<T>(work: impl AsyncFn() -> Result<T, ProvisionError>) -> Result<T, OnpremError> {
    let begun = Instant::now();
    loop {
        match work().await {
            Err(ProvisionError::Busy { .. }) if begun.elapsed() < PATIENCE => tokio::time::sleep(PAUSE).await,
            other => return Ok(other?),
        }
    }
}

fn operation(owner: Owner, kind: OperationKind, generation: Generation) -> Operation {
    Operation {
        kind,
        delivered_id: owner.id.to_string(),
        owner,
        generation,
        now: Timestamp::now(),
        time: TimeBudget::unlimited(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// printf 'onprem:ops:team\0NodeKeys' | sha256sum
    const DIGEST: &str = "e4c5f35e5ccc815b";

    #[test]
    fn an_owner_is_the_same_for_the_same_declaration_and_another_for_any_other() {
        let owner = |server: &str, owner: &str, name: &str| {
            owner_of(&server.parse().unwrap(), &owner.parse().unwrap(), &name.parse().unwrap()).unwrap()
        };
        let one = owner("ops", "team", "keyboot/tsm");
        assert_eq!(one.stack_id, "onprem:ops:team");
        assert_eq!(one.id.as_str(), format!("keyboot/keyboot/tsm/{DIGEST}"));
        assert_eq!(owner("ops", "team", "keyboot/tsm"), one);
        for other in [
            owner("ops2", "team", "keyboot/tsm"),
            owner("ops", "team2", "keyboot/tsm"),
            owner("ops", "team", "keyboot/tsm2"),
        ] {
            assert_ne!(other.id, one.id);
        }
    }
}
