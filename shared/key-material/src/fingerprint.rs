//! A public key's short name.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::{KeyMaterialError, P2pPublicKey};

const PREFIX: &str = "sha256:";

/// SHA-256 over the DER `SubjectPublicKeyInfo` of a public key.
///
/// Written `sha256:` and 64 lower-case hexadecimal digits. `openssl pkey -pubin -outform DER`
/// piped into `sha256sum` gives the same digits.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Takes the fingerprint of a public key.
    #[must_use]
    pub fn of(public_key: &P2pPublicKey) -> Self {
        Self(Sha256::digest(public_key.to_spki_der()).into())
    }

    /// The raw digest.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", hex::encode(self.0))
    }
}

impl FromStr for Fingerprint {
    type Err = KeyMaterialError;

    /// Reads a fingerprint exactly as it is written; upper-case digits are refused, so that equal
    /// fingerprints are equal texts.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix(PREFIX).ok_or(KeyMaterialError::InvalidFingerprint)?;
        if digits.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(KeyMaterialError::InvalidFingerprint);
        }
        let mut digest = [0; 32];
        hex::decode_to_slice(digits, &mut digest).map_err(|_| KeyMaterialError::InvalidFingerprint)?;
        Ok(Self(digest))
    }
}
