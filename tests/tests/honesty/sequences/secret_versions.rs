//! Versions of a secret and the stages that move between them.

use serde_json::{Value, json};

use super::{FIRST, FOURTH, MALFORMED, SECOND, THIRD, text};
use crate::client::secrets;
use crate::sequence::Sequence;

pub(super) fn all() -> Vec<Sequence> {
    vec![tokens(), stages(), stage_limits(), moving(), removing(), back()]
}

fn with_a_value(sequence: &'static str, name: &str) -> Sequence {
    Sequence::new(sequence)
        .answers(
            "made",
            secrets("CreateSecret"),
            json!({ "Name": name, "ClientRequestToken": FIRST, "SecretString": "one" }),
            json!({ "Name": name }),
        )
        // Not every service takes the token for the version's id; that is compared elsewhere.
        .keep("first", "/VersionId")
}

fn put(name: &str, token: &str, value: &str, stages: &[&str]) -> Value {
    let mut input = json!({ "SecretId": name, "ClientRequestToken": token, "SecretString": value });
    if !stages.is_empty() {
        input["VersionStages"] = json!(stages);
    }
    input
}

/// `PutSecretValue`, `ClientRequestToken`: the same value again does nothing, another one is refused.
fn tokens() -> Sequence {
    let name = "put-tokens";
    with_a_value("tokens of a new version", name)
        .answers(
            "put",
            secrets("PutSecretValue"),
            put(name, SECOND, "two", &[]),
            json!({ "Name": name, "VersionId": SECOND, "VersionStages": ["AWSCURRENT"] }),
        )
        .answers(
            "the same again",
            secrets("PutSecretValue"),
            put(name, SECOND, "two", &[]),
            json!({ "VersionId": SECOND }),
        )
        .refuses(
            "the same token with another value",
            secrets("PutSecretValue"),
            put(name, SECOND, "three", &[]),
            &["ResourceExistsException"],
        )
        .refuses(
            "the first token with another value",
            secrets("PutSecretValue"),
            put(name, FIRST, "three", &[]),
            &["ResourceExistsException"],
        )
        .answers(
            "the first token with its value",
            secrets("PutSecretValue"),
            put(name, FIRST, "one", &[]),
            json!({ "VersionId": FIRST }),
        )
        .answers(
            "nothing has moved",
            secrets("DescribeSecret"),
            json!({ "SecretId": name }),
            json!({ "VersionIdsToStages": { "${first}": ["AWSPREVIOUS"], SECOND: ["AWSCURRENT"] } }),
        )
        .answers(
            "the value is the second one",
            secrets("GetSecretValue"),
            json!({ "SecretId": name }),
            json!({ "SecretString": "two", "VersionId": SECOND }),
        )
        .refuses(
            "put to a secret that is not there",
            secrets("PutSecretValue"),
            put("put-tokens-nowhere", SECOND, "two", &[]),
            &["ResourceNotFoundException"],
        )
}

/// `PutSecretValue`, `VersionStages`: each stage moves; AWSPREVIOUS follows AWSCURRENT; a version without
/// a stage stays for 24 hours at least.
fn stages() -> Sequence {
    let name = "put-stages";
    with_a_value("stages of a new version", name)
        .answers(
            "a pending one",
            secrets("PutSecretValue"),
            put(name, SECOND, "two", &["AWSPENDING"]),
            json!({ "VersionId": SECOND, "VersionStages": ["AWSPENDING"] }),
        )
        .answers(
            "current stays",
            secrets("DescribeSecret"),
            json!({ "SecretId": name }),
            json!({ "VersionIdsToStages": { "${first}": ["AWSCURRENT"], SECOND: ["AWSPENDING"] } }),
        )
        .answers(
            "another pending one",
            secrets("PutSecretValue"),
            put(name, THIRD, "three", &["AWSPENDING"]),
            json!({ "VersionId": THIRD, "VersionStages": ["AWSPENDING"] }),
        )
        .answers(
            "pending has moved",
            secrets("DescribeSecret"),
            json!({ "SecretId": name }),
            json!({ "VersionIdsToStages": { "${first}": ["AWSCURRENT"], THIRD: ["AWSPENDING"] } }),
        )
        .answers(
            "the version without a stage is kept",
            secrets("GetSecretValue"),
            json!({ "SecretId": name, "VersionId": SECOND }),
            json!({ "SecretString": "two", "VersionId": SECOND }),
        )
        .answers(
            "a current one with a stage of our own",
            secrets("PutSecretValue"),
            put(name, FOURTH, "four", &["AWSCURRENT", "ours"]),
            json!({ "VersionId": FOURTH, "VersionStages": ["AWSCURRENT", "ours"] }),
        )
        .answers(
            "current has moved, and previous with it",
            secrets("DescribeSecret"),
            json!({ "SecretId": name }),
            json!({
                "VersionIdsToStages": {
                    "${first}": ["AWSPREVIOUS"],
                    THIRD: ["AWSPENDING"],
                    FOURTH: ["AWSCURRENT", "ours"],
                },
            }),
        )
        .answers(
            "our stage on a version that is not current",
            secrets("PutSecretValue"),
            put(name, &text(32), "five", &["ours"]),
            json!({ "VersionId": text(32), "VersionStages": ["ours"] }),
        )
        .answers(
            "our stage has moved, and nothing else",
            secrets("DescribeSecret"),
            json!({ "SecretId": name }),
            json!({
                "VersionIdsToStages": {
                    "${first}": ["AWSPREVIOUS"],
                    THIRD: ["AWSPENDING"],
                    FOURTH: ["AWSCURRENT"],
                    text(32): ["ours"],
                },
            }),
        )
}

