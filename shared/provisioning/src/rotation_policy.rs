//! How often a cluster's keys are replaced by a rotation, and how long what is replaced goes on being good.
//!
//! The policy stands in the signed roster index, so whoever rotates takes it from there and not from the
//! event that asked him to: a rotation of what the stack has not declared is refused. No I/O here.

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::names::Purpose;
use crate::sealing::{KeyOrigin, Protection};
use crate::version_label::Form;

/// What a schedule may be, as a phrase that follows "must be".
pub(crate) const SCHEDULE_ALLOWED: &str = "cron(0 <hours> <day of month> <month> <day of week> *), or where Store is SecretsManager \
     rate(<n> hours) of 4 to 999 hours, rate(1 day) or rate(<n> days) of up to 999 days";
/// What hours of overlap may be. The shortest is twice what the AWS caching libraries for Secrets Manager
/// keep a secret by default (their user guide, "Get secrets", one hour), so that no reader's cache outlives
/// the key that is in it.
pub(crate) const OVERLAP_ALLOWED: &str = "a whole number from 2 to 720";
/// What minutes until a cut-over may be.
pub(crate) const CUT_OVER_ALLOWED: &str = "a whole number from 5 to 10080";
/// The hours for which a replaced API or management key is accepted, where the properties say nothing.
pub(crate) const OVERLAP_DEFAULT: &str = "24";
/// The minutes until a new P2P key counts, where the properties say nothing.
pub(crate) const CUT_OVER_DEFAULT: &str = "60";

/// When something is rotated: an expression that Secrets Manager and EventBridge Scheduler both read
/// (Secrets Manager User Guide, "Schedule expressions"; EventBridge Scheduler User Guide, "Schedule
/// types").
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ScheduleExpression(String);

/// A text is no schedule expression.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not {SCHEDULE_ALLOWED}")]
pub struct ScheduleError;

impl ScheduleExpression {
    /// The expression as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The time between two rotations, where the expression is a rate.
    #[must_use]
    pub fn interval(&self) -> Option<SignedDuration> {
        interval(&self.0)
    }
}

impl FromStr for ScheduleExpression {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        if interval(text).is_some() || is_cron(text) { Ok(Self(text.to_owned())) } else { Err(ScheduleError) }
    }
}

impl TryFrom<String> for ScheduleExpression {
    type Error = ScheduleError;

    fn try_from(text: String) -> Result<Self, ScheduleError> {
        text.parse()
    }
}

impl From<ScheduleExpression> for String {
    fn from(expression: ScheduleExpression) -> Self {
        expression.0
    }
}

impl fmt::Display for ScheduleExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The interval of a rate. Secrets Manager rotates every four hours at the most (User Guide, "Schedule
/// expressions").
fn interval(text: &str) -> Option<SignedDuration> {
    let (number, unit) = text.strip_prefix("rate(")?.strip_suffix(')')?.split_once(' ')?;
    let is_plain = number.bytes().all(|b| b.is_ascii_digit()) && !number.starts_with('0');
    let number: i64 = number.parse().ok().filter(|number| is_plain && *number <= 999)?;
    match (number, unit) {
        (1, "day") => Some(SignedDuration::from_hours(24)),
        (2.., "days") => Some(SignedDuration::from_hours(24 * number)),
        (4.., "hours") => Some(SignedDuration::from_hours(number)),
        _ => None,
    }
}

/// Whether it is a cron expression of six fields at the full hour and of every year; which fields go together is for the
/// scheduler to judge.
fn is_cron(text: &str) -> bool {
    let Some(fields) = text.strip_prefix("cron(").and_then(|text| text.strip_suffix(')')) else {
        return false;
    };
    let fields: Vec<&str> = fields.split(' ').collect();
    let is_field = |field: &&str| {
        (1..=64).contains(&field.len())
            && field.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b"*?,/#-".contains(&b))
    };
    fields.len() == 6 && fields[0] == "0" && fields[5] == "*" && fields.iter().all(is_field)
}

/// What is rotated, how often, what new keys are made under, and for how long what is replaced goes on being
/// good.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RotationPolicy {
    /// When API and management keys are rotated, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_keys_every: Option<ScheduleExpression>,
    /// How many minutes after it is published a new P2P key counts.
    pub cut_over_minutes: u32,
    /// What makes P2P key pairs: `Function` or `Kms`.
    pub key_origin: String,
    /// The customer's key that new ones are encrypted with, by its full ARN: what is told of a secret does not
    /// decide it.
    pub kms_key_arn: String,
    /// For how many hours a replaced API or management key is accepted.
    pub overlap_hours: u32,
    /// When P2P keys are rotated, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p2p_keys_every: Option<ScheduleExpression>,
    /// How P2P keys are protected: `Envelope` or `Service`.
    pub protection: String,
}

