//! What is not read, and for which fault.

use key_material::ethereum::{EthereumAddress, enode};
use key_material::{
    ApiKey, ApiKeyHash, Curve, Fingerprint, KeyMaterialError, P2pPrivateKey, P2pPublicKey, PrivateKeyFault,
    PublicKeyFault,
};

use crate::vectors::{self, Form, unhex};

#[test]
fn a_document_is_refused_for_its_fault() {
    for vector in vectors::documents().refused {
        let document = unhex(&vector.document);
        let refused = match vector.form {
            Form::Pkcs8 => P2pPrivateKey::from_pkcs8_der(&document).err(),
            Form::Sec1 => P2pPrivateKey::from_sec1_der(&document).err(),
            Form::Spki => P2pPublicKey::from_spki_der(&document).err(),
        };
        let fault = match refused {
            Some(KeyMaterialError::InvalidPrivateKey(fault)) => format!("{fault:?}"),
            Some(KeyMaterialError::InvalidPublicKey(fault)) => format!("{fault:?}"),
            other => panic!("{:?}, {}: {other:?}", vector.form, vector.name),
        };
        assert_eq!(fault, vector.fault, "{:?}, {}", vector.form, vector.name);
    }
}

/// Every byte of a document counts: a key that reads back must be another key, or none.
#[test]
fn no_byte_of_a_document_can_change_unnoticed() {
    for curve in Curve::ALL {
        let key = P2pPrivateKey::make(curve).unwrap();
        let public_key = key.public_key();
        // EXPOSE: to this test, which made the key.
        for (form, document) in [
            (Form::Pkcs8, key.expose_pkcs8_der().to_vec()),
            (Form::Sec1, key.expose_sec1_der().to_vec()),
            (Form::Spki, public_key.to_spki_der()),
        ] {
            for at in 0..document.len() {
                for bit in [0x01, 0x80] {
                    let mut changed = document.clone();
                    changed[at] ^= bit;
                    let refused = match form {
                        Form::Pkcs8 => P2pPrivateKey::from_pkcs8_der(&changed).is_err(),
                        Form::Sec1 => P2pPrivateKey::from_sec1_der(&changed).is_err(),
                        Form::Spki => P2pPublicKey::from_spki_der(&changed).is_err(),
                    };
                    assert!(refused, "{curve}, {form:?}: byte {at}");
                }
            }
            for length in 0..document.len() {
                let cut = &document[..length];
                let refused = match form {
                    Form::Pkcs8 => P2pPrivateKey::from_pkcs8_der(cut).is_err(),
                    Form::Sec1 => P2pPrivateKey::from_sec1_der(cut).is_err(),
                    Form::Spki => P2pPublicKey::from_spki_der(cut).is_err(),
                };
                assert!(refused, "{curve}, {form:?}: cut to {length} bytes");
            }
        }
    }
}

#[test]
fn a_bare_scalar_is_as_long_as_the_field() {
    for curve in Curve::ALL {
        let size = curve.field_size();
        for length in [0, 1, 24, size - 1, size + 1, 2 * size] {
            let refused = P2pPrivateKey::from_scalar(curve, &vec![1; length]).unwrap_err();
            let expected = KeyMaterialError::InvalidPrivateKey(PrivateKeyFault::Length);
            assert_eq!(refused, expected, "{curve}: {length} bytes");
        }
    }
}

#[test]
fn a_bare_scalar_is_above_zero_and_below_the_order() {
    let orders = [
        // NIST SP 800-186, sections 3.2.1.3 and 3.2.1.4; SEC 2, section 2.4.1.
        (Curve::P256, "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"),
        (
            Curve::P384,
            "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf\
             581a0db248b0a77aecec196accc52973",
        ),
        (Curve::Secp256k1, "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"),
    ];
    for (curve, order) in orders {
        let order = unhex(order);
        let mut above = order.clone();
        *above.last_mut().unwrap() += 1;
        for scalar in [vec![0; curve.field_size()], order, above, vec![0xff; curve.field_size()]] {
            let refused = P2pPrivateKey::from_scalar(curve, &scalar).unwrap_err();
            let expected = KeyMaterialError::InvalidPrivateKey(PrivateKeyFault::Range);
            assert_eq!(refused, expected, "{curve}");
        }
    }
}

#[test]
fn a_private_key_in_other_base64_is_refused() {
    let key = P2pPrivateKey::make(Curve::P256).unwrap();
    // EXPOSE: to this test, which made the key.
    let text = key.expose_pkcs8_base64();
    for text in ["", &text[..text.len() - 4], &format!("{}\n", *text), &format!(" {}", *text)] {
        let error = P2pPrivateKey::from_pkcs8_base64(text).unwrap_err();
        assert_eq!(error, KeyMaterialError::InvalidPrivateKey(PrivateKeyFault::Encoding));
    }
}

