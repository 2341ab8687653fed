//! Deleting a secret, and taking that back.

use serde_json::{Value, json};

use super::{FIRST, SECOND, tag};
use crate::client::{Operation, secrets};
use crate::sequence::Sequence;

/// The secret is scheduled for deletion (Errors of each operation, `InvalidRequestException`).
const SCHEDULED: &[&str] = &["InvalidRequestException"];
const GONE: &[&str] = &["ResourceNotFoundException"];

pub(super) fn all() -> Vec<Sequence> {
    vec![windows(), scheduled(), restored(), forced_after_scheduled(), forced(), missing()]
}

fn create(name: &str) -> (Operation, Value) {
    let input = json!({ "Name": name, "ClientRequestToken": FIRST, "SecretString": "one" });
    (secrets("CreateSecret"), input)
}

fn with_a_value(sequence: &'static str, name: &str) -> Sequence {
    let (operation, input) = create(name);
    Sequence::new(sequence)
        .answers("made", operation, input, json!({ "Name": name }))
        .keep("arn", "/ARN")
        .keep("first", "/VersionId")
}

fn delete(name: &str, more: &Value) -> Value {
    let mut input = json!({ "SecretId": name });
    for (key, value) in more.as_object().into_iter().flatten() {
        input[key] = value.clone();
    }
    input
}

/// `DeleteSecret`, `RecoveryWindowInDays`: 7 to 30, 30 if nothing is said.
fn windows() -> Sequence {
    const OUTSIDE: &[&str] = &["InvalidParameterException"];
    let remake = |sequence: Sequence, restored: &'static str, name: &str| {
        sequence.answers(
            restored,
            secrets("RestoreSecret"),
            json!({ "SecretId": name }),
            json!({ "Name": name }),
        )
    };
    let name = "windows";
    let window = |days: i64| delete(name, &json!({ "RecoveryWindowInDays": days }));
    let sequence = with_a_value("recovery windows", name)
        .refuses("of 6 days", secrets("DeleteSecret"), window(6), OUTSIDE)
        .refuses("of 31 days", secrets("DeleteSecret"), window(31), OUTSIDE)
        .refuses(
            "together with force",
            secrets("DeleteSecret"),
            delete(name, &json!({ "RecoveryWindowInDays": 7, "ForceDeleteWithoutRecovery": true })),
            OUTSIDE,
        )
        .answers(
            "nothing is scheduled",
            secrets("DescribeSecret"),
            json!({ "SecretId": name }),
            json!({ "DeletedDate": null }),
        )
        .answers(
            "of 7 days",
            secrets("DeleteSecret"),
            window(7),
            json!({ "ARN": "${arn}", "Name": name, "DeletionDate": "<in 7 days>" }),
        );
    let sequence = remake(sequence, "restored after 7", name).answers(
        "of 30 days",
        secrets("DeleteSecret"),
        window(30),
        json!({ "DeletionDate": "<in 30 days>" }),
    );
    remake(sequence, "restored after 30", name).answers(
        "of as many as usual",
        secrets("DeleteSecret"),
        delete(name, &json!({})),
        json!({ "DeletionDate": "<in 30 days>" }),
    )
}

/// `DeleteSecret`: what is scheduled can be described and restored, and nothing else.
fn scheduled() -> Sequence {
    let name = "scheduled";
    let (create, created) = create(name);
    with_a_value("a scheduled secret", name)
        .answers(
            "scheduled",
            secrets("DeleteSecret"),
            delete(name, &json!({ "RecoveryWindowInDays": 7 })),
            json!({ "DeletionDate": "<in 7 days>" }),
        )
        .answers(
            "is described",
            secrets("DescribeSecret"),
            json!({ "SecretId": name }),
            json!({ "ARN": "${arn}", "Name": name, "VersionIdsToStages": { "${first}": ["AWSCURRENT"] } }),
        )
        .refuses("is not read", secrets("GetSecretValue"), json!({ "SecretId": name }), SCHEDULED)
        .refuses(
            "gets no value",
            secrets("PutSecretValue"),
            json!({ "SecretId": name, "ClientRequestToken": SECOND, "SecretString": "two" }),
            SCHEDULED,
        )
        .refuses(
            "gets no stage",
            secrets("UpdateSecretVersionStage"),
            json!({ "SecretId": name, "VersionStage": "ours", "MoveToVersionId": "${first}" }),
            SCHEDULED,
        )
        .refuses(
            "gets no tag",
            secrets("TagResource"),
            json!({ "SecretId": name, "Tags": tag("key", "value") }),
            SCHEDULED,
        )
        .refuses(
            "loses no tag",
            secrets("UntagResource"),
            json!({ "SecretId": name, "TagKeys": ["key"] }),
            SCHEDULED,
        )
        .refuses("its name is taken", create, created, SCHEDULED)
        .refuses(
            "its name is taken for another token",
            create,
            json!({ "Name": name, "ClientRequestToken": SECOND, "SecretString": "two" }),
            SCHEDULED,
        )
        .refuses(
            "is not scheduled again",
            secrets("DeleteSecret"),
            delete(name, &json!({ "RecoveryWindowInDays": 30 })),
            SCHEDULED,
        )
}

