//! The keys of a chain's roles: which counts, and what becomes of the others, as it is signed and as it is
//! stored; whatever died on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use key_material::ethereum::EthereumAddress;
use key_material::{Curve, P2pPrivateKey};
use provisioning::chain::ChainDocument;

use crate::contract::rules::{assert_in_service, assert_made_once, assert_owned, assert_same_values};
use crate::crash::{Met, Story, dies_at_every_request};
use crate::stage::{Act, As, Chain, Cluster, Declared, Stage, Stored};

const ROLES: [&str; 2] = ["batcher", "sequencer"];

fn declared(roles: &[&'static str]) -> Declared {
    Declared::chain("keyboot", Chain::of(roles, &[0]))
}

fn rotates(step: &str, role: &str) -> Act {
    Act::of(As::Rotator, &["rotate", step, "--chain", crate::stage::CHAIN, "--role", role], declared(&ROLES))
}

/// What is published of a chain, its signature checked.
pub(crate) fn document(stage: &Stage, declared: &Declared, stored: &Stored) -> Result<ChainDocument> {
    let chain = declared.chain_name();
    let text = &stored.document(chain.chain_parameter().as_str())?.text;
    Ok(ChainDocument::verify(text, &stage.keys, &chain, 0)?)
}

/// Each role has one key that counts, whose address is the published one; what is there beside is listed with
/// what becomes of it, and all is the owner's.
pub(crate) async fn assert_chain_in_service(
    stage: &Stage,
    declared: &Declared,
    stored: &Stored,
) -> Result<()> {
    let asked = declared.chain.as_ref().context("no chain is declared")?;
    let chain = declared.chain_name();
    let document = document(stage, declared, stored)?;
    ensure!(document.owner == declared.owner_id(&chain), "the chain is {}'s", document.owner);
    let counting = document.roles.iter().filter(|(_, keys)| keys.current.is_some());
    let counting: BTreeSet<&str> = counting.map(|(role, _)| role.as_str()).collect();
    ensure!(counting == asked.roles, "keys count of {counting:?}");

    let mut listed = BTreeSet::new();
    for (role, keys) in &document.roles {
        for (key, is_read) in keys
            .current
            .iter()
            .chain(&keys.pending)
            .map(|key| ((key.number, key.address), true))
            .chain(keys.leaving.iter().map(|key| ((key.number, key.address), key.until.is_none())))
        {
            let (number, address) = key;
            let name = chain.role_key_name(role, number).to_string();
            let secret = stored.secret(&name)?;
            ensure!(secret.values.len() == 1, "{name} was written {} times", secret.values.len());
            let value = secret.values[&1].as_deref();
            ensure!(value.is_some() == is_read, "{name}: that it is read is {}", value.is_some());
            ensure!(secret.is_leaving() != is_read, "{name}: that it goes is {}", secret.is_leaving());
            if let Some(value) = value {
                ensure!(address_of(value)? == address, "{name} is another address");
            }
            ensure!(
                secret.tag("keyboot:address") == Some(address.to_string().as_str()),
                "{name} is tagged otherwise"
            );
            listed.insert(name);
        }
    }
    let below = format!("{chain}/role/");
    let stored_keys: BTreeSet<String> =
        stored.secrets.keys().filter(|name| name.starts_with(&below)).cloned().collect();
    ensure!(stored_keys == listed, "stored are {stored_keys:?} and listed {listed:?}");
    assert_owned(declared, &chain, stored)?;

    // Its nodes are a cluster of the chain's name.
    let mut nodes =
        Cluster::of(&asked.nodes.iter().copied().collect::<Vec<_>>()).with("curve", "\"secp256k1\"");
    nodes.applications.clear();
    nodes.share_password = false;
    let nodes = Declared { cluster: Some(nodes), chain: None, ..declared.clone() };
    assert_in_service(stage, &nodes.named(crate::stage::CHAIN), stored).await
}

/// The address that a stored key controls: 64 hex digits and nothing else.
fn address_of(value: &str) -> Result<EthereumAddress> {
    ensure!(value.len() == 64 && value.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
    let key = P2pPrivateKey::from_scalar(Curve::Secp256k1, &hex::decode(value)?)?;
    Ok(EthereumAddress::of(&key.public_key())?)
}

/// The number that counts and the one that is prepared.
type Numbers = (Option<u32>, Option<u32>);

/// Which number of each role counts and which is prepared.
fn numbers(stage: &Stage, declared: &Declared, stored: &Stored) -> Result<BTreeMap<String, Numbers>> {
    let number = |key: &Option<provisioning::chain::RoleKey>| key.as_ref().map(|key| key.number);
    let roles = document(stage, declared, stored)?.roles;
    Ok(roles
        .iter()
        .map(|(role, keys)| (role.to_string(), (number(&keys.current), number(&keys.pending))))
        .collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_is_made_changed_rotated_and_let_go_of_and_every_address_is_its_keys() -> Result<()> {
    let stage = Stage::new().await?;
    let both = declared(&ROLES);
    let shown = |stored: &Stored| numbers(&stage, &both, stored);
    let made = stage.act(&Act::makes(both.clone())).await?;
    let first = stage.stored("keyboot").await?;
    assert_chain_in_service(&stage, &both, &first).await?;
    let told = stage.act(&Act::of(As::Provisioner, &["show"], both.clone())).await?;
    ensure!(shown(&first)? == BTreeMap::from(ROLES.map(|role| (role.to_owned(), (Some(1), None)))));
    for keys in document(&stage, &both, &first)?.roles.values() {
        let address = keys.current.as_ref().context("none")?.address.to_string();
        ensure!(told.out.contains(&address), "{address} is not shown:\n{}", told.out);
    }
    for secret in first.secrets.values().flat_map(|secret| secret.values.values().flatten()) {
        let printed = [made.printed(), told.printed()].concat();
        ensure!(!printed.contains(secret.as_str()), "a value is shown");
    }
    let written = stage.writes_of(&Act::makes(both.clone())).await?;
    ensure!(written.is_empty(), "the second time writes {written:?}");

    // A role goes, hidden from its readers, and comes back with its key.
    let one = declared(&["batcher"]);
    stage.act(&Act::changes(one.clone())).await?;
    assert_chain_in_service(&stage, &one, &stage.stored("keyboot").await?).await?;
    stage.act(&Act::changes(both.clone())).await?;
    let back = stage.stored("keyboot").await?;
    assert_chain_in_service(&stage, &both, &back).await?;
    assert_same_values(&first, &back)?;

    // A new key is prepared, is there beside the one that counts, and counts on command.
    stage.act(&rotates("prepare", "batcher")).await?;
    let prepared = stage.stored("keyboot").await?;
    assert_chain_in_service(&stage, &both, &prepared).await?;
    ensure!(shown(&prepared)?["batcher"] == (Some(1), Some(2)), "{:?}", shown(&prepared)?);
    stage.act(&rotates("prepare", "batcher")).await?;
    assert_same_values(&prepared, &stage.stored("keyboot").await?).context("prepared twice")?;
    stage.act(&rotates("abandon", "batcher")).await?;
    let abandoned = stage.stored("keyboot").await?;
    assert_chain_in_service(&stage, &both, &abandoned).await?;
    ensure!(shown(&abandoned)?["batcher"] == (Some(1), None));
    stage.act(&rotates("prepare", "batcher")).await?;
    stage.act(&rotates("finish", "batcher")).await?;
    let finished = stage.stored("keyboot").await?;
    assert_chain_in_service(&stage, &both, &finished).await?;
    ensure!(
        shown(&finished)?["batcher"] == (Some(3), None),
        "no number is given twice: {:?}",
        shown(&finished)?
    );

    // Somebody else gets nothing of it.
    let stranger = both.clone().by("stranger");
    let refused = stage.act_by(&stage.bao.server.address(), &Act::changes(stranger)).await?.failed()?;
    ensure!(refused.err.contains(&both.owner_id(&both.chain_name())), "{}", refused.err);
    let after = stage.stored("keyboot").await?;
    ensure!(after.secrets == finished.secrets, "the stranger has changed something");

    stage.act(&Act::removes(both.clone())).await?;
    let gone = stage.stored("keyboot").await?;
    for (name, secret) in &gone.secrets {
        ensure!(secret.is_leaving(), "{name} stays");
    }
    stage.act(&Act::changes(both.clone())).await?;
    let again = stage.stored("keyboot").await?;
    assert_chain_in_service(&stage, &both, &again).await?;
    ensure!(shown(&again)?["batcher"] == (Some(3), None), "another key came back: {:?}", shown(&again)?);
    Ok(())
}

async fn assert_finished(met: &Met) -> Result<()> {
    assert_chain_in_service(&met.stage, &met.act.declared, &met.after).await?;
    assert_made_once(&met.start, &met.visible(), &met.after)?;
    // A number that was published is what it was.
    let before = |stored: &Stored| document(&met.stage, &met.act.declared, stored);
    if let (Ok(died), Ok(after)) = (before(&met.died), before(&met.after)) {
        ensure!(died.serial <= after.serial, "the document is older");
        for (role, keys) in &died.roles {
            for key in keys.current.iter().chain(&keys.pending) {
                let now = &after.roles[role];
                let kept = now.current.iter().chain(&now.pending).map(|key| (key.number, key.address));
                let mut kept = kept.chain(now.leaving.iter().map(|key| (key.number, key.address)));
                ensure!(
                    kept.any(|kept| kept == (key.number, key.address)),
                    "number {} of {role} is lost",
                    key.number
                );
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_whose_making_dies_anywhere_is_made_by_the_next_run() -> Result<()> {
    let stage = Arc::new(Stage::new().await?);
    let story = Story {
        name: "chain made",
        before: Vec::new(),
        act: Act::makes(declared(&ROLES)),
        reads: false,
        then: None,
    };
    dies_at_every_request(&stage, &story, async |met| {
        assert_finished(&met).await?;
        ensure!(met.after.secrets.len() == 3, "{:?}", met.after.secrets.keys());
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_comes_and_one_that_goes_may_die_anywhere() -> Result<()> {
    let stage = Arc::new(Stage::new().await?);
    let story = Story {
        name: "roles changed",
        before: vec![Act::makes(declared(&["batcher"]))],
        act: Act::changes(declared(&["proposer"])),
        reads: false,
        then: None,
    };
    dies_at_every_request(&stage, &story, async |met| assert_finished(&met).await).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_of_a_role_may_die_anywhere() -> Result<()> {
    let stage = Arc::new(Stage::new().await?);
    let made = Act::makes(declared(&ROLES));
    let prepared = vec![made.clone(), rotates("prepare", "batcher")];
    for (story, expected) in [
        (
            Story {
                name: "key prepared",
                before: vec![made],
                act: rotates("prepare", "batcher"),
                reads: false,
                then: None,
            },
            (Some(1), Some(2)),
        ),
        (
            Story {
                name: "rotation finished",
                before: prepared.clone(),
                act: rotates("finish", "batcher"),
                reads: false,
                then: None,
            },
            (Some(2), None),
        ),
        (
            Story {
                name: "rotation abandoned",
                before: prepared,
                act: rotates("abandon", "batcher"),
                reads: false,
                then: None,
            },
            (Some(1), None),
        ),
    ] {
        dies_at_every_request(&stage, &story, move |met: Arc<Met>| async move {
            assert_finished(&met).await?;
            let shown = numbers(&met.stage, &met.act.declared, &met.after)?["batcher"];
            ensure!(shown == expected, "{shown:?} count");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_whose_removal_dies_anywhere_is_removed_by_the_next_run() -> Result<()> {
    let stage = Arc::new(Stage::new().await?);
    let story = Story {
        name: "whole removal",
        before: vec![Act::makes(declared(&ROLES))],
        act: Act::removes(declared(&ROLES)),
        reads: false,
        then: None,
    };
    dies_at_every_request(&stage, &story, async |met| {
        for (name, secret) in &met.after.secrets {
            ensure!(secret.is_leaving(), "{name} stays");
        }
        ensure!(met.after.secrets.len() == 3, "something is gone for good");
        assert_made_once(&met.start, &met.visible(), &met.after)
    })
    .await
}
