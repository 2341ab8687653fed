//! Two deliveries that meet: each is stopped at every one of its calls, once, while the other is
//! carried out from beginning to end.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use contract_double::{CallKey, Pattern, Side};

use crate::cloudformation::{Answer, Properties, Request, Sent};
use crate::parallel::every;
use crate::rules::{assert_gone_by_rule, assert_in_service, assert_nothing_is_left, is_marked};
use crate::stage::{Stage, Stored};
use crate::stories::{CLUSTER, OTHER_CLUSTER, creates, deletes, updates};

/// What was there before, and the request that is stopped.
struct Stopped {
    start: Stage,
    sent: Sent,
    calls: Vec<CallKey>,
    /// What is stored after it, when nothing meets it.
    calm: Stored,
}

impl Stopped {
    async fn new(before: &[Sent], sent: Sent) -> Result<Arc<Self>> {
        let start = Stage::after(before).await?;
        let (calls, answer) = start.rehearse(&sent).await?;
        ensure!(answer.succeeded(), "{}: {}", sent.id, answer.reason());
        let calm = start.copy().await?;
        calm.carry_out(&sent).await?;
        let calm = calm.stored();
        Ok(Arc::new(Self { start, sent, calls, calm }))
    }

    /// Stops it at every call, lets `meanwhile` happen, lets it go on, and hands its answer to
    /// `afterwards`, with what `meanwhile` gave.
    async fn at_every_call<M, Between, A, After, T>(
        self: &Arc<Self>,
        meanwhile: M,
        afterwards: A,
    ) -> Result<()>
    where
        M: Fn(Arc<Self>, Arc<Stage>) -> Between + Clone + Send + 'static,
        Between: Future<Output = Result<T>> + Send + 'static,
        A: Fn(Arc<Self>, Arc<Stage>, T, Answer) -> After + Clone + Send + 'static,
        After: Future<Output = Result<()>> + Send + 'static,
        T: Send + 'static,
    {
        let cases: Vec<_> = self
            .calls
            .iter()
            .map(|call| {
                let case = (Arc::clone(self), call.clone(), meanwhile.clone(), afterwards.clone());
                (format!("{} stopped before {call}", self.sent.id), case)
            })
            .collect();
        every(cases, async |(stopped, call, meanwhile, afterwards): (Arc<Self>, CallKey, M, A)| {
            let stage = Arc::new(stopped.start.copy().await?);
            stage.begins(&stopped.sent);
            let hold = stage.double.hold(Pattern::from(&call).by("stopped"), Side::Before);
            let delivery = stage.start(&stopped.sent, "stopped").await?;
            let running = tokio::spawn(delivery.carried_out());
            let reached = tokio::time::timeout(crate::stage::SOON, hold.reached()).await;
            reached.context("the call was not made")?;
            let between = meanwhile(Arc::clone(&stopped), Arc::clone(&stage)).await.context("meanwhile")?;
            hold.release();
            let answer = running.await?.context("the one that was stopped")?;
            afterwards(stopped, stage, between, answer).await
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_deliveries_of_one_request_answer_the_same_and_make_one_key() -> Result<()> {
    let stage = Stage::new().await?;
    let id = |cluster: &str| stage.physical_id(cluster);
    for story in creates(&id).into_iter().chain(updates(&id)).chain(deletes(&id)) {
        let stopped = Stopped::new(&story.before, story.sent.clone()).await?;
        stopped
            .at_every_call(
                async |stopped, stage| stage.deliver(&stopped.sent).await,
                async |stopped, stage, first: Answer, second: Answer| {
                    ensure!(first.succeeded(), "the one that was faster: {}", first.reason());
                    ensure!(second.succeeded(), "the one that was stopped: {}", second.reason());
                    ensure!(first.lasting() == second.lasting(), "two answers: {first:?} {second:?}");
                    if crate::stage::is_delete(&stopped.sent) {
                        ensure!(stage.stored().outline() == stopped.calm.outline(), "not deleted as usual");
                        return Ok(());
                    }
                    assert_in_service(&stage, stopped.sent.request.declared())
                },
            )
            .await
            .context(story.name)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_its_delete_overtook_leaves_no_secret() -> Result<()> {
    let stage = Stage::new().await?;
    let story = creates(&|cluster| stage.physical_id(cluster)).swap_remove(0);
    let stopped = Stopped::new(&story.before, story.sent).await?;
    stopped
        .at_every_call(
            async |stopped, stage| {
                let declared = stopped.sent.request.declared();
                let was_marked = is_marked(&stage.stored());
                let deleted =
                    stage.carry_out(&Sent::delete("delete-1", declared, &stage.physical_id(CLUSTER))).await?;
                ensure!(deleted.succeeded(), "the Delete: {}", deleted.reason());
                stage.shows("DELETE_COMPLETE", None, "ROLLBACK_COMPLETE");
                Ok(was_marked)
            },
            async |_, stage, was_marked: bool, answer: Answer| {
                if was_marked {
                    // It had only to be answered.
                    return assert_gone_by_rule(&stage.stored());
                }
                ensure!(!answer.succeeded(), "the Create succeeded after its Delete");
                assert_nothing_is_left(&stage.stored())
            },
        )
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_its_rollback_overtook_loses_nothing() -> Result<()> {
    let stage = Stage::new().await?;
    for story in updates(&|cluster| stage.physical_id(cluster)) {
        let stopped = Stopped::new(&story.before, story.sent).await?;
        stopped
            .at_every_call(
                async |stopped, stage| {
                    let undo = rollback(&stopped.sent, &stage.physical_id(CLUSTER))?;
                    let undone = stage.roll_back(&undo).await?;
                    ensure!(undone.succeeded(), "the rollback: {}", undone.reason());
                    stage.shows(
                        "UPDATE_COMPLETE",
                        Some(&stage.physical_id(CLUSTER)),
                        "UPDATE_ROLLBACK_COMPLETE",
                    );
                    Ok(())
                },
                async |stopped, stage, (), _: Answer| {
                    let old = old_properties(&stopped.sent)?;
                    let (before, after) = (stopped.start.stored(), stage.stored());
                    for (name, secret) in &before.secrets {
                        let kept = after.secrets.get(name).with_context(|| format!("{name} is gone"))?;
                        for (id, value) in &secret.versions {
                            ensure!(kept.versions.get(id) == Some(value), "{name} has got another value");
                        }
                    }
                    // What was on its way when the rollback looked, the next change puts right.
                    let next = old.clone().with_nodes(&[0, 1, 5]);
                    let id = stage.physical_id(CLUSTER);
                    let answer = stage.carry_out(&Sent::update("update-2", old, &next, &id)).await?;
                    ensure!(answer.succeeded(), "the next Update: {}", answer.reason());
                    assert_in_service(&stage, &next)
                },
            )
            .await
            .context(story.name)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_duplicate_of_a_finished_update_turns_nothing_back() -> Result<()> {
    let stage = Stage::new().await?;
    let id = stage.physical_id(CLUSTER);
    let one = Properties::nodes(&[0]);
    let two = Properties::nodes(&[0, 1]);
    let three = Properties::nodes(&[0, 2]).with("NodeDomain", "new.example.org");
    let older = Sent::update("update-1", &one, &two, &id);
    let newer = Sent::update("update-2", &two, &three, &id);
    let before = [Sent::create("create-1", &one), older.clone()];
    // The duplicate is carried out while the newer one is stopped, and the other way round.
    let stopped = Stopped::new(&before, newer.clone()).await?;
    stopped
        .at_every_call(
            async |_, stage| {
                stage
                    .deliver(&Sent::update(
                        "update-1",
                        &Properties::nodes(&[0]),
                        &Properties::nodes(&[0, 1]),
                        &stage.physical_id(CLUSTER),
                    ))
                    .await
            },
            async |stopped, stage, _: Answer, answer: Answer| {
                ensure!(answer.succeeded(), "the newer one: {}", answer.reason());
                assert_in_service(&stage, stopped.sent.request.declared())
            },
        )
        .await?;
    let stopped = Stopped::new(&before, older).await?;
    stopped
        .at_every_call(
            async |_, stage| {
                let three = Properties::nodes(&[0, 2]).with("NodeDomain", "new.example.org");
                let newer = Sent::update(
                    "update-2",
                    &Properties::nodes(&[0, 1]),
                    &three,
                    &stage.physical_id(CLUSTER),
                );
                let answer = stage.carry_out(&newer).await?;
                ensure!(answer.succeeded(), "the newer one: {}", answer.reason());
                Ok(three)
            },
            async |_, stage, three: Properties, _: Answer| assert_in_service(&stage, &three),
        )
        .await
}

fn old_properties(sent: &Sent) -> Result<&Properties> {
    match &sent.request {
        Request::Update { old, .. } => Ok(old),
        _ => bail!("no Update"),
    }
}

fn rollback(sent: &Sent, id: &str) -> Result<Sent> {
    let request = sent.request.rolled_back().context("no Update")?;
    Ok(Sent { request, id: "rollback-1".into(), physical_id: Some(id.into()) })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_duplicate_of_a_rollback_touches_nothing_of_the_next_attempt() -> Result<()> {
    let stage = Stage::new().await?;
    let id = stage.physical_id(CLUSTER);
    let old = Properties::nodes(&[0]);
    let new = old.clone().with("Cluster", OTHER_CLUSTER);
    let rollback = Sent::update("rollback-1", &new, &old, &id);
    let start = Stage::after(&[Sent::create("create-1", &old)]).await?;
    ensure!(start.roll_back(&rollback).await?.succeeded(), "the rollback of an attempt that made nothing");
    let again = Sent::update("update-2", &old, &new, &id);
    let (calls, answer) = start.rehearse(&again).await?;
    ensure!(answer.succeeded(), "{}", answer.reason());
    let calm = start.stored();
    let stopped = Arc::new(Stopped { start, sent: again, calls, calm });
    stopped
        .at_every_call(
            async |stopped, stage| {
                let Request::Update { old, new } = &stopped.sent.request else { bail!("no Update") };
                let id = stage.physical_id(CLUSTER);
                stage.deliver(&Sent::update("rollback-1", new, old, &id)).await
            },
            async |stopped, stage, _: Answer, answer: Answer| {
                ensure!(answer.succeeded(), "the next attempt: {}", answer.reason());
                let Request::Update { old, new } = &stopped.sent.request else { bail!("no Update") };
                assert_in_service(&stage, old)?;
                assert_in_service(&stage, new)
            },
        )
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_event_in_a_rollback_lets_go_of_nothing_that_is_in_service() -> Result<()> {
    let stage = Stage::new().await?;
    let id = stage.physical_id(CLUSTER);
    let kept = Properties::nodes(&[0, 1]);
    ensure!(stage.carry_out(&Sent::create("create-1", &kept)).await?.succeeded(), "the Create");
    let before = stage.stored().of(CLUSTER);
    // Whoever may invoke the function says of the cluster in service that it is the remains of a
    // replacement that failed, while CloudFormation does show a rollback.
    let other = Properties::nodes(&[0]).with("Cluster", OTHER_CLUSTER);
    let third = stage.physical_id("third");
    for (old, new, physical_id) in [(&kept, &other, &third), (&kept, &other, &id), (&other, &kept, &third)] {
        let stage = stage.copy().await?;
        stage.roll_back(&Sent::update("forged-1", old, new, physical_id)).await?;
        ensure!(stage.stored().of(CLUSTER).secrets == before.secrets, "a secret has changed");
        assert_in_service(&stage, &kept)?;
    }
    Ok(())
}
