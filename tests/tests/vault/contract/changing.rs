//! Changing what is declared: what is new is made, what goes goes by the rules, what comes back has its value.

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use serde_json::json;

use super::rules::{assert_gone_by_rule, assert_in_service, assert_owned, values};
use crate::stage::{Act, Cluster, Declared, SECRETS, Stage, Stored};

fn with(cluster: Cluster) -> Declared {
    Declared::cluster("keyboot", cluster)
}

/// Every value that was there before is there still.
fn assert_kept(before: &Stored, after: &Stored) -> Result<()> {
    let after = values(after);
    for (name, versions) in values(before) {
        ensure!(after.get(&name) == Some(&versions), "{name} has another value");
    }
    Ok(())
}

#[tokio::test]
async fn nodes_and_applications_come_go_and_come_back_with_their_values() -> Result<()> {
    let stage = Stage::new().await?;
    let first = with(Cluster::of(&[0, 1]));
    stage.act(&Act::makes(first.clone())).await?;
    let start = stage.stored("keyboot").await?;
    assert_in_service(&stage, &first, &start).await?;

    let mut cluster = Cluster::of(&[0, 2]);
    cluster.applications = vec!["default", "other"];
    let second = with(cluster);
    stage.act(&Act::changes(second.clone())).await?;
    let changed = stage.stored("keyboot").await?;
    assert_in_service(&stage, &second, &changed).await?;
    assert_kept(&start, &changed)?;
    for (name, secret) in changed.secrets.iter().filter(|(name, _)| name.contains("/node/1/")) {
        let is_password = name.ends_with("/share-encryption-password");
        ensure!(secret.is_leaving() != is_password, "{name}: goes is {}", secret.is_leaving());
    }
    // Whoever makes keys takes nothing out of service and brings nothing back: it takes the other role.
    let back = Act::changes(first.clone());
    stage.act(&back).await?;
    let returned = stage.stored("keyboot").await?;
    assert_in_service(&stage, &first, &returned).await?;
    assert_kept(&changed, &returned)?;
    let written = stage.writes_of(&back).await?;
    ensure!(written.is_empty(), "the second time writes {written:?}");
    Ok(())
}

#[tokio::test]
async fn what_is_removed_can_come_back_until_its_time_is_over_and_is_swept_then() -> Result<()> {
    let stage = Stage::new().await?;
    let declared = with(Cluster::of(&[0]));
    let cluster = declared.cluster_name();
    stage.act(&Act::makes(declared.clone())).await?;
    let start = stage.stored("keyboot").await?;
    stage.act(&Act::removes(declared.clone())).await?;
    let gone = stage.stored("keyboot").await?;
    assert_gone_by_rule(&gone, &cluster)?;
    assert_owned(&declared, &cluster, &gone)?;
    assert_kept(&start, &gone)?;
    // Once more it changes nothing.
    stage.act(&Act::removes(declared.clone())).await?;
    ensure!(stage.stored("keyboot").await?.secrets == gone.secrets, "the second removal changes something");

    stage.act(&Act::changes(declared.clone())).await?;
    let back = stage.stored("keyboot").await?;
    assert_in_service(&stage, &declared, &back).await?;
    assert_kept(&start, &back)?;

    // A node goes, its time is over, and the next change removes its secrets for good; a stranger's and those
    // whose time is not over stay.
    let two = with(Cluster::of(&[0, 1, 2]));
    stage.act(&Act::changes(two)).await?;
    stage.act(&Act::changes(declared.clone())).await?;
    let over = ["p2p-key", "api-key/default"].map(|purpose| format!("{cluster}/node/1/{purpose}"));
    for name in &over {
        let path = format!("{SECRETS}/metadata/{name}");
        let mut custom = stage.stored("keyboot").await?.secret(name)?.tags.clone();
        custom.insert("keyboot:delete-after".into(), "2020-01-01T00:00:00Z".into());
        let body = json!({ "custom_metadata": custom });
        stage.ask(Method::POST, &path, Some(&body)).await?.accepted().context("the time is not over")?;
    }
    stage.act(&Act::changes(declared.clone())).await?;
    let swept = stage.stored("keyboot").await?;
    assert_in_service(&stage, &declared, &swept).await?;
    for name in &over {
        ensure!(!swept.secrets.contains_key(name), "{name} is there still");
    }
    ensure!(
        swept.secrets.contains_key(&format!("{cluster}/node/2/p2p-key")),
        "another one was swept as well"
    );
    ensure!(
        swept.secrets.contains_key(&format!("{cluster}/node/1/share-encryption-password")),
        "a password was swept as well"
    );
    Ok(())
}

#[tokio::test]
async fn what_is_to_stay_stays() -> Result<()> {
    let stage = Stage::new().await?;
    let declared = with(Cluster::of(&[0]).with("on-delete", "\"Retain\""));
    stage.act(&Act::makes(declared.clone())).await?;
    let start = stage.stored("keyboot").await?;
    let removed = stage.act(&Act::removes(declared)).await?;
    let after = stage.stored("keyboot").await?;
    assert_kept(&start, &after)?;
    for (name, secret) in &after.secrets {
        ensure!(!secret.is_leaving(), "{name} goes");
        ensure!(removed.printed().contains(name), "nothing is said of {name}:\n{}", removed.printed());
    }
    Ok(())
}
