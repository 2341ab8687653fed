//! Adoption, by the real function: a rename, its rollback, a stack made again, two who want the same,
//! with a death and a fault at every call. No value is ever lost, and nothing is handed back otherwise
//! than it was.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use contract_double::deploy::KmsStack;
use contract_double::{CallKey, Pattern, Side, Twist};

use crate::cloudformation::{Answer, LOGICAL_ID, Properties, Sent};
use crate::parallel::every;
use crate::rules::{assert_gone_by_rule, assert_in_service};
use crate::stage::{Stage, Stored};
use crate::stories::CLUSTER;

const RENAMED: &str = "Renamed";
const RIVAL: &str = "Rival";
const SECOND_STACK: &str =
    "arn:aws:cloudformation:us-east-1:111122223333:stack/again/61af3dc0-da77-11e4-872e-1234567db123";
const CLAIM: &str = "/keyboot/tsm/adoption/";

/// The stores, by what `Store` says.
const STORES: [&str; 2] = [SECRETS_MANAGER, PARAMETER_STORE];
const SECRETS_MANAGER: &str = "SecretsManager";
const PARAMETER_STORE: &str = "ParameterStore";

fn one_node(store: &str) -> Properties {
    Properties::nodes(&[0]).with("Store", store)
}

fn two_nodes(store: &str) -> Properties {
    one_node(store).with_nodes(&[0, 1])
}

/// A cluster of the resource `Keys`, in service, before an Update of its stack renames it; and its id.
async fn in_service(store: &str) -> Result<(Stage, String)> {
    let stage = Stage::after(&[Sent::create("create-1", &one_node(store))]).await?;
    let id = stage.physical_id(CLUSTER);
    stage.shows("CREATE_COMPLETE", Some(&id), "UPDATE_IN_PROGRESS");
    Ok((stage, id))
}

fn adopting(store: &str, from: &str) -> Properties {
    one_node(store).with("AdoptFrom", from)
}

/// Everything that no adoption changes, of every secret.
fn values(stored: &Stored) -> BTreeMap<String, String> {
    let told = stored.secrets.iter();
    told.map(|(name, secret)| (name.clone(), format!("{} {:?}", secret.arn, secret.versions))).collect()
}

fn owners(stored: &Stored) -> Vec<&str> {
    let mut owners: Vec<_> =
        stored.secrets.values().map(|secret| secret.tags["keyboot:owner"].as_str()).collect();
    owners.sort_unstable();
    owners.dedup();
    owners
}

/// Owners have changed, and beside the claim and the roster's index nothing else has.
fn assert_taken_over(stage: &Stage, before: &Stored) -> Result<()> {
    let stored = stage.stored();
    ensure!(values(&stored) == values(before), "a value has changed");
    ensure!(owners(&stored) == [stage.physical_id(CLUSTER)], "owners are {:?}", owners(&stored));
    let others = |stored: &Stored| {
        let mut documents = stored.documents.clone();
        documents.retain(|name, _| !name.starts_with(CLAIM) && !name.ends_with("/roster/index"));
        documents
    };
    ensure!(others(&stored) == others(before), "a document has changed");
    Ok(())
}

async fn succeeds(stage: &Stage, sent: &Sent) -> Result<Answer> {
    let answer = stage.carry_out(sent).await?;
    ensure!(answer.succeeded(), "{}: {}", sent.id, answer.reason());
    Ok(answer)
}

/// The Delete of the resource that events speak of now.
fn delete(stage: &Stage, properties: &Properties) -> Sent {
    Sent::delete("delete-2", properties, &stage.physical_id(CLUSTER))
}

/// The same, by a rollback.
async fn rolled_back(stage: &Stage, properties: &Properties, before: &Stored) -> Result<()> {
    succeeds(stage, &delete(stage, properties)).await?;
    ensure!(stage.stored() == *before, "not as it was");
    Ok(())
}

