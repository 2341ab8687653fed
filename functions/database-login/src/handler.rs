//! From the words of CloudFormation and of Secrets Manager to those of a database's logins, and back.
//! Decides nothing.

use std::panic::AssertUnwindSafe;

use aws::Logins;
use custom_resource::{Deadline, Failure, IdentityScheme, Properties, Provider, Request, Success};
use database::ports::{LoginStore as _, StoreError};
use database::{Rotation, RotationError};
use futures_util::FutureExt as _;
use postgres::Postgres;
use rotation::{Rotate, RotationEvent, SecretId, SecretVersions, Tested};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroize as _;

/// The key that only events of Secrets Manager have.
const STEP: &str = "Step";
/// The credential that some of them bring.
const TOKEN: &str = "RotationToken";

/// The property that says which database it is: it changes when another one takes its place.
const DATABASE: &str = "Database";
/// What CloudFormation itself has in a resource's properties.
const ITS_OWN: [&str; 2] = ["ServiceToken", "ServiceTimeout"];

/// Makes and rotates the login of one node's database.
#[derive(Debug)]
pub(crate) struct DatabaseLogin {
    /// Where the login is stored.
    pub(crate) store: Logins,
    /// The database.
    pub(crate) server: Postgres,
}

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    /// The event is about another secret than this function's.
    #[error("it is not the secret of this function's database: nothing of it was touched")]
    Foreign,
    /// The store says why.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The rotation says why.
    #[error(transparent)]
    Rotation(#[from] RotationError),
}

/// Which resource an event is about: where it is declared says it, and no property. So no Update is ever a
/// replacement, after which something would have to be deleted.
pub(crate) fn scheme() -> IdentityScheme {
    IdentityScheme::new("keyboot-database-login")
}

/// Whether it is Secrets Manager that asks.
pub(crate) fn is_step(event: &Value) -> bool {
    event.get(STEP).is_some()
}

impl Provider for DatabaseLogin {
    async fn create(&self, request: &Request, _: Deadline) -> Result<Success, Failure> {
        self.ensure(request).await
    }

    async fn update(&self, request: &Request, _: Deadline) -> Result<Success, Failure> {
        self.ensure(request).await
    }

    async fn delete(&self, _: &Request, _: Deadline) -> Result<Success, Failure> {
        Ok(Success::default().because(
            "nothing was changed: the database keeps its logins and what they own, and the secret its value, \
             until they are deleted themselves",
        ))
    }
}

/// What a template says besides what it must is most likely a mistake.
fn check(properties: &Properties) -> Result<(), Failure> {
    let unknown =
        properties.as_map().keys().find(|name| **name != DATABASE && !ITS_OWN.contains(&name.as_str()));
    if let Some(name) = unknown {
        // A name may be as long as an event.
        let name: String = name.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
        return Err(Failure::new(format!("{name} is not a property: only {DATABASE} is")));
    }
    match properties.text(DATABASE) {
        Some(id) if (1..=255).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(()),
        _ => Err(Failure::new(format!(
            "{DATABASE} must be what Fn::GetAtt gives for DbiResourceId of the database's instance"
        ))),
    }
}

/// The id of the version that a request puts, should it put one: 64 hexadecimal digits, the same in every
/// delivery.
fn version_of(request: &Request) -> String {
    let of_request = [request.stack_id.as_str(), request.logical_id.as_str(), request.request_id.as_str()];
    let digest =
        of_request.iter().fold(Sha256::new(), |digest, part| digest.chain_update(part).chain_update([0]));
    hex::encode(digest.finalize())
}

impl DatabaseLogin {
    /// The same for a resource that is new and for one that is there: there is a login that works.
    async fn ensure(&self, request: &Request) -> Result<Success, Failure> {
        check(&request.properties)?;
        let version = version_of(request);
        // On the heap: the future holds every step there is.
        let ensuring = Box::pin(database::ensure(&self.store, &self.server, &version));
        let ensured = ensuring.await.map_err(|error| Failure::new(error.to_string()))?;
        Ok(Success::default().with("SecretArn", self.store.login_secret()).because(ensured.to_string()))
    }

    /// Does a step of a rotation. A panic is a failure like another, and its message stays unsaid: it could
    /// hold a value.
    pub(crate) async fn step(&self, mut event: Value) -> Result<String, String> {
        // On the heap: the future holds every step there is.
        let work = Box::pin(async {
            let event = RotationEvent::parse(&event).map_err(|fault| fault.to_string())?;
            let rotated = rotation::rotate(&event, self).await.map_err(|error| error.to_string())?;
            Ok(rotated.to_string())
        });
        let panicked = |_| Err("the function panicked; its log says where".to_owned());
        let result = AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(panicked);
        if let Some(Value::String(token)) = event.get_mut(TOKEN) {
            token.zeroize();
        }
        result
    }

    fn rotation(&self) -> Rotation<'_, Logins, Postgres> {
        Rotation { store: &self.store, server: &self.server }
    }
}

impl Rotate for DatabaseLogin {
    type Error = StepError;

    async fn describe(&self, secret_id: &SecretId) -> Result<Option<SecretVersions>, StepError> {
        if secret_id.as_str() != self.store.login_secret() {
            return Err(StepError::Foreign);
        }
        Ok(self.store.describe().await?)
    }

    async fn create(&self, event: &RotationEvent) -> Result<(), StepError> {
        let token = event.rotation_token.as_ref();
        Ok(self.rotation().create(event.version.as_str(), token).await?)
    }

    async fn set(&self, event: &RotationEvent) -> Result<(), StepError> {
        Ok(self.rotation().set(event.version.as_str()).await?)
    }

    async fn test(&self, event: &RotationEvent) -> Result<Tested, StepError> {
        Ok(self.rotation().test(event.version.as_str()).await?)
    }

    async fn finish(&self, event: &RotationEvent, described: &SecretVersions) -> Result<(), StepError> {
        Ok(self.rotation().finish(event.version.as_str(), described).await?)
    }

    async fn discard(&self, _: &RotationEvent, version: &str) -> Result<(), StepError> {
        Ok(self.rotation().discard(version).await?)
    }
}
