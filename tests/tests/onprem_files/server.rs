//! OpenBao with our own configuration, and what its transit engine has not.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hyper::Method;
use rig::openbao::Ready;
use rig::python::Venv;
use serde_json::json;
use vault::server::Initializing;
use vault::{Connection, Server, Session};

use crate::{certificates, read};

/// Ends with the value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One of our configurations as it is, but for its folders and ports.
fn configuration(path: &str, folder: &Path, ports: (u16, u16)) -> String {
    let mut text = read(path);
    for (from, to) in [
        ("/etc/keyboot/tls/keystore", "tls"),
        ("/openbao/tls", "tls"),
        ("/var/lib/openbao", "data"),
        ("/openbao/file", "data"),
        ("/var/log/keyboot/audit-1", "audit-1"),
        ("/openbao/audit-1", "audit-1"),
        ("/var/log/keyboot/audit-2", "audit-2"),
        ("/openbao/audit-2", "audit-2"),
    ] {
        let to = folder.join(to);
        let _ = std::fs::DirBuilder::new().mode(0o700).create(&to);
        text = text.replace(&format!("\"{from}"), &format!("\"{}", to.display()));
    }
    for (from, to) in [("keystore:", "127.0.0.1:"), ("0.0.0.0:", "127.0.0.1:")] {
        text = text.replace(from, to);
    }
    let text = text.replace(":8200", &format!(":{}", ports.0)).replace(":8201", &format!(":{}", ports.1));
    assert!(!text.contains("/openbao/") && !text.contains("/var/") && !text.contains("/etc/"), "{text}");
    text
}

#[tokio::test]
async fn a_server_of_our_configuration_has_two_audit_devices_and_tls() {
    for path in ["onprem/systemd/openbao.hcl", "onprem/compose/openbao.hcl"] {
        let folder = tempfile::tempdir().unwrap();
        let ports = (rig::free_port().unwrap(), rig::free_port().unwrap());
        let text = configuration(path, folder.path(), ports);
        certificates(&folder.path().join("tls"));
        let file = folder.path().join("openbao.hcl");
        std::fs::write(&file, text).unwrap();
        let program = Venv::onprem().unwrap().program("bao");
        let mut command = Command::new(program);
        command.args(["server", &format!("-config={}", file.display())]);
        command.env_clear().env("HOME", folder.path()).current_dir(folder.path());
        let _running = Running(
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap(),
        );

        let address = format!("https://127.0.0.1:{}", ports.0).parse().unwrap();
        let ca = folder.path().join("tls/ca.pem");
        let connection = Connection::to(&address, &ca).unwrap();
        let server = Server::new(&connection);
        let mut health = server.health().await;
        for _ in 0..100 {
            if health.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
            health = server.health().await;
        }
        let health = health.unwrap();
        assert!(!health.initialized && health.sealed, "{health:?}");
        assert_eq!(health.storage_type, "raft", "{health:?}");

        let how = Initializing { shares: 2, threshold: 2, ..Initializing::default() };
        let made = server.initialize(&how).await.unwrap();
        for share in &made.shares {
            server.unseal(share).await.unwrap();
        }
        let session = Session::with_token(&address, &ca, &made.root).unwrap();
        let server = Server::new(session.connection());
        let mut devices = server.audit_devices().await;
        for _ in 0..100 {
            if devices.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
            devices = server.audit_devices().await;
        }
        let devices = devices.unwrap();
        let names: Vec<_> = devices.keys().map(|name| name.trim_end_matches('/')).collect();
        assert_eq!(names, ["first", "second"], "{path}");
        for log in ["audit-1/audit.log", "audit-2/audit.log"] {
            let written = std::fs::read_to_string(folder.path().join(log)).unwrap();
            assert!(written.contains("sys/audit") && !written.contains(made.root.expose()), "{path}: {log}");
        }
    }
}

#[tokio::test]
async fn transit_has_no_key_of_ethereums_curve() {
    let ready = Ready::start(&Venv::onprem().unwrap()).await.unwrap();
    let mount = json!({ "type": "transit" });
    ready.call(Method::POST, "sys/mounts/transit", Some(&mount)).await.unwrap().accepted().unwrap();
    for kind in ["ecdsa-secp256k1", "secp256k1", "ecdsa-k256"] {
        let asked = json!({ "type": kind });
        let answer = ready.call(Method::POST, "transit/keys/batcher", Some(&asked)).await.unwrap();
        assert_eq!(answer.status.as_u16(), 400, "{kind}: {}", answer.body);
    }
    // What the document names is there, and is another curve.
    let asked = json!({ "type": "ecdsa-p256" });
    ready.call(Method::POST, "transit/keys/batcher", Some(&asked)).await.unwrap().accepted().unwrap();
    let key = ready.call(Method::GET, "transit/keys/batcher", None).await.unwrap().accepted().unwrap();
    assert_eq!(key["data"]["keys"]["1"]["name"], "P-256", "{key}");
}
