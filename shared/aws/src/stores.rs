//! Which of the two stores a call on a secret goes to: the one that is named, or the one of its ARN.

use provisioning::authority::Permit;
use provisioning::names::SecretName;
use provisioning::ownership::{OwnerId, Tags};
use provisioning::ports::{
    NewSecret, NewVersion, PortError, RotationSchedule, SecretFacts, SecretStore, StoredReaders, StoredSecret,
};
use provisioning::principals::Readers;
use provisioning::properties::SealingKeyArn;
use provisioning::store::Store;

use crate::secrets_manager::SecretsManager;
use crate::secure_strings::SecureStrings;
use crate::session::AwsWorld;

/// The same call in either store.
macro_rules! in_store {
    ($world:ident, $store:expr, $call:ident($($argument:expr),*)) => {
        match $store {
            Store::SecretsManager => SecretsManager($world).$call($($argument),*).await,
            Store::ParameterStore => SecureStrings($world).$call($($argument),*).await,
            Store::Vault => Err(elsewhere()),
        }
    };
}

/// What no stack asks for.
fn elsewhere() -> PortError {
    PortError::Refused { what: "a secret in Vault".into(), code: "that store is not in AWS".into() }
}

/// What changes something takes a permit, which says that CloudFormation was asked; the calls
/// themselves have no use for it.
impl SecretStore for AwsWorld {
    async fn create_secret(&self, _: &Permit, secret: NewSecret<'_>) -> Result<StoredSecret, PortError> {
        in_store!(self, secret.store, create_secret(secret))
    }

    async fn describe_secret(
        &self,
        store: Store,
        name: &SecretName,
    ) -> Result<Option<SecretFacts>, PortError> {
        in_store!(self, store, describe_secret(name))
    }

    async fn put_version(&self, _: &Permit, version: NewVersion<'_>) -> Result<String, PortError> {
        in_store!(self, store_of(version.arn), put_version(version))
    }

    async fn label_version(
        &self,
        _: &Permit,
        arn: &str,
        version_id: &str,
        label: &str,
    ) -> Result<(), PortError> {
        in_store!(self, store_of(arn), label_version(arn, version_id, label))
    }

    async fn unlabel_version(
        &self,
        _: &Permit,
        arn: &str,
        version_id: &str,
        label: &str,
    ) -> Result<(), PortError> {
        in_store!(self, store_of(arn), unlabel_version(arn, version_id, label))
    }

    async fn make_current(&self, _: &Permit, arn: &str, from: &str, to: &str) -> Result<(), PortError> {
        in_store!(self, store_of(arn), make_current(arn, from, to))
    }

    async fn encrypt_with(&self, _: &Permit, arn: &str, key: &SealingKeyArn) -> Result<(), PortError> {
        in_store!(self, store_of(arn), encrypt_with(arn, key))
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
            Store::Vault => Err(elsewhere()),
        }
    }

    async fn restore_secret(&self, _: &Permit, arn: &str) -> Result<(), PortError> {
        in_store!(self, store_of(arn), restore_secret(arn))
    }

    async fn schedule_secret(&self, _: &Permit, arn: &str, days: u8) -> Result<(), PortError> {
        in_store!(self, store_of(arn), schedule_secret(arn, days))
    }

    async fn tag_secret(&self, _: &Permit, arn: &str, tags: &Tags) -> Result<(), PortError> {
        in_store!(self, store_of(arn), tag_secret(arn, tags))
    }

    async fn untag_secret(&self, _: &Permit, arn: &str, keys: &[&str]) -> Result<(), PortError> {
        in_store!(self, store_of(arn), untag_secret(arn, keys))
    }

    async fn remove_secret(&self, _: &Permit, arn: &str) -> Result<(), PortError> {
        in_store!(self, store_of(arn), remove_secret(arn))
    }

    async fn secret_readers(&self, arn: &str) -> Result<StoredReaders, PortError> {
        in_store!(self, store_of(arn), secret_readers(arn))
    }

    async fn admit_readers(&self, _: &Permit, arn: &str, readers: &Readers) -> Result<(), PortError> {
        in_store!(self, store_of(arn), admit_readers(arn, readers))
    }

    fn rotator(&self) -> Option<String> {
        self.rotation_function().map(str::to_owned)
    }

    async fn rotate_by(&self, _: &Permit, arn: &str, schedule: &RotationSchedule) -> Result<(), PortError> {
        SecretsManager(self).rotate_by(arn, schedule).await
    }

    async fn stop_rotating(&self, _: &Permit, arn: &str) -> Result<(), PortError> {
        SecretsManager(self).stop_rotating(arn).await
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
