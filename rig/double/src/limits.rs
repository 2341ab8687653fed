//! What the APIs' own models allow of each member: lengths, numbers of items, values.
//!
//! They are checked first, before anybody is asked whether the caller may do this, and all with the
//! same refusal (each API Reference, "Request Parameters" and "Common Errors", `ValidationException`).
//! Within a service a member has the same constraints wherever it stands.

use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::error::ApiError;
use crate::service::Service;

/// A constraint of a member.
enum Limit {
    /// So many characters.
    Characters(usize, usize),
    /// So many bytes, once decoded.
    Bytes(usize, usize),
    /// A whole number in this range.
    Number(i64, i64),
    /// So many items, each of so many characters.
    Items(RangeInclusive<usize>, RangeInclusive<usize>),
    /// One of these.
    OneOf(&'static [&'static str]),
}

use Limit::{Bytes, Characters, Items, Number, OneOf};

const ANY: RangeInclusive<usize> = 0..=usize::MAX;

const SECRETS_MANAGER: &[(&str, Limit)] = &[
    ("ClientRequestToken", Characters(32, 64)),
    ("Description", Characters(0, 2048)),
    ("Filters", Items(0..=10, ANY)),
    ("KmsKeyId", Characters(0, 2048)),
    ("MaxResults", Number(1, 100)),
    ("MoveToVersionId", Characters(32, 64)),
    ("Name", Characters(1, 512)),
    ("NextToken", Characters(1, 4096)),
    ("RemoveFromVersionId", Characters(32, 64)),
    ("ResourcePolicy", Characters(1, 20_480)),
    ("RotationLambdaARN", Characters(0, 2048)),
    ("RotationToken", Characters(36, 256)),
    ("SecretBinary", Bytes(1, 65_536)),
    ("SecretId", Characters(1, 2048)),
    ("SecretString", Characters(1, 65_536)),
    ("TagKeys", Items(ANY, 1..=128)),
    ("VersionId", Characters(32, 64)),
    ("VersionStage", Characters(1, 256)),
    ("VersionStages", Items(1..=20, 1..=256)),
];

/// Within `RotationRules` (Secrets Manager API Reference, `RotationRulesType`).
const ROTATION_RULES: &[(&str, Limit)] = &[
    ("AutomaticallyAfterDays", Number(1, 1000)),
    ("Duration", Characters(2, 3)),
    ("ScheduleExpression", Characters(1, 256)),
];

const PARAMETER_STORE: &[(&str, Limit)] = &[
    ("AllowedPattern", Characters(0, 1024)),
    ("DataType", Characters(0, 128)),
    ("Description", Characters(0, 1024)),
    ("KeyId", Characters(1, 256)),
    ("Labels", Items(1..=10, 1..=100)),
    ("Name", Characters(1, 2048)),
    ("Names", Items(1..=10, 1..=2048)),
    ("Path", Characters(1, 2048)),
    ("Policies", Characters(1, 4096)),
    (
        "ResourceType",
        OneOf(&[
            "Association",
            "Automation",
            "CloudConnector",
            "Document",
            "MaintenanceWindow",
            "ManagedInstance",
            "OpsItem",
            "OpsMetadata",
            "Parameter",
            "PatchBaseline",
        ]),
    ),
    ("TagKeys", Items(ANY, 1..=128)),
    ("Tags", Items(0..=1000, ANY)),
    ("Tier", OneOf(&["Advanced", "Intelligent-Tiering", "Standard"])),
    ("Type", OneOf(&["SecureString", "String", "StringList"])),
];

