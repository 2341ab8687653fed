//! What a text is: a key, a token, a server's shares, or nothing of the kind.

use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use key_material::{Curve, P2pPrivateKey};
use zeroize::Zeroizing;

use super::Seen;
use crate::doctor::host::Host;
use crate::doctor::settings::is_reference;

/// The digits of a scalar of secp256k1.
const DIGITS: usize = 64;
/// How the type of a PEM block begins and ends (RFC 7468).
const BEGIN: &str = "-----BEGIN ";
/// A run this long that a private key and a certificate have in common is the public half: the identifiers of
/// algorithms, which others have in common as well, are shorter, in bytes.
const PUBLIC_HALF: usize = 48;
/// The longest private key, and the longest certificate, that are compared, in bytes.
const LONGEST_KEY: usize = 16 * 1024;
const LONGEST_CERTIFICATE: usize = 64 * 1024;

/// What a file holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Held {
    /// A private key.
    Key(&'static str),
    /// A token of a server's.
    Token(&'static str),
    /// What opens a server, or its root token.
    Shares(&'static str),
    /// An encrypted key.
    Keystore,
    /// By its name, a password.
    Password,
}

/// What a file holds, which lies beside others.
pub(crate) fn held_by(file: &Seen<'_>, beside: &[PathBuf]) -> Vec<Held> {
    let (text, name) = (file.text, file.name());
    let mut held = Vec::new();
    if let Some(what) = whole_key(file, &name)
        .or_else(|| named_key(text))
        .or_else(|| mnemonic(text, &name))
        .or_else(|| pem_key(file, beside))
        .or_else(|| validator_key(text))
    {
        held.push(Held::Key(what));
    }
    if let Some(what) = server_keys(text) {
        held.push(Held::Shares(what));
    } else if is_token(text.trim())
        && !["secret-id", "secret_id", "wrap"].iter().any(|part| name.contains(part))
    {
        // What a secret id is wrapped in is good for one use and a short time, and looks the same.
        held.push(Held::Token("a token of a Vault server"));
    }
    if text.contains("\"ciphertext\"") && text.contains("\"kdf\"") {
        held.push(Held::Keystore);
    } else if is_password(file, &name) {
        held.push(Held::Password);
    }
    held
}

/// A file that is nothing but a scalar: `geth`, `op-node` and `Web3Signer` read it so.
fn whole_key(file: &Seen<'_>, name: &str) -> Option<&'static str> {
    /// Words in names of what has the same form and is none: digests, the Engine API's shared secret.
    const OTHERS: [&str; 13] = [
        "checksum",
        "commit",
        "digest",
        "etag",
        "hash",
        "jwt",
        "jwtsecret",
        "pub",
        "pubkey",
        "public",
        "sha256",
        "sha256sum",
        "sha256sums",
    ];
    let mut words = name.split(|each: char| !each.is_ascii_alphanumeric());
    if name == "cache-id" || words.any(|word| OTHERS.contains(&word)) {
        return None;
    }
    let text = file.text.trim();
    if is_scalar(text.strip_prefix("0x").unwrap_or(text)) {
        return Some("a private key in hexadecimal");
    }
    // In base64 a digest looks the same: the name has to say that it is a key (tmkms, "softsign").
    let bytes = Zeroizing::new(STANDARD.decode(text).ok()?);
    let is_named = file.is_one_of(&["key"]) || name.contains("softsign");
    (bytes.len() == 32 && is_named).then_some("a private key in base64")
}

/// Whether a text is a scalar of secp256k1: 64 digits, and a number from 1 to the order of the curve.
fn is_scalar(digits: &str) -> bool {
    if digits.len() != DIGITS || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return false;
    }
    let mut scalar = Zeroizing::new([0; DIGITS / 2]);
    hex::decode_to_slice(digits, &mut *scalar).is_ok()
        && P2pPrivateKey::from_scalar(Curve::Secp256k1, &*scalar).is_ok()
}

/// A scalar with a name in front of it that says that it is private: a variable, a setting or a flag.
fn named_key(text: &str) -> Option<&'static str> {
    /// Names, with what separates their words left out.
    const NAMES: [&str; 7] =
        ["privatekey", "privkey", "sequencerkey", "nodekeyhex", "privraw", "secretkey", "signingkey"];
    let mut from = 0;
    while let Some((start, end)) = next_digits(text, from) {
        from = end;
        let lead = text[..start].strip_suffix("0x").unwrap_or(&text[..start]);
        let named = lead.trim_end_matches([' ', '\t', '"', '\'', '=', ':']);
        // Something has to stand between the name and its value.
        if named.len() == lead.len() || !is_scalar(&text[start..end]) {
            continue;
        }
        let is_of_name = |each: &char| each.is_ascii_alphanumeric() || "_-.".contains(*each);
        let name = named.chars().rev().take_while(is_of_name).filter(char::is_ascii_alphanumeric);
        let name: Vec<char> = name.map(|each| each.to_ascii_lowercase()).collect();
        let name: String = name.iter().rev().collect();
        if NAMES.iter().any(|known| name.ends_with(known)) {
            return Some("a private key as a setting");
        }
    }
    None
}

/// The next run of hexadecimal digits that is as long as a scalar and has no letter or digit around it, from a
/// place on.
fn next_digits(text: &str, from: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut start = from;
    while start < bytes.len() {
        let length = bytes[start..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let end = start + length;
        let digits = if bytes[start..end].starts_with(b"0x") { start + 2 } else { start };
        if end - digits == DIGITS && bytes[digits..end].iter().all(u8::is_ascii_hexdigit) {
            return Some((digits, end));
        }
        start = end + 1;
    }
    None
}

/// The words that a wallet is made from, in a file or a variable of such a name.
fn mnemonic(text: &str, name: &str) -> Option<&'static str> {
    let is_phrase = |text: &str| {
        let words: Vec<&str> = text.split_whitespace().collect();
        let is_word =
            |word: &&str| (3..=8).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_lowercase());
        matches!(words.len(), 12 | 15 | 18 | 21 | 24) && words.iter().all(is_word)
    };
    let is_named = name.contains("mnemonic") || name.contains("seed");
    let is_set = |line: &str| {
        let (name, value) = line.split_once(['=', ':'])?;
        (name.to_ascii_uppercase().contains("MNEMONIC") && is_phrase(value.trim().trim_matches(['"', '\''])))
            .then_some(())
    };
    let may_be_set = ["MNEMONIC", "Mnemonic", "mnemonic"].iter().any(|name| text.contains(name));
    let is_mnemonic =
        is_named && is_phrase(text) || may_be_set && text.lines().any(|line| is_set(line).is_some());
    is_mnemonic.then_some("the words that a wallet's keys are made from")
}

