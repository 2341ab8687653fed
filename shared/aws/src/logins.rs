//! Secrets Manager behind the ports of `database`: one login's secret, and the master user's.
//!
//! Both are named by the function's own environment, and no other is ever asked for. This is the one
//! function that reads what it has stored: the database has to be told it.

use std::sync::OnceLock;
use std::time::Duration;

use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::SdkConfig;
use aws_types::sdk_config::SharedCredentialsProvider;
use database::ports::{Held, LoginStore, NewVersion, Put, StoreError};
use database::{LoginSecret, MasterSecret};
use provisioning::ports::PortError;
use rotation::{CURRENT, SecretVersions};
use zeroize::Zeroizing;

use crate::failure::{code, failure};
use crate::outgoing;
use crate::session::{Tries, config};
use crate::settings::{Credentials, SettingsFault, credentials_of_the_function};

/// A stack waits, and so does a rotation: both come again.
const TRIES: Tries = Tries { attempts: 5, attempt: Duration::from_secs(10) };
/// The answer to a call on a secret, or on a version's value, that is not there.
const NOT_FOUND: &str = "ResourceNotFoundException";
/// The answer to a version under a token in use.
const EXISTS: &str = "ResourceExistsException";
/// The answer to a label that is not where it was said to be, among other things.
const INVALID_PARAMETER: &str = "InvalidParameterException";

/// What [`Logins`] needs to know.
#[derive(Debug)]
pub struct LoginSettings {
    /// The Region of the function.
    pub region: String,
    /// The function's own credentials.
    pub credentials: Credentials,
    /// The full ARN of the secret that the login is stored in.
    pub login_secret: String,
    /// The full ARN of the secret that RDS keeps the master user's login in.
    pub master_secret: String,
    /// Where every service answers; for local emulators only.
    #[cfg(feature = "local")]
    pub endpoint: Option<String>,
}

impl LoginSettings {
    /// Reads them; `variable` gives what a variable of this name is set to.
    ///
    /// # Errors
    ///
    /// [`SettingsFault`], which never repeats a value.
    pub fn read(variable: impl Fn(&'static str) -> Option<String>) -> Result<Self, SettingsFault> {
        let optional = |name| variable(name).filter(|value| !value.is_empty());
        let required = |name| optional(name).ok_or(SettingsFault::Missing(name));
        let secret = |name| match required(name)? {
            arn if is_secret(&arn) => Ok(arn),
            _ => Err(SettingsFault::Malformed(name, "the full ARN of a secret")),
        };
        Ok(Self {
            region: required("AWS_REGION")?,
            credentials: credentials_of_the_function(&variable)?,
            login_secret: secret("LOGIN_SECRET_ARN")?,
            master_secret: secret("MASTER_SECRET_ARN")?,
            #[cfg(feature = "local")]
            endpoint: optional("AWS_ENDPOINT_URL"),
        })
    }
}

/// Whether a text is the ARN of a secret. Those that a service of AWS manages begin with its name and a mark
/// that no other name may have, as in `rds!db-` (Secrets Manager user guide, "Secrets managed by other AWS
/// services").
fn is_secret(arn: &str) -> bool {
    arn.replacen(":secret:rds!", ":secret:rds-", 1).parse::<rotation::SecretId>().is_ok()
}

/// Secrets Manager, as far as it keeps a database's logins.
#[derive(Debug)]
pub struct Logins {
    config: SdkConfig,
    login_secret: String,
    master_secret: String,
    secrets: OnceLock<aws_sdk_secretsmanager::Client>,
}

impl Logins {
    /// Makes the connection's settings; opens nothing and builds no client.
    #[must_use]
    pub fn new(settings: LoginSettings) -> Self {
        let client = outgoing::client_to(
            #[cfg(feature = "local")]
            settings.endpoint.as_deref(),
        );
        let config = config(
            settings.region,
            SharedCredentialsProvider::new(settings.credentials),
            client,
            TRIES,
            #[cfg(feature = "local")]
            settings.endpoint,
        );
        let LoginSettings { login_secret, master_secret, .. } = settings;
        Self { config, login_secret, master_secret, secrets: OnceLock::new() }
    }

    /// The full ARN of the secret that the login is stored in.
    #[must_use]
    pub fn login_secret(&self) -> &str {
        &self.login_secret
    }

    fn secrets(&self) -> &aws_sdk_secretsmanager::Client {
        self.secrets.get_or_init(|| aws_sdk_secretsmanager::Client::new(&self.config))
    }

    /// The text of a secret's version, or of the one that is handed out; `None` when there is none.
    async fn text(&self, arn: &str, version: Option<&str>) -> Result<Option<Zeroizing<String>>, StoreError> {
        let call = self.secrets().get_secret_value().secret_id(arn);
        let call = match version {
            Some(version) => call.version_id(version),
            None => call.version_stage(CURRENT),
        };
        match call.send().await {
            Ok(value) => Ok(value.secret_string.map(Zeroizing::new)),
            // The same is answered for a secret that is not there: whoever asks has described it before.
            Err(error)
                if matches!(
                    error.as_service_error(),
                    Some(GetSecretValueError::ResourceNotFoundException(_))
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(told("GetSecretValue", arn, &error)),
        }
    }

    async fn has_label(&self, version: &str, label: &str) -> Result<bool, StoreError> {
        Ok(self.describe().await?.is_some_and(|described| described.is_staged(version, label)))
    }
}

impl LoginStore for Logins {
    async fn describe(&self) -> Result<Option<SecretVersions>, StoreError> {
        let arn = &self.login_secret;
        let described = match self.secrets().describe_secret().secret_id(arn).send().await {
            Ok(described) => described,
            Err(error) if code(&error) == Some(NOT_FOUND) => return Ok(None),
            Err(error) => return Err(told("DescribeSecret", arn, &error)),
        };
        let versions = described.version_ids_to_stages.unwrap_or_default().into_iter();
        Ok(Some(SecretVersions {
            rotation_enabled: described.rotation_enabled.unwrap_or_default(),
            versions: versions.map(|(id, labels)| (id, labels.into_iter().collect())).collect(),
        }))
    }

