//! Putting and deleting parameters.

use serde_json::{Value, json};

use super::{MALFORMED, tag, text};
use crate::client::parameters;
use crate::sequence::Sequence;

pub(super) fn all() -> Vec<Sequence> {
    vec![versions(), types(), sizes(), tiers(), names(), deletion()]
}

fn put(name: &str, value: &str, more: &Value) -> Value {
    let mut input = json!({ "Name": name, "Value": value, "Type": "String" });
    for (key, value) in more.as_object().into_iter().flatten() {
        input[key] = value.clone();
    }
    input
}

/// `PutParameter`, Overwrite and Tags: an existing parameter is overwritten only on request, and tags
/// come with the first put only.
fn versions() -> Sequence {
    let name = "/put/versions";
    Sequence::new("versions of a parameter")
        .answers(
            "put",
            parameters("PutParameter"),
            put(name, "one", &json!({ "Tags": tag("owner", "me") })),
            json!({ "Version": 1, "Tier": "Standard" }),
        )
        .refuses(
            "put again",
            parameters("PutParameter"),
            put(name, "two", &json!({})),
            &["ParameterAlreadyExists"],
        )
        .refuses(
            "put again with the same value",
            parameters("PutParameter"),
            put(name, "one", &json!({})),
            &["ParameterAlreadyExists"],
        )
        .refuses(
            "overwritten with tags",
            parameters("PutParameter"),
            put(name, "two", &json!({ "Overwrite": true, "Tags": tag("owner", "you") })),
            MALFORMED,
        )
        .refuses(
            "put with tags and leave to overwrite",
            parameters("PutParameter"),
            put("/put/tags", "one", &json!({ "Overwrite": true, "Tags": tag("owner", "you") })),
            MALFORMED,
        )
        .answers(
            "overwritten",
            parameters("PutParameter"),
            put(name, "two", &json!({ "Overwrite": true })),
            json!({ "Version": 2, "Tier": "Standard" }),
        )
        .answers(
            "overwritten with the same value",
            parameters("PutParameter"),
            put(name, "two", &json!({ "Overwrite": true })),
            json!({ "Version": 3 }),
        )
        .answers(
            "is the last one",
            parameters("GetParameter"),
            json!({ "Name": name }),
            json!({
                "Parameter": {
                    "ARN": "<arn:aws:ssm:us-east-1:*:parameter/put/versions>",
                    "DataType": "text",
                    "LastModifiedDate": "<date>",
                    "Name": name,
                    "Selector": null,
                    "Type": "String",
                    "Value": "two",
                    "Version": 3,
                },
            }),
        )
        .answers(
            "keeps its tags",
            parameters("ListTagsForResource"),
            json!({ "ResourceType": "Parameter", "ResourceId": name }),
            json!({ "TagList": tag("owner", "me") }),
        )
        .answers(
            "a new one is put with leave to overwrite",
            parameters("PutParameter"),
            put("/put/overwritten-first", "one", &json!({ "Overwrite": true })),
            json!({ "Version": 1 }),
        )
}

/// `PutParameter`, Type: needed for a new parameter, never changed.
fn types() -> Sequence {
    const TYPE: &[&str] = &["UnsupportedParameterType", "ValidationException"];
    let name = "/put/types";
    Sequence::new("types of parameters")
        .refuses(
            "none for a new one",
            parameters("PutParameter"),
            json!({ "Name": "/put/no-type", "Value": "one" }),
            MALFORMED,
        )
        .refuses(
            "an unknown one",
            parameters("PutParameter"),
            put("/put/unknown-type", "one", &json!({ "Type": "Text" })),
            TYPE,
        )
        .answers("put", parameters("PutParameter"), put(name, "one", &json!({})), json!({ "Version": 1 }))
        .answers(
            "none for a present one",
            parameters("PutParameter"),
            json!({ "Name": name, "Value": "two", "Overwrite": true }),
            json!({ "Version": 2 }),
        )
        .answers(
            "it stays as it was",
            parameters("GetParameter"),
            json!({ "Name": name }),
            json!({ "Parameter": { "Type": "String", "Value": "two" } }),
        )
        .refuses(
            "another one for a present one",
            parameters("PutParameter"),
            put(name, "three", &json!({ "Type": "SecureString", "Overwrite": true })),
            &["HierarchyTypeMismatchException"],
        )
}

