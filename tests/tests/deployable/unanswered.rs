//! The same of `unanswered`: with what it starts, where its answer goes and what it prints.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rig::functions::{Build, bootstrap};
use rig::runtime::{self, Ended, Environment, Function, LAMBDA_LIBRARY_PATH, Outcome};
use serde_json::{Value, json};

use crate::answering::{Ear, SIGNATURE, VALUE, loopback_urls};
use crate::starting::{CANARY, TAMPERING, check_refusal};
use crate::surroundings::{PATIENCE, REGION, STACK, event, properties, refused_by};

/// The time of a record. Nothing can be reached, so it may well be used up.
const TIME: Duration = Duration::from_secs(1);
/// The function that is answered for.
const NODE_KEYS: &str = "arn:aws:lambda:xx-none-1:123456789012:function:kms-NodeKeysFunction";

fn deployable() -> PathBuf {
    bootstrap("unanswered", Build::Deployable).unwrap()
}

/// What Lambda and the template set.
fn environment() -> Environment {
    let mut environment = runtime::environment("unanswered");
    for (name, value) in [
        ("AWS_REGION", REGION),
        ("AWS_DEFAULT_REGION", REGION),
        ("KEYBOOT_FUNCTION_ARN", NODE_KEYS),
        ("KEYBOOT_STACK_IDS", STACK),
    ] {
        environment.insert(name.to_owned(), value.to_owned());
    }
    environment
}

#[test]
fn there_is_no_aws_sdk_in_it() {
    // Panics name the files that they come from, so a crate that is linked is named.
    let names = |program: PathBuf, part: &str| {
        let program = std::fs::read(program).unwrap();
        program.windows(part.len()).any(|window| window == part.as_bytes())
    };
    assert!(names(deployable(), "lambda_runtime-"));
    for part in ["aws-sdk-", "aws-smithy-", "provisioning/src"] {
        assert!(!names(deployable(), part), "{part}");
        assert!(names(bootstrap("node-keys", Build::Deployable).unwrap(), part), "{part} is nowhere");
    }
}

async fn check_refused_with(name: &str, value: &str) {
    let mut environment = environment();
    environment.insert(name.to_owned(), value.to_owned());
    check_refusal(&refused_by(&deployable(), &environment).await, name);
}

#[tokio::test]
async fn a_tampered_environment_stops_it_before_it_asks_for_a_record() {
    for variable in TAMPERING {
        check_refused_with(variable, &format!("/{CANARY}/none")).await;
        check_refused_with(variable, "").await;
    }
    check_refused_with("LD_LIBRARY_PATH", &format!("{LAMBDA_LIBRARY_PATH}:/{CANARY}")).await;
}

#[tokio::test]
async fn a_setting_that_is_missing_or_of_no_use_stops_it_with_one_line_that_names_it() {
    let wrong = [
        ("KEYBOOT_FUNCTION_ARN", format!("{NODE_KEYS}:$LATEST")),
        ("KEYBOOT_FUNCTION_ARN", CANARY.to_owned()),
        ("KEYBOOT_FUNCTION_ARN", format!("arn:aws:lambda:xx-none-1:123456789012:layer:{CANARY}")),
        ("KEYBOOT_FUNCTION_ARN", "arn:aws:lambda:xx-none-1:123456789012:function:".to_owned()),
        ("KEYBOOT_STACK_IDS", CANARY.to_owned()),
        ("KEYBOOT_STACK_IDS", ",".to_owned()),
        ("KEYBOOT_STACK_IDS", format!("{STACK},{CANARY}")),
    ];
    for (name, value) in wrong {
        check_refused_with(name, &value).await;
    }
    for name in ["KEYBOOT_FUNCTION_ARN", "KEYBOOT_STACK_IDS"] {
        check_refused_with(name, "").await;
        let mut environment = environment();
        environment.remove(name);
        check_refusal(&refused_by(&deployable(), &environment).await, name);
    }
}

