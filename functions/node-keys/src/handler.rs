//! From CloudFormation's words to provisioning's, and back. Decides nothing.

use aws::AwsWorld;
use custom_resource::{Deadline, Failure, Provider, Request, Success, data_budget};
use provisioning::authority::PinnedStacks;
use provisioning::ownership::{Generation, Owner, OwnerId};
use provisioning::properties::{ClusterSpec, LenientSpec};
use provisioning::{Operation, OperationKind, ProvisionError, TimeBudget};

/// The provider of `Custom::NodeKeys`.
#[derive(Debug)]
pub(crate) struct NodeKeys {
    /// AWS.
    pub(crate) world: AwsWorld,
    /// The stacks whose events count.
    pub(crate) pinned: PinnedStacks,
}

impl Provider for NodeKeys {
    async fn create(&self, request: &Request, deadline: Deadline) -> Result<Success, Failure> {
        self.reconcile(request, OperationKind::Create, deadline).await
    }

    async fn update(&self, request: &Request, deadline: Deadline) -> Result<Success, Failure> {
        let result = self.reconcile(request, OperationKind::Update, deadline).await;
        match result {
            Ok(success) => self.clear_after_failed_replacement(request, success, deadline).await,
            Err(failure) => {
                if request.is_replacement() && !failure.is_unfinished() {
                    self.abandon_replacement(request, deadline).await;
                }
                Err(failure)
            }
        }
    }

    async fn delete(&self, request: &Request, deadline: Deadline) -> Result<Success, Failure> {
        let delivered = owner_id(request, request.physical_id.as_str());
        let Some(id) = delivered.or_else(|| owner_id(request, request.derived_id.as_str())) else {
            return Ok(Success::default().because("nothing was ever made under this id"));
        };
        let operation = operation(request, OperationKind::Delete, id, deadline);
        let spec = LenientSpec::read(request.properties.as_map());
        let told = self.remove(&operation, &spec).await;
        Ok(with_reason(Success::default(), &told.map_err(failure)?))
    }
}

impl NodeKeys {
    async fn reconcile(
        &self,
        request: &Request,
        kind: OperationKind,
        deadline: Deadline,
    ) -> Result<Success, Failure> {
        let spec = ClusterSpec::parse(request.properties.as_map())
            .map_err(|fault| failure(ProvisionError::from(fault)))?;
        let id = owner_id(request, request.id_after_success().as_str())
            .ok_or_else(|| Failure::new("the physical id is not one that this function gave"))?;
        let before = request.old_properties.as_ref().map(|old| LenientSpec::read(old.as_map()));
        // Again where a rotation was at work: it finds its own work done.
        let work = async || {
            let operation = operation(request, kind, id.clone(), deadline);
            // On the heap: the future holds every step of an operation.
            let work = provisioning::reconcile(&self.world, &self.pinned, &operation, &spec, before.as_ref());
            Box::pin(work).await
        };
        let outcome = aws::in_turn(|| deadline.remaining(), work).await.map_err(failure)?;
        let mut success = Success::default();
        for (name, value) in outcome.attributes(data_budget(request)) {
            success = success.with(name, value);
        }
        Ok(with_reason(success, &outcome.told))
    }

    async fn remove(&self, operation: &Operation, spec: &LenientSpec) -> Result<Vec<String>, ProvisionError> {
        Box::pin(provisioning::remove(&self.world, &self.pinned, operation, spec)).await
    }

    /// CloudFormation never sends a Delete for the new id of a replacement that failed, so what it
    /// made goes here. What cannot be removed now is found by its owner tag.
    async fn abandon_replacement(&self, request: &Request, deadline: Deadline) {
        let Some(id) = owner_id(request, request.derived_id.as_str()) else { return };
        let operation = operation(request, OperationKind::Update, id, deadline);
        let spec = LenientSpec::read(request.properties.as_map());
        let _ = self.remove(&operation, &spec).await;
    }

    /// A replacement that died at every attempt had no chance to clean up after itself. The Update
    /// that takes it back shows its properties as the old ones. What it made and never listed goes,
    /// if CloudFormation shows a rollback; what was listed may have been in service before, stays,
    /// and is told. The rollback succeeds in any case.
    async fn clear_after_failed_replacement(
        &self,
        request: &Request,
        success: Success,
        deadline: Deadline,
    ) -> Result<Success, Failure> {
        let Some(id) = id_of_failed_replacement(request) else { return Ok(success) };
        let mut operation = operation(request, OperationKind::Delete, id, deadline);
        // No id of a resource that there is: CloudFormation knows nothing of this one.
        operation.delivered_id.clear();
        let spec = LenientSpec::read(request.old_properties.as_ref().unwrap_or(&request.properties).as_map());
        match self.remove(&operation, &spec).await {
            Ok(told) => Ok(with_reason(success, &told)),
            Err(error @ ProvisionError::OutOfTime) => Err(failure(error)),
            Err(error) => {
                Ok(success.because(format!("what the failed replacement made could not be removed: {error}")))
            }
        }
    }
}

/// The id that the properties before an Update belong to, where it is neither the one that the
/// Update speaks of nor the one it leads to: that of a replacement which never succeeded.
fn id_of_failed_replacement(request: &Request) -> Option<OwnerId> {
    let old = request.old_properties.as_ref()?;
    let id = identity::scheme().derive(&request.stack_id, &request.logical_id, old);
    let known = [&request.physical_id, &request.derived_id];
    let is_known = known.iter().any(|known| known.identity() == id.identity());
    if is_known { None } else { owner_id(request, id.as_str()) }
}

/// Reads an id as one of ours: of our form, and of the event's own stack and resource.
fn owner_id(request: &Request, text: &str) -> Option<OwnerId> {
    let id: OwnerId = text.parse().ok()?;
    let own = request.derived_id.as_str().rsplit('/').next();
    (own == Some(id.digest())).then_some(id)
}

fn operation(request: &Request, kind: OperationKind, id: OwnerId, deadline: Deadline) -> Operation {
    Operation {
        kind,
        owner: Owner {
            id,
            stack_id: request.stack_id.as_str().to_owned(),
            logical_id: request.logical_id.as_str().to_owned(),
        },
        generation: Generation::new(request.request_id.as_str()),
        delivered_id: request.physical_id.as_str().to_owned(),
        now: jiff::Timestamp::now(),
        time: TimeBudget::of(move || deadline.remaining()),
    }
}

fn failure(error: ProvisionError) -> Failure {
    match error {
        // The next run finds it free.
        ProvisionError::OutOfTime | ProvisionError::Busy { .. } => Failure::unfinished(error.to_string()),
        error => Failure::new(error.to_string()),
    }
}

fn with_reason(success: Success, told: &[String]) -> Success {
    if told.is_empty() { success } else { success.because(told.join("; ")) }
}
