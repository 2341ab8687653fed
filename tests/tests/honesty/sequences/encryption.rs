//! Encrypting and decrypting under a symmetric key.

use serde_json::json;

use super::{MALFORMED, bytes};
use crate::client::kms;
use crate::sequence::{Given, Sequence};

/// A key id of the right form that is nowhere.
const NOWHERE: &str = "00000000-0000-4000-8000-000000000000";

pub(super) fn all() -> Vec<Sequence> {
    vec![sizes(), contexts(), keys(), usage()]
}

/// Encrypt, Plaintext: 1 to 4,096 bytes.
fn sizes() -> Sequence {
    let encrypt = |length: usize| json!({ "KeyId": "${key}", "Plaintext": bytes(length) });
    Sequence::new("sizes of plaintexts")
        .given(Given::SymmetricKey("key"))
        .answers(
            "4096 bytes",
            kms("Encrypt"),
            encrypt(4096),
            json!({ "CiphertextBlob": "<bytes>", "EncryptionAlgorithm": "SYMMETRIC_DEFAULT", "KeyId": "${key}" }),
        )
        .keep("sealed", "/CiphertextBlob")
        .answers(
            "are opened",
            kms("Decrypt"),
            json!({ "CiphertextBlob": "${sealed}" }),
            json!({ "EncryptionAlgorithm": "SYMMETRIC_DEFAULT", "KeyId": "${key}", "Plaintext": bytes(4096) }),
        )
        .answers(
            "the same once more",
            kms("Encrypt"),
            encrypt(4096),
            json!({ "CiphertextBlob": "<not ${sealed}>" }),
        )
        .refuses("4097 bytes", kms("Encrypt"), encrypt(4097), MALFORMED)
        .refuses("nothing", kms("Encrypt"), encrypt(0), MALFORMED)
}

/// Decrypt, `EncryptionContext`: an exact, case-sensitive match.
fn contexts() -> Sequence {
    const WRONG: &[&str] = &["InvalidCiphertextException"];
    let opened = |context: serde_json::Value| json!({ "CiphertextBlob": "${sealed}", "KeyId": "${key}", "EncryptionContext": context });
    Sequence::new("encryption contexts")
        .given(Given::SymmetricKey("key"))
        .answers(
            "sealed",
            kms("Encrypt"),
            json!({
                "KeyId": "${key}", "Plaintext": bytes(32), "EncryptionContext": { "node": "0", "purpose": "p" },
            }),
            json!({ "KeyId": "${key}" }),
        )
        .keep("sealed", "/CiphertextBlob")
        .answers(
            "the same",
            kms("Decrypt"),
            opened(json!({ "purpose": "p", "node": "0" })),
            json!({ "KeyId": "${key}", "Plaintext": bytes(32) }),
        )
        .refuses("another value", kms("Decrypt"), opened(json!({ "node": "1", "purpose": "p" })), WRONG)
        .refuses("other capitals", kms("Decrypt"), opened(json!({ "Node": "0", "purpose": "p" })), WRONG)
        .refuses("one pair less", kms("Decrypt"), opened(json!({ "node": "0" })), WRONG)
        .refuses(
            "one pair more",
            kms("Decrypt"),
            opened(json!({ "node": "0", "purpose": "p", "more": "" })),
            WRONG,
        )
        .refuses(
            "none",
            kms("Decrypt"),
            json!({ "CiphertextBlob": "${sealed}", "KeyId": "${key}" }),
            WRONG,
        )
        .answers(
            "sealed without one",
            kms("Encrypt"),
            json!({ "KeyId": "${key}", "Plaintext": bytes(32) }),
            json!({ "KeyId": "${key}" }),
        )
        .keep("bare", "/CiphertextBlob")
        .refuses(
            "one where there was none",
            kms("Decrypt"),
            json!({ "CiphertextBlob": "${bare}", "EncryptionContext": { "node": "0" } }),
            WRONG,
        )
        .answers(
            "an empty one is none",
            kms("Decrypt"),
            json!({ "CiphertextBlob": "${bare}", "EncryptionContext": {} }),
            json!({ "Plaintext": bytes(32) }),
        )
}

/// Decrypt, `KeyId` and `CiphertextBlob`.
fn keys() -> Sequence {
    Sequence::new("keys of ciphertexts")
        .given(Given::SymmetricKey("key"))
        .given(Given::SymmetricKey("other"))
        .answers(
            "sealed",
            kms("Encrypt"),
            json!({ "KeyId": "${key}", "Plaintext": bytes(32) }),
            json!({ "KeyId": "${key}" }),
        )
        .keep("sealed", "/CiphertextBlob")
        .refuses(
            "another key",
            kms("Decrypt"),
            json!({ "CiphertextBlob": "${sealed}", "KeyId": "${other}" }),
            &["IncorrectKeyException"],
        )
        .refuses(
            "no such key",
            kms("Decrypt"),
            json!({ "CiphertextBlob": "${sealed}", "KeyId": NOWHERE }),
            &["NotFoundException"],
        )
        .refuses(
            "no ciphertext of KMS",
            kms("Decrypt"),
            json!({ "CiphertextBlob": bytes(100) }),
            &["InvalidCiphertextException"],
        )
        .refuses(
            "no ciphertext of KMS, and a key",
            kms("Decrypt"),
            json!({ "CiphertextBlob": bytes(100), "KeyId": "${key}" }),
            &["InvalidCiphertextException"],
        )
        .refuses(
            "sealed under no such key",
            kms("Encrypt"),
            json!({ "KeyId": NOWHERE, "Plaintext": bytes(32) }),
            &["NotFoundException"],
        )
}

/// `InvalidKeyUsageException`: `KeyUsage` must be `ENCRYPT_DECRYPT`; `GetPublicKey` is for asymmetric keys.
fn usage() -> Sequence {
    const USAGE: &[&str] = &["InvalidKeyUsageException"];
    Sequence::new("what a key is for")
        .given(Given::SymmetricKey("key"))
        .given(Given::SigningKey("signing"))
        .refuses(
            "sealed under a signing key",
            kms("Encrypt"),
            json!({ "KeyId": "${signing}", "Plaintext": bytes(32) }),
            USAGE,
        )
        .refuses(
            "a data key under a signing key",
            kms("GenerateDataKey"),
            json!({ "KeyId": "${signing}", "KeySpec": "AES_256" }),
            USAGE,
        )
        .refuses(
            "a pair under a signing key",
            kms("GenerateDataKeyPairWithoutPlaintext"),
            json!({ "KeyId": "${signing}", "KeyPairSpec": "ECC_NIST_P256" }),
            USAGE,
        )
        .refuses(
            "signed with a symmetric key",
            kms("Sign"),
            json!({ "KeyId": "${key}", "Message": bytes(32), "SigningAlgorithm": "ECDSA_SHA_256" }),
            USAGE,
        )
        .refuses(
            "the public half of a symmetric key",
            kms("GetPublicKey"),
            json!({ "KeyId": "${key}" }),
            &["InvalidKeyUsageException", "UnsupportedOperationException"],
        )
}
