//! Key files of `Web3Signer`'s: settings with which it loads no key, or sends it over the network as it is.

use std::path::Path;

use super::Seen;
use super::content::is_token_value;
use crate::doctor::finding::{Fault, Report};
use crate::doctor::yaml::Node;

/// The one type that reads from Vault or `OpenBao`.
const VAULT: &str = "hashicorp";
/// Other types that there are.
const OTHERS: [&str; 9] = [
    "file-keystore",
    "file-raw",
    "azure-key",
    "azure-secret",
    "aws-kms",
    "aws-secret",
    "gcp-secret",
    "yubihsm",
    "interlock",
];
/// A SHA-256 fingerprint, in digits.
const FINGERPRINT: usize = 64;

/// Looks at a document, if it is such a key file.
pub(crate) fn look(file: &Seen<'_>, document: &Node, report: &mut Report) {
    let kind = document.text_at("type").unwrap_or_default().to_ascii_lowercase();
    let is_of_vault = kind == VAULT || document.at("keyPath").is_some() || kind.contains("vault");
    let place = file.place();
    if kind == "file-keystore" && document.at("keystorePasswordFile").is_some() {
        report.found(Fault::KeystorePassword, place, "a keystore, and the file that its password is in");
        return;
    }
    if !is_of_vault || OTHERS.contains(&kind.as_str()) {
        return;
    }
    if kind != VAULT {
        report.found(Fault::SignerType, &place, "a type that there is not");
    }
    match document.text_at("keyType") {
        Some(kind) if kind.eq_ignore_ascii_case("SECP256K1") => {}
        Some(_) => report.found(Fault::SignerKeyType, &place, "keyType is not SECP256K1"),
        None => report.found(Fault::SignerKeyType, &place, "keyType is missing"),
    }
    let path = document.text_at("keyPath").unwrap_or_default();
    if !is_of_version_two(path) {
        report.found(Fault::SignerKeyPath, &place, "keyPath is not /v1/<mount>/data/<path>");
    }
    if document.text_at("tlsEnabled").is_some_and(|enabled| enabled.eq_ignore_ascii_case("true")) {
        known_servers(file, document, &place, report);
    } else {
        report.found(Fault::SignerTls, &place, "tlsEnabled is not true");
    }
    if document.text_at("token").is_some_and(is_token_value) {
        file.exposes(Fault::TokenExposed, "Web3Signer's token of a Vault server", report);
    }
}

fn is_of_version_two(path: &str) -> bool {
    let segments: Vec<&str> = path.split('/').collect();
    let data = segments.iter().skip(3).position(|segment| *segment == "data");
    path.starts_with("/v1/")
        && data.is_some_and(|place| segments.len() > place + 4)
        && segments.iter().skip(1).all(|segment| !segment.is_empty())
}

fn known_servers(file: &Seen<'_>, document: &Node, place: &str, report: &mut Report) {
    let mut found = |seen: &str| report.found(Fault::SignerKnownServers, place, seen);
    let Some(path) = document.text_at("tlsKnownServersPath").filter(|path| !path.is_empty()) else {
        return found("tlsKnownServersPath is missing");
    };
    if !path.starts_with('/') {
        return found("tlsKnownServersPath is not absolute");
    }
    // In a container it is called otherwise, and lies beside the key file as a rule.
    let beside = file.path.with_file_name(Path::new(path).file_name().unwrap_or_default());
    let places = [file.host.path(path), beside];
    let Some(servers) = places.iter().find(|place| place.exists()) else {
        let what = format!("the known servers of {place}");
        return report
            .not_seen(what, "its file is not on this host under that name: look where it is mounted");
    };
    let Ok(servers) = std::fs::read_to_string(servers) else {
        return found("the file of tlsKnownServersPath cannot be read");
    };
    let host = document.text_at("serverHost").unwrap_or("localhost");
    let port = document.text_at("serverPort").unwrap_or("8200");
    let name = format!("{host}:{port}");
    let mut lines = servers.lines().map(str::split_whitespace);
    let fingerprint =
        lines.find_map(|mut words| (words.next()?.eq_ignore_ascii_case(&name)).then(|| words.next()));
    match fingerprint {
        None => found("the file of tlsKnownServersPath has no line for serverHost and serverPort"),
        Some(fingerprint) if !fingerprint.is_some_and(is_fingerprint) => {
            found("the server's line in the file of tlsKnownServersPath has no SHA-256 fingerprint");
        }
        Some(_) => {}
    }
}

fn is_fingerprint(text: &str) -> bool {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
    digits.len() == FINGERPRINT && digits.iter().all(u8::is_ascii_hexdigit)
}

#[cfg(test)]
mod tests {
    use crate::doctor::planted::Planted;

