//! go-ethereum: the node key, as 64 hexadecimal digits without `0x` and without a newline.
//!
//! geth reads its options from the environment as well, with `GETH_` before their names: the key itself
//! from the one of `--nodekeyhex`, a file that holds it from that of `--nodekey`. As an argument everybody
//! on the host could see it.

use key_material::{Curve, P2pPrivateKey};
use provisioning::names::NodeIndex;

use super::{FormatError, Handed, refuse_other_curves};

const PROGRAM: &str = "geth";

pub(super) fn convert(key: &P2pPrivateKey, index: NodeIndex) -> Result<Handed, FormatError> {
    refuse_other_curves(PROGRAM, index, key.curve(), &[Curve::Secp256k1])?;
    // EXPOSE: to geth, as its node key.
    Ok(Handed::new("GETH_NODEKEYHEX", key.expose_scalar_hex()).or_in_file("GETH_NODEKEY"))
}
