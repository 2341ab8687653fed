//! Rotations, driven as Secrets Manager drives them: killed at every call, begun again, and late.

use anyhow::{Context as _, Result, bail, ensure};
use contract_double::{CallKey, Pattern, Side, Twist, call_keys};
use rig::runtime::Outcome;
use serde_json::json;

use crate::stage::{LOGIN, Login, SOON, STEPS, Stage, Stored, TIME, create, lock_for, refusal, said, steps};

const TOKEN: &str = "11111111-aaaa-4bbb-8ccc-000000000001";
const NEXT: &str = "11111111-aaaa-4bbb-8ccc-000000000002";
const THIRD: &str = "11111111-aaaa-4bbb-8ccc-000000000003";

/// What is handed out now works.
async fn assert_usable(stage: &Stage) -> Result<Login> {
    let login = stage.stored()?.current()?;
    ensure!(stage.is_accepted(&login).await?, "{} is handed out and not accepted", login.username);
    Ok(login)
}

/// Rotated once: the other login is handed out, nothing is pending, and both work.
async fn assert_rotated(stage: &Stage, token: &str, before: &Login) -> Result<Login> {
    let stored = stage.stored()?;
    ensure!(stored.labels.get("AWSCURRENT").is_some_and(|current| current == token), "{:?}", stored.labels);
    ensure!(!stored.labels.contains_key("AWSPENDING"), "{:?}", stored.labels);
    ensure!(stored.staged("AWSPREVIOUS")? == *before, "another one was handed out before");
    let login = assert_usable(stage).await?;
    ensure!(login.username != before.username && login.password != before.password, "it is the same login");
    ensure!(stage.is_accepted(before).await?, "who has not heard of it yet is locked out");
    Ok(login)
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_take_turns_and_the_one_before_works_until_the_next() -> Result<()> {
    let stage = Stage::in_service().await?;
    let first = assert_usable(&stage).await?;
    stage.as_login(&first, "CREATE TABLE shares (id int); INSERT INTO shares VALUES (7)").await?;
    stage.rotate(TOKEN).await?;
    let second = assert_rotated(&stage, TOKEN, &first).await?;
    let shared = "ALTER TABLE shares ADD more int; SELECT id FROM shares";
    ensure!(stage.as_login(&second, shared).await? == ["7"], "the other login's table is another one");
    stage.rotate(NEXT).await?;
    let third = assert_rotated(&stage, NEXT, &second).await?;
    ensure!(third.username == first.username, "{} has no turn", first.username);
    ensure!(!stage.is_accepted(&first).await?, "the first password still works");
    // The stack finds nothing to do.
    let (stored, logged) = (stage.stored()?, stage.postgres.log()?.len());
    stage.succeeds(&create("create-2")).await?;
    ensure!(stage.stored()? == stored && !stage.logged_since(logged)?.contains("ALTER ROLE"));
    // Every event of the first rotation comes late.
    for event in steps(&stage.login_arn, TOKEN) {
        stage.ask("late", vec![event]).await?;
    }
    ensure!(stage.stored()? == stored && !stage.logged_since(logged)?.contains("ALTER ROLE"));
    assert_usable(&stage).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_dies_anywhere_is_completed_when_it_is_asked_for_again() -> Result<()> {
    let rehearsal = Stage::in_service().await?;
    let calls = rehearsal.double.calls().len();
    rehearsal.rotate(TOKEN).await?;
    let calls: Vec<CallKey> = call_keys(&rehearsal.double.calls_since(calls));
    ensure!(calls.len() >= 12, "{calls:?}");
    // One server for all: each goes on from where the one before has come to.
    let stage = Stage::in_service().await?;
    for (number, (call, side)) in
        calls.iter().flat_map(|call| [Side::Before, Side::After].map(|side| (call, side))).enumerate()
    {
        let token = format!("{number:08}-aaaa-4bbb-8ccc-000000000000");
        let before = assert_usable(&stage).await?;
        dies_and_is_asked_again(&stage, &token, &before, call, side)
            .await
            .with_context(|| format!("{side:?} {call}"))?;
    }
    Ok(())
}

async fn dies_and_is_asked_again(
    stage: &Stage,
    token: &str,
    before: &Login,
    call: &CallKey,
    side: Side,
) -> Result<()> {
    stage.begin_rotation(token)?;
    // Whatever the calls before were, those of this session are counted from the first.
    let hold = stage.double.hold(Pattern::from(call).by(token), side);
    let mut function = stage.function(token).await?;
    let asked = async {
        for event in steps(&stage.login_arn, token) {
            function.invoke(event.to_string(), TIME).await?;
        }
        Ok::<_, anyhow::Error>(())
    };
    tokio::select! {
        reached = tokio::time::timeout(SOON, hold.reached()) => {
            reached.context("the call was not made")?;
        }
        ended = asked => bail!("it ended before the call was made: {ended:?}"),
    }
    function.end().await?;
    stage.double.clear_twists();
    assert_usable(stage).await.context("where it died")?;
    ensure!(stage.is_accepted(before).await?, "the login before is locked out");
    stage.rotate(token).await.context("asked again")?;
    let after = assert_rotated(stage, token, before).await?;
    let stored = stage.stored()?;
    stage.rotate(token).await.context("asked once more")?;
    ensure!(stage.stored()? == stored, "the third time changes something");
    ensure!(assert_rotated(stage, token, before).await? == after);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_may_come_twice_and_two_runs_may_meet() -> Result<()> {
    let stage = Stage::in_service().await?;
    let before = assert_usable(&stage).await?;
    stage.begin_rotation(TOKEN)?;
    for event in steps(&stage.login_arn, TOKEN) {
        let twice = || stage.ask("meets", vec![event.clone()]);
        let (one, other) = tokio::join!(twice(), twice());
        for outcome in [one?, other?] {
            ensure!(matches!(outcome, Outcome::Response(_)), "{}", said(&outcome));
        }
    }
    assert_rotated(&stage, TOKEN, &before).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_rotation_left_pending_is_healed() -> Result<()> {
    for stop in 1..STEPS.len() {
        let stage = Stage::in_service().await?;
        let before = assert_usable(&stage).await?;
        stage.begin_rotation(TOKEN)?;
        let mut events = steps(&stage.login_arn, TOKEN);
        events.truncate(stop);
        stage.ask("stops", events).await?;
        let left = stage.stored()?.staged("AWSPENDING")?;
        // Secrets Manager begins another one while the label is still on the first: with two of them, as
        // when somebody has put it there by hand.
        let label = |id: &'static str, on: bool| {
            stage.double.with(|world| {
                let secret = world.secret_mut(&Stage::place(), LOGIN);
                if let Some(version) = secret.and_then(|secret| secret.versions.get_mut(id)) {
                    if on {
                        version.stages.insert("AWSPENDING".to_owned());
                    } else {
                        version.stages.remove("AWSPENDING");
                    }
                }
            });
        };
        label(TOKEN, false);
        stage.begin_rotation(NEXT)?;
        label(TOKEN, true);
        stage.rotate_on(NEXT).await.with_context(|| format!("after {stop} steps"))?;
        assert_rotated(&stage, NEXT, &before).await.with_context(|| format!("after {stop} steps"))?;
        ensure!(!stage.is_accepted(&left).await?, "what was given up is still accepted");
    }
    Ok(())
}

impl Stage {
    /// The steps alone: Secrets Manager has begun.
    async fn rotate_on(&self, token: &str) -> Result<()> {
        let outcome = self.ask("rotates", steps(&self.login_arn, token)).await?;
        ensure!(matches!(outcome, Outcome::Response(_)), "{}", said(&outcome));
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trial_at_switch_on_succeeds_and_changes_nothing() -> Result<()> {
    let stage = Stage::in_service().await?;
    let calm = stage.stored()?;
    for is_on in [false, true] {
        if is_on {
            stage.switch_rotation_on();
        }
        stage.double.with(|world| world.begin_trial(&Stage::place(), LOGIN, TOKEN))?;
        let test = steps(&stage.login_arn, TOKEN).swap_remove(2);
        let (before, calls, logged) =
            (stage.stored()?, stage.double.calls().len(), stage.postgres.log()?.len());
        let outcome = stage.ask("tried", vec![test.clone()]).await?;
        ensure!(matches!(outcome, Outcome::Response(_)), "{}", said(&outcome));
        ensure!(stage.stored()? == before && stage.writes_since(calls).is_empty(), "the trial wrote");
        ensure!(!stage.logged_since(logged)?.contains("ALTER ROLE"));
        // It comes late, when what was tried is gone again.
        stage.double.with(|world| world.end_trial(&Stage::place(), LOGIN, TOKEN))?;
        let outcome = stage.ask("late", vec![test]).await?;
        ensure!(matches!(outcome, Outcome::Response(_)), "{}", said(&outcome));
        ensure!(stage.stored()? == calm, "the late trial changed something");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_secrets_event_is_refused_before_any_call() -> Result<()> {
    let stage = Stage::in_service().await?;
    stage.begin_rotation(TOKEN)?;
    let (stored, calls) = (stage.stored()?, stage.double.calls().len());
    for arn in [
        "arn:aws:secretsmanager:us-east-1:000000000000:secret:keyboot-storage/tsm/node/1/database-login-AbCdEf",
        "arn:aws:secretsmanager:us-east-1:000000000000:secret:rds-db-0-AbCdEf",
        &stage.login_arn.replace("us-east-1", "eu-central-1"),
        &stage.login_arn.replace("000000000000", "111122223333"),
    ] {
        for event in steps(arn, TOKEN) {
            let said = refusal(&stage.ask("foreign", vec![event]).await?)?;
            ensure!(said.contains("not the secret of this function") || said.contains("SecretId"), "{said}");
        }
    }
    ensure!(stage.double.calls().len() == calls && stage.stored()? == stored, "something was asked for");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_fails_makes_no_second_version() -> Result<()> {
    let stage = Stage::in_service().await?;
    stage.begin_rotation(TOKEN)?;
    let before = stage.stored()?;
    for operation in ["DescribeSecret", "GetSecretValue"] {
        for twist in [Twist::Throttle, Twist::refuse("AccessDeniedException")] {
            stage.double.twist(Pattern::operation(operation).every(), twist.clone());
            let first = steps(&stage.login_arn, TOKEN).swap_remove(0);
            refusal(&stage.ask("fails", vec![first]).await?)?;
            stage.double.clear_twists();
            ensure!(stage.stored()? == before, "{operation} {twist:?}: something was changed");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_out_of_order_make_nothing_current_that_does_not_work() -> Result<()> {
    let stage = Stage::in_service().await?;
    let before = assert_usable(&stage).await?;
    stage.begin_rotation(TOKEN)?;
    let [create, set, test, finish] =
        <[_; 4]>::try_from(steps(&stage.login_arn, TOKEN)).ok().context("four")?;
    let untouched = |stored: &Stored| stored.labels.get("AWSCURRENT").is_some_and(|current| current != TOKEN);
    for event in [&set, &finish] {
        let said = refusal(&stage.ask("early", vec![event.clone()]).await?)?;
        ensure!(said.contains("was not made by this function"), "{said}");
    }
    stage.ask("creates", vec![create]).await?;
    for event in [&test, &finish] {
        let said = refusal(&stage.ask("early", vec![event.clone()]).await?)?;
        ensure!(said.contains("does not work"), "{said}");
    }
    ensure!(untouched(&stage.stored()?), "it is current");
    stage.rotate(TOKEN).await?;
    assert_rotated(&stage, TOKEN, &before).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pending_version_of_the_login_that_is_handed_out_is_given_up() -> Result<()> {
    let stage = Stage::in_service().await?;
    stage.rotate(TOKEN).await?;
    // The rotation from node_b to node_a has begun when the stack has to make another first login.
    stage.begin_rotation(NEXT)?;
    let first = steps(&stage.login_arn, NEXT).swap_remove(0);
    stage.ask("begins", vec![first]).await?;
    stage.overwrite(LOGIN, "nonsense").await?;
    stage.succeeds(&create("create-2")).await?;
    let login = assert_usable(&stage).await?;
    ensure!(login.username == "node_a");
    for event in steps(&stage.login_arn, NEXT).into_iter().skip(1).take(1) {
        let said = refusal(&stage.ask("goes on", vec![event]).await?)?;
        ensure!(said.contains("another rotation"), "{said}");
    }
    assert_usable(&stage).await?;
    // Asked again from the start, it makes room for the next one.
    let said = refusal(&stage.ask("again", steps(&stage.login_arn, NEXT)).await?)?;
    ensure!(said.contains("no longer pending"), "{said}");
    stage.rotate(THIRD).await?;
    assert_rotated(&stage, THIRD, &login).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_before_the_first_login_and_one_that_is_off_are_refused() -> Result<()> {
    let stage = Stage::new().await?;
    stage.begin_rotation(TOKEN)?;
    let said = refusal(&stage.ask("early", steps(&stage.login_arn, TOKEN)).await?)?;
    ensure!(said.contains("no login is handed out yet"), "{said}");
    let malformed = json!({ "Step": "canary", "SecretId": stage.login_arn, "ClientRequestToken": TOKEN });
    let said = refusal(&stage.ask("malformed", vec![malformed]).await?)?;
    ensure!(said.contains("Step") && !said.contains("canary"), "{said}");
    Ok(())
}

/// Whoever has a node's login can hold up its rotation, and nothing else comes of it: it is told, the login that is
/// handed out works, and the same rotation is done once the lock is free.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_holds_the_lock_holds_up_its_rotation_and_no_more() -> Result<()> {
    let stage = Stage::in_service().await?;
    let before = assert_usable(&stage).await?;
    stage.begin_rotation(TOKEN)?;
    let asked = async {
        stage.until_the_lock_is_held().await;
        stage.ask("meanwhile", steps(&stage.login_arn, TOKEN)).await
    };
    let lock = lock_for(25);
    let (held, outcome) = tokio::join!(stage.as_login(&before, &lock), asked);
    held?;
    let said = refusal(&outcome?)?;
    ensure!(said.contains("another run is changing the database's logins"), "{said}");
    ensure!(stage.stored()?.current()? == before && stage.is_accepted(&before).await?, "it was locked out");
    stage.rotate(TOKEN).await?;
    assert_rotated(&stage, TOKEN, &before).await.map(drop)
}
