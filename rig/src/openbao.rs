//! An OpenBao server behind TLS, for as long as a value lives: what one has on servers of one's own.
//!
//! It is the real server (raft, TLS, audit devices by configuration); what it lacks of a production server is
//! told by `rig/openbao/launch.py`. It comes up sealed and not initialised. What is asked of it here is asked
//! by plain HTTPS: the adapters that are tested against it are not used to look at what they did.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, bail, ensure};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::http::{self, Kept};
use crate::python::Venv;
use crate::service::{self, Service};
use crate::tls;

/// How many audit devices it has unless it is asked for otherwise.
const AUDIT_DEVICES: u8 = 2;
/// How often it is asked whether it has taken over after it was unsealed: raft elects its leader first.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
const PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

/// What kind of server is started.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Sealed and not initialised, with two audit devices.
    Production,
    /// The same with this many audit devices.
    WithAuditDevices(u8),
    /// In dev mode: in memory, unsealed, with a known root token, and a listener without TLS beside the other.
    Dev,
}

/// A running server.
#[derive(Debug)]
pub struct OpenBao {
    service: Service,
    port: u16,
    plain: Option<u16>,
    /// Connections that nobody uses at the moment.
    kept: Mutex<Vec<Kept>>,
}

impl OpenBao {
    /// The root token of a server in dev mode.
    pub const DEV_ROOT_TOKEN: &str = "a-known-root-token";

    /// Starts one on ports that are free now. It is neither initialised nor unsealed.
    ///
    /// # Errors
    ///
    /// When it does not come up; the message then ends with the last lines of its log.
    pub fn start(venv: &Venv) -> anyhow::Result<Self> {
        Self::start_as(venv, Kind::Production)
    }

    /// Starts one of another kind.
    ///
    /// # Errors
    ///
    /// As [`OpenBao::start`].
    pub fn start_as(venv: &Venv, kind: Kind) -> anyhow::Result<Self> {
        let (port, cluster) = (service::free_port()?, service::free_port()?);
        let plain = if kind == Kind::Dev { Some(service::free_port()?) } else { None };
        let devices = match kind {
            Kind::Production => AUDIT_DEVICES,
            Kind::WithAuditDevices(count) => count,
            Kind::Dev => 0,
        };
        let service = Service::start("OpenBao", service::free_port()?, "/", |folder, address| {
            let mut command = Command::new(venv.program("python"));
            command
                .arg(crate::repository().join("rig/openbao/launch.py"))
                .args(["--port", &address.port().to_string(), "--api", &port.to_string()])
                .args(["--cluster", &cluster.to_string(), "--audit-devices", &devices.to_string()])
                .args(plain.iter().flat_map(|plain| ["--dev".to_owned(), plain.to_string()]))
                .arg("--folder")
                .arg(folder)
                .env_clear()
                .env("PATH", service::path_with(&venv.programs()))
                .env("HOME", folder)
                .env("TMPDIR", folder)
                // It has little to keep: most of its time would go into looking for what it need not.
                .env("GOGC", "400");
            command
        })?;
        Ok(Self { service, port, plain, kept: Mutex::default() })
    }

    /// Its address, with TLS.
    #[must_use]
    pub fn address(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The port of that address.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address without TLS, which it has in dev mode alone.
    #[must_use]
    pub fn plain_address(&self) -> Option<String> {
        self.plain.map(|port| format!("http://127.0.0.1:{port}"))
    }

    /// The authority that its certificate is from, in PEM.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.service.folder().join("ca.pem")
    }

    /// Its key and its certificate, in PEM: for what is to stand in its place.
    #[must_use]
    pub fn identity(&self) -> PathBuf {
        self.service.folder().join("server.pem")
    }

    /// SHA-256 of its certificate, as pairs of hex digits with colons between them.
    ///
    /// # Errors
    ///
    /// When the certificate cannot be read.
    pub fn fingerprint(&self) -> anyhow::Result<String> {
        let certificates = tls::certificates(&self.identity())?;
        let certificate = certificates.first().context("no certificate")?;
        let pairs: Vec<_> = Sha256::digest(certificate).iter().map(|byte| format!("{byte:02X}")).collect();
        Ok(pairs.join(":"))
    }

    /// The file that it is configured by.
    #[must_use]
    pub fn configuration(&self) -> PathBuf {
        self.service.folder().join("openbao.hcl")
    }

    /// What its two audit devices write, once it is unsealed.
    #[must_use]
    pub fn audit_logs(&self) -> [PathBuf; 2] {
        [1, 2].map(|number| self.service.folder().join(format!("audit-{number}.log")))
    }