/// A private key in PEM that is not encrypted, unless a certificate beside it is for the same key and nobody
/// else may read it: a server of TLS has to have that one.
fn pem_key(file: &Seen<'_>, beside: &[PathBuf]) -> Option<&'static str> {
    let mut rest = file.text;
    while let Some((_, block)) = rest.split_once(BEGIN) {
        rest = block;
        let Some((kind, body)) = block.split_once("-----") else { continue };
        if !kind.ends_with("PRIVATE KEY") || kind == "ENCRYPTED PRIVATE KEY" || is_quoted(kind) {
            continue;
        }
        let body = body.split_once("-----END ").map_or(body, |(body, _)| body);
        if body.contains("ENCRYPTED") {
            continue;
        }
        let key = decode(body);
        if kind == "OPENSSH PRIVATE KEY" {
            // Its cipher stands in front (OpenSSH, PROTOCOL.key).
            if key.starts_with(b"openssh-key-v1\0\0\0\0\x04none") {
                return Some("a private key of OpenSSH without a passphrase");
            }
            continue;
        }
        // A word about keys, not a key.
        if key.len() < 32 {
            continue;
        }
        if file.is_open || !has_certificate(&key, beside) {
            return Some("a private key in PEM without a passphrase");
        }
    }
    None
}

/// Whether this is no type of PEM's, but a text about some.
fn is_quoted(kind: &str) -> bool {
    kind.len() > 32 || kind.bytes().any(|byte| !byte.is_ascii_uppercase() && byte != b' ')
}

fn decode(body: &str) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(String::with_capacity(body.len()));
    text.extend(body.chars().filter(|each| !each.is_whitespace()));
    Zeroizing::new(STANDARD.decode(text.as_bytes()).unwrap_or_default())
}

/// Whether one of the files is a certificate for this private key: both hold the public half.
fn has_certificate(key: &[u8], beside: &[PathBuf]) -> bool {
    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";
    if key.len() > LONGEST_KEY {
        return false;
    }
    // Where all certificates of a host are, that folder lies beside the one with the keys.
    let certificates =
        beside.first().and_then(|path| path.parent()?.parent()).map(|folder| folder.join("certs"));
    let certificates = certificates.and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten();
    let certificates = certificates.filter_map(|entry| Some(entry.ok()?.path()));
    beside.iter().cloned().chain(certificates).any(|path| {
        let Ok(bytes) = Host::read_secret(&path, LONGEST_CERTIFICATE) else { return false };
        let text = str::from_utf8(&bytes).unwrap_or_default();
        text.split(CERTIFICATE).skip(1).any(|rest| {
            let certificate = decode(rest.split("-----END ").next().unwrap_or_default());
            key.windows(PUBLIC_HALF).any(|run| has_run(&certificate, run))
        })
    })
}

