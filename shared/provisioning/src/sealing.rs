//! How a secret's value looks in its store, and under which context it is sealed.
//!
//! The text that goes to a store is one zeroized type, [`StoredValue`]: whatever holds a
//! plaintext is wiped when it is dropped, and nothing of it can be printed. A sealed value that
//! comes back is read by [`SealedSecret::parse`], in the one spelling that is written. No I/O here.

use std::collections::BTreeMap;
use std::fmt;

use key_material::{Curve, P2pPrivateKey, SharePassword};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::names::{ClusterName, Purpose, Slot};

/// The schema number of every stored value.
const SCHEMA: u32 = 1;
/// Room for the longest stored plaintext, in bytes, so that the buffer never moves and leaves a copy.
const PLAINTEXT_CAPACITY: usize = 1024;

/// How a node secret is protected in its store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protection {
    /// The stored value is a KMS ciphertext under [`EncryptionContext`].
    Envelope,
    /// The stored value is plain, under the store's own encryption with the customer's key.
    Service,
}

impl Protection {
    /// The name as in the resource's properties.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Envelope => "Envelope",
            Self::Service => "Service",
        }
    }
}

/// What makes a P2P key pair.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyOrigin {
    /// This function, in its own memory.
    Function,
    /// KMS, which gives the private half sealed: nothing but the node ever sees it.
    Kms,
}

impl KeyOrigin {
    /// The name as in the resource's properties.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Function => "Function",
            Self::Kms => "Kms",
        }
    }
}

/// The context that a sealed value is bound to: without exactly these pairs KMS does not open it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EncryptionContext(BTreeMap<String, String>);

impl EncryptionContext {
    /// The context of one secret of a cluster.
    #[must_use]
    pub fn of(cluster: &ClusterName, slot: &Slot) -> Self {
        Self(BTreeMap::from([
            ("keyboot:cluster".into(), cluster.to_string()),
            ("keyboot:node".into(), slot.index.to_string()),
            ("keyboot:purpose".into(), slot.purpose.to_string()),
        ]))
    }

    /// The pairs, in order of their keys.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

/// A value that only KMS can open, as it is stored.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SealedSecret {
    schema: u32,
    kind: String,
    #[serde(with = "base64_form")]
    sealed: Vec<u8>,
    key_arn: String,
    context: EncryptionContext,
}

/// Why a stored text is not taken for a sealed value. It never holds the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SealedError {
    /// It is not of the form that sealed values have.
    #[error("the stored value is no sealed secret of schema {SCHEMA}")]
    Malformed,
    /// It is sealed for something other than what was asked for.
    #[error("the stored value is sealed for another cluster, node or purpose")]
    Foreign,
    /// It says what a sealed value says, in other bytes than are ever written.
    #[error("the stored value is not spelled as sealed secrets are stored")]
    NotCanonical,
}

impl SealedSecret {
    /// Takes a KMS ciphertext made under `key_arn` and `context`.
    #[must_use]
    pub fn new(
        purpose: &Purpose,
        ciphertext: &[u8],
        key_arn: impl Into<String>,
        context: EncryptionContext,
    ) -> Self {
        Self {
            schema: SCHEMA,
            kind: purpose.to_string(),
            sealed: ciphertext.to_vec(),
            key_arn: key_arn.into(),
            context,
        }
    }

    /// Reads what is stored for one secret of a cluster.
    ///
    /// The context is compared before anybody asks KMS to open the value: one that was moved here
    /// from another node or cluster is refused by name, not by a failed Decrypt.
    ///
    /// # Errors
    ///
    /// [`SealedError`], which says how the text differs from what [`Self::to_stored_value`] writes.
    pub fn parse(stored: &str, cluster: &ClusterName, slot: &Slot) -> Result<Self, SealedError> {
        let sealed: Self = serde_json::from_str(stored).map_err(|_| SealedError::Malformed)?;
        if sealed.schema != SCHEMA || sealed.sealed.is_empty() || sealed.key_arn.is_empty() {
            return Err(SealedError::Malformed);
        }
        if sealed.kind != slot.purpose.to_string() || sealed.context != EncryptionContext::of(cluster, slot) {
            return Err(SealedError::Foreign);
        }
        match sealed.to_stored_value() {
            Ok(printed) if *printed.0 == stored => Ok(sealed),
            _ => Err(SealedError::NotCanonical),
        }
    }

