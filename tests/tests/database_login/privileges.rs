//! What a login may do, and what nobody may.

use anyhow::{Context as _, Result, ensure};
use rig::postgres::Postgres;

use crate::stage::{Stage, code_of};

const TOKEN: &str = "11111111-aaaa-4bbb-8ccc-000000000001";
/// PostgreSQL's code for a right that is not there.
const DENIED: &str = "42501";

#[tokio::test(flavor = "multi_thread")]
async fn a_login_may_do_nothing_beyond_its_own_schema() -> Result<()> {
    let stage = Stage::in_service().await?;
    let first = stage.stored()?.current()?;
    stage.rotate(TOKEN).await?;
    let second = stage.stored()?.current()?;
    for login in [first, second] {
        for forbidden in [
            "CREATE ROLE mine",
            "RESET ROLE; CREATE ROLE mine",
            "CREATE DATABASE mine",
            "CREATE SCHEMA mine",
            "CREATE TABLE public.mine (id int)",
            "CREATE TEMPORARY TABLE mine (id int)",
            "RESET ROLE; CREATE TABLE mine.mine (id int); CREATE SCHEMA mine",
            "SET ROLE postgres",
            "SET SESSION AUTHORIZATION node",
            "ALTER ROLE node LOGIN",
            "ALTER ROLE node_a CREATEDB",
            "GRANT node TO postgres",
            "SELECT rolpassword FROM pg_authid",
            "SELECT pg_read_file('postgresql.conf')",
            "COPY (SELECT 1) TO PROGRAM 'cat'",
            "CREATE EXTENSION vector",
            "ALTER SYSTEM SET fsync = on",
        ] {
            let refused = stage.as_login(&login, forbidden).await.err();
            let refused = refused.with_context(|| format!("{} may {forbidden}", login.username))?;
            let code = code_of(&refused).unwrap_or_default();
            ensure!([DENIED, "3F000"].contains(&code.as_str()), "{forbidden}: {code}");
        }
        for database in ["postgres", "template1"] {
            let refused = stage.ask_database(&login.username, &login.password, database, "SELECT 1").await;
            let code = refused.err().as_ref().and_then(code_of);
            ensure!(code.as_deref() == Some(DENIED), "{} reads {database}: {code:?}", login.username);
        }
        let own = "CREATE TABLE own (id int); INSERT INTO own VALUES (1); SELECT id FROM own; DROP TABLE own";
        ensure!(stage.as_login(&login, own).await? == ["1"]);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_world_may_do_nothing() -> Result<()> {
    let stage = Stage::in_service().await?;
    stage.as_superuser("CREATE ROLE stranger LOGIN PASSWORD 'stranger'").await?;
    for database in [Postgres::DATABASE, "postgres", "template1"] {
        let refused = stage.ask_database("stranger", "stranger", database, "SELECT 1").await;
        let code = refused.err().as_ref().and_then(code_of);
        ensure!(code.as_deref() == Some(DENIED), "a stranger reads {database}: {code:?}");
    }
    let to_public = "SELECT nspname FROM pg_namespace WHERE nspname IN ('public', 'node') \
                     AND has_schema_privilege('public', oid, 'USAGE, CREATE')";
    ensure!(stage.as_superuser(to_public).await?.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_logs_in_nowhere_and_the_master_user_is_no_member() -> Result<()> {
    let stage = Stage::in_service().await?;
    stage.rotate(TOKEN).await?;
    let can = "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'node'";
    ensure!(stage.as_superuser(can).await? == ["f"]);
    let login = stage.stored()?.current()?;
    stage.as_login(&login, "CREATE TABLE shares (id int)").await?;
    let master =
        |statement| stage.ask_database(Postgres::MASTER, Postgres::PASSWORD, Postgres::DATABASE, statement);
    let refused = master("SELECT * FROM node.shares").await.err().context("the master user reads shares")?;
    ensure!(code_of(&refused).as_deref() == Some(DENIED), "{refused}");
    Ok(())
}
