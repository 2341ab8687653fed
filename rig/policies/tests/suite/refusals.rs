//! What is refused when a policy is read, and where the error says it is.

use policies::{IdentityPolicy, PolicyError, ResourcePolicy};
use serde_json::{Value, json};

use crate::asking::allowing;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    Malformed,
    Unsupported,
}
use Fault::{Malformed, Unsupported};

fn fault<T: std::fmt::Debug>(read: Result<T, PolicyError>) -> (Fault, String) {
    match read.unwrap_err() {
        PolicyError::Malformed { place, .. } => (Malformed, place),
        PolicyError::Unsupported { place, .. } => (Unsupported, place),
        other => panic!("{other}"),
    }
}

fn of_identity(document: &Value) -> (Fault, String) {
    fault(IdentityPolicy::parse("identity", document))
}

#[test]
fn of_a_document() {
    let statement = || json!([{"Effect": "Allow", "Action": "*", "Resource": "*"}]);
    for (document, expected, place) in [
        (json!([]), Malformed, "the document"),
        (json!({}), Malformed, "the document"),
        (json!({"Statement": []}), Malformed, "Statement"),
        (json!({"Statement": ["x"]}), Malformed, "Statement[0]"),
        (json!({"Version": "2012-10-18", "Statement": statement()}), Malformed, "Version"),
        (json!({"Version": 2012, "Statement": statement()}), Malformed, "Version"),
        (json!({"Id": 1, "Statement": statement()}), Malformed, "Id"),
        (json!({"Statements": statement(), "Statement": statement()}), Unsupported, "Statements"),
        (
            json!({"Statement": [{"Sid": "A", "Effect": "Allow", "Action": "*", "Resource": "*"}, {"Sid": "A", "Effect": "Deny", "Action": "*", "Resource": "*"}]}),
            Malformed,
            "Statement[1].Sid",
        ),
    ] {
        assert_eq!(of_identity(&document), (expected, place.to_owned()), "{document}");
    }
    IdentityPolicy::parse("whole", &json!({"Version": "2012-10-17", "Id": "x", "Statement": statement()}))
        .unwrap();
}

#[test]
fn of_a_statement() {
    for (statement, expected, place) in [
        (json!({"Effect": "allow"}), Malformed, "Statement[0].Effect"),
        (json!({"Effect": null}), Malformed, "Statement[0].Effect"),
        (json!({"Sid": "No blanks"}), Malformed, "Statement[0].Sid"),
        (json!({"Sid": 7}), Malformed, "Statement[0].Sid"),
        (json!({"Sid": "Named", "Conditions": {}}), Unsupported, "Statement[0] (Named).Conditions"),
        (json!({"Principal": "*"}), Malformed, "Statement[0]"),
        (json!({"NotPrincipal": "*"}), Unsupported, "Statement[0]"),
        (json!({"Action": null}), Malformed, "Statement[0]"),
        (json!({"NotAction": "kms:*"}), Malformed, "Statement[0]"),
        (json!({"Action": []}), Malformed, "Statement[0].Action"),
        (json!({"Action": [7]}), Malformed, "Statement[0].Action[0]"),
        (json!({"Action": "Decrypt"}), Malformed, "Statement[0].Action"),
        (json!({"Action": "*:Decrypt"}), Malformed, "Statement[0].Action"),
        (json!({"Action": "k*:Decrypt"}), Malformed, "Statement[0].Action"),
        (json!({"Action": "kms:"}), Malformed, "Statement[0].Action"),
        (json!({"Action": "kms:${aws:username}"}), Malformed, "Statement[0].Action"),
        (json!({"Resource": null}), Malformed, "Statement[0]"),
        (json!({"NotResource": "*"}), Malformed, "Statement[0]"),
        (json!({"Resource": []}), Malformed, "Statement[0].Resource"),
        (json!({"Resource": "secret"}), Malformed, "Statement[0].Resource"),
        (json!({"Resource": "arn:aws:sqs"}), Unsupported, "Statement[0].Resource"),
        (json!({"Resource": "arn:*:sqs:*:*:*"}), Malformed, "Statement[0].Resource"),
        (json!({"Resource": "arn:aws:s*:*:*:*"}), Malformed, "Statement[0].Resource"),
        (json!({"Resource": "arn:aws:ssm:*:${aws:PrincipalAccount}:*"}), Malformed, "Statement[0].Resource"),
        (json!({"Resource": "arn:aws:ssm:*:*:${aws:userid}"}), Unsupported, "Statement[0].Resource"),
        (json!({"Resource": "arn:aws:ssm:*:*:${aws:TagKeys}"}), Unsupported, "Statement[0].Resource"),
        (json!({"Resource": "arn:aws:ssm:*:*:${aws:PrincipalTag/}"}), Unsupported, "Statement[0].Resource"),
        (json!({"Resource": "arn:aws:ssm:*:*:${aws:username"}), Malformed, "Statement[0].Resource"),
        (json!({"Resource": "arn:aws:ssm:*:*:${aws:username, x}"}), Malformed, "Statement[0].Resource"),
    ] {
        let document = allowing(statement);
        assert_eq!(of_identity(&document), (expected, place.to_owned()), "{document}");
    }
}