    /// What KMS is asked to open.
    #[must_use]
    pub fn ciphertext(&self) -> &[u8] {
        &self.sealed
    }

    /// The ARN of the key that it was sealed under.
    #[must_use]
    pub fn key_arn(&self) -> &str {
        &self.key_arn
    }

    /// The context that it was sealed under.
    #[must_use]
    pub fn context(&self) -> &EncryptionContext {
        &self.context
    }

    /// The text that is stored.
    ///
    /// # Errors
    ///
    /// When the JSON writer refuses, which it does for no value of this type.
    pub fn to_stored_value(&self) -> Result<StoredValue, serde_json::Error> {
        Ok(StoredValue(Zeroizing::new(serde_json::to_string(self)?)))
    }
}

/// The exact text that goes to a store. Wiped when dropped, never printed.
pub struct StoredValue(Zeroizing<String>);

impl StoredValue {
    /// A node's P2P key under the store's own encryption: PKCS#8, SEC 1 and, for secp256k1, the
    /// scalar in hex, as their readers want them.
    #[must_use]
    pub fn plain_p2p_key(key: &P2pPrivateKey) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(PLAINTEXT_CAPACITY));
        text.push_str(r#"{"schema":1,"kind":"p2p-key","curve":""#);
        text.push_str(key.curve().name());
        text.push_str(r#"","pkcs8":""#);
        // EXPOSE: into the text that CreateSecret sends, and nowhere else.
        text.push_str(&key.expose_pkcs8_base64());
        text.push_str(r#"","sec1":""#);
        // EXPOSE: as above.
        text.push_str(&key.expose_sec1_base64());
        if key.curve() == Curve::Secp256k1 {
            text.push_str(r#"","hex":""#);
            // EXPOSE: as above.
            text.push_str(&key.expose_scalar_hex());
        }
        text.push_str(r#""}"#);
        Self(text)
    }

    /// A share-encryption password under the store's own encryption.
    #[must_use]
    pub fn plain_share_password(password: &SharePassword) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(PLAINTEXT_CAPACITY));
        text.push_str(r#"{"schema":1,"kind":"share-encryption-password","password":""#);
        // EXPOSE: into the text that CreateSecret sends, and nowhere else.
        text.push_str(password.expose());
        text.push_str(r#""}"#);
        Self(text)
    }

    /// An API or management key: the bare printable key, since ordinary clients read it.
    #[must_use]
    pub fn bare_api_key(key: &key_material::ApiKey) -> Self {
        // EXPOSE: into the text that CreateSecret sends, and nowhere else.
        Self(Zeroizing::new(key.expose().to_owned()))
    }

    /// Reveals the text.
    ///
    /// # Security
    ///
    /// Its one sink is the store's write call; every caller says so in an `EXPOSE` comment.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Serde form of bytes: standard base64, padded.
mod base64_form {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(from)?).map_err(|_| D::Error::custom("it is no base64"))
    }
}

impl fmt::Debug for StoredValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredValue").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    const SEALED: &str = concat!(
        r#"{"schema":1,"kind":"p2p-key","sealed":"AQI=","keyArn":"arn:aws:kms:r:1:key/k","#,
        r#""context":{"keyboot:cluster":"keyboot/tsm","keyboot:node":"0","keyboot:purpose":"p2p-key"}}"#
    );

    fn slot() -> (ClusterName, Slot) {
        let slot = Slot { index: "0".parse().unwrap(), purpose: Purpose::P2pKey };
        ("keyboot/tsm".parse().unwrap(), slot)
    }

    #[test]
    fn the_sealed_form_is_byte_for_byte_what_readers_know() {
        let (cluster, slot) = slot();
        let context = EncryptionContext::of(&cluster, &slot);
        let sealed = SealedSecret::new(&slot.purpose, b"\x01\x02", "arn:aws:kms:r:1:key/k", context);
        let text = sealed.to_stored_value().unwrap();
        assert_eq!(text.expose(), SEALED);
    }

    #[test]
    fn what_is_stored_is_read_and_printed_as_the_same_bytes() {
        let (cluster, slot) = slot();
        let sealed = SealedSecret::parse(SEALED, &cluster, &slot).unwrap();
        assert_eq!(sealed.ciphertext(), b"\x01\x02");
        assert_eq!(sealed.key_arn(), "arn:aws:kms:r:1:key/k");
        assert_eq!(*sealed.context(), EncryptionContext::of(&cluster, &slot));
        assert_eq!(sealed.to_stored_value().unwrap().expose(), SEALED);
    }

    #[test]
    fn another_spelling_or_form_is_refused_for_its_fault() {
        let (cluster, slot) = slot();
        let refused = |text: &str| SealedSecret::parse(text, &cluster, &slot).unwrap_err();
        for (from, to) in [
            ("AQI=", ""),
            ("AQI=", "AQI"),
            ("AQI=", "AQJ="),
            ("AQI=", "AQ I="),
            (r#""AQI=""#, "null"),
            (r#""schema":1"#, r#""schema":2"#),
            (r#""schema":1"#, r#""schema":"1""#),
            (r#""schema":1"#, r#""schema":1,"schema":1"#),
            (r#""schema":1"#, r#""schema":1,"more":1"#),
            (r#""schema":1,"#, ""),
            ("arn:aws:kms:r:1:key/k", ""),
            (r#""p2p-key"}}"#, r#""p2p-key"}}x"#),
            ("{", ""),
        ] {
            assert_eq!(refused(&SEALED.replacen(from, to, 1)), SealedError::Malformed, "{from} -> {to}");
        }
        for (from, to) in [
            ("{", " {"),
            (r#""schema":1"#, r#""schema": 1"#),
            (r#""schema":1,"kind":"p2p-key""#, r#""kind":"p2p-key","schema":1"#),
            ("arn:", "\\u0061rn:"),
            (r#""keyboot:node":"0","#, r#""keyboot:node":"0","keyboot:node":"0","#),
        ] {
            assert_eq!(refused(&SEALED.replacen(from, to, 1)), SealedError::NotCanonical, "{from} -> {to}");
        }
    }

    #[test]
    fn a_value_sealed_for_something_else_is_refused() {
        let (cluster, slot) = slot();
        let foreign = |text: &str, cluster: &ClusterName, slot: &Slot| {
            assert_eq!(SealedSecret::parse(text, cluster, slot), Err(SealedError::Foreign), "{text}");
        };
        foreign(SEALED, &"keyboot/other".parse().unwrap(), &slot);
        foreign(SEALED, &cluster, &Slot { index: "1".parse().unwrap(), ..slot.clone() });
        foreign(SEALED, &cluster, &Slot { purpose: Purpose::SharePassword, ..slot.clone() });
        foreign(&SEALED.replacen("p2p-key", "api-key", 1), &cluster, &slot);
        foreign(&SEALED.replace(r#","keyboot:purpose":"p2p-key""#, ""), &cluster, &slot);
        foreign(&SEALED.replace(r#""keyboot:node""#, r#""extra":"x","keyboot:node""#), &cluster, &slot);
    }

    #[test]
    fn the_plain_form_parses_and_fits_its_buffer() {
        for curve in Curve::ALL {
            let key = P2pPrivateKey::make(curve).unwrap();
            let value = StoredValue::plain_p2p_key(&key);
            assert!(value.expose().len() < PLAINTEXT_CAPACITY, "{curve}: the buffer moved");
            let json: serde_json::Value = serde_json::from_str(value.expose()).unwrap();
            assert_eq!(json["curve"], curve.name());
            assert_eq!(json.get("hex").is_some(), curve == Curve::Secp256k1);
            let der = STANDARD.decode(json["pkcs8"].as_str().unwrap()).unwrap();
            assert!(P2pPrivateKey::from_pkcs8_der(&der).unwrap().matches(&key.public_key()));
            assert!(!format!("{value:?}").contains(json["pkcs8"].as_str().unwrap()));
        }
    }
}
