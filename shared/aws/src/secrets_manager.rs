//! Secrets Manager: secrets are created, described, renewed, tagged, scheduled, restored and removed, and
//! told who may read them; here they are never read.

use std::time::Duration;

use aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretOutput;
use aws_sdk_secretsmanager::types::{RotationRulesType, Tag};
use provisioning::names::SecretName;
use provisioning::ownership::Tags;
use provisioning::ports::{
    CURRENT, NewSecret, NewVersion, PENDING, PortError, RotationSchedule, SecretFacts, StoredReaders,
    StoredSecret,
};
use provisioning::principals::Readers;
use provisioning::properties::SealingKeyArn;
use provisioning::store::Store;
use provisioning::version_label::VersionLabel;

use crate::failure::{code, failure};
use crate::secret_policy;
use crate::session::AwsWorld;

/// The answer to a call on a secret that is not there.
const NOT_FOUND: &str = "ResourceNotFoundException";
/// The answer to a creation under a name in use, and to a version under a token in use.
const EXISTS: &str = "ResourceExistsException";
/// The answer to a call on a secret that is scheduled for deletion, among other things.
const INVALID_REQUEST: &str = "InvalidRequestException";
/// The answer to a label that is not where it was said to be, among other things.
const INVALID_PARAMETER: &str = "InvalidParameterException";
/// Creations under a name whose secret was removed by force a moment ago: the removal goes on for a
/// while after its answer, and callers are asked to back off and try again (Secrets Manager API
/// Reference, `DeleteSecret`, `ForceDeleteWithoutRecovery`).
const TRIES: u32 = 7;
/// The wait before the second creation; each next one is twice as long, 12 seconds in all.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// AWS, as far as it keeps secrets in Secrets Manager.
pub(crate) struct SecretsManager<'a>(pub(crate) &'a AwsWorld);

