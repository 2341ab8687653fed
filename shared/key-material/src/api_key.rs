//! The half of an API key that a client holds.

use std::fmt;

use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::{ApiKeyFault, ApiKeyHash, KeyMaterialError, base62, random};

/// Base-62 digits that hold 32 bytes.
const ENTROPY_DIGITS: usize = 43;
/// Base-62 digits that hold a CRC-32.
const CHECKSUM_DIGITS: usize = 6;

/// What an API key opens.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ApiKeyKind {
    /// An application's requests to a node.
    Application,
    /// A node's management interface.
    Management,
}

impl ApiKeyKind {
    /// Both kinds.
    pub const ALL: [Self; 2] = [Self::Application, Self::Management];

    /// What a key of this kind begins with: `keyboot_` or `keybootm_`.
    ///
    /// Fixed and unusual, so that a tool that looks for leaked secrets finds it.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Application => "keyboot_",
            Self::Management => "keybootm_",
        }
    }
}

/// An API key: text that opens a node's interface to whoever holds it.
///
/// A prefix that names its kind, 32 random bytes as 43 base-62 digits, and 6 digits of checksum:
/// `keyboot_[0-9A-Za-z]{49}`, 57 characters, or one more for `keybootm_`. The checksum is
/// CRC-32/ISO-HDLC (the one of gzip and PNG) over all the text before it. It protects nothing; it
/// lets a tool that finds such a text tell a leaked key from a look-alike without asking a node.
///
/// The text is overwritten when the key is dropped. The key cannot be cloned or shown:
///
/// ```compile_fail,E0277
/// fn needs_clone<T: Clone>() {}
/// needs_clone::<key_material::ApiKey>();
/// ```
///
/// ```compile_fail,E0277
/// fn needs_display<T: std::fmt::Display>() {}
/// needs_display::<key_material::ApiKey>();
/// ```
pub struct ApiKey {
    kind: ApiKeyKind,
    text: Zeroizing<String>,
}

impl ApiKey {
    /// Makes a new key from the operating system's random numbers.
    ///
    /// # Errors
    ///
    /// [`KeyMaterialError::RandomUnavailable`] when the operating system has none.
    pub fn make(kind: ApiKeyKind) -> Result<Self, KeyMaterialError> {
        let entropy = random::make_entropy()?;
        Ok(Self::derive_from_entropy(kind, &entropy))
    }

    /// Derives the key of 32 given bytes: always the same one, so as secret and as random as they.
    #[must_use]
    pub fn derive_from_entropy(kind: ApiKeyKind, entropy: &[u8; 32]) -> Self {
        let size = kind.prefix().len() + ENTROPY_DIGITS + CHECKSUM_DIGITS;
        let mut text = Zeroizing::new(String::with_capacity(size));
        text.push_str(kind.prefix());
        base62::push(&mut text, entropy, ENTROPY_DIGITS);
        push_checksum(&mut text);
        Self { kind, text }
    }

    /// Reads a key, and checks all of it that can be checked without a node.
    ///
    /// # Errors
    ///
    /// [`KeyMaterialError::InvalidApiKey`] with the first fault that is found, in this order:
    /// prefix, length, alphabet, checksum, range.
    pub fn parse(text: &str) -> Result<Self, KeyMaterialError> {
        let (kind, digits) = ApiKeyKind::ALL
            .into_iter()
            .find_map(|kind| Some((kind, text.strip_prefix(kind.prefix())?)))
            .ok_or(KeyMaterialError::InvalidApiKey(ApiKeyFault::Prefix))?;
        if digits.len() != ENTROPY_DIGITS + CHECKSUM_DIGITS {
            return Err(KeyMaterialError::InvalidApiKey(ApiKeyFault::Length));
        }
        if !digits.bytes().all(base62::is_digit) {
            return Err(KeyMaterialError::InvalidApiKey(ApiKeyFault::Alphabet));
        }

        let (body, _) = text.split_at(text.len() - CHECKSUM_DIGITS);
        let mut expected = Zeroizing::new(String::with_capacity(text.len()));
        expected.push_str(body);
        push_checksum(&mut expected);
        if expected.as_str() != text {
            return Err(KeyMaterialError::InvalidApiKey(ApiKeyFault::Checksum));
        }
        if !base62::fits(&digits[..ENTROPY_DIGITS], 32) {
            return Err(KeyMaterialError::InvalidApiKey(ApiKeyFault::Range));
        }
        Ok(Self { kind, text: expected })
    }

    /// What the key opens.
    #[must_use]
    pub fn kind(&self) -> ApiKeyKind {
        self.kind
    }

    /// The key's text.
    ///
    /// # Security
    ///
    /// Whoever reads this text is the client. Give it to the store that keeps it for the client,
    /// and nowhere else; a node gets [`ApiKey::hash`]. Copies made of it are not overwritten.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// What a node holds of the key.
    #[must_use]
    pub fn hash(&self) -> ApiKeyHash {
        ApiKeyHash::of(&self.text)
    }
}

/// Shows the kind and nothing else.
impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// By its text's own wrapper.
impl ZeroizeOnDrop for ApiKey {}

fn push_checksum(text: &mut String) {
    let checksum = crc32fast::hash(text.as_bytes());
    base62::push(text, &checksum.to_be_bytes(), CHECKSUM_DIGITS);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A buffer that grows leaves its old bytes behind.
    #[test]
    fn the_text_is_as_long_as_its_buffer() {
        for kind in ApiKeyKind::ALL {
            let key = ApiKey::derive_from_entropy(kind, &[0xff; 32]);
            assert_eq!(key.text.len(), key.text.capacity(), "{kind:?}");
        }
    }
}
