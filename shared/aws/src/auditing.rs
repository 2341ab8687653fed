//! AWS, as an auditor sees it: what can be told of secrets without reading one, and what of a stack is not
//! as its template says.
//!
//! [`AuditingWorld`] is an [`AwsWorld`] of which only this can be asked: whatever the auditor's role may do,
//! nothing is changed through it but that `CloudFormation` is told to look for drift. Credentials are found
//! as in [`reading`](crate::reading).

use std::time::Duration;

use aws_sdk_cloudformation::operation::describe_stack_drift_detection_status::DescribeStackDriftDetectionStatusOutput;
use aws_sdk_cloudformation::types::{
    StackDriftDetectionStatus, StackDriftStatus, StackResourceDrift, StackResourceDriftStatus,
};
use provisioning::names::SecretName;
use provisioning::ports::{PortError, SecretFacts, SecretStore as _, StoredReaders};
use provisioning::principals::RoleArn;
use provisioning::store::Store;
use reading::ReadError;

use crate::failure::{THIS_ACCOUNT, failure, read_failure};
use crate::session::AwsWorld;
use crate::settings::SigningKeyArn;

/// The permissions that the calls of an auditor take, each named as the call.
pub const PERMISSIONS: [&str; 7] = [
    "cloudformation:DescribeStackDriftDetectionStatus",
    "cloudformation:DescribeStackResourceDrifts",
    "cloudformation:DetectStackDrift",
    "secretsmanager:DescribeSecret",
    "secretsmanager:GetResourcePolicy",
    "ssm:GetParameterHistory",
    "ssm:ListTagsForResource",
];
/// The wait before the second look at a detection; each next one is twice as long, up to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(16);
/// Looks at a detection, ten minutes in all: it can take several (CloudFormation API Reference,
/// `DetectStackDrift`).
const LOOKS: u32 = 40;
/// The most characters of what `CloudFormation` says of its own failure.
const REASON_MAX: usize = 300;

/// Who audits, and what.
#[derive(Debug)]
pub struct Auditor {
    /// The Region of the stack.
    pub region: String,
    /// The key that signs the cluster's records.
    pub signing_key: SigningKeyArn,
    /// The roles that put versions of secrets: a secret's policy names them, and is known again by that.
    pub writers: Vec<RoleArn>,
    /// Where every service answers; for local emulators only.
    #[cfg(feature = "local")]
    pub endpoint: Option<String>,
}

/// AWS, as an auditor sees it.
#[derive(Debug)]
pub struct AuditingWorld(AwsWorld);

/// What of a stack is not as its template says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Drift {
    /// The resources that differ.
    pub drifted: Vec<DriftedResource>,
    /// Why others could not be compared, where that is so.
    pub incomplete: Option<String>,
}

/// A resource that is not as its template says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DriftedResource {
    /// Its name in the template.
    pub name: String,
    /// Its type.
    pub kind: String,
    /// The paths of the properties that differ, without their values; none of one that was deleted.
    pub properties: Vec<String>,
}

impl AuditingWorld {
    /// Makes the connection's settings; opens nothing.
    #[must_use]
    pub fn new(auditor: Auditor) -> Self {
        Self(AwsWorld::of_an_auditor(auditor))
    }

    /// What can be told of a secret; `None` when there is none. A read error is never `None`.
    ///
    /// # Errors
    ///
    /// [`ReadError`], which names the permission where one is missing.
    pub async fn describe(&self, store: Store, name: &SecretName) -> Result<Option<SecretFacts>, ReadError> {
        let described = self.0.describe_secret(store, name).await;
        described.map_err(|error| why(name.as_str(), error))
    }

    /// Who may read a secret that is in use.
    ///
    /// # Errors
    ///
    /// As [`AuditingWorld::describe`].
    pub async fn readers(&self, arn: &str) -> Result<StoredReaders, ReadError> {
        self.0.secret_readers(arn).await.map_err(|error| why(arn, error))
    }

    /// Has `CloudFormation` compare a stack with its template, and waits for it.
    ///
    /// # Errors
    ///
    /// As [`AuditingWorld::describe`].
    pub async fn drift(&self, stack: &str) -> Result<Drift, ReadError> {
        let started = self.0.stacks().detect_stack_drift().stack_name(stack).send().await;
        let started = started.map_err(|error| why(stack, failure("DetectStackDrift", stack, &error)))?;
        let detection = started.stack_drift_detection_id.unwrap_or_default();
        let status = self.detected(stack, &detection).await?;
        Ok(Drift { drifted: self.drifted(stack).await?, incomplete: incomplete(&status) })
    }

