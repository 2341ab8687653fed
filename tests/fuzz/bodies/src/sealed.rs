//! Stored values: envelopes that only KMS opens, and what stands in a store in plain.
//!
//! A reader of plain values is the node's, and not written yet. What is tried of them is what there
//! is: the keys within, and that printing them gives the bytes that were read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use key_material::{ApiKey, P2pPrivateKey, P2pPublicKey};
use provisioning::names::{ClusterName, NodeIndex, Purpose, Slot};
use provisioning::sealing::{EncryptionContext, SealedSecret, StoredValue};
use serde_json::Value;

use crate::{Verdict, assert_names_one_thing};

/// Reads bytes as each kind of stored value.
#[must_use]
pub fn sealed(bytes: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Verdict::Refused;
    };
    let accepted = [envelope(text), plain_p2p_key(text), bare_api_key(text), public_key(text)];
    if accepted.contains(&true) { Verdict::Accepted } else { Verdict::Refused }
}

/// An envelope is read for what it says it is for, and for nothing else.
fn envelope(text: &str) -> bool {
    let claimed: Value = serde_json::from_str(text).unwrap_or_default();
    let part = |name: &str| claimed["context"][name].as_str().unwrap_or_default();
    let cluster = part("keyboot:cluster").parse().unwrap_or_else(|_| any_cluster());
    let index: NodeIndex = part("keyboot:node").parse().unwrap_or_else(|_| "0".parse().expect("an index"));
    let purpose = purpose_of(part("keyboot:purpose")).unwrap_or(Purpose::P2pKey);
    let slot = Slot { index, purpose };
    let Ok(sealed) = SealedSecret::parse(text, &cluster, &slot) else { return false };

    let printed = sealed.to_stored_value().expect("what was read can be printed");
    // EXPOSE: into an assertion; it is sealed.
    assert_eq!(printed.expose(), text, "what is printed are the bytes that were read");
    assert_eq!(*sealed.context(), EncryptionContext::of(&cluster, &slot));
    for (key, value) in sealed.context().pairs() {
        assert_names_one_thing("a key of the encryption context", key);
        assert_names_one_thing("a value of the encryption context", value);
        assert_eq!(claimed["context"][key], value);
    }
    assert_eq!(claimed["schema"], 1);
    assert_eq!(claimed["kind"], slot.purpose.to_string());
    assert_eq!(claimed["keyArn"], sealed.key_arn());
    assert_eq!(claimed["sealed"], STANDARD.encode(sealed.ciphertext()));
    let again =
        SealedSecret::new(&slot.purpose, sealed.ciphertext(), sealed.key_arn(), sealed.context().clone());
    assert_eq!(again, sealed);

    let elsewhere = "keyboot/another".parse().expect("a name");
    assert!(cluster == elsewhere || SealedSecret::parse(text, &elsewhere, &slot).is_err());
    for purpose in [Purpose::P2pKey, Purpose::SharePassword, Purpose::ManagementKey] {
        let other = Slot { purpose, ..slot.clone() };
        assert!(other == slot || SealedSecret::parse(text, &cluster, &other).is_err());
    }
    true
}

/// A private key in any of its forms is read as the key that prints them all.
fn plain_p2p_key(text: &str) -> bool {
    let claimed: Value = serde_json::from_str(text).unwrap_or_default();
    let der = |name: &str| STANDARD.decode(claimed[name].as_str().unwrap_or_default()).unwrap_or_default();
    let from_pkcs8 = P2pPrivateKey::from_pkcs8_der(&der("pkcs8"));
    let from_sec1 = P2pPrivateKey::from_sec1_der(&der("sec1"));
    let keys: Vec<P2pPrivateKey> = [from_pkcs8, from_sec1].into_iter().flatten().collect();
    for key in &keys {
        let printed = StoredValue::plain_p2p_key(key);
        // EXPOSE: into what is read again here; the key is the fuzzer's.
        let json: Value = serde_json::from_str(printed.expose()).expect("it is JSON");
        let field = |name: &str| STANDARD.decode(json[name].as_str().expect("a text")).expect("base64");
        let (pkcs8, sec1) = (field("pkcs8"), field("sec1"));
        for again in [P2pPrivateKey::from_pkcs8_der(&pkcs8), P2pPrivateKey::from_sec1_der(&sec1)] {
            let again = again.expect("what was printed can be read");
            assert!(again.matches(&key.public_key()), "it is the same key");
            // EXPOSE: as above.
            assert_eq!(StoredValue::plain_p2p_key(&again).expose(), printed.expose());
        }
    }
    // EXPOSE: as above.
    keys.iter().any(|key| StoredValue::plain_p2p_key(key).expose() == text)
}

fn bare_api_key(text: &str) -> bool {
    let Ok(key) = ApiKey::parse(text) else { return false };
    // EXPOSE: into an assertion; the key is the fuzzer's.
    assert_eq!(StoredValue::bare_api_key(&key).expose(), text);
    assert_eq!(text.len(), key.kind().prefix().len() + 49);
    true
}

/// What a secret's tag says about the first version of a P2P key.
fn public_key(text: &str) -> bool {
    let Ok(key) = P2pPublicKey::from_spki_base64(text) else { return false };
    assert_eq!(key.to_spki_base64(), text, "one key has one spelling");
    let point = key.to_uncompressed_point();
    assert_eq!(P2pPublicKey::from_uncompressed_point(key.curve(), &point).as_ref(), Ok(&key));
    true
}

fn purpose_of(text: &str) -> Option<Purpose> {
    let known = [Purpose::P2pKey, Purpose::SharePassword, Purpose::ManagementKey];
    let application = || text.strip_prefix("api-key/")?.parse().ok().map(Purpose::ApiKey);
    known.into_iter().find(|purpose| purpose.to_string() == text).or_else(application)
}

fn any_cluster() -> ClusterName {
    "keyboot/tsm".parse().expect("a name")
}
