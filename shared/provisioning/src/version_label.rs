//! What must be known of a further version of a secret: one staging label, put with the value.
//!
//! A secret's first version has its facts in the secret's tags. A later one cannot: tags belong to
//! the whole secret, and a value that is stored and not described would be a key whose public half
//! nobody knows. So everything goes into one label, which the store takes in the call that takes the
//! value. A label never holds a secret, and is never `AWSCURRENT`. No I/O here.
//!
//! Where versions are counted instead of labelled, the first one has such a text as well, and a store
//! keeps it in the version's description.
//!
//! A label counts where a signature stands beside it: see [`SignedLabel`].
//!
//! `keyboot-<token>-<number>-<form>-<key>-<generation>-<public>`, of `A`-`Z`, `a`-`z`, `0`-`9`, `_` and
//! `-`: the token's digest, 16 hex digits; a decimal counter from 1; `e` or `s` for the protection and
//! `f` or `k` for the origin; the digest of the encryption key's ARN, 8 hex digits; the `RequestId` of
//! the operation that made the version, with `_` for `-`; and the public half, an SPKI in DER or a hash,
//! in base64url without padding.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::names::SecretName;
use crate::ownership::Generation;
use crate::sealing::{KeyOrigin, Protection};

/// The first part of every label of ours.
const PREFIX: &str = "keyboot";
/// What a label begins with that is a signature.
const SIGNATURE_PREFIX: &str = "keyboot-signed-";
/// The longest label (Secrets Manager API Reference, `PutSecretValue`, `VersionStages`).
const LONGEST: usize = 256;

/// A `Regenerate` token: 1 to 64 characters of `A`-`Z`, `a`-`z`, `0`-`9`, `.`, `_` and `-`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RegenerateToken(String);

impl RegenerateToken {
    /// The token as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RegenerateToken {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        let is_known = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if (1..=64).contains(&text.len()) && text.bytes().all(is_known) {
            Ok(Self(text.to_owned()))
        } else {
            Err(LabelError::Malformed)
        }
    }
}

impl TryFrom<String> for RegenerateToken {
    type Error = LabelError;

    fn try_from(text: String) -> Result<Self, LabelError> {
        text.parse()
    }
}

impl From<RegenerateToken> for String {
    fn from(token: RegenerateToken) -> Self {
        token.0
    }
}

/// Which `Regenerate` token a version was made under: 8 bytes of its SHA-256, or of nothing where
/// the properties have no token.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenDigest([u8; 8]);

impl TokenDigest {
    /// The digest of a token, or of its absence.
    #[must_use]
    pub fn of(token: Option<&RegenerateToken>) -> Self {
        let digest = Sha256::digest(token.map(RegenerateToken::as_str).unwrap_or_default());
        Self(std::array::from_fn(|position| digest[position]))
    }
}

impl fmt::Display for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for TokenDigest {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        lower_hex(text).map(Self)
    }
}

impl TryFrom<String> for TokenDigest {
    type Error = LabelError;

    fn try_from(text: String) -> Result<Self, LabelError> {
        text.parse()
    }
}

impl From<TokenDigest> for String {
    fn from(digest: TokenDigest) -> Self {
        digest.to_string()
    }
}

/// Which key a version was encrypted with: 4 bytes of the SHA-256 of its ARN. Enough to tell that it
/// was another one, since nothing but a sentence to the operator follows from it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct KeyDigest([u8; 4]);

impl KeyDigest {
    /// The digest of a key's ARN.
    #[must_use]
    pub fn of(key_arn: &str) -> Self {
        let digest = Sha256::digest(key_arn);
        Self(std::array::from_fn(|position| digest[position]))
    }
}

/// A label beside its signature. A store keeps labels for whoever may put versions, so what stands in one
/// holds where a signature of ours says of which version it is.
///
/// The signature is a label as well, `keyboot-signed-<DER in base64url>`, or stands behind the label in a
/// version's description.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignedLabel {
    /// The label.
    pub label: String,
    /// Its signature.
    pub signature: String,
}

impl SignedLabel {
    /// What is signed: the label, and the version that it is of. `first` is the operation that made the
    /// secret's first version: a secret of the name that comes later has another one.
    #[must_use]
    pub fn digest(secret: &SecretName, first: &Generation, version_id: &str, label: &str) -> [u8; 32] {
        let mut hash = Sha256::new_with_prefix("keyboot.label.v1");
        for part in [secret.as_str(), first.as_str(), version_id, label] {
            hash.update("\n");
            hash.update(part);
        }
        hash.finalize().into()
    }

