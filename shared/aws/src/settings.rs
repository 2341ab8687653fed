//! What an [`AwsWorld`](crate::AwsWorld) needs to know, and how a function's environment tells it.

use std::fmt;

use provisioning::authority::PinnedStacks;
use provisioning::principals::RoleArn;

use crate::rates::Rates;

/// The credentials that Lambda hands to a function.
pub type Credentials = aws_credential_types::Credentials;

/// What an [`AwsWorld`](crate::AwsWorld) needs to know.
#[derive(Debug)]
pub struct Settings {
    /// The Region of the function.
    pub region: String,
    /// The function's own credentials.
    pub credentials: Credentials,
    /// The key that signs records.
    pub signing_key: SigningKeyArn,
    /// How fast the account lets us call.
    pub rates: Rates,
    /// The keys that signed what may be taken over from other stacks.
    pub former_signing_keys: Vec<SigningKeyArn>,
    /// The function's own role.
    pub role: RoleArn,
    /// The function that rotates secrets, where there is one: beside this one, nobody else writes what
    /// was made.
    pub rotator: Option<Rotator>,
    /// Where every service answers; for local emulators only.
    #[cfg(feature = "local")]
    pub endpoint: Option<String>,
}

/// The function that rotates secrets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rotator {
    /// Its full ARN.
    pub function: String,
    /// Its role.
    pub role: RoleArn,
}

/// The full ARN of the key that signs records. It tells partition, Region and account as well.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SigningKeyArn {
    text: String,
    /// `<partition>:ssm:<region>:<account>` of documents beside the key.
    documents: String,
}

/// A text is not the ARN of a KMS key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeyArnError;

impl std::str::FromStr for SigningKeyArn {
    type Err = KeyArnError;

    fn from_str(text: &str) -> Result<Self, KeyArnError> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        match parts.as_slice() {
            ["arn", partition, "kms", region, account, key] if key.starts_with("key/") => Ok(Self {
                text: text.to_owned(),
                documents: format!("arn:{partition}:ssm:{region}:{account}"),
            }),
            _ => Err(KeyArnError),
        }
    }
}

impl SigningKeyArn {
    /// The ARN as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The ARN of a parameter in the same account and Region.
    pub(crate) fn parameter_arn(&self, name: &str) -> String {
        format!("{}:parameter{name}", self.documents)
    }
}

/// The environment does not tell what it has to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SettingsFault {
    /// A variable is not set.
    Missing(&'static str),
    /// A variable's value is of no use; what it must be.
    Malformed(&'static str, &'static str),
}

impl fmt::Display for SettingsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "the environment variable {name} is not set"),
            Self::Malformed(name, expected) => {
                write!(f, "the environment variable {name} must be {expected}")
            }
        }
    }
}

impl std::error::Error for SettingsFault {}

/// The keys that signed what may be taken over from other stacks; may be left out.
const FORMER: &str = "KEYBOOT_FORMER_SIGNING_KEY_ARNS";
/// The function that rotates secrets, and its role; may be left out together.
const ROTATION_FUNCTION: &str = "KEYBOOT_ROTATION_FUNCTION_ARN";
const ROTATION_ROLE: &str = "KEYBOOT_ROTATION_ROLE_ARN";
/// How many parameters a second the account can put; may be left out.
const PUTS: &str = "KEYBOOT_PARAMETER_PUTS_PER_SECOND";
/// What a role's ARN must be.
const ROLE: &str = "the full ARN of an IAM role";

