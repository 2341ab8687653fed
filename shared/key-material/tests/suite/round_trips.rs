//! Whatever goes in comes out again, for keys and bytes drawn at random.

use key_material::ethereum::EthereumAddress;
use key_material::{
    ApiKey, ApiKeyHash, ApiKeyKind, Curve, Fingerprint, P2pPrivateKey, P2pPublicKey, SharePassword,
};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

fn curves() -> impl Strategy<Value = Curve> {
    proptest::sample::select(&Curve::ALL[..])
}

fn kinds() -> impl Strategy<Value = ApiKeyKind> {
    proptest::sample::select(&ApiKeyKind::ALL[..])
}

/// Scalars with up to eight leading zero bytes: with those, the case that goes wrong elsewhere
/// turns up in every run.
fn keys() -> impl Strategy<Value = P2pPrivateKey> {
    (curves(), proptest::array::uniform32(any::<u8>()), 0..=8_usize).prop_filter_map(
        "a scalar is in range",
        |(curve, random, zeros)| {
            let mut scalar = vec![0; curve.field_size()];
            for (to, from) in scalar.iter_mut().skip(zeros).zip(random.iter().cycle()) {
                *to = *from;
            }
            P2pPrivateKey::from_scalar(curve, &scalar).ok()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_private_key_reads_back(key in keys()) {
        // EXPOSE: to this test, which drew the key.
        let scalar = key.expose_scalar();
        prop_assert_eq!(scalar.len(), key.curve().field_size());
        for again in [
            P2pPrivateKey::from_pkcs8_der(&key.expose_pkcs8_der()),
            P2pPrivateKey::from_sec1_der(&key.expose_sec1_der()),
            P2pPrivateKey::from_scalar(key.curve(), &scalar),
        ] {
            let again = again.unwrap();
            prop_assert!(again.matches(&key.public_key()));
            prop_assert!(again.expose_scalar() == scalar);
            prop_assert!(again.expose_pkcs8_der() == key.expose_pkcs8_der());
        }
    }

    #[test]
    fn a_public_key_reads_back(key in keys()) {
        let public_key = key.public_key();
        let document = public_key.to_spki_der();
        prop_assert_eq!(&P2pPublicKey::from_spki_der(&document).unwrap(), &public_key);
        let text = public_key.to_spki_base64();
        prop_assert_eq!(&P2pPublicKey::from_spki_base64(&text).unwrap(), &public_key);
        let point = public_key.to_uncompressed_point();
        let again = P2pPublicKey::from_uncompressed_point(key.curve(), &point).unwrap();
        prop_assert_eq!(&again, &public_key);
        let fingerprint = public_key.fingerprint();
        prop_assert_eq!(fingerprint.to_string().parse::<Fingerprint>().unwrap(), fingerprint);
    }

    #[test]
    fn a_key_matches_its_own_public_half_only(one in keys(), other in keys()) {
        prop_assert!(one.matches(&one.public_key()));
        // EXPOSE: to this comparison.
        let same = one.curve() == other.curve() && one.expose_scalar() == other.expose_scalar();
        prop_assert_eq!(one.matches(&other.public_key()), same);
    }

    #[test]
    fn any_bytes_are_refused_or_read_without_a_panic(bytes in any::<Vec<u8>>(), curve in curves()) {
        let _ = P2pPrivateKey::from_pkcs8_der(&bytes);
        let _ = P2pPrivateKey::from_sec1_der(&bytes);
        let _ = P2pPrivateKey::from_scalar(curve, &bytes);
        let _ = P2pPublicKey::from_spki_der(&bytes);
        let _ = P2pPublicKey::from_uncompressed_point(curve, &bytes);
    }

    #[test]
    fn any_text_is_refused_or_read_without_a_panic(text in any::<String>()) {
        let _ = P2pPublicKey::from_spki_base64(&text);
        let _ = ApiKey::parse(&text);
        let _ = ApiKey::parse(&format!("keyboot_{text}"));
        let _ = text.parse::<ApiKeyHash>();
        let _ = text.parse::<Fingerprint>();
        let _ = text.parse::<EthereumAddress>();
        let _ = text.parse::<Curve>();
    }

    #[test]
    fn an_api_key_parses(kind in kinds(), entropy in any::<[u8; 32]>()) {
        let key = ApiKey::derive_from_entropy(kind, &entropy);
        // EXPOSE: to this test, which drew the entropy.
        let text = key.expose();
        prop_assert_eq!(text.len(), kind.prefix().len() + 49);
        prop_assert!(text[kind.prefix().len()..].bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let parsed = ApiKey::parse(text).unwrap();
        prop_assert_eq!(parsed.expose(), text);
        prop_assert_eq!(key.hash().to_string().parse::<ApiKeyHash>().unwrap(), key.hash());
    }

    /// What the checksum is for: a key with one character mistyped is no key.
    #[test]
    fn an_api_key_with_one_other_character_is_refused(
        entropy in any::<[u8; 32]>(),
        at in 8..57_usize,
        other in proptest::char::range('0', 'z'),
    ) {
        let key = ApiKey::derive_from_entropy(ApiKeyKind::Application, &entropy);
        let mut text = key.expose().to_owned();
        prop_assume!(text.as_bytes()[at] != u8::try_from(other).unwrap());
        text.replace_range(at..=at, &other.to_string());
        prop_assert!(ApiKey::parse(&text).is_err());
    }

    #[test]
    fn other_entropy_is_another_secret(one in any::<[u8; 32]>(), other in any::<[u8; 32]>()) {
        prop_assume!(one != other);
        for kind in ApiKeyKind::ALL {
            let keys = [one, other].map(|entropy| ApiKey::derive_from_entropy(kind, &entropy));
            prop_assert_ne!(keys[0].expose(), keys[1].expose());
            prop_assert_ne!(keys[0].hash(), keys[1].hash());
        }
        let passwords = [one, other].map(|entropy| SharePassword::derive_from_entropy(&entropy));
        prop_assert_ne!(passwords[0].expose(), passwords[1].expose());
    }

    #[test]
    fn an_address_reads_back(bytes in any::<[u8; 20]>()) {
        let address = EthereumAddress::from(bytes);
        prop_assert_eq!(address.to_string().parse::<EthereumAddress>().unwrap(), address);
    }
}
