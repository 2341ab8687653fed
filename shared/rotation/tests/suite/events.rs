//! What an event may be, and what is said of one that is not.

use rotation::{EventFault, FieldFault, RotationEvent, RotationStep, SecretId, VersionId};
use serde_json::{Value, json};

use crate::support::{SECRET_ID, VERSION, json_event};

const STEPS: &str = "createSecret, setSecret, testSecret or finishSecret";
const ARN: &str = "the ARN of a secret";
const ID: &str = "32 to 64 letters, digits and dashes";
const TOKEN: &str = "1 to 1,024 visible ASCII characters, or left out";

fn without(name: &str) -> Value {
    let mut event = json_event("setSecret", VERSION);
    event.as_object_mut().unwrap().remove(name);
    event
}

fn with(name: &str, value: Value) -> Value {
    let mut event = json_event("setSecret", VERSION);
    event[name] = value;
    event
}

fn fault(event: &Value) -> String {
    RotationEvent::parse(event).unwrap_err().to_string()
}

#[test]
fn each_step_is_read() {
    for (word, step) in [
        ("createSecret", RotationStep::Create),
        ("setSecret", RotationStep::Set),
        ("testSecret", RotationStep::Test),
        ("finishSecret", RotationStep::Finish),
    ] {
        let event = RotationEvent::parse(&json_event(word, VERSION)).unwrap();
        assert_eq!((event.step, event.step.to_string()), (step, word.to_owned()));
        assert_eq!((event.secret_id.as_str(), event.version.as_str()), (SECRET_ID, VERSION));
        assert!(event.rotation_token.is_none());
    }
    assert_eq!(RotationStep::ALL.map(RotationStep::as_str).join(" "), {
        "createSecret setSecret testSecret finishSecret"
    });
}

#[test]
fn what_need_not_be_there_need_not_be_there() {
    for token in ["x", "54d3e9d1-3c0c-4b1e-9d6f-0e2c1a7f5b6d", "a.b/c+d=~!", &"t".repeat(1024)] {
        let event = RotationEvent::parse(&with("RotationToken", json!(token))).unwrap();
        assert_eq!(event.rotation_token.unwrap().expose(), token);
    }
    for tolerated in [
        with("RotationToken", json!(null)),
        with("SomethingNew", json!({ "a": [1, null] })),
        with("step", json!(7)),
        with("", json!(null)),
        json!({
            "Step": "setSecret", "SecretId": SECRET_ID, "ClientRequestToken": VERSION, "RotationToken": null,
            "A": 1, "B": [], "C": {},
        }),
    ] {
        assert!(RotationEvent::parse(&tolerated).unwrap().rotation_token.is_none(), "{tolerated}");
    }
}

#[test]
fn what_has_no_fields_is_no_event() {
    let said = "the event is no JSON object: it must be one, with Step, SecretId and ClientRequestToken";
    for event in
        [json!(null), json!([]), json!("createSecret"), json!(1), json!(true), json!([json_event("", "")])]
    {
        assert_eq!(RotationEvent::parse(&event).unwrap_err(), EventFault::NotAnObject);
        assert_eq!(fault(&event), said, "{event}");
    }
}

#[test]
fn each_field_that_is_missing_is_named() {
    for (name, allowed) in [("Step", STEPS), ("SecretId", ARN), ("ClientRequestToken", ID)] {
        for event in [without(name), with(name, json!(null))] {
            assert_eq!(fault(&event), format!("{name} is missing: it must be {allowed}"));
        }
    }
    assert_eq!(fault(&json!({})), format!("Step is missing: it must be {STEPS}"));
}

#[test]
fn each_field_of_another_kind_is_named() {
    for (name, allowed) in
        [("Step", STEPS), ("SecretId", ARN), ("ClientRequestToken", ID), ("RotationToken", TOKEN)]
    {
        for value in [json!(1), json!(true), json!(["createSecret"]), json!({ "a": VERSION })] {
            let event = with(name, value);
            assert_eq!(fault(&event), format!("{name} is no text: it must be {allowed}"), "{event}");
        }
        let found = RotationEvent::parse(&with(name, json!(""))).unwrap_err();
        let fault = FieldFault::Malformed;
        assert!(matches!(found, EventFault::Field { name: n, fault: f, .. } if n == name && f == fault));
    }
}

