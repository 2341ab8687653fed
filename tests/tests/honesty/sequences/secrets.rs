//! Making a secret.

use serde_json::json;

use super::{FIRST, FOURTH, SECOND, THIRD, text};
use crate::client::secrets;
use crate::sequence::Sequence;

pub(super) fn all() -> Vec<Sequence> {
    vec![tokens(), tokens_are_asked_for(), no_value(), no_value_and_a_stage(), values()]
}

/// `CreateSecret`, `ClientRequestToken`: the same value again is ignored, another one is refused.
fn tokens() -> Sequence {
    let name = "tokens";
    Sequence::new("secret tokens")
        .answers(
            "made",
            secrets("CreateSecret"),
            json!({ "Name": name, "ClientRequestToken": FIRST, "SecretString": "one" }),
            json!({
                "ARN": "<arn:aws:secretsmanager:us-east-1:*:secret:tokens-??????>",
                "Name": name,
                "VersionId": FIRST,
            }),
        )
        .keep("arn", "/ARN")
        .answers(
            "the same again",
            secrets("CreateSecret"),
            json!({ "Name": name, "ClientRequestToken": FIRST, "SecretString": "one" }),
            json!({ "ARN": "${arn}", "Name": name, "VersionId": FIRST }),
        )
        .refuses(
            "the same token with another value",
            secrets("CreateSecret"),
            json!({ "Name": name, "ClientRequestToken": FIRST, "SecretString": "two" }),
            &["ResourceExistsException"],
        )
        .refuses(
            "another token with the same value",
            secrets("CreateSecret"),
            json!({ "Name": name, "ClientRequestToken": SECOND, "SecretString": "one" }),
            &["ResourceExistsException"],
        )
        .answers(
            "the value is the first one",
            secrets("GetSecretValue"),
            json!({ "SecretId": name }),
            json!({ "SecretString": "one", "VersionId": FIRST, "VersionStages": ["AWSCURRENT"] }),
        )
        .answers(
            "there is no other version",
            secrets("DescribeSecret"),
            json!({ "SecretId": name }),
            json!({ "ARN": "${arn}", "VersionIdsToStages": { FIRST: ["AWSCURRENT"] } }),
        )
}

/// `CreateSecret` and `PutSecretValue`, `ClientRequestToken`: a raw request must bring one, of 32 to 64
/// characters. The page does not say how a raw request without one fails; AWS has been seen to answer
/// `InvalidRequestException`.
fn tokens_are_asked_for() -> Sequence {
    const NONE: &[&str] = &["InvalidRequestException"];
    const LENGTH: &[&str] = &["InvalidParameterException", "ValidationException"];
    Sequence::new("a token is asked for")
        .refuses(
            "made without one",
            secrets("CreateSecret"),
            json!({ "Name": "token-none", "SecretString": "one" }),
            NONE,
        )
        .refuses(
            "made with one of 31 characters",
            secrets("CreateSecret"),
            json!({ "Name": "token-31", "ClientRequestToken": text(31), "SecretString": "one" }),
            LENGTH,
        )
        .refuses(
            "made with one of 65 characters",
            secrets("CreateSecret"),
            json!({ "Name": "token-65", "ClientRequestToken": text(65), "SecretString": "one" }),
            LENGTH,
        )
        .answers(
            "made with one of 64 characters",
            secrets("CreateSecret"),
            json!({ "Name": "token-64", "ClientRequestToken": text(64), "SecretString": "one" }),
            json!({ "VersionId": text(64) }),
        )
        .answers(
            "made with one of 32 characters",
            secrets("CreateSecret"),
            json!({ "Name": "token-32", "ClientRequestToken": text(32), "SecretString": "one" }),
            json!({ "VersionId": text(32) }),
        )
        .refuses(
            "put without one",
            secrets("PutSecretValue"),
            json!({ "SecretId": "token-32", "SecretString": "two" }),
            NONE,
        )
        .refuses(
            "put with one of 31 characters",
            secrets("PutSecretValue"),
            json!({ "SecretId": "token-32", "ClientRequestToken": text(31), "SecretString": "two" }),
            LENGTH,
        )
}

