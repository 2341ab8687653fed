//! A login's password, and what the server keeps of it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRng as _;
use rand::rngs::SysRng;
use zeroize::{Zeroize as _, ZeroizeOnDrop, Zeroizing};

/// The password of a login: 32 random bytes as 43 characters of unpadded base64url (RFC 4648, section
/// 5), none of which has to be escaped in a URL.
///
/// The text is overwritten when the password is dropped. It cannot be cloned or shown:
///
/// ```compile_fail,E0277
/// fn needs_clone<T: Clone>() {}
/// needs_clone::<database::Password>();
/// ```
///
/// ```compile_fail,E0277
/// fn needs_display<T: std::fmt::Display>() {}
/// needs_display::<database::Password>();
/// ```
pub struct Password(Zeroizing<String>);

/// The operating system has no random numbers to give.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the operating system has no random numbers to give")]
pub struct NoRandomness;

impl Password {
    /// The longest text that is read as a password, in bytes. RDS makes shorter ones.
    pub(crate) const MAX_BYTES: usize = 256;

    /// Makes a new password from the operating system's random numbers.
    ///
    /// # Errors
    ///
    /// [`NoRandomness`] when there are none.
    pub fn make() -> Result<Self, NoRandomness> {
        let mut entropy = Zeroizing::new([0; 32]);
        SysRng.try_fill_bytes(entropy.as_mut_slice()).map_err(|_| NoRandomness)?;
        // The engine sizes its output before it writes, and turns it into text in place.
        Ok(Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(entropy))))
    }

    /// Takes a text for a password. One that is too long or empty, or has control characters, is none; it
    /// is overwritten.
    #[must_use]
    pub fn from_text(mut text: String) -> Option<Self> {
        if (1..=Self::MAX_BYTES).contains(&text.len()) && !text.chars().any(char::is_control) {
            Some(Self(Zeroizing::new(text)))
        } else {
            text.zeroize();
            None
        }
    }

    /// What the server is told: it can check the password with it, and nobody can log in with it.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        Verifier(Zeroizing::new(postgres_protocol::password::scram_sha_256(self.0.as_bytes())))
    }

    /// The password's text.
    ///
    /// # Security
    ///
    /// Whoever has this text and reaches the server has the database. Give it to the store that keeps it,
    /// or to the server under verified TLS, and nowhere else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Shows nothing.
impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Password").finish_non_exhaustive()
    }
}

/// By its text's own wrapper.
impl ZeroizeOnDrop for Password {}

/// A SCRAM-SHA-256 verifier as PostgreSQL stores it (RFC 5802, section 3; PostgreSQL documentation,
/// `pg_authid`): `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`.
///
/// A role that is given one has the password it was made of, and neither the statement log nor
/// `pg_stat_statements` has seen that. Of 32 random bytes, nobody finds it again.
pub struct Verifier(Zeroizing<String>);

impl Verifier {
    /// The verifier's text: letters, digits and `$ : + / = -`, nothing that a literal of SQL has to quote.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Shows nothing.
impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_long_differ_and_show_nothing() {
        let (one, other) = (Password::make().unwrap(), Password::make().unwrap());
        assert_eq!(one.expose().len(), 43);
        assert!(one.expose().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        assert_ne!(one.expose(), other.expose());
        assert_eq!(format!("{one:?}"), "Password { .. }");
    }

    #[test]
    fn a_verifier_has_nothing_to_quote_and_says_nothing_of_the_password() {
        let password = Password::make().unwrap();
        let verifier = password.verifier();
        let text = verifier.expose();
        assert!(text.starts_with("SCRAM-SHA-256$4096:"), "{text}");
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"$:+/=-".contains(&byte);
        assert!(text.bytes().all(allowed), "{text}");
        assert!(!text.contains(password.expose()));
        assert_ne!(text, password.verifier().expose(), "without a salt");
        assert_eq!(format!("{verifier:?}"), "Verifier { .. }");
    }

    #[test]
    fn not_every_text_is_a_password() {
        for bad in ["", "a\0b", "a\nb", &"a".repeat(257)] {
            assert!(Password::from_text(bad.to_owned()).is_none(), "{bad:?}");
        }
        assert_eq!(Password::from_text("it's one".to_owned()).unwrap().expose(), "it's one");
    }
}
