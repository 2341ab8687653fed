//! horcrux: the document `ecies_keys.json`, with which its cosigners encrypt and sign towards each other.
//!
//! horcrux reads it from that very name in its key directory, so there a link leads to the file that was
//! handed over. It counts cosigners from 1 and looks the key of cosigner `id` up at `eciesPubs[id - 1]`, its
//! own among them. So cosigner `index + 1` is node `index`, and a cluster whose indexes do not run from 0
//! without a gap cannot be told to it: each key behind the gap would pass for another node's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use key_material::{Curve, P2pPrivateKey, P2pPublicKey};
use provisioning::names::NodeIndex;
use reading::ClusterView;
use zeroize::Zeroizing;

use super::{FormatError, Handed, refuse_other_curves};

const PROGRAM: &str = "horcrux";

pub(super) fn convert(
    key: &P2pPrivateKey,
    view: &ClusterView,
    index: NodeIndex,
    now: Timestamp,
) -> Result<Handed, FormatError> {
    refuse_other_curves(PROGRAM, index, key.curve(), &[Curve::Secp256k1])?;
    let public_keys = public_keys(view, now)?;
    let own = usize::try_from(index.get()).ok().and_then(|at| public_keys.get(at));
    if !own.is_some_and(|public_key| key.matches(public_key)) {
        return Err(fault(format!(
            "its private key is not that of node {index} in the records at this time"
        )));
    }
    let points: Vec<_> =
        public_keys.iter().map(|public_key| STANDARD.encode(public_key.to_uncompressed_point())).collect();
    // EXPOSE: to horcrux, as its document of keys. The engine sizes its output before it writes.
    let scalar = Zeroizing::new(STANDARD.encode(key.expose_scalar()));
    let (points, id) = (points.join(r#"",""#), (index.get() + 1).to_string());
    // In the order and without the spaces in which horcrux writes it.
    let parts =
        [r#"{"eciesKey":""#, scalar.as_str(), r#"","eciesPubs":[""#, &points, r#""],"id":"#, &id, "}"];
    let mut document = Zeroizing::new(String::with_capacity(parts.iter().map(|part| part.len()).sum()));
    for part in parts {
        document.push_str(part);
    }
    Ok(Handed::new("KEYBOOT_HORCRUX_ECIES_KEYS", document))
}

/// The public keys of all nodes, in the order of their indexes.
fn public_keys(view: &ClusterView, now: Timestamp) -> Result<Vec<P2pPublicKey>, FormatError> {
    if let Some(refusal) = view.refused.first() {
        return Err(fault(format!(
            "it has to know the key of every node, and that of node {} is not known: {}",
            refusal.index, refusal.error
        )));
    }
    let mut public_keys = Vec::with_capacity(view.records.len());
    for (expected, (index, record)) in (0..).zip(&view.records) {
        if index.get() != expected {
            return Err(fault(format!(
                "it counts the nodes without a gap, and there is a node {index}, but no node {expected}; this \
                 takes a cluster whose Nodes run from 0"
            )));
        }
        let public_key = record.clone().at(now).public_key;
        refuse_other_curves(PROGRAM, *index, public_key.curve(), &[Curve::Secp256k1])?;
        public_keys.push(public_key);
    }
    Ok(public_keys)
}

fn fault(fault: String) -> FormatError {
    FormatError { program: PROGRAM, fault }
}