    /// Its folder: configuration, data, logs.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.service.folder().to_owned()
    }

    /// What the server itself has logged.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn log(&self) -> anyhow::Result<String> {
        let path = self.service.folder().join("openbao.log");
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    }

    /// Ends the server and starts it again on the same files and port: it is sealed then.
    ///
    /// # Errors
    ///
    /// When it does not come up again.
    pub async fn restart(&self) -> anyhow::Result<()> {
        let address = self.service.endpoint();
        let port = address.rsplit(':').next().unwrap_or_default().parse()?;
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
        let request = Request::post("/restart").header("host", "127.0.0.1").body(Full::default())?;
        // Those to the server that was are none to the one that is.
        self.kept().clear();
        let (status, _) = http::send(stream, request).await?;
        ensure!(status == StatusCode::OK, "the server did not come up again:\n{}", self.log()?);
        Ok(())
    }

    /// Asks the server: `path` stands behind `/v1/`.
    ///
    /// # Errors
    ///
    /// When it does not answer, or with something else than JSON. A status that says no is none.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        let request = self.request(method, path, token, body)?;
        let kept = self.kept().pop().filter(Kept::is_open);
        let mut connection = match kept {
            Some(kept) => kept,
            None => Kept::over(tls::connect(self.port, &self.ca_file()).await?).await?,
        };
        let answer = answer(connection.send(request).await?)?;
        self.kept().push(connection);
        Ok(answer)
    }

    /// The same by way of another port, where something stands before the server.
    ///
    /// # Errors
    ///
    /// As [`OpenBao::call`].
    pub async fn call_by(
        &self,
        port: u16,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        let request = self.request(method, path, token, body)?;
        answer(http::send(tls::connect(port, &self.ca_file()).await?, request).await?)
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> anyhow::Result<Request<Full<Bytes>>> {
        let mut request = Request::builder().method(method).uri(format!("/v1/{path}"));
        request = request.header("host", format!("127.0.0.1:{}", self.port));
        if let Some(token) = token {
            request = request.header("x-vault-token", token);
        }
        let body = body.map(ToString::to_string).unwrap_or_default();
        Ok(request.body(Full::from(body))?)
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Initialises and unseals it, as tests want it: three shares, two of which unseal.
    ///
    /// # Errors
    ///
    /// When it is initialised already, or does not take the shares.
    pub async fn initialise(self) -> anyhow::Result<Ready> {
        let wanted = json!({ "secret_shares": 3, "secret_threshold": 2 });
        let made = self.call(Method::POST, "sys/init", None, Some(&wanted)).await?.accepted()?;
        let shares = made["keys_base64"].as_array().context("no shares")?;
        let unseal_keys =
            shares.iter().map(|key| Ok(key.as_str().context("a share that is no text")?.to_owned()));
        let ready = Ready {
            root_token: made["root_token"].as_str().context("no root token")?.to_owned(),
            unseal_keys: unseal_keys.collect::<anyhow::Result<_>>()?,
            server: self,
        };
        ready.unseal().await?;
        Ok(ready)
    }
}

fn answer((status, body): (StatusCode, Bytes)) -> anyhow::Result<Answer> {
    let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body)? };
    Ok(Answer { status, body })
}

/// A server that is initialised and unsealed, with what only tests have all of: every share and the root token.
pub struct Ready {
    /// The server.
    pub server: OpenBao,
    /// The root token.
    pub root_token: String,
    /// The shares, of which any two unseal it.
    pub unseal_keys: Vec<String>,
}

impl Ready {
    /// Starts a server, initialises and unseals it.
    ///
    /// # Errors
    ///
    /// When one of these fails.
    pub async fn start(venv: &Venv) -> anyhow::Result<Self> {
        OpenBao::start(venv)?.initialise().await
    }

