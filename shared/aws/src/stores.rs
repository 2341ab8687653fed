//! Which of the two stores a call on a secret goes to: the one that is named, or the one of its ARN.

use provisioning::authority::Permit;
use provisioning::names::SecretName;
use provisioning::ownership::OwnerId;
use provisioning::ports::{NewSecret, PortError, SecretFacts, SecretStore, StoredSecret};
use provisioning::store::Store;

use crate::secrets_manager::SecretsManager;
use crate::secure_strings::SecureStrings;
use crate::session::AwsWorld;

impl SecretStore for AwsWorld {
    async fn create_secret(&self, permit: &Permit, secret: NewSecret<'_>) -> Result<StoredSecret, PortError> {
        match secret.store {
            Store::SecretsManager => SecretsManager(self).create_secret(permit, secret).await,
            Store::ParameterStore => SecureStrings(self).create_secret(permit, secret).await,
        }
    }

    async fn describe_secret(
        &self,
        store: Store,
        name: &SecretName,
    ) -> Result<Option<SecretFacts>, PortError> {
        match store {
            Store::SecretsManager => SecretsManager(self).describe_secret(name).await,
            Store::ParameterStore => SecureStrings(self).describe_secret(name).await,
        }
    }

    async fn secrets_awaiting_removal(
        &self,
        store: Store,
        owner: &OwnerId,
    ) -> Result<Vec<String>, PortError> {
        match store {
            // It ends its recovery windows itself.
            Store::SecretsManager => Ok(Vec::new()),
            Store::ParameterStore => SecureStrings(self).secrets_awaiting_removal(owner).await,
        }
    }

    async fn restore_secret(&self, permit: &Permit, arn: &str) -> Result<(), PortError> {
        match store_of(arn) {
            Store::SecretsManager => SecretsManager(self).restore_secret(permit, arn).await,
            Store::ParameterStore => SecureStrings(self).restore_secret(permit, arn).await,
        }
    }

    async fn schedule_secret(&self, permit: &Permit, arn: &str, days: u8) -> Result<(), PortError> {
        match store_of(arn) {
            Store::SecretsManager => SecretsManager(self).schedule_secret(permit, arn, days).await,
            Store::ParameterStore => SecureStrings(self).schedule_secret(permit, arn, days).await,
        }
    }

    async fn remove_secret(&self, permit: &Permit, arn: &str) -> Result<(), PortError> {
        match store_of(arn) {
            Store::SecretsManager => SecretsManager(self).remove_secret(permit, arn).await,
            Store::ParameterStore => SecureStrings(self).remove_secret(permit, arn).await,
        }
    }
}

/// The store that an ARN speaks of.
fn store_of(arn: &str) -> Store {
    match arn.split(':').nth(2) {
        Some("ssm") => Store::ParameterStore,
        _ => Store::SecretsManager,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_tells_its_store_in_every_partition() {
        for partition in ["aws", "aws-cn", "aws-us-gov"] {
            let secret =
                format!("arn:{partition}:secretsmanager:x:111122223333:secret:ssm/tsm/node/0/p2p-key-AbCdEf");
            assert_eq!(store_of(&secret), Store::SecretsManager);
            let parameter =
                format!("arn:{partition}:ssm:x:111122223333:parameter/keyboot/tsm/node/0/p2p-key");
            assert_eq!(store_of(&parameter), Store::ParameterStore);
        }
    }
}
