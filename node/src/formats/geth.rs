//! go-ethereum: the node key, as 64 hexadecimal digits without `0x` and without a newline.
//!
//! geth takes it from a file, `geth --nodekey "$KEYBOOT_NODEKEY_FILE"`. As an argument (`--nodekeyhex`)
//! everybody on the host could see it. A delivery in the environment is of no use: geth does not look for
//! this variable, but names those it reads after its options, with `GETH_` before them.

use key_material::{Curve, P2pPrivateKey};
use provisioning::names::NodeIndex;

use super::{FormatError, Handed, refuse_other_curves};

const PROGRAM: &str = "geth";

pub(super) fn convert(key: &P2pPrivateKey, index: NodeIndex) -> Result<Handed, FormatError> {
    refuse_other_curves(PROGRAM, index, key.curve(), &[Curve::Secp256k1])?;
    // EXPOSE: to geth, as its node key file.
    Ok(Handed::new("KEYBOOT_NODEKEY", key.expose_scalar_hex()))
}
