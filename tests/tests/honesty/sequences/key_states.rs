//! What a key does in each state: Developer Guide, Key states of KMS keys, Key state table.

use serde_json::json;

use super::bytes;
use crate::client::kms;
use crate::sequence::{Given, Sequence};

pub(super) fn all() -> Vec<Sequence> {
    let disabled = ("Disabled", Given::Disabled("key"), Given::Disabled("signing"), DISABLED);
    let pending =
        ("PendingDeletion", Given::PendingDeletion("key"), Given::PendingDeletion("signing"), PENDING);
    vec![described(), unusable("a disabled key", disabled), unusable("a key that is to be deleted", pending)]
}

const DISABLED: &[&str] = &["DisabledException"];
/// The table allows both.
const PENDING: &[&str] = &["DisabledException", "KMSInvalidStateException"];

/// `DescribeKey`.
fn described() -> Sequence {
    Sequence::new("keys are described")
        .given(Given::SymmetricKey("key"))
        .given(Given::SigningKey("signing"))
        .answers(
            "a symmetric one",
            kms("DescribeKey"),
            json!({ "KeyId": "${key}" }),
            json!({
                "KeyMetadata": {
                    "Arn": "${key}",
                    "CreationDate": "<date>",
                    "Enabled": true,
                    "KeyManager": "CUSTOMER",
                    "KeySpec": "SYMMETRIC_DEFAULT",
                    "KeyState": "Enabled",
                    "KeyUsage": "ENCRYPT_DECRYPT",
                    "MultiRegion": false,
                },
            }),
        )
        .keep("id", "/KeyMetadata/KeyId")
        .answers(
            "by its id",
            kms("DescribeKey"),
            json!({ "KeyId": "${id}" }),
            json!({ "KeyMetadata": { "Arn": "${key}", "KeyId": "${id}" } }),
        )
        .answers(
            "a signing one",
            kms("DescribeKey"),
            json!({ "KeyId": "${signing}" }),
            json!({
                "KeyMetadata": {
                    "Arn": "${signing}",
                    "KeySpec": "ECC_NIST_P256",
                    "KeyState": "Enabled",
                    "KeyUsage": "SIGN_VERIFY",
                    "SigningAlgorithms": ["ECDSA_SHA_256"],
                },
            }),
        )
        .refuses(
            "one that is not there",
            kms("DescribeKey"),
            json!({ "KeyId": "00000000-0000-4000-8000-000000000000" }),
            &["NotFoundException"],
        )
}

fn unusable(
    name: &'static str,
    (state, change, change_signing, codes): (&str, Given, Given, &'static [&'static str]),
) -> Sequence {
    Sequence::new(name)
        .given(Given::SymmetricKey("key"))
        .given(Given::SigningKey("signing"))
        .answers(
            "sealed before",
            kms("Encrypt"),
            json!({ "KeyId": "${key}", "Plaintext": bytes(32) }),
            json!({ "KeyId": "${key}" }),
        )
        .keep("sealed", "/CiphertextBlob")
        .given(change)
        .given(change_signing)
        .answers(
            "is described",
            kms("DescribeKey"),
            json!({ "KeyId": "${key}" }),
            json!({ "KeyMetadata": { "Arn": "${key}", "Enabled": false, "KeyState": state } }),
        )
        .refuses("does not seal", kms("Encrypt"), json!({ "KeyId": "${key}", "Plaintext": bytes(32) }), codes)
        .refuses("does not open", kms("Decrypt"), json!({ "CiphertextBlob": "${sealed}" }), codes)
        .refuses(
            "makes no data key",
            kms("GenerateDataKey"),
            json!({ "KeyId": "${key}", "KeySpec": "AES_256" }),
            codes,
        )
        .refuses(
            "makes no pair",
            kms("GenerateDataKeyPairWithoutPlaintext"),
            json!({ "KeyId": "${key}", "KeyPairSpec": "ECC_NIST_P256" }),
            codes,
        )
        .refuses(
            "does not sign",
            kms("Sign"),
            json!({ "KeyId": "${signing}", "Message": bytes(32), "SigningAlgorithm": "ECDSA_SHA_256" }),
            codes,
        )
        .refuses(
            "does not show its public half",
            kms("GetPublicKey"),
            json!({ "KeyId": "${signing}" }),
            codes,
        )
}
