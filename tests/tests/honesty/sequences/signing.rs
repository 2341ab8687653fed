//! Signing with a key of KMS.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{MALFORMED, bytes};
use crate::client::kms;
use crate::sequence::{Given, Sequence};

pub(super) fn all() -> Vec<Sequence> {
    vec![messages(), verification()]
}

/// Sign, Message and `MessageType`; `GetPublicKey`.
fn messages() -> Sequence {
    let sign = |length: usize, kind: &str| {
        json!({
            "KeyId": "${key}",
            "Message": bytes(length),
            "MessageType": kind,
            "SigningAlgorithm": "ECDSA_SHA_256",
        })
    };
    Sequence::new("signatures")
        .given(Given::SigningKey("key"))
        .answers(
            "the public half",
            kms("GetPublicKey"),
            json!({ "KeyId": "${key}" }),
            json!({
                "KeyId": "${key}",
                "KeySpec": "ECC_NIST_P256",
                "KeyUsage": "SIGN_VERIFY",
                "PublicKey": "<91 bytes>",
                "SigningAlgorithms": ["ECDSA_SHA_256"],
            }),
        )
        .keep("public", "/PublicKey")
        .answers(
            "of a message",
            kms("Sign"),
            sign(4096, "RAW"),
            json!({
                "KeyId": "${key}",
                "Signature": "<a signature by ${public} of 4096 bytes>",
                "SigningAlgorithm": "ECDSA_SHA_256",
            }),
        )
        .answers(
            "of a message, no type given",
            kms("Sign"),
            json!({ "KeyId": "${key}", "Message": bytes(32), "SigningAlgorithm": "ECDSA_SHA_256" }),
            json!({ "Signature": "<a signature by ${public} of 32 bytes>" }),
        )
        .answers(
            "of a digest",
            kms("Sign"),
            sign(32, "DIGEST"),
            json!({ "Signature": "<a signature by ${public} of a digest>" }),
        )
        .refuses("of a digest of 31 bytes", kms("Sign"), sign(31, "DIGEST"), MALFORMED)
        .refuses("of a digest of 33 bytes", kms("Sign"), sign(33, "DIGEST"), MALFORMED)
        .refuses("of 4097 bytes", kms("Sign"), sign(4097, "RAW"), MALFORMED)
        .refuses("of an unknown type", kms("Sign"), sign(32, "HASH"), MALFORMED)
        .refuses(
            "by an algorithm that is not the key's",
            kms("Sign"),
            json!({ "KeyId": "${key}", "Message": bytes(32), "SigningAlgorithm": "ECDSA_SHA_384" }),
            &["InvalidKeyUsageException"],
        )
        .refuses(
            "by an unknown algorithm",
            kms("Sign"),
            json!({ "KeyId": "${key}", "Message": bytes(32), "SigningAlgorithm": "ECDSA" }),
            MALFORMED,
        )
}

/// Verify: a wrong signature is an error; a message and its digest are the same.
fn verification() -> Sequence {
    let verify = |message: &str, kind: &str| {
        json!({
            "KeyId": "${key}",
            "Message": message,
            "MessageType": kind,
            "Signature": "${signature}",
            "SigningAlgorithm": "ECDSA_SHA_256",
        })
    };
    let digest = STANDARD.encode(Sha256::digest([7; 100]));
    Sequence::new("verification")
        .given(Given::SigningKey("key"))
        .answers(
            "signed",
            kms("Sign"),
            json!({ "KeyId": "${key}", "Message": bytes(100), "SigningAlgorithm": "ECDSA_SHA_256" }),
            json!({ "SigningAlgorithm": "ECDSA_SHA_256" }),
        )
        .keep("signature", "/Signature")
        .answers(
            "the message",
            kms("Verify"),
            verify(&bytes(100), "RAW"),
            json!({ "KeyId": "${key}", "SignatureValid": true, "SigningAlgorithm": "ECDSA_SHA_256" }),
        )
        .answers("its digest", kms("Verify"), verify(&digest, "DIGEST"), json!({ "SignatureValid": true }))
        .refuses(
            "another message",
            kms("Verify"),
            verify(&bytes(101), "RAW"),
            &["KMSInvalidSignatureException"],
        )
        .refuses(
            "no signature",
            kms("Verify"),
            json!({
                "KeyId": "${key}",
                "Message": bytes(100),
                "Signature": bytes(70),
                "SigningAlgorithm": "ECDSA_SHA_256",
            }),
            &["KMSInvalidSignatureException"],
        )
}
