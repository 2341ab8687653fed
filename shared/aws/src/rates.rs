//! How many calls a second AWS takes of one account in one Region, as its pages say: the one table.
//!
//! We keep a little under each figure ([`KEPT`]) and use two thirds of a second's worth at once at
//! the most ([`Quota::burst`]): the pages give rates and no bursts, and calls that left in good order
//! arrive in another. Where a page gives no figure, the table has a cautious one of ours and says so.
//! A call that is not in the table counts towards its service's last line. CloudFormation, which is
//! asked a handful of questions an operation, has none.

use std::time::Duration;

/// What of a documented rate we use, in hundredths: the rest makes up for calls that bunch on their
/// way, and leaves something to others in the account.
pub(crate) const KEPT: u32 = 97;

/// What Parameter Store takes of `PutParameter` by default (AWS General Reference, "AWS Systems Manager
/// endpoints and quotas", Parameter Store, default throughput).
const STANDARD_PUTS: u32 = 3;
/// The same where the account has switched higher throughput on (same page; Systems Manager User Guide,
/// "Changing Parameter Store throughput").
const HIGHER_PUTS: u32 = 10;

/// Calls that share one rate.
pub(crate) struct Quota {
    /// What they are called in messages.
    pub(crate) name: &'static str,
    /// The service's prefix in `X-Amz-Target`.
    service: &'static str,
    /// Their names; none stands for every other call of the service.
    calls: &'static [&'static str],
    /// Calls a second.
    a_second: u32,
}

/// Secrets Manager.
const SECRETS: &str = "secretsmanager";
/// Parameter Store.
const PARAMETERS: &str = "AmazonSSM";
/// KMS.
const KMS: &str = "TrentService";

/// The table.
///
/// Secrets Manager: Secrets Manager User Guide, "AWS Secrets Manager quotas", rate quotas.
/// Parameter Store: AWS General Reference, "AWS Systems Manager endpoints and quotas".
/// KMS: KMS Developer Guide, "Request quotas"; of figures that differ by Region, the least.
pub(crate) const TABLE: [Quota; 17] = [
    quota("PutParameter", PARAMETERS, &["PutParameter"], STANDARD_PUTS),
    quota("reading parameters", PARAMETERS, &["GetParameter", "GetParameters", "GetParametersByPath"], 40),
    // None is documented for deleting and tagging parameters: ours.
    quota("other calls of Parameter Store", PARAMETERS, &[], 10),
    quota("CreateSecret", SECRETS, &["CreateSecret"], 50),
    quota(
        "values and stages of secrets",
        SECRETS,
        &["PutSecretValue", "UpdateSecret", "UpdateSecretVersionStage"],
        50,
    ),
    quota(
        "resource policies of secrets",
        SECRETS,
        &["DeleteResourcePolicy", "GetResourcePolicy", "PutResourcePolicy", "ValidateResourcePolicy"],
        50,
    ),
    quota("tags of secrets", SECRETS, &["TagResource", "UntagResource"], 50),
    quota("DeleteSecret", SECRETS, &["DeleteSecret"], 50),
    quota("RestoreSecret", SECRETS, &["RestoreSecret"], 50),
    quota("rotations of secrets", SECRETS, &["CancelRotateSecret", "RotateSecret"], 50),
    quota("DescribeSecret", SECRETS, &["DescribeSecret"], 40_000),
    // The least of all that is documented for the others.
    quota("other calls of Secrets Manager", SECRETS, &[], 50),
    quota("KMS symmetric", KMS, &["Decrypt", "Encrypt", "GenerateDataKey", "ReEncrypt"], 10_000),
    quota("KMS ECC", KMS, &["Sign", "Verify"], 1_000),
    quota("KMS keys", KMS, &["DescribeKey", "GetPublicKey"], 2_000),
    // A rate for each curve; a cluster has one.
    quota("KMS pairs", KMS, &["GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext"], 100),
    // Ours.
    quota("other calls of KMS", KMS, &[], 10),
];

/// The line for `PutParameter`, which an account can raise.
const PUTS: usize = 0;

const fn quota(
    name: &'static str,
    service: &'static str,
    calls: &'static [&'static str],
    a_second: u32,
) -> Quota {
    Quota { name, service, calls, a_second }
}

/// The line of the table for a call, by its `X-Amz-Target`; none for services without one.
pub(crate) fn line_of(target: &str) -> Option<usize> {
    let (prefix, call) = target.split_once('.')?;
    let of_service = |quota: &Quota| quota.service == prefix;
    let named = TABLE.iter().position(|quota| of_service(quota) && quota.calls.contains(&call));
    named.or_else(|| TABLE.iter().position(|quota| of_service(quota) && quota.calls.is_empty()))
}

/// How fast an account lets us call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rates {
    parameter_puts: u32,
    times: u32,
}

