//! A death at every call, and what CloudFormation and Lambda do then.
//!
//! Every request is rehearsed once to learn its calls by name. Then, for each of them, a process is
//! killed before the call is carried out, and another after it, before its answer is seen. What is
//! stored then meets Lambda's retry, and apart from that CloudFormation's next request.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use contract_double::{CallKey, Pattern, Side, Twist};

use crate::cloudformation::{Answer, Properties, Request, Sent};
use crate::parallel::every;
use crate::rules::{
    assert_gone_by_rule, assert_in_service, assert_nothing_is_left, assert_removed, is_marked, to_bring_back,
};
use crate::stage::{Stage, Stored};
use crate::stories::{CLUSTER, OTHER_CLUSTER, PhysicalId, Story, creates, deletes, replacement, updates};

/// A story, what there was before it, and how it goes undisturbed.
struct Rehearsed {
    story: Story,
    start: Stage,
    calls: Vec<CallKey>,
    answer: Answer,
}

impl Rehearsed {
    async fn of(story: Story) -> Result<Arc<Self>> {
        let start = Stage::after(&story.before).await?;
        let (calls, answer) = start.rehearse(&story.sent).await?;
        ensure!(answer.succeeded(), "{}: {}", story.name, answer.reason());
        Ok(Arc::new(Self { story, start, calls, answer }))
    }

    /// Lets it die at every call, on both sides of it.
    async fn dies_at_every_call<F, Fut>(self: &Arc<Self>, follow: F) -> Result<()>
    where
        F: Fn(Arc<Self>, Stage) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        let points = self.calls.iter().flat_map(|call| [Side::Before, Side::After].map(|side| (call, side)));
        let cases = points.map(|(call, side)| {
            let name = format!("{}: {side:?} {call}", self.story.name);
            (name, (Arc::clone(self), call.clone(), side, follow.clone()))
        });
        let cases: Vec<_> = cases.collect();
        every(cases, async |(rehearsed, call, side, follow): (Arc<Self>, CallKey, Side, F)| {
            let stage = rehearsed.start.copy().await?;
            stage.die(&rehearsed.story.sent, &call, side).await?;
            follow(rehearsed, stage).await
        })
        .await
    }

    /// After a Delete, by the deletion properties.
    fn assert_deleted(&self, stored: &Stored) -> Result<()> {
        let declared = self.story.sent.request.declared();
        let goes = |rule: &str, default: &str| declared.text(rule).unwrap_or(default) == "Schedule";
        for (name, secret) in &stored.secrets {
            let is_password = name.ends_with("/share-encryption-password");
            let rule = if is_password { ("ShareSecretOnDelete", "Retain") } else { ("OnDelete", "Schedule") };
            ensure!(secret.scheduled == goes(rule.0, rule.1), "{name}: scheduled is {}", secret.scheduled);
        }
        ensure!(stored.secrets.len() == 8, "{} secrets are left", stored.secrets.len());
        for (name, document) in &stored.documents {
            ensure!(!name.contains("/intent/") && !name.ends_with("/env"), "{name} is left over");
            let vanishes = goes("OnDelete", "Schedule")
                && (goes("ShareSecretOnDelete", "Retain") || !name.contains("/roster/"));
            ensure!(document.expires == vanishes, "{name}: expires is {}", document.expires);
        }
        Ok(())
    }

    /// Lambda delivers again after a death: it is answered as if nothing had happened, what was
    /// stored before is what counts, and yet another delivery changes nothing.
    async fn retried(&self, stage: &Stage) -> Result<()> {
        let died = stage.stored();
        let answer = stage.deliver(&self.story.sent).await.context("the retry")?;
        ensure!(answer.succeeded(), "the retry: {}", answer.reason());
        ensure!(answer.physical_id() == self.answer.physical_id(), "another physical id");
        ensure!(names_in(&answer) == names_in(&self.answer), "another shape: {answer:?}");
        let stored = stage.stored();
        for (name, secret) in &died.secrets {
            let after = stored.secrets.get(name).with_context(|| format!("{name} is gone"))?;
            for (id, value) in &secret.versions {
                ensure!(after.versions.get(id) == Some(value), "{name} has got another value");
            }
        }
        let before = self.start.stored();
        for (name, secret) in &stored.secrets {
            let versions = before.secrets.get(name).map_or(0, |secret| secret.versions.len());
            ensure!(secret.versions.len() <= versions + 1, "{name} was made twice");
        }
        let writes = stage.writes().len();
        let again = stage.deliver(&self.story.sent).await.context("the duplicate")?;
        ensure!(again.lasting() == answer.lasting(), "the duplicate is answered otherwise: {again:?}");
        ensure!(stage.writes().len() == writes, "the duplicate wrote: {:?}", &stage.writes()[writes..]);
        Ok(())
    }
}

fn names_in(answer: &Answer) -> Vec<String> {
    let data = answer.0["Data"].as_object();
    data.map(|data| data.keys().cloned().collect()).unwrap_or_default()
}

fn delete_of(properties: &Properties, physical_id: &str) -> Sent {
    Sent::delete("delete-1", properties, physical_id)
}

