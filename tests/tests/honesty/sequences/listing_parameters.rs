//! Parameters by their paths, and what is told of them without their values.

use serde_json::json;

use super::{MALFORMED, tag};
use crate::client::parameters;
use crate::sequence::Sequence;

pub(super) fn all() -> Vec<Sequence> {
    vec![by_path(), described()]
}

/// `GetParametersByPath`: one level, or all below it; 1 to 10 at a time.
fn by_path() -> Sequence {
    let get = parameters("GetParametersByPath");
    let put = |sequence: Sequence, call: &'static str, name: &str| {
        let input = json!({ "Name": name, "Value": "one", "Type": "String" });
        sequence.answers(call, parameters("PutParameter"), input, json!({ "Version": 1 }))
    };
    let sequence = put(Sequence::new("parameters by path"), "the first", "/by-path/first");
    let sequence = put(sequence, "the second", "/by-path/second");
    let sequence = put(sequence, "one a level below", "/by-path/below/third");
    put(sequence, "a neighbour", "/by-path-and-more/first")
        .answers(
            "one level",
            get,
            json!({ "Path": "/by-path" }),
            json!({
                "NextToken": null,
                "Parameters": [
                    { "Name": "/by-path/first", "Type": "String", "Value": "one", "Version": 1 },
                    { "Name": "/by-path/second" },
                ],
            }),
        )
        .answers(
            "all levels",
            get,
            json!({ "Path": "/by-path/", "Recursive": true }),
            json!({
                "Parameters": [
                    { "Name": "/by-path/below/third" },
                    { "Name": "/by-path/first" },
                    { "Name": "/by-path/second" },
                ],
            }),
        )
        .answers("nothing there", get, json!({ "Path": "/by-no-path" }), json!({ "Parameters": [] }))
        .answers(
            "one at a time",
            get,
            json!({ "Path": "/by-path", "MaxResults": 1 }),
            json!({ "NextToken": "<*>", "Parameters": [{ "Name": "</by-path/*>" }] }),
        )
        .keep("next", "/NextToken")
        .answers(
            "the other one",
            get,
            json!({ "Path": "/by-path", "MaxResults": 1, "NextToken": "${next}" }),
            json!({ "NextToken": null, "Parameters": [{ "Name": "</by-path/*>" }] }),
        )
        .refuses("11 at a time", get, json!({ "Path": "/by-path", "MaxResults": 11 }), MALFORMED)
        .refuses("no path", get, json!({ "Path": "by-path" }), MALFORMED)
        .refuses(
            "with a token of somebody's own",
            get,
            json!({ "Path": "/by-path", "NextToken": "no token of theirs" }),
            &["InvalidNextToken"],
        )
}

/// `DescribeParameters`: filters; the tier, and no value.
fn described() -> Sequence {
    let name = "/described/first";
    let by_path = json!([{ "Key": "Path", "Option": "Recursive", "Values": ["/described"] }]);
    let by_tag = json!([{ "Key": "tag:described-owner", "Values": ["me"] }]);
    Sequence::new("descriptions of parameters")
        .answers(
            "put",
            parameters("PutParameter"),
            json!({
                "Name": name,
                "Value": "one",
                "Type": "String",
                "Tier": "Advanced",
                "Description": "What it is.",
                "Tags": tag("described-owner", "me"),
            }),
            json!({ "Version": 1 }),
        )
        .answers(
            "by path",
            parameters("DescribeParameters"),
            json!({ "ParameterFilters": by_path }),
            json!({
                "Parameters": [{
                    "ARN": "<arn:aws:ssm:us-east-1:*:parameter/described/first>",
                    "DataType": "text",
                    "Description": "What it is.",
                    "LastModifiedDate": "<date>",
                    "Name": name,
                    "Tier": "Advanced",
                    "Type": "String",
                    "Value": null,
                    "Version": 1,
                }],
            }),
        )
        .answers(
            "by a tag",
            parameters("DescribeParameters"),
            json!({ "ParameterFilters": by_tag }),
            json!({ "Parameters": [{ "Name": name }] }),
        )
        .refuses("51 at a time", parameters("DescribeParameters"), json!({ "MaxResults": 51 }), MALFORMED)
}
