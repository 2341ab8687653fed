//! Reading parameters.

use serde_json::json;

use super::MALFORMED;
use crate::client::parameters;
use crate::sequence::Sequence;

pub(super) fn all() -> Vec<Sequence> {
    vec![one(), many()]
}

fn with_two_versions(sequence: &'static str, name: &str) -> Sequence {
    Sequence::new(sequence)
        .answers(
            "put",
            parameters("PutParameter"),
            json!({ "Name": name, "Value": "one", "Type": "String" }),
            json!({ "Version": 1 }),
        )
        .answers(
            "put again",
            parameters("PutParameter"),
            json!({ "Name": name, "Value": "two", "Type": "String", "Overwrite": true }),
            json!({ "Version": 2 }),
        )
}

/// `GetParameter`, Name: a name or an ARN, with a version after a colon.
fn one() -> Sequence {
    let name = "/read/one";
    with_two_versions("reading a parameter", name)
        .answers(
            "by its name",
            parameters("GetParameter"),
            json!({ "Name": name }),
            json!({ "Parameter": { "Name": name, "Value": "two", "Version": 2 } }),
        )
        .keep("arn", "/Parameter/ARN")
        .answers(
            "by its ARN",
            parameters("GetParameter"),
            json!({ "Name": "${arn}" }),
            json!({ "Parameter": { "Name": name, "Value": "two", "Version": 2 } }),
        )
        .answers(
            "by its version",
            parameters("GetParameter"),
            json!({ "Name": "/read/one:1" }),
            json!({ "Parameter": { "Name": name, "Selector": ":1", "Value": "one", "Version": 1 } }),
        )
        .refuses(
            "a version that is not there",
            parameters("GetParameter"),
            json!({ "Name": "/read/one:3" }),
            &["ParameterVersionNotFound"],
        )
        .refuses(
            "a label that is not there",
            parameters("GetParameter"),
            json!({ "Name": "/read/one:label" }),
            &["ParameterVersionNotFound"],
        )
        .refuses(
            "one that is not there",
            parameters("GetParameter"),
            json!({ "Name": "/read/none" }),
            &["ParameterNotFound"],
        )
}

/// `GetParameters`, Names: 1 to 10; the missing ones are named.
fn many() -> Sequence {
    let name = "/read/many";
    let names: Vec<String> = (0..11).map(|index| format!("/read/many/{index}")).collect();
    with_two_versions("reading parameters", name)
        .answers(
            "one there and one missing",
            parameters("GetParameters"),
            json!({ "Names": [name, "/read/none"] }),
            json!({
                "Parameters": [{ "Name": name, "Value": "two", "Version": 2 }],
                "InvalidParameters": ["/read/none"],
            }),
        )
        .answers(
            "by versions",
            parameters("GetParameters"),
            json!({ "Names": ["/read/many:1", "/read/many:3"] }),
            json!({
                "Parameters": [{ "Name": name, "Selector": ":1", "Value": "one", "Version": 1 }],
                "InvalidParameters": ["/read/many:3"],
            }),
        )
        .answers(
            "10 at once",
            parameters("GetParameters"),
            json!({ "Names": names[..10] }),
            json!({ "Parameters": [], "InvalidParameters": names[..10] }),
        )
        .refuses("11 at once", parameters("GetParameters"), json!({ "Names": names }), MALFORMED)
        .refuses("none at once", parameters("GetParameters"), json!({ "Names": [] }), MALFORMED)
}