/// `PutSecretValue`, `VersionStages`: 1 to 20, of 1 to 256 characters each.
fn stage_limits() -> Sequence {
    let name = "put-stage-limits";
    let many = |count: usize| (0..count).map(|index| format!("stage-{index}")).collect::<Vec<_>>();
    let staged = |token: &str, stages: Vec<String>| {
        let mut input = put(name, token, "two", &[]);
        input["VersionStages"] = json!(stages);
        input
    };
    with_a_value("limits of stages", name)
        .answers(
            // With AWSCURRENT and the one below they are the 20 that a secret takes.
            "18 of them",
            secrets("PutSecretValue"),
            staged(SECOND, many(18)),
            json!({ "VersionStages": many(18) }),
        )
        .refuses("21 of them", secrets("PutSecretValue"), staged(&text(33), many(21)), MALFORMED)
        .refuses("none of them", secrets("PutSecretValue"), staged(&text(34), many(0)), MALFORMED)
        .answers(
            "of 256 characters",
            secrets("PutSecretValue"),
            staged(THIRD, vec![text(256)]),
            json!({ "VersionStages": [text(256)] }),
        )
        .refuses(
            "of 257 characters",
            secrets("PutSecretValue"),
            staged(&text(35), vec![text(257)]),
            MALFORMED,
        )
}

/// `UpdateSecretVersionStage`, `RemoveFromVersionId`: a compare-and-set. The page does not say with which
/// error it fails.
fn moving() -> Sequence {
    const FAILS: &[&str] = &["InvalidParameterException", "InvalidRequestException"];
    let name = "moving";
    let moved = |to: &str, from: Option<&str>| {
        let mut input = json!({ "SecretId": name, "VersionStage": "AWSCURRENT", "MoveToVersionId": to });
        if let Some(from) = from {
            input["RemoveFromVersionId"] = from.into();
        }
        input
    };
    with_a_value("moving a stage", name)
        .answers(
            "put with a stage of our own",
            secrets("PutSecretValue"),
            put(name, SECOND, "two", &["ours"]),
            json!({ "VersionId": SECOND, "VersionStages": ["ours"] }),
        )
        .refuses(
            "without the version it is taken from",
            secrets("UpdateSecretVersionStage"),
            moved(SECOND, None),
            FAILS,
        )
        .refuses(
            "with another version to take it from",
            secrets("UpdateSecretVersionStage"),
            moved(SECOND, Some(SECOND)),
            FAILS,
        )
        .refuses(
            "with an unknown version to take it from",
            secrets("UpdateSecretVersionStage"),
            moved(SECOND, Some(THIRD)),
            &["InvalidParameterException", "InvalidRequestException", "ResourceNotFoundException"],
        )
        .refuses(
            "to an unknown version",
            secrets("UpdateSecretVersionStage"),
            moved(THIRD, Some("${first}")),
            &["InvalidParameterException", "InvalidRequestException", "ResourceNotFoundException"],
        )
        .answers(
            "nothing has moved",
            secrets("DescribeSecret"),
            json!({ "SecretId": name }),
            json!({ "VersionIdsToStages": { "${first}": ["AWSCURRENT"], SECOND: ["ours"] } }),
        )
        .answers(
            "from the version where it is",
            secrets("UpdateSecretVersionStage"),
            moved(SECOND, Some("${first}")),
            json!({ "ARN": "<arn:aws:secretsmanager:us-east-1:*:secret:moving-??????>", "Name": name }),
        )
        .answers(
            "current has moved, and previous with it",
            secrets("DescribeSecret"),
            json!({ "SecretId": name }),
            json!({ "VersionIdsToStages": { "${first}": ["AWSPREVIOUS"], SECOND: ["AWSCURRENT", "ours"] } }),
        )
        .answers(
            "the value has changed",
            secrets("GetSecretValue"),
            json!({ "SecretId": name }),
            json!({ "SecretString": "two", "VersionId": SECOND, "VersionStages": ["AWSCURRENT", "ours"] }),
        )
        .refuses(
            "of a secret that is not there",
            secrets("UpdateSecretVersionStage"),
            json!({ "SecretId": "moving-nowhere", "VersionStage": "ours", "MoveToVersionId": "${first}" }),
            &["ResourceNotFoundException"],
        )
}

