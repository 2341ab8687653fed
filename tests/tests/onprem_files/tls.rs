//! The certificates that the document has one make: both sides of each connection take them, and Web3Signer's list of
//! clients is that of those that were made.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use sha2::{Digest as _, Sha256};

use crate::certificates;

const ADDRESS: &str = "0x8b805bf52e9ce863375c5105e1158d519537f5b3";

/// What plays Web3Signer: it asks for a client's certificate, and answers who is in its list of clients.
fn listening(folder: &Path, known: String) -> String {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("ca.pem")).unwrap()).unwrap();
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        // op-batcher takes nothing older.
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(
            vec![CertificateDer::from_pem_file(folder.join("web3signer.pem")).unwrap()],
            PrivateKeyDer::from_pem_file(folder.join("web3signer.key")).unwrap(),
        )
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream.unwrap());
            // Who is not let in breaks off here.
            let Ok(request) = request(&mut stream) else { continue };
            let shown = stream.conn.peer_certificates().unwrap()[0].clone();
            let fingerprint = hex::encode_upper(Sha256::digest(&shown));
            let is_known =
                known.replace(':', "").lines().any(|line| line.ends_with(&format!(" {fingerprint}")));
            let body = match request.as_str() {
                _ if !is_known => String::new(),
                "POST /reload HTTP/1.1" | "GET /reload HTTP/1.1" => r#"{"status":"completed"}"#.to_owned(),
                _ => format!(r#"{{"jsonrpc":"2.0","id":1,"result":["{ADDRESS}"]}}"#),
            };
            let length = body.len();
            let answer =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
            let _ = stream.write_all(answer.as_bytes());
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    address
}

/// A request's first line, once all of it is there.
fn request(stream: &mut StreamOwned<ServerConnection, std::net::TcpStream>) -> std::io::Result<String> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if first.is_empty() {
            line.trim_end().clone_into(&mut first);
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    reader.read_exact(&mut vec![0; length])?;
    Ok(first)
}

fn reload(address: &str, authority: &Path, client: Option<(&Path, &str)>) -> Output {
    let mut command = Command::new(rig::programs::path(rig::programs::KEYBOOT_ONPREM).unwrap());
    command.env_clear().args([
        "signer",
        "reload",
        "--within",
        "1",
        "--expect",
        ADDRESS,
        "--web3signer",
        address,
    ]);
    command.arg("--web3signer-ca").arg(authority.join("ca.pem"));
    if let Some((folder, name)) = client {
        command.arg("--web3signer-certificate").arg(folder.join(format!("{name}.pem")));
        command.arg("--web3signer-key").arg(folder.join(format!("{name}.key")));
    }
    command.output().unwrap()
}

#[test]
fn who_shows_no_certificate_that_is_known_gets_no_answer() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    certificates(ours.path());
    certificates(theirs.path());
    let known = std::fs::read_to_string(ours.path().join("known-clients")).unwrap();
    let address = listening(ours.path(), known.clone());
    for client in ["healthcheck", "op-batcher"] {
        let let_in = reload(&address, ours.path(), Some((ours.path(), client)));
        assert!(let_in.status.success(), "{client}: {}", String::from_utf8_lossy(&let_in.stderr));
        assert!(String::from_utf8_lossy(&let_in.stdout).contains(ADDRESS));
    }
    for (who, authority, client) in [
        ("nobody", ours.path(), None),
        ("one of another authority", ours.path(), Some((theirs.path(), "healthcheck"))),
        ("a server's certificate", ours.path(), Some((ours.path(), "keystore"))),
        ("who expects another server", theirs.path(), Some((ours.path(), "healthcheck"))),
    ] {
        let refused = reload(&address, authority, client);
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(75), "{who}: {told}");
        assert!(told.contains("it is not reached, over TLS or at all"), "{who}: {told}");
    }
    // Of the same authority, and not in the list.
    let fewer = known.lines().filter(|line| !line.starts_with("healthcheck ")).collect();
    let address = listening(ours.path(), fewer);
    assert!(reload(&address, ours.path(), Some((ours.path(), "op-batcher"))).status.success());
    assert!(!reload(&address, ours.path(), Some((ours.path(), "healthcheck"))).status.success());
    // A certificate and a key that do not belong together are told before anything is sent.
    std::fs::copy(theirs.path().join("healthcheck.key"), ours.path().join("healthcheck.key")).unwrap();
    let refused = reload(&address, ours.path(), Some((ours.path(), "healthcheck")));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("do not belong together"));
}

#[test]
fn java_gets_one_file_that_its_password_opens() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let opened = |password: &str| {
        let mut openssl = Command::new("openssl");
        openssl.args(["pkcs12", "-in", "web3signer.p12", "-passin", password, "-noenc"]);
        let output = openssl.current_dir(folder.path()).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (is_open, text) = opened("file:web3signer.password");
    assert!(is_open && text.contains("PRIVATE KEY") && text.matches("BEGIN CERTIFICATE").count() == 2);
    assert!(!opened("pass:another").0);
    let password = std::fs::read_to_string(folder.path().join("web3signer.password")).unwrap();
    assert_eq!(password.trim_end().len(), 48);
}
