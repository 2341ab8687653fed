//! What a node holds of an API key.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::KeyMaterialError;

/// SHA-256 over the UTF-8 bytes of an API key's text.
///
/// Over the text as the client sends it, prefix and checksum included, with no newline; never
/// over decoded bytes. Written as 44 characters of standard, padded base64, which is what a
/// threshold-signing node expects in its configuration. A plain hash is enough here, and a slow
/// one would add nothing: the key behind it has 256 random bits.
///
/// Not a secret, and still compared in constant time: a node may hold it as a credential's match.
#[derive(Clone, Copy, Debug)]
pub struct ApiKeyHash([u8; 32]);

impl ApiKeyHash {
    /// Hashes the text of an API key, of whatever form.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// The raw digest.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for ApiKeyHash {
    /// In constant time.
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for ApiKeyHash {}

impl fmt::Display for ApiKeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&STANDARD.encode(self.0))
    }
}

impl FromStr for ApiKeyHash {
    type Err = KeyMaterialError;

    /// Reads a hash exactly as it is written: canonical base64, so that equal hashes are equal
    /// texts.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        STANDARD
            .decode(text)
            .ok()
            .and_then(|digest| digest.try_into().ok())
            .map(Self)
            .ok_or(KeyMaterialError::InvalidApiKeyHash)
    }
}
