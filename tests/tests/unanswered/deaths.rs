//! The ways in which a function dies without a word, by CloudFormation's account; and that it is
//! `unanswered` whose word it then has.

use anyhow::{Context as _, Result, ensure};
use key_material::ApiKeyHash;
use serde_json::{Value, json};

use crate::dying_stack::{Death, DyingStack, of_keys};
use crate::template;

/// Runs that Lambda gives an event: the first, and two retries.
const RUNS: usize = 3;
/// How `unanswered` begins.
const ITS_WORDS: &str = "node-keys was run 3 times and never answered";

/// The id that the resource `Keys` of a stack has for the template's cluster.
fn derived_id(stack_id: &str) -> String {
    let digest = ApiKeyHash::of(&format!("{stack_id}\0Keys"));
    format!("keyboot/keyboot/tsm/{}", hex::encode(&digest.as_bytes()[..8]))
}

/// The Create fails at once and by name, and so does the Delete that CloudFormation sends after it;
/// each was tried as often as Lambda does, and answered once.
async fn is_answered_for(death: Death, how_the_last_run_ended: &str) -> Result<DyingStack> {
    let dying = DyingStack::begin(death).await?;
    let stack = dying.settled().await?;
    assert_eq!(stack.status, "ROLLBACK_FAILED", "{:?}", stack.reasons());
    let id = derived_id(dying.id());
    let begun = of_keys(&stack, "CREATE_IN_PROGRESS")?.timestamp().context("no time")?;
    for status in ["CREATE_FAILED", "DELETE_FAILED"] {
        let failed = of_keys(&stack, status)?;
        let reason = failed.resource_status_reason().context("no reason")?;
        for part in [ITS_WORDS, "(RetriesExhausted)", how_the_last_run_ended] {
            assert!(reason.contains(part), "{status}: {reason}");
        }
        assert_eq!(failed.physical_resource_id(), Some(id.as_str()), "{status}");
        // Half an hour is what CloudFormation would have waited.
        let waited = failed.timestamp().context("no time")?.secs() - begun.secs();
        assert!(waited < 180, "{status} after {waited} seconds");
    }
    let answers = dying.answers()?;
    let told: Vec<_> =
        answers.iter().map(|answer| (&answer["Status"], &answer["PhysicalResourceId"])).collect();
    assert_eq!(told, [(&json!("FAILED"), &json!(id)); 2], "one answer to each event");
    assert_eq!(dying.starts()?, 2 * RUNS);
    Ok(dying)
}

/// What the function was handed: the Create in every run, and then the Delete.
fn was_handed_each_event_in_every_run(dying: &DyingStack) -> Result<()> {
    let events = dying.events()?;
    let kinds: Vec<_> = events.iter().filter_map(|event| event["RequestType"].as_str()).collect();
    assert_eq!(kinds, ["Create", "Create", "Create", "Delete", "Delete", "Delete"]);
    assert_eq!(events[3]["PhysicalResourceId"], derived_id(dying.id()));
    for of_one_request in events.chunks(RUNS) {
        assert!(of_one_request.iter().all(|event| event == &of_one_request[0]), "a retry is another event");
    }
    Ok(())
}

#[tokio::test]
async fn one_that_exits_at_start_is_answered_for() -> Result<()> {
    let dying = is_answered_for(Death::AtStart, "the last run's process exited").await?;
    assert!(dying.events()?.is_empty());
    Ok(())
}

#[tokio::test]
async fn one_that_exits_in_its_handler_is_answered_for() -> Result<()> {
    let dying = is_answered_for(Death::InTheHandler, "the last run's process exited").await?;
    was_handed_each_event_in_every_run(&dying)
}

#[tokio::test]
async fn one_that_runs_out_of_memory_is_answered_for() -> Result<()> {
    let dying = is_answered_for(Death::OfMemory, "the last run's process exited").await?;
    was_handed_each_event_in_every_run(&dying)?;
    // It died of the template's limit, and not of another one.
    let memory = template::number("NodeKeysFunction", "MemorySize")?;
    let notes = dying.notes()?;
    let runs: Vec<_> = notes.split(|note| note == "started").skip(1).collect();
    assert_eq!(runs.len(), 2 * RUNS);
    for run in runs {
        let last = run.last().and_then(|note| note.strip_suffix(" MiB")).context("it took no memory")?;
        let taken: u64 = last.parse()?;
        assert!((memory * 3 / 4..=memory).contains(&taken), "it took {taken} MiB of {memory}");
    }
    Ok(())
}

#[tokio::test]
async fn one_that_overruns_its_time_is_answered_for() -> Result<()> {
    let dying = is_answered_for(Death::OfTime, "the last run overran its time").await?;
    was_handed_each_event_in_every_run(&dying)
}

/// The proof of what the tests above prove: it is the template's one resource that makes it so.
#[tokio::test]
async fn without_the_templates_destination_nobody_answers() -> Result<()> {
    let template = template::text()?;
    let template = template::without(&template, "NodeKeysInvocation")?;
    // CloudFormation's wait is what ends it then; half an hour of it would show no more.
    let mut timeouts = template.lines().filter(|line| line.trim_start().starts_with("ServiceTimeout: "));
    let timeout = timeouts.next().context("the template has no ServiceTimeout")?;
    ensure!(timeouts.next().is_none(), "the template has more than one ServiceTimeout");
    let dying =
        DyingStack::begin_with(Death::InTheHandler, &template.replace(timeout, "      ServiceTimeout: 4"))
            .await?;
    let stack = dying.settled().await?;
    let failed = of_keys(&stack, "CREATE_FAILED")?;
    let reason = failed.resource_status_reason().context("no reason")?;
    assert!(reason.contains("did not receive a response"), "{reason}");
    // Nor does it know the id by which the resource would be found.
    assert!(failed.physical_resource_id().is_some_and(|id| id.starts_with("kms-Keys-")), "{failed:?}");
    dying
        .until("both events given up", |dying| {
            let log = dying.log()?;
            Ok(log.matches("gave an event up (RetriesExhausted) and has no on-failure destination").count()
                == 2)
        })
        .await?;
    assert_eq!(dying.starts()?, 2 * RUNS);
    assert_eq!(dying.answers()?, Vec::<Value>::new());
    Ok(())
}

/// CloudFormation heeds the first answer to an event: that `unanswered` cannot know of it does no harm.
#[tokio::test]
async fn one_that_has_answered_before_it_dies_is_believed() -> Result<()> {
    let dying = DyingStack::begin(Death::AfterAnAnswer).await?;
    let stack = dying.settled().await?;
    assert_eq!(stack.status, "CREATE_FAILED", "{:?}", stack.reasons());
    let is_of_unanswered =
        |answer: &Value| answer["Reason"].as_str().is_some_and(|told| told.contains(ITS_WORDS));
    let until = dying.until("a second word", |dying| Ok(dying.answers()?.iter().any(is_of_unanswered)));
    until.await?;
    let events = dying.events()?;
    assert_eq!(events.len(), RUNS);
    assert!(dying.answers()?.iter().all(|answer| answer["RequestId"] == events[0]["RequestId"]));

    let stack = dying.settled().await?;
    let failed = of_keys(&stack, "CREATE_FAILED")?;
    assert!(
        failed.resource_status_reason().is_some_and(|told| told.contains("said before the end")),
        "{failed:?}"
    );
    assert_eq!(failed.physical_resource_id(), Some("of-the-first-answer"));
    assert!(!stack.reasons().join("\n").contains(ITS_WORDS), "{:?}", stack.reasons());
    Ok(())
}