impl Default for Rates {
    /// What every account has.
    fn default() -> Self {
        Self { parameter_puts: STANDARD_PUTS, times: 1 }
    }
}

impl Rates {
    /// The `PutParameter` calls a second that an account can have: by default, and with higher
    /// throughput switched on.
    pub const PARAMETER_PUTS: [u32; 2] = [STANDARD_PUTS, HIGHER_PUTS];

    /// The rates of an account with so many `PutParameter` calls a second; `None` where no account
    /// has that.
    #[must_use]
    pub fn with_parameter_puts(a_second: u32) -> Option<Self> {
        let parameter_puts = Self::PARAMETER_PUTS.into_iter().find(|known| *known == a_second)?;
        Some(Self { parameter_puts, ..Self::default() })
    }

    /// So many times as fast; for local emulators only.
    #[cfg(feature = "local")]
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times: times.max(1), ..self }
    }

    /// Calls a second by a line of the table.
    fn a_second(self, line: usize) -> u32 {
        let documented = if line == PUTS { self.parameter_puts } else { TABLE[line].a_second };
        documented.saturating_mul(self.times)
    }

    /// The time between two calls of a line that makes many.
    pub(crate) fn interval(self, line: usize) -> Duration {
        Duration::from_secs(1) * 100 / (self.a_second(line).saturating_mul(KEPT))
    }

    /// How long so many calls take that go by one line of the table: those of `target`.
    pub(crate) fn time_for(self, target: &str, calls: usize) -> Duration {
        let Some(line) = line_of(target) else { return Duration::ZERO };
        let at_once = usize::try_from(self.burst(line)).unwrap_or(usize::MAX);
        self.interval(line) * u32::try_from(calls.saturating_sub(at_once)).unwrap_or(u32::MAX)
    }

    /// How many calls of a line may leave at once after a quiet second.
    pub(crate) fn burst(self, line: usize) -> u32 {
        (self.a_second(line).saturating_mul(2) / 3).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_of(target: &str) -> Option<&'static str> {
        line_of(target).map(|line| TABLE[line].name)
    }

    #[test]
    fn every_call_of_a_paced_service_has_a_line() {
        assert_eq!(name_of("AmazonSSM.PutParameter"), Some("PutParameter"));
        assert_eq!(name_of("AmazonSSM.DeleteParameters"), Some("other calls of Parameter Store"));
        assert_eq!(name_of("secretsmanager.UpdateSecretVersionStage"), Some("values and stages of secrets"));
        assert_eq!(name_of("secretsmanager.ListSecrets"), Some("other calls of Secrets Manager"));
        assert_eq!(name_of("TrentService.Sign"), Some("KMS ECC"));
        assert_eq!(name_of("TrentService.CreateGrant"), Some("other calls of KMS"));
        assert_eq!(name_of("Elsewhere.Call"), None);
        assert_eq!(name_of("PutParameter"), None);
        assert_eq!(TABLE[PUTS].name, "PutParameter");
    }

    #[test]
    fn no_call_stands_in_two_lines_and_each_service_has_one_line_for_the_rest() {
        for service in [SECRETS, PARAMETERS, KMS] {
            let lines: Vec<_> = TABLE.iter().filter(|quota| quota.service == service).collect();
            assert_eq!(lines.iter().filter(|quota| quota.calls.is_empty()).count(), 1, "{service}");
            let calls: Vec<_> = lines.iter().flat_map(|quota| quota.calls).collect();
            let distinct: std::collections::BTreeSet<_> = calls.iter().collect();
            assert_eq!(calls.len(), distinct.len(), "{service}");
        }
    }

    #[test]
    fn a_little_less_than_the_documented_rate_is_used_and_two_thirds_of_a_second_at_once() {
        let standard = Rates::default();
        let higher = Rates::with_parameter_puts(10).unwrap();
        assert!((Duration::from_millis(340)..Duration::from_millis(345)).contains(&standard.interval(PUTS)));
        assert!((Duration::from_millis(102)..Duration::from_millis(104)).contains(&higher.interval(PUTS)));
        assert_eq!((standard.burst(PUTS), higher.burst(PUTS)), (2, 6));
        for (line, Quota { name, a_second, .. }) in TABLE.iter().enumerate() {
            let second = f64::from(*a_second);
            assert!(standard.interval(line).as_secs_f64() * second > 1.0, "{name}");
            assert!(f64::from(standard.burst(line)) <= second * 2.0 / 3.0, "{name}");
        }
    }

    #[test]
    fn an_account_has_one_of_the_documented_throughputs() {
        assert_eq!(Rates::with_parameter_puts(3), Some(Rates::default()));
        for no_account_has in [0, 1, 4, 11, 1000] {
            assert_eq!(Rates::with_parameter_puts(no_account_has), None);
        }
    }
}
