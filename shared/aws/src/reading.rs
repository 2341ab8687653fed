//! AWS behind the ports of `reading`: what a node, or an auditor, reads with.
//!
//! Credentials are those of the process's environment, of its container or of its instance, in this order;
//! no file is looked for. Endpoints follow from partition and Region alone and certificates are checked
//! against roots compiled in, as for the functions.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;

use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kms::error::SdkError;
use aws_sdk_kms::primitives::Blob;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::SdkConfig;
use aws_types::region::Region;
use aws_types::sdk_config::SharedCredentialsProvider;
use provisioning::ports::{CURRENT, PortError};
use provisioning::sealing::SealedSecret;
use reading::ReadError;
use reading::ports::{
    CurrentReader, CurrentValue, DocumentReader, Opened, Opener, SecretReader, StoredText, VersionReader,
};

use crate::failure::{THIS_ACCOUNT, failure, read_failure};
use crate::outgoing;
use crate::session::{Tries, config};

/// Somebody waits for a node to start.
const IMPATIENT: Tries = Tries { attempts: 4, attempt: Duration::from_secs(10) };
/// Where the metadata service of an instance is (EC2 User Guide, "Use the Instance Metadata Service").
#[cfg(not(feature = "local"))]
const METADATA: &str = "http://169.254.169.254";
/// The codes that say that something is not there.
const NOT_THERE: [&str; 3] = ["ResourceNotFoundException", "ParameterNotFound", "ParameterVersionNotFound"];

/// What to look at where a version is not there that the record names.
const NO_VERSION: &str = "the node's record names a version of it that is not there (any more)";
/// The same of a secret that nothing names a version of.
const NO_CURRENT: &str = "there is no such secret, or it has no current version: look whether whoever makes it \
                          has (stack and function of the node's database), and whether account and Region are right";

/// AWS, as a reader sees it. A client is built when the first call needs it.
#[derive(Debug)]
pub struct ReadingWorld {
    config: SdkConfig,
    kms: OnceLock<aws_sdk_kms::Client>,
    secrets: OnceLock<aws_sdk_secretsmanager::Client>,
    parameters: OnceLock<aws_sdk_ssm::Client>,
}

impl ReadingWorld {
    /// Makes the connection's settings; opens nothing. `endpoint` is where every service answers: for local
    /// emulators only.
    #[must_use]
    pub fn new(region: &str, #[cfg(feature = "local")] endpoint: Option<String>) -> Self {
        let client = outgoing::client_to(
            #[cfg(feature = "local")]
            endpoint.as_deref(),
        );
        let config = config(
            region.to_owned(),
            credentials(region),
            client,
            IMPATIENT,
            #[cfg(feature = "local")]
            endpoint,
        );
        Self { config, kms: OnceLock::new(), secrets: OnceLock::new(), parameters: OnceLock::new() }
    }

    fn kms(&self) -> &aws_sdk_kms::Client {
        self.kms.get_or_init(|| aws_sdk_kms::Client::new(&self.config))
    }

    fn secrets(&self) -> &aws_sdk_secretsmanager::Client {
        self.secrets.get_or_init(|| aws_sdk_secretsmanager::Client::new(&self.config))
    }

    fn parameters(&self) -> &aws_sdk_ssm::Client {
        self.parameters.get_or_init(|| aws_sdk_ssm::Client::new(&self.config))
    }
}

/// The metadata services are on the instance itself and speak plain HTTP; no proxy is asked.
pub(crate) fn credentials(region: &str) -> SharedCredentialsProvider {
    let config = ProviderConfig::empty()
        .with_region(Some(Region::new(region.to_owned())))
        .with_http_client(outgoing::plain_too());
    let container = EcsCredentialsProvider::builder().configure(&config).build();
    let metadata = aws_config::imds::Client::builder().configure(&config);
    // No variable and no file says where it is.
    #[cfg(not(feature = "local"))]
    let metadata = match metadata.endpoint(METADATA) {
        Ok(metadata) => metadata,
        Err(_) => aws_config::imds::Client::builder().configure(&config),
    };
    let instance =
        ImdsCredentialsProvider::builder().configure(&config).imds_client(metadata.build()).build();
    let chain =
        CredentialsProviderChain::first_try("Environment", EnvironmentVariableCredentialsProvider::new())
            .or_else("Container", container)
            .or_else("Instance", instance);
    SharedCredentialsProvider::new(chain)
}