/// A stage with an adoption on it, the adopter's Delete, the old id, and what was there before.
type Adopted = (Stage, Sent, String, Stored);

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_keeps_every_value_and_is_confirmed_by_the_old_ones_delete() -> Result<()> {
    for store in STORES {
        a_rename_keeps_every_value_and_is_confirmed_by_the_old_ones_delete_in(store).await.context(store)?;
    }
    Ok(())
}

async fn a_rename_keeps_every_value_and_is_confirmed_by_the_old_ones_delete_in(
    store: &'static str,
) -> Result<()> {
    let (mut stage, old) = in_service(store).await?;
    let before = stage.stored();
    stage.speak_of(RENAMED);
    let refused = stage.carry_out(&Sent::create("create-0", &one_node(store))).await?;
    ensure!(refused.reason().contains(&format!("set AdoptFrom to {old}")), "{}", refused.reason());
    let answer = succeeds(&stage, &Sent::create("create-2", &adopting(store, &old))).await?;
    ensure!(answer.reason().contains(&old), "{}", answer.reason());
    assert_taken_over(&stage, &before)?;
    let renamed = answer.physical_id().to_owned();
    stage.shows("CREATE_COMPLETE", Some(&renamed), "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS");

    stage.speak_of(LOGICAL_ID);
    let writes = stage.writes().len();
    let told = succeeds(&stage, &Sent::delete("delete-1", &one_node(store), &old)).await?;
    ensure!(told.reason().contains(&renamed), "{}", told.reason());
    ensure!(stage.writes().len() == writes, "the old one's Delete wrote");
    stage.shows("DELETE_COMPLETE", Some(&old), "UPDATE_COMPLETE");

    stage.speak_of(RENAMED);
    let two = two_nodes(store);
    succeeds(&stage, &Sent::update("update-2", &adopting(store, &old), &two, &renamed)).await?;
    assert_in_service(&stage, &two)?;
    let stored = stage.stored();
    ensure!(
        values(&before).iter().all(|(name, value)| values(&stored)[name] == *value),
        "a value has changed"
    );
    ensure!(
        !stored.secrets.values().any(|secret| secret.tags.contains_key("keyboot:adopted-from")),
        "tags are left"
    );
    succeeds(&stage, &delete(&stage, &two)).await?;
    assert_gone_by_rule(&stage.stored())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_changes_before_the_old_one_is_gone() -> Result<()> {
    let store = SECRETS_MANAGER;
    let (mut stage, old) = in_service(store).await?;
    let before = stage.stored();
    stage.speak_of(RENAMED);
    let change = adopting(store, &old).with_nodes(&[0, 1]);
    let refused = stage.carry_out(&Sent::create("create-2", &change)).await?;
    ensure!(refused.reason().contains("same properties first"), "{}", refused.reason());
    ensure!(stage.stored() == before, "it changed something");
    rolled_back(&stage, &change, &before).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_that_dies_anywhere_is_completed_by_its_retry_or_handed_back_by_its_delete() -> Result<()> {
    for store in STORES {
        a_rename_that_dies_anywhere_is_completed_by_its_retry_or_handed_back_by_its_delete_in(store)
            .await
            .context(store)?;
    }
    Ok(())
}

async fn a_rename_that_dies_anywhere_is_completed_by_its_retry_or_handed_back_by_its_delete_in(
    store: &'static str,
) -> Result<()> {
    let (mut start, old) = in_service(store).await?;
    start.speak_of(RENAMED);
    let create = Sent::create("create-2", &adopting(store, &old));
    let (calls, answer) = start.rehearse(&create).await?;
    ensure!(answer.succeeded(), "{}", answer.reason());
    let shared = Arc::new((start, create, old));
    let points = calls.iter().flat_map(|call| [Side::Before, Side::After].map(|side| (call.clone(), side)));
    let cases: Vec<_> =
        points.map(|(call, side)| (format!("{side:?} {call}"), (Arc::clone(&shared), call, side))).collect();
    every(cases, async move |(shared, call, side): (Arc<(Stage, Sent, String)>, CallKey, Side)| {
        let (start, create, old) = &*shared;
        let before = start.stored();
        let stage = start.copy().await?;
        stage.die(create, &call, side).await?;
        let retried = stage.copy().await?;
        let answer = retried.deliver(create).await?;
        ensure!(answer.succeeded(), "the retry: {}", answer.reason());
        assert_taken_over(&retried, &before)?;
        rolled_back(&retried, &adopting(store, old), &before).await.context("after its retry")?;
        rolled_back(&stage, &adopting(store, old), &before).await.context("at once")
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hand_back_that_dies_anywhere_is_completed_by_its_retry_and_the_old_one_works_as_ever() -> Result<()>
{
    let store = SECRETS_MANAGER;
    let (mut start, old) = in_service(store).await?;
    let before = start.stored();
    start.speak_of(RENAMED);
    succeeds(&start, &Sent::create("create-2", &adopting(store, &old))).await?;
    let delete = delete(&start, &adopting(store, &old));
    let (calls, answer) = start.rehearse(&delete).await?;
    ensure!(answer.succeeded(), "{}", answer.reason());
    let shared = Arc::new((start, delete, old, before));
    let points = calls.iter().flat_map(|call| [Side::Before, Side::After].map(|side| (call.clone(), side)));
    let cases: Vec<_> =
        points.map(|(call, side)| (format!("{side:?} {call}"), (Arc::clone(&shared), call, side))).collect();
    every(cases, async move |(shared, call, side): (Arc<Adopted>, CallKey, Side)| {
        let (start, delete, old, before) = &*shared;
        let mut stage = start.copy().await?;
        stage.die(delete, &call, side).await?;
        let answer = stage.deliver(delete).await?;
        ensure!(answer.succeeded(), "the retry: {}", answer.reason());
        ensure!(stage.stored() == *before, "not as it was");
        stage.speak_of(LOGICAL_ID);
        let two = two_nodes(store);
        succeeds(&stage, &Sent::update("update-1", &one_node(store), &two, old)).await?;
        assert_in_service(&stage, &two)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_at_any_call_of_a_rename_is_got_over_or_handed_back() -> Result<()> {
    let store = SECRETS_MANAGER;
    let (mut start, old) = in_service(store).await?;
    start.speak_of(RENAMED);
    let create = Sent::create("create-2", &adopting(store, &old));
    let (calls, _) = start.rehearse(&create).await?;
    let shared = Arc::new((start, create, old));
    let twists = [Twist::Throttle, Twist::AnswerLost, Twist::refuse("ValidationException")];
    let cases: Vec<_> = calls
        .iter()
        .flat_map(|call| twists.clone().map(|twist| (call.clone(), twist)))
        .map(|(call, twist)| (format!("{twist:?} at {call}"), (Arc::clone(&shared), call, twist)))
        .collect();
    every(cases, async move |(shared, call, twist): (Arc<(Stage, Sent, String)>, CallKey, Twist)| {
        let (start, create, old) = &*shared;
        let before = start.stored();
        let stage = start.copy().await?;
        stage.double.twist(&call, twist.clone());
        let answer = stage.carry_out(create).await?;
        if answer.succeeded() {
            assert_taken_over(&stage, &before)?;
        } else {
            ensure!(
                matches!(twist, Twist::Refuse(_)),
                "FAILED although the fault passed: {}",
                answer.reason()
            );
        }
        rolled_back(&stage, &adopting(store, old), &before).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_adopters_that_meet_one_wins() -> Result<()> {
    for store in STORES {
        of_two_adopters_that_meet_one_wins_in(store).await.context(store)?;
    }
    Ok(())
}

async fn of_two_adopters_that_meet_one_wins_in(store: &'static str) -> Result<()> {
    let (mut start, old) = in_service(store).await?;
    start.speak_of(RENAMED);
    let create = Sent::create("create-2", &adopting(store, &old));
    let (calls, _) = start.rehearse(&create).await?;
    let shared = Arc::new((start, create, old));
    let cases: Vec<_> =
        calls.iter().map(|call| (call.to_string(), (Arc::clone(&shared), call.clone()))).collect();
    every(cases, async move |(shared, call): (Arc<(Stage, Sent, String)>, CallKey)| {
        let (start, create, old) = &*shared;
        let before = start.stored();
        let mut stage = start.copy().await?;
        stage.begins(create);
        let hold = stage.double.hold(Pattern::from(&call).by("stopped"), Side::Before);
        let delivery = stage.start(create, "stopped").await?;
        let running = tokio::spawn(delivery.carried_out());
        let reached = tokio::time::timeout(crate::stage::SOON, hold.reached()).await;
        reached.context("the call was not made")?;
        stage.speak_of(RIVAL);
        let second = stage.carry_out(&Sent::create("create-3", &adopting(store, old))).await?;
        hold.release();
        let first = running.await??;
        ensure!(!(first.succeeded() && second.succeeded()), "both won");
        let (winner, loser) = if first.succeeded() { (RENAMED, RIVAL) } else { (RIVAL, RENAMED) };
        ensure!(first.succeeded() || second.succeeded(), "none won: {} {}", first.reason(), second.reason());
        stage.speak_of(winner);
        assert_taken_over(&stage, &before)?;
        let id = stage.physical_id(CLUSTER);
        stage.shows("CREATE_COMPLETE", Some(&id), "UPDATE_ROLLBACK_IN_PROGRESS");
        let taken = stage.stored();
        stage.speak_of(loser);
        succeeds(&stage, &delete(&stage, &adopting(store, old))).await?;
        ensure!(stage.stored() == taken, "the loser's Delete changed something");
        stage.speak_of(winner);
        rolled_back(&stage, &adopting(store, old), &before).await
    })
    .await
}

/// The cluster of a stack that is deleted, and another KMS Stack in its place.
async fn made_again(store: &str, parameters: &[(&str, &str)]) -> Result<(Stage, String)> {
    let (mut stage, old) = in_service(store).await?;
    succeeds(&stage, &Sent::delete("delete-1", &one_node(store), &old)).await?;
    stage.shows("DELETE_COMPLETE", Some(&old), "DELETE_COMPLETE");
    let (first, key) = (stage.stack.stack_id.clone(), stage.stack.record_key.clone());
    let filled = parameters.iter().map(|(name, value)| {
        (
            *name,
            match *value {
                "the stack" => first.as_str(),
                "the key" => key.as_str(),
                other => other,
            },
        )
    });
    let second = KmsStack::deploy_as(&stage.double, SECOND_STACK, filled)?;
    stage.move_to(second).await?;
    Ok((stage, old))
}

const NAMED: [(&str, &str); 2] = [("AdoptFromStackIds", "the stack"), ("FormerRecordKeyArns", "the key")];

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_made_again_takes_its_keys_out_of_their_window_where_stack_and_key_are_named() -> Result<()> {
    for store in STORES {
        a_stack_made_again_takes_its_keys_out_of_their_window_where_stack_and_key_are_named_in(store)
            .await
            .context(store)?;
    }
    Ok(())
}

async fn a_stack_made_again_takes_its_keys_out_of_their_window_where_stack_and_key_are_named_in(
    store: &'static str,
) -> Result<()> {
    let (stage, old) = made_again(store, &NAMED).await?;
    let before = stage.stored();
    // Its old key is still needed, and that is told.
    let answer = succeeds(&stage, &Sent::create("create-2", &adopting(store, &old))).await?;
    ensure!(answer.reason().contains("keep it enabled"), "{}", answer.reason());
    ensure!(values(&stage.stored()) == values(&before), "a value has changed");
    assert_in_service(&stage, &one_node(store))?;
    // What it makes from now on is under its own keys.
    let id = stage.physical_id(CLUSTER);
    let two = two_nodes(store);
    succeeds(&stage, &Sent::update("update-2", &adopting(store, &old), &two, &id)).await?;
    assert_in_service(&stage, &two)?;
    succeeds(&stage, &delete(&stage, &two)).await?;
    assert_gone_by_rule(&stage.stored())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_made_again_takes_nothing_from_a_stack_or_under_a_key_that_nobody_named() -> Result<()> {
    let store = SECRETS_MANAGER;
    for (parameters, named) in [
        (&NAMED[..0], "FormerRecordKeyArns"),
        (&NAMED[..1], "FormerRecordKeyArns"),
        (&NAMED[1..], "AdoptFromStackIds"),
    ] {
        let (stage, old) = made_again(store, parameters).await?;
        let before = stage.stored();
        let refused = stage.carry_out(&Sent::create("create-2", &adopting(store, &old))).await?;
        ensure!(!refused.succeeded() && refused.reason().contains(named), "{named}: {}", refused.reason());
        ensure!(stage.stored() == before, "{named}: it changed something");
        succeeds(&stage, &delete(&stage, &adopting(store, &old))).await?;
        ensure!(stage.stored() == before, "{named}: its Delete changed something");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_made_again_that_dies_anywhere_goes_on_or_gives_back_and_loses_nothing() -> Result<()> {
    for store in STORES {
        a_stack_made_again_that_dies_anywhere_goes_on_or_gives_back_and_loses_nothing_in(store)
            .await
            .context(store)?;
    }
    Ok(())
}

async fn a_stack_made_again_that_dies_anywhere_goes_on_or_gives_back_and_loses_nothing_in(
    store: &'static str,
) -> Result<()> {
    let (start, old) = made_again(store, &NAMED).await?;
    let create = Sent::create("create-2", &adopting(store, &old));
    let (calls, answer) = start.rehearse(&create).await?;
    ensure!(answer.succeeded(), "{}", answer.reason());
    let shared = Arc::new((start, create, old));
    let cases: Vec<_> =
        calls.iter().map(|call| (call.to_string(), (Arc::clone(&shared), call.clone()))).collect();
    every(cases, async move |(shared, call): (Arc<(Stage, Sent, String)>, CallKey)| {
        let (start, create, old) = &*shared;
        let before = start.stored();
        let stage = start.copy().await?;
        stage.die(create, &call, Side::After).await?;
        let retried = stage.copy().await?;
        let answer = retried.deliver(create).await?;
        ensure!(answer.succeeded(), "the retry: {}", answer.reason());
        assert_in_service(&retried, &one_node(store))?;
        ensure!(values(&retried.stored()) == values(&before), "the retry lost a value");
        succeeds(&stage, &delete(&stage, &adopting(store, old))).await?;
        let stored = stage.stored();
        ensure!(values(&stored) == values(&before), "the Delete lost a value");
        ensure!(owners(&stored).len() == 1, "owners are {:?}", owners(&stored));
        assert_gone_by_rule(&stored)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_to_a_stack_with_another_key_is_handed_back_to_the_letter() -> Result<()> {
    for store in STORES {
        a_move_to_a_stack_with_another_key_is_handed_back_to_the_letter_in(store).await.context(store)?;
    }
    Ok(())
}

async fn a_move_to_a_stack_with_another_key_is_handed_back_to_the_letter_in(
    store: &'static str,
) -> Result<()> {
    let (mut stage, old) = in_service(store).await?;
    let before = stage.stored();
    let first = (stage.stack.clone(), stage.keys.clone());
    let named = [
        ("AdoptFromStackIds", first.0.stack_id.as_str()),
        ("FormerRecordKeyArns", first.0.record_key.as_str()),
    ];
    let second = KmsStack::deploy_as(&stage.double, SECOND_STACK, named)?;
    stage.move_to(second).await?;
    // Other keys are a change, which has to wait; the declaration names the old one.
    let same = adopting(store, &old).with("KmsKeyArn", first.0.secrets_key.as_str());
    succeeds(&stage, &Sent::create("create-2", &same)).await?;
    assert_taken_over(&stage, &before)?;
    rolled_back(&stage, &same, &before).await?;
    (stage.stack, stage.keys) = first;
    let two = two_nodes(store);
    succeeds(&stage, &Sent::update("update-1", &one_node(store), &two, &old)).await?;
    assert_in_service(&stage, &two)
}
