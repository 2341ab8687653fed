//! What is not the right server gets no password; what is not configured does not start.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Result, ensure};
use rig::functions::{Build, bootstrap};
use rig::postgres::Postgres;
use rig::python::Venv;
use rig::runtime::Function;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::stage::{SOON, Stage, create};

/// PostgreSQL documentation, "Message Formats": `SSLRequest`.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_name_is_refused_before_a_word_is_said() -> Result<()> {
    let venv = Venv::ready()?;
    let stage = Stage::with(Postgres::start_as(&venv, "elsewhere.example")?).await?;
    let logged = stage.postgres.log()?.len();
    let reason = stage.fails(&create("create-1")).await?;
    ensure!(reason.contains("no password was sent") && reason.contains("elsewhere.example"), "{reason}");
    ensure!(!stage.logged_since(logged)?.contains("connection received"), "it came through to the server");
    ensure!(stage.stored()?.versions.is_empty(), "something was stored");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_authority_is_refused_before_a_word_is_said() -> Result<()> {
    let venv = Venv::ready()?;
    let (stage, other) = (Stage::new().await?, Postgres::start(&venv)?);
    std::fs::copy(other.authority(), stage.roots())?;
    let logged = stage.postgres.log()?.len();
    let reason = stage.fails(&create("create-1")).await?;
    ensure!(reason.contains("no password was sent") && reason.contains("UnknownIssuer"), "{reason}");
    ensure!(!stage.logged_since(logged)?.contains("connection received"), "it came through to the server");
    // The right one beside it is found.
    let both = [other.authority(), stage.postgres.authority()].map(std::fs::read);
    std::fs::write(stage.roots(), both.into_iter().collect::<Result<Vec<_>, _>>()?.concat())?;
    stage.succeeds(&create("create-1")).await.map(drop)
}

/// Answers the wish for TLS, and keeps all that it hears.
async fn server_that_answers(answer: &'static [u8]) -> Result<(u16, Arc<Mutex<Vec<u8>>>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (port, heard) = (listener.local_addr()?.port(), Arc::<Mutex<Vec<u8>>>::default());
    let ears = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut first = [0; 8];
            let _ = stream.read_exact(&mut first).await;
            locked(&ears).extend(first);
            let _ = stream.write_all(answer).await;
            let mut rest = Vec::new();
            let _ = tokio::time::timeout(SOON, stream.read_to_end(&mut rest)).await;
            locked(&ears).extend(rest);
        }
    });
    Ok((port, heard))
}

fn locked(heard: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_hears_nothing_but_the_wish_for_it() -> Result<()> {
    // No; no, and what a server says that wants the password as it is; nonsense.
    for answer in [&b"N"[..], b"NR\0\0\0\x08\0\0\0\x03", b"X"] {
        let mut stage = Stage::new().await?;
        let (port, heard) = server_that_answers(answer).await?;
        stage.environment.insert("DATABASE_PORT".to_owned(), port.to_string());
        let reason = stage.fails(&create("create-1")).await?;
        ensure!(reason.contains("no password was sent"), "{reason}");
        let heard = locked(&heard).clone();
        ensure!(heard == SSL_REQUEST, "{answer:?}: it heard {heard:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_told_of() -> Result<()> {
    let mut stage = Stage::new().await?;
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    stage.environment.insert("DATABASE_PORT".to_owned(), listener.local_addr()?.port().to_string());
    // Nobody answers; then nobody listens.
    let reason = stage.fails(&create("create-1")).await?;
    ensure!(reason.contains("no answer within 10 seconds"), "{reason}");
    drop(listener);
    let reason = stage.fails(&create("create-1")).await?;
    ensure!(reason.contains("could not be reached: connection refused"), "{reason}");
    ensure!(stage.stored()?.versions.is_empty(), "something was stored");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_does_not_start_without_all_that_it_has_to_know() -> Result<()> {
    let mut stage = Stage::new().await?;
    let cases = [
        ("LOGIN_SECRET_ARN", None),
        ("LOGIN_SECRET_ARN", Some("canary")),
        ("MASTER_SECRET_ARN", None),
        ("MASTER_SECRET_ARN", Some("canary")),
        ("DATABASE_HOST", None),
        ("DATABASE_HOST", Some("/canary")),
        ("DATABASE_PORT", None),
        ("DATABASE_PORT", Some("canary")),
        ("DATABASE_NAME", None),
        ("DATABASE_NAME", Some("canary\"")),
        ("LAMBDA_TASK_ROOT", Some("/canary")),
    ];
    let starts = async |stage: &Stage| stage.function("starts").await?.ended(SOON).await;
    for (name, value) in cases {
        let whole = stage.environment.clone();
        match value {
            Some(value) => stage.environment.insert(name.to_owned(), value.to_owned()),
            None => stage.environment.remove(name),
        };
        let ended = starts(&stage).await?;
        stage.environment = whole;
        let printed = ended.printed();
        let named = if name == "LAMBDA_TASK_ROOT" { "rds-roots.pem" } else { name };
        ensure!(!ended.status.success() && !ended.asked_for_an_event, "{name} {value:?}: it started");
        ensure!(printed.contains(named) && !printed.contains("canary"), "{name} {value:?}: {printed}");
    }
    std::fs::write(stage.roots(), "canary")?;
    let printed = starts(&stage).await?.printed();
    ensure!(printed.contains("rds-roots.pem is of no use") && !printed.contains("canary"), "{printed}");
    Ok(())
}

/// The program that is deployed, not the one for emulators.
#[tokio::test(flavor = "multi_thread")]
async fn the_deployed_program_does_not_start_with_what_could_send_a_password_elsewhere() -> Result<()> {
    let stage = Stage::new().await?;
    let program = bootstrap("database-login", Build::Deployable)?;
    let mut environment = stage.environment.clone();
    environment.remove("AWS_ENDPOINT_URL");
    for name in ["AWS_ENDPOINT_URL_SECRETS_MANAGER", "HTTPS_PROXY", "SSL_CERT_FILE", "LD_PRELOAD"] {
        let mut tampered = environment.clone();
        tampered.insert(name.to_owned(), "canary".to_owned());
        let ended = Function::start(&program, &tampered).await?.ended(SOON).await?;
        let printed = ended.printed();
        ensure!(!ended.status.success() && !ended.asked_for_an_event, "{name}: it started");
        ensure!(printed.contains(&format!("variable {name} is set")), "{name}: {printed}");
        ensure!(!printed.replace("'canary' from LD_PRELOAD", "").contains("canary"), "{name}: {printed}");
    }
    let mut function = Function::start(&program, &environment).await?;
    ensure!(function.ready(SOON).await.is_some(), "it does not start at all");
    Ok(())
}
