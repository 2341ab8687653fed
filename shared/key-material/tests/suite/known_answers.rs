//! The vectors' answers, byte for byte.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use key_material::ethereum::{EthereumAddress, NodeId, enode};
use key_material::libp2p::PeerId;
use key_material::{ApiKey, ApiKeyHash, Curve, KeyMaterialError, P2pPrivateKey, P2pPublicKey};

use crate::vectors::{self, Form, P2pKey, unhex};

fn key_of(vector: &P2pKey) -> P2pPrivateKey {
    P2pPrivateKey::from_scalar(vectors::curve(&vector.curve), &unhex(&vector.scalar)).unwrap()
}

#[test]
fn a_private_key_is_written_as_its_readers_expect() {
    for vector in vectors::p2p_keys() {
        let name = format!("{}: {}", vector.curve, vector.name);
        let key = key_of(&vector);
        assert_eq!(key.curve().to_string(), vector.curve, "{name}");
        // EXPOSE: to this test's comparisons, of keys that everybody knows.
        assert_eq!(*key.expose_scalar_hex(), vector.scalar, "{name}");
        assert_eq!(*key.expose_scalar(), unhex(&vector.scalar), "{name}");
        assert_eq!(*key.expose_pkcs8_base64(), vector.pkcs8, "{name}");
        assert_eq!(*key.expose_sec1_base64(), vector.sec1, "{name}");
        assert_eq!(STANDARD.encode(key.expose_pkcs8_der()), vector.pkcs8, "{name}");
        assert_eq!(STANDARD.encode(key.expose_sec1_der()), vector.sec1, "{name}");
    }
}

#[test]
fn a_private_key_reads_back_from_each_of_its_forms() {
    for vector in vectors::p2p_keys() {
        let name = format!("{}: {}", vector.curve, vector.name);
        for key in [
            P2pPrivateKey::from_pkcs8_base64(&vector.pkcs8).unwrap(),
            P2pPrivateKey::from_pkcs8_der(&STANDARD.decode(&vector.pkcs8).unwrap()).unwrap(),
            P2pPrivateKey::from_sec1_der(&STANDARD.decode(&vector.sec1).unwrap()).unwrap(),
        ] {
            assert_eq!(key.curve().to_string(), vector.curve, "{name}");
            // EXPOSE: to this test's comparison.
            assert_eq!(*key.expose_scalar_hex(), vector.scalar, "{name}");
            assert!(key.matches(&key_of(&vector).public_key()), "{name}");
        }
    }
}

#[test]
fn a_public_key_is_written_as_its_readers_expect() {
    for vector in vectors::p2p_keys() {
        let name = format!("{}: {}", vector.curve, vector.name);
        let public_key = key_of(&vector).public_key();
        assert_eq!(public_key.curve().to_string(), vector.curve, "{name}");
        assert_eq!(public_key.to_spki_base64(), vector.spki, "{name}");
        assert_eq!(STANDARD.encode(public_key.to_spki_der()), vector.spki, "{name}");
        assert_eq!(hex::encode(public_key.to_uncompressed_point()), vector.uncompressed, "{name}");
        assert_eq!(hex::encode(public_key.to_compressed_point()), vector.compressed, "{name}");
        assert_eq!(public_key.fingerprint().to_string(), vector.fingerprint, "{name}");
        assert_eq!(P2pPublicKey::from_spki_base64(&vector.spki).unwrap(), public_key, "{name}");
    }
}

#[test]
fn a_secp256k1_key_has_its_ethereum_and_libp2p_names() {
    for vector in vectors::p2p_keys() {
        let name = format!("{}: {}", vector.curve, vector.name);
        let public_key = key_of(&vector).public_key();
        if public_key.curve() != Curve::Secp256k1 {
            let found = public_key.curve();
            let expected = KeyMaterialError::WrongCurve { needed: Curve::Secp256k1, found };
            assert_eq!(EthereumAddress::of(&public_key).unwrap_err(), expected, "{name}");
            assert_eq!(NodeId::of(&public_key).unwrap_err(), expected, "{name}");
            assert_eq!(enode(&public_key, "127.0.0.1", 30303).unwrap_err(), expected, "{name}");
            assert_eq!(PeerId::of(&public_key).unwrap_err(), expected, "{name}");
            continue;
        }
        let address = EthereumAddress::of(&public_key).unwrap().to_string();
        let node_id = NodeId::of(&public_key).unwrap().to_string();
        let url = enode(&public_key, "node-0.example.com", 30303).unwrap();
        let peer_id = PeerId::of(&public_key).unwrap().to_string();
        assert_eq!(Some(address), vector.address, "{name}");
        assert_eq!(Some(node_id), vector.node_id, "{name}");
        assert_eq!(Some(url), vector.enode, "{name}");
        assert_eq!(Some(peer_id), vector.peer_id, "{name}");
    }
}