    /// Joins a label and its signature, in DER.
    #[must_use]
    pub fn new(label: String, signature: &[u8]) -> Self {
        Self { label, signature: format!("{SIGNATURE_PREFIX}{}", URL_SAFE_NO_PAD.encode(signature)) }
    }

    /// Both as a version's description.
    #[must_use]
    pub fn to_description(&self) -> String {
        format!("{} {}", self.label, self.signature)
    }

    /// The label that a description begins with and the signature behind it; none where it is no
    /// description of ours.
    #[must_use]
    pub fn in_description(text: &str) -> Option<(VersionLabel, Option<String>)> {
        let (label, signature) =
            text.split_once(' ').map_or((text, None), |(label, rest)| (label, Some(rest)));
        Some((label.parse().ok()?, signature.map(str::to_owned)))
    }
}

/// The signature in a label, if it is one.
pub(crate) fn signature_in(label: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(label.strip_prefix(SIGNATURE_PREFIX)?).ok()
}

/// Whether a label is of our form: it describes a version, or signs what does.
pub(crate) fn is_ours(label: &str) -> bool {
    label.starts_with(SIGNATURE_PREFIX) || label.parse::<VersionLabel>().is_ok()
}

/// How a version was made: what protects it in its store, and what made it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Form {
    /// What protects the value.
    pub protection: Protection,
    /// What made it.
    pub origin: KeyOrigin,
}

/// Everything that must be known of one version.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VersionLabel {
    /// The token it counts under.
    pub token: TokenDigest,
    /// Its number among the versions of its secret, from 1: of a P2P key, the one in the record.
    pub number: u64,
    /// How it was made.
    pub form: Form,
    /// The key that it was encrypted with.
    pub key: KeyDigest,
    /// The operation that made it.
    pub generation: Generation,
    /// The public half: an SPKI in DER, or the hash of an API key.
    pub public: Vec<u8>,
}

/// A text is no label of ours, or a version cannot be described by one.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LabelError {
    /// It is not of the form that tokens and labels of ours have.
    #[error("not a token or version label of keyboot")]
    Malformed,
    /// The request's id holds other characters than letters, digits and `-`, or too many.
    #[error("the request's id is not one of letters, digits and -, of a length that fits a staging label")]
    Generation,
}

impl VersionLabel {
    /// The public half as records and tags spell it, in standard base64.
    #[must_use]
    pub fn public_base64(&self) -> String {
        STANDARD.encode(&self.public)
    }

    /// Reads a public half as records and tags spell it.
    #[must_use]
    pub fn public_bytes(base64: &str) -> Option<Vec<u8>> {
        STANDARD.decode(base64).ok()
    }

    /// The label's text.
    ///
    /// # Errors
    ///
    /// [`LabelError::Generation`] when the request's id cannot be part of a label.
    pub fn to_text(&self) -> Result<String, LabelError> {
        let generation = self.generation.as_str();
        if generation.is_empty() || !generation.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(LabelError::Generation);
        }
        let protection = match self.form.protection {
            Protection::Envelope => 'e',
            Protection::Service => 's',
        };
        let origin = match self.form.origin {
            KeyOrigin::Function => 'f',
            KeyOrigin::Kms => 'k',
        };
        let text = format!(
            "{PREFIX}-{}-{}-{protection}{origin}-{}-{}-{}",
            self.token,
            self.number,
            hex::encode(self.key.0),
            generation.replace('-', "_"),
            URL_SAFE_NO_PAD.encode(&self.public),
        );
        if text.len() <= LONGEST { Ok(text) } else { Err(LabelError::Generation) }
    }

    /// The first label of ours among a version's stages.
    pub(crate) fn among<'a>(stages: impl IntoIterator<Item = &'a String>) -> Option<Self> {
        stages.into_iter().find_map(|stage| stage.parse().ok())
    }
}

impl FromStr for VersionLabel {
    type Err = LabelError;

    /// Reads a label in the one spelling that is written.
    fn from_str(text: &str) -> Result<Self, LabelError> {
        let parts: Vec<&str> = text.splitn(7, '-').collect();
        let [PREFIX, token, number, form, key, generation, public] = parts[..] else {
            return Err(LabelError::Malformed);
        };
        let (protection, origin) = match form {
            "ef" => (Protection::Envelope, KeyOrigin::Function),
            "ek" => (Protection::Envelope, KeyOrigin::Kms),
            "sf" => (Protection::Service, KeyOrigin::Function),
            _ => return Err(LabelError::Malformed),
        };
        let label = Self {
            token: token.parse()?,
            number: number.parse().map_err(|_| LabelError::Malformed)?,
            form: Form { protection, origin },
            key: lower_hex(key).map(KeyDigest)?,
            generation: Generation::new(generation.replace('_', "-")),
            public: URL_SAFE_NO_PAD.decode(public).map_err(|_| LabelError::Malformed)?,
        };
        let is_whole = label.number > 0 && !label.public.is_empty();
        if is_whole && label.to_text().is_ok_and(|printed| printed == text) {
            Ok(label)
        } else {
            Err(LabelError::Malformed)
        }
    }
}

