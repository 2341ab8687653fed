//! How a secret's value looks in its store, and under which context it is sealed.
//!
//! The text that goes to a store is one zeroized type, [`StoredValue`]: whatever holds a
//! plaintext is wiped when it is dropped, and nothing of it can be printed. No I/O here.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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
    sealed: String,
    key_arn: String,
    context: EncryptionContext,
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
            sealed: STANDARD.encode(ciphertext),
            key_arn: key_arn.into(),
            context,
        }
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

impl fmt::Debug for StoredValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredValue").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(
            text.expose(),
            r#"{"schema":1,"kind":"p2p-key","sealed":"AQI=","keyArn":"arn:aws:kms:r:1:key/k","context":{"keyboot:cluster":"keyboot/tsm","keyboot:node":"0","keyboot:purpose":"p2p-key"}}"#
        );
        assert_eq!(serde_json::from_str::<SealedSecret>(text.expose()).unwrap(), sealed);
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