fn has_run(bytes: &[u8], run: &[u8]) -> bool {
    bytes.windows(run.len()).any(|window| window == run)
}

/// A validator's key: of `CometBFT`, `horcrux`, or a file of `Web3Signer`'s.
fn validator_key(text: &str) -> Option<&'static str> {
    if !is_object(text) {
        return None;
    }
    let is_validator = text.contains("\"priv_key\"") && text.contains("\"value\"");
    let is_shard =
        text.contains("\"eciesKey\"") || text.contains("\"privateShard\"") || text.contains("\"rsaKey\"");
    match (is_validator, is_shard) {
        (true, _) => Some("a validator's private key"),
        (_, true) => Some("a cosigner's private key"),
        _ => None,
    }
}

/// Whether a text is an object of JSON, and not one that speaks of some.
fn is_object(text: &str) -> bool {
    text.trim_start().starts_with('{') && text.trim_end().ends_with('}')
}

/// What `operator init` answers: unseal shares and the root token.
fn server_keys(text: &str) -> Option<&'static str> {
    let is_value = |value: &str| {
        !value.is_empty()
            && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=._-".contains(&byte))
    };
    let lines = |start: &str| {
        if !text.contains(start) {
            return 0;
        }
        let lines = text.lines().filter_map(|line| line.trim().strip_prefix(start)?.split_once(':'));
        lines.filter(|(_, value)| is_value(value.trim())).count()
    };
    let has = |names: &[&str]| is_object(text) && names.iter().any(|name| text.contains(name));
    if has(&["\"unseal_keys_b64\"", "\"unseal_keys_hex\"", "\"keys_base64\""])
        || lines("Unseal Key ") > 1
        || lines("Recovery Key ") > 1
    {
        return Some("unseal shares of a server");
    }
    (has(&["\"root_token\""]) || lines("Initial Root Token") > 0).then_some("a root token")
}

