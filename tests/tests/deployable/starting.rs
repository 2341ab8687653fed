//! With what it starts and with what it does not.

use rig::runtime::{Ended, Function, LAMBDA_LIBRARY_PATH};

use crate::surroundings::{PATIENCE, deployable, environment, environment_with, refused};

/// What must not be repeated.
pub(crate) const CANARY: &str = "canary-7f3a";

/// Variables that redirect, load or log.
pub(crate) const TAMPERING: &[&str] = &[
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_KMS",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "AWS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "LD_PRELOAD",
    "LD_AUDIT",
    "LD_LIBRARY_PATH",
    "LD_BIND_NOW",
    "AWS_LAMBDA_EXEC_WRAPPER",
    "LOG_SIGNABLE_BODY",
    "LOG_SENSITIVE_BODIES",
];

/// What the program itself wrote: the dynamic loader says by itself what it could not load.
fn own_words(ended: &Ended) -> String {
    let printed = ended.printed();
    printed.lines().filter(|line| !line.starts_with("ERROR: ld.so:")).collect::<Vec<_>>().join("\n")
}

/// It ended with a failure, before it asked for anything, and its one line names the variable.
pub(crate) fn check_refusal(ended: &Ended, variable: &str) {
    let words = own_words(ended);
    assert!(!ended.asked_for_an_event, "{variable}: it asked for an event");
    assert_eq!(ended.status.code(), Some(1), "{variable}: {words}");
    assert_eq!(words.lines().count(), 1, "{variable}: {words}");
    assert!(words.split_whitespace().any(|word| word == variable), "{variable}: {words}");
    assert!(!words.contains(CANARY), "{variable}: {words}");
}

#[tokio::test]
async fn a_variable_that_redirects_loads_or_logs_stops_it_before_it_asks_for_an_event() {
    for variable in TAMPERING {
        // It must not matter whether the value would work, nor whether there is one.
        for value in [format!("/{CANARY}/none"), format!("http://127.0.0.1:9/{CANARY}"), String::new()] {
            check_refusal(&refused(&environment_with(variable, &value)).await, variable);
        }
    }
}

#[tokio::test]
async fn a_library_path_is_lambdas_own_or_refused() {
    for foreign in [
        format!("{LAMBDA_LIBRARY_PATH}:/{CANARY}"),
        format!("/{CANARY}:{LAMBDA_LIBRARY_PATH}"),
        // An empty entry is the working folder.
        format!("{LAMBDA_LIBRARY_PATH}:"),
        "/opt/lib/..".to_owned(),
    ] {
        let ended = refused(&environment_with("LD_LIBRARY_PATH", &foreign)).await;
        check_refusal(&ended, "LD_LIBRARY_PATH");
    }
}

#[tokio::test]
async fn as_lambda_starts_it_it_asks_for_an_event_and_says_nothing() {
    let mut without = environment();
    without.remove("LD_LIBRARY_PATH");
    // A session token is there on Lambda; a root file, a home folder and a shell need not be.
    for environment in [environment(), without] {
        let mut function = Function::start(&deployable(), &environment).await.unwrap();
        assert!(function.ready(PATIENCE).await.is_some());
        let ended = function.end().await.unwrap();
        assert_eq!(ended.printed(), "");
        assert_eq!(ended.init_error, None);
    }
}

#[tokio::test]
async fn a_setting_that_is_missing_or_empty_stops_it_with_one_line_that_names_it() {
    for variable in [
        "KEYBOOT_ROLE_ARN",
        "KEYBOOT_SIGNING_KEY_ARN",
        "KEYBOOT_STACK_IDS",
        "AWS_REGION",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
    ] {
        let mut environment = environment();
        environment.remove(variable);
        check_refusal(&refused(&environment).await, variable);
        check_refusal(&refused(&environment_with(variable, "")).await, variable);
    }
}

#[tokio::test]
async fn a_list_of_stacks_that_is_none_stops_it_with_one_line_that_names_the_variable() {
    const STACK: &str = "arn:aws:cloudformation:xx-none-1:123456789012:stack/kms/1";
    for value in [CANARY.to_owned(), ",".to_owned(), format!("{STACK},{CANARY}")] {
        let ended = refused(&environment_with("KEYBOOT_STACK_IDS", &value)).await;
        check_refusal(&ended, "KEYBOOT_STACK_IDS");
    }
}

#[tokio::test]
async fn a_signing_key_that_is_no_key_arn_stops_it_with_one_line_that_names_the_variable() {
    for value in [
        CANARY.to_owned(),
        format!("alias/{CANARY}"),
        format!("arn:aws:kms:xx-none-1:123456789012:alias/{CANARY}"),
        format!("arn:aws:s3:xx-none-1:123456789012:key/{CANARY}"),
        format!("7c0a5d3e-1f2b-4c6d-8e9f-{CANARY}"),
    ] {
        let ended = refused(&environment_with("KEYBOOT_SIGNING_KEY_ARN", &value)).await;
        check_refusal(&ended, "KEYBOOT_SIGNING_KEY_ARN");
    }
}

#[tokio::test]
async fn a_role_that_is_no_role_arn_stops_it_with_one_line_that_names_the_variable() {
    for value in [
        CANARY.to_owned(),
        "arn:aws:iam::123456789012:role/*".to_owned(),
        "arn:aws:iam::123456789012:root".to_owned(),
        format!("arn:aws:sts::123456789012:assumed-role/canary/{CANARY}"),
    ] {
        let ended = refused(&environment_with("KEYBOOT_ROLE_ARN", &value)).await;
        check_refusal(&ended, "KEYBOOT_ROLE_ARN");
    }
}