#[test]
fn of_a_condition() {
    let page = "Statement[0].Condition";
    for (condition, expected, place) in [
        (json!([]), Malformed, String::new()),
        (json!({"StringEquals": "x"}), Malformed, ".StringEquals".to_owned()),
        (json!({"StringEquals": {"test:key": []}}), Malformed, ".StringEquals.test:key".to_owned()),
        (json!({"StringEquals": {"test:key": null}}), Malformed, ".StringEquals.test:key".to_owned()),
        (json!({"StringEquals": {"test:key": [{}]}}), Malformed, ".StringEquals.test:key[0]".to_owned()),
        (json!({"StringEqual": {"test:key": "a"}}), Unsupported, ".StringEqual".to_owned()),
        (json!({"stringequals": {"test:key": "a"}}), Unsupported, ".stringequals".to_owned()),
        (json!({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}), Unsupported, ".IpAddress".to_owned()),
        (json!({"BinaryEquals": {"test:key": "YQ=="}}), Unsupported, ".BinaryEquals".to_owned()),
        (json!({"NullIfExists": {"test:key": "true"}}), Unsupported, ".NullIfExists".to_owned()),
        (json!({"ForAllValues:Null": {"test:key": "true"}}), Unsupported, ".ForAllValues:Null".to_owned()),
        (
            json!({"ForSomeValues:StringEquals": {"test:key": "a"}}),
            Unsupported,
            ".ForSomeValues:StringEquals".to_owned(),
        ),
        (json!({"Null": {"test:key": "yes"}}), Malformed, ".Null.test:key".to_owned()),
        (json!({"Null": {"test:key": ["true", "false"]}}), Malformed, ".Null.test:key".to_owned()),
        (json!({"Bool": {"test:key": "yes"}}), Malformed, ".Bool.test:key".to_owned()),
        (json!({"NumericEquals": {"test:key": "ten"}}), Malformed, ".NumericEquals.test:key".to_owned()),
        (json!({"NumericEquals": {"test:key": "NaN"}}), Malformed, ".NumericEquals.test:key".to_owned()),
        (json!({"DateEquals": {"test:key": "tomorrow"}}), Malformed, ".DateEquals.test:key".to_owned()),
        (json!({"ArnEquals": {"aws:SourceArn": "*"}}), Malformed, ".ArnEquals.aws:SourceArn".to_owned()),
        (
            json!({"StringEquals": {"aws:PrincipleArn": "a"}}),
            Unsupported,
            ".StringEquals.aws:PrincipleArn".to_owned(),
        ),
        (
            json!({"StringEquals": {"aws:RequestTag": "a"}}),
            Unsupported,
            ".StringEquals.aws:RequestTag".to_owned(),
        ),
        (json!({"StringEquals": {"key": "a"}}), Unsupported, ".StringEquals.key".to_owned()),
        (json!({"StringEquals": {"aws:TagKeys": "a"}}), Malformed, ".StringEquals.aws:TagKeys".to_owned()),
        (
            json!({"StringEquals": {"kms:EncryptionContextKeys": "a"}}),
            Malformed,
            ".StringEquals.kms:EncryptionContextKeys".to_owned(),
        ),
        (
            json!({"StringEquals": {"test:key": "${aws:SourceIp}"}}),
            Unsupported,
            ".StringEquals.test:key".to_owned(),
        ),
        (
            json!({"StringEquals": {"test:key": "${nothing}"}}),
            Unsupported,
            ".StringEquals.test:key".to_owned(),
        ),
    ] {
        let document = allowing(json!({ "Condition": condition }));
        assert_eq!(of_identity(&document), (expected, format!("{page}{place}")), "{document}");
    }
}