const KMS: &[(&str, Limit)] = &[
    ("CiphertextBlob", Bytes(1, 6144)),
    (
        "EncryptionAlgorithm",
        OneOf(&["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256", "SM2PKE", "SYMMETRIC_DEFAULT"]),
    ),
    ("KeyId", Characters(1, 2048)),
    (
        "KeyPairSpec",
        OneOf(&[
            "ECC_NIST_EDWARDS25519",
            "ECC_NIST_P256",
            "ECC_NIST_P384",
            "ECC_NIST_P521",
            "ECC_SECG_P256K1",
            "RSA_2048",
            "RSA_3072",
            "RSA_4096",
            "SM2",
        ]),
    ),
    ("KeySpec", OneOf(&["AES_128", "AES_256"])),
    ("Message", Bytes(1, 4096)),
    ("MessageType", OneOf(&["DIGEST", "EXTERNAL_MU", "RAW"])),
    ("NumberOfBytes", Number(1, 1024)),
    ("Plaintext", Bytes(1, 4096)),
    ("Signature", Bytes(1, 6144)),
    (
        "SigningAlgorithm",
        OneOf(&[
            "ECDSA_SHA_256",
            "ECDSA_SHA_384",
            "ECDSA_SHA_512",
            "ED25519_PH_SHA_512",
            "ED25519_SHA_512",
            "ML_DSA_SHAKE_256",
            "RSASSA_PKCS1_V1_5_SHA_256",
            "RSASSA_PKCS1_V1_5_SHA_384",
            "RSASSA_PKCS1_V1_5_SHA_512",
            "RSASSA_PSS_SHA_256",
            "RSASSA_PSS_SHA_384",
            "RSASSA_PSS_SHA_512",
            "SM2DSA",
        ]),
    ),
];

/// Checks an input. What has another type than a constraint is about is left to the reading of it.
pub(crate) fn check(service: Service, input: &Value) -> Result<(), ApiError> {
    let limits = match service {
        Service::SecretsManager => SECRETS_MANAGER,
        Service::ParameterStore => PARAMETER_STORE,
        Service::Kms => KMS,
        Service::CloudFormation => return Ok(()),
    };
    check_members(limits, input, "")?;
    if service == Service::SecretsManager {
        check_members(ROTATION_RULES, &input["RotationRules"], "rotationRules.")?;
    }
    let tags = input["Tags"].as_array().into_iter().flatten();
    for (tag, (member, least, most)) in
        tags.flat_map(|tag| [("Key", 1, 128), ("Value", 0, 256)].map(|limit| (tag, limit)))
    {
        if let Some(broken) = tag[member].as_str().and_then(|text| length(text, least, most)) {
            return Err(refused(&format!("tags.{member}"), &broken));
        }
    }
    Ok(())
}

/// Checks the members of an input, or of a structure in it, whose name then stands before theirs.
fn check_members(limits: &[(&str, Limit)], within: &Value, before: &str) -> Result<(), ApiError> {
    for (member, limit) in limits {
        let value = &within[*member];
        let broken = match limit {
            Characters(least, most) => value.as_str().and_then(|text| length(text, *least, *most)),
            Bytes(least, most) => value.as_str().and_then(|text| {
                // What is no base64 is found out later.
                let bytes = STANDARD.decode(text).ok()?;
                bound("length", bytes.len(), *least, *most)
            }),
            Number(least, most) => value.as_i64().and_then(|number| bound("value", number, *least, *most)),
            Items(number, each) => value.as_array().and_then(|items| {
                let texts = items.iter().filter_map(Value::as_str);
                let mut broken = texts.filter_map(|text| length(text, *each.start(), *each.end()));
                bound("length", items.len(), *number.start(), *number.end()).or_else(|| broken.next())
            }),
            OneOf(values) => value.as_str().and_then(|text| one_of(text, values)),
        };
        if let Some(broken) = broken {
            return Err(refused(&format!("{before}{member}"), &broken));
        }
    }
    Ok(())
}

fn length(text: &str, least: usize, most: usize) -> Option<String> {
    bound("length", text.chars().count(), least, most)
}

/// What is said of a number that is out of its range.
fn bound<T: Copy + PartialOrd + std::fmt::Display>(
    what: &str,
    number: T,
    least: T,
    most: T,
) -> Option<String> {
    if number < least {
        return Some(format!("Member must have {what} greater than or equal to {least}"));
    }
    (number > most).then(|| format!("Member must have {what} less than or equal to {most}"))
}

fn one_of(text: &str, values: &[&str]) -> Option<String> {
    let known = values.contains(&text);
    (!known).then(|| format!("Member must satisfy enum value set: [{}]", values.join(", ")))
}

fn refused(member: &str, broken: &str) -> ApiError {
    ApiError::validation(format!(
        "1 validation error detected: Value at '{member}' failed to satisfy constraint: {broken}"
    ))
}
