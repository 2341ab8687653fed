//! The transit engine: a key that seals under a context, and one that signs. Neither leaves the server.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use provisioning::names::Segment;
use provisioning::sealing::EncryptionContext;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::connection::{Call, Connection};
use crate::error::VaultError;
use crate::settings::Mount;

/// What the server's ciphertexts begin with, before the number of the key's version.
const SEALED_PREFIX: &str = "vault:v";

/// One transit engine.
#[derive(Clone, Copy, Debug)]
pub struct Transit<'a> {
    connection: &'a Connection,
    mount: &'a Mount,
}

/// What a server tells of one of its keys.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "as the server tells them")]
pub struct KeyFacts {
    /// Its kind, such as `aes256-gcm96`.
    pub kind: String,
    /// Whether each context has a key of its own.
    pub derived: bool,
    /// Whether it can be taken out of the server.
    pub exportable: bool,
    /// Whether a backup holds it in plain.
    pub plaintext_backup: bool,
    /// Whether it can be deleted.
    pub deletion_allowed: bool,
    /// Its newest version.
    pub newest: u64,
    /// The oldest version that still opens.
    pub opens_from: u64,
    /// The public halves by version, SPKI in DER; none of what has none.
    pub public: BTreeMap<u64, Vec<u8>>,
}

/// What was sealed. Wiped when dropped, never printed.
pub struct Unsealed(Zeroizing<Vec<u8>>);

impl Unsealed {
    /// Reveals the bytes.
    ///
    /// # Security
    ///
    /// This is the secret. Whoever calls this says in an `EXPOSE` comment where it goes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Takes the bytes out.
    #[must_use]
    pub fn into_inner(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

impl fmt::Debug for Unsealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unsealed").finish_non_exhaustive()
    }
}

/// The context of a sealed value as the engine takes it, and as a policy may name it: the pairs as JSON,
/// in order of their keys, in base64.
///
/// # Errors
///
/// [`VaultError`], which it is for no context of ours.
pub fn context_base64(context: &EncryptionContext) -> Result<String, VaultError> {
    let text = serde_json::to_vec(context).map_err(|_| VaultError::refused("a context", "no JSON"))?;
    Ok(STANDARD.encode(text))
}

impl<'a> Transit<'a> {
    /// The engine at a mount.
    #[must_use]
    pub fn new(connection: &'a Connection, mount: &'a Mount) -> Self {
        Self { connection, mount }
    }

