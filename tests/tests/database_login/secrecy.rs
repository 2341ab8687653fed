//! Where passwords are not.

use anyhow::{Result, ensure};
use rig::postgres::Postgres;
use rig::runtime::Outcome;
use spelling::Search;

use crate::stage::{ROTATION_TOKEN, Stage, TIME, create, steps};

const TOKEN: &str = "11111111-aaaa-4bbb-8ccc-000000000001";
const NEXT: &str = "11111111-aaaa-4bbb-8ccc-000000000002";

/// A life with every log at its finest level: a stack and two rotations, one of them with failures.
#[tokio::test(flavor = "multi_thread")]
async fn no_log_has_a_password_in_it() -> Result<()> {
    let mut stage = Stage::new().await?;
    for (name, value) in [
        ("RUST_LOG", "trace"),
        ("RUST_BACKTRACE", "full"),
        ("LOG_SENSITIVE_BODIES", "true"),
        ("LOG_SIGNABLE_BODY", "true"),
        ("AWS_LAMBDA_LOG_LEVEL", "TRACE"),
        ("PGOPTIONS", "-c log_statement=all"),
    ] {
        stage.environment.insert(name.to_owned(), value.to_owned());
    }
    let (answer, mut printed) = stage.deliver_aloud(&create("create-1")).await?;
    ensure!(answer["Status"] == "SUCCESS", "{answer}");
    printed += &answer.to_string();
    for token in [TOKEN, NEXT] {
        stage.begin_rotation(token)?;
        let mut function = stage.function("aloud").await?;
        let in_disorder = [3, 0, 2, 0, 1, 1, 2, 3, 3];
        let events = steps(&stage.login_arn, token);
        for index in in_disorder {
            match function.invoke(events[index].to_string(), TIME).await? {
                Outcome::Response(body) | Outcome::Error(body) => printed += &String::from_utf8_lossy(&body),
                other => anyhow::bail!("{other:?}"),
            }
        }
        printed += &function.end().await?.printed();
    }
    let stored = stage.stored()?;
    ensure!(stored.labels.get("AWSCURRENT").is_some_and(|current| current == NEXT));
    let mut secrets: Vec<(String, Vec<Vec<u8>>)> = vec![
        ("the master user's".to_owned(), vec![Postgres::PASSWORD.into()]),
        ("the rotation's".to_owned(), vec![ROTATION_TOKEN.into()]),
        ("the answer's".to_owned(), vec![b"signature=of-the-answer".to_vec()]),
    ];
    for (id, value) in &stored.versions {
        let value: serde_json::Value = serde_json::from_str(value.as_deref().unwrap_or_default())?;
        let password = value["password"].as_str().unwrap_or_default();
        ensure!(password.len() == 43, "{id} has no password");
        secrets.push((id.clone(), vec![password.into()]));
    }
    ensure!(secrets.len() == 6, "{} secrets", secrets.len());
    let search = Search::new(secrets.iter().map(|(label, cores)| (label.as_str(), cores.as_slice())));
    // It would be found.
    ensure!(search.in_bytes(format!("x{}y", Postgres::PASSWORD).as_bytes()).len() == 1);

    let found = search.in_bytes(printed.as_bytes());
    ensure!(!printed.is_empty() && found.is_empty(), "the function's output has {found:?}");
    ensure!(!printed.contains("SCRAM-SHA-256$"), "the function's output has a verifier");
    let log = stage.postgres.log()?;
    // Every statement is there, those with a verifier among them.
    ensure!(log.contains("ALTER ROLE node_a PASSWORD 'SCRAM-SHA-256$4096:"), "{log}");
    ensure!(log.contains("ALTER ROLE node_b PASSWORD 'SCRAM-SHA-256$4096:"));
    let found = search.in_bytes(log.as_bytes());
    ensure!(found.is_empty(), "the server's log has {found:?}");
    Ok(())
}
