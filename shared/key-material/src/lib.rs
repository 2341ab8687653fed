//! Keys, API keys and passwords of a cluster's nodes, and the exact bytes their readers accept.
//!
//! Everything here is pure: bytes in, bytes out. The one thing asked of the outside is random
//! numbers, and those come from the operating system's generator alone. No async, no I/O, no AWS.
//!
//! | module | what | standard |
//! |---|---|---|
//! | [`P2pPrivateKey`], [`P2pPublicKey`] | a node's P2P pair | SEC 1, RFC 5915, RFC 5958, RFC 5480 |
//! | [`Fingerprint`] | short name of a public key | SHA-256 over the `SubjectPublicKeyInfo` |
//! | [`ApiKey`], [`ApiKeyHash`] | what an API client holds, and what a node holds of it | this project's own |
//! | [`SharePassword`] | unlocks the key shares in a node's database | this project's own |
//! | [`ethereum`] | address, node id, `enode` URL | EIP-55, devp2p |
//! | [`libp2p`] | peer id | libp2p peer ids |
//!
//! # Secrets
//!
//! There is one type for each kind of secret. None can be cloned, printed or compared; `Debug`
//! shows what is public about it and two dots; its bytes live in one place on the heap and are
//! overwritten when it is dropped. Whatever hands out secret bytes is called `expose…`, so that a
//! search for that word lists every place where a secret leaves its type; a caller writes an
//! `// EXPOSE:` comment there that names where the bytes go.
//!
//! Buffers are sized before they are filled, because a buffer that grows leaves its old bytes
//! behind. What stays out of reach are copies that the compiler and the curve crates keep on the
//! stack or in registers while they compute.
//!
//! # Padding
//!
//! Scalars and coordinates are fixed-width, big-endian and left-padded with zero bytes (SEC 1,
//! sections 2.3.5 and 2.3.7). One key in 256 has a scalar that begins with a zero byte, so an
//! encoder that drops it works in every quick test and fails in production. The vectors under
//! `tests/vectors/key-material` hold such keys for every curve.

mod api_key;
mod api_key_hash;
mod curve;
mod error;
mod fingerprint;
mod private_key;
mod public_key;
mod share_password;

pub mod ethereum;
pub mod libp2p;

mod arithmetic;
mod base62;
mod der;
mod random;
mod text;

pub use api_key::{ApiKey, ApiKeyKind};
pub use api_key_hash::ApiKeyHash;
pub use curve::Curve;
pub use error::{ApiKeyFault, KeyMaterialError, PrivateKeyFault, PublicKeyFault};
pub use fingerprint::Fingerprint;
pub use private_key::P2pPrivateKey;
pub use public_key::P2pPublicKey;
pub use share_password::SharePassword;
