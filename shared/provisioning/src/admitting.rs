//! Who may read: each secret's resource policy, brought to what is declared.
//!
//! A policy is looked at only where it can differ: where the properties name somebody or named
//! somebody, and where a secret was there before the properties spoke of it. It is written only
//! where it differs, after the secret is stored and before a further version is put or its public half
//! published. What was taken over keeps its policy for as long as it may be handed back.

use crate::audit::{Action, AuditEvent};
use crate::authority::Permit;
use crate::error::ProvisionError;
use crate::names::Slot;
use crate::observing::Observed;
use crate::operation::{Operation, OperationKind};
use crate::parallel::each;
use crate::planning::Plan;
use crate::ports::{PortError, StoredReaders, World};
use crate::principals::Readers;
use crate::properties::{ClusterSpec, LenientSpec};
use crate::versions::Item;

/// A secret whose policy has to be written.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    slot: Slot,
    arn: String,
    readers: Readers,
}

/// The secrets whose policies differ from what is declared.
pub(crate) async fn admissions(
    world: &impl World,
    operation: &Operation,
    spec: &ClusterSpec,
    before: Option<&LenientSpec>,
    observed: &Observed,
    plan: &Plan,
) -> Result<Vec<Admission>, PortError> {
    // Parameters have no such policies. All of them stood before the mark: what differs after it is the
    // work of a follower.
    if !spec.store.names_readers() || observed.is_committed(&operation.generation) || observed.provisional {
        return Ok(Vec::new());
    }
    // What the event says of before concerns another cluster where this one is led to anew.
    let comes_anew =
        operation.kind == OperationKind::Create || operation.delivered_id != operation.owner.id.as_str();
    let before = before.filter(|_| !comes_anew);
    let is_taken_over = observed.adopted_from().is_some();
    let found = each(&plan.kept, async |(slot, item): (&Slot, &Item)| {
        let readers = spec.admitted.to(slot);
        let admission = |readers| Admission { slot: slot.clone(), arn: item.arn.clone(), readers };
        if plan.made_here.contains_key(slot) {
            return Ok((!readers.is_empty()).then(|| admission(readers)));
        }
        let was_declared = before.is_some_and(|before| before.declares(slot));
        let is_new = item.generation == operation.generation;
        let may_differ = !readers.is_empty()
            || before.is_some_and(|before| !before.admitted.to(slot).is_empty())
            || plan.restored_here.contains_key(slot)
            || is_taken_over
            || !was_declared && !is_new;
        if !may_differ {
            return Ok(None);
        }
        let differs = match world.secret_readers(&item.arn).await? {
            StoredReaders::None => !readers.is_empty(),
            StoredReaders::Admitted(stored) => stored != readers,
            StoredReaders::Otherwise => true,
        };
        Ok::<_, PortError>(differs.then(|| admission(readers)))
    });
    Ok(found.await?.into_iter().flatten().collect())
}

/// Whether a policy lets in others than those declared. One that is not as we write it does not tell:
/// it may be that of another function, whose role it names.
pub(crate) async fn lets_others_in(
    world: &impl World,
    spec: &ClusterSpec,
    plan: &Plan,
) -> Result<bool, PortError> {
    if !spec.store.names_readers() {
        return Ok(false);
    }
    let differing = each(&plan.kept, async |(slot, item): (&Slot, &Item)| {
        let readers = spec.admitted.to(slot);
        Ok::<_, PortError>(match world.secret_readers(&item.arn).await? {
            StoredReaders::None => !readers.is_empty(),
            StoredReaders::Admitted(stored) => stored != readers,
            StoredReaders::Otherwise => false,
        })
    });
    Ok(differing.await?.contains(&true))
}

/// Writes the policies that differ.
pub(crate) async fn admit(
    world: &impl World,
    permit: &Permit,
    operation: &Operation,
    admissions: Vec<Admission>,
) -> Result<(), ProvisionError> {
    each(admissions, async |admission: Admission| {
        operation.time.check()?;
        let Admission { slot, arn, readers } = &admission;
        world.admit_readers(permit, arn, readers).await?;
        let event = AuditEvent::new(Action::Admitted, &operation.owner.id, &operation.generation, arn);
        let readers = readers.to_string();
        world.record(&event.of(slot).because(&readers));
        Ok(())
    })
    .await
    .map(drop)
}