    /// Waits for the end of a detection.
    async fn detected(
        &self,
        stack: &str,
        detection: &str,
    ) -> Result<DescribeStackDriftDetectionStatusOutput, ReadError> {
        const CALL: &str = "DescribeStackDriftDetectionStatus";
        let call = self.0.stacks().describe_stack_drift_detection_status();
        let call = call.stack_drift_detection_id(detection);
        let mut pause = FIRST_PAUSE;
        for _ in 0..LOOKS {
            let status = call.clone().send().await;
            let status = status.map_err(|error| why(stack, failure(CALL, stack, &error)))?;
            if status.detection_status != Some(StackDriftDetectionStatus::DetectionInProgress) {
                return Ok(status);
            }
            tokio::time::sleep(pause).await;
            pause = LAST_PAUSE.min(pause * 2);
        }
        Err(ReadError::Unavailable { name: stack.to_owned(), code: "drift detection still runs".into() })
    }

    /// The resources that the last detection found to differ.
    async fn drifted(&self, stack: &str) -> Result<Vec<DriftedResource>, ReadError> {
        let call = self.0.stacks().describe_stack_resource_drifts().stack_name(stack);
        let call = call
            .stack_resource_drift_status_filters(StackResourceDriftStatus::Modified)
            .stack_resource_drift_status_filters(StackResourceDriftStatus::Deleted);
        let (mut drifted, mut next) = (Vec::new(), None);
        loop {
            let page = call.clone().set_next_token(next).send().await;
            let page =
                page.map_err(|error| why(stack, failure("DescribeStackResourceDrifts", stack, &error)))?;
            drifted.extend(page.stack_resource_drifts.unwrap_or_default().into_iter().map(Into::into));
            next = page.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(drifted);
            }
        }
    }
}

impl From<StackResourceDrift> for DriftedResource {
    fn from(drift: StackResourceDrift) -> Self {
        let differences = drift.property_differences.unwrap_or_default();
        Self {
            name: drift.logical_resource_id.unwrap_or_default(),
            kind: drift.resource_type.unwrap_or_default(),
            properties: differences.into_iter().filter_map(|difference| difference.property_path).collect(),
        }
    }
}

/// Why a detection that has ended has not compared everything. What is said then tells of a resource's type
/// and of a permission that is missing; no more of it is taken over than a sentence.
fn incomplete(status: &DescribeStackDriftDetectionStatusOutput) -> Option<String> {
    let is_whole =
        matches!(status.stack_drift_status, Some(StackDriftStatus::InSync | StackDriftStatus::Drifted));
    if is_whole && status.detection_status == Some(StackDriftDetectionStatus::DetectionComplete) {
        return None;
    }
    let reason = status.detection_status_reason.as_deref().unwrap_or("it gives no reason");
    Some(reason.chars().filter(|c| !c.is_control()).take(REASON_MAX).collect())
}

/// Why a call on something failed. Of the service's answer only the code is taken over.
fn why(name: &str, error: PortError) -> ReadError {
    let permission = match &error {
        PortError::Denied { what, .. } => {
            let call = what.split(' ').next().unwrap_or_default();
            PERMISSIONS.into_iter().find(|permission| permission.rsplit(':').next() == Some(call))
        }
        _ => None,
    };
    read_failure(error, THIS_ACCOUNT.into(), permission.unwrap_or("a call"), name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denied_call_names_its_permission() {
        for permission in PERMISSIONS {
            let call = permission.rsplit(':').next().unwrap();
            let denied =
                PortError::Denied { what: format!("{call} x/y"), code: "AccessDeniedException".into() };
            let told = why("x/y", denied).to_string();
            assert!(told.contains(permission) && told.contains("x/y"), "{told}");
        }
    }

    #[test]
    fn a_detection_that_has_not_compared_everything_says_why() {
        let status = |detection, drift| {
            DescribeStackDriftDetectionStatusOutput::builder()
                .detection_status(detection)
                .stack_drift_status(drift)
                .detection_status_reason("a\nreason")
                .build()
        };
        let complete = StackDriftDetectionStatus::DetectionComplete;
        for drift in [StackDriftStatus::InSync, StackDriftStatus::Drifted] {
            assert_eq!(incomplete(&status(complete.clone(), drift)), None);
        }
        assert_eq!(incomplete(&status(complete, StackDriftStatus::UnknownValue)).unwrap(), "areason");
        let failed = status(StackDriftDetectionStatus::DetectionFailed, StackDriftStatus::Drifted);
        assert!(incomplete(&failed).is_some());
    }
}