/// The stories of `of`, rehearsed.
async fn rehearsed(of: fn(PhysicalId<'_>) -> Vec<Story>) -> Result<Vec<Arc<Rehearsed>>> {
    let stage = Stage::new().await?;
    let mut rehearsed = Vec::new();
    for story in of(&|cluster| stage.physical_id(cluster)) {
        rehearsed.push(Rehearsed::of(story).await?);
    }
    Ok(rehearsed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_dies_anywhere_is_completed_by_its_retry() -> Result<()> {
    for story in rehearsed(creates).await? {
        story
            .dies_at_every_call(async |story, stage| {
                story.retried(&stage).await?;
                let declared = story.story.sent.request.declared();
                assert_in_service(&stage, declared)?;
                let deleted = stage.carry_out(&delete_of(declared, &stage.physical_id(CLUSTER))).await?;
                ensure!(deleted.succeeded(), "the Delete: {}", deleted.reason());
                assert_gone_by_rule(&stage.stored())
            })
            .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_dies_anywhere_leaves_nothing_after_its_delete() -> Result<()> {
    for story in rehearsed(creates).await? {
        story
            .dies_at_every_call(async |story, stage| {
                let died = stage.stored();
                let declared = story.story.sent.request.declared();
                // `unanswered` has given CloudFormation the id; the properties may be what failed.
                let unreadable = declared.clone().with("Nodes", "x").with("Applications", "x");
                for properties in [declared, &unreadable] {
                    let stage = stage.copy().await?;
                    let delete = delete_of(properties, &stage.physical_id(CLUSTER));
                    let deleted = stage.carry_out(&delete).await?;
                    ensure!(deleted.succeeded(), "the Delete: {}", deleted.reason());
                    assert_removed(&died, &stage.stored())?;
                    // And a late retry of the Create makes and restores nothing.
                    let removed = stage.stored();
                    stage.shows("DELETE_COMPLETE", None, "ROLLBACK_COMPLETE");
                    let late = stage.deliver(&story.story.sent).await?;
                    ensure!(!late.succeeded(), "the late retry succeeded");
                    ensure!(stage.stored() == removed, "the late retry changed something");
                }
                Ok(())
            })
            .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_with_an_id_that_cloudformation_made_up_removes_what_never_completed() -> Result<()> {
    let stories = rehearsed(creates).await?;
    stories[0]
        .dies_at_every_call(async |story, stage| {
            let died = stage.stored();
            let declared = story.story.sent.request.declared();
            let delete = delete_of(declared, "kms-Keys-1A2B3C4D5E6F7");
            let deleted = stage.carry_out(&delete).await?;
            ensure!(deleted.succeeded(), "the Delete: {}", deleted.reason());
            if !is_marked(&died) {
                return assert_nothing_is_left(&stage.stored());
            }
            let stored = stage.stored();
            ensure!(stored.secrets == died.secrets, "it touched a cluster in service");
            Ok(())
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_dies_anywhere_is_completed_by_its_retry() -> Result<()> {
    for story in rehearsed(updates).await? {
        story
            .dies_at_every_call(async |story, stage| {
                story.retried(&stage).await?;
                assert_in_service(&stage, story.story.sent.request.declared())
            })
            .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_dies_anywhere_is_rolled_back_to_what_was_before() -> Result<()> {
    for story in rehearsed(updates).await? {
        let succeeded = story.start.copy().await?;
        succeeded.carry_out(&story.story.sent).await?;
        rolled_back(Arc::clone(&story), succeeded).await.context("after a success")?;
        story.dies_at_every_call(rolled_back).await?;
    }
    Ok(())
}

/// The Update that takes a story back, after it, and then the Delete.
async fn rolled_back(story: Arc<Rehearsed>, stage: Stage) -> Result<()> {
    let Request::Update { old, new } = &story.story.sent.request else { bail!("no Update") };
    let id = stage.physical_id(CLUSTER);
    let answer = stage.roll_back(&Sent::update("rollback-1", new, old, &id)).await?;
    ensure!(answer.succeeded(), "the rollback: {}", answer.reason());
    ensure!(answer.physical_id() == id, "another physical id");
    assert_in_service(&stage, old)?;
    ensure!(to_bring_back(&stage, old)? == to_bring_back(&story.start, old)?, "not as it was");
    let deleted = stage.carry_out(&delete_of(old, &id)).await?;
    ensure!(deleted.succeeded(), "the Delete: {}", deleted.reason());
    assert_gone_by_rule(&stage.stored())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_that_dies_anywhere_is_completed_and_the_old_cluster_goes() -> Result<()> {
    for story in rehearsed(|id| vec![replacement(id)]).await? {
        story
            .dies_at_every_call(async |story, stage| {
                story.retried(&stage).await?;
                let Request::Update { old, new } = &story.story.sent.request else { bail!("no Update") };
                assert_in_service(&stage, old)?;
                assert_in_service(&stage, new)?;
                let (old_id, new_id) = (stage.physical_id(CLUSTER), stage.physical_id(OTHER_CLUSTER));
                let clean_up = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS";
                stage.shows("UPDATE_COMPLETE", Some(&new_id), clean_up);
                let deleted = stage.deliver(&delete_of(old, &old_id)).await?;
                ensure!(deleted.succeeded(), "the clean-up: {}", deleted.reason());
                assert_in_service(&stage, new)?;
                assert_gone_by_rule(&stage.stored().of(CLUSTER))
            })
            .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_that_dies_anywhere_is_rolled_back_and_leaves_nothing() -> Result<()> {
    for story in rehearsed(|id| vec![replacement(id)]).await? {
        story
            .dies_at_every_call(async |story, stage| {
                let Request::Update { old, new } = &story.story.sent.request else { bail!("no Update") };
                let died = stage.stored().of(OTHER_CLUSTER);
                let is_known = is_marked(&died);
                let id = stage.physical_id(CLUSTER);
                let answer = stage.roll_back(&Sent::update("rollback-1", new, old, &id)).await?;
                ensure!(answer.succeeded(), "the rollback: {}", answer.reason());
                ensure!(answer.physical_id() == id, "another physical id");
                assert_in_service(&stage, old)?;
                ensure!(to_bring_back(&stage, old)? == to_bring_back(&story.start, old)?, "not as it was");
                let other = stage.stored().of(OTHER_CLUSTER);
                if !is_known {
                    return assert_nothing_is_left(&other);
                }
                // What a roster listed may have been used: it stays, and the answer says so.
                ensure!(other.secrets == died.secrets, "something of the other cluster has changed");
                ensure!(answer.reason().contains("kept"), "the Reason says {:?}", answer.reason());
                Ok(())
            })
            .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_that_dies_anywhere_is_completed_by_its_retry() -> Result<()> {
    for story in rehearsed(deletes).await? {
        let calm = story.start.copy().await?;
        calm.carry_out(&story.story.sent).await?;
        story.assert_deleted(&calm.stored())?;
        story
            .dies_at_every_call(async |story, stage| {
                story.retried(&stage).await?;
                story.assert_deleted(&stage.stored())
            })
            .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_delete_of_a_half_made_create_that_dies_anywhere_leaves_nothing() -> Result<()> {
    let create = &rehearsed(creates).await?[0];
    let is_mark =
        |call: &CallKey| call.operation == "PutParameter" && call.subject.ends_with("/roster/index");
    let mark = create.calls.iter().rposition(is_mark);
    let mark = mark.context("no commit mark")?;
    let last_secret = create.calls.iter().rposition(|call| call.operation == "CreateSecret");
    for at in [last_secret.context("no secret")?, mark] {
        let start = create.start.copy().await?;
        start.die(&create.story.sent, &create.calls[at], Side::Before).await?;
        ensure!(!start.stored().secrets.is_empty(), "nothing was made");
        let sent = delete_of(create.story.sent.request.declared(), &start.physical_id(CLUSTER));
        let (calls, answer) = start.rehearse(&sent).await?;
        let story = Story { name: "delete of a half-made cluster", before: Vec::new(), sent };
        let story = Arc::new(Rehearsed { story, start, calls, answer });
        story
            .dies_at_every_call(async |story, stage| {
                let answer = stage.deliver(&story.story.sent).await?;
                ensure!(answer.succeeded(), "the retry: {}", answer.reason());
                assert_nothing_is_left(&stage.stored())
            })
            .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_touches_nothing_of_a_cluster_that_was_retained_before() -> Result<()> {
    let stage = Stage::new().await?;
    let (old_id, new_id) = (stage.physical_id(CLUSTER), stage.physical_id(OTHER_CLUSTER));
    let kept = Properties::nodes(&[0]).with("OnDelete", "Retain");
    let other = Properties::nodes(&[0]).with("Cluster", OTHER_CLUSTER);
    ensure!(stage.carry_out(&Sent::create("create-1", &kept)).await?.succeeded(), "the Create");
    ensure!(
        stage.carry_out(&Sent::update("update-1", &kept, &other, &old_id)).await?.succeeded(),
        "the Update"
    );
    stage.shows("UPDATE_COMPLETE", Some(&new_id), "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS");
    ensure!(stage.deliver(&delete_of(&kept, &old_id)).await?.succeeded(), "the clean-up");
    let before = stage.stored().of(CLUSTER);
    ensure!(before.secrets.len() == 4 && before.secrets.values().all(|secret| !secret.scheduled), "retained");

    // Back to the first cluster, with the default rules, and it fails.
    let back = Properties::nodes(&[0]);
    stage.double.twist(Pattern::operation("PutParameter").every(), Twist::refuse("ValidationException"));
    let failed = stage.carry_out(&Sent::update("update-2", &other, &back, &new_id)).await?;
    ensure!(!failed.succeeded(), "it was to fail");
    stage.double.clear_twists();
    let undone = stage.roll_back(&Sent::update("rollback-2", &back, &other, &new_id)).await?;
    ensure!(undone.succeeded(), "the rollback: {}", undone.reason());
    assert_in_service(&stage, &other)?;
    ensure!(stage.stored().of(CLUSTER).secrets == before.secrets, "the retained cluster has changed");
    Ok(())
}