/// `UpdateSecretVersionStage` without `MoveToVersionId` removes a stage; without `RemoveFromVersionId` it
/// adds one that stands nowhere else.
fn removing() -> Sequence {
    let name = "removing";
    let stage = |stage: &str, side: &str, version: &str| {
        let mut input = json!({ "SecretId": name, "VersionStage": stage });
        input[side] = version.into();
        input
    };
    with_a_value("adding and removing a stage", name)
        .answers(
            "added",
            secrets("UpdateSecretVersionStage"),
            stage("ours", "MoveToVersionId", "${first}"),
            json!({ "Name": name }),
        )
        .answers(
            "is there",
            secrets("DescribeSecret"),
            json!({ "SecretId": name }),
            json!({ "VersionIdsToStages": { "${first}": ["AWSCURRENT", "ours"] } }),
        )
        .answers(
            "removed",
            secrets("UpdateSecretVersionStage"),
            stage("ours", "RemoveFromVersionId", "${first}"),
            json!({ "Name": name }),
        )
        .answers(
            "is no longer there",
            secrets("DescribeSecret"),
            json!({ "SecretId": name }),
            json!({ "VersionIdsToStages": { "${first}": ["AWSCURRENT"] } }),
        )
}

/// `UpdateSecretVersionStage`: whenever AWSCURRENT moves, AWSPREVIOUS goes to where it was.
fn back() -> Sequence {
    let name = "back";
    with_a_value("current moves back", name)
        .answers(
            "a second version",
            secrets("PutSecretValue"),
            put(name, SECOND, "two", &[]),
            json!({ "VersionStages": ["AWSCURRENT"] }),
        )
        .answers(
            "a third version",
            secrets("PutSecretValue"),
            put(name, THIRD, "three", &[]),
            json!({ "VersionStages": ["AWSCURRENT"] }),
        )
        .answers(
            "the first one has no stage",
            secrets("DescribeSecret"),
            json!({ "SecretId": name }),
            json!({ "VersionIdsToStages": { SECOND: ["AWSPREVIOUS"], THIRD: ["AWSCURRENT"] } }),
        )
        .answers(
            "back to the first",
            secrets("UpdateSecretVersionStage"),
            json!({
                "SecretId": name,
                "VersionStage": "AWSCURRENT",
                "MoveToVersionId": "${first}",
                "RemoveFromVersionId": THIRD,
            }),
            json!({ "Name": name }),
        )
        .answers(
            "previous is where current was",
            secrets("DescribeSecret"),
            json!({ "SecretId": name }),
            json!({ "VersionIdsToStages": { "${first}": ["AWSCURRENT"], THIRD: ["AWSPREVIOUS"] } }),
        )
        .answers(
            "back to the previous one",
            secrets("UpdateSecretVersionStage"),
            json!({
                "SecretId": name,
                "VersionStage": "AWSCURRENT",
                "MoveToVersionId": THIRD,
                "RemoveFromVersionId": "${first}",
            }),
            json!({ "Name": name }),
        )
        .answers(
            "they have changed places",
            secrets("DescribeSecret"),
            json!({ "SecretId": name }),
            json!({ "VersionIdsToStages": { "${first}": ["AWSPREVIOUS"], THIRD: ["AWSCURRENT"] } }),
        )
}
