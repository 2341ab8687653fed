//! The same keys in programs that share no code with this crate: the `openssl` program, the Python
//! package `cryptography`, and a Keccak written in Python's integers.
//!
//! What is missing on a machine narrows the comparison; with nothing to compare with, the test
//! fails. The Python is named by `KEYBOOT_PYTHON`, and is `python3` without it.

use std::io::Write as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use key_material::ethereum::{EthereumAddress, NodeId};
use key_material::libp2p::PeerId;
use key_material::{Curve, P2pPrivateKey, P2pPublicKey};
use serde::{Deserialize, Serialize};

/// A key in every form, as either side writes it.
#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Written {
    curve: String,
    scalar: String,
    pkcs8: String,
    sec1: String,
    spki: String,
    uncompressed: String,
    compressed: String,
}

impl Written {
    fn by_us(key: &P2pPrivateKey) -> Self {
        let public_key = key.public_key();
        Self {
            curve: key.curve().to_string(),
            // EXPOSE: to the other program, of a key that is made for this test.
            scalar: key.expose_scalar_hex().to_string(),
            pkcs8: key.expose_pkcs8_base64().to_string(),
            sec1: key.expose_sec1_base64().to_string(),
            spki: public_key.to_spki_base64(),
            uncompressed: hex::encode(public_key.to_uncompressed_point()),
            compressed: hex::encode(public_key.to_compressed_point()),
        }
    }
}

#[test]
fn keys_are_the_same_keys_elsewhere() {
    let openssl = openssl();
    let cryptography = python_with_cryptography();
    assert!(
        openssl.is_some() || cryptography.is_some(),
        "nothing to compare with: install the `openssl` program, or `pip install cryptography` \
         into the Python that KEYBOOT_PYTHON names (python3 without it)"
    );
    if let Some(openssl) = openssl {
        compare_with_openssl(&openssl);
    }
    if let Some(python) = cryptography {
        compare_with_cryptography(&python);
    }
}

#[test]
fn names_are_the_same_names_elsewhere() {
    let python = python().unwrap_or_else(|| {
        panic!("nothing to compare Keccak with: install python3, or name a Python in KEYBOOT_PYTHON")
    });
    let public_keys: Vec<_> =
        (0..12).map(|_| P2pPrivateKey::make(Curve::Secp256k1).unwrap().public_key()).collect();
    let given: Vec<_> = public_keys
        .iter()
        .map(|public_key| {
            serde_json::json!({
                "uncompressed": hex::encode(public_key.to_uncompressed_point()),
                "compressed": hex::encode(public_key.to_compressed_point()),
            })
        })
        .collect();

    let answer = run_script(&python, "names", &serde_json::to_vec(&given).unwrap());
    let expected: Vec<serde_json::Value> = public_keys
        .iter()
        .map(|public_key| {
            serde_json::json!({
                "address": EthereumAddress::of(public_key).unwrap().to_string(),
                "nodeId": NodeId::of(public_key).unwrap().to_string(),
                "peerId": PeerId::of(public_key).unwrap().to_string(),
            })
        })
        .collect();
    let answer: Vec<serde_json::Value> = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer, expected);
}

fn compare_with_openssl(openssl: &str) {
    let convert = |arguments: &[&str], input: &[u8]| {
        let arguments = [arguments, &["-inform", "DER", "-outform", "DER"]].concat();
        run(openssl, &arguments, input)
    };
    for curve in Curve::ALL {
        // Ours, there.
        let key = P2pPrivateKey::make(curve).unwrap();
        let spki = key.public_key().to_spki_der();
        // EXPOSE: to the other program, of a key that is made for this test.
        let (pkcs8, sec1) = (key.expose_pkcs8_der(), key.expose_sec1_der());
        run(openssl, &["pkey", "-inform", "DER", "-check", "-noout"], &pkcs8);
        run(openssl, &["pkey", "-inform", "DER", "-pubin", "-pubcheck", "-noout"], &spki);
        assert_eq!(convert(&["pkey", "-pubout"], &pkcs8), spki, "{curve}");
        assert_eq!(convert(&["ec", "-pubout"], &sec1), spki, "{curve}");
        assert_eq!(convert(&["pkey", "-pubin", "-pubout"], &spki), spki, "{curve}");
        assert_eq!(convert(&["ec"], &pkcs8), *sec1, "{curve}");
        assert_eq!(convert(&["pkcs8", "-topk8", "-nocrypt"], &sec1), *pkcs8, "{curve}");

        // Theirs, here.
        let option = format!("ec_paramgen_curve:{}", curve.name());
        let generate = ["genpkey", "-algorithm", "EC", "-pkeyopt", &option, "-outform", "DER", "-quiet"];
        // By what it generates it means SEC 1 in one version and PKCS#8 in another.
        let made = convert(&["pkcs8", "-topk8", "-nocrypt"], &run(openssl, &generate, &[]));
        let key = P2pPrivateKey::from_pkcs8_der(&made).unwrap();
        assert_eq!(key.curve(), curve);
        // EXPOSE: to this comparison, of a key that is made for this test.
        assert_eq!(*key.expose_pkcs8_der(), made, "{curve}");
        let published = convert(&["pkey", "-pubout"], &made);
        assert!(key.matches(&P2pPublicKey::from_spki_der(&published).unwrap()), "{curve}");
    }
}

fn compare_with_cryptography(python: &str) {
    #[derive(Deserialize)]
    struct Answer {
        read: Vec<Written>,
        made: Vec<Written>,
    }

    let ours: Vec<_> = Curve::ALL
        .into_iter()
        .flat_map(|curve| (0..8).map(move |_| P2pPrivateKey::make(curve).unwrap()))
        .map(|key| Written::by_us(&key))
        .collect();
    let answer = run_script(python, "keys", &serde_json::to_vec(&ours).unwrap());
    let answer: Answer = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer.read, ours);

    assert!(!answer.made.is_empty());
    for theirs in answer.made {
        for key in [
            P2pPrivateKey::from_pkcs8_der(&STANDARD.decode(&theirs.pkcs8).unwrap()).unwrap(),
            P2pPrivateKey::from_sec1_der(&STANDARD.decode(&theirs.sec1).unwrap()).unwrap(),
        ] {
            assert_eq!(Written::by_us(&key), theirs);
            assert!(key.matches(&P2pPublicKey::from_spki_base64(&theirs.spki).unwrap()));
        }
    }
}

fn openssl() -> Option<String> {
    answers("openssl", &["version"]).then(|| "openssl".to_owned())
}

/// The Python to run. One that is named must be there: it was meant.
#[expect(
    clippy::disallowed_methods,
    reason = "a test has no configuration but its environment: which Python has the packages"
)]
fn python() -> Option<String> {
    match std::env::var("KEYBOOT_PYTHON") {
        Ok(named) => {
            assert!(answers(&named, &["--version"]), "KEYBOOT_PYTHON names no Python that runs");
            Some(named)
        }
        Err(_) => answers("python3", &["--version"]).then(|| "python3".to_owned()),
    }
}

fn python_with_cryptography() -> Option<String> {
    python().filter(|python| answers(python, &["-c", "import cryptography"]))
}

fn answers(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .is_ok_and(|output| output.status.success())
}

fn run_script(python: &str, mode: &str, input: &[u8]) -> Vec<u8> {
    let script = concat!(
        include_str!("../../../../tests/vectors/key-material/names.py"),
        include_str!("elsewhere.py"),
    );
    run(python, &["-c", script, mode], input)
}

fn run(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Dropped at the end of the statement, which closes it.
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{program} {}: {}",
        arguments[0],
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}
