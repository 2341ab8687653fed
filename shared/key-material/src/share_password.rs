//! The password that unlocks the key shares in a node's database.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::{KeyMaterialError, random};

/// The share-encryption password: 32 random bytes as 43 characters of unpadded base64url (RFC
/// 4648, section 5).
///
/// A node derives from it the key under which its key shares are encrypted. Losing or replacing
/// it loses the shares, so it is made once. It is no database login. There is nothing public
/// about it, not even a hash.
///
/// The text is overwritten when the password is dropped. It cannot be cloned or shown:
///
/// ```compile_fail,E0277
/// fn needs_clone<T: Clone>() {}
/// needs_clone::<key_material::SharePassword>();
/// ```
///
/// ```compile_fail,E0277
/// fn needs_display<T: std::fmt::Display>() {}
/// needs_display::<key_material::SharePassword>();
/// ```
pub struct SharePassword {
    text: Zeroizing<String>,
}

impl SharePassword {
    /// Makes a new password from the operating system's random numbers.
    ///
    /// # Errors
    ///
    /// [`KeyMaterialError::RandomUnavailable`] when the operating system has none.
    pub fn make() -> Result<Self, KeyMaterialError> {
        let entropy = random::make_entropy()?;
        Ok(Self::derive_from_entropy(&entropy))
    }

    /// Derives the password of 32 given bytes: always the same one, so as secret and as random as
    /// they.
    #[must_use]
    pub fn derive_from_entropy(entropy: &[u8; 32]) -> Self {
        // The engine sizes its output before it writes, and turns it into text in place.
        Self { text: Zeroizing::new(URL_SAFE_NO_PAD.encode(entropy)) }
    }

    /// Reads a password back in the one spelling that is made. What is read is copied; the original is not
    /// overwritten.
    ///
    /// # Errors
    ///
    /// [`KeyMaterialError::InvalidSharePassword`] when it is not 32 bytes in unpadded base64url.
    pub fn parse(text: &str) -> Result<Self, KeyMaterialError> {
        let mut entropy = Zeroizing::new([0; 32]);
        let length = URL_SAFE_NO_PAD.decode_slice(text, entropy.as_mut_slice());
        if length == Ok(32) {
            Ok(Self::derive_from_entropy(&entropy))
        } else {
            Err(KeyMaterialError::InvalidSharePassword)
        }
    }

    /// The password's text.
    ///
    /// # Security
    ///
    /// Whoever has this text and the database has the key shares. Give it to the store that keeps
    /// it for the node, or to the node, and nowhere else. Copies made of it are not overwritten.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }
}

/// Shows nothing.
impl fmt::Debug for SharePassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharePassword").finish_non_exhaustive()
    }
}

/// By its text's own wrapper.
impl ZeroizeOnDrop for SharePassword {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_read_back_in_its_one_spelling() {
        let password = SharePassword::derive_from_entropy(&[0xfb; 32]);
        assert_eq!(SharePassword::parse(password.expose()).unwrap().expose(), password.expose());
        let text = password.expose();
        for bad in ["", &text[..42], &format!("{text}A"), &format!("{text}="), &text.replace('-', "+")] {
            assert_eq!(
                SharePassword::parse(bad).unwrap_err(),
                KeyMaterialError::InvalidSharePassword,
                "{bad}"
            );
        }
        // The last character has two bits that nothing says anything with.
        let spelled_otherwise = format!("{}t", &text[..42]);
        assert!(SharePassword::parse(&spelled_otherwise).is_err());
    }
}
