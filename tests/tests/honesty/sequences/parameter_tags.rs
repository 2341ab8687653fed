//! Tags of a parameter that is there.

use serde_json::{Value, json};

use super::{MALFORMED, tag, tags, text};
use crate::client::parameters;
use crate::sequence::Sequence;

pub(super) fn all() -> Vec<Sequence> {
    vec![changing(), limits(), forms()]
}

/// `AddTagsToResource` adds or overwrites, `RemoveTagsFromResource` removes.
fn changing() -> Sequence {
    let name = "/tags/changing";
    let resource = json!({ "ResourceType": "Parameter", "ResourceId": name });
    let with = |key: &str, value: Value| {
        let mut input = resource.clone();
        input[key] = value;
        input
    };
    Sequence::new("tags of a parameter")
        .answers(
            "put",
            parameters("PutParameter"),
            json!({ "Name": name, "Value": "one", "Type": "String", "Tags": tag("owner", "first") }),
            json!({ "Version": 1 }),
        )
        .answers(
            "one more and another value",
            parameters("AddTagsToResource"),
            with("Tags", json!([{ "Key": "owner", "Value": "second" }, { "Key": "Owner", "Value": "third" }])),
            json!({}),
        )
        .answers(
            "are listed",
            parameters("ListTagsForResource"),
            resource.clone(),
            json!({ "TagList": [{ "Key": "owner", "Value": "second" }, { "Key": "Owner", "Value": "third" }] }),
        )
        .answers(
            "one less",
            parameters("RemoveTagsFromResource"),
            with("TagKeys", json!(["owner", "nobody"])),
            json!({}),
        )
        .answers(
            "the other one is left",
            parameters("ListTagsForResource"),
            resource.clone(),
            json!({ "TagList": tag("Owner", "third") }),
        )
        .refuses(
            "of a parameter that is not there",
            parameters("AddTagsToResource"),
            json!({ "ResourceType": "Parameter", "ResourceId": "/tags/nothing", "Tags": tag("key", "") }),
            &["InvalidResourceId"],
        )
        .refuses(
            "removed from a parameter that is not there",
            parameters("RemoveTagsFromResource"),
            json!({ "ResourceType": "Parameter", "ResourceId": "/tags/nothing", "TagKeys": ["key"] }),
            &["InvalidResourceId"],
        )
        .refuses(
            "of a kind of resource that is not there",
            parameters("AddTagsToResource"),
            json!({ "ResourceType": "Secret", "ResourceId": name, "Tags": tag("key", "") }),
            &["InvalidResourceType", "ValidationException"],
        )
}

/// `AddTagsToResource`: most resources can have 50 tags at most. `PutParameter` does not say how it
/// refuses more.
fn limits() -> Sequence {
    let name = "/tags/limits";
    Sequence::new("limits of a parameter's tags")
        .answers(
            "put with 50",
            parameters("PutParameter"),
            json!({ "Name": name, "Value": "one", "Type": "String", "Tags": tags(50) }),
            json!({ "Version": 1 }),
        )
        .answers(
            "another value for one of them",
            parameters("AddTagsToResource"),
            added(name, &tag("key-0", "value")),
            json!({}),
        )
        .refuses(
            "one more",
            parameters("AddTagsToResource"),
            added(name, &tag("another", "")),
            &["TooManyTagsError"],
        )
        .refuses(
            "put with 51",
            parameters("PutParameter"),
            json!({ "Name": "/tags/51", "Value": "one", "Type": "String", "Tags": tags(51) }),
            &["TooManyTagsError", "ValidationException"],
        )
}

/// Tag: 1 to 128 characters in a key, up to 256 in a value, of a pattern.
fn forms() -> Sequence {
    let name = "/tags/forms";
    let sequence = Sequence::new("forms of a parameter's tags")
        .answers(
            "put",
            parameters("PutParameter"),
            json!({ "Name": name, "Value": "one", "Type": "String" }),
            json!({ "Version": 1 }),
        )
        .answers(
            "of the greatest length",
            parameters("AddTagsToResource"),
            added(name, &tag(&text(128), &text(256))),
            json!({}),
        );
    let refused = |sequence: Sequence, call: &'static str, key: &str, value: &str| {
        let input = added(name, &tag(key, value));
        sequence.refuses(call, parameters("AddTagsToResource"), input, MALFORMED)
    };
    let sequence = refused(sequence, "a key of 129 characters", &text(129), "");
    let sequence = refused(sequence, "a value of 257 characters", "key", &text(257));
    let sequence = refused(sequence, "a key with a character that is not allowed", "a*b", "");
    let sequence = refused(sequence, "a value with a character that is not allowed", "key", "a*b");
    refused(sequence, "a key that begins with aws:", "aws:owner", "me")
}

fn added(name: &str, tags: &Value) -> Value {
    json!({ "ResourceType": "Parameter", "ResourceId": name, "Tags": tags })
}