/// The vectors are worth little without the cases that naive encoders get wrong.
#[test]
fn the_vectors_hold_leading_zeros_for_every_curve() {
    let vectors = vectors::p2p_keys();
    for curve in Curve::ALL {
        let of_curve = || vectors.iter().filter(|vector| vector.curve == curve.name());
        let coordinate_digits = 2 * curve.field_size();
        assert!(of_curve().any(|vector| vector.scalar.starts_with("00")), "{curve}: scalar");
        assert!(of_curve().any(|vector| vector.uncompressed[2..].starts_with("00")), "{curve}: x");
        assert!(
            of_curve().any(|vector| vector.uncompressed[2 + coordinate_digits..].starts_with("00")),
            "{curve}: y"
        );
    }
}

#[test]
fn other_makers_documents_are_read() {
    for vector in vectors::documents().accepted {
        let document = unhex(&vector.document);
        let key = match vector.form {
            Form::Pkcs8 => P2pPrivateKey::from_pkcs8_der(&document),
            Form::Sec1 => P2pPrivateKey::from_sec1_der(&document),
            Form::Spki => panic!("{}: has no scalar", vector.name),
        };
        let key = key.unwrap_or_else(|error| panic!("{}: {error}", vector.name));
        assert_eq!(key.curve().name(), vector.curve, "{}", vector.name);
        // EXPOSE: to this test's comparison.
        assert_eq!(*key.expose_scalar_hex(), vector.scalar, "{}", vector.name);
    }
}

#[test]
fn an_api_key_is_its_entropy_in_base_62_with_a_checksum() {
    for vector in vectors::api_keys().keys {
        let kind = vectors::kind(&vector.kind);
        let entropy = unhex(&vector.entropy).try_into().unwrap();
        let key = ApiKey::derive_from_entropy(kind, &entropy);
        // EXPOSE: to this test's comparisons, of keys that everybody knows.
        assert_eq!(key.expose(), vector.text, "{}", vector.name);
        assert_eq!(key.kind(), kind, "{}", vector.name);
        assert_eq!(key.hash().to_string(), vector.hash, "{}", vector.name);

        let parsed = ApiKey::parse(&vector.text).unwrap();
        assert_eq!(parsed.expose(), vector.text, "{}", vector.name);
        assert_eq!(parsed.kind(), kind, "{}", vector.name);
        assert_eq!(parsed.hash(), key.hash(), "{}", vector.name);
    }
}

#[test]
fn an_api_key_hash_is_over_the_text() {
    for vector in vectors::api_keys().hashes {
        let hash = ApiKeyHash::of(&vector.text);
        assert_eq!(hash.to_string(), vector.hash);
        assert_eq!(vector.hash.parse::<ApiKeyHash>().unwrap(), hash);
        assert_ne!(ApiKeyHash::of(&format!("{}\n", vector.text)), hash);
    }
}

#[test]
fn an_address_is_written_in_its_checksummed_case() {
    for vector in vectors::ethereum_addresses() {
        let address: EthereumAddress = vector.text.parse().unwrap();
        assert_eq!(address.to_string(), vector.text);
        assert_eq!(EthereumAddress::from(*address.as_bytes()), address);
    }
}

#[test]
fn an_enode_url_takes_names_and_addresses() {
    let vectors = vectors::p2p_keys();
    let vector = vectors.iter().find(|vector| vector.enode.is_some()).unwrap();
    let public_key = key_of(vector).public_key();
    let digits = &vector.uncompressed[2..];
    for (host, written) in [
        ("10.0.0.7", "10.0.0.7"),
        ("node-0.example.com", "node-0.example.com"),
        ("localhost", "localhost"),
        ("2001:db8::7", "[2001:db8::7]"),
        ("[2001:db8::7]", "[2001:db8::7]"),
    ] {
        let url = enode(&public_key, host, 30303).unwrap();
        assert_eq!(url, format!("enode://{digits}@{written}:30303"));
    }
}
