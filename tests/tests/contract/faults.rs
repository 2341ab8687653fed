//! A fault at every call: the services throttle, refuse, fail, are slow, hang up, or do what they were
//! asked for and lose their answer. CloudFormation is answered whatever happens, in time, and what a
//! failure leaves behind goes with the request that follows it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use contract_double::{CallKey, Linger, Outcome, Pattern, Twist};
use rig::runtime::Outcome as Ended;

use crate::cloudformation::{Answer, Properties, Request, Sent};
use crate::parallel::{WAITING_AT_ONCE, every, every_of};
use crate::rules::{
    assert_gone_by_rule, assert_in_service, assert_nothing_is_left, assert_removed, is_marked, to_bring_back,
};
use crate::stage::Stage;
use crate::stories::{CLUSTER, OTHER_CLUSTER, PhysicalId, Story, creates, deletes, replacement, updates};

/// One story of each kind.
fn stories(id: PhysicalId<'_>) -> Vec<Story> {
    let first = |mut stories: Vec<Story>| stories.swap_remove(0);
    let updates = || updates(id).into_iter();
    let other = updates().chain(creates(id)).filter(|story| {
        let in_parameters = ["create in Parameter Store", "another token, in Parameter Store"];
        story.name == "another token" || in_parameters.contains(&story.name)
    });
    let mut stories =
        vec![first(creates(id)), first(updates().collect()), replacement(id), first(deletes(id))];
    stories.extend(other);
    stories
}

