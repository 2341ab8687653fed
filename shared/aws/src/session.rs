//! The connection to AWS: credentials, Region, TLS, retries.

use std::sync::OnceLock;
use std::time::Duration;

use aws_sdk_kms::config::BehaviorVersion;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use aws_types::sdk_config::{SharedCredentialsProvider, SharedHttpClient};
use jiff::Timestamp;
use provisioning::ports::{Clock, Pace, Workload};
use provisioning::principals::RoleArn;
use provisioning::store::Store;

use crate::audit::JsonLines;
#[cfg(feature = "reading")]
use crate::auditing::Auditor;
use crate::outgoing;
use crate::pacing::Pacer;
use crate::rates::Rates;
use crate::settings::{Settings, SigningKeyArn};

/// How long one attempt may take to connect.
const CONNECT: Duration = Duration::from_secs(3);

/// How often and how long a call is tried.
#[derive(Clone, Copy)]
pub(crate) struct Tries {
    /// Attempts, the first included; the SDK backs off between them.
    pub(crate) attempts: u32,
    /// How long one may take in all.
    pub(crate) attempt: Duration,
}

/// Calls are paced, but others in the account call as well. An attempt waits for its turn: of 48 that may
/// wait at once, at 3 a second. What it takes after that has a limit of its own.
const PACED: Tries = Tries { attempts: 8, attempt: Duration::from_secs(40) };

/// AWS, as one function sees it.
#[derive(Debug)]
pub struct AwsWorld {
    config: SdkConfig,
    signing_key: SigningKeyArn,
    rates: Rates,
    former_signing_keys: Vec<SigningKeyArn>,
    writers: Vec<RoleArn>,
    rotation_function: Option<String>,
    pub(crate) log: JsonLines,
    kms: OnceLock<aws_sdk_kms::Client>,
    secrets: OnceLock<aws_sdk_secretsmanager::Client>,
    parameters: OnceLock<aws_sdk_ssm::Client>,
    stacks: OnceLock<aws_sdk_cloudformation::Client>,
}

impl AwsWorld {
    /// Makes the connection's settings; opens nothing and builds no client.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let client = outgoing::client_to(
            #[cfg(feature = "local")]
            settings.endpoint.as_deref(),
        );
        Self::through(settings, client)
    }

    /// The same over a connection of the caller's, for tests that have no socket.
    #[cfg(feature = "local")]
    #[must_use]
    pub fn over(settings: Settings, client: SharedHttpClient) -> Self {
        Self::through(settings, client)
    }

    fn through(settings: Settings, client: SharedHttpClient) -> Self {
        let config = config(
            settings.region,
            SharedCredentialsProvider::new(settings.credentials),
            Pacer::new(settings.rates).before(client),
            PACED,
            #[cfg(feature = "local")]
            settings.endpoint,
        );
        let (rotation_role, rotation_function) =
            settings.rotator.map(|rotator| (rotator.role, rotator.function)).unzip();
        Self {
            config,
            signing_key: settings.signing_key,
            rates: settings.rates,
            former_signing_keys: settings.former_signing_keys,
            writers: std::iter::once(settings.role).chain(rotation_role).collect(),
            rotation_function,
            log: JsonLines,
            kms: OnceLock::new(),
            secrets: OnceLock::new(),
            parameters: OnceLock::new(),
            stacks: OnceLock::new(),
        }
    }

    /// The same for somebody who only looks, and is no function.
    #[cfg(feature = "reading")]
    pub(crate) fn of_an_auditor(auditor: Auditor) -> Self {
        let config = config_of_a_reader(
            &auditor.region,
            #[cfg(feature = "local")]
            auditor.endpoint,
        );
        Self {
            config,
            signing_key: auditor.signing_key,
            rates: Rates::default(),
            former_signing_keys: Vec::new(),
            writers: auditor.writers,
            rotation_function: None,
            log: JsonLines,
            kms: OnceLock::new(),
            secrets: OnceLock::new(),
            parameters: OnceLock::new(),
            stacks: OnceLock::new(),
        }
    }

    pub(crate) fn signing_key(&self) -> &SigningKeyArn {
        &self.signing_key
    }

    pub(crate) fn former_signing_keys(&self) -> &[SigningKeyArn] {
        &self.former_signing_keys
    }

    /// The roles that put versions of a secret, and nobody else does.
    pub(crate) fn writers(&self) -> Vec<&RoleArn> {
        self.writers.iter().collect()
    }

    pub(crate) fn rotation_function(&self) -> Option<&str> {
        self.rotation_function.as_deref()
    }

    pub(crate) fn kms(&self) -> &aws_sdk_kms::Client {
        self.kms.get_or_init(|| aws_sdk_kms::Client::new(&self.config))
    }

    pub(crate) fn secrets(&self) -> &aws_sdk_secretsmanager::Client {
        self.secrets.get_or_init(|| aws_sdk_secretsmanager::Client::new(&self.config))
    }

    pub(crate) fn parameters(&self) -> &aws_sdk_ssm::Client {
        self.parameters.get_or_init(|| aws_sdk_ssm::Client::new(&self.config))
    }

    pub(crate) fn stacks(&self) -> &aws_sdk_cloudformation::Client {
        self.stacks.get_or_init(|| aws_sdk_cloudformation::Client::new(&self.config))
    }
}

