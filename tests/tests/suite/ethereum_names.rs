//! What Ethereum and libp2p call the nodes of a secp256k1 cluster follows from the private keys that
//! are stored, by a computation that shares no code with ours.

use anyhow::{Context as _, Result};
use key_material::Curve;
use key_material::ethereum::{EthereumAddress, NodeId, enode};
use key_material::libp2p::PeerId;
use provisioning::names::Purpose;
use serde_json::{Value, json};

use crate::support::{Aws, NodeSecret, piped};

const HOST: &str = "node.nodes.internal";

#[tokio::test]
async fn nodes_have_the_names_that_their_private_keys_give_them() -> Result<()> {
    let aws = Aws::start()?;
    let (_, stack) = aws.deploy([("P2pCurve", "secp256k1"), ("Protection", "Service")]).await?;
    let published = aws.published(&stack).await?;
    let (mut private_keys, mut ours) = (Vec::new(), Vec::new());
    for record in published.records.values() {
        assert_eq!(record.curve, Curve::Secp256k1);
        let NodeSecret::Plain(stored) = aws.node_secret(record, &Purpose::P2pKey).await? else {
            anyhow::bail!("stored in an envelope");
        };
        let hex = stored["hex"].as_str().context("no scalar in hex")?;
        assert_eq!(hex.len(), 64, "padded to the size of the field");
        private_keys.push(hex.to_owned());
        let key = &record.public_key;
        ours.push(json!({
            "spki": key.to_spki_base64(),
            "address": EthereumAddress::of(key)?.to_string(),
            "nodeId": NodeId::of(key)?.to_string(),
            "enode": enode(key, HOST, 30303)?,
            "peerId": PeerId::of(key)?.to_string(),
        }));
    }
    let script = rig::repository().join("tests/tests/suite/ethereum_names.py");
    let script = script.to_str().context("a path that is no text")?;
    let input = serde_json::to_vec(&json!({"host": HOST, "keys": private_keys}))?;
    let theirs: Vec<Value> = serde_json::from_slice(&piped(aws.venv.program("python"), &[script], &input)?)?;
    assert_eq!(ours, theirs);
    Ok(())
}