/// `PutParameter`, Value and Tier: 4 KB, and 8 KB for advanced parameters.
fn sizes() -> Sequence {
    let sized = |name: &str, length: usize, tier: &str| put(name, &text(length), &json!({ "Tier": tier }));
    Sequence::new("sizes of parameters")
        .answers(
            "4096 bytes, standard",
            parameters("PutParameter"),
            sized("/size/4096", 4096, "Standard"),
            json!({ "Tier": "Standard" }),
        )
        .refuses(
            "4097 bytes, standard",
            parameters("PutParameter"),
            sized("/size/4097", 4097, "Standard"),
            MALFORMED,
        )
        .refuses(
            "4097 bytes, no tier",
            parameters("PutParameter"),
            put("/size/4097-no-tier", &text(4097), &json!({})),
            MALFORMED,
        )
        .answers(
            "8192 bytes, advanced",
            parameters("PutParameter"),
            sized("/size/8192", 8192, "Advanced"),
            json!({ "Tier": "Advanced" }),
        )
        .refuses(
            "8193 bytes, advanced",
            parameters("PutParameter"),
            sized("/size/8193", 8193, "Advanced"),
            MALFORMED,
        )
        .refuses("nothing", parameters("PutParameter"), put("/size/0", "", &json!({})), MALFORMED)
        .refuses(
            "another parameter nested",
            parameters("PutParameter"),
            put("/size/nested", "{{ssm:/size/4096}}", &json!({})),
            MALFORMED,
        )
        .answers(
            "4096 bytes, whichever tier fits",
            parameters("PutParameter"),
            sized("/size/fits-4096", 4096, "Intelligent-Tiering"),
            json!({ "Tier": "Standard" }),
        )
        .answers(
            "4097 bytes, whichever tier fits",
            parameters("PutParameter"),
            sized("/size/fits-4097", 4097, "Intelligent-Tiering"),
            json!({ "Tier": "Advanced" }),
        )
}

/// `PutParameter`, Tier and Policies: an advanced parameter never becomes a standard one, and only
/// advanced ones have policies.
fn tiers() -> Sequence {
    let name = "/put/tiers";
    let policies = json!([{
        "Type": "Expiration",
        "Version": "1.0",
        "Attributes": { "Timestamp": "2099-01-01T00:00:00.000Z" },
    }]);
    let tier = |tier: &str| put(name, "one", &json!({ "Tier": tier, "Overwrite": true }));
    Sequence::new("tiers of parameters")
        .answers(
            "standard",
            parameters("PutParameter"),
            put(name, "one", &json!({ "Tier": "Standard" })),
            json!({ "Version": 1, "Tier": "Standard" }),
        )
        .answers(
            "from standard to advanced",
            parameters("PutParameter"),
            tier("Advanced"),
            json!({ "Version": 2, "Tier": "Advanced" }),
        )
        .refuses("from advanced to standard", parameters("PutParameter"), tier("Standard"), MALFORMED)
        .refuses("an unknown one", parameters("PutParameter"), tier("Best"), MALFORMED)
        .refuses(
            "a policy on a standard one",
            parameters("PutParameter"),
            put("/put/no-policy", "one", &json!({ "Tier": "Standard", "Policies": policies.to_string() })),
            MALFORMED,
        )
        .answers(
            "a policy on an advanced one",
            parameters("PutParameter"),
            put("/put/policy", "one", &json!({ "Tier": "Advanced", "Policies": policies.to_string() })),
            json!({ "Tier": "Advanced" }),
        )
}