/// Whether a text is a token of a server's (Vault and OpenBao documentation, "Tokens", token prefixes).
pub(crate) fn is_token(text: &str) -> bool {
    let Some((prefix, rest)) = text.split_once('.') else { return false };
    let is_long = match prefix {
        "hvs" | "hvb" | "hvr" | "s" => rest.len() >= 24,
        "b" | "r" => rest.len() >= 90,
        _ => false,
    };
    is_long && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// Whether a setting's value is a token itself.
pub(crate) fn is_token_value(value: &str) -> bool {
    !value.is_empty() && !is_reference(value)
}

fn is_password(file: &Seen<'_>, name: &str) -> bool {
    let has = ["password", "passwd", "passphrase"].iter().any(|part| name.contains(part));
    has || file.is_one_of(&["pass", "pwd"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Fault;
    use crate::doctor::planted::Planted;

    /// A key that everybody knows: the documentation of `op-node` has it.
    const SCALAR: &str = "53dadf1d5a164d6b4acdb15e24aa4c5b1d3461bdbd42abedb0a4404d56ced8fb";
    /// The order of secp256k1 (SEC 2, 2.4.1), which is no scalar.
    const ORDER: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    /// A key of P-256 that everybody knows: the vendor's sample.
    const SEC1: &str = "MHcCAQEEIJZ2T0ESxG34wA77rhn+9KMOrkz296jeDUOenHsLmWO/oAoGCCqGSM49\n\
        AwEHoUQDQgAE0AyIB0e0A00Z+ovqDQ5mjffEqVabU/eEOwOOrkElnSX1qPkgIn5e\n\
        LIOC7OWQq6dgZnJLjElg6R4vR5a91aAE8w==\n";
    const SPKI: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE0AyIB0e0A00Z+ovqDQ5mjffEqVab\n\
        U/eEOwOOrkElnSX1qPkgIn5eLIOC7OWQq6dgZnJLjElg6R4vR5a91aAE8w==\n";

    fn pem(kind: &str, body: &str) -> String {
        format!("-----BEGIN {kind}-----\n{body}-----END {kind}-----\n")
    }

    /// What is found in a file on a disk.
    fn found(name: &str, text: &str) -> Vec<Fault> {
        let host = Planted::clean();
        host.write(&format!("srv/keys/{name}"), text);
        let report = host.look_in("/srv");
        let told = format!("{report:?}");
        assert!(!told.contains(&SCALAR[..16]) && !told.contains(&SEC1[..16]), "{told}");
        assert!(report.findings.iter().all(|finding| finding.place == format!("/srv/keys/{name}")), "{told}");
        assert_eq!(report.unseen.len(), 0, "{told}");
        report.findings.iter().map(|finding| finding.fault).collect()
    }

    #[test]
    fn a_file_that_is_a_scalar_is_a_key() {
        for text in [SCALAR.to_owned(), format!("0x{SCALAR}\n"), format!("{}\r\n", SCALAR.to_uppercase())] {
            assert_eq!(found("nodekey", &text), [Fault::KeyFile]);
        }
        let in_base64 = STANDARD.encode(hex::decode(SCALAR).unwrap());
        assert_eq!(found("hashicorp-batcher", SCALAR), [Fault::KeyFile]);
        assert_eq!(found("consensus.key", &in_base64), [Fault::KeyFile]);
        assert_eq!(found("softsign", &in_base64), [Fault::KeyFile]);
    }

    #[test]
    fn what_only_looks_like_one_is_none() {
        for text in [
            ORDER.to_owned(),
            "0".repeat(64),
            format!("{SCALAR}00"),
            SCALAR[1..].to_owned(),
            format!("{SCALAR}  file.tar\n"),
            format!("{SCALAR}  one\n{SCALAR}  two\n"),
            format!("image: example@sha256:{SCALAR}\n"),
            format!("publicKey: 0x{SCALAR}\n"),
            format!("transaction 0x{SCALAR} was sent\n"),
        ] {
            assert_eq!(found("file", &text), [], "{text}");
        }
        for name in ["file.sha256", "SHA256SUM", "jwt.hex", "jwtsecret", "key.pub", "cache-id"] {
            assert_eq!(found(name, SCALAR), [], "{name}");
        }
        // A digest or a public key in base64.
        assert_eq!(found("digest.b64", &STANDARD.encode([7; 32])), []);
    }

    #[test]
    fn a_setting_that_is_a_key_is_one() {
        for text in [
            format!("PRIVATE_KEY=0x{SCALAR}\n"),
            format!("# of the batcher\nexport OP_BATCHER_PRIVATE_KEY={SCALAR}\n"),
            format!("OP_NODE_P2P_SEQUENCER_KEY=\"{SCALAR}\"\n"),
            format!("type: file-raw\nprivateKey: \"0x{SCALAR}\"\n"),
            format!("{{\"address\":\"0x{}\",\"privateKey\":\"{SCALAR}\"}}", &SCALAR[..40]),
            format!("ExecStart=/usr/bin/op-proposer --private-key={SCALAR}\n"),
            format!("geth --nodekeyhex {SCALAR}\n"),
            format!("hash: {SCALAR}, priv-key = '{SCALAR}'\n"),
        ] {
            assert_eq!(found("settings", &text), [Fault::KeyFile], "{text}");
        }
        for text in [
            format!("PRIVATE_KEY_HASH={SCALAR}\n"),
            format!("PRIVATE_KEY={ORDER}\n"),
            "OP_NODE_PRIVATE_KEY_FILE=/run/key\n".to_owned(),
            format!("the private key {}\n", &SCALAR[..60]),
        ] {
            assert_eq!(found("settings", &text), [], "{text}");
        }
    }

    #[test]
    fn the_words_of_a_wallet_are_a_key() {
        let words = ["test"; 11].join(" ") + " junk";
        assert_eq!(found("mnemonic.txt", &words), [Fault::KeyFile]);
        assert_eq!(found(".env", &format!("MNEMONIC=\"{words}\"\n")), [Fault::KeyFile]);
        assert_eq!(found("notes.txt", &words), []);
        assert_eq!(found("mnemonic.txt", "one two three"), []);
    }

    #[test]
    fn a_private_key_in_pem_is_one_unless_it_is_encrypted() {
        for kind in ["EC PRIVATE KEY", "PRIVATE KEY", "RSA PRIVATE KEY"] {
            assert_eq!(found("key.pem", &pem(kind, SEC1)), [Fault::KeyFile], "{kind}");
        }
        assert_eq!(found("key.pem", &pem("ENCRYPTED PRIVATE KEY", SEC1)), []);
        let old = format!("Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n{SEC1}");
        assert_eq!(found("key.pem", &pem("RSA PRIVATE KEY", &old)), []);
        assert_eq!(found("public.pem", &pem("PUBLIC KEY", SPKI)), []);
        assert_eq!(found("certificate.pem", &pem("CERTIFICATE", SPKI)), []);
        assert_eq!(found("README", "A file begins with -----BEGIN PRIVATE KEY-----.\n"), []);
    }

    #[test]
    fn a_key_of_openssh_says_whether_it_is_encrypted() {
        let key = |cipher: &str| {
            let mut bytes = b"openssh-key-v1\0\0\0\0".to_vec();
            bytes.push(u8::try_from(cipher.len()).unwrap());
            bytes.extend(cipher.as_bytes());
            bytes.extend([7; 64]);
            pem("OPENSSH PRIVATE KEY", &format!("{}\n", STANDARD.encode(bytes)))
        };
        assert_eq!(found("id_ed25519", &key("none")), [Fault::KeyFile]);
        assert_eq!(found("id_ed25519", &key("aes256-ctr")), []);
    }

    #[test]
    fn a_server_of_tls_has_its_own_key() {
        let host = Planted::clean();
        host.write("etc/openbao/tls/key.pem", &pem("EC PRIVATE KEY", SEC1));
        let faults = || host.look_in("/etc").findings.len();
        assert_eq!(faults(), 1);
        // What a certificate has of its key is the public half.
        host.write("etc/openbao/tls/cert.pem", &pem("CERTIFICATE", SPKI));
        assert_eq!(faults(), 0);
        host.open("etc/openbao/tls/key.pem");
        assert_eq!(faults(), 1);
        host.remove("etc/openbao/tls/key.pem");
        host.write("etc/ssl/private/one.key", &pem("EC PRIVATE KEY", SEC1));
        assert_eq!(faults(), 1);
        host.write("etc/ssl/certs/one.pem", &pem("CERTIFICATE", SPKI));
        assert_eq!(faults(), 0);
    }

    #[test]
    fn keys_of_validators_are_found() {
        let key = r#"{"address":"A","pub_key":{"value":"B"},"priv_key":{"type":"t","value":"c"}}"#;
        assert_eq!(found("priv_validator_key.json", key), [Fault::KeyFile]);
        assert_eq!(found("ecies_keys.json", r#"{"eciesKey":"a","id":1,"eciesPubs":[]}"#), [Fault::KeyFile]);
        assert_eq!(found("config.json", r#"{"pub_key":{"value":"B"}}"#), []);
    }

    #[test]
    fn tokens_and_shares_are_found() {
        let token = |name: &str, text: &str| found(name, text);
        let (bao, vault) = ("s.0123456789abcdefghijklmn", "hvs.CAESI0123456789abcdefghijklmnop\n");
        assert_eq!(token(".vault-token", bao), [Fault::TokenExposed]);
        assert_eq!(token("root", vault), [Fault::TokenExposed]);
        assert_eq!(token("secret-id", vault), []);
        assert_eq!(token("name", "s.example"), []);
        assert_eq!(token(".env", &format!("BAO_TOKEN={bao}\n")), [Fault::TokenExposed]);
        assert_eq!(token(".env", "BAO_TOKEN=${TOKEN}\nVAULT_TOKEN=\n"), []);
        let shares = "Unseal Key 1: YQ==\nUnseal Key 2: Yg==\n\nInitial Root Token: s.a\n";
        assert_eq!(found("init.txt", shares), [Fault::UnsealShares]);
        assert_eq!(
            found("init.json", r#"{"unseal_keys_b64":["YQ=="],"root_token":"s.a"}"#),
            [Fault::UnsealShares]
        );
        assert_eq!(found("share.txt", "Unseal Key 1: YQ==\n"), []);
        assert_eq!(found("how-to.md", "The answer has \"unseal_keys_b64\" and \"root_token\".\n"), []);
        assert_eq!(found("how-to.md", "Unseal Key 1: (one)\nUnseal Key 2: (another)\n"), []);
    }

    #[test]
    fn a_keystore_is_one_with_its_password() {
        let keystore = r#"{"crypto":{"ciphertext":"00","kdf":"scrypt"},"version":3}"#;
        let host = Planted::clean();
        host.write("srv/keystore/UTC--a", keystore);
        assert_eq!(host.look_in("/srv").findings.len(), 0);
        host.write("srv/keystore/password.txt", "a password");
        let report = host.look_in("/srv");
        let finding = report.findings.first().unwrap();
        assert_eq!(
            (finding.fault, finding.place.as_str()),
            (Fault::KeystorePassword, "/srv/keystore/UTC--a")
        );
        assert!(finding.seen.contains("/srv/keystore/password.txt"));
    }
}
