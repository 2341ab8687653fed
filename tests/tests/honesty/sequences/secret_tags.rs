//! Tags of a secret that is there.

use serde_json::json;

use super::{FIRST, MALFORMED, tag, tags, text};
use crate::client::secrets;
use crate::sequence::Sequence;

pub(super) fn all() -> Vec<Sequence> {
    vec![changing(), limits()]
}

/// `TagResource` adds to the tags or gives them another value; `UntagResource` is idempotent.
fn changing() -> Sequence {
    let name = "tagged";
    Sequence::new("tags of a secret")
        .answers(
            "made",
            secrets("CreateSecret"),
            json!({
                "Name": name, "ClientRequestToken": FIRST, "SecretString": "one", "Tags": tag("owner", "first"),
            }),
            json!({ "Name": name }),
        )
        .answers(
            "one more and another value",
            secrets("TagResource"),
            json!({
                "SecretId": name,
                "Tags": [{ "Key": "owner", "Value": "second" }, { "Key": "Owner", "Value": "third" }],
            }),
            json!({}),
        )
        .answers(
            "are shown",
            secrets("DescribeSecret"),
            json!({ "SecretId": name }),
            json!({
                "Tags": [{ "Key": "owner", "Value": "second" }, { "Key": "Owner", "Value": "third" }],
            }),
        )
        .answers(
            "one less",
            secrets("UntagResource"),
            json!({ "SecretId": name, "TagKeys": ["owner", "nobody"] }),
            json!({}),
        )
        .answers(
            "the other one is left",
            secrets("DescribeSecret"),
            json!({ "SecretId": name }),
            json!({ "Tags": tag("Owner", "third") }),
        )
}

/// `TagResource`; General Reference, Tag naming limits and requirements. The pages do not say with
/// which error a broken rule is answered.
fn limits() -> Sequence {
    let name = "tagged-limits";
    Sequence::new("limits of tags")
        .answers(
            "made with 50",
            secrets("CreateSecret"),
            json!({ "Name": name, "ClientRequestToken": FIRST, "SecretString": "one", "Tags": tags(50) }),
            json!({ "Name": name }),
        )
        .answers(
            "another value for one of them",
            secrets("TagResource"),
            json!({ "SecretId": name, "Tags": tag("key-0", "value") }),
            json!({}),
        )
        .refuses(
            "one more",
            secrets("TagResource"),
            json!({ "SecretId": name, "Tags": tag("another", "") }),
            &["InvalidParameterException", "LimitExceededException", "ValidationException"],
        )
        .refuses(
            "a key of 129 characters",
            secrets("TagResource"),
            json!({ "SecretId": name, "Tags": tag(&text(129), "") }),
            MALFORMED,
        )
        .refuses(
            "a key that begins with aws:",
            secrets("TagResource"),
            json!({ "SecretId": name, "Tags": tag("aws:owner", "me") }),
            &["InvalidParameterException", "InvalidRequestException", "ValidationException"],
        )
}