#[test]
fn a_public_key_in_other_base64_is_refused() {
    let text = P2pPrivateKey::make(Curve::P256).unwrap().public_key().to_spki_base64();
    let url_safe = text.replace('+', "-").replace('/', "_");
    let mut refused = vec![
        String::new(),
        text.trim_end_matches('=').to_owned(),
        format!("{text}\n"),
        format!(" {text}"),
        format!("{}\n{}", &text[..64], &text[64..]),
    ];
    if url_safe != text {
        refused.push(url_safe);
    }
    for text in refused {
        assert_eq!(
            P2pPublicKey::from_spki_base64(&text).unwrap_err(),
            KeyMaterialError::InvalidPublicKey(PublicKeyFault::Encoding),
            "{text:?}"
        );
    }
}

#[test]
fn a_text_that_is_no_api_key_is_refused_for_its_fault() {
    for vector in vectors::api_keys().refused {
        match ApiKey::parse(&vector.text) {
            Err(KeyMaterialError::InvalidApiKey(fault)) => {
                assert_eq!(format!("{fault:?}"), vector.fault, "{}", vector.name);
            }
            other => panic!("{}: {other:?}", vector.name),
        }
    }
}

#[test]
fn an_api_key_hash_has_one_text() {
    let text = ApiKeyHash::of("apikey0").to_string();
    let last = text.len() - 2;
    for refused in [
        String::new(),
        "apikey0".to_owned(),
        text[..43].to_owned(),
        format!("{text}\n"),
        text.replace('+', "-"),
        // The last digit has two bits that no byte needs; set, they would be a second text.
        format!("{}{}=", &text[..last], "V"),
        // 31 and 33 bytes.
        format!("{}==", "A".repeat(42)),
        "A".repeat(44),
    ] {
        let error = refused.parse::<ApiKeyHash>().unwrap_err();
        assert_eq!(error, KeyMaterialError::InvalidApiKeyHash, "{refused:?}");
    }
}

#[test]
fn a_fingerprint_has_one_text() {
    let digits = "0123456789abcdef".repeat(4);
    assert!(format!("sha256:{digits}").parse::<Fingerprint>().is_ok());
    for refused in [
        String::new(),
        digits.clone(),
        format!("SHA256:{digits}"),
        format!("sha256:{}", digits.to_uppercase()),
        format!("sha256:{}", &digits[1..]),
        format!("sha256:{}", &digits[2..]),
        format!("sha256:{digits}00"),
        format!("sha256:{digits} "),
        format!("sha256:{}zz", &digits[2..]),
    ] {
        let error = refused.parse::<Fingerprint>().unwrap_err();
        assert_eq!(error, KeyMaterialError::InvalidFingerprint, "{refused:?}");
    }
}

#[test]
fn an_address_with_a_letter_in_the_wrong_case_is_refused() {
    for vector in vectors::ethereum_addresses() {
        for (at, letter) in vector.text.char_indices().skip(2) {
            let other = if letter.is_ascii_uppercase() {
                letter.to_ascii_lowercase()
            } else {
                letter.to_ascii_uppercase()
            };
            if other == letter {
                continue;
            }
            let mut changed = vector.text.clone();
            changed.replace_range(at..=at, &other.to_string());
            let error = changed.parse::<EthereumAddress>().unwrap_err();
            assert_eq!(error, KeyMaterialError::InvalidEthereumAddress, "{changed}");
        }
        for changed in [&vector.text[2..], &vector.text[..40], &format!("{}00", vector.text)] {
            let error = changed.parse::<EthereumAddress>().unwrap_err();
            assert_eq!(error, KeyMaterialError::InvalidEthereumAddress, "{changed}");
        }
    }
}

#[test]
fn an_enode_url_has_room_for_a_host_and_a_port_only() {
    let public_key = P2pPrivateKey::make(Curve::Secp256k1).unwrap().public_key();
    let long_label = format!("{}.example.com", "a".repeat(64));
    let long_name = ["a".repeat(63).as_str(); 4].join(".");
    for (host, port) in [
        ("", 30303),
        ("node-0.example.com", 0),
        ("node-0.example.com:30303", 30303),
        ("user@node-0.example.com", 30303),
        ("node-0.example.com/path", 30303),
        ("node-0.example.com?discport=0", 30303),
        ("node-0.example.com.", 30303),
        ("node-0..example.com", 30303),
        ("-node.example.com", 30303),
        ("node-.example.com", 30303),
        ("node 0", 30303),
        ("n\u{f6}de", 30303),
        ("10.0.0", 30303),
        ("10.0.0.256", 30303),
        ("[10.0.0.7]", 30303),
        ("[2001:db8::7", 30303),
        ("2001:db8::7%eth0", 30303),
        (long_label.as_str(), 30303),
        (long_name.as_str(), 30303),
    ] {
        let error = enode(&public_key, host, port).unwrap_err();
        assert_eq!(error, KeyMaterialError::InvalidEndpoint, "{host:?}, port {port}");
    }
}