/// `CreateSecret`: a secret without a value has no version. `PutSecretValue`: the first one is current.
fn no_value() -> Sequence {
    let name = "no-value";
    Sequence::new("a secret without a value")
        .answers(
            "made",
            secrets("CreateSecret"),
            json!({ "Name": name, "ClientRequestToken": FIRST }),
            json!({ "Name": name, "VersionId": null }),
        )
        .answers(
            "described",
            secrets("DescribeSecret"),
            json!({ "SecretId": name }),
            json!({ "Name": name, "VersionIdsToStages": null }),
        )
        .refuses(
            "read",
            secrets("GetSecretValue"),
            json!({ "SecretId": name }),
            &["ResourceNotFoundException"],
        )
        .answers(
            "its first value",
            secrets("PutSecretValue"),
            json!({ "SecretId": name, "ClientRequestToken": SECOND, "SecretString": "one" }),
            json!({ "VersionId": SECOND, "VersionStages": ["AWSCURRENT"] }),
        )
}

/// `PutSecretValue`: the first version is current, whatever stages the call names.
fn no_value_and_a_stage() -> Sequence {
    let name = "first-is-pending";
    Sequence::new("a first value that is pending")
        .answers(
            "made",
            secrets("CreateSecret"),
            json!({ "Name": name, "ClientRequestToken": FIRST }),
            json!({ "Name": name }),
        )
        .answers(
            "its first value",
            secrets("PutSecretValue"),
            json!({
                "SecretId": name,
                "ClientRequestToken": SECOND,
                "SecretString": "one",
                "VersionStages": ["AWSPENDING"],
            }),
            json!({ "VersionStages": ["AWSCURRENT", "AWSPENDING"] }),
        )
}

/// `CreateSecret` and `PutSecretValue`: a text or bytes, not both.
fn values() -> Sequence {
    const BOTH: &[&str] = &["InvalidParameterException", "InvalidRequestException"];
    let both = json!({
        "Name": "text-and-bytes", "ClientRequestToken": FIRST, "SecretString": "one", "SecretBinary": "AAAA",
    });
    let name = "bytes";
    Sequence::new("a text or bytes")
        .refuses("made with both", secrets("CreateSecret"), both, BOTH)
        .answers(
            "made with bytes",
            secrets("CreateSecret"),
            json!({ "Name": name, "ClientRequestToken": FIRST, "SecretBinary": "AAAA" }),
            json!({ "Name": name }),
        )
        .answers(
            "bytes are read",
            secrets("GetSecretValue"),
            json!({ "SecretId": name }),
            json!({ "SecretString": null, "SecretBinary": "AAAA" }),
        )
        .refuses(
            "the same bytes as a text are another value",
            secrets("PutSecretValue"),
            json!({ "SecretId": name, "ClientRequestToken": FIRST, "SecretString": "AAAA" }),
            &["ResourceExistsException"],
        )
        .answers(
            "put as a text",
            secrets("PutSecretValue"),
            json!({ "SecretId": name, "ClientRequestToken": SECOND, "SecretString": "AAAA" }),
            json!({ "VersionStages": ["AWSCURRENT"] }),
        )
        .answers(
            "the text is read",
            secrets("GetSecretValue"),
            json!({ "SecretId": name }),
            json!({ "SecretString": "AAAA", "SecretBinary": null }),
        )
        .refuses(
            "put with both",
            secrets("PutSecretValue"),
            json!({
                "SecretId": name, "ClientRequestToken": THIRD, "SecretString": "one", "SecretBinary": "AAAA",
            }),
            BOTH,
        )
        .refuses(
            "put with neither",
            secrets("PutSecretValue"),
            json!({ "SecretId": name, "ClientRequestToken": FOURTH }),
            BOTH,
        )
}
