//! The records in `events/unanswered/`: what each comes to is what its name says. A file that no
//! test names fails a test.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rig::receiver::{Reaction, StatusCode};
use rig::runtime::Outcome;
use serde_json::Value;

use crate::by_hand::{ByHand, NODE_KEYS, SIGNATURE, STACK_ID};

/// Where the files say that an answer goes.
const RESPONSE_URL: &str = "http://127.0.0.1:4580/answer";
/// More than any of it takes.
const TIME: Duration = Duration::from_secs(20);

/// Files that are answered FAILED, and what the reason says.
const ANSWERED: &[(&str, &[&str])] = &[
    (
        "create-exited",
        &[
            "node-keys was run 3 times and never answered",
            "(RetriesExhausted)",
            "the last run's process exited",
            "under request id 8d2f1c1e-0000-4000-8000-000000000001",
        ],
    ),
    (
        "create-killed",
        &["(RetriesExhausted)", "the last run was killed, as it is when it runs out of memory"],
    ),
    (
        "create-left-the-rest",
        &["(RetriesExhausted)", "each run went on", "raise the KMS Stack's FunctionTimeout"],
    ),
    ("create-out-of-memory", &["(RetriesExhausted)", "the last run ran out of memory"]),
    ("create-too-old", &["node-keys was not run", "too old", "(EventAgeExceeded)", "no capacity"]),
    ("create-of-another-stack", &["ClientStackIds", "node-keys was run 3 times"]),
    (
        "create-for-a-reason-unheard-of",
        &[
            "node-keys did not answer, and Lambda has given the event up; the last run failed. Its log has more. Mend",
        ],
    ),
    ("update-failed", &["(RetriesExhausted)", "the last run failed"]),
    ("delete-timed-out", &["(RetriesExhausted)", "the last run overran its time"]),
    (
        "delete-too-old",
        &["node-keys was run once and did not answer", "(EventAgeExceeded)", "the last run overran its time"],
    ),
];
/// Files that come to an error and no answer, and what it says.
const NOT_ANSWERED: &[(&str, &str)] = &[
    ("malformed-condition-missing", "requestContext.condition is missing"),
    ("malformed-condition-no-text", "requestContext.condition is no text"),
    ("malformed-context-missing", "requestContext is missing"),
    ("malformed-context-no-object", "requestContext is no JSON object"),
    ("malformed-event", "requestContext is missing"),
    ("malformed-function-missing", "requestContext.functionArn is missing"),
    ("malformed-list", "it is no JSON object"),
    ("malformed-payload-missing", "requestPayload is missing"),
    ("refused-another-function", "requestContext.functionArn is not the function"),
    ("refused-another-version", "requestContext.functionArn is not the function"),
    ("refused-success", "requestContext.condition is Success"),
    ("unanswerable-response-url-elsewhere", "ResponseURL does not lead to CloudFormation's response bucket"),
    ("unanswerable-text", "the event is no JSON object"),
];

fn folder() -> PathBuf {
    rig::repository().join("events/unanswered")
}

fn text(name: &str) -> Result<String> {
    let path = folder().join(format!("{name}.json"));
    std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
}

#[test]
fn every_file_is_named_by_a_test_and_speaks_of_nobodys_account() -> Result<()> {
    let named = ANSWERED.iter().map(|(name, _)| *name).chain(NOT_ANSWERED.iter().map(|(name, _)| *name));
    let named: BTreeSet<String> = named.map(str::to_owned).collect();
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder())? {
        let path = entry?.path();
        found.insert(path.file_stem().and_then(|stem| stem.to_str()).context("a name")?.to_owned());
    }
    assert_eq!(found, named);
    for name in &found {
        let text = text(name)?;
        let mut accounts =
            text.split(':').filter(|part| part.len() == 12 && part.bytes().all(|b| b.is_ascii_digit()));
        assert!(accounts.all(|account| account == "111122223333"), "{name}");
        assert!(text.contains(NODE_KEYS), "{name}");
    }
    Ok(())
}