    async fn read(&self, version: &str) -> Result<Held, StoreError> {
        Ok(match self.text(&self.login_secret, Some(version)).await? {
            None => Held::Nothing,
            Some(text) => LoginSecret::parse(&text).map_or(Held::SomethingElse, Held::Login),
        })
    }

    /// A token under which another value was put is answered with an error, and one under which the same
    /// was put changes nothing (Secrets Manager API Reference, `PutSecretValue`, `ClientRequestToken`).
    /// Labels that are named take the place of `AWSCURRENT` (the same page, `VersionStages`).
    async fn put(&self, version: NewVersion<'_>) -> Result<Put, StoreError> {
        let arn = &self.login_secret;
        let call = self
            .secrets()
            .put_secret_value()
            .secret_id(arn)
            .client_request_token(version.id)
            .version_stages(version.label)
            // EXPOSE: to Secrets Manager, which gave it for this call.
            .set_rotation_token(version.rotation_token.map(|token| token.expose().to_owned()))
            // EXPOSE: to the store, over TLS.
            .secret_string(version.secret.to_text().as_str());
        match call.send().await {
            Ok(_) => Ok(Put::Done),
            Err(error) if code(&error) == Some(EXISTS) => Ok(Put::Taken),
            Err(error) => Err(told("PutSecretValue", arn, &error)),
        }
    }

    /// Naming the version that has the label now makes this a compare-and-set (Secrets Manager API
    /// Reference, `UpdateSecretVersionStage`, `RemoveFromVersionId`).
    async fn make_current(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let arn = &self.login_secret;
        let call = self.secrets().update_secret_version_stage().secret_id(arn).version_stage(CURRENT);
        match call.remove_from_version_id(from).move_to_version_id(to).send().await {
            Ok(_) => Ok(()),
            // A duplicate was faster.
            Err(error) if code(&error) == Some(INVALID_PARAMETER) && self.has_label(to, CURRENT).await? => {
                Ok(())
            }
            Err(error) => Err(told("UpdateSecretVersionStage", arn, &error)),
        }
    }

    async fn take_label(&self, version: &str, label: &str) -> Result<(), StoreError> {
        if !self.has_label(version, label).await? {
            return Ok(());
        }
        let arn = &self.login_secret;
        let call = self.secrets().update_secret_version_stage().secret_id(arn).version_stage(label);
        match call.remove_from_version_id(version).send().await {
            Ok(_) => Ok(()),
            // Taken by a duplicate.
            Err(error)
                if code(&error) == Some(INVALID_PARAMETER) && !self.has_label(version, label).await? =>
            {
                Ok(())
            }
            Err(error) => Err(told("UpdateSecretVersionStage", arn, &error)),
        }
    }

    async fn master(&self) -> Result<MasterSecret, StoreError> {
        let arn = &self.master_secret;
        let none = || StoreError::Malformed { what: arn.clone() };
        let text = self.text(arn, None).await?.ok_or_else(none)?;
        MasterSecret::parse(&text).map_err(|_| none())
    }
}

/// What became of a failed call, in the words of `database`.
fn told<E: ProvideErrorMetadata>(
    call: &str,
    arn: &str,
    error: &aws_sdk_secretsmanager::error::SdkError<E>,
) -> StoreError {
    match failure(call, arn, error) {
        PortError::Denied { what, code } => StoreError::Denied { what, code },
        PortError::Unavailable { what, code } => StoreError::Unavailable { what, code },
        PortError::Refused { what, code } => StoreError::Refused { what, code },
        other => StoreError::Refused { what: other.to_string(), code: "unexpected".into() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGIN: &str = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:keyboot/tsm/login-AbCdEf";
    const MASTER: &str = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:rds!db-0e1f-AbCdEf";

    fn read(changed: (&str, Option<&str>)) -> Result<LoginSettings, SettingsFault> {
        LoginSettings::read(|name| {
            let set = match name {
                name if name == changed.0 => changed.1,
                "LOGIN_SECRET_ARN" => Some(LOGIN),
                "MASTER_SECRET_ARN" => Some(MASTER),
                "AWS_SESSION_TOKEN" | "AWS_ENDPOINT_URL" => None,
                _ => Some("some"),
            };
            set.map(str::to_owned)
        })
    }

    #[test]
    fn what_rds_manages_is_a_secret_and_what_is_none_is_named_without_its_value() {
        let settings = read(("", None)).unwrap();
        assert_eq!((settings.login_secret.as_str(), settings.master_secret.as_str()), (LOGIN, MASTER));
        for name in ["LOGIN_SECRET_ARN", "MASTER_SECRET_ARN"] {
            assert_eq!(read((name, None)).unwrap_err(), SettingsFault::Missing(name));
            for bad in ["canary", "arn:aws:kms:eu-central-1:111122223333:key/canary", "rds!canary"] {
                let fault = read((name, Some(bad))).unwrap_err().to_string();
                assert!(fault.contains(name) && !fault.contains("canary"), "{fault}");
            }
        }
    }
}
