//! Which id an event gives.

use custom_resource::{IdentityScheme, LogicalId, PhysicalResourceId, Properties, StackId};
use serde_json::{Value, json};

use crate::support::{DECLARATION, STACK_ID, scheme};

fn properties(value: Value) -> Properties {
    let Value::Object(map) = value else { panic!("an object") };
    Properties::from(map)
}

fn derive(stack_id: &str, logical_id: &str, value: Value) -> String {
    let stack_id: StackId = stack_id.parse().unwrap();
    let logical_id: LogicalId = logical_id.parse().unwrap();
    scheme().derive(&stack_id, &logical_id, &properties(value)).to_string()
}

/// The digests are those of `printf '<stack id>\0<logical id>' | sha256sum`.
#[test]
fn vectors() {
    let china =
        "arn:aws-cn:cloudformation:cn-north-1:210987654321:stack/x/11111111-2222-3333-4444-555555555555";
    for (stack_id, logical_id, given, expected) in [
        (STACK_ID, "NodeKeys", json!({"Cluster": "a"}), "keys/plain/a/75da44a1a4b9467f"),
        (STACK_ID, "Other", json!({"Cluster": "a"}), "keys/plain/a/40693843d253b062"),
        (
            china,
            "A",
            json!({"Cluster": "main", "Namespace": "team/chain"}),
            "keys/team/chain/main/7d476c62c236df03",
        ),
    ] {
        assert_eq!(derive(stack_id, logical_id, given), expected);
    }
}

#[test]
fn a_value_that_cannot_stand_in_an_id_becomes_a_dash() {
    let longest = "x".repeat(64);
    for (value, expected) in [
        (json!("A-Za-z0-9/_."), "A-Za-z0-9/_."),
        (json!(longest), longest.as_str()),
        (json!("x".repeat(65)), "-"),
        (json!(""), "-"),
        (json!("a b"), "-"),
        (json!("a\u{0}"), "-"),
        (json!("ä"), "-"),
        (json!("a:b"), "-"),
        (json!(7), "-"),
        (json!(true), "-"),
        (json!(null), "-"),
        (json!(["a"]), "-"),
        (json!({"a": "b"}), "-"),
    ] {
        assert_eq!(
            derive(STACK_ID, "NodeKeys", json!({"Cluster": value})),
            format!("keys/plain/{expected}/{DECLARATION}"),
        );
    }
}

#[test]
fn an_absent_value_is_its_default_and_a_bad_one_is_not() {
    assert_eq!(derive(STACK_ID, "NodeKeys", json!({})), format!("keys/plain/-/{DECLARATION}"));
    assert_eq!(
        derive(STACK_ID, "NodeKeys", json!({"Namespace": 3, "Cluster": "a"})),
        format!("keys/-/a/{DECLARATION}"),
    );
}

#[test]
fn other_properties_change_nothing() {
    assert_eq!(
        derive(STACK_ID, "NodeKeys", json!({"Cluster": "a", "Nodes": ["0", "1"], "cluster": "b"})),
        derive(STACK_ID, "NodeKeys", json!({"Cluster": "a"})),
    );
}

#[test]
fn the_longest_derived_id_is_an_id() {
    let names = ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M", "N"];
    let prefix: &'static str = "pppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp";
    let scheme = names.iter().fold(IdentityScheme::new(prefix), |scheme, name| scheme.property(name, None));
    let values: serde_json::Map<String, Value> =
        names.iter().map(|name| ((*name).to_owned(), json!("v".repeat(64)))).collect();
    let id =
        scheme.derive(&STACK_ID.parse().unwrap(), &"NodeKeys".parse().unwrap(), &Properties::from(values));
    assert_eq!(id.as_str().len(), 991);
    assert_eq!(id.as_str().parse::<PhysicalResourceId>().unwrap(), id);
}

#[test]
#[should_panic(expected = "at most 14")]
fn a_fifteenth_property_is_a_mistake() {
    let _ = (0..15).fold(IdentityScheme::new("x"), |scheme, _| scheme.property("A", None));
}

#[test]
fn what_an_id_may_be() {
    for good in ["x", "a b", "stack-Thing-1ABC", "ä/ö", &"x".repeat(1024), &"ä".repeat(512)] {
        assert!(good.parse::<PhysicalResourceId>().is_ok(), "{good}");
    }
    for bad in ["", "\n", "a\u{0}", "a\u{7f}", "a\u{85}", &"x".repeat(1025), &"ä".repeat(513)] {
        assert!(bad.parse::<PhysicalResourceId>().is_err(), "{bad:?}");
    }
}