impl SecretsManager<'_> {
    pub(crate) async fn create_secret(&self, secret: NewSecret<'_>) -> Result<StoredSecret, PortError> {
        const CALL: &str = "CreateSecret";
        let name = secret.name.as_str();
        let tags =
            secret.tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
        let call = self
            .0
            .secrets()
            .create_secret()
            .name(name)
            .client_request_token(secret.token)
            .description(secret.description)
            .kms_key_id(secret.key.as_str())
            .set_tags(Some(tags))
            // EXPOSE: to the store, over TLS.
            .secret_string(secret.value.expose());
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            match call.clone().send().await {
                Ok(created) => {
                    return Ok(StoredSecret {
                        arn: created.arn.unwrap_or_default(),
                        version_id: created.version_id.unwrap_or_default(),
                    });
                }
                Err(error) => match code(&error) {
                    Some(EXISTS) => break,
                    // A name in its recovery window is answered so, a name that is about to be
                    // free, and other faults.
                    Some(INVALID_REQUEST) if self.describe(name).await?.is_some() => break,
                    Some(INVALID_REQUEST) if attempt < TRIES => tokio::time::sleep(pause).await,
                    // To compare a value with the one that is there, the store would have to open it for
                    // us, which no policy lets it.
                    _ => match failure(CALL, name, &error) {
                        PortError::Denied { .. } if self.describe(name).await?.is_some() => break,
                        failure => return Err(failure),
                    },
                },
            }
            pause *= 2;
        }
        Err(PortError::Exists { what: format!("secret {name}") })
    }

    pub(crate) async fn describe_secret(&self, name: &SecretName) -> Result<Option<SecretFacts>, PortError> {
        self.describe(name.as_str()).await
    }

    /// A token under which another value was put is answered with an error (Secrets Manager API
    /// Reference, `PutSecretValue`, `ClientRequestToken`). Labels that are named take the place of
    /// `AWSCURRENT` (the same page, `VersionStages`).
    pub(crate) async fn put_version(&self, version: NewVersion<'_>) -> Result<String, PortError> {
        let mut stages = vec![version.label.label.clone(), version.label.signature.clone()];
        stages.extend(version.pending.then(|| PENDING.to_owned()));
        let call = self
            .0
            .secrets()
            .put_secret_value()
            .secret_id(version.arn)
            .client_request_token(version.token)
            .set_version_stages(Some(stages))
            // EXPOSE: to the store, over TLS.
            .secret_string(version.value.expose());
        let exists = || PortError::Exists { what: format!("version {} of {}", version.token, version.arn) };
        match call.send().await {
            Ok(put) => Ok(put.version_id.unwrap_or_default()),
            Err(error) if code(&error) == Some(EXISTS) => Err(exists()),
            Err(error) => match failure("PutSecretValue", version.arn, &error) {
                // To compare a value with the one that is there under this token, the store would have to
                // open it for us, which no policy lets it: so it is for a duplicate, and after a lost answer.
                PortError::Denied { .. } if self.has_value(version.arn, version.token).await? => {
                    Err(exists())
                }
                failure => Err(failure),
            },
        }
    }

    pub(crate) async fn label_version(
        &self,
        arn: &str,
        version_id: &str,
        label: &str,
    ) -> Result<(), PortError> {
        let call = self.0.secrets().update_secret_version_stage().secret_id(arn).version_stage(label);
        let labelled = call.move_to_version_id(version_id).send().await;
        labelled.map(drop).map_err(|error| failure("UpdateSecretVersionStage", arn, &error))
    }

    pub(crate) async fn unlabel_version(
        &self,
        arn: &str,
        version_id: &str,
        label: &str,
    ) -> Result<(), PortError> {
        let call = self.0.secrets().update_secret_version_stage().secret_id(arn).version_stage(label);
        match call.remove_from_version_id(version_id).send().await {
            Ok(_) => Ok(()),
            // Taken already is what was asked for.
            Err(error)
                if code(&error) == Some(INVALID_PARAMETER)
                    && self
                        .describe(arn)
                        .await?
                        .is_none_or(|facts| facts.staged(label) != Some(version_id)) =>
            {
                Ok(())
            }
            Err(error) => Err(failure("UpdateSecretVersionStage", arn, &error)),
        }
    }

    /// Naming the version that has the label now makes this a compare-and-set (Secrets Manager API
    /// Reference, `UpdateSecretVersionStage`, `RemoveFromVersionId`).
    pub(crate) async fn make_current(&self, arn: &str, from: &str, to: &str) -> Result<(), PortError> {
        let call = self.0.secrets().update_secret_version_stage().secret_id(arn).version_stage(CURRENT);
        match call.remove_from_version_id(from).move_to_version_id(to).send().await {
            Ok(_) => Ok(()),
            // A duplicate of the same operation was faster.
            Err(error)
                if code(&error) == Some(INVALID_PARAMETER)
                    && self.describe(arn).await?.is_some_and(|facts| facts.staged(CURRENT) == Some(to)) =>
            {
                Ok(())
            }
            Err(error) => Err(failure("UpdateSecretVersionStage", arn, &error)),
        }
    }

    /// Values that are there are encrypted anew only where the caller may Encrypt under the new key
    /// (Secrets Manager API Reference, `UpdateSecret`, `KmsKeyId`), which this function may not.
    pub(crate) async fn encrypt_with(&self, arn: &str, key: &SealingKeyArn) -> Result<(), PortError> {
        let call = self.0.secrets().update_secret().secret_id(arn).kms_key_id(key.as_str());
        call.send().await.map(drop).map_err(|error| failure("UpdateSecret", arn, &error))
    }

    pub(crate) async fn restore_secret(&self, arn: &str) -> Result<(), PortError> {
        match self.0.secrets().restore_secret().secret_id(arn).send().await {
            Ok(_) => Ok(()),
            Err(error) if code(&error) == Some(NOT_FOUND) => {
                Err(PortError::NotFound { what: format!("secret {arn}") })
            }
            // Restored already, by a duplicate of the same operation, is what was asked for.
            Err(error)
                if code(&error) == Some(INVALID_REQUEST)
                    && self.describe(arn).await?.is_some_and(|facts| !facts.scheduled_for_deletion) =>
            {
                Ok(())
            }
            Err(error) => Err(failure("RestoreSecret", arn, &error)),
        }
    }

    pub(crate) async fn schedule_secret(&self, arn: &str, days: u8) -> Result<(), PortError> {
        let call = self.0.secrets().delete_secret().secret_id(arn).recovery_window_in_days(days.into());
        self.delete(call, arn).await
    }

    /// Values of tags that are there already are replaced (Secrets Manager API Reference,
    /// `TagResource`).
    pub(crate) async fn tag_secret(&self, arn: &str, tags: &Tags) -> Result<(), PortError> {
        let tags = tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
        let call = self.0.secrets().tag_resource().secret_id(arn).set_tags(Some(tags));
        call.send().await.map(drop).map_err(|error| failure("TagResource", arn, &error))
    }

    pub(crate) async fn untag_secret(&self, arn: &str, keys: &[&str]) -> Result<(), PortError> {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        let call = self.0.secrets().untag_resource().secret_id(arn).set_tag_keys(Some(keys));
        call.send().await.map(drop).map_err(|error| failure("UntagResource", arn, &error))
    }

    pub(crate) async fn remove_secret(&self, arn: &str) -> Result<(), PortError> {
        let call = self.0.secrets().delete_secret().secret_id(arn).force_delete_without_recovery(true);
        self.delete(call, arn).await
    }

    pub(crate) async fn secret_readers(&self, arn: &str) -> Result<StoredReaders, PortError> {
        let answer = self.0.secrets().get_resource_policy().secret_id(arn).send().await;
        let answer = answer.map_err(|error| failure("GetResourcePolicy", arn, &error))?;
        let text = answer.resource_policy.filter(|text| !text.is_empty());
        Ok(text.map_or(StoredReaders::None, |text| secret_policy::read(&text, &self.0.writers())))
    }

    pub(crate) async fn admit_readers(&self, arn: &str, readers: &Readers) -> Result<(), PortError> {
        if readers.is_empty() {
            let call = self.0.secrets().delete_resource_policy().secret_id(arn);
            return call.send().await.map(drop).map_err(|error| failure("DeleteResourcePolicy", arn, &error));
        }
        let call = self
            .0
            .secrets()
            .put_resource_policy()
            .secret_id(arn)
            .resource_policy(secret_policy::of(readers, &self.0.writers()).to_string())
            .block_public_policy(true);
        call.send().await.map(drop).map_err(|error| failure("PutResourcePolicy", arn, &error))
    }

    /// Nothing is rotated at once: Secrets Manager invokes the function with a single testSecret to see
    /// that it can (Secrets Manager API Reference, `RotateSecret`, `RotateImmediately`).
    pub(crate) async fn rotate_by(&self, arn: &str, schedule: &RotationSchedule) -> Result<(), PortError> {
        let rules = RotationRulesType::builder().schedule_expression(&schedule.every).build();
        let call = self
            .0
            .secrets()
            .rotate_secret()
            .secret_id(arn)
            .rotation_lambda_arn(&schedule.function)
            .rotation_rules(rules)
            .rotate_immediately(false);
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            match call.clone().send().await {
                Ok(_) => return Ok(()),
                // A rotation or its trial is under way (the same page): both take seconds. What takes longer
                // has stopped, and would be in the way for ever.
                Err(error) if code(&error) == Some(INVALID_REQUEST) && attempt <= TRIES => {
                    let facts = self.describe(arn).await?;
                    if facts.as_ref().is_some_and(|facts| facts.rotation.as_ref() == Some(schedule)) {
                        return Ok(());
                    }
                    if attempt == TRIES {
                        self.end_rotation(arn, facts.as_ref()).await?;
                    } else {
                        tokio::time::sleep(pause).await;
                    }
                }
                Err(error) => return Err(failure("RotateSecret", arn, &error)),
            }
            pause *= 2;
        }
        Ok(())
    }

    /// Labels are left as they are by that (Secrets Manager API Reference, `CancelRotateSecret`), and what is
    /// pending would keep another rotation from ever beginning.
    pub(crate) async fn stop_rotating(&self, arn: &str) -> Result<(), PortError> {
        let call = self.0.secrets().cancel_rotate_secret().secret_id(arn);
        call.send().await.map_err(|error| failure("CancelRotateSecret", arn, &error))?;
        let facts = self.describe(arn).await?;
        self.end_rotation(arn, facts.as_ref()).await
    }

    /// Takes the label of a rotation that is under way from its version.
    async fn end_rotation(&self, arn: &str, facts: Option<&SecretFacts>) -> Result<(), PortError> {
        let Some(facts) = facts else { return Ok(()) };
        match facts.staged(PENDING).filter(|pending| facts.staged(CURRENT) != Some(*pending)) {
            Some(pending) => self.unlabel_version(arn, pending, PENDING).await,
            None => Ok(()),
        }
    }

    /// Whether a value of ours was put as this version. One that a rotation has begun is there before.
    async fn has_value(&self, arn: &str, version_id: &str) -> Result<bool, PortError> {
        let facts = self.describe(arn).await?;
        let labels = facts.as_ref().and_then(|facts| facts.versions.get(version_id));
        Ok(labels.is_some_and(|labels| labels.iter().any(|label| label.parse::<VersionLabel>().is_ok())))
    }

    async fn describe(&self, id: &str) -> Result<Option<SecretFacts>, PortError> {
        let described = match self.0.secrets().describe_secret().secret_id(id).send().await {
            Ok(described) => described,
            Err(error) if code(&error) == Some(NOT_FOUND) => return Ok(None),
            Err(error) => return Err(failure("DescribeSecret", id, &error)),
        };
        let rotation = schedule_of(&described);
        let tags = described.tags.unwrap_or_default();
        Ok(Some(SecretFacts {
            rotation,
            store: Store::SecretsManager,
            arn: described.arn.unwrap_or_default(),
            tags: tags.into_iter().filter_map(|tag| Some((tag.key?, tag.value?))).collect(),
            key: described.kms_key_id,
            scheduled_for_deletion: described.deleted_date.is_some(),
            awaits_removal_from: None,
            was_retrieved: described.last_accessed_date.is_some(),
            versions: described
                .version_ids_to_stages
                .unwrap_or_default()
                .into_iter()
                .map(|(id, labels)| (id, labels.into_iter().collect()))
                .collect(),
        }))
    }

    async fn delete(
        &self,
        call: aws_sdk_secretsmanager::operation::delete_secret::builders::DeleteSecretFluentBuilder,
        arn: &str,
    ) -> Result<(), PortError> {
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error) => match code(&error) {
                Some(NOT_FOUND) => Ok(()),
                // Scheduled already is what was asked for.
                Some(INVALID_REQUEST)
                    if self.describe(arn).await?.is_none_or(|facts| facts.scheduled_for_deletion) =>
                {
                    Ok(())
                }
                // A policy that asks for tags denies a secret that has none because it is gone.
                _ => match failure("DeleteSecret", arn, &error) {
                    PortError::Denied { .. } if self.describe(arn).await?.is_none() => Ok(()),
                    failure => Err(failure),
                },
            },
        }
    }
}

/// The schedule by which a secret is rotated, if it is.
fn schedule_of(described: &DescribeSecretOutput) -> Option<RotationSchedule> {
    described.rotation_enabled.filter(|enabled| *enabled)?;
    let rules = described.rotation_rules.as_ref();
    Some(RotationSchedule {
        function: described.rotation_lambda_arn.clone().unwrap_or_default(),
        every: rules.and_then(|rules| rules.schedule_expression.clone()).unwrap_or_default(),
    })
}
