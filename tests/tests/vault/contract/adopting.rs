//! Another owner: what is there is taken over with its values, exactly by name and never by accident.

use anyhow::{Context as _, Result, ensure};

use super::rules::{assert_in_service, assert_same_values};
use crate::stage::{Act, Chain, Cluster, Declared, Stage};

#[tokio::test]
async fn a_cluster_is_taken_over_with_its_values_by_who_names_its_owner() -> Result<()> {
    let stage = Stage::new().await?;
    let address = stage.bao.server.address();
    let old = Declared::cluster("keyboot", Cluster::of(&[0]));
    let old_id = old.owner_id(&old.cluster_name());
    stage.act(&Act::makes(old.clone())).await?;
    let before = stage.stored("keyboot").await?;
    let adopting = |from: &str| {
        Declared::cluster("keyboot", Cluster::of(&[0]).with("adopt-from", &format!("{from:?}"))).by("heir")
    };
    // An owner that it is not of is no way in.
    let wrong = old_id.replace(old_id.rsplit('/').next().unwrap_or_default(), "0123456789abcdef");
    let refused = stage.act_by(&address, &Act::changes(adopting(&wrong))).await?.failed()?;
    ensure!(refused.err.contains(&old_id), "{}", refused.err);
    ensure!(stage.stored("keyboot").await?.secrets == before.secrets, "something was taken over");

    stage.act(&Act::changes(adopting(&old_id))).await?;
    let taken = stage.stored("keyboot").await?;
    assert_same_values(&before, &taken)?;
    assert_in_service(&stage, &adopting(&old_id), &taken).await?;
    // The old owner has nothing there any more, and can neither change it nor let go of it.
    for act in [Act::changes(old.clone()), Act::makes(old.clone())] {
        stage.act_by(&address, &act).await?.failed()?;
    }
    stage.act_by(&address, &Act::removes(old)).await?;
    let after = stage.stored("keyboot").await?;
    ensure!(after.secrets == taken.secrets, "the old owner has changed something");
    let written = stage.writes_of(&Act::changes(adopting(&old_id))).await?;
    ensure!(written.is_empty(), "the second time writes {written:?}");
    Ok(())
}

#[tokio::test]
async fn a_chain_is_taken_over_with_its_keys() -> Result<()> {
    let stage = Stage::new().await?;
    let old = Declared::chain("keyboot", Chain::of(&["batcher"], &[0]));
    let old_id = old.owner_id(&old.chain_name());
    stage.act(&Act::makes(old.clone())).await?;
    let before = stage.stored("keyboot").await?;
    let heir = Chain::of(&["batcher"], &[0]).with("adopt-from", &format!("{old_id:?}"));
    let heir = Declared::chain("keyboot", heir).by("heir");
    stage.act(&Act::changes(heir.clone())).await.context("the heir")?;
    let taken = stage.stored("keyboot").await?;
    assert_same_values(&before, &taken)?;
    crate::chains::assert_chain_in_service(&stage, &heir, &taken).await?;
    stage.act_by(&stage.bao.server.address(), &Act::changes(old)).await?.failed()?;
    assert_same_values(&before, &stage.stored("keyboot").await?)
}
