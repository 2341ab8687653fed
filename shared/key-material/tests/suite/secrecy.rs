//! No secret shows itself, and none is left behind where that can be seen without unsafe code.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use key_material::{ApiKey, ApiKeyKind, Curve, KeyMaterialError, P2pPrivateKey, SharePassword};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::vectors::{self, Form, unhex};

/// Characters in a row that would be a leak and no accident.
const WINDOW: usize = 6;

/// Every text that bytes are likely to be printed as, at each of base64's three alignments.
fn spellings(secret: &[u8]) -> Vec<String> {
    let mut spellings = vec![
        String::from_utf8_lossy(secret).into_owned(),
        hex::encode(secret),
        hex::encode_upper(secret),
        format!("{secret:?}"),
        format!("{secret:x?}"),
        format!("{secret:02x?}"),
        format!("{secret:#?}"),
    ];
    for skipped in 0..3.min(secret.len()) {
        spellings.push(STANDARD_NO_PAD.encode(&secret[skipped..]));
        spellings.push(URL_SAFE_NO_PAD.encode(&secret[skipped..]));
    }
    spellings
}

fn assert_shows_nothing(shown: &str, secret: &[u8], what: &str) {
    // A pretty-printed list has its own line breaks: none count.
    let visible =
        |text: &str| -> String { text.chars().filter(|character| !character.is_whitespace()).collect() };
    let shown = visible(shown);
    for spelling in spellings(secret) {
        let characters: Vec<char> = visible(&spelling).chars().collect();
        for window in characters.windows(WINDOW) {
            // Brackets and commas of a list are no secret.
            if window.iter().filter(|character| character.is_alphanumeric()).count() < 4 {
                continue;
            }
            let window: String = window.iter().collect();
            assert!(!shown.contains(&window), "{what}: {window:?} of the secret is shown");
        }
    }
}

#[test]
fn debug_shows_what_is_public_and_no_more() {
    for (curve, shown) in [
        (Curve::P256, "P2pPrivateKey { curve: P256, .. }"),
        (Curve::P384, "P2pPrivateKey { curve: P384, .. }"),
        (Curve::Secp256k1, "P2pPrivateKey { curve: Secp256k1, .. }"),
    ] {
        let key = P2pPrivateKey::make(curve).unwrap();
        assert_eq!(format!("{key:?}"), shown);
        for shown in [format!("{key:?}"), format!("{key:#?}"), format!("{:?}", Some(&key))] {
            // EXPOSE: to this search.
            assert_shows_nothing(&shown, &key.expose_scalar(), "a private key");
        }
    }

    for (kind, shown) in [
        (ApiKeyKind::Application, "ApiKey { kind: Application, .. }"),
        (ApiKeyKind::Management, "ApiKey { kind: Management, .. }"),
    ] {
        let entropy = [0xa7; 32];
        let key = ApiKey::derive_from_entropy(kind, &entropy);
        assert_eq!(format!("{key:?}"), shown);
        for shown in [format!("{key:?}"), format!("{key:#?}")] {
            // EXPOSE: to this search.
            assert_shows_nothing(&shown, &key.expose().as_bytes()[9..], "an API key");
            assert_shows_nothing(&shown, &entropy, "an API key's entropy");
        }
    }

    let entropy = [0x5c; 32];
    let password = SharePassword::derive_from_entropy(&entropy);
    assert_eq!(format!("{password:?}"), "SharePassword { .. }");
    for shown in [format!("{password:?}"), format!("{password:#?}")] {
        // EXPOSE: to this search.
        assert_shows_nothing(&shown, password.expose().as_bytes(), "a password");
        assert_shows_nothing(&shown, &entropy, "a password's entropy");
    }
}

