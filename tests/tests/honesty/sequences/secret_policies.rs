//! Resource policies of secrets.

use serde_json::json;

use super::{FIRST, MALFORMED, text};
use crate::client::secrets;
use crate::sequence::Sequence;

pub(super) fn all() -> Vec<Sequence> {
    vec![policies()]
}

/// `PutResourcePolicy`, `GetResourcePolicy`, `DeleteResourcePolicy`.
fn policies() -> Sequence {
    let name = "with-a-policy";
    let put = |principal: &str, block: bool| {
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": { "AWS": principal },
                "Action": "secretsmanager:GetSecretValue",
                "Resource": "*",
            }],
        });
        json!({ "SecretId": name, "ResourcePolicy": policy.to_string(), "BlockPublicPolicy": block })
    };
    let only_the_id = || json!({ "SecretId": name });
    let absent = |operation| (secrets(operation), json!({ "SecretId": "without-a-policy" }));
    let missing: &[&str] = &["ResourceNotFoundException"];
    let (get_absent, delete_absent) = (absent("GetResourcePolicy"), absent("DeleteResourcePolicy"));
    let malformed = json!({ "SecretId": name, "ResourcePolicy": "{" });
    Sequence::new("resource policies")
        .answers(
            "made",
            secrets("CreateSecret"),
            json!({ "Name": name, "ClientRequestToken": FIRST, "SecretString": "one" }),
            json!({ "Name": name }),
        )
        .keep("arn", "/ARN")
        .answers(
            "none yet",
            secrets("GetResourcePolicy"),
            only_the_id(),
            json!({ "ARN": "${arn}", "Name": name, "ResourcePolicy": null }),
        )
        .answers(
            "put",
            secrets("PutResourcePolicy"),
            put("arn:aws:iam::${account}:root", true),
            json!({ "ARN": "${arn}", "Name": name }),
        )
        .answers(
            "is there",
            secrets("GetResourcePolicy"),
            only_the_id(),
            json!({ "ResourcePolicy": "<{*}>" }),
        )
        .refuses(
            "a public one, blocked",
            secrets("PutResourcePolicy"),
            put("*", true),
            &["PublicPolicyException"],
        )
        .refuses("no JSON", secrets("PutResourcePolicy"), malformed, &["MalformedPolicyDocumentException"])
        .refuses(
            "of 20481 characters",
            secrets("PutResourcePolicy"),
            json!({ "SecretId": name, "ResourcePolicy": text(20_481) }),
            MALFORMED,
        )
        .answers(
            "deleted",
            secrets("DeleteResourcePolicy"),
            only_the_id(),
            json!({ "ARN": "${arn}", "Name": name }),
        )
        .answers("is gone", secrets("GetResourcePolicy"), only_the_id(), json!({ "ResourcePolicy": null }))
        .answers("deleted once more", secrets("DeleteResourcePolicy"), only_the_id(), json!({ "Name": name }))
        .refuses("of no secret", get_absent.0, get_absent.1, missing)
        .refuses("deleted of no secret", delete_absent.0, delete_absent.1, missing)
        .answers(
            "scheduled",
            secrets("DeleteSecret"),
            json!({ "SecretId": name, "RecoveryWindowInDays": 7 }),
            json!({ "Name": name }),
        )
        .refuses(
            "put on a scheduled secret",
            secrets("PutResourcePolicy"),
            put("arn:aws:iam::${account}:root", true),
            &["InvalidRequestException"],
        )
        .refuses(
            "read of a scheduled secret",
            secrets("GetResourcePolicy"),
            only_the_id(),
            &["InvalidRequestException"],
        )
}