#[test]
fn of_principals() {
    let here = "Statement[0].Principal";
    for (principal, expected, place) in [
        (Value::Null, Malformed, "Statement[0]".to_owned()),
        (json!("111122223333"), Malformed, here.to_owned()),
        (json!({}), Malformed, here.to_owned()),
        (json!({"AWS": []}), Malformed, format!("{here}.AWS")),
        (json!({"AWS": "reader"}), Malformed, format!("{here}.AWS")),
        (json!({"AWS": "11112222333"}), Malformed, format!("{here}.AWS")),
        (json!({"AWS": "arn:aws:iam::111122223333:role/*"}), Malformed, format!("{here}.AWS")),
        (json!({"AWS": "arn:aws:iam::*:root"}), Malformed, format!("{here}.AWS")),
        (json!({"AWS": "arn:aws:iam::111122223333:group/a"}), Malformed, format!("{here}.AWS")),
        (json!({"AWS": "arn:aws:sts::111122223333:assumed-role/reader/*"}), Malformed, format!("{here}.AWS")),
        (json!({"AWS": "arn:aws:sts::111122223333:assumed-role/reader"}), Malformed, format!("{here}.AWS")),
        (
            json!({"AWS": "arn:aws:sts::111122223333:federated-user/alice"}),
            Unsupported,
            format!("{here}.AWS"),
        ),
        (json!({"AWS": "AROAEXAMPLEEXAMPLE123"}), Malformed, format!("{here}.AWS")),
        (json!({"Service": "lambda"}), Malformed, format!("{here}.Service")),
        (json!({"Service": "*"}), Malformed, format!("{here}.Service")),
        (json!({"Federated": "accounts.google.com"}), Unsupported, format!("{here}.Federated")),
        (json!({"CanonicalUser": "79a5"}), Unsupported, format!("{here}.CanonicalUser")),
    ] {
        let document = allowing(json!({ "Principal": principal }));
        assert_eq!(fault(ResourcePolicy::parse("resource", &document)), (expected, place), "{document}");
    }
    let not = allowing(json!({"NotPrincipal": {"AWS": "111122223333"}}));
    assert_eq!(fault(ResourcePolicy::parse("resource", &not)), (Unsupported, "Statement[0]".to_owned()));
    let trust = allowing(json!({"Principal": {"Service": "lambda.amazonaws.com"}}));
    assert_eq!(fault(ResourcePolicy::trust("trust", &trust)), (Malformed, "Statement[0]".to_owned()));
}

/// A parser that keeps the last of two would drop a condition.
#[test]
fn of_text() {
    let twice = r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*",
        "Condition": {"StringEquals": {"a:b": "c"}, "StringEquals": {"a:d": "e"}}}}"#;
    let error = IdentityPolicy::from_json("twice", twice).unwrap_err().to_string();
    assert!(error.starts_with("policy twice, the document: StringEquals stands twice"), "{error}");
    assert!(IdentityPolicy::from_json("cut", "{").is_err());
    let once = twice.replacen(r#""StringEquals": {"a:b": "c"}, "#, "", 1);
    assert!(IdentityPolicy::from_json("once", &once).is_ok());
    let principal = once.replacen(r#""Action""#, r#""Principal": "*", "Action""#, 1);
    assert!(ResourcePolicy::from_json("once", &principal).is_ok());
}
