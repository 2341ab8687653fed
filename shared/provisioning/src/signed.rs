//! Public documents that carry their own proof: canonical JSON, signed.
//!
//! A record decides which keys a cluster accepts, so whoever can change one can let himself in.
//! It may travel over any channel, since its reader checks the signature against a key it pinned.
//! The text is stored as it was signed and never written anew: what a reader checks is what the
//! signer saw. Canonical form is RFC 8785; the signature is ECDSA on P-256 with SHA-256 (FIPS
//! 186-5), DER, over a domain line and the text. No I/O here.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use p256::ecdsa::{DerSignature, VerifyingKey};
use p256::pkcs8::DecodePublicKey as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

/// The most an Advanced parameter holds, in bytes (Systems Manager User Guide, "Managing
/// parameter tiers").
pub const DOCUMENT_MAX: usize = 8192;

/// A kind of signed document.
pub trait Document: Serialize + DeserializeOwned {
    /// The name of the field that holds it beside its signature.
    const FIELD: &'static str;
    /// What is signed before the text, so that no document passes for one of another kind.
    const DOMAIN: &'static str;
}

/// Why a document is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// It is not of the expected form.
    #[error("it is malformed: {0}")]
    Malformed(String),
    /// It is not the text its signer would have written.
    #[error("it is not in canonical form")]
    NotCanonical,
    /// Its signer is not among the pinned keys.
    #[error("its signer {0} is not pinned")]
    UnknownSigner(String),
    /// Its signature does not fit its text.
    #[error("its signature does not fit")]
    BadSignature,
    /// It speaks of something other than what was asked for.
    #[error("it is of {found}, not of {expected}")]
    Foreign {
        /// What it speaks of.
        found: String,
        /// What was asked for.
        expected: String,
    },
    /// Its parts contradict each other.
    #[error("its parts contradict each other: {0}")]
    Inconsistent(&'static str),
    /// It is older than one already seen.
    #[error("it is older (serial {found}) than the one already seen (serial {seen})")]
    Older {
        /// Its own serial number.
        found: u64,
        /// The highest serial number seen.
        seen: u64,
    },
    /// It would not fit its parameter.
    #[error("it has {0} bytes, and a parameter holds {DOCUMENT_MAX}")]
    TooLong(usize),
}

/// The verifying keys that a reader trusts, each under the ARN of the key that signs.
#[derive(Clone, Debug, Default)]
pub struct PinnedKeys(BTreeMap<String, VerifyingKey>);

impl PinnedKeys {
    /// Trusts `spki_der` for what `signer` signs.
    ///
    /// # Errors
    ///
    /// [`DocumentError::Malformed`] when `spki_der` is no P-256 public key.
    pub fn pin(mut self, signer: impl Into<String>, spki_der: &[u8]) -> Result<Self, DocumentError> {
        let key = VerifyingKey::from_public_key_der(spki_der)
            .map_err(|_| DocumentError::Malformed("the pinned key is no P-256 key".into()))?;
        self.0.insert(signer.into(), key);
        Ok(self)
    }
}

impl PinnedKeys {
    /// Whether one of these keys has signed a digest; the signature is DER.
    pub(crate) fn have_signed(&self, digest: &[u8; 32], signature: &[u8]) -> bool {
        let Ok(signature) = DerSignature::try_from(signature) else { return false };
        self.0.values().any(|key| key.verify_prehash(digest, &signature).is_ok())
    }
}

/// A document in the exact text that is signed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CanonicalText<D> {
    text: String,
    kind: std::marker::PhantomData<fn() -> D>,
}

impl<D: Document> CanonicalText<D> {
    /// Writes `document` in canonical form.
    ///
    /// # Errors
    ///
    /// [`DocumentError::Malformed`] when it cannot be written as JSON.
    pub fn of(document: &D) -> Result<Self, DocumentError> {
        let text =
            serde_jcs::to_string(document).map_err(|error| DocumentError::Malformed(error.to_string()))?;
        Ok(Self { text, kind: std::marker::PhantomData })
    }

    /// The SHA-256 digest that is signed: of the domain line and the text.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        digest::<D>(&self.text)
    }

    /// Joins text, signature (DER) and signer to what is stored.
    ///
    /// # Errors
    ///
    /// [`DocumentError::TooLong`] when the result does not fit a parameter.
    pub fn signed(&self, signature: &[u8], signer: &str) -> Result<String, DocumentError> {
        let text = envelope::<D>(&self.text, &STANDARD.encode(signature), signer);
        if text.len() > DOCUMENT_MAX {
            return Err(DocumentError::TooLong(text.len()));
        }
        Ok(text)
    }
}

impl<D> fmt::Display for CanonicalText<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Checks a stored document and gives it back parsed.
///
/// # Errors
///
/// Any [`DocumentError`] but those that need to know what was asked for.
pub fn verify<D: Document>(stored: &str, keys: &PinnedKeys) -> Result<D, DocumentError> {
    let malformed = |error: serde_json::Error| DocumentError::Malformed(error.to_string());
    let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(stored).map_err(malformed)?;
    let field = |name: &str| {
        fields
            .get(name)
            .map(|raw| raw.get())
            .ok_or_else(|| DocumentError::Malformed(format!("it has no {name}")))
    };
    let text = field(D::FIELD)?;
    let signature: String = serde_json::from_str(field("signature")?).map_err(malformed)?;
    let signer: String = serde_json::from_str(field("signer")?).map_err(malformed)?;
    // One spelling only: no further, doubled or reordered fields around the signed text.
    if envelope::<D>(text, &signature, &signer) != stored {
        return Err(DocumentError::NotCanonical);
    }
    let Some(key) = keys.0.get(&signer) else {
        return Err(DocumentError::UnknownSigner(signer));
    };
    let signature = STANDARD
        .decode(&signature)
        .ok()
        .and_then(|der| DerSignature::try_from(der.as_slice()).ok())
        .ok_or(DocumentError::BadSignature)?;
    key.verify_prehash(&digest::<D>(text), &signature).map_err(|_| DocumentError::BadSignature)?;
    let document: D = serde_json::from_str(text).map_err(malformed)?;
    if CanonicalText::of(&document)?.text != text {
        return Err(DocumentError::NotCanonical);
    }
    Ok(document)
}

/// The key that a stored document says it is signed with. Nothing is proven by it.
#[must_use]
pub fn signer_of(stored: &str) -> Option<String> {
    let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(stored).ok()?;
    serde_json::from_str(fields.get("signer")?.get()).ok()
}

fn digest<D: Document>(text: &str) -> [u8; 32] {
    Sha256::new().chain_update(D::DOMAIN).chain_update("\n").chain_update(text).finalize().into()
}

fn envelope<D: Document>(text: &str, signature: &str, signer: &str) -> String {
    // Neither base64 nor an ARN of a KMS key has a character that JSON escapes; were one there
    // all the same, `verify` would see another text than it read, and refuse.
    format!(r#"{{"{}":{text},"signature":"{signature}","signer":"{signer}"}}"#, D::FIELD)
}

/// Serde forms for values whose text form is their wire form.
pub(crate) mod text_form {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(crate) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// Serde form of a public key: its SPKI in base64.
pub(crate) mod spki {
    use key_material::P2pPublicKey;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(key: &P2pPublicKey, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&key.to_spki_base64())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<P2pPublicKey, D::Error> {
        P2pPublicKey::from_spki_base64(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}