    /// Unseals it, and waits until it has taken over: after [`OpenBao::restart`].
    ///
    /// # Errors
    ///
    /// When it does not take the shares, or does not take over in time.
    pub async fn unseal(&self) -> anyhow::Result<()> {
        for key in self.unseal_keys.iter().take(2) {
            let body = json!({ "key": key });
            self.server.call(Method::POST, "sys/unseal", None, Some(&body)).await?.accepted()?;
        }
        let started = std::time::Instant::now();
        while started.elapsed() < PATIENCE {
            let health = self.server.call(Method::GET, "sys/health", None, None).await?;
            if health.status == StatusCode::OK {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
        bail!("the server did not take over within {} seconds:\n{}", PATIENCE.as_secs(), self.server.log()?)
    }

    /// Asks the server as root.
    ///
    /// # Errors
    ///
    /// As [`OpenBao::call`].
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Answer> {
        self.server.call(method, path, Some(&self.root_token), body).await
    }

    /// A token of one policy, whose text this is, and which becomes the server's.
    ///
    /// # Errors
    ///
    /// When the server does not take the policy.
    pub async fn token_of(&self, name: &str, policy: &str) -> anyhow::Result<String> {
        let path = format!("sys/policies/acl/{name}");
        self.call(Method::PUT, &path, Some(&json!({ "policy": policy }))).await?.accepted()?;
        let wanted = json!({ "policies": [name], "no_default_policy": true, "ttl": "1h" });
        let made = self.call(Method::POST, "auth/token/create", Some(&wanted)).await?.accepted()?;
        Ok(made["auth"]["client_token"].as_str().context("no token")?.to_owned())
    }
}

impl std::fmt::Debug for Ready {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ready").field("server", &self.server).finish_non_exhaustive()
    }
}

/// What the server answered.
#[derive(Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The body, which is null where there is none.
    pub body: Value,
}

impl Answer {
    /// The body of an answer that says yes.
    ///
    /// # Errors
    ///
    /// When it says no; with what the server names as errors.
    pub fn accepted(self) -> anyhow::Result<Value> {
        ensure!(self.status.is_success(), "{}: {}", self.status, self.body["errors"]);
        Ok(self.body)
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn venv() -> Venv {
        Venv::onprem().unwrap()
    }

    #[tokio::test]
    async fn a_server_comes_up_sealed_and_is_again_after_a_restart() {
        let server = OpenBao::start(&venv()).unwrap();
        let status = server.call(Method::GET, "sys/seal-status", None, None).await.unwrap().body;
        assert_eq!(
            (&status["initialized"], &status["sealed"], &status["storage_type"]),
            (&json!(false), &json!(true), &json!("raft"))
        );
        let ready = server.initialise().await.unwrap();
        let kept = json!({ "type": "kv-v2" });
        ready.call(Method::POST, "sys/mounts/kept", Some(&kept)).await.unwrap().accepted().unwrap();

        ready.server.restart().await.unwrap();
        let health = ready.server.call(Method::GET, "sys/health", None, None).await.unwrap();
        assert_eq!(health.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(health.body["sealed"], true);
        ready.unseal().await.unwrap();
        let mounts = ready.call(Method::GET, "sys/mounts", None).await.unwrap().accepted().unwrap();
        assert_eq!(mounts["kept/"]["type"], "kv");
    }

    #[tokio::test]
    async fn both_audit_devices_write_what_is_asked_and_no_token() {
        let ready = Ready::start(&venv()).await.unwrap();
        let token =
            ready.token_of("looks", "path \"sys/mounts\" { capabilities = [\"read\"] }").await.unwrap();
        let looks = |path| ready.server.call(Method::GET, path, Some(&token), None);
        assert_eq!(looks("sys/mounts").await.unwrap().status, StatusCode::OK);
        assert_eq!(looks("sys/policies/acl/looks").await.unwrap().status, StatusCode::FORBIDDEN);
        for path in ready.server.audit_logs() {
            let log = std::fs::read_to_string(path).unwrap();
            assert!(log.contains("\"sys/policies/acl/looks\"") && log.contains("permission denied"));
            assert!(!log.contains(&token) && !log.contains(&ready.root_token));
        }
    }

    #[tokio::test]
    async fn a_server_in_dev_mode_shows_it() {
        let server = OpenBao::start_as(&venv(), Kind::Dev).unwrap();
        let status = server.call(Method::GET, "sys/seal-status", None, None).await.unwrap().body;
        assert_eq!((&status["sealed"], &status["storage_type"]), (&json!(false), &json!("inmem")));
        let token = Some(OpenBao::DEV_ROOT_TOKEN);
        let root = server.call(Method::GET, "auth/token/lookup-self", token, None).await.unwrap();
        assert_eq!(root.accepted().unwrap()["data"]["policies"], json!(["root"]));
        assert!(server.plain_address().is_some_and(|address| address.starts_with("http://127.0.0.1:")));
    }

    #[test]
    fn nothing_is_left_when_the_value_goes() {
        let server = OpenBao::start(&venv()).unwrap();
        let (port, folder) = (server.port(), server.folder());
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        drop(server);
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
        assert!(!folder.exists());
    }
}
