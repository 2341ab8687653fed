//! The same of `key-rotation`: with what it starts, and what it says of an event.

use std::path::PathBuf;
use std::time::Duration;

use rig::functions::{Build, bootstrap};
use rig::runtime::{self, Environment, Function, LAMBDA_LIBRARY_PATH, Outcome};
use serde_json::json;

use crate::answering::VALUE;
use crate::starting::{CANARY, TAMPERING, check_refusal};
use crate::surroundings::{PATIENCE, refused_by};

fn deployable() -> PathBuf {
    bootstrap("key-rotation", Build::Deployable).unwrap()
}

/// What Lambda and the template set.
fn environment() -> Environment {
    let mut environment = crate::surroundings::environment();
    environment.retain(|name, _| !name.starts_with("KEYBOOT_ROTATION_"));
    environment
        .extend(runtime::environment("key-rotation").into_iter().filter(|(name, _)| name.contains("NAME")));
    environment
}

async fn check_refused_with(name: &str, value: &str) {
    let mut environment = environment();
    environment.insert(name.to_owned(), value.to_owned());
    check_refusal(&refused_by(&deployable(), &environment).await, name);
}

#[tokio::test]
async fn a_tampered_environment_stops_it_before_it_asks_for_an_event() {
    for variable in TAMPERING {
        check_refused_with(variable, &format!("/{CANARY}/none")).await;
        check_refused_with(variable, "").await;
    }
    check_refused_with("LD_LIBRARY_PATH", &format!("{LAMBDA_LIBRARY_PATH}:/{CANARY}")).await;
}

#[tokio::test]
async fn a_setting_that_is_missing_or_of_no_use_stops_it_with_one_line_that_names_it() {
    for name in ["KEYBOOT_SIGNING_KEY_ARN", "KEYBOOT_STACK_IDS", "KEYBOOT_ROLE_ARN"] {
        check_refused_with(name, CANARY).await;
        check_refused_with(name, "").await;
        let mut environment = environment();
        environment.remove(name);
        check_refusal(&refused_by(&deployable(), &environment).await, name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_wrong_event_is_said_and_of_no_event_its_credential() {
    let secret = "arn:aws:secretsmanager:xx-none-1:123456789012:secret:keyboot/tsm/node/0/p2p-key-AbCdEf";
    let version = "4c1f0e6a-0000-4000-8000-000000000001";
    let sound = json!({
        "Step": "createSecret", "SecretId": secret, "ClientRequestToken": version, "RotationToken": VALUE,
    });
    let mut events = vec![json!([VALUE]), json!(VALUE), json!({ VALUE: VALUE }), json!({ "Retire": VALUE })];
    for name in ["Step", "SecretId", "ClientRequestToken"] {
        let mut event = sound.clone();
        event[name] = json!(VALUE);
        events.push(event);
    }
    let mut function = Function::start(&deployable(), &environment()).await.unwrap();
    assert!(function.ready(PATIENCE).await.is_some());
    let mut said = String::new();
    for event in events {
        let outcome = function.invoke(event.to_string(), Duration::from_secs(5)).await.unwrap();
        let Outcome::Error(error) = outcome else { panic!("{event}: {outcome:?}") };
        said.push_str(&String::from_utf8_lossy(&error));
    }
    // There is no such Region to ask.
    let _ = function.invoke(sound.to_string(), Duration::from_secs(2)).await.unwrap();
    said.push_str(&function.end().await.unwrap().printed());
    assert!(said.contains("keyboot.rotation") && said.contains("ClientRequestToken"), "{said}");
    assert!(!said.contains(VALUE), "{said}");
}