impl RotationPolicy {
    /// When what is for `purpose` is rotated, if it is. A share-encryption password never is.
    #[must_use]
    pub fn every(&self, purpose: &Purpose) -> Option<&ScheduleExpression> {
        match purpose {
            Purpose::P2pKey => self.p2p_keys_every.as_ref(),
            Purpose::ApiKey(_) | Purpose::ManagementKey => self.api_keys_every.as_ref(),
            Purpose::SharePassword => None,
        }
    }

    /// How a new key for `purpose` is made and protected.
    pub(crate) fn form(&self, purpose: &Purpose) -> Form {
        let is_p2p = *purpose == Purpose::P2pKey;
        let protection = if is_p2p && self.protection == Protection::Envelope.as_str() {
            Protection::Envelope
        } else {
            Protection::Service
        };
        let origin = if is_p2p && self.key_origin == KeyOrigin::Kms.as_str() {
            KeyOrigin::Kms
        } else {
            KeyOrigin::Function
        };
        Form { protection, origin }
    }

    pub(crate) fn overlap(&self) -> SignedDuration {
        SignedDuration::from_hours(self.overlap_hours.into())
    }

    pub(crate) fn cut_over(&self) -> SignedDuration {
        SignedDuration::from_mins(self.cut_over_minutes.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_one_that_both_schedulers_read() {
        for good in [
            "rate(4 hours)",
            "rate(999 hours)",
            "rate(1 day)",
            "rate(30 days)",
            "cron(0 8 1 * ? *)",
            "cron(0 0/6 ? * MON-FRI *)",
            "cron(0 2 ? * 1#1 *)",
            "cron(0 3 L * ? *)",
        ] {
            assert_eq!(good.parse::<ScheduleExpression>().map(|e| e.to_string()), Ok(good.to_owned()));
        }
        for bad in [
            "",
            "rate(3 hours)",
            "rate(1 hours)",
            "rate(04 hours)",
            "rate(+4 hours)",
            "rate(1 days)",
            "rate(2 day)",
            "rate(0 days)",
            "rate(1000 days)",
            "rate(10 minutes)",
            "rate(4  hours)",
            "rate(4 hours) ",
            "at(2026-01-01T00:00:00)",
            "cron(5 8 1 * ? *)",
            "cron(0 8 1 * ? 2027)",
            "cron(0 8 1 * ?)",
            "cron(0 8 1 * ? * *)",
            "cron(0 8 1 * ? ${x})",
            "cron(0  8 1 * ? *)",
            "30 days",
        ] {
            assert_eq!(bad.parse::<ScheduleExpression>(), Err(ScheduleError), "{bad}");
        }
    }

    #[test]
    fn a_rate_tells_its_interval_and_a_cron_expression_none() {
        let interval = |text: &str| text.parse::<ScheduleExpression>().unwrap().interval();
        assert_eq!(interval("rate(4 hours)"), Some(SignedDuration::from_hours(4)));
        assert_eq!(interval("rate(1 day)"), Some(SignedDuration::from_hours(24)));
        assert_eq!(interval("rate(30 days)"), Some(SignedDuration::from_hours(720)));
        assert_eq!(interval("cron(0 8 1 * ? *)"), None);
    }

    #[test]
    fn a_share_encryption_password_is_never_rotated() {
        let every: ScheduleExpression = "rate(30 days)".parse().unwrap();
        let policy = RotationPolicy {
            api_keys_every: Some(every.clone()),
            cut_over_minutes: 60,
            key_origin: "Kms".into(),
            kms_key_arn: String::new(),
            overlap_hours: 24,
            p2p_keys_every: None,
            protection: "Envelope".into(),
        };
        let api_key = "api-key/default".parse().unwrap();
        assert_eq!(
            policy.form(&Purpose::P2pKey),
            Form { protection: Protection::Envelope, origin: KeyOrigin::Kms }
        );
        assert_eq!(
            policy.form(&api_key),
            Form { protection: Protection::Service, origin: KeyOrigin::Function }
        );
        assert_eq!(policy.every(&Purpose::SharePassword), None);
        assert_eq!(policy.every(&Purpose::P2pKey), None);
        for purpose in [Purpose::ManagementKey, "api-key/default".parse().unwrap()] {
            assert_eq!(policy.every(&purpose), Some(&every));
        }
    }
}
