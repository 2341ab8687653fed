//! A key that the targets trust, so that what lies behind the signature check is reached too.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p256::ecdsa::signature::hazmat::{PrehashSigner as _, PrehashVerifier as _};
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::EncodePublicKey as _;
use provisioning::signed::PinnedKeys;
use sha2::{Digest as _, Sha256};

/// The ARN under which the key is pinned.
pub(crate) const SIGNER: &str =
    "arn:aws:kms:eu-central-1:111122223333:key/00000000-0000-0000-0000-000000000001";

static SIGNING: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::from_slice(&[7; 32]).expect("a scalar in range"));

static PINNED: LazyLock<PinnedKeys> = LazyLock::new(|| {
    let spki = SIGNING.verifying_key().to_public_key_der().expect("a public key has a DER form");
    PinnedKeys::default().pin(SIGNER, spki.as_bytes()).expect("it is a P-256 key")
});

/// The keys that the targets trust: one.
#[must_use]
pub(crate) fn pinned_keys() -> &'static PinnedKeys {
    &PINNED
}

/// A document as the pinned key signs it, whatever its text is: the form is that of the project's
/// wire contract, put together here a second time.
#[must_use]
pub(crate) fn sign(domain: &str, field: &str, text: &str) -> String {
    let signature: DerSignature =
        SIGNING.sign_prehash(&digest(domain, text)).expect("a digest of 32 bytes can be signed");
    let signature = STANDARD.encode(signature.as_bytes());
    format!(r#"{{"{field}":{text},"signature":"{signature}","signer":"{SIGNER}"}}"#)
}

/// Whether a stored document is one text, signed by the pinned key: a second reader, by cutting.
#[must_use]
pub(crate) fn is_signed<'a>(stored: &'a str, domain: &str, field: &str) -> Option<&'a str> {
    let rest = stored.strip_prefix(&format!(r#"{{"{field}":"#))?;
    let rest = rest.strip_suffix(&format!(r#"","signer":"{SIGNER}"}}"#))?;
    let (text, signature) = rest.rsplit_once(r#","signature":""#)?;
    let signature = DerSignature::from_bytes(&STANDARD.decode(signature).ok()?).ok()?;
    SIGNING.verifying_key().verify_prehash(&digest(domain, text), &signature).ok()?;
    Some(text)
}

fn digest(domain: &str, text: &str) -> [u8; 32] {
    Sha256::digest(format!("{domain}\n{text}")).into()
}
