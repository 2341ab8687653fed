//! Data keys and data key pairs.

use serde_json::json;

use super::MALFORMED;
use crate::client::kms;
use crate::sequence::{Given, Sequence};

pub(super) fn all() -> Vec<Sequence> {
    vec![keys(), pairs()]
}

/// `GenerateDataKey`, `KeySpec` or `NumberOfBytes`, not both.
fn keys() -> Sequence {
    let generate = |more: serde_json::Value| {
        let mut input = json!({ "KeyId": "${key}", "EncryptionContext": { "node": "0" } });
        for (key, value) in more.as_object().into_iter().flatten() {
            input[key] = value.clone();
        }
        input
    };
    Sequence::new("data keys")
        .given(Given::SymmetricKey("key"))
        .answers(
            "of 256 bits",
            kms("GenerateDataKey"),
            generate(json!({ "KeySpec": "AES_256" })),
            json!({ "CiphertextBlob": "<bytes>", "KeyId": "${key}", "Plaintext": "<32 bytes>" }),
        )
        .keep("sealed", "/CiphertextBlob")
        .keep("plain", "/Plaintext")
        .answers(
            "is opened",
            kms("Decrypt"),
            json!({ "CiphertextBlob": "${sealed}", "EncryptionContext": { "node": "0" } }),
            json!({ "KeyId": "${key}", "Plaintext": "${plain}" }),
        )
        .refuses(
            "is not opened without its context",
            kms("Decrypt"),
            json!({ "CiphertextBlob": "${sealed}" }),
            &["InvalidCiphertextException"],
        )
        .answers(
            "of 128 bits",
            kms("GenerateDataKey"),
            generate(json!({ "KeySpec": "AES_128" })),
            json!({ "Plaintext": "<16 bytes>" }),
        )
        .answers(
            "of 64 bytes",
            kms("GenerateDataKey"),
            generate(json!({ "NumberOfBytes": 64 })),
            json!({ "Plaintext": "<64 bytes>" }),
        )
        .answers(
            "of 1024 bytes",
            kms("GenerateDataKey"),
            generate(json!({ "NumberOfBytes": 1024 })),
            json!({ "Plaintext": "<1024 bytes>" }),
        )
        .refuses(
            "of 1025 bytes",
            kms("GenerateDataKey"),
            generate(json!({ "NumberOfBytes": 1025 })),
            MALFORMED,
        )
        .refuses(
            "of two lengths",
            kms("GenerateDataKey"),
            generate(json!({ "KeySpec": "AES_256", "NumberOfBytes": 32 })),
            MALFORMED,
        )
        .refuses("of no length", kms("GenerateDataKey"), generate(json!({})), MALFORMED)
        .refuses(
            "of an unknown kind",
            kms("GenerateDataKey"),
            generate(json!({ "KeySpec": "AES_512" })),
            MALFORMED,
        )
}

/// `GenerateDataKeyPairWithoutPlaintext`: a public half as `SubjectPublicKeyInfo`, the private one sealed.
fn pairs() -> Sequence {
    let generate =
        |spec: &str| json!({ "KeyId": "${key}", "KeyPairSpec": spec, "EncryptionContext": { "node": "0" } });
    let made = |spec: &str, public: &str| {
        json!({
            "KeyId": "${key}",
            "KeyPairSpec": spec,
            "PrivateKeyCiphertextBlob": "<bytes>",
            "PrivateKeyPlaintext": null,
            "PublicKey": public,
        })
    };
    Sequence::new("data key pairs")
        .given(Given::SymmetricKey("key"))
        .answers(
            "P-256",
            kms("GenerateDataKeyPairWithoutPlaintext"),
            generate("ECC_NIST_P256"),
            made("ECC_NIST_P256", "<91 bytes>"),
        )
        .keep("p256", "/PrivateKeyCiphertextBlob")
        .keep("p256-public", "/PublicKey")
        .answers(
            "P-384",
            kms("GenerateDataKeyPairWithoutPlaintext"),
            generate("ECC_NIST_P384"),
            made("ECC_NIST_P384", "<120 bytes>"),
        )
        .keep("p384", "/PrivateKeyCiphertextBlob")
        .answers(
            "secp256k1",
            kms("GenerateDataKeyPairWithoutPlaintext"),
            generate("ECC_SECG_P256K1"),
            made("ECC_SECG_P256K1", "<88 bytes>"),
        )
        .keep("secp256k1", "/PrivateKeyCiphertextBlob")
        .answers(
            "P-256 is opened",
            kms("Decrypt"),
            json!({ "CiphertextBlob": "${p256}", "EncryptionContext": { "node": "0" } }),
            json!({ "KeyId": "${key}", "Plaintext": "<the private half of ${p256-public}>" }),
        )
        .answers(
            "P-384 is opened",
            kms("Decrypt"),
            json!({ "CiphertextBlob": "${p384}", "EncryptionContext": { "node": "0" } }),
            json!({ "KeyId": "${key}", "Plaintext": "<bytes>" }),
        )
        .answers(
            "secp256k1 is opened",
            kms("Decrypt"),
            json!({ "CiphertextBlob": "${secp256k1}", "EncryptionContext": { "node": "0" } }),
            json!({ "KeyId": "${key}", "Plaintext": "<bytes>" }),
        )
        .refuses(
            "is not opened under another context",
            kms("Decrypt"),
            json!({ "CiphertextBlob": "${p256}", "EncryptionContext": { "node": "1" } }),
            &["InvalidCiphertextException"],
        )
        .refuses(
            "of an unknown kind",
            kms("GenerateDataKeyPairWithoutPlaintext"),
            generate("ECC_BRAINPOOL"),
            MALFORMED,
        )
        .refuses(
            "of no kind",
            kms("GenerateDataKeyPairWithoutPlaintext"),
            json!({ "KeyId": "${key}" }),
            MALFORMED,
        )
        .refuses(
            "under no such key",
            kms("GenerateDataKeyPairWithoutPlaintext"),
            json!({ "KeyId": "00000000-0000-4000-8000-000000000000", "KeyPairSpec": "ECC_NIST_P256" }),
            &["NotFoundException"],
        )
}
