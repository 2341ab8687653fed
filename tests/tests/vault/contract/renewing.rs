//! New keys in the place of those that are there: by another token, and by a rotation.

use anyhow::{Context as _, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use key_material::ApiKeyHash;
use provisioning::record::KeyState;

use super::rules::{Published, assert_in_service};
use crate::stage::{Act, As, Cluster, Declared, Stage, Stored};

const PASSWORD: &str = "keyboot/tsm/node/0/share-encryption-password";
const P2P_KEY: &str = "keyboot/tsm/node/0/p2p-key";
const API_KEY: &str = "keyboot/tsm/node/0/api-key/default";

fn with(cluster: Cluster) -> Declared {
    Declared::cluster("keyboot", cluster)
}

#[tokio::test]
async fn another_token_makes_new_keys_and_the_one_before_brings_the_old_ones_back() -> Result<()> {
    let stage = Stage::new().await?;
    let declared = |token: &str| with(Cluster::of(&[0]).with("regenerate", &format!("{token:?}")));
    let current = |stored: &Stored, name: &str| {
        let secret = stored.secret(name)?;
        Ok::<_, anyhow::Error>(secret.value(secret.current()?)?.to_owned())
    };
    stage.act(&Act::makes(declared("1"))).await?;
    let first = stage.stored("keyboot").await?;
    assert_in_service(&stage, &declared("1"), &first).await?;
    stage.act(&Act::changes(declared("2"))).await?;
    let second = stage.stored("keyboot").await?;
    assert_in_service(&stage, &declared("2"), &second).await?;
    for name in [P2P_KEY, API_KEY] {
        ensure!(current(&first, name)? != current(&second, name)?, "{name} is the same");
        ensure!(second.secret(name)?.values.len() == 2);
    }
    ensure!(first.secret(PASSWORD)? == second.secret(PASSWORD)?, "the password is another");
    let written = stage.writes_of(&Act::changes(declared("2"))).await?;
    ensure!(written.is_empty(), "the second time writes {written:?}");
    stage.act(&Act::changes(declared("1"))).await?;
    let back = stage.stored("keyboot").await?;
    assert_in_service(&stage, &declared("1"), &back).await?;
    for name in [P2P_KEY, API_KEY] {
        ensure!(current(&first, name)? == current(&back, name)?, "{name} did not come back");
        ensure!(back.secret(name)?.values.len() == 2, "{name} was made once more");
    }
    Ok(())
}

#[tokio::test]
async fn another_curve_takes_another_token() -> Result<()> {
    let stage = Stage::new().await?;
    stage.act(&Act::makes(with(Cluster::of(&[0])))).await?;
    let before = stage.stored("keyboot").await?;
    let other = Cluster::of(&[0]).with("curve", "\"secp256k1\"");
    let act = Act::changes(with(other.clone()));
    let refused = stage.act_by(&stage.bao.server.address(), &act).await?.failed()?;
    ensure!(refused.err.contains("regenerate"), "{}", refused.err);
    ensure!(stage.stored("keyboot").await?.secrets == before.secrets, "something has changed");
    let renewed = with(other.with("regenerate", "\"1\""));
    stage.act(&Act::changes(renewed.clone())).await?;
    assert_in_service(&stage, &renewed, &stage.stored("keyboot").await?).await
}

/// A rotation: the new key is handed out, and the one before it goes on being accepted, or counting, for a time.
#[tokio::test]
async fn a_rotation_hands_a_new_key_out_and_the_one_before_is_good_for_a_time() -> Result<()> {
    let stage = Stage::new().await?;
    let declared = with(Cluster::of(&[0]).with_rotation());
    stage.act(&Act::makes(declared.clone())).await?;
    let start = stage.stored("keyboot").await?;
    assert_in_service(&stage, &declared, &start).await?;
    let at = Timestamp::from_second(Timestamp::now().as_second())?;
    for (what, name) in [("api-key/default", API_KEY), ("p2p-key", P2P_KEY)] {
        let act = Act::rotates(what, at, declared.clone());
        stage.act(&act).await?;
        let rotated = stage.stored("keyboot").await?;
        assert_in_service(&stage, &declared, &rotated).await.context(what)?;
        ensure!(rotated.secret(name)?.current()? == 2 && rotated.secret(name)?.values.len() == 2, "{what}");
        let record = &Published::of(&stage, &rotated, &declared.cluster_name())?.records[&0];
        if name == P2P_KEY {
            let pending = record.pending.as_ref().context("no key waits for its time")?;
            ensure!(record.version_id == "1" && pending.version_id == "2" && pending.counts_from > at);
        } else {
            let old = ApiKeyHash::of(start.secret(name)?.value(1)?);
            let mut accepted = record.api_keys.values().flatten();
            let old = accepted.find(|key| key.hash == old).context("the one before is accepted no more")?;
            ensure!(old.state == KeyState::Retiring && old.until.is_some_and(|until| until > at), "{old:?}");
        }
        // For the same time it is the same rotation.
        let written = stage.writes_of(&act).await?;
        ensure!(written.is_empty(), "the second time writes {written:?}");
        ensure!(
            stage.stored("keyboot").await?.at_rest() == rotated.at_rest(),
            "the second time changes something"
        );
    }
    // Whoever makes keys replaces none.
    let mut by_the_other = Act::rotates("api-key/default", at + SignedDuration::from_hours(1), declared);
    by_the_other.who = As::Provisioner;
    let refused = stage.act_by(&stage.bao.server.address(), &by_the_other).await?.failed()?;
    ensure!(refused.code == 77, "{}: {}", refused.code, refused.err);
    Ok(())
}

#[tokio::test]
async fn a_password_and_what_is_not_declared_to_be_rotated_are_not() -> Result<()> {
    let stage = Stage::new().await?;
    let address = stage.bao.server.address();
    let declared = with(Cluster::of(&[0]));
    stage.act(&Act::makes(declared.clone())).await?;
    let before = stage.stored("keyboot").await?;
    for what in ["share-encryption-password", "api-key/default", "p2p-key"] {
        let act = Act::rotates(what, Timestamp::now(), declared.clone());
        stage.act_by(&address, &act).await?.failed().context(what)?;
    }
    ensure!(stage.stored("keyboot").await? == before, "something has changed");
    Ok(())
}