impl DocumentReader for ReadingWorld {
    async fn read_documents(&self, names: &[String]) -> Result<Vec<Option<String>>, ReadError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let answer = self.parameters().get_parameters().set_names(Some(names.to_vec())).send().await;
        let answer = answer.map_err(|error| why("ssm:GetParameters", &names.join(", "), &error))?;
        let mut found = HashMap::new();
        for parameter in answer.parameters.unwrap_or_default() {
            let (Some(name), Some(value)) = (parameter.name, parameter.value) else { continue };
            // What was asked for by its ARN is answered by its name.
            found.extend(parameter.arn.map(|arn| (arn, value.clone())));
            found.insert(name, value);
        }
        Ok(names.iter().map(|name| found.remove(name)).collect())
    }
}

impl SecretReader for ReadingWorld {
    async fn fetch_version(&self, arn: &str, version_id: &str) -> Result<StoredText, ReadError> {
        if let Some((_, name)) = arn.split_once(":ssm:").and_then(|(_, rest)| rest.split_once(":parameter")) {
            return self.fetch_parameter(arn, name, version_id).await;
        }
        let call = self.secrets().get_secret_value().secret_id(arn).version_id(version_id);
        let answer = call.send().await.map_err(|error| why("secretsmanager:GetSecretValue", arn, &error))?;
        answer.secret_string.map(StoredText::new).ok_or_else(|| empty(arn))
    }
}

impl ReadingWorld {
    /// A parameter is named with its version; only its own account reads it so.
    async fn fetch_parameter(&self, arn: &str, name: &str, version: &str) -> Result<StoredText, ReadError> {
        let call = self.parameters().get_parameter().name(format!("{name}:{version}")).with_decryption(true);
        let answer = call.send().await.map_err(|error| why("ssm:GetParameter", arn, &error))?;
        answer.parameter.and_then(|found| found.value).map(StoredText::new).ok_or_else(|| empty(arn))
    }
}

impl CurrentReader for ReadingWorld {
    async fn fetch_current(&self, arn: &str) -> Result<CurrentValue, ReadError> {
        let call = self.secrets().get_secret_value().secret_id(arn).version_stage(CURRENT);
        let answer = call.send().await;
        let answer =
            answer.map_err(|error| why_not("secretsmanager:GetSecretValue", arn, NO_CURRENT, &error))?;
        let (Some(text), Some(version_id)) = (answer.secret_string.map(StoredText::new), answer.version_id)
        else {
            return Err(empty(arn));
        };
        Ok(CurrentValue { version_id, text })
    }
}

impl VersionReader for ReadingWorld {
    async fn current_version(&self, arn: &str) -> Result<String, ReadError> {
        let answer = self.secrets().describe_secret().secret_id(arn).send().await;
        let answer =
            answer.map_err(|error| why_not("secretsmanager:DescribeSecret", arn, NO_CURRENT, &error))?;
        let versions = answer.version_ids_to_stages.unwrap_or_default().into_iter();
        let is_current = |stages: &[String]| stages.iter().any(|stage| stage == CURRENT);
        let mut current = versions.filter(|(_, stages)| is_current(stages)).map(|(version, _)| version);
        let missing = || ReadError::NotFound { name: arn.to_owned(), hint: NO_CURRENT };
        current.next().ok_or_else(missing)
    }
}

impl Opener for ReadingWorld {
    async fn open(&self, sealed: &SealedSecret) -> Result<Opened, ReadError> {
        let key = sealed.key_arn();
        let mut call = self.kms().decrypt().key_id(key).ciphertext_blob(Blob::new(sealed.ciphertext()));
        for (name, value) in sealed.context().pairs() {
            call = call.encryption_context(name, value);
        }
        let answer = call.send().await.map_err(|error| why("kms:Decrypt", key, &error))?;
        answer.plaintext.map(|plain| Opened::new(plain.into_inner())).ok_or_else(|| empty(key))
    }
}

/// Why a call for `permission` on `name` failed. Of the service's answer only the code is taken over.
fn why<E>(permission: &'static str, name: &str, error: &SdkError<E>) -> ReadError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    why_not(permission, name, NO_VERSION, error)
}

/// The same with what to look at where there is nothing of that name.
fn why_not<E>(permission: &'static str, name: &str, hint: &'static str, error: &SdkError<E>) -> ReadError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let name = name.to_owned();
    if has_no_credentials(error) {
        return ReadError::NoCredentials { name };
    }
    match failure("", &name, error) {
        PortError::Refused { code, .. } if NOT_THERE.contains(&code.as_str()) => {
            ReadError::NotFound { name, hint }
        }
        error => {
            let account = name.split(':').nth(4).filter(|account| account.len() == 12);
            let account = account.map_or_else(|| THIS_ACCOUNT.to_owned(), |id| format!("account {id}"));
            read_failure(error, account, permission, &name)
        }
    }
}

/// Whether a call was never sent because nobody could sign it.
fn has_no_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source())
        .any(<dyn std::error::Error>::is::<CredentialsError>)
}

fn empty(name: &str) -> ReadError {
    ReadError::Refused { name: name.to_owned(), code: "empty answer".into() }
}
