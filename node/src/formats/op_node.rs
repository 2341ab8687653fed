//! op-node: the key of its peer id, as 64 hexadecimal digits.
//!
//! The variables are those of `--p2p.priv.raw` and, for a file, `--p2p.priv.path`; where there is no file at
//! the path, op-node makes a key of its own and writes it there.
//!
//! op-node keeps a copy of this key in its peerstore, which is on a disk unless
//! `OP_NODE_P2P_PEERSTORE_PATH=memory` says otherwise: so it is said. And it logs each variable that begins
//! with `OP_NODE` and is none of its own, value and all: a secret has no place in one.
//!
//! The sequencer's gets another key beside it, with which it signs the blocks that it gossips: the variable is that
//! of `--p2p.sequencer.key`, which takes the key itself and no file.

use key_material::{Curve, P2pPrivateKey};
use provisioning::names::NodeIndex;

use super::{FormatError, Handed, refuse_other_curves};

const PROGRAM: &str = "op-node";

pub(super) fn convert(key: &P2pPrivateKey, index: NodeIndex) -> Result<Handed, FormatError> {
    refuse_other_curves(PROGRAM, index, key.curve(), &[Curve::Secp256k1])?;
    // EXPOSE: to op-node, as the key of its peer id.
    Ok(Handed::new("OP_NODE_P2P_PRIV_RAW", key.expose_scalar_hex()).or_in_file("OP_NODE_P2P_PRIV_PATH"))
}

/// The key of the sequencer, which is on that curve.
pub(crate) fn convert_sequencer(key: &P2pPrivateKey) -> Handed {
    // EXPOSE: to op-node, as the key that it signs blocks with.
    Handed::new("OP_NODE_P2P_SEQUENCER_KEY", key.expose_scalar_hex())
}
