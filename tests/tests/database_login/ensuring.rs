//! What a stack asks for: there is a login that works, however often and after whatever it is asked.

use anyhow::{Context as _, Result, ensure};
use contract_double::{CallKey, Pattern, Side, Twist, call_keys};
use rig::postgres::Postgres;
use serde_json::json;

use crate::stage::{LOGIN, SOON, Stage, create, delete, lock_for, update};

const OTHER_DATABASE: &str = "db-ZYXWVUTSRQPONMLKJIHGFEDCBA";

/// The login that is handed out works, is the database's own, and there is one version of it.
async fn assert_in_service(stage: &Stage) -> Result<()> {
    let stored = stage.stored()?;
    let login = stored.current()?;
    ensure!(stored.versions.len() == 1, "{:?}", stored.labels);
    ensure!(login.username == "node_a" && login.password.len() == 43, "{}", login.username);
    ensure!((login.host.as_str(), login.dbname.as_str()) == (Postgres::HOST, Postgres::DATABASE));
    ensure!(login.port == u64::from(stage.postgres.port()));
    let table = "CREATE TABLE IF NOT EXISTS shares (id int); SELECT tableowner FROM pg_tables \
                 WHERE tablename = 'shares' AND schemaname = 'node'";
    ensure!(stage.as_login(&login, table).await? == ["node"], "the table is somebody else's");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_makes_a_login_that_works_and_a_second_one_changes_nothing() -> Result<()> {
    let stage = Stage::new().await?;
    let first = stage.succeeds(&create("create-1")).await?;
    assert_in_service(&stage).await?;
    ensure!(first["Data"]["SecretArn"] == stage.login_arn.as_str(), "{first}");
    let id = first["PhysicalResourceId"].as_str().context("no id")?;
    ensure!(id.starts_with("keyboot-database-login/") && id.len() == 39, "{id}");

    let (stored, calls, logged) = (stage.stored()?, stage.double.calls().len(), stage.postgres.log()?.len());
    for event in [
        create("create-1"),
        create("create-2"),
        update("update-1", &first["PhysicalResourceId"], "db-ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        update("update-2", &first["PhysicalResourceId"], OTHER_DATABASE),
        delete("delete-1", &first["PhysicalResourceId"]),
    ] {
        let again = stage.succeeds(&event).await?;
        ensure!(again["PhysicalResourceId"] == first["PhysicalResourceId"], "{again}");
        ensure!(event["RequestType"] == "Delete" || again["Data"] == first["Data"], "{again}");
    }
    ensure!(stage.stored()? == stored, "the secret has changed");
    let calls = stage.double.calls_since(calls);
    ensure!(!calls.iter().any(|call| call.subject.starts_with("rds-")), "the master user was read");
    let logged = stage.logged_since(logged)?;
    ensure!(!logged.contains("ALTER ROLE") && !logged.contains("user=postgres"), "{logged}");
    assert_in_service(&stage).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_dies_anywhere_is_completed_when_it_comes_again() -> Result<()> {
    let rehearsal = Stage::new().await?;
    let calls = rehearsal.double.calls().len();
    rehearsal.succeeds(&create("create-1")).await?;
    let calls: Vec<CallKey> = call_keys(&rehearsal.double.calls_since(calls)).into_iter().collect();
    ensure!(calls.len() >= 4, "{calls:?}");
    let points = calls.iter().flat_map(|call| [Side::Before, Side::After].map(|side| Some((call, side))));
    // The last one is where everything is done, and nobody knows.
    for at in points.chain([None]) {
        let stage = Stage::new().await?;
        stage.die(&create("create-1"), at).await.with_context(|| format!("{at:?}"))?;
        let died = stage.stored()?;
        stage.succeeds(&create("create-1")).await.with_context(|| format!("{at:?}"))?;
        assert_in_service(&stage).await.with_context(|| format!("{at:?}"))?;
        let stored = stage.stored()?;
        ensure!(died.versions.is_empty() || died == stored, "{at:?}: another version");
        stage.succeeds(&create("create-1")).await?;
        ensure!(stage.stored()? == stored, "{at:?}: the third time changes something");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_deliveries_at_once_make_one_login() -> Result<()> {
    let stage = Stage::new().await?;
    let event = create("create-1");
    let (one, other) = tokio::join!(stage.succeeds(&event), stage.succeeds(&event));
    ensure!(one?["PhysicalResourceId"] == other?["PhysicalResourceId"]);
    assert_in_service(&stage).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_the_store_is_told_and_never_taken_for_absence() -> Result<()> {
    let stage = Stage::in_service().await?;
    let stored = stage.stored()?;
    for operation in ["DescribeSecret", "GetSecretValue"] {
        for twist in [Twist::Throttle, Twist::refuse("AccessDeniedException"), Twist::ServerError(500)] {
            stage.double.twist(Pattern::operation(operation).every(), twist.clone());
            let reason = stage.fails(&create("create-2")).await?;
            ensure!(reason.contains(operation), "{twist:?}: {reason}");
            stage.double.clear_twists();
            ensure!(stage.stored()? == stored, "{operation} {twist:?}: something was changed");
        }
    }
    assert_in_service(&stage).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_does_not_know_the_login_is_told_it_again() -> Result<()> {
    let stage = Stage::in_service().await?;
    let stored = stage.stored()?;
    // Restored from before its login was made; or somebody has meddled with it.
    for meddling in [
        "DROP OWNED BY node CASCADE; DROP ROLE node_a; DROP SCHEMA IF EXISTS node CASCADE; DROP ROLE node",
        "ALTER ROLE node_a PASSWORD NULL",
        "ALTER ROLE node_a NOLOGIN",
        "ALTER ROLE node_a VALID UNTIL 'yesterday'",
        "ALTER ROLE node_a RESET role",
        "ALTER ROLE node_a CREATEROLE",
        "ALTER ROLE node_a CREATEDB",
        "REVOKE node FROM node_a GRANTED BY postgres",
        "REVOKE CONNECT ON DATABASE tsm FROM node",
        "GRANT CONNECT ON DATABASE tsm TO PUBLIC",
        "GRANT USAGE ON SCHEMA public TO PUBLIC",
        "GRANT USAGE ON SCHEMA node TO PUBLIC",
    ] {
        stage.as_superuser(meddling).await.with_context(|| meddling.to_owned())?;
        let id = json!("keyboot-database-login/0123456789abcdef");
        let answer = stage
            .succeeds(&update("update-1", &id, OTHER_DATABASE))
            .await
            .with_context(|| meddling.to_owned())?;
        let reason = answer["Reason"].as_str().unwrap_or_default();
        ensure!(reason.contains("was told it"), "{meddling}: {reason}");
        ensure!(stage.stored()? == stored, "{meddling}: another version");
        assert_in_service(&stage).await.with_context(|| meddling.to_owned())?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_login_is_replaced_and_one_of_another_place_is_moved() -> Result<()> {
    let stage = Stage::in_service().await?;
    let first = stage.stored()?.current()?;
    let id = json!("keyboot-database-login/0123456789abcdef");
    let moved = format!(
        r#"{{"engine":"postgres","host":"elsewhere.example","port":5432,"dbname":"tsm","username":"node_a","password":"{}"}}"#,
        first.password
    );
    stage.overwrite(LOGIN, &moved).await?;
    stage.succeeds(&update("update-1", &id, OTHER_DATABASE)).await?;
    ensure!(stage.stored()?.current()? == first, "it is another login");
    for (number, nothing) in ["nonsense", "{}"].into_iter().enumerate() {
        stage.overwrite(LOGIN, nothing).await?;
        let event = update(&format!("update-2-{number}"), &id, OTHER_DATABASE);
        stage.succeeds(&event).await?;
        let (stored, login) = (stage.stored()?, stage.stored()?.current()?);
        ensure!(login.password != first.password && stage.is_accepted(&login).await?);
        stage.succeeds(&event).await?;
        ensure!(stage.stored()? == stored, "the second time changes something");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_user_with_another_password_is_read_again() -> Result<()> {
    let stage = Stage::new().await?;
    let hold = stage.double.hold(Pattern::operation("GetSecretValue").on("rds-db-0"), Side::After);
    let event = create("create-1");
    let rotating = async {
        tokio::time::timeout(SOON, hold.reached()).await.context("it was not read")?;
        stage.rotate_master("another-password-of-the-master").await?;
        hold.release();
        Ok::<_, anyhow::Error>(())
    };
    let (answer, rotated) = tokio::join!(stage.succeeds(&event), rotating);
    rotated?;
    answer?;
    assert_in_service(&stage).await?;

    // One that is wrong for good is told.
    let stage = Stage::new().await?;
    stage.overwrite("rds-db-0", r#"{"username":"postgres","password":"a-wrong-one"}"#).await?;
    let reason = stage.fails(&create("create-1")).await?;
    ensure!(reason.contains("does not accept the login") && !reason.contains("wrong"), "{reason}");
    ensure!(stage.stored()?.versions.is_empty(), "something was stored");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_properties_are_named_before_any_call_and_a_delete_does_not_mind() -> Result<()> {
    let stage = Stage::new().await?;
    let calls = stage.double.calls().len();
    let mut unknown = create("create-1");
    unknown["ResourceProperties"]["Username"] = "canary".into();
    let mut missing = create("create-1");
    missing["ResourceProperties"] = json!({ "ServiceToken": "x" });
    let mut no_text = create("create-1");
    no_text["ResourceProperties"]["Database"] = json!(["canary"]);
    for (event, named) in [(unknown, "Username"), (missing, "Database"), (no_text, "Database")] {
        let reason = stage.fails(&event).await?;
        ensure!(reason.contains(named) && !reason.contains("canary"), "{reason}");
        let mut delete = event.clone();
        delete["RequestType"] = "Delete".into();
        delete["PhysicalResourceId"] = "keyboot-database-login/0123456789abcdef".into();
        let answer = stage.succeeds(&delete).await?;
        ensure!(
            answer["Reason"].as_str().is_some_and(|reason| reason.contains("keeps its logins")),
            "{answer}"
        );
    }
    ensure!(stage.double.calls().len() == calls, "something was asked for");
    Ok(())
}

/// A run that was frozen while it changed logins holds them up until the server ends its session.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_holds_the_lock_is_told_of_and_then_waited_for() -> Result<()> {
    let stage = Stage::new().await?;
    let lock = async |seconds: u32| stage.as_superuser(&lock_for(seconds)).await.map(drop);
    let event = create("create-1");
    let fails = async || {
        stage.until_the_lock_is_held().await;
        stage.fails(&event).await
    };
    let (held, reason) = tokio::join!(lock(25), fails());
    held?;
    ensure!(reason?.contains("another run is changing the database's logins"), "it was not waited for");
    ensure!(stage.stored()?.versions.is_empty(), "something was stored");
    let succeeds = async || {
        stage.until_the_lock_is_held().await;
        stage.succeeds(&event).await
    };
    let (held, answer) = tokio::join!(lock(3), succeeds());
    held?;
    answer?;
    assert_in_service(&stage).await
}