    const FILE: &str = "run/keyboot/signer/batcher.yaml";
    const GOOD: &str = "type: \"hashicorp\"\n\
        keyType: \"SECP256K1\"\n\
        tlsEnabled: \"true\"\n\
        tlsKnownServersPath: \"/run/keyboot/signer/known-servers\"\n\
        serverHost: \"vault.internal\"\n\
        serverPort: \"8200\"\n\
        timeout: \"10000\"\n\
        keyPath: \"/v1/keyboot-secrets/data/keyboot/l2/role/batcher/1\"\n\
        keyName: \"value\"\n\
        token: \"s.0123456789abcdefghijklmn\"\n";

    fn host(text: &str) -> Planted {
        let host = Planted::clean();
        host.write(FILE, text);
        let line = format!("vault.internal:8200 {}\n", ["AB"; 32].join(":"));
        host.write("run/keyboot/signer/known-servers", &line);
        host
    }

    fn found(host: &Planted) -> Vec<&'static str> {
        let report = host.look_in("/run/keyboot");
        assert!(report.findings.iter().all(|finding| finding.place == format!("/{FILE}")), "{report:?}");
        report.findings.iter().map(|finding| finding.fault.name()).collect()
    }

    #[test]
    fn a_file_that_works_is_left_alone() {
        assert_eq!(found(&host(GOOD)), [""; 0]);
        let deeper = GOOD.replace("/v1/keyboot-secrets/", "/v1/teams/one/keyboot-secrets/");
        assert_eq!(found(&host(&deeper)), [""; 0]);
        assert_eq!(found(&host("type: compose\nservices: {}\n")), [""; 0]);
        assert_eq!(found(&host("type: \"aws-kms\"\nregion: \"x\"\n")), [""; 0]);
    }

    #[test]
    fn each_wrong_setting_is_found() {
        for (right, wrong, expected) in [
            ("\"hashicorp\"", "\"hashicorp-vault\"", "web3signer-type"),
            ("type: \"hashicorp\"\n", "", "web3signer-type"),
            ("keyType: \"SECP256K1\"\n", "", "web3signer-key-type"),
            ("SECP256K1", "BLS", "web3signer-key-type"),
            ("/data/", "/", "web3signer-key-path"),
            ("/v1/", "/", "web3signer-key-path"),
            ("/data/keyboot/l2/role/batcher/1", "/data/", "web3signer-key-path"),
            ("tlsEnabled: \"true\"\n", "", "web3signer-tls"),
            ("\"true\"", "\"false\"", "web3signer-tls"),
            ("tlsKnownServersPath: \"/run/keyboot/signer/known-servers\"\n", "", "web3signer-known-servers"),
            ("/run/keyboot/signer/known-servers", "known-servers", "web3signer-known-servers"),
            ("8200", "8201", "web3signer-known-servers"),
        ] {
            let text = GOOD.replacen(right, wrong, 1);
            assert_ne!(text, GOOD);
            assert_eq!(found(&host(&text)), [expected], "{right} {wrong}");
        }
    }

    #[test]
    fn known_servers_have_a_fingerprint_of_sha_256() {
        let host = host(GOOD);
        host.write("run/keyboot/signer/known-servers", "vault.internal:8200 AB:CD\n");
        assert_eq!(found(&host), ["web3signer-known-servers"]);
        // As a container calls it, it lies beside.
        let host = self::host(&GOOD.replace("/run/keyboot/signer/known", "/keys/known"));
        assert_eq!(found(&host), [""; 0]);
        host.remove("run/keyboot/signer/known-servers");
        let report = host.look_in("/run/keyboot");
        assert_eq!((report.findings.len(), report.unseen.len()), (0, 1));
    }

    #[test]
    fn a_token_is_in_memory_and_its_owners() {
        let host = host(GOOD);
        host.open(FILE);
        assert_eq!(found(&host), ["token-exposed"]);
        let host = Planted::clean();
        host.write("etc/web3signer/batcher.yaml", &GOOD.replace("/run/keyboot/signer/", "/etc/web3signer/"));
        host.write("etc/web3signer/known-servers", &format!("vault.internal:8200 {}\n", "ab".repeat(32)));
        let report = host.look_in("etc");
        let names: Vec<_> = report.findings.iter().map(|finding| finding.fault.name()).collect();
        assert_eq!(names, ["token-exposed"]);
        assert!(!format!("{report:?}").contains("0123456789abcdef"));
    }

    #[test]
    fn a_keystore_with_its_passwords_file_is_found() {
        let text = "type: \"file-keystore\"\nkeyType: SECP256K1\nkeystoreFile: a.json\nkeystorePasswordFile: a.txt\n";
        assert_eq!(found(&host(text)), ["keystore-with-password"]);
    }
}
