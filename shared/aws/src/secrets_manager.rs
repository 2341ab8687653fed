//! Secrets Manager: secrets are created, described, scheduled, restored and removed, never read.

use std::time::Duration;

use aws_sdk_secretsmanager::types::Tag;
use provisioning::authority::Permit;
use provisioning::names::SecretName;
use provisioning::ports::{NewSecret, PortError, SecretFacts, StoredSecret};
use provisioning::store::Store;

use crate::failure::{code, failure};
use crate::session::AwsWorld;

/// The answer to a call on a secret that is not there.
const NOT_FOUND: &str = "ResourceNotFoundException";
/// The answer to a creation under a name in use.
const EXISTS: &str = "ResourceExistsException";
/// The answer to a call on a secret that is scheduled for deletion, among other things.
const INVALID_REQUEST: &str = "InvalidRequestException";
/// Creations under a name whose secret was removed by force a moment ago: the removal goes on for a
/// while after its answer, and callers are asked to back off and try again (Secrets Manager API
/// Reference, `DeleteSecret`, `ForceDeleteWithoutRecovery`).
const TRIES: u32 = 7;
/// The wait before the second creation; each next one is twice as long, 12 seconds in all.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// AWS, as far as it keeps secrets in Secrets Manager.
pub(crate) struct SecretsManager<'a>(pub(crate) &'a AwsWorld);

impl std::ops::Deref for SecretsManager<'_> {
    type Target = AwsWorld;

    fn deref(&self) -> &AwsWorld {
        self.0
    }
}

impl SecretsManager<'_> {
    pub(crate) async fn create_secret(
        &self,
        _: &Permit,
        secret: NewSecret<'_>,
    ) -> Result<StoredSecret, PortError> {
        const CALL: &str = "CreateSecret";
        let name = secret.name.as_str();
        let tags =
            secret.tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
        let call = self
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
                    _ => return Err(failure(CALL, name, &error)),
                },
            }
            pause *= 2;
        }
        Err(PortError::Exists { what: format!("secret {name}") })
    }

    pub(crate) async fn describe_secret(&self, name: &SecretName) -> Result<Option<SecretFacts>, PortError> {
        self.describe(name.as_str()).await
    }

    pub(crate) async fn restore_secret(&self, _: &Permit, arn: &str) -> Result<(), PortError> {
        match self.secrets().restore_secret().secret_id(arn).send().await {
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

    pub(crate) async fn schedule_secret(&self, _: &Permit, arn: &str, days: u8) -> Result<(), PortError> {
        let call = self.secrets().delete_secret().secret_id(arn).recovery_window_in_days(days.into());
        self.delete(call, arn).await
    }

    pub(crate) async fn remove_secret(&self, _: &Permit, arn: &str) -> Result<(), PortError> {
        let call = self.secrets().delete_secret().secret_id(arn).force_delete_without_recovery(true);
        self.delete(call, arn).await
    }

    async fn describe(&self, id: &str) -> Result<Option<SecretFacts>, PortError> {
        let described = match self.secrets().describe_secret().secret_id(id).send().await {
            Ok(described) => described,
            Err(error) if code(&error) == Some(NOT_FOUND) => return Ok(None),
            Err(error) => return Err(failure("DescribeSecret", id, &error)),
        };
        let tags = described.tags.unwrap_or_default();
        Ok(Some(SecretFacts {
            store: Store::SecretsManager,
            arn: described.arn.unwrap_or_default(),
            tags: tags.into_iter().filter_map(|tag| Some((tag.key?, tag.value?))).collect(),
            key: described.kms_key_id,
            scheduled_for_deletion: described.deleted_date.is_some(),
            awaits_removal_from: None,
            was_retrieved: described.last_accessed_date.is_some(),
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
