//! Lists of secrets and of their versions. What a list shows within the last five minutes is not
//! promised; the services here promise it.

use serde_json::{Value, json};

use super::{FIRST, SECOND, THIRD, tag};
use crate::client::secrets;
use crate::sequence::Sequence;

pub(super) fn all() -> Vec<Sequence> {
    vec![listed(), versions()]
}

fn made(sequence: Sequence, call: &'static str, name: &str, tags: &Value) -> Sequence {
    let input = json!({ "Name": name, "ClientRequestToken": FIRST, "SecretString": "one", "Tags": tags });
    sequence.answers(call, secrets("CreateSecret"), input, json!({ "Name": name }))
}

/// `ListSecrets`: filters by beginnings; scheduled secrets are shown only on request.
fn listed() -> Sequence {
    let by = |key: &str, value: &str| json!({ "Filters": [{ "Key": key, "Values": [value] }] });
    let also_scheduled = {
        let mut input = by("name", "list/");
        input["IncludePlannedDeletion"] = true.into();
        input
    };
    let one_at_a_time = {
        let mut input = by("name", "list/");
        input["MaxResults"] = 1.into();
        input
    };
    let next_one = {
        let mut input = one_at_a_time.clone();
        input["NextToken"] = "${next}".into();
        input
    };
    let too_many = json!({ "MaxResults": 101 });
    let foreign_token = json!({ "NextToken": "no token of theirs" });
    let sequence = Sequence::new("lists of secrets");
    let sequence =
        made(sequence, "the first", "list/first", &tag("listed-owner", "me")).keep("first", "/VersionId");
    let sequence = made(sequence, "the second", "list/second", &json!([]));
    made(sequence, "the third", "list/third", &json!([]))
        .answers(
            "the third is scheduled",
            secrets("DeleteSecret"),
            json!({ "SecretId": "list/third", "RecoveryWindowInDays": 7 }),
            json!({ "Name": "list/third" }),
        )
        .answers(
            "by name",
            secrets("ListSecrets"),
            by("name", "list/"),
            json!({
                "NextToken": null,
                "SecretList": [
                    {
                        "CreatedDate": "<date>",
                        "DeletedDate": null,
                        "Name": "list/first",
                        "SecretVersionsToStages": { "${first}": ["AWSCURRENT"] },
                        "Tags": tag("listed-owner", "me"),
                    },
                    { "Name": "list/second" },
                ],
            }),
        )
        .answers(
            "with what is scheduled",
            secrets("ListSecrets"),
            also_scheduled,
            json!({
                "SecretList": [{ "Name": "list/first" }, { "Name": "list/second" }, { "Name": "list/third" }],
            }),
        )
        .answers(
            "by a tag's key",
            secrets("ListSecrets"),
            by("tag-key", "listed-owner"),
            json!({ "SecretList": [{ "Name": "list/first" }] }),
        )
        .answers(
            "by another case of the name",
            secrets("ListSecrets"),
            by("name", "List/"),
            json!({ "SecretList": [] }),
        )
        .answers(
            "one at a time",
            secrets("ListSecrets"),
            one_at_a_time,
            json!({ "NextToken": "<*>", "SecretList": [{ "Name": "<list/*>" }] }),
        )
        .keep("next", "/NextToken")
        .answers(
            "the other one",
            secrets("ListSecrets"),
            next_one,
            json!({ "NextToken": null, "SecretList": [{ "Name": "<list/*>" }] }),
        )
        .refuses("101 at a time", secrets("ListSecrets"), too_many, super::MALFORMED)
        .refuses(
            "with a token of somebody's own",
            secrets("ListSecrets"),
            foreign_token,
            &["InvalidNextTokenException"],
        )
}

/// `ListSecretVersionIds`: versions without a stage are shown only on request.
fn versions() -> Sequence {
    let name = "listed-versions";
    let put = |token: &str, value: &str| json!({ "SecretId": name, "ClientRequestToken": token, "SecretString": value });
    let sequence = made(Sequence::new("lists of versions"), "made", name, &json!([]))
        .keep("first", "/VersionId")
        .answers(
            "a second version",
            secrets("PutSecretValue"),
            put(SECOND, "two"),
            json!({ "VersionId": SECOND }),
        )
        .answers(
            "a third version",
            secrets("PutSecretValue"),
            put(THIRD, "three"),
            json!({ "VersionId": THIRD }),
        );
    let current = json!({ "VersionId": THIRD, "VersionStages": ["AWSCURRENT"], "CreatedDate": "<date>" });
    let previous = json!({ "VersionId": SECOND, "VersionStages": ["AWSPREVIOUS"] });
    sequence
        .answers(
            "those with a stage",
            secrets("ListSecretVersionIds"),
            json!({ "SecretId": name }),
            json!({ "Name": name, "Versions": [current, previous] }),
        )
        .answers(
            "all of them",
            secrets("ListSecretVersionIds"),
            json!({ "SecretId": name, "IncludeDeprecated": true }),
            json!({ "Versions": [current, previous, { "VersionId": "${first}" }] }),
        )
        .refuses(
            "of no secret",
            secrets("ListSecretVersionIds"),
            json!({ "SecretId": "listed-nowhere" }),
            &["ResourceNotFoundException"],
        )
}
