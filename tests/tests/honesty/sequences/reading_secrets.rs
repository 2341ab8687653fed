//! Reading a secret.

use serde_json::json;

use super::{FIRST, SECOND, THIRD};
use crate::client::secrets;
use crate::sequence::Sequence;

pub(super) fn all() -> Vec<Sequence> {
    vec![by_version(), by_name(), by_a_name_that_looks_complete(), last_accessed()]
}

fn with_a_value(sequence: &'static str, name: &str) -> Sequence {
    Sequence::new(sequence)
        .answers(
            "made",
            secrets("CreateSecret"),
            json!({ "Name": name, "ClientRequestToken": FIRST, "SecretString": "one" }),
            json!({ "Name": name }),
        )
        .keep("arn", "/ARN")
        .keep("first", "/VersionId")
}

/// `GetSecretValue`, `VersionId` and `VersionStage`: both must name the same version.
fn by_version() -> Sequence {
    let name = "read-by-version";
    with_a_value("reading by version", name)
        .answers(
            "a second version",
            secrets("PutSecretValue"),
            json!({ "SecretId": name, "ClientRequestToken": SECOND, "SecretString": "two" }),
            json!({ "VersionId": SECOND }),
        )
        .answers(
            "by its stage",
            secrets("GetSecretValue"),
            json!({ "SecretId": name, "VersionStage": "AWSPREVIOUS" }),
            json!({
                "ARN": "${arn}",
                "Name": name,
                "SecretString": "one",
                "VersionId": "${first}",
                "VersionStages": ["AWSPREVIOUS"],
                "CreatedDate": "<date>",
            }),
        )
        .answers(
            "by its id",
            secrets("GetSecretValue"),
            json!({ "SecretId": name, "VersionId": "${first}" }),
            json!({ "SecretString": "one", "VersionId": "${first}", "VersionStages": ["AWSPREVIOUS"] }),
        )
        .answers(
            "by both",
            secrets("GetSecretValue"),
            json!({ "SecretId": name, "VersionId": SECOND, "VersionStage": "AWSCURRENT" }),
            json!({ "SecretString": "two", "VersionId": SECOND }),
        )
        .refuses(
            "by two that disagree",
            secrets("GetSecretValue"),
            json!({ "SecretId": name, "VersionId": "${first}", "VersionStage": "AWSCURRENT" }),
            &["InvalidRequestException"],
        )
        .refuses(
            "by a stage that is nowhere",
            secrets("GetSecretValue"),
            json!({ "SecretId": name, "VersionStage": "AWSPENDING" }),
            &["ResourceNotFoundException"],
        )
        .refuses(
            "by an id that is not there",
            secrets("GetSecretValue"),
            json!({ "SecretId": name, "VersionId": THIRD }),
            &["ResourceNotFoundException"],
        )
}

/// `GetSecretValue`, `SecretId`; User Guide, Finding a secret from a partial ARN.
fn by_name() -> Sequence {
    let name = "read/by-name";
    with_a_value("reading by name", name)
        .answers(
            "by its ARN",
            secrets("GetSecretValue"),
            json!({ "SecretId": "${arn}" }),
            json!({ "ARN": "${arn}", "Name": name, "SecretString": "one" }),
        )
        .answers(
            "by a partial ARN",
            secrets("GetSecretValue"),
            json!({ "SecretId": "arn:aws:secretsmanager:us-east-1:${account}:secret:read/by-name" }),
            json!({ "ARN": "${arn}", "Name": name, "SecretString": "one" }),
        )
        .refuses(
            "by an ARN with another ending",
            secrets("GetSecretValue"),
            json!({ "SecretId": "${arn}x" }),
            &["ResourceNotFoundException"],
        )
        .refuses(
            "by a name that is not there",
            secrets("GetSecretValue"),
            json!({ "SecretId": "read/by" }),
            &["ResourceNotFoundException"],
        )
        .refuses(
            "described by a name that is not there",
            secrets("DescribeSecret"),
            json!({ "SecretId": "read/by" }),
            &["ResourceNotFoundException"],
        )
}

/// User Guide, Finding a secret from a partial ARN: what looks like a full ARN is taken for one.
fn by_a_name_that_looks_complete() -> Sequence {
    let name = "read/by-name-abcdef";
    with_a_value("reading by a name that ends like an ARN", name)
        .answers(
            "by its name",
            secrets("GetSecretValue"),
            json!({ "SecretId": name }),
            json!({ "Name": name, "SecretString": "one" }),
        )
        .refuses(
            "by a partial ARN",
            secrets("GetSecretValue"),
            json!({ "SecretId": "arn:aws:secretsmanager:us-east-1:${account}:secret:read/by-name-abcdef" }),
            &["ResourceNotFoundException"],
        )
        .answers(
            "by its ARN",
            secrets("GetSecretValue"),
            json!({ "SecretId": "${arn}" }),
            json!({ "Name": name, "SecretString": "one" }),
        )
}

/// `DescribeSecret`, `LastAccessedDate`: omitted until the secret is retrieved.
fn last_accessed() -> Sequence {
    let name = "accessed";
    with_a_value("when it was last accessed", name)
        .answers(
            "never",
            secrets("DescribeSecret"),
            json!({ "SecretId": name }),
            json!({
                "CreatedDate": "<date>",
                "LastChangedDate": "<date>",
                "LastAccessedDate": null,
                "DeletedDate": null,
            }),
        )
        .answers(
            "read",
            secrets("GetSecretValue"),
            json!({ "SecretId": name }),
            json!({ "SecretString": "one" }),
        )
        .answers(
            "just now",
            secrets("DescribeSecret"),
            json!({ "SecretId": name }),
            json!({ "LastAccessedDate": "<date>" }),
        )
}