#[test]
fn the_identity_is_what_stands_before_the_last_slash() {
    for (id, identity) in [("keys/a/b/0123", "keys/a/b"), ("made-up", "made-up"), ("/x", ""), ("x/", "x")] {
        assert_eq!(id.parse::<PhysicalResourceId>().unwrap().identity(), identity);
    }
}

#[test]
fn what_a_stack_id_may_be() {
    let stack_id: StackId = STACK_ID.parse().unwrap();
    assert_eq!(stack_id.to_string(), STACK_ID);
    assert_eq!(stack_id.partition().as_str(), "aws");
    assert_eq!(stack_id.region(), "eu-central-1");
    assert_eq!(stack_id.account(), "123456789012");
    assert_eq!(stack_id.name(), "cluster-a");
    assert_eq!(stack_id.uuid(), "5b0c9c5e-1f6d-11f0-8f1a-0a1b2c3d4e5f");

    let arn = |partition: &str, region: &str, account: &str, rest: &str| {
        format!("arn:{partition}:cloudformation:{region}:{account}:{rest}")
    };
    let account = "123456789012";
    for good in [
        arn("aws-cn", "cn-northwest-1", account, "stack/s/1"),
        arn("aws-us-gov", "us-gov-west-1", account, "stack/s/1"),
        arn("aws", "ap-southeast-4", "000000000000", &format!("stack/{}/1", "s".repeat(128))),
        // Regions that are yet to come.
        arn("aws", "zz-elsewhere-12", account, "stack/s/1"),
        arn("aws-cn", "cn-south-1", account, "stack/s/1"),
        arn("aws-us-gov", "us-gov-central-1", account, "stack/s/1"),
    ] {
        assert_eq!(good.parse::<StackId>().unwrap().as_str(), good);
    }
    for bad in [
        String::new(),
        "stack".to_owned(),
        format!(" {STACK_ID}"),
        format!("{STACK_ID}:"),
        format!("{STACK_ID}/"),
        STACK_ID.replace("arn:", "ARN:"),
        STACK_ID.replace("cloudformation", "lambda"),
        arn("aws-other", "eu-central-1", account, "stack/s/1"),
        arn("", "eu-central-1", account, "stack/s/1"),
        arn("aws", "", account, "stack/s/1"),
        arn("aws", "eu.central.1", account, "stack/s/1"),
        arn("aws", "EU-central-1", account, "stack/s/1"),
        arn("aws", "-", account, "stack/s/1"),
        arn("aws", "x/@evil.example", account, "stack/s/1"),
        arn("aws", "eu", account, "stack/s/1"),
        arn("aws", "eu-central", account, "stack/s/1"),
        arn("aws", "eu-central-", account, "stack/s/1"),
        arn("aws", "eu-central-x", account, "stack/s/1"),
        arn("aws", "eu-central-123", account, "stack/s/1"),
        arn("aws", "eu--1", account, "stack/s/1"),
        arn("aws", "eu-1-1", account, "stack/s/1"),
        arn("aws", "e1-central-1", account, "stack/s/1"),
        arn("aws", "eur-central-1", account, "stack/s/1"),
        arn("aws", "-central-1", account, "stack/s/1"),
        arn("aws", "eu-central-1-2", account, "stack/s/1"),
        arn("aws", "eu-central-1a", account, "stack/s/1"),
        arn("aws", &format!("eu-{}-1", "a".repeat(25)), account, "stack/s/1"),
        // Another partition's, and one of none that is known here.
        arn("aws", "cn-north-1", account, "stack/s/1"),
        arn("aws", "us-gov-west-1", account, "stack/s/1"),
        arn("aws", "us-iso-east-1", account, "stack/s/1"),
        arn("aws-cn", "eu-central-1", account, "stack/s/1"),
        arn("aws-cn", "us-gov-west-1", account, "stack/s/1"),
        arn("aws-us-gov", "us-west-1", account, "stack/s/1"),
        arn("aws-us-gov", "cn-north-1", account, "stack/s/1"),
        arn("aws-us-gov", "us-gov-1", account, "stack/s/1"),
        arn("aws", "eu-central-1", "12345678901", "stack/s/1"),
        arn("aws", "eu-central-1", "12345678901x", "stack/s/1"),
        arn("aws", "eu-central-1", account, "stack/s"),
        arn("aws", "eu-central-1", account, "stack//1"),
        arn("aws", "eu-central-1", account, "stack/s/1/2"),
        arn("aws", "eu-central-1", account, "stackset/s/1"),
        arn("aws", "eu-central-1", account, "stack/s s/1"),
        arn("aws", "eu-central-1", account, "stack/s\n/1"),
        arn("aws", "eu-central-1", account, &format!("stack/{}/1", "s".repeat(129))),
    ] {
        assert!(bad.parse::<StackId>().is_err(), "{bad}");
    }
}