/// What befalls one call, once. Of these the SDK tries again after all but the refusal.
fn passing() -> [Twist; 7] {
    [
        Twist::Throttle,
        Twist::ServerError(500),
        Twist::ServerError(503),
        Twist::Reset,
        Twist::AnswerLost,
        Twist::Slow(Duration::from_millis(300)),
        Twist::refuse("ValidationException"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_at_any_call_is_got_over_or_answered_and_leaves_nothing_behind() -> Result<()> {
    let stage = Stage::new().await?;
    for story in stories(&|cluster| stage.physical_id(cluster)) {
        let start = Stage::after(&story.before).await?;
        let (calls, calm) = start.rehearse(&story.sent).await?;
        let shared = Arc::new((story, start, calm));
        let cases: Vec<_> = calls
            .into_iter()
            .flat_map(|call| passing().map(|twist| (call.clone(), twist)))
            .map(|(call, twist)| {
                (format!("{}: {twist:?} at {call}", shared.0.name), (Arc::clone(&shared), call, twist))
            })
            .collect();
        every(cases, async |(shared, call, twist): (Arc<(Story, Stage, Answer)>, CallKey, Twist)| {
            let (story, start, calm) = &*shared;
            let stage = start.copy().await?;
            stage.double.twist(&call, twist.clone());
            let answer = stage.carry_out(&story.sent).await?;
            let is_refusal = matches!(twist, Twist::Refuse(_));
            let calls = stage.double.calls();
            let met = calls.iter().any(|call| call.error_code().is_some() || call.outcome == Outcome::Lost);
            ensure!(met || matches!(twist, Twist::Slow(_)), "the fault was not met");
            if answer.succeeded() {
                ensure!(answer.physical_id() == calm.physical_id(), "another physical id");
                return succeeded(story, &stage);
            }
            ensure!(is_refusal, "FAILED although the fault passed: {}", answer.reason());
            ensure!(answer.reason().contains("ValidationException"), "the Reason says {:?}", answer.reason());
            failed(story, start, &stage, &answer).await
        })
        .await?;
    }
    Ok(())
}

/// What must hold after a success, whatever happened on the way.
fn succeeded(story: &Story, stage: &Stage) -> Result<()> {
    match &story.sent.request {
        Request::Create(declared) | Request::Update { new: declared, .. } => {
            assert_in_service(stage, declared)
        }
        Request::Delete(_) => assert_gone_by_rule(&stage.stored()),
    }
}

/// What CloudFormation does after a failure, and what must hold then.
async fn failed(story: &Story, start: &Stage, stage: &Stage, answer: &Answer) -> Result<()> {
    let left = stage.stored();
    let id = stage.physical_id(CLUSTER);
    ensure!(answer.physical_id() == id, "a failure was answered with {}", answer.physical_id());
    match &story.sent.request {
        Request::Create(declared) => {
            let deleted = stage.carry_out(&Sent::delete("delete-1", declared, answer.physical_id())).await?;
            ensure!(deleted.succeeded(), "the Delete: {}", deleted.reason());
            assert_removed(&left, &stage.stored())
        }
        Request::Update { old, new } => {
            let undone = stage.roll_back(&Sent::update("rollback-1", new, old, &id)).await?;
            ensure!(undone.succeeded(), "the rollback: {}", undone.reason());
            ensure!(to_bring_back(stage, old)? == to_bring_back(start, old)?, "not as it was");
            let other = stage.stored().of(OTHER_CLUSTER);
            if new.text("Cluster") == Some(OTHER_CLUSTER) && !is_marked(&left.of(OTHER_CLUSTER)) {
                assert_nothing_is_left(&other)?;
            }
            Ok(())
        }
        Request::Delete(_) => {
            let again = stage.carry_out(&Sent { id: "delete-2".into(), ..story.sent.clone() }).await?;
            ensure!(again.succeeded(), "the next Delete: {}", again.reason());
            assert_gone_by_rule(&stage.stored())
        }
    }
}

/// How long the function has where a service never recovers.
const SHORT: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_never_recovers_is_answered_in_time() -> Result<()> {
    let stage = Stage::new().await?;
    for story in stories(&|cluster| stage.physical_id(cluster)) {
        let start = Stage::after(&story.before).await?;
        let (calls, _) = start.rehearse(&story.sent).await?;
        let mut operations: Vec<String> = calls.into_iter().map(|call| call.operation).collect();
        operations.sort();
        operations.dedup();
        let shared = Arc::new((story, start));
        let for_ever = [
            Twist::Throttle,
            Twist::ServerError(500),
            Twist::Reset,
            Twist::AnswerLost,
            Twist::Slow(Duration::from_hours(1)),
        ];
        let cases: Vec<_> = operations
            .into_iter()
            .flat_map(|operation| for_ever.clone().map(|twist| (operation.clone(), twist)))
            .map(|(operation, twist)| {
                let name = format!("{}: {twist:?} at every {operation}", shared.0.name);
                (name, (Arc::clone(&shared), operation, twist))
            })
            .collect();
        every_of(
            WAITING_AT_ONCE,
            cases,
            async |(shared, operation, twist): (Arc<(Story, Stage)>, String, Twist)| {
                let (story, start) = &*shared;
                let stage = start.copy().await?;
                stage.double.twist(Pattern::operation(operation).every(), twist);
                stage.begins(&story.sent);
                let began = Instant::now();
                let mut delivery = stage.start(&story.sent, "short").await?;
                let ended = delivery.invocation_within(SHORT).await?;
                let Some(answer) = delivery.answer().await? else {
                    if !is_unfinished(&ended) {
                        bail!("{ended:?} without an answer: {}", delivery.function.end().await?.printed());
                    }
                    // Lambda runs it again: twice, and `unanswered` answers if that does not help.
                    stage.double.clear_twists();
                    let again = stage.deliver(&story.sent).await?;
                    ensure!(again.succeeded(), "the next run: {}", again.reason());
                    return succeeded(story, &stage);
                };
                // The rig waits a second longer than Lambda would, so that this is not told by its patience.
                ensure!(began.elapsed() < SHORT + Duration::from_millis(900), "answered too late");
                if answer.succeeded() {
                    return succeeded(story, &stage);
                }
                stage.double.clear_twists();
                failed(story, start, &stage, &answer).await.context("after it has recovered")
            },
        )
        .await?;
    }
    Ok(())
}

/// Whether a run left the rest to the next one, instead of answering.
fn is_unfinished(ended: &Ended) -> bool {
    matches!(ended, Ended::Error(payload) if String::from_utf8_lossy(payload).contains(custom_resource::UNFINISHED))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_about_to_be_free_is_waited_for() -> Result<()> {
    let stage = Stage::new().await?;
    let declared = Properties::nodes(&[0]);
    let create = |id| Sent::create(id, &declared);
    let is_mark = Pattern::operation("PutParameter").on("/keyboot/tsm/roster/index");
    stage.double.twist(is_mark.every(), Twist::refuse("ValidationException"));
    let failed = stage.carry_out(&create("create-1")).await?;
    ensure!(!failed.succeeded(), "it was to fail");
    stage.double.clear_twists();
    // Secrets Manager removes by force a while after it has said so.
    stage.double.with(|world| world.linger(Linger::Calls(2)));
    let deleted = stage.carry_out(&Sent::delete("delete-1", &declared, &stage.physical_id(CLUSTER))).await?;
    ensure!(deleted.succeeded(), "the Delete: {}", deleted.reason());
    let answer = stage.carry_out(&create("create-2")).await?;
    ensure!(answer.succeeded(), "{}", answer.reason());
    let refused = stage
        .double
        .calls()
        .iter()
        .filter(|call| call.error_code() == Some("InvalidRequestException"))
        .count();
    ensure!(refused == 8, "{refused} creations were refused");
    assert_in_service(&stage, &declared)
}