/// `PutParameter`, Name.
fn names() -> Sequence {
    /// The page says only that these names are not allowed.
    const NAME: &[&str] =
        &["AccessDeniedException", "ParameterPatternMismatchException", "ValidationException"];
    let level = |count: usize| "/level".repeat(count);
    let refused = |sequence: Sequence, name: &'static str, parameter: &str| {
        let input = put(parameter, "one", &json!({}));
        sequence.refuses(name, parameters("PutParameter"), input, NAME)
    };
    let sequence = Sequence::new("names of parameters")
        .answers(
            "15 levels",
            parameters("PutParameter"),
            put(&level(15), "one", &json!({})),
            json!({ "Version": 1 }),
        )
        .refuses(
            "16 levels",
            parameters("PutParameter"),
            put(&level(16), "one", &json!({})),
            &["HierarchyLevelLimitExceededException"],
        )
        .answers(
            "without a hierarchy",
            parameters("PutParameter"),
            put("no-hierarchy_1.2", "one", &json!({})),
            json!({ "Version": 1 }),
        )
        .answers(
            "its ARN",
            parameters("GetParameter"),
            json!({ "Name": "no-hierarchy_1.2" }),
            json!({ "Parameter": { "ARN": "<arn:aws:ssm:us-east-1:*:parameter/no-hierarchy_1.2>" } }),
        )
        .refuses("with a space", parameters("PutParameter"), put("/a name", "one", &json!({})), MALFORMED);
    let sequence = refused(sequence, "with a hierarchy that does not begin with a slash", "a/name");
    let sequence = refused(sequence, "with a colon", "/a:name");
    let sequence = refused(sequence, "that begins with aws", "awsome");
    let sequence = refused(sequence, "whose hierarchy begins with aws", "/aws/name");
    let sequence = refused(sequence, "that begins with ssm", "SSMname");
    let sequence = refused(sequence, "whose hierarchy begins with ssm", "/ssm/name");
    refused(sequence, "of 2049 characters", &text(2049))
}

/// `DeleteParameter` and `DeleteParameters`: 1 to 10 names; the missing ones are named.
fn deletion() -> Sequence {
    let made = |sequence: Sequence, name: &'static str, parameter: &str| {
        sequence.answers(
            name,
            parameters("PutParameter"),
            put(parameter, "one", &json!({})),
            json!({ "Version": 1 }),
        )
    };
    let many: Vec<String> = (0..11).map(|index| format!("/delete/many/{index}")).collect();
    let sequence = made(Sequence::new("deletion of parameters"), "the first", "/delete/0");
    let sequence = made(sequence, "the second", "/delete/1");
    made(sequence, "the third", "/delete/2")
        .refuses("11 at once", parameters("DeleteParameters"), json!({ "Names": many }), MALFORMED)
        .refuses("none at once", parameters("DeleteParameters"), json!({ "Names": [] }), MALFORMED)
        .answers(
            "one there and one missing",
            parameters("DeleteParameters"),
            json!({ "Names": ["/delete/0", "/delete/missing"] }),
            json!({ "DeletedParameters": ["/delete/0"], "InvalidParameters": ["/delete/missing"] }),
        )
        .answers("one", parameters("DeleteParameter"), json!({ "Name": "/delete/1" }), json!({}))
        .refuses(
            "one once more",
            parameters("DeleteParameter"),
            json!({ "Name": "/delete/1" }),
            &["ParameterNotFound"],
        )
        .answers(
            "what is left",
            parameters("GetParameters"),
            json!({ "Names": ["/delete/0", "/delete/1", "/delete/2"] }),
            json!({
                "Parameters": [{ "Name": "/delete/2", "Value": "one" }],
                "InvalidParameters": ["/delete/0", "/delete/1"],
            }),
        )
        .refuses(
            "its tags are gone",
            parameters("ListTagsForResource"),
            json!({ "ResourceType": "Parameter", "ResourceId": "/delete/1" }),
            &["InvalidResourceId"],
        )
}
