//! By which schedule each secret is rotated, brought to what is declared.
//!
//! A schedule is looked at in what is told of a secret anyway, and set only where it differs. What was
//! taken over keeps its schedule for as long as it may be handed back. Where the store rotates nothing
//! itself, the template has the schedules, and here is nothing to do.

use crate::audit::{Action, AuditEvent};
use crate::authority::Permit;
use crate::error::ProvisionError;
use crate::names::{Purpose, Slot};
use crate::observing::{Observed, Place};
use crate::operation::Operation;
use crate::planning::Plan;
use crate::ports::{RotationSchedule, World};
use crate::properties::{API_KEYS_EVERY, ClusterSpec, P2P_KEYS_EVERY, PropertyFault};
use crate::rotation_policy::ScheduleExpression;
use crate::store::Store;

/// A secret that is to be rotated by another schedule, or by none any more.
#[derive(Debug)]
pub(crate) struct Reschedule {
    slot: Slot,
    arn: String,
    to: Option<RotationSchedule>,
}

/// Refuses a schedule where there is no function to keep it.
pub(crate) fn refuse_without_a_rotator(world: &impl World, spec: &ClusterSpec) -> Result<(), ProvisionError> {
    let Some(policy) = spec.rotation.as_ref().filter(|_| world.rotator().is_none()) else { return Ok(()) };
    let property = if policy.api_keys_every.is_some() { API_KEYS_EVERY } else { P2P_KEYS_EVERY };
    Err(ProvisionError::Property(PropertyFault {
        property: property.to_owned(),
        fault: "is set, but this function knows of none that rotates (KEYBOOT_ROTATION_FUNCTION_ARN)",
        allowed: "left out, or the KMS Stack brought to a version with key-rotation".to_owned(),
    }))
}

/// The secrets whose schedules differ from what is declared.
pub(crate) fn reschedules(
    world: &impl World,
    operation: &Operation,
    spec: &ClusterSpec,
    observed: &Observed,
    plan: &Plan,
) -> Vec<Reschedule> {
    let Some(function) = world.rotator().filter(|_| spec.store == Store::SecretsManager) else {
        return Vec::new();
    };
    // All of them stood before the mark.
    if observed.is_committed(&operation.generation) || observed.provisional {
        return Vec::new();
    }
    let declared = |purpose: &Purpose| spec.rotation.as_ref()?.every(purpose).map(ScheduleExpression::as_str);
    let differing = plan.kept.iter().filter_map(|(slot, item)| {
        let stands = match observed.secrets.get(slot) {
            Some(Place::Ours(facts)) => facts.rotation.as_ref(),
            _ => None,
        };
        let to = declared(&slot.purpose)
            .map(|every| RotationSchedule { function: function.clone(), every: every.to_owned() });
        let differs = stands != to.as_ref();
        differs.then(|| Reschedule { slot: slot.clone(), arn: item.arn.clone(), to })
    });
    differing.collect()
}

impl Reschedule {
    pub(crate) async fn carry_out(
        &self,
        world: &impl World,
        permit: &Permit,
        operation: &Operation,
    ) -> Result<(), ProvisionError> {
        operation.time.check()?;
        match &self.to {
            Some(schedule) => world.rotate_by(permit, &self.arn, schedule).await?,
            None => world.stop_rotating(permit, &self.arn).await?,
        }
        let event =
            AuditEvent::new(Action::Rescheduled, &operation.owner.id, &operation.generation, &self.arn);
        let every = self.to.as_ref().map_or("no schedule", |schedule| schedule.every.as_str());
        world.record(&event.of(&self.slot).because(every));
        Ok(())
    }
}
