//! What the function is told by its environment: the one place where it is read.

use aws::{AwsWorld, Credentials, Rates, Settings, SigningKeyArn};
use provisioning::authority::PinnedStacks;

/// The keys that signed what may be taken over from other stacks; may be left out.
const FORMER: &str = "KEYBOOT_FORMER_SIGNING_KEY_ARNS";

/// Why the function does not start.
#[derive(Debug)]
pub(crate) enum SettingsFault {
    /// The environment could send secrets elsewhere or load foreign code.
    #[cfg(not(feature = "local"))]
    Tampered(custom_resource::TamperedEnvironment),
    /// A variable is not set.
    Missing(&'static str),
    /// A variable's value is of no use.
    Malformed(&'static str, &'static str),
}

impl std::fmt::Display for SettingsFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            #[cfg(not(feature = "local"))]
            Self::Tampered(fault) => fault.fmt(f),
            Self::Missing(name) => write!(f, "the environment variable {name} is not set"),
            Self::Malformed(name, expected) => {
                write!(f, "the environment variable {name} must be {expected}")
            }
        }
    }
}

/// Reads what the function needs to know; opens no connection.
pub(crate) fn read() -> Result<(AwsWorld, PinnedStacks), SettingsFault> {
    #[cfg(not(feature = "local"))]
    custom_resource::refuse_tampered_environment(std::env::vars_os()).map_err(SettingsFault::Tampered)?;
    let signing_key = variable("KEYBOOT_SIGNING_KEY_ARN")?
        .parse()
        .map_err(|_| SettingsFault::Malformed("KEYBOOT_SIGNING_KEY_ARN", "the full ARN of a KMS key"))?;
    let former_signing_keys = key_arns(variable(FORMER).unwrap_or_default().as_str())
        .ok_or(SettingsFault::Malformed(FORMER, "full ARNs of KMS keys, separated by commas"))?;
    let pinned: PinnedStacks = variable("KEYBOOT_STACK_IDS")?.parse().map_err(|_| {
        SettingsFault::Malformed("KEYBOOT_STACK_IDS", "full stack ids (ARNs), separated by commas")
    })?;
    let role = variable("KEYBOOT_ROLE_ARN")?.parse().map_err(|_| {
        SettingsFault::Malformed("KEYBOOT_ROLE_ARN", "the full ARN of the function's IAM role")
    })?;
    let credentials = Credentials::new(
        variable("AWS_ACCESS_KEY_ID")?,
        variable("AWS_SECRET_ACCESS_KEY")?,
        variable("AWS_SESSION_TOKEN").ok(),
        None,
        "Lambda",
    );
    let world = AwsWorld::new(Settings {
        region: variable("AWS_REGION")?,
        credentials,
        signing_key,
        rates: rates()?,
        former_signing_keys,
        role,
        #[cfg(feature = "local")]
        endpoint: variable("AWS_ENDPOINT_URL").ok(),
    });
    Ok((world, pinned))
}

/// How fast the account lets us call: Parameter Store's throughput can be raised. A local build may
/// be told to be so many times as fast, since emulators take what comes.
fn rates() -> Result<Rates, SettingsFault> {
    const PUTS: &str = "KEYBOOT_PARAMETER_PUTS_PER_SECOND";
    let rates = match variable(PUTS) {
        Err(_) => Rates::default(),
        Ok(text) => text
            .parse()
            .ok()
            .and_then(Rates::with_parameter_puts)
            .ok_or(SettingsFault::Malformed(PUTS, "3, or 10 with higher throughput"))?,
    };
    #[cfg(feature = "local")]
    let rates = match variable("KEYBOOT_RATES_TIMES") {
        Err(_) => rates,
        Ok(text) => rates.times(
            text.parse().map_err(|_| SettingsFault::Malformed("KEYBOOT_RATES_TIMES", "a whole number"))?,
        ),
    };
    Ok(rates)
}

/// The keys in a list, as the template writes it: what is empty in it names none.
fn key_arns(list: &str) -> Option<Vec<SigningKeyArn>> {
    let named = list.split(',').map(str::trim).filter(|arn| !arn.is_empty());
    named.map(|arn| arn.parse().ok()).collect()
}

#[expect(clippy::disallowed_methods, reason = "this is where configuration is read")]
fn variable(name: &'static str) -> Result<String, SettingsFault> {
    std::env::var(name).ok().filter(|value| !value.is_empty()).ok_or(SettingsFault::Missing(name))
}
