//! How many calls a second each account may make, as the services document it.
//!
//! Off unless a test switches it on. Each quota is a bucket that holds one second's worth of calls and
//! fills steadily; AWS documents the rate and not the burst. The account of the caller is charged, not
//! that of the secret or the key (Secrets Manager User Guide, "AWS Secrets Manager quotas"; KMS
//! Developer Guide, "Request quotas", "Cross-account requests").
//!
//! What a store asks of KMS for its caller counts there as well, by the same page. It is not counted
//! here: the quotas of symmetric keys are out of any test's reach.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::place::Place;
use crate::service::Service;

/// The buckets of all accounts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rates {
    /// How many times the documented rate; nothing is counted where there is none.
    enforced: Option<i64>,
    buckets: BTreeMap<(Place, &'static str), Bucket>,
}

/// Calls that may be made now.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// In thousandths of a call: what a call a second brings each millisecond.
    left: i64,
    filled: Timestamp,
}

/// A quota: its name, and calls a second.
type Quota = (&'static str, i64);

impl Rates {
    /// Counts from now on, against so many times the documented rate.
    pub(crate) fn enforce(&mut self, times: u32) {
        self.enforced = Some(times.into());
    }

    /// Takes a call's place in its quota. `false` when there is none.
    pub(crate) fn admit(
        &mut self,
        place: &Place,
        service: Service,
        operation: &str,
        pair_spec: Option<&str>,
        now: Timestamp,
    ) -> bool {
        let Some((name, rate)) = quota(service, operation, pair_spec, &place.region) else { return true };
        let Some(times) = self.enforced else { return true };
        let rate = rate * times;
        let full = rate * 1000;
        let bucket = self.buckets.entry((place.clone(), name)).or_insert(Bucket { left: full, filled: now });
        let passed = now.as_millisecond() - bucket.filled.as_millisecond();
        bucket.left = bucket.left.saturating_add(passed.saturating_mul(rate)).min(full);
        bucket.filled = now;
        if bucket.left < 1000 {
            return false;
        }
        bucket.left -= 1000;
        true
    }
}

fn quota(service: Service, operation: &str, pair_spec: Option<&str>, region: &str) -> Option<Quota> {
    match service {
        Service::SecretsManager => secrets_manager(operation),
        Service::ParameterStore => parameter_store(operation),
        Service::Kms => kms(operation, pair_spec, region),
        // None is documented.
        Service::CloudFormation => None,
    }
}

/// Secrets Manager User Guide, "AWS Secrets Manager quotas".
fn secrets_manager(operation: &str) -> Option<Quota> {
    Some(match operation {
        "DeleteResourcePolicy" | "GetResourcePolicy" | "PutResourcePolicy" => ("resource policies", 50),
        "PutSecretValue" | "UpdateSecret" | "UpdateSecretVersionStage" => ("values and stages", 50),
        "RestoreSecret" => ("RestoreSecret", 50),
        "CancelRotateSecret" | "RotateSecret" => ("rotations", 50),
        "TagResource" | "UntagResource" => ("tags", 50),
        "CreateSecret" => ("CreateSecret", 50),
        "DeleteSecret" => ("DeleteSecret", 50),
        "DescribeSecret" => ("DescribeSecret", 40_000),
        "GetSecretValue" => ("GetSecretValue", 10_000),
        "ListSecretVersionIds" => ("ListSecretVersionIds", 50),
        "ListSecrets" => ("ListSecrets", 100),
        _ => return None,
    })
}

/// AWS General Reference, "AWS Systems Manager endpoints and quotas", Parameter Store, default
/// throughput. For the other calls none is documented.
fn parameter_store(operation: &str) -> Option<Quota> {
    Some(match operation {
        "GetParameter" | "GetParameters" | "GetParametersByPath" => ("reading parameters", 40),
        "PutParameter" => ("PutParameter", 3),
        _ => return None,
    })
}

/// KMS Developer Guide, "Request quotas".
fn kms(operation: &str, pair_spec: Option<&str>, region: &str) -> Option<Quota> {
    Some(match operation {
        "Decrypt" | "Encrypt" | "GenerateDataKey" => ("KMS symmetric", symmetric(region)),
        "Sign" | "Verify" => ("KMS ECC", 1000),
        "DescribeKey" => ("DescribeKey", 2000),
        "GetPublicKey" => ("GetPublicKey", 2000),
        "GenerateDataKeyPairWithoutPlaintext" => match pair_spec {
            Some("ECC_NIST_P256") => ("KMS pairs P-256", 100),
            Some("ECC_NIST_P384") => ("KMS pairs P-384", 100),
            Some("ECC_SECG_P256K1") => ("KMS pairs secp256k1", 100),
            _ => return None,
        },
        _ => return None,
    })
}

fn symmetric(region: &str) -> i64 {
    match region {
        "us-east-1" | "us-west-2" | "eu-west-1" => 100_000,
        "us-east-2" | "ap-southeast-1" | "ap-southeast-2" | "ap-northeast-1" | "eu-central-1"
        | "eu-west-2" => 20_000,
        _ => 10_000,
    }
}
