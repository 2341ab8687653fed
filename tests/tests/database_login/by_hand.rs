//! Every file of `events/database-login`, in the order of their names, as its name says what comes of it.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use rig::runtime::Outcome;
use serde_json::Value;

use crate::stage::{Stage, refusal, said};

#[tokio::test(flavor = "multi_thread")]
async fn every_event_in_the_repository_is_answered_as_it_is_named() -> Result<()> {
    let mut files: Vec<_> = std::fs::read_dir(rig::repository().join("events/database-login"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.sort();
    ensure!(files.len() == 12, "{} files", files.len());
    let stage = Stage::new().await?;
    for file in &files {
        let name = file.file_stem().and_then(|name| name.to_str()).context("no name")?;
        deliver(&stage, file, name).await.with_context(|| name.to_owned())?;
    }
    let stored = stage.stored()?;
    ensure!(stored.current()?.username == "node_b" && stored.staged("AWSPREVIOUS")?.username == "node_a");
    stage.is_accepted(&stored.current()?).await.map(drop)
}

async fn deliver(stage: &Stage, file: &Path, name: &str) -> Result<()> {
    let mut event: Value = serde_json::from_slice(&std::fs::read(file)?)?;
    let before = stage.stored()?;
    let Some(step) = event["Step"].as_str().map(str::to_owned) else {
        let answer = stage.deliver(&event).await?;
        let wanted = if name.starts_with("malformed-") { "FAILED" } else { "SUCCESS" };
        ensure!(answer["Status"] == wanted, "{answer}");
        ensure!(name == "1-create" || stage.stored()? == before, "something was stored");
        // The id that the other files have, of a stack that is nobody's.
        if let Some(id) = event["PhysicalResourceId"].as_str() {
            ensure!(answer["PhysicalResourceId"] == id, "{answer}");
        }
        return Ok(());
    };
    // Secrets Manager adds six characters of its own choice to a secret's name.
    if event["SecretId"].as_str().is_some_and(|arn| arn.contains("/node/0/")) {
        event["SecretId"] = stage.login_arn.clone().into();
    }
    if step == "createSecret" && name.contains("-step-") {
        stage.begin_rotation(event["ClientRequestToken"].as_str().context("no version")?)?;
    }
    let before = stage.stored()?;
    let outcome = stage.ask("by hand", vec![event]).await?;
    match name.split('-').next() {
        Some("4") => ensure!(matches!(outcome, Outcome::Response(_)), "{}", said(&outcome)),
        Some("malformed" | "refused") => {
            refusal(&outcome)?;
            ensure!(stage.stored()? == before, "something was stored");
        }
        _ => bail!("it is no kind of event"),
    }
    Ok(())
}
