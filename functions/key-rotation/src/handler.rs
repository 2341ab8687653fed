//! From the words of Secrets Manager and of schedules to provisioning's, and back. Decides nothing.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use aws::AwsWorld;
use futures_util::FutureExt as _;
use jiff::Timestamp;
use provisioning::authority::PinnedStacks;
use provisioning::names::{ClusterName, Slot};
use provisioning::ports::SecretStore as _;
use provisioning::scheduled::{self, Scheduled};
use provisioning::store::Store;
use provisioning::{Progress, ProvisionError, Rotation};
use rotation::{Rotate, RotationEvent, SecretId, SecretVersions, Tested};
use serde_json::Value;
use zeroize::Zeroize as _;

/// The key that only events of Secrets Manager have.
const STEP: &str = "Step";
/// The credential that some of them bring.
const TOKEN: &str = "RotationToken";

/// More than any wait for somebody else takes: Lambda's own limit is what ends a run.
const PATIENCE: Duration = Duration::from_mins(3);

/// Rotates what it is asked to.
#[derive(Debug)]
pub(crate) struct KeyRotation {
    /// AWS.
    pub(crate) world: AwsWorld,
    /// The stacks whose secrets are rotated.
    pub(crate) pinned: PinnedStacks,
}

/// How an event ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// What was asked for.
    pub(crate) asked: &'static str,
    /// What was done, or why it was not.
    pub(crate) result: Result<String, String>,
}

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    /// The secret's name is none that a cluster's secret has.
    #[error("it is no secret of a keyboot cluster: nothing of it was touched")]
    Foreign,
    /// The version that the step is about was not made here.
    #[error("the version was not made by this function: start another rotation")]
    NotMade,
    /// Provisioning says why.
    #[error(transparent)]
    Provision(#[from] ProvisionError),
}

impl KeyRotation {
    /// Does what an event asks for. A panic is a failure like another, and its message stays unsaid: it
    /// could hold a value.
    pub(crate) async fn handle(&self, mut event: Value) -> Ended {
        let is_step = event.get(STEP).is_some();
        let asked = if is_step { "a step of a rotation" } else { "what a schedule asks for" };
        // On the heap: the future holds every step there is.
        let work =
            Box::pin(async { if is_step { self.step(&event).await } else { self.scheduled(&event).await } });
        let panicked = |_| Err("the function panicked; its log says where".to_owned());
        let result = AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(panicked);
        if let Some(Value::String(token)) = event.get_mut(TOKEN) {
            token.zeroize();
        }
        Ended { asked, result }
    }

    async fn step(&self, event: &Value) -> Result<String, String> {
        let event = RotationEvent::parse(event).map_err(|fault| fault.to_string())?;
        let rotated = rotation::rotate(&event, self).await.map_err(|error| error.to_string())?;
        Ok(rotated.to_string())
    }

    async fn scheduled(&self, event: &Value) -> Result<String, String> {
        let asked = Scheduled::parse(event).map_err(|fault| fault.to_string())?;
        let work = async || Box::pin(scheduled::carry_out(&self.world, &self.pinned, &asked)).await;
        let told = aws::in_turn(|| PATIENCE, work).await.map_err(|error| error.to_string())?;
        Ok(if told.is_empty() { "there was nothing to do".to_owned() } else { told.join("; ") })
    }

    /// Takes a step of the rotation that a version of a secret is of.
    async fn take<T>(
        &self,
        secret_id: &SecretId,
        version: &str,
        step: impl AsyncFn(Rotation) -> Result<T, ProvisionError>,
    ) -> Result<T, StepError> {
        let (cluster, slot) = secret_of(secret_id).ok_or(StepError::Foreign)?;
        let work = async || {
            let (cluster, slot, token) = (cluster.clone(), slot.clone(), version.to_owned());
            let now = Timestamp::now();
            step(Rotation { store: Store::SecretsManager, cluster, slot, token, now }).await
        };
        Ok(aws::in_turn(|| PATIENCE, work).await?)
    }
}

impl Rotate for KeyRotation {
    type Error = StepError;

    async fn describe(&self, secret_id: &SecretId) -> Result<Option<SecretVersions>, StepError> {
        let (cluster, slot) = secret_of(secret_id).ok_or(StepError::Foreign)?;
        let name = cluster.secret_name(slot.index, &slot.purpose);
        let facts = self.world.describe_secret(Store::SecretsManager, &name).await;
        match facts.map_err(ProvisionError::from)? {
            // One of the same name in another place, or that had the name before, is another one.
            Some(facts) if facts.arn != secret_id.as_str() => Err(StepError::Foreign),
            facts => Ok(facts.map(|facts| SecretVersions {
                rotation_enabled: facts.rotation.is_some(),
                versions: facts.versions,
            })),
        }
    }

    async fn create(&self, event: &RotationEvent) -> Result<(), StepError> {
        let make = async |rotation: Rotation| Box::pin(rotation.make(&self.world, &self.pinned)).await;
        self.take(&event.secret_id, event.version.as_str(), make).await.map(drop)
    }

    async fn set(&self, event: &RotationEvent) -> Result<(), StepError> {
        let publish = async |rotation: Rotation| Box::pin(rotation.publish(&self.world, &self.pinned)).await;
        is_made(self.take(&event.secret_id, event.version.as_str(), publish).await?)
    }

    async fn test(&self, event: &RotationEvent) -> Result<Tested, StepError> {
        let check = async |rotation: Rotation| Box::pin(rotation.check(&self.world, &self.pinned)).await;
        Ok(match self.take(&event.secret_id, event.version.as_str(), check).await? {
            Progress::Nothing => Tested::NotOurs,
            Progress::Ready | Progress::Finished => Tested::Passed,
        })
    }

    async fn finish(&self, event: &RotationEvent, _: &SecretVersions) -> Result<(), StepError> {
        let finish = async |rotation: Rotation| Box::pin(rotation.finish(&self.world, &self.pinned)).await;
        is_made(self.take(&event.secret_id, event.version.as_str(), finish).await?)
    }

    async fn discard(&self, event: &RotationEvent, version: &str) -> Result<(), StepError> {
        let discard = async |rotation: Rotation| Box::pin(rotation.discard(&self.world, &self.pinned)).await;
        self.take(&event.secret_id, version, discard).await
    }
}

fn is_made(progress: Progress) -> Result<(), StepError> {
    match progress {
        Progress::Nothing => Err(StepError::NotMade),
        Progress::Ready | Progress::Finished => Ok(()),
    }
}

/// The cluster and the secret of it that an ARN speaks of. Secrets Manager adds a dash and six characters
/// to the name in it.
fn secret_of(secret_id: &SecretId) -> Option<(ClusterName, Slot)> {
    let name = secret_id.as_str().rsplit(':').next()?;
    let name = name.get(..name.len().checked_sub(7)?)?;
    ClusterName::of_secret(name)
}
