//! Labels of a parameter's versions: `LabelParameterVersion`.

use serde_json::json;

use crate::client::parameters;
use crate::sequence::Sequence;

pub(super) fn all() -> Vec<Sequence> {
    vec![moving(), limits(), rules(), hundred_versions(), history()]
}

fn with_a_version(sequence: &'static str, name: &str) -> Sequence {
    Sequence::new(sequence).answers(
        "put",
        parameters("PutParameter"),
        json!({ "Name": name, "Value": "one", "Type": "String" }),
        json!({ "Version": 1 }),
    )
}

/// A label is on one version; it moves, and stays when another version comes.
fn moving() -> Sequence {
    let name = "/label/moving";
    with_a_version("labels move", name)
        .answers(
            "labelled",
            parameters("LabelParameterVersion"),
            json!({ "Name": name, "Labels": ["ours"] }),
            json!({ "ParameterVersion": 1 }),
        )
        .answers(
            "put again",
            parameters("PutParameter"),
            json!({ "Name": name, "Value": "two", "Type": "String", "Overwrite": true }),
            json!({ "Version": 2 }),
        )
        .answers(
            "read by the label",
            parameters("GetParameter"),
            json!({ "Name": "/label/moving:ours" }),
            json!({ "Parameter": { "Name": name, "Selector": ":ours", "Value": "one", "Version": 1 } }),
        )
        .answers(
            "moved to the last version",
            parameters("LabelParameterVersion"),
            json!({ "Name": name, "Labels": ["ours"] }),
            json!({ "ParameterVersion": 2 }),
        )
        .answers(
            "read by the moved label",
            parameters("GetParameter"),
            json!({ "Name": "/label/moving:ours" }),
            json!({ "Parameter": { "Value": "two", "Version": 2 } }),
        )
        .answers(
            "moved to a named version",
            parameters("LabelParameterVersion"),
            json!({ "Name": name, "ParameterVersion": 1, "Labels": ["ours"] }),
            json!({ "ParameterVersion": 1 }),
        )
        .answers(
            "read by the label moved back, among others",
            parameters("GetParameters"),
            json!({ "Names": ["/label/moving:ours", "/label/moving:theirs"] }),
            json!({
                "Parameters": [{ "Selector": ":ours", "Value": "one", "Version": 1 }],
                "InvalidParameters": ["/label/moving:theirs"],
            }),
        )
        .refuses(
            "a version that is not there",
            parameters("LabelParameterVersion"),
            json!({ "Name": name, "ParameterVersion": 3, "Labels": ["ours"] }),
            &["ParameterVersionNotFound"],
        )
        .refuses(
            "a parameter that is not there",
            parameters("LabelParameterVersion"),
            json!({ "Name": "/label/nothing", "Labels": ["ours"] }),
            &["ParameterNotFound"],
        )
}

/// At most 10 labels on a version.
fn limits() -> Sequence {
    let name = "/label/limits";
    let ten: Vec<String> = (0..10).map(|index| format!("label-{index}")).collect();
    with_a_version("limits of labels", name)
        .answers(
            "10 of them",
            parameters("LabelParameterVersion"),
            json!({ "Name": name, "Labels": ten }),
            json!({ "ParameterVersion": 1 }),
        )
        .answers(
            "one of them again",
            parameters("LabelParameterVersion"),
            json!({ "Name": name, "Labels": ["label-0"] }),
            json!({ "ParameterVersion": 1 }),
        )
        .refuses(
            "one more",
            parameters("LabelParameterVersion"),
            json!({ "Name": name, "Labels": ["label-10"] }),
            &["ParameterVersionLabelLimitExceeded"],
        )
}