#[test]
fn each_text_that_is_wrong_is_named() {
    let wrong = |name: &str, texts: &[&str], allowed: &str| {
        for text in texts {
            let said = format!("{name} is wrong: it must be {allowed}");
            assert_eq!(fault(&with(name, json!(text))), said, "{text:?}");
        }
    };
    wrong("Step", &["", "create", "CreateSecret", "createSecret ", "rotate", "setsecret"], STEPS);
    wrong(
        "ClientRequestToken",
        &[
            "",
            &"a".repeat(31),
            &"a".repeat(65),
            &format!("{VERSION} "),
            &format!("{VERSION}\n"),
            &VERSION.replace('-', "_"),
            &VERSION.replace('-', "."),
            &format!("{VERSION}ä"),
        ],
        ID,
    );
    wrong("RotationToken", &["", " ", "a b", "a\n", "a\u{0}", "ä", "\u{7f}", &"t".repeat(1025)], TOKEN);
    let arn = |partition: &str, region: &str, account: &str, name: &str| {
        format!("arn:{partition}:secretsmanager:{region}:{account}:secret:{name}")
    };
    wrong(
        "SecretId",
        &[
            "",
            "keys/a",
            &format!(" {SECRET_ID}"),
            &format!("{SECRET_ID}:"),
            &format!("{SECRET_ID}:AWSCURRENT"),
            &SECRET_ID.replace("arn:", "ARN:"),
            &SECRET_ID.replace("secretsmanager", "ssm"),
            &SECRET_ID.replace(":secret:", ":parameter:"),
            &arn("", "eu-central-1", "123456789012", "a"),
            &arn("AWS", "eu-central-1", "123456789012", "a"),
            &arn(&"a".repeat(33), "eu-central-1", "123456789012", "a"),
            &arn("aws", "", "123456789012", "a"),
            &arn("aws", "eu.central.1", "123456789012", "a"),
            &arn("aws", &"a".repeat(33), "123456789012", "a"),
            &arn("aws", "eu-central-1", "12345678901", "a"),
            &arn("aws", "eu-central-1", "1234567890123", "a"),
            &arn("aws", "eu-central-1", "12345678901x", "a"),
            &arn("aws", "eu-central-1", "123456789012", ""),
            &arn("aws", "eu-central-1", "123456789012", "a b"),
            &arn("aws", "eu-central-1", "123456789012", "a\n"),
            &arn("aws", "eu-central-1", "123456789012", "ä"),
            &arn("aws", "eu-central-1", "123456789012", &"a".repeat(520)),
        ],
        ARN,
    );
}

#[test]
fn what_the_names_may_be() {
    for good in [
        SECRET_ID,
        "arn:aws-cn:secretsmanager:cn-north-1:000000000000:secret:a",
        "arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:A_b+c=d.e@f/g-h0",
        &format!("arn:{}:secretsmanager:{}:123456789012:secret:a", "a".repeat(32), "b".repeat(32)),
        &format!("arn:aws:secretsmanager:eu-central-1:123456789012:secret:{}", "a".repeat(519)),
    ] {
        let id: SecretId = good.parse().unwrap();
        assert_eq!((id.as_str(), id.to_string()), (good, good.to_owned()));
    }
    for good in [VERSION, "EXAMPLE1-90ab-cdef-fedc-ba987EXAMPLE", &"a".repeat(32), &"-".repeat(64)] {
        let id: VersionId = good.parse().unwrap();
        assert_eq!((id.as_str(), id.to_string()), (good, good.to_owned()));
    }
    let not = |allowed: &str| format!("not {allowed}");
    assert_eq!("x".parse::<SecretId>().unwrap_err().to_string(), not(ARN));
    assert_eq!("x".parse::<VersionId>().unwrap_err().to_string(), not(ID));
    assert_eq!("x".parse::<RotationStep>().unwrap_err().to_string(), not(STEPS));
    assert_eq!("".parse::<rotation::RotationToken>().unwrap_err().to_string(), not(TOKEN));
}

#[test]
fn the_first_fault_is_told() {
    for (event, name) in [
        (json!({ "Step": "x", "SecretId": 1, "ClientRequestToken": 1, "RotationToken": 1 }), "Step"),
        (
            json!({ "Step": "setSecret", "SecretId": 1, "ClientRequestToken": 1, "RotationToken": 1 }),
            "SecretId",
        ),
        (
            json!({
                "Step": "setSecret", "SecretId": SECRET_ID, "ClientRequestToken": 1, "RotationToken": 1,
            }),
            "ClientRequestToken",
        ),
    ] {
        assert!(fault(&event).starts_with(&format!("{name} is ")), "{event}");
    }
}