    /// Seals bytes under a context. What comes back begins with `vault:v`.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn seal(
        &self,
        key: &Segment,
        context: &EncryptionContext,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, VaultError> {
        #[derive(Serialize)]
        struct Asked<'a> {
            plaintext: &'a str,
            context: &'a str,
        }
        #[derive(Deserialize)]
        struct Sealed {
            ciphertext: String,
        }
        let mut text = Zeroizing::new(String::with_capacity(plaintext.len().div_ceil(3) * 4));
        // EXPOSE: to the engine that seals it, over TLS.
        STANDARD.encode_string(plaintext, &mut text);
        let context = context_base64(context)?;
        let path = format!("{}/encrypt/{key}", self.mount);
        let call = Call::write(path).body(&Asked { plaintext: &text, context: &context })?;
        let sealed: Sealed = self.connection.call(&call).await?.data()?;
        if sealed.ciphertext.starts_with(SEALED_PREFIX) {
            Ok(sealed.ciphertext.into_bytes())
        } else {
            Err(VaultError::refused(format!("sealing under {key}"), "the answer is no ciphertext"))
        }
    }

    /// Opens what was sealed under a context.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn open(
        &self,
        key: &Segment,
        context: &EncryptionContext,
        sealed: &[u8],
    ) -> Result<Unsealed, VaultError> {
        #[derive(Serialize)]
        struct Asked<'a> {
            ciphertext: &'a str,
            context: &'a str,
        }
        #[derive(Deserialize)]
        struct Opened {
            plaintext: String,
        }
        let what = || format!("opening under {key}");
        let ciphertext = std::str::from_utf8(sealed).ok().filter(|text| text.starts_with(SEALED_PREFIX));
        let ciphertext =
            ciphertext.ok_or_else(|| VaultError::refused(what(), "it is no ciphertext of this engine"))?;
        let context = context_base64(context)?;
        let path = format!("{}/decrypt/{key}", self.mount);
        let call = Call::write(path).body(&Asked { ciphertext, context: &context })?;
        let opened: Opened = self.connection.call(&call).await?.data()?;
        let text = Zeroizing::new(opened.plaintext);
        let bytes = STANDARD.decode(&*text).map_err(|_| VaultError::refused(what(), "no base64"))?;
        Ok(Unsealed(Zeroizing::new(bytes)))
    }

    /// Signs a SHA-256 digest; the signature is DER.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn sign(&self, key: &Segment, digest: [u8; 32]) -> Result<Vec<u8>, VaultError> {
        #[derive(Serialize)]
        struct Asked<'a> {
            input: &'a str,
            prehashed: bool,
            hash_algorithm: &'a str,
            marshaling_algorithm: &'a str,
        }
        #[derive(Deserialize)]
        struct Signed {
            signature: String,
        }
        let input = STANDARD.encode(digest);
        let asked = Asked {
            input: &input,
            prehashed: true,
            hash_algorithm: "sha2-256",
            marshaling_algorithm: "asn1",
        };
        let call = Call::write(format!("{}/sign/{key}", self.mount)).body(&asked)?;
        let signed: Signed = self.connection.call(&call).await?.data()?;
        let signature = signed.signature.strip_prefix(SEALED_PREFIX).and_then(|rest| rest.split_once(':'));
        let signature = signature.and_then(|(_, text)| STANDARD.decode(text).ok());
        signature
            .ok_or_else(|| VaultError::refused(format!("signing with {key}"), "the answer is no signature"))
    }

    /// The public half of a key that signs, SPKI in DER. Of a key that was rotated it is the newest one, as
    /// signatures are.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn public_key(&self, key: &Segment) -> Result<Vec<u8>, VaultError> {
        let what = || format!("the public half of {key}");
        let facts = self.key(key).await?.ok_or_else(|| VaultError::NotFound { what: what() })?;
        let mut public = facts.public;
        public.remove(&facts.newest).ok_or_else(|| VaultError::refused(what(), "the key has none"))
    }

    /// What is told of a key; none where there is no such key.
    ///
    /// # Errors
    ///
    /// [`VaultError`]; what is not there is none.
    pub async fn key(&self, key: &Segment) -> Result<Option<KeyFacts>, VaultError> {
        #[derive(Deserialize)]
        #[expect(clippy::struct_excessive_bools, reason = "as the server tells them")]
        struct Read {
            #[serde(rename = "type")]
            kind: String,
            #[serde(default)]
            derived: bool,
            #[serde(default)]
            exportable: bool,
            #[serde(default)]
            allow_plaintext_backup: bool,
            #[serde(default)]
            deletion_allowed: bool,
            latest_version: u64,
            #[serde(default)]
            min_decryption_version: u64,
            #[serde(default)]
            keys: BTreeMap<String, serde_json::Value>,
        }
        let read: Read = match self.connection.call(&Call::read(format!("{}/keys/{key}", self.mount))).await {
            Ok(answer) => answer.data()?,
            Err(VaultError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let public = read.keys.iter().filter_map(|(version, told)| {
            let pem = told.get("public_key")?.as_str()?;
            let spki = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).ok()?;
            Some((version.parse().ok()?, spki.to_vec()))
        });
        Ok(Some(KeyFacts {
            public: public.collect(),
            kind: read.kind,
            derived: read.derived,
            exportable: read.exportable,
            plaintext_backup: read.allow_plaintext_backup,
            deletion_allowed: read.deletion_allowed,
            newest: read.latest_version,
            opens_from: read.min_decryption_version,
        }))
    }

    /// Makes the key that seals: one of its own for each context, not to be taken out. One that is there is
    /// fine.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn make_seal_key(&self, key: &Segment) -> Result<(), VaultError> {
        self.make(key, "aes256-gcm96", true).await
    }

    /// Makes the key that signs, on P-256, not to be taken out. One that is there is fine.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn make_record_key(&self, key: &Segment) -> Result<(), VaultError> {
        self.make(key, "ecdsa-p256", false).await
    }

    async fn make(&self, key: &Segment, kind: &str, derived: bool) -> Result<(), VaultError> {
        #[derive(Serialize)]
        struct Asked<'a> {
            r#type: &'a str,
            derived: bool,
            exportable: bool,
            allow_plaintext_backup: bool,
        }
        let asked = Asked { r#type: kind, derived, exportable: false, allow_plaintext_backup: false };
        let call = Call::write(format!("{}/keys/{key}", self.mount)).body(&asked)?;
        self.connection.call(&call).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use provisioning::names::Slot;

    use super::*;

    #[test]
    fn a_context_is_byte_for_byte_what_policies_name() {
        let slot = Slot { index: "7".parse().unwrap(), purpose: "api-key/default".parse().unwrap() };
        let context = EncryptionContext::of(&"keyboot/tsm".parse().unwrap(), &slot);
        let text = context_base64(&context).unwrap();
        let plain =
            r#"{"keyboot:cluster":"keyboot/tsm","keyboot:node":"7","keyboot:purpose":"api-key/default"}"#;
        assert_eq!(STANDARD.decode(&text).unwrap(), plain.as_bytes());
        assert_eq!(
            text,
            concat!(
                "eyJrZXlib290OmNsdXN0ZXIiOiJrZXlib290L3RzbSIsImtleWJvb3Q6bm9kZSI6IjciLCJrZXlib290OnB1cnBvc2Ui",
                "OiJhcGkta2V5L2RlZmF1bHQifQ=="
            )
        );
    }
}