/// A search that finds nothing must be able to find something.
#[test]
fn the_search_finds_a_leak_in_every_spelling() {
    let secret = unhex("53dadf1d5a164d6b4acdb15e24aa4c5b1d3461bdbd42abedb0a4404d56ced8fb");
    for leak in [
        hex::encode(&secret),
        hex::encode_upper(&secret),
        STANDARD.encode(&secret),
        URL_SAFE_NO_PAD.encode(&secret),
        STANDARD.encode([b"0".as_slice(), &secret].concat()),
        STANDARD.encode([b"00".as_slice(), &secret].concat()),
        format!("{secret:?}"),
        format!("{secret:#?}"),
        format!("{secret:x?}"),
        "keyboot_part 5a164d6b".to_owned(),
    ] {
        let found = std::panic::catch_unwind(|| assert_shows_nothing(&leak, &secret, "a leak"));
        assert!(found.is_err(), "{leak}");
    }
}

#[test]
fn an_error_holds_nothing_of_what_was_read() {
    for vector in vectors::documents().refused {
        let document = unhex(&vector.document);
        let error = match vector.form {
            Form::Pkcs8 => P2pPrivateKey::from_pkcs8_der(&document).err(),
            Form::Sec1 => P2pPrivateKey::from_sec1_der(&document).err(),
            // What is read there is public.
            Form::Spki => continue,
        };
        assert_error_shows_nothing(error, &document);
    }
    for vector in vectors::api_keys().refused {
        let error = ApiKey::parse(&vector.text).err();
        // What stands before the digits is public, and named in the error.
        assert_error_shows_nothing(error, vector.text.trim_start_matches("keyboot_").as_bytes());
    }
}

fn assert_error_shows_nothing(error: Option<KeyMaterialError>, read: &[u8]) {
    let error = error.expect("the vector is refused");
    assert_shows_nothing(&format!("{error} {error:?} {error:#?}"), read, "an error");
}

#[test]
fn every_secret_is_overwritten_when_it_is_dropped() {
    fn is_overwritten<T: ZeroizeOnDrop>() {}
    is_overwritten::<P2pPrivateKey>();
    is_overwritten::<ApiKey>();
    is_overwritten::<SharePassword>();
    // The return types of what exposes by value.
    is_overwritten::<Zeroizing<Vec<u8>>>();
    is_overwritten::<Zeroizing<String>>();
}

/// A buffer with room to spare, or one that was outgrown, would be a sign of copies left behind.
#[test]
fn an_exposed_buffer_was_sized_once() {
    for curve in Curve::ALL {
        let key = P2pPrivateKey::make(curve).unwrap();
        // EXPOSE: to these measurements.
        for buffer in [key.expose_scalar(), key.expose_pkcs8_der(), key.expose_sec1_der()] {
            assert_eq!(buffer.capacity(), buffer.len(), "{curve}");
        }
        for text in [key.expose_scalar_hex(), key.expose_pkcs8_base64(), key.expose_sec1_base64()] {
            assert_eq!(text.capacity(), text.len(), "{curve}");
        }
    }
}

#[test]
fn what_is_made_is_never_made_twice() {
    for curve in Curve::ALL {
        let [one, other] = [(); 2].map(|()| P2pPrivateKey::make(curve).unwrap());
        assert!(!one.matches(&other.public_key()), "{curve}");
        assert!(one.matches(&one.public_key()), "{curve}");
    }
    for kind in ApiKeyKind::ALL {
        let [one, other] = [(); 2].map(|()| ApiKey::make(kind).unwrap());
        assert_ne!(one.hash(), other.hash());
        assert_eq!(one.kind(), kind);
        // EXPOSE: to the parser under test.
        assert_eq!(ApiKey::parse(one.expose()).unwrap().kind(), kind);
    }
    let [one, other] = [(); 2].map(|()| SharePassword::make().unwrap());
    // EXPOSE: to this comparison.
    assert_ne!(one.expose(), other.expose());
}

#[test]
fn a_share_password_is_32_bytes_in_unpadded_base64url() {
    let password = SharePassword::derive_from_entropy(&[0xfb; 32]);
    // EXPOSE: to this comparison.
    assert_eq!(password.expose(), format!("{}-_s", "-_v7".repeat(10)));
    let made = SharePassword::make().unwrap();
    assert_eq!(made.expose().len(), 43);
    assert_eq!(URL_SAFE_NO_PAD.decode(made.expose()).unwrap().len(), 32);
}
