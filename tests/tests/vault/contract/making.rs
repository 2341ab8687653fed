//! Making: once, whoever asks and however often; and never where somebody else is.

use anyhow::{Result, ensure};
use hyper::Method;
use serde_json::json;

use super::rules::{assert_in_service, assert_same_values, values};
use crate::stage::{Act, Cluster, Declared, SECRETS, Stage};

fn declared() -> Declared {
    let mut cluster = Cluster::of(&[0, 1]);
    cluster.management_key = true;
    Declared::cluster("keyboot", cluster)
}

#[tokio::test]
async fn a_cluster_is_made_once_and_asking_again_writes_nothing() -> Result<()> {
    let stage = Stage::new().await?;
    let made = stage.act(&Act::makes(declared())).await?;
    let stored = stage.stored("keyboot").await?;
    assert_in_service(&stage, &declared(), &stored).await?;
    ensure!(stored.secrets.len() == 8, "{:?}", stored.secrets.keys());
    for value in stored.secrets.values().flat_map(|secret| secret.values.values().flatten()) {
        ensure!(!made.printed().contains(value.as_str()), "a value is shown");
    }
    for act in [Act::makes(declared()), Act::changes(declared())] {
        let written = stage.writes_of(&act).await?;
        ensure!(written.is_empty(), "asking again writes {written:?}");
    }
    ensure!(stage.stored("keyboot").await? == stored, "asking again changes something");
    Ok(())
}

#[tokio::test]
async fn a_dry_run_says_what_it_would_do_and_does_nothing() -> Result<()> {
    let stage = Stage::new().await?;
    let mut dry = Act::makes(declared());
    dry.words.push("--dry-run".to_owned());
    let written = stage.writes_of(&dry).await?;
    ensure!(written.is_empty(), "it writes {written:?}");
    ensure!(stage.stored("keyboot").await?.secrets.is_empty());
    let told = stage.act(&dry).await?;
    ensure!(told.out.contains("p2p-key"), "it says nothing:\n{}", told.out);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_ask_at_once_make_one_key_for_each_name() -> Result<()> {
    let stage = Stage::new().await?;
    let address = stage.bao.server.address();
    for round in 0..8 {
        let namespace = format!("keyboot/round-{round}");
        let act = Act::makes(declared()).at(&namespace);
        let (one, other) = tokio::try_join!(stage.act_by(&address, &act), stage.act_by(&address, &act))?;
        ensure!(one.code == 0 || other.code == 0, "nobody came to the end:\n{}\n{}", one.err, other.err);
        for ran in [&one, &other] {
            // Whoever came too late says that somebody is at work, and may be asked again.
            ensure!(ran.code == 0 || ran.code == 75, "{}: {}", ran.code, ran.err);
        }
        let stored = stage.stored(&namespace).await?;
        assert_in_service(&stage, &act.declared, &stored).await?;
        for (name, secret) in &stored.secrets {
            ensure!(secret.values.len() == 1, "{name} was made twice");
        }
        stage.act(&act).await?;
        assert_same_values(&stored, &stage.stored(&namespace).await?)?;
    }
    Ok(())
}

#[tokio::test]
async fn what_is_somebody_elses_is_refused_by_name_and_nothing_of_it_is_touched() -> Result<()> {
    let stage = Stage::new().await?;
    let address = stage.bao.server.address();
    stage.act(&Act::makes(declared())).await?;
    let before = stage.stored("keyboot").await?;
    let owner = declared().owner_id(&declared().cluster_name());

    let stranger = declared().by("stranger");
    let mut more = stranger.clone();
    more.cluster = Some(Cluster::of(&[0, 1, 2]));
    for act in [Act::makes(stranger.clone()), Act::changes(stranger.clone()), Act::changes(more)] {
        let refused = stage.act_by(&address, &act).await?.failed()?;
        ensure!(refused.code == 77 && refused.err.contains(&owner), "{}: {}", refused.code, refused.err);
    }
    // A removal by who owns nothing removes nothing.
    stage.act_by(&address, &Act::removes(stranger)).await?;
    let after = stage.stored("keyboot").await?;
    ensure!(after.secrets == before.secrets, "secrets have changed");
    ensure!(after.at_rest() == before.at_rest(), "documents have changed");
    let written = stage.writes_of(&Act::makes(declared())).await?;
    ensure!(written.is_empty(), "its owner has to write {written:?}");
    Ok(())
}

#[tokio::test]
async fn a_name_that_no_keyboot_has_made_is_left_as_it_is() -> Result<()> {
    let stage = Stage::new().await?;
    let path = "keyboot/tsm/node/0/api-key/default";
    let body = json!({ "options": { "cas": 0 }, "data": { "value": "somebody's own" } });
    stage.ask(Method::POST, &format!("{SECRETS}/data/{path}"), Some(&body)).await?.accepted()?;
    let before = stage.stored("keyboot").await?;
    let act = Act::changes(Declared::cluster("keyboot", Cluster::of(&[0])));
    let refused = stage.act_by(&stage.bao.server.address(), &act).await?.failed()?;
    ensure!(refused.err.contains(path), "{}", refused.err);
    ensure!(values(&stage.stored("keyboot").await?) == values(&before), "something was made or changed");
    Ok(())
}