/// What Lambda gives a function of its role.
pub(crate) fn credentials_of_the_function(
    variable: impl Fn(&'static str) -> Option<String>,
) -> Result<Credentials, SettingsFault> {
    let optional = |name| variable(name).filter(|value| !value.is_empty());
    let required = |name| optional(name).ok_or(SettingsFault::Missing(name));
    Ok(Credentials::new(
        required("AWS_ACCESS_KEY_ID")?,
        required("AWS_SECRET_ACCESS_KEY")?,
        optional("AWS_SESSION_TOKEN"),
        None,
        "Lambda",
    ))
}

impl Settings {
    /// Reads them, and the stacks whose events count; `variable` gives what a variable of this name is
    /// set to. Opens no connection.
    ///
    /// # Errors
    ///
    /// [`SettingsFault`], which never repeats a value.
    pub fn read(
        variable: impl Fn(&'static str) -> Option<String>,
    ) -> Result<(Self, PinnedStacks), SettingsFault> {
        let optional = |name| variable(name).filter(|value| !value.is_empty());
        let required = |name| optional(name).ok_or(SettingsFault::Missing(name));
        let signing_key = required("KEYBOOT_SIGNING_KEY_ARN")?.parse().map_err(|KeyArnError| {
            SettingsFault::Malformed("KEYBOOT_SIGNING_KEY_ARN", "the full ARN of a KMS key")
        })?;
        let pinned = required("KEYBOOT_STACK_IDS")?.parse().map_err(|_| {
            SettingsFault::Malformed("KEYBOOT_STACK_IDS", "full stack ids (ARNs), separated by commas")
        })?;
        let role = |name| required(name)?.parse().map_err(|_| SettingsFault::Malformed(name, ROLE));
        let rotator = match optional(ROTATION_FUNCTION) {
            Some(function) if is_function(&function) => {
                Some(Rotator { function, role: role(ROTATION_ROLE)? })
            }
            Some(_) => {
                let expected = "the full ARN of a Lambda function, without a version";
                return Err(SettingsFault::Malformed(ROTATION_FUNCTION, expected));
            }
            None => None,
        };
        let settings = Self {
            region: required("AWS_REGION")?,
            credentials: credentials_of_the_function(&variable)?,
            signing_key,
            rates: rates(&optional)?,
            former_signing_keys: key_arns(optional(FORMER).unwrap_or_default().as_str())
                .ok_or(SettingsFault::Malformed(FORMER, "full ARNs of KMS keys, separated by commas"))?,
            role: role("KEYBOOT_ROLE_ARN")?,
            rotator,
            #[cfg(feature = "local")]
            endpoint: optional("AWS_ENDPOINT_URL"),
        };
        Ok((settings, pinned))
    }
}

/// How fast the account lets us call: Parameter Store's throughput can be raised. A local build may
/// be told to be so many times as fast, since emulators take what comes.
fn rates(optional: &impl Fn(&'static str) -> Option<String>) -> Result<Rates, SettingsFault> {
    let rates = match optional(PUTS) {
        None => Rates::default(),
        Some(text) => text
            .parse()
            .ok()
            .and_then(Rates::with_parameter_puts)
            .ok_or(SettingsFault::Malformed(PUTS, "3, or 10 with higher throughput"))?,
    };
    #[cfg(feature = "local")]
    let rates = match optional("KEYBOOT_RATES_TIMES") {
        None => rates,
        Some(text) => rates.times(
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

fn is_function(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    matches!(parts[..], ["arn", _, "lambda", _, _, "function", name] if !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [(&str, &str); 8] = [
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "canary"),
        (
            "KEYBOOT_SIGNING_KEY_ARN",
            "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-4333-8444-555555555555",
        ),
        ("KEYBOOT_STACK_IDS", "arn:aws:cloudformation:eu-central-1:111122223333:stack/kms/1"),
        ("KEYBOOT_ROLE_ARN", "arn:aws:iam::111122223333:role/keys"),
        (ROTATION_FUNCTION, "arn:aws:lambda:eu-central-1:111122223333:function:rotation"),
        (ROTATION_ROLE, "arn:aws:iam::111122223333:role/rotation"),
    ];

    fn read(change: Option<(&str, Option<&str>)>) -> Result<Settings, SettingsFault> {
        let variable = |name: &'static str| {
            let changed = change.filter(|(changed, _)| *changed == name).map(|(_, value)| value);
            let listed = || ALL.into_iter().find(|(listed, _)| *listed == name).map(|(_, value)| value);
            changed.unwrap_or_else(listed).map(str::to_owned)
        };
        Settings::read(variable).map(|(settings, _)| settings)
    }

    #[test]
    fn what_is_set_is_read() {
        let settings = read(None).unwrap();
        let rotator = settings.rotator.unwrap();
        assert_eq!(rotator.function, "arn:aws:lambda:eu-central-1:111122223333:function:rotation");
        assert_eq!((settings.role.as_str(), rotator.role.as_str()), (ALL[5].1, ALL[7].1));
        assert_eq!(read(Some((ROTATION_FUNCTION, None))).unwrap().rotator, None);
        assert_eq!(read(Some((ROTATION_FUNCTION, Some("")))).unwrap().rotator, None);
    }

    #[test]
    fn what_is_missing_is_named_and_what_is_wrong_too_without_its_value() {
        for (name, _) in ALL {
            if name != ROTATION_FUNCTION {
                assert_eq!(read(Some((name, None))).unwrap_err(), SettingsFault::Missing(name));
            }
            if name.starts_with("KEYBOOT_") {
                let fault = read(Some((name, Some("canary")))).unwrap_err().to_string();
                assert!(fault.contains(name) && !fault.contains("canary"), "{fault}");
            }
        }
        let of_a_version = "arn:aws:lambda:eu-central-1:111122223333:function:rotation:7";
        assert!(read(Some((ROTATION_FUNCTION, Some(of_a_version)))).is_err());
        assert!(read(Some((PUTS, Some("4")))).is_err());
    }
}
