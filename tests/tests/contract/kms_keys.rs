//! `KeyOrigin: Kms`: the function holds no private half of a P2P key at any moment, and only the node's
//! own context opens what is stored.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use contract_double::{Call, Outcome};
use key_material::{Curve, P2pPrivateKey};
use provisioning::names::{ClusterName, NodeIndex, Purpose, Slot};
use provisioning::record::NodeRecord;
use provisioning::sealing::{KeyOrigin, SealedSecret};
use provisioning::version_label::VersionLabel;

use crate::cloudformation::{Properties, Sent};
use crate::rules::{assert_gone_by_rule, assert_in_service, to_bring_back};
use crate::stage::Stage;
use crate::stories::CLUSTER;

const MAKES: &str = "GenerateDataKeyPairWithoutPlaintext";

fn of_kms(nodes: &[u32], curve: Curve) -> Properties {
    Properties::nodes(nodes).with("KeyOrigin", "Kms").with("P2pCurve", curve.name())
}

/// The stored form of a node's P2P key that is handed out, and the key's record.
fn p2p_key(stage: &Stage, index: u32) -> Result<(SealedSecret, NodeRecord)> {
    let cluster: ClusterName = format!("keyboot/{CLUSTER}").parse()?;
    let slot = Slot { index: index.to_string().parse::<NodeIndex>()?, purpose: Purpose::P2pKey };
    let stored = stage.stored();
    let secret = &stored.secrets[cluster.secret_name(slot.index, &slot.purpose).as_str()];
    let (_, value) = secret.current().context("no version")?;
    let record = &stored.documents[cluster.record_parameter(slot.index).as_str()].text;
    let record = NodeRecord::verify(record, &stage.keys, &cluster, slot.index, 0)?;
    Ok((SealedSecret::parse(value, &cluster, &slot)?, record))
}

fn context_of(sealed: &SealedSecret) -> BTreeMap<String, String> {
    sealed.context().pairs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// What the record of calls shows of P2P keys: they were made by KMS, sealed, and nothing of a private
/// half was ever sent or answered.
fn assert_never_seen(calls: &[Call], made: usize) -> Result<()> {
    let mut counted = 0;
    for call in calls {
        let plain = ["GenerateDataKeyPair", "Decrypt", "GenerateDataKey", "GetSecretValue"];
        ensure!(!plain.contains(&call.operation.as_str()), "the function calls {}", call.operation);
        let context = &call.request["EncryptionContext"];
        if call.operation == "Encrypt" {
            ensure!(context["keyboot:purpose"] == "share-encryption-password", "it seals {context}");
        }
        if call.operation == MAKES {
            let Outcome::Answer(answer) = &call.outcome else { continue };
            ensure!(answer.get("PrivateKeyPlaintext").is_none(), "a private half in plain");
            ensure!(context["keyboot:purpose"] == "p2p-key", "made for {context}");
            counted += 1;
        }
    }
    ensure!(counted == made, "{counted} pairs were made");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_kms_made_are_opened_by_their_nodes_context_alone() -> Result<()> {
    for curve in Curve::ALL {
        let declared = of_kms(&[0, 1], curve);
        let stage = Stage::new().await?;
        let before = stage.double.calls().len();
        ensure!(stage.carry_out(&Sent::create("create-1", &declared)).await?.succeeded(), "the Create");
        assert_in_service(&stage, &declared)?;
        assert_never_seen(&stage.double.calls_since(before), 2)?;
        let keys = [p2p_key(&stage, 0)?, p2p_key(&stage, 1)?];
        for (index, (sealed, record)) in keys.iter().enumerate() {
            let own = context_of(sealed);
            let opened = P2pPrivateKey::from_pkcs8_der(&stage.decrypt(sealed.ciphertext(), &own)?)?;
            ensure!(opened.matches(&record.public_key) && record.curve == curve, "another key");
            let changed = |name: &str, value: &str| {
                let mut context = own.clone();
                context.insert(name.to_owned(), value.to_owned());
                context
            };
            let mut others = vec![
                BTreeMap::new(),
                context_of(&keys[1 - index].0),
                changed("keyboot:cluster", "keyboot/other"),
                changed("keyboot:purpose", "share-encryption-password"),
                changed("extra", "x"),
            ];
            others.extend(own.keys().map(|left_out| {
                let mut context = own.clone();
                context.remove(left_out);
                context
            }));
            for other in others {
                ensure!(stage.decrypt(sealed.ciphertext(), &other).is_err(), "{other:?} opens it");
            }
        }
    }
    Ok(())
}

/// The life of a cluster whose keys move into KMS, to another curve, and back.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_moves_to_keys_of_kms_and_another_curve_and_back() -> Result<()> {
    let stage = Stage::new().await?;
    let id = stage.physical_id(CLUSTER);
    let old = Properties::nodes(&[0, 1]);
    ensure!(stage.carry_out(&Sent::create("create-1", &old)).await?.succeeded(), "the Create");
    let before = to_bring_back(&stage, &old)?;

    let new = of_kms(&[0, 1], Curve::P384);
    let refused = stage.carry_out(&Sent::update("update-1", &old, &new, &id)).await?;
    ensure!(refused.reason().contains("new Regenerate token"), "the Reason says {:?}", refused.reason());
    ensure!(stage.roll_back(&Sent::update("rollback-1", &new, &old, &id)).await?.succeeded(), "the rollback");
    ensure!(to_bring_back(&stage, &old)? == before, "a refused change changed something");

    let new = new.with("Regenerate", "2026-01");
    let first = stage.double.calls().len();
    let moved = stage.carry_out(&Sent::update("update-2", &old, &new, &id)).await?;
    ensure!(moved.succeeded(), "{}", moved.reason());
    assert_in_service(&stage, &new)?;
    assert_never_seen(&stage.double.calls_since(first), 2)?;
    let (sealed, record) = p2p_key(&stage, 0)?;
    ensure!((record.version, record.generation.as_str()) == (2, "update-2"), "another number");
    let opened = stage.decrypt(sealed.ciphertext(), &context_of(&sealed))?;
    ensure!(P2pPrivateKey::from_pkcs8_der(&opened)?.matches(&record.public_key), "another key");
    let stored = stage.stored();
    let labels = &stored.secrets[&format!("keyboot/{CLUSTER}/node/0/p2p-key")].labels;
    let origins: Vec<KeyOrigin> =
        labels.keys().filter_map(|label| Some(label.parse::<VersionLabel>().ok()?.form.origin)).collect();
    ensure!(origins.len() == 2 && origins.contains(&KeyOrigin::Kms), "labels {labels:?}");

    let undone = stage.roll_back(&Sent::update("rollback-2", &new, &old, &id)).await?;
    ensure!(undone.succeeded(), "the rollback: {}", undone.reason());
    assert_in_service(&stage, &old)?;
    ensure!(to_bring_back(&stage, &old)? == before, "not as it was");
    ensure!(stage.carry_out(&Sent::delete("delete-1", &old, &id)).await?.succeeded(), "the Delete");
    assert_gone_by_rule(&stage.stored())
}