#[tokio::test]
async fn as_lambda_starts_it_it_asks_for_a_record_and_says_nothing() {
    // It calls nothing of AWS: it needs no credentials.
    let mut without = environment();
    without.retain(|name, _| {
        !name.contains("KEY_ID") && !name.contains("ACCESS_KEY") && !name.contains("TOKEN")
    });
    assert_eq!(without.len() + 3, environment().len());
    for environment in [environment(), without] {
        let mut function = Function::start(&deployable(), &environment).await.unwrap();
        assert!(function.ready(PATIENCE).await.is_some());
        assert_eq!(function.end().await.unwrap().printed(), "");
    }
}

fn record(event: &Value) -> Value {
    json!({
        "version": "1.0",
        "requestContext": {
            "functionArn": format!("{NODE_KEYS}:$LATEST"),
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": event,
        "responsePayload": { "errorType": VALUE, "errorMessage": format!("{VALUE} {SIGNATURE}") },
    })
}

async fn handed(program: PathBuf, texts: impl IntoIterator<Item = String>) -> (Vec<Outcome>, Ended) {
    let mut function = Function::start(&program, &environment()).await.unwrap();
    assert!(function.ready(PATIENCE).await.is_some());
    let mut outcomes = Vec::new();
    for text in texts {
        outcomes.push(function.invoke(text, TIME).await.unwrap());
    }
    (outcomes, function.end().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_url_of_this_machine_gets_no_connection() {
    let (ear, port) = Ear::new();
    let records = |urls: &[String]| -> Vec<_> {
        urls.iter().map(|url| record(&event(url, &properties())).to_string()).collect()
    };
    let urls = loopback_urls(port);
    let started = Instant::now();
    let (outcomes, ended) = handed(deployable(), records(&urls)).await;
    assert_eq!(ear.heard(), 0);
    assert!(started.elapsed() < TIME * 3, "it waited for something");
    for (url, outcome) in urls.iter().zip(&outcomes) {
        let Outcome::Error(error) = outcome else { panic!("{url}: {outcome:?}") };
        let said = String::from_utf8_lossy(error);
        assert!(said.contains("could not be answered: ResponseURL") && !said.contains("127.0.0.1"), "{said}");
    }
    let printed = ended.printed();
    assert_eq!(printed.lines().count(), urls.len(), "{printed}");
    assert!(!printed.contains("127.0.0.1") && !printed.contains(SIGNATURE), "{printed}");

    // Without this it could be that nobody can connect to this machine at all.
    let plain = [format!("http://127.0.0.1:{port}/key?X-Amz-{SIGNATURE}")];
    handed(bootstrap("unanswered", Build::Local).unwrap(), records(&plain)).await;
    assert!(ear.heard() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_record_nothing_of_its_event_is_printed_and_it_ends_in_time() {
    let url = format!(
        "https://cloudformation-custom-resource-response-xxnone1.s3.{REGION}.amazonaws.com/key?X-Amz-{SIGNATURE}"
    );
    let mut with_a_value = properties();
    with_a_value["NodeDomain"] = json!(VALUE);
    let sound = record(&event(&url, &with_a_value));
    let mut texts = vec![sound.to_string(), format!("{{\"ResponseURL\":\"{SIGNATURE} {VALUE}")];
    for path in
        ["/requestContext/functionArn", "/requestContext/condition", "/requestContext", "/requestPayload"]
    {
        for value in [json!(VALUE), json!([VALUE, SIGNATURE]), json!(null)] {
            let mut record = sound.clone();
            *record.pointer_mut(path).unwrap() = value;
            texts.push(record.to_string());
        }
    }
    for name in
        ["StackId", "RequestId", "LogicalResourceId", "ResponseURL", "RequestType", "ResourceProperties"]
    {
        let mut record = sound.clone();
        record["requestPayload"][name] = json!([VALUE, SIGNATURE]);
        texts.push(record.to_string());
    }
    let (outcomes, ended) = handed(deployable(), texts.clone()).await;
    for (text, outcome) in texts.iter().zip(&outcomes) {
        assert!(matches!(outcome, Outcome::Error(_)), "{text}: {outcome:?}");
    }
    let (printed, said) = (ended.printed(), format!("{outcomes:?}"));
    for text in [&printed, &said] {
        for canary in [SIGNATURE, VALUE, "X-Amz-", "key?"] {
            assert!(!text.contains(canary), "{text}");
        }
    }
}
