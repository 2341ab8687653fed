//! Condition operators. Pages are of the IAM User Guide.

use policies::{Context, EvaluationError, Request, Target};
use serde_json::{Value, json};

use crate::asking::{HERE, allows, identity, reader, try_answer};

/// Page, condition, values of the key `test:key` in the request, whether the condition holds.
type Case = (&'static str, Value, &'static [&'static str], bool);

fn check(cases: Vec<Case>) {
    for (page, condition, values, holds) in cases {
        let context = Context::new().with_all("test:key", values.iter().copied());
        let statement = json!({ "Condition": condition });
        assert_eq!(allows(&statement, "test:Do", "*", context), holds, "{page}: {condition} with {values:?}");
    }
}

fn of(operator: &str, expected: Value) -> Value {
    let object = |name: &str, value: Value| Value::from_iter([(name, value)]);
    object(operator, object("test:key", expected))
}

#[test]
fn strings() {
    let page = "Condition operators, String condition operators";
    check(vec![
        (page, of("StringEquals", json!("a")), &["a"], true),
        (page, of("StringEquals", json!("a")), &["A"], false),
        (page, of("StringEquals", json!("a*")), &["ab"], false),
        (page, of("StringEquals", json!("a*")), &["a*"], true),
        (page, of("StringEquals", json!(["a", "b"])), &["b"], true),
        (page, of("StringEquals", json!(["a", "b"])), &["c"], false),
        (page, of("StringEquals", json!("true")), &["true"], true),
        (page, of("StringEquals", json!(true)), &["true"], true),
        (page, of("StringEquals", json!(7)), &["7"], true),
        (page, of("StringNotEquals", json!("a")), &["b"], true),
        (page, of("StringNotEquals", json!("a")), &["a"], false),
        (page, of("StringNotEquals", json!("a*")), &["ab"], true),
        (page, of("StringEqualsIgnoreCase", json!("Straße")), &["STRAßE"], true),
        (page, of("StringEqualsIgnoreCase", json!("a")), &["b"], false),
        (page, of("StringEqualsIgnoreCase", json!("a*")), &["ab"], false),
        (page, of("StringNotEqualsIgnoreCase", json!("a")), &["A"], false),
        (page, of("StringNotEqualsIgnoreCase", json!("a")), &["B"], true),
        (page, of("StringLike", json!("a*c")), &["abbc"], true),
        (page, of("StringLike", json!("a*c")), &["ac"], true),
        (page, of("StringLike", json!("a*c")), &["abbd"], false),
        (page, of("StringLike", json!("a?c")), &["abc"], true),
        (page, of("StringLike", json!("a?c")), &["ac"], false),
        (page, of("StringLike", json!("a?c")), &["abbc"], false),
        (page, of("StringLike", json!("a*")), &["Ab"], false),
        (page, of("StringLike", json!("*:b")), &["a:a:b"], true),
        (page, of("StringLike", json!("*a*a*a*b")), &["aaaaaaaaaaaaaaaaaaaaaaaa"], false),
        (page, of("StringNotLike", json!("a*")), &["ab"], false),
        (page, of("StringNotLike", json!("a*")), &["ba"], true),
    ]);
}

#[test]
fn several_expected_values() {
    let page = "Conditions with multiple context keys or values";
    check(vec![
        // Any may match; for a negated operator none may.
        (page, of("StringNotEquals", json!(["a", "b"])), &["b"], false),
        (page, of("StringNotEquals", json!(["a", "b"])), &["c"], true),
        (page, of("StringNotLike", json!(["a*", "b*"])), &["bc"], false),
        (page, of("ArnNotLike", json!(["arn:aws:a:::x", "arn:aws:a:::y"])), &["arn:aws:a:::y"], false),
        (page, of("NumericNotEquals", json!([1, 2])), &["2"], false),
        (page, of("NumericNotEquals", json!([1, 2])), &["3"], true),
    ]);
    // Operators and keys all have to hold.
    let statement = |b: &str| json!({"Condition": {"StringEquals": {"test:key": "a", "test:other": b}, "StringLike": {"test:key": "*"}}});
    let context = || Context::new().with("test:key", "a").with("test:other", "b");
    assert!(allows(&statement("b"), "test:Do", "*", context()));
    assert!(!allows(&statement("c"), "test:Do", "*", context()));
}

#[test]
fn arns() {
    let page = "Condition operators, Amazon Resource Name (ARN) condition operators";
    let value: &[&str] =
        &["arn:aws:someservice:us-east-2:999999999999:store/abc:111122223333:finance/document.txt"];
    let role: &[&str] = &["arn:aws:iam::111122223333:role/reader"];
    check(vec![
        // The page's own example.
        (page, of("StringLike", json!("arn:aws:someservice:*:111122223333:finance/*")), value, true),
        (page, of("ArnLike", json!("arn:aws:someservice:*:111122223333:finance/*")), value, false),
        (page, of("ArnEquals", json!("arn:aws:iam::111122223333:role/reader")), role, true),
        (page, of("ArnEquals", json!("arn:aws:iam::111122223333:role/*")), role, true),
        (page, of("ArnLike", json!("arn:aws:iam::*:role/read??")), role, true),
        (page, of("ArnLike", json!("arn:aws:iam::*:role/read?")), role, false),
        (page, of("ArnLike", json!("arn:aws:iam::111122223333:role/READER")), role, false),
        (page, of("ArnEquals", json!("arn:aws:iam::*:*")), &["arn:aws:iam::1:a:b:c"], true),
        (page, of("ArnNotEquals", json!("arn:aws:iam::111122223333:role/*")), role, false),
        (page, of("ArnNotLike", json!("arn:aws:iam::444455556666:role/*")), role, true),
        (page, of("ArnEquals", json!("arn:aws:iam::111122223333:role/*")), &["reader"], false),
        (page, of("ArnNotEquals", json!("arn:aws:iam::111122223333:role/*")), &["reader"], true),
    ]);
}

#[test]
fn booleans_numbers_and_dates() {
    let page = "Condition operators, Boolean, Numeric and Date condition operators";
    check(vec![
        (page, of("Bool", json!("true")), &["true"], true),
        (page, of("Bool", json!(true)), &["true"], true),
        (page, of("Bool", json!("false")), &["true"], false),
        (page, of("Bool", json!(["true", "false"])), &["false"], true),
        (page, of("Bool", json!("true")), &["yes"], false),
        (page, of("NumericEquals", json!("10")), &["10.0"], true),
        (page, of("NumericEquals", json!(10)), &["11"], false),
        (page, of("NumericNotEquals", json!(10)), &["11"], true),
        (page, of("NumericLessThan", json!(10)), &["10"], false),
        (page, of("NumericLessThan", json!(10)), &["9"], true),
        (page, of("NumericLessThanEquals", json!(10)), &["10"], true),
        (page, of("NumericLessThanEquals", json!(10)), &["11"], false),
        (page, of("NumericGreaterThan", json!(10)), &["10"], false),
        (page, of("NumericGreaterThan", json!(9)), &["10"], true),
        (page, of("NumericGreaterThanEquals", json!(10)), &["10"], true),
        (page, of("NumericGreaterThanEquals", json!(10)), &["9"], false),
        (page, of("NumericEquals", json!(10)), &["ten"], false),
        (page, of("NumericNotEquals", json!(10)), &["ten"], true),
        (page, of("DateEquals", json!("2026-01-02T03:04:05Z")), &["2026-01-02T04:04:05+01:00"], true),
        (page, of("DateEquals", json!("2026-01-02T03:04:05Z")), &["1767323045"], true),
        (page, of("DateEquals", json!("2026-01-02T03:04:05Z")), &["1767323046"], false),
        (page, of("DateNotEquals", json!("2026-01-02")), &["2026-01-02T00:00:00Z"], false),
        (page, of("DateNotEquals", json!("2026-01-02")), &["2026-01-02T00:00:01Z"], true),
        (page, of("DateLessThan", json!("2026-01-02")), &["2026-01-01T23:59:59Z"], true),
        (page, of("DateLessThan", json!("2026-01-02")), &["2026-01-02T00:00:00Z"], false),
        (page, of("DateLessThanEquals", json!("2026-01-02")), &["2026-01-02T00:00:00Z"], true),
        (page, of("DateLessThanEquals", json!("2026-01-02")), &["2026-01-02T00:00:01Z"], false),
        (page, of("DateGreaterThan", json!("2026-01-02")), &["2026-01-02T00:00:01Z"], true),
        (page, of("DateGreaterThan", json!("2026-01-02")), &["2026-01-02T00:00:00Z"], false),
        (page, of("DateGreaterThanEquals", json!("2026-01-02")), &["2026-01-02T00:00:00Z"], true),
        (page, of("DateGreaterThanEquals", json!("2026-01-02")), &["2026-01-01T23:59:59Z"], false),
    ]);
}

#[test]
fn an_absent_key() {
    let page = "Condition operators, Important: if the key is not present";
    let arn = "arn:aws:a:::b";
    let mut cases: Vec<Case> = vec![
        (page, of("Null", json!("true")), &[], true),
        (page, of("Null", json!("true")), &["a"], false),
        (page, of("Null", json!("false")), &[], false),
        (page, of("Null", json!("false")), &["a"], true),
        (page, of("Null", json!(false)), &["a"], true),
    ];
    let operators = [
        ("StringEquals", "a", false),
        ("StringNotEquals", "a", true),
        ("StringEqualsIgnoreCase", "a", false),
        ("StringNotEqualsIgnoreCase", "a", true),
        ("StringLike", "*", false),
        ("StringNotLike", "*", true),
        ("ArnEquals", arn, false),
        ("ArnLike", arn, false),
        ("ArnNotEquals", arn, true),
        ("ArnNotLike", arn, true),
        ("Bool", "false", false),
        ("NumericEquals", "0", false),
        ("NumericNotEquals", "0", true),
        ("NumericLessThan", "1", false),
        ("DateLessThan", "2026-01-02", false),
        ("DateNotEquals", "2026-01-02", true),
    ];
    for (operator, value, holds) in operators {
        cases.push((page, of(operator, json!(value)), &[], holds));
        // "If the key is not present, evaluate the condition element as true."
        cases.push((
            "...IfExists condition operators",
            of(&format!("{operator}IfExists"), json!(value)),
            &[],
            true,
        ));
    }
    check(cases);
    let page = "...IfExists condition operators";
    check(vec![
        (page, of("StringEqualsIfExists", json!("a")), &["a"], true),
        (page, of("StringEqualsIfExists", json!("a")), &["b"], false),
        (page, of("StringNotEqualsIfExists", json!("a")), &["a"], false),
        (page, of("BoolIfExists", json!("true")), &["false"], false),
    ]);
}

#[test]
fn sets() {
    let page = "Set operators for multivalued context keys";
    check(vec![
        (page, of("ForAllValues:StringEquals", json!(["a", "b", "c"])), &["a", "b"], true),
        (page, of("ForAllValues:StringEquals", json!(["a", "b", "c"])), &["a", "d"], false),
        (page, of("ForAllValues:StringEquals", json!(["a", "b", "c"])), &[], true),
        (page, of("ForAllValues:StringEquals", json!(["a"])), &[""], true),
        (page, of("ForAnyValue:StringEquals", json!(["a", "b", "c"])), &["a", "d"], true),
        (page, of("ForAnyValue:StringEquals", json!(["a", "b", "c"])), &["d", "e"], false),
        (page, of("ForAnyValue:StringEquals", json!(["a", "b", "c"])), &[], false),
        (page, of("ForAnyValue:StringLike", json!("*")), &[""], false),
        (page, of("ForAllValues:StringLike", json!("a*")), &["ab", "ac"], true),
        (page, of("ForAllValues:StringLike", json!("a*")), &["ab", "bc"], false),
        (page, of("ForAllValues:StringNotEquals", json!(["a", "b"])), &["c", "d"], true),
        (page, of("ForAllValues:StringNotEquals", json!(["a", "b"])), &["c", "a"], false),
        (page, of("ForAllValues:StringNotEquals", json!(["a"])), &[], true),
        (page, of("ForAnyValue:StringNotEquals", json!(["a", "b"])), &["c", "a"], true),
        (page, of("ForAnyValue:StringNotEquals", json!(["a", "b"])), &["b", "a"], false),
        (page, of("ForAnyValue:StringNotEquals", json!(["a"])), &[], false),
        (page, of("ForAnyValue:ArnLike", json!("arn:aws:a:::*")), &["arn:aws:b:::x", "arn:aws:a:::x"], true),
        (page, of("ForAnyValue:NumericLessThan", json!(3)), &["4", "2"], true),
        (page, of("ForAllValues:NumericLessThan", json!(3)), &["4", "2"], false),
        (page, of("ForAnyValue:Bool", json!("true")), &["false", "true"], true),
        (page, of("ForAnyValue:StringEqualsIfExists", json!("a")), &[], true),
        (page, of("ForAnyValue:StringEqualsIfExists", json!("a")), &["b"], false),
    ]);
}

/// "Multivalued context keys require a condition set operator": what happens without one is not said.
#[test]
fn one_operator_on_several_values_is_no_answer() {
    let request = Request::new(reader(HERE), "test:Do", "*");
    let request = request.with(Context::new().with_all("test:key", ["a", "b"]));
    let policy = identity(json!({"Condition": of("StringEquals", json!("a"))}));
    let answer = try_answer(&request, &[policy], &Target::in_account(HERE));
    assert!(matches!(answer, Err(EvaluationError::SeveralValues { .. })), "{answer:?}");
}

/// "IAM JSON policy elements: Condition": names of keys are not case-sensitive; KMS Developer Guide,
/// "kms:EncryptionContext:context-key", "Case sensitivity of the encryption context condition".
#[test]
fn names_of_keys_are_not_case_sensitive() {
    let context =
        || Context::new().with("kms:EncryptionContext:AppName", "One").with("aws:RequestTag/Team", "Red");
    for (key, value, holds) in [
        ("kms:EncryptionContext:appname", "One", true),
        ("KMS:encryptioncontext:APPNAME", "One", true),
        ("kms:EncryptionContext:AppName", "one", false),
        ("AWS:requesttag/TEAM", "Red", true),
        ("aws:RequestTag/Team", "red", false),
    ] {
        let statement = json!({"Condition": {"StringEquals": {key: value}}});
        assert_eq!(allows(&statement, "kms:Encrypt", "*", context()), holds, "{key} {value}");
    }
    let keys = Context::new().with("kms:EncryptionContextKeys", "AppName");
    let statement =
        |name: &str| json!({"Condition": {"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": name}}});
    assert!(allows(&statement("AppName"), "kms:Encrypt", "*", keys.clone()));
    assert!(!allows(&statement("appname"), "kms:Encrypt", "*", keys));
}
