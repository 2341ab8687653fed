//! Secrets Manager and Parameter Store ask KMS for each value under a customer's key.

use serde_json::json;

use super::{FIRST, SECOND};
use crate::client::{parameters, secrets};
use crate::sequence::{Given, Sequence};

pub(super) fn all() -> Vec<Sequence> {
    vec![secret(), secure_string(), pending_deletion()]
}

/// `CreateSecret`, `PutSecretValue`: `EncryptionFailure`; `GetSecretValue`: `DecryptionFailure`.
fn secret() -> Sequence {
    let name = "under-a-key";
    let made = |name: &str| json!({ "Name": name, "ClientRequestToken": FIRST, "SecretString": "one", "KmsKeyId": "${key}" });
    Sequence::new("a secret under a key that is disabled")
        .given(Given::SymmetricKey("key"))
        .answers("made", secrets("CreateSecret"), made(name), json!({ "Name": name }))
        .answers(
            "described",
            secrets("DescribeSecret"),
            json!({ "SecretId": name }),
            json!({ "KmsKeyId": "${key}" }),
        )
        .given(Given::Disabled("key"))
        .refuses(
            "read under the disabled key",
            secrets("GetSecretValue"),
            json!({ "SecretId": name }),
            &["DecryptionFailure"],
        )
        .given(Given::Enabled("key"))
        .answers(
            "read under the key enabled again",
            secrets("GetSecretValue"),
            json!({ "SecretId": name }),
            json!({ "SecretString": "one" }),
        )
        .given(Given::Disabled("key"))
        .refuses(
            "put under the disabled key",
            secrets("PutSecretValue"),
            json!({ "SecretId": name, "ClientRequestToken": SECOND, "SecretString": "two" }),
            &["EncryptionFailure"],
        )
        .refuses(
            "made under the disabled key",
            secrets("CreateSecret"),
            made("under-a-disabled-key"),
            &["EncryptionFailure"],
        )
}

/// `CreateSecret`, `EncryptionFailure`: the key is available, enabled, and not in an invalid state.
fn pending_deletion() -> Sequence {
    Sequence::new("a secret under a key that is to be deleted")
        .given(Given::SymmetricKey("key"))
        .given(Given::PendingDeletion("key"))
        .refuses(
            "made",
            secrets("CreateSecret"),
            json!({
                "Name": "under-a-key-to-be-deleted",
                "ClientRequestToken": FIRST,
                "SecretString": "one",
                "KmsKeyId": "${key}",
            }),
            &["EncryptionFailure"],
        )
}

/// `PutParameter`, `GetParameter`, `GetParameters`: `InvalidKeyId`.
fn secure_string() -> Sequence {
    let name = "/under/a/key";
    Sequence::new("a SecureString under a key that is disabled")
        .given(Given::SymmetricKey("key"))
        .answers(
            "put",
            parameters("PutParameter"),
            json!({ "Name": name, "Value": "one", "Type": "SecureString", "KeyId": "${key}" }),
            json!({ "Version": 1 }),
        )
        .answers(
            "read",
            parameters("GetParameter"),
            json!({ "Name": name, "WithDecryption": true }),
            json!({ "Parameter": { "Type": "SecureString", "Value": "one" } }),
        )
        .answers(
            "read as it is stored",
            parameters("GetParameter"),
            json!({ "Name": name }),
            json!({ "Parameter": { "Type": "SecureString", "Value": "<not one>" } }),
        )
        .given(Given::Disabled("key"))
        .refuses(
            "read under the disabled key",
            parameters("GetParameter"),
            json!({ "Name": name, "WithDecryption": true }),
            &["InvalidKeyId"],
        )
        .refuses(
            "read with others under the disabled key",
            parameters("GetParameters"),
            json!({ "Names": [name], "WithDecryption": true }),
            &["InvalidKeyId"],
        )
        .answers(
            "read as it is stored under the disabled key",
            parameters("GetParameter"),
            json!({ "Name": name }),
            json!({ "Parameter": { "Type": "SecureString", "Value": "<not one>" } }),
        )
        .given(Given::Enabled("key"))
        .answers(
            "read under the key enabled again",
            parameters("GetParameter"),
            json!({ "Name": name, "WithDecryption": true }),
            json!({ "Parameter": { "Value": "one", "Version": 1 } }),
        )
        .given(Given::Disabled("key"))
        .refuses(
            "put under the disabled key",
            parameters("PutParameter"),
            json!({
                "Name": name, "Value": "two", "Type": "SecureString", "KeyId": "${key}", "Overwrite": true,
            }),
            &["InvalidKeyId"],
        )
        .refuses(
            "put under no key",
            parameters("PutParameter"),
            json!({
                "Name": "/under/no/key",
                "Value": "one",
                "Type": "SecureString",
                "KeyId": "arn:aws:kms:us-east-1:000000000000:key/00000000-0000-0000-0000-000000000000",
            }),
            &["InvalidKeyId"],
        )
}
