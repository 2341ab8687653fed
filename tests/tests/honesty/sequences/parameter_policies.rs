//! Policies of parameters, and their descriptions.

use serde_json::{Value, json};

use super::{MALFORMED, text};
use crate::client::parameters;
use crate::sequence::Sequence;

pub(super) fn all() -> Vec<Sequence> {
    vec![policies(), kept()]
}

fn expiration(at: &str) -> Value {
    json!({ "Type": "Expiration", "Version": "1.0", "Attributes": { "Timestamp": at } })
}

fn put(name: &str, policies: &Value) -> Value {
    json!({
        "Name": name,
        "Value": "one",
        "Type": "String",
        "Tier": "Advanced",
        "Policies": policies.to_string(),
    })
}

/// `PutParameter`, Policies and Errors.
fn policies() -> Sequence {
    let late = expiration("2099-01-01T00:00:00.000Z");
    let unknown = json!([{ "Type": "Rotation", "Version": "1.0", "Attributes": {} }]);
    Sequence::new("policies of parameters")
        .answers(
            "one",
            parameters("PutParameter"),
            put("/policy/one", &json!([late])),
            json!({ "Tier": "Advanced", "Version": 1 }),
        )
        .refuses(
            "11 of them",
            parameters("PutParameter"),
            put("/policy/eleven", &Value::Array(vec![late.clone(); 11])),
            &["PoliciesLimitExceededException"],
        )
        .refuses(
            "two expirations",
            parameters("PutParameter"),
            put("/policy/two", &json!([late, late])),
            &["IncompatiblePolicyException"],
        )
        .refuses(
            "an unknown one",
            parameters("PutParameter"),
            put("/policy/unknown", &unknown),
            &["InvalidPolicyTypeException"],
        )
        .refuses(
            "one that expires at no time",
            parameters("PutParameter"),
            put("/policy/never", &json!([expiration("soon")])),
            &["InvalidPolicyAttributeException"],
        )
}

/// `PutParameter`: policies stay until others come; a description has 1,024 characters at most.
fn kept() -> Sequence {
    let name = "/policy/kept";
    let described = json!({
        "ParameterFilters": [{ "Key": "Path", "Option": "Recursive", "Values": ["/policy/kept"] }],
    });
    let shown = json!({ "Parameters": [{ "Name": "/policy/kept/here", "Policies": [{ "PolicyType": "Expiration" }] }] });
    let name = format!("{name}/here");
    let longer =
        json!({ "Name": "/policy/longer", "Value": "one", "Type": "String", "Description": text(1025) });
    Sequence::new("policies are kept")
        .answers(
            "put",
            parameters("PutParameter"),
            put(&name, &json!([expiration("2099-01-01T00:00:00.000Z")])),
            json!({ "Version": 1 }),
        )
        .answers("is shown", parameters("DescribeParameters"), described.clone(), shown.clone())
        .answers(
            "put again without one",
            parameters("PutParameter"),
            json!({ "Name": name, "Value": "two", "Type": "String", "Tier": "Advanced", "Overwrite": true }),
            json!({ "Version": 2 }),
        )
        .answers("is still shown", parameters("DescribeParameters"), described, shown)
        .refuses("a description of 1025 characters", parameters("PutParameter"), longer, MALFORMED)
}