/// What the log and Lambda were told is enough to go by, and says nothing of the URL.
fn assert_told(name: &str, told: &[&str], parts: &[&str]) {
    for told in told {
        for part in parts {
            assert!(told.contains(part), "{name}: {told}");
        }
        for secret in [SIGNATURE, "127.0.0.1", "example.com", "ResponseURL\""] {
            assert!(!told.contains(secret), "{name}: {told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_a_death_is_answered_under_the_id_that_node_keys_gives() -> Result<()> {
    for (name, parts) in ANSWERED {
        let mut unanswered = ByHand::start("unanswered").await?;
        let record = text(name)?.replace(RESPONSE_URL, &unanswered.response_url());
        let outcome = unanswered.invoke(&record, TIME).await?;
        assert!(matches!(outcome, Outcome::Response(_)), "{name}: {outcome:?}");
        let answer = unanswered.answer().await.with_context(|| (*name).to_owned())?;
        let event = serde_json::from_str::<Value>(&record)?["requestPayload"].take();
        for echoed in ["StackId", "RequestId", "LogicalResourceId"] {
            assert_eq!(answer[echoed], event[echoed], "{name}");
        }
        assert_eq!(answer["Status"], "FAILED", "{name}");
        assert_eq!(answer.get("Data"), None, "{name}");
        let id = match event["StackId"].as_str() {
            // Of `events/README.md`, and `printf '<stack id>\0Keys' | sha256sum`.
            Some(STACK_ID) => "keyboot/keyboot/tsm/4b26e9424739c3fe",
            _ => "keyboot/keyboot/tsm/b9d9f84d698ee8f9",
        };
        assert_eq!(answer["PhysicalResourceId"], id, "{name}");
        let reason = answer["Reason"].as_str().context("no reason")?;
        assert_told(name, &[reason], parts);
        assert!(!unanswered.has_more().await, "{name}: a second answer");
        let printed = unanswered.end().await?.printed();
        assert_told(name, &[&printed], parts);
        assert_eq!(printed.lines().count(), 1, "{name}: {printed}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn anything_else_is_an_error_that_says_what_is_wrong() -> Result<()> {
    for (name, part) in NOT_ANSWERED {
        let mut unanswered = ByHand::start("unanswered").await?;
        let record = text(name)?.replace(RESPONSE_URL, &unanswered.response_url());
        let Outcome::Error(error) = unanswered.invoke(&record, TIME).await? else {
            anyhow::bail!("{name}: no error");
        };
        assert!(!unanswered.has_more().await, "{name}: an answer");
        let printed = unanswered.end().await?.printed();
        assert_told(name, &[&String::from_utf8_lossy(&error), &printed], &[part]);
        assert_eq!(printed.lines().count(), 1, "{name}: {printed}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_comes_twice_is_answered_alike() -> Result<()> {
    let mut unanswered = ByHand::start("unanswered").await?;
    let record = text("create-exited")?.replace(RESPONSE_URL, &unanswered.response_url());
    let mut answers = Vec::new();
    for _ in 0..2 {
        unanswered.invoke(&record, TIME).await?;
        answers.push(unanswered.answer().await?);
    }
    assert_eq!(answers[0], answers[1]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_taken_is_sent_again_within_the_time_there_is() -> Result<()> {
    let unavailable = Reaction::Status(StatusCode::SERVICE_UNAVAILABLE);
    let mut unanswered = ByHand::start("unanswered").await?;
    let record = text("create-exited")?.replace(RESPONSE_URL, &unanswered.response_url());
    unanswered.react(vec![unavailable.clone(); 2]);
    let outcome = unanswered.invoke(&record, TIME).await?;
    assert!(matches!(outcome, Outcome::Response(_)), "{outcome:?}");
    let (first, second, third) =
        (unanswered.answer().await?, unanswered.answer().await?, unanswered.answer().await?);
    assert!(first == second && second == third && !unanswered.has_more().await);

    // It gives up before Lambda ends it, and says so: Lambda then runs it again.
    unanswered.react(vec![unavailable; 1000]);
    let outcome = unanswered.invoke(&record, Duration::from_secs(2)).await?;
    let Outcome::Error(error) = outcome else { anyhow::bail!("no error: {outcome:?}") };
    let printed = unanswered.end().await?.printed();
    let said = String::from_utf8_lossy(&error);
    assert_told("503", &[&said, printed.lines().last().unwrap_or_default()], &["could not deliver", "503"]);
    Ok(())
}