impl Clock for AwsWorld {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

impl Pace for AwsWorld {
    /// One after the other, as the operation goes: secrets before their documents. Whatever else is
    /// called has a rate at which it takes no time worth the name.
    fn time_for(&self, work: &Workload) -> Duration {
        let calls = match work.store {
            Store::SecretsManager => vec![
                ("secretsmanager.CreateSecret", work.created),
                ("secretsmanager.PutSecretValue", work.renewed),
                ("secretsmanager.RestoreSecret", work.restored),
                ("AmazonSSM.PutParameter", work.published),
                ("secretsmanager.DeleteSecret", work.removed),
            ],
            Store::ParameterStore => vec![
                ("AmazonSSM.PutParameter", work.created + work.renewed + work.published),
                // Two for a version that takes the place of another.
                ("AmazonSSM.LabelParameterVersion", work.created + 2 * work.renewed),
                ("AmazonSSM.AddTagsToResource", work.restored + work.removed),
            ],
            // Its calls are nobody's here.
            Store::Vault => Vec::new(),
        };
        calls.into_iter().map(|(target, calls)| self.rates.time_for(target, calls)).sum()
    }
}

/// A connection's settings. Opens nothing.
pub(crate) fn config(
    region: String,
    credentials: SharedCredentialsProvider,
    client: SharedHttpClient,
    tries: Tries,
    #[cfg(feature = "local")] endpoint: Option<String>,
) -> SdkConfig {
    let builder = SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(region))
        .credentials_provider(credentials)
        .retry_config(RetryConfig::standard().with_max_attempts(tries.attempts))
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT)
                .operation_attempt_timeout(tries.attempt)
                .build(),
        )
        .http_client(client);
    #[cfg(feature = "local")]
    let builder = match endpoint {
        Some(endpoint) => builder.endpoint_url(endpoint),
        None => builder,
    };
    builder.build()
}

/// The same with the credentials of whoever runs the program, found as [`crate::reading`] finds them.
#[cfg(feature = "reading")]
pub(crate) fn config_of_a_reader(
    region: &str,
    #[cfg(feature = "local")] endpoint: Option<String>,
) -> SdkConfig {
    let client = outgoing::client_to(
        #[cfg(feature = "local")]
        endpoint.as_deref(),
    );
    config(
        region.to_owned(),
        crate::reading::credentials(region),
        Pacer::new(Rates::default()).before(client),
        PACED,
        #[cfg(feature = "local")]
        endpoint,
    )
}