/// A label that breaks a rule is not attached, and named in the answer.
fn rules() -> Sequence {
    let name = "/label/rules";
    with_a_version("rules for labels", name)
        .answers(
            "one good and many bad",
            parameters("LabelParameterVersion"),
            json!({ "Name": name, "Labels": ["good_1.2-3", "1st", "awsome", "SSMname", "a name", "a/b"] }),
            json!({
                "InvalidLabels": ["1st", "awsome", "SSMname", "a name", "a/b"],
                "ParameterVersion": 1,
            }),
        )
        .answers(
            "the good one is there",
            parameters("GetParameter"),
            json!({ "Name": "/label/rules:good_1.2-3" }),
            json!({ "Parameter": { "Version": 1 } }),
        )
        .refuses(
            "a bad one is not",
            parameters("GetParameter"),
            json!({ "Name": "/label/rules:awsome" }),
            &["ParameterVersionNotFound"],
        )
}

/// `GetParameterHistory`: what each version says of itself, which labels it has, and never a secure
/// string's value unless it is asked for.
fn history() -> Sequence {
    let name = "/label/history";
    let put = |value: &str, description: &str, overwrite: bool| {
        json!({
            "Name": name, "Value": value, "Type": "SecureString", "Tier": "Advanced",
            "Description": description, "Overwrite": overwrite,
        })
    };
    let read = || parameters("GetParameterHistory");
    Sequence::new("the history of a secure string")
        .answers("put", parameters("PutParameter"), put("one", "first", false), json!({ "Version": 1 }))
        .answers("put again", parameters("PutParameter"), put("two", "second", true), json!({ "Version": 2 }))
        .answers(
            "labelled",
            parameters("LabelParameterVersion"),
            json!({ "Name": name, "ParameterVersion": 1, "Labels": ["current"] }),
            json!({ "ParameterVersion": 1 }),
        )
        .answers(
            "the history",
            read(),
            json!({ "Name": name, "WithDecryption": false }),
            json!({ "Parameters": [
                { "Version": 1, "Description": "first", "Labels": ["current"], "Type": "SecureString" },
                { "Version": 2, "Description": "second", "Labels": [], "Type": "SecureString" },
            ] }),
        )
        .answers(
            "the history, decrypted",
            read(),
            json!({ "Name": name, "WithDecryption": true }),
            json!({ "Parameters": [{ "Version": 1, "Value": "one" }, { "Version": 2, "Value": "two" }] }),
        )
        .answers(
            "the label moves",
            parameters("LabelParameterVersion"),
            json!({ "Name": name, "ParameterVersion": 2, "Labels": ["current"] }),
            json!({ "ParameterVersion": 2 }),
        )
        .answers(
            "the history tells it",
            read(),
            json!({ "Name": name }),
            json!({ "Parameters": [{ "Version": 1, "Labels": [] }, { "Version": 2, "Labels": ["current"] }] }),
        )
        .refuses(
            "a parameter that is not there",
            read(),
            json!({ "Name": "/label/nothing" }),
            &["ParameterNotFound"],
        )
}

/// `PutParameter`, `ParameterMaxVersionLimitExceeded`: 100 versions are kept; the oldest one goes
/// unless it has a label.
fn hundred_versions() -> Sequence {
    let name = "/label/versions";
    let put = json!({ "Name": name, "Value": "more", "Type": "String", "Overwrite": true });
    with_a_version("a hundred versions", name)
        .answers(
            "labelled",
            parameters("LabelParameterVersion"),
            json!({ "Name": name, "Labels": ["ours"] }),
            json!({ "ParameterVersion": 1 }),
        )
        .answers("99 more", parameters("PutParameter"), put.clone(), json!({ "Version": 100 }))
        .times(99)
        .refuses(
            "one more, while the first has a label",
            parameters("PutParameter"),
            put.clone(),
            &["ParameterMaxVersionLimitExceeded"],
        )
        .answers(
            "the first is still there",
            parameters("GetParameter"),
            json!({ "Name": "/label/versions:1" }),
            json!({ "Parameter": { "Value": "one", "Version": 1 } }),
        )
        .answers(
            "the label moves",
            parameters("LabelParameterVersion"),
            json!({ "Name": name, "Labels": ["ours"] }),
            json!({ "ParameterVersion": 100 }),
        )
        .answers("one more", parameters("PutParameter"), put, json!({ "Version": 101 }))
        .refuses(
            "the first is gone",
            parameters("GetParameter"),
            json!({ "Name": "/label/versions:1" }),
            &["ParameterVersionNotFound"],
        )
}
