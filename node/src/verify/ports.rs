//! What an auditor asks of the world beside documents.

use std::future::Future;

use aws::auditing::{AuditingWorld, Drift};
use provisioning::names::SecretName;
use provisioning::ports::{SecretFacts, StoredReaders};
use provisioning::store::Store;
use reading::ReadError;

/// What an auditor asks of the world: nothing that reads or changes a secret.
pub trait Auditing {
    /// What can be told of a secret; `None` when there is none. A read error is never `None`.
    fn describe(
        &self,
        store: Store,
        name: &SecretName,
    ) -> impl Future<Output = Result<Option<SecretFacts>, ReadError>>;
    /// Who may read a secret that is in use, by its ARN, or by its name in Secrets Manager.
    fn readers(&self, id: &str) -> impl Future<Output = Result<StoredReaders, ReadError>>;
    /// What of a stack is not as its template says.
    fn drift(&self, stack: &str) -> impl Future<Output = Result<Drift, ReadError>>;
}

impl Auditing for AuditingWorld {
    async fn describe(&self, store: Store, name: &SecretName) -> Result<Option<SecretFacts>, ReadError> {
        Self::describe(self, store, name).await
    }

    async fn readers(&self, id: &str) -> Result<StoredReaders, ReadError> {
        Self::readers(self, id).await
    }

    async fn drift(&self, stack: &str) -> Result<Drift, ReadError> {
        Self::drift(self, stack).await
    }
}