fn lower_hex<const N: usize>(text: &str) -> Result<[u8; N], LabelError> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| LabelError::Malformed)?;
    if hex::encode(bytes) == text { Ok(bytes) } else { Err(LabelError::Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(public: &[u8]) -> VersionLabel {
        VersionLabel {
            token: TokenDigest::of(Some(&"2026-01".parse().unwrap())),
            number: 2,
            form: Form { protection: Protection::Envelope, origin: KeyOrigin::Kms },
            key: KeyDigest::of("arn:aws:kms:r:1:key/k"),
            generation: Generation::new("11111111-2222-3333-4444-555555555555"),
            public: public.to_vec(),
        }
    }

    const TEXT: &str = "keyboot-b93d48954fb38451-2-ek-128f496b-11111111_2222_3333_4444_555555555555--_8-";

    #[test]
    fn a_label_is_byte_for_byte_what_later_versions_read() {
        let label = label(b"\xfb\xff\x3e");
        assert_eq!(label.to_text().unwrap(), TEXT);
        assert_eq!(TEXT.parse::<VersionLabel>().unwrap(), label);
        assert_eq!(label.public_base64(), "+/8+");
        assert_eq!(TokenDigest::of(None).to_string(), "e3b0c44298fc1c14");
        let name = "n/c".parse::<crate::names::ClusterName>().unwrap();
        let name = name.secret_name("0".parse().unwrap(), &crate::names::Purpose::P2pKey);
        let digest = hex::encode(SignedLabel::digest(&name, &Generation::new("first"), "2", TEXT));
        assert_eq!(digest, "70495d95b2222dff91dada3a9b811ea19b886569432672d8e64d7660f45aca04");
        let signed = SignedLabel::new(TEXT.to_owned(), b"\xfb\xff");
        assert_eq!(signed.signature, "keyboot-signed--_8");
        assert_eq!(signature_in(&signed.signature).unwrap(), b"\xfb\xff");
        assert_eq!(
            SignedLabel::in_description(&signed.to_description()),
            Some((label.clone(), Some(signed.signature)))
        );
        assert_eq!(SignedLabel::in_description(TEXT), Some((label, None)));
        assert_eq!(SignedLabel::in_description("p2p-key of node 0"), None);
    }

    #[test]
    fn the_longest_label_fits_a_stage() {
        // An SPKI on P-384 has 120 bytes.
        let mut longest = label(&[0xff; 120]);
        longest.number = u64::MAX;
        let text = longest.to_text().unwrap();
        assert!(text.len() <= LONGEST, "{}", text.len());
        assert_eq!(text.parse::<VersionLabel>().unwrap(), longest);
        longest.generation = Generation::new("1".repeat(40));
        assert_eq!(longest.to_text(), Err(LabelError::Generation));
        for bad in ["", "a_b", "a b", "ü"] {
            longest.generation = Generation::new(bad);
            assert_eq!(longest.to_text(), Err(LabelError::Generation), "{bad:?}");
        }
    }

    #[test]
    fn anything_else_is_no_label() {
        for (from, to) in [
            ("keyboot", "Keyboot"),
            ("b93d", "B93D"),
            ("b93d", "93d"),
            ("-2-", "-02-"),
            ("-2-", "-0-"),
            ("-2-", "-+2-"),
            ("-ek-", "-sk-"),
            ("-ek-", "-e-"),
            ("128f", "28f"),
            ("1111_2222", "1111 2222"),
            ("--_8-", "-"),
            ("--_8-", ""),
            ("--_8-", "--_9"),
            ("--_8-", "--_8-="),
            ("--_8-", "-+/8+"),
        ] {
            let text = TEXT.replacen(from, to, 1);
            assert_ne!(text, TEXT, "{from} -> {to}");
            assert_eq!(text.parse::<VersionLabel>(), Err(LabelError::Malformed), "{text}");
        }
        for text in ["AWSCURRENT", "AWSPREVIOUS", "keyboot", ""] {
            assert_eq!(text.parse::<VersionLabel>(), Err(LabelError::Malformed), "{text}");
        }
    }
}
