//! A secret, reduced to what gives it away.

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use key_material::{ApiKey, P2pPrivateKey, SharePassword};
use serde_json::Value;
use spelling::Search;

/// A secret of a run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Secret {
    /// Whose it is, and what it is for: the name under which it is stored.
    pub(crate) label: String,
    /// Runs of bytes each of which is enough. Every document of a private key has its scalar in it.
    pub(crate) cores: Vec<Vec<u8>>,
}

impl Secret {
    /// Reads a value as it is sent to its store or to the key that seals it.
    pub(crate) fn read(name: &str, value: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(value).ok();
        let json: Option<Value> = text.and_then(|text| serde_json::from_str(text).ok());
        let field = |field: &str| json.as_ref().and_then(|json| json[field].as_str());
        if name.ends_with("/p2p-key") {
            let der = field("pkcs8").map_or(Ok(value.to_vec()), |text| STANDARD.decode(text))?;
            return Ok(Self::p2p_key(name, &P2pPrivateKey::from_pkcs8_der(&der)?));
        }
        if name.ends_with("/share-encryption-password") {
            return Self::password(name, field("password").or(text).context("the password is no text")?);
        }
        Self::api_key(name, text.context("the API key is no text")?)
    }

    pub(crate) fn p2p_key(label: &str, key: &P2pPrivateKey) -> Self {
        // EXPOSE: to the search for it.
        Self { label: label.to_owned(), cores: vec![key.expose_scalar().to_vec()] }
    }

    /// The text, and the random bytes that it spells.
    pub(crate) fn password(label: &str, text: &str) -> Result<Self> {
        let entropy = URL_SAFE_NO_PAD.decode(text).context("the password is no base64url")?;
        Ok(Self { label: label.to_owned(), cores: vec![text.as_bytes().to_vec(), entropy] })
    }

    /// The text, and the random bytes that it spells.
    pub(crate) fn api_key(label: &str, text: &str) -> Result<Self> {
        ApiKey::parse(text).context("the API key is none")?;
        let digits = text.split_once('_').and_then(|(_, rest)| rest.get(..43)).context("no digits")?;
        Ok(Self { label: label.to_owned(), cores: vec![text.as_bytes().to_vec(), base62(digits)] })
    }

    /// Any text that is secret as it stands.
    pub(crate) fn text(label: &str, text: &str) -> Self {
        Self { label: label.to_owned(), cores: vec![text.as_bytes().to_vec()] }
    }

    /// A new password that was never used for anything.
    pub(crate) fn fresh_password(label: &str) -> Result<(Self, String)> {
        let password = SharePassword::make()?;
        // EXPOSE: to be leaked.
        let text = password.expose().to_owned();
        Ok((Self::password(label, &text)?, text))
    }
}

/// The 32 bytes that 43 digits of base 62 spell.
fn base62(digits: &str) -> Vec<u8> {
    const DIGITS: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut bytes = vec![0_u8; 32];
    for digit in digits.chars() {
        let mut carry = DIGITS.chars().zip(0_u32..).find(|(known, _)| *known == digit).unwrap().1;
        for byte in bytes.iter_mut().rev() {
            let [.., high, low] = (u32::from(*byte) * 62 + carry).to_be_bytes();
            *byte = low;
            carry = u32::from(high);
        }
    }
    bytes
}

#[test]
fn the_bytes_behind_an_api_key_are_found_again() {
    let key = ApiKey::derive_from_entropy(
        key_material::ApiKeyKind::Application,
        &std::array::from_fn(|n| u8::try_from(n).unwrap()),
    );
    let secret = Secret::api_key("x", key.expose()).unwrap();
    assert_eq!(secret.cores[1], (0..32).collect::<Vec<u8>>());
}

/// A search for these secrets, in every spelling.
pub(crate) fn search<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Search {
    Search::new(secrets.into_iter().map(|secret| (secret.label.as_str(), secret.cores.as_slice())))
}
