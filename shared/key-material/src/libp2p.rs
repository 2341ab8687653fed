//! What a libp2p network calls a key: its peer id.

use std::fmt;

use crate::{Curve, KeyMaterialError, P2pPublicKey};

/// `identity` in the multihash table: what follows is not hashed. Then its length, 37 bytes.
const MULTIHASH: [u8; 2] = [0x00, 0x25];
/// The protobuf message `PublicKey` before its bytes: field 1, the type, is 2 for secp256k1; field
/// 2, the data, is 33 bytes long.
const PUBLIC_KEY: [u8; 4] = [0x08, 0x02, 0x12, 0x21];

/// A peer id, as the libp2p peer-id specification makes it of a secp256k1 key.
///
/// The compressed key in a protobuf message is 37 bytes, and what has at most 42 bytes is wrapped
/// in the identity multihash, not hashed. Written in base58 with Bitcoin's alphabet, without a
/// multibase prefix: `16Uiu2HA…`.
///
/// The specification has a form for other curves too, over a hash; the networks that read our
/// peer ids, OP-stack and Ethereum consensus, know secp256k1 only.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PeerId([u8; 39]);

impl PeerId {
    /// The peer id of the node that a key belongs to.
    ///
    /// # Errors
    ///
    /// [`KeyMaterialError::WrongCurve`] when the key is not on secp256k1.
    pub fn of(public_key: &P2pPublicKey) -> Result<Self, KeyMaterialError> {
        let found = public_key.curve();
        if found != Curve::Secp256k1 {
            return Err(KeyMaterialError::WrongCurve { needed: Curve::Secp256k1, found });
        }
        let mut bytes = [0; 39];
        bytes[..2].copy_from_slice(&MULTIHASH);
        bytes[2..6].copy_from_slice(&PUBLIC_KEY);
        bytes[6..].copy_from_slice(&public_key.to_compressed_point());
        Ok(Self(bytes))
    }

    /// The raw multihash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 39] {
        &self.0
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&bs58::encode(self.0).into_string())
    }
}