/// `RestoreSecret` takes the deletion back.
fn restored() -> Sequence {
    let name = "restored";
    with_a_value("a restored secret", name)
        .answers(
            "scheduled",
            secrets("DeleteSecret"),
            delete(name, &json!({ "RecoveryWindowInDays": 7 })),
            json!({ "DeletionDate": "<in 7 days>" }),
        )
        .answers(
            "restored",
            secrets("RestoreSecret"),
            json!({ "SecretId": name }),
            json!({ "ARN": "${arn}", "Name": name }),
        )
        .answers(
            "is described",
            secrets("DescribeSecret"),
            json!({ "SecretId": name }),
            json!({ "DeletedDate": null, "VersionIdsToStages": { "${first}": ["AWSCURRENT"] } }),
        )
        .answers(
            "is read",
            secrets("GetSecretValue"),
            json!({ "SecretId": name }),
            json!({ "SecretString": "one", "VersionId": "${first}" }),
        )
        .answers(
            "restored once more",
            secrets("RestoreSecret"),
            json!({ "SecretId": name }),
            json!({ "ARN": "${arn}", "Name": name }),
        )
}

/// `DeleteSecret`, `ForceDeleteWithoutRecovery`: also of what is scheduled.
fn forced_after_scheduled() -> Sequence {
    let name = "scheduled-then-forced";
    with_a_value("a scheduled secret is deleted by force", name)
        .answers(
            "scheduled",
            secrets("DeleteSecret"),
            delete(name, &json!({ "RecoveryWindowInDays": 7 })),
            json!({ "DeletionDate": "<in 7 days>" }),
        )
        .answers(
            "forced",
            secrets("DeleteSecret"),
            delete(name, &json!({ "ForceDeleteWithoutRecovery": true })),
            json!({ "ARN": "${arn}", "Name": name }),
        )
        .refuses("is not described", secrets("DescribeSecret"), json!({ "SecretId": name }), GONE)
}

/// `DeleteSecret`, `ForceDeleteWithoutRecovery`: gone at once, and its name free.
fn forced() -> Sequence {
    let name = "forced";
    with_a_value("a secret is deleted by force", name)
        .answers(
            "forced",
            secrets("DeleteSecret"),
            delete(name, &json!({ "ForceDeleteWithoutRecovery": true })),
            json!({ "ARN": "${arn}", "Name": name, "DeletionDate": "<date>" }),
        )
        .refuses("is not read", secrets("GetSecretValue"), json!({ "SecretId": name }), GONE)
        .refuses("is not described", secrets("DescribeSecret"), json!({ "SecretId": name }), GONE)
        .refuses("is not restored", secrets("RestoreSecret"), json!({ "SecretId": name }), GONE)
        .answers(
            "forced once more",
            secrets("DeleteSecret"),
            delete(name, &json!({ "ForceDeleteWithoutRecovery": true })),
            json!({}),
        )
        .answers(
            "its name is free",
            secrets("CreateSecret"),
            json!({ "Name": name, "ClientRequestToken": SECOND, "SecretString": "two" }),
            json!({ "ARN": "<arn:aws:secretsmanager:us-east-1:*:secret:forced-??????>" }),
        )
        .keep("second", "/VersionId")
        .answers(
            "nothing of the old one is there",
            secrets("DescribeSecret"),
            json!({ "SecretId": name }),
            json!({ "ARN": "<not ${arn}>", "VersionIdsToStages": { "${second}": ["AWSCURRENT"] } }),
        )
}

/// Errors of each operation, `ResourceNotFoundException`.
fn missing() -> Sequence {
    let name = "missing";
    Sequence::new("a secret that is not there")
        .refuses("deleted", secrets("DeleteSecret"), delete(name, &json!({})), GONE)
        .answers(
            "deleted by force",
            secrets("DeleteSecret"),
            delete(name, &json!({ "ForceDeleteWithoutRecovery": true })),
            json!({}),
        )
        .refuses("restored", secrets("RestoreSecret"), json!({ "SecretId": name }), GONE)
        .refuses(
            "tagged",
            secrets("TagResource"),
            json!({ "SecretId": name, "Tags": tag("key", "value") }),
            GONE,
        )
        .refuses("untagged", secrets("UntagResource"), json!({ "SecretId": name, "TagKeys": ["key"] }), GONE)
}
