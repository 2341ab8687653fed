//! A stand-in for Web3Signer, for as long as a value lives, and what op-batcher asks one.
//!
//! It is not Web3Signer: what it does as that one's documentation says, and what not, is told by
//! `rig/web3signer/stand_in.py`.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::http;
use crate::python::Venv;
use crate::service::{self, Service};

/// How long op-batcher waits for a signer to say that it is well.
const HEALTH: Duration = Duration::from_secs(3);
/// How long a reload may take here.
const RELOAD: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// What Web3Signer is started for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// Transactions of this chain.
    Eth1 {
        /// The chain that it signs for, whichever a request names.
        chain_id: u64,
    },
    /// Validators, whose keys are of another kind.
    Eth2,
}

/// A running stand-in.
#[derive(Debug)]
pub struct Web3Signer {
    service: Service,
}

impl Web3Signer {
    /// Starts one on a port that is free now, with the key files in a folder.
    ///
    /// # Errors
    ///
    /// When it does not come up; the message then ends with the last lines of its log.
    pub fn start(venv: &Venv, key_files: &Path, mode: Mode) -> anyhow::Result<Self> {
        let service = Service::start("Web3Signer", service::free_port()?, "/upcheck", |folder, address| {
            let mut command = Command::new(venv.program("python"));
            command
                .arg(crate::repository().join("rig/web3signer/stand_in.py"))
                .args(["--http-listen-port", &address.port().to_string()])
                .arg("--key-config-path")
                .arg(key_files);
            match mode {
                Mode::Eth1 { chain_id } => command.args(["eth1", "--chain-id", &chain_id.to_string()]),
                Mode::Eth2 => command.arg("eth2"),
            };
            command
                .current_dir(folder)
                .env_clear()
                .env("PATH", service::path_with(&venv.programs()))
                // Not the library that says who sent a transaction.
                .env("ECC_BACKEND_CLASS", "eth_keys.backends.NativeECCBackend")
                .env("HOME", folder)
                .env("TMPDIR", folder);
            command
        })?;
        Ok(Self { service })
    }

    /// Where it answers, without TLS.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.service.endpoint()
    }

    /// Its folder: where it works, and what it has logged.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.service.folder()
    }

    /// What it has logged.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn log(&self) -> anyhow::Result<String> {
        std::fs::read_to_string(self.service.log()).context("reading the log")
    }

    /// The addresses that it signs for.
    ///
    /// # Errors
    ///
    /// When it does not answer as it should.
    pub async fn accounts(&self) -> anyhow::Result<Vec<String>> {
        Ok(serde_json::from_value(rpc(&self.endpoint(), "eth_accounts", None).await?)?)
    }

    /// What it says that it is.
    ///
    /// # Errors
    ///
    /// When it does not answer as it should.
    pub async fn version(&self) -> anyhow::Result<String> {
        Ok(serde_json::from_value(rpc(&self.endpoint(), "web3_clientVersion", None).await?)?)
    }

    /// Has it look at its key files again, and waits until it has.
    ///
    /// # Errors
    ///
    /// When it does not take that, or does not end in time. A key file that gives no key is no error.
    pub async fn reload(&self) -> anyhow::Result<()> {
        let (status, _) = ask(&self.endpoint(), Method::POST, "/reload", None, Bytes::new()).await?;
        ensure!(status.is_success(), "a reload was answered with {status}");
        let is_over = async {
            loop {
                let (_, told) = ask(&self.endpoint(), Method::GET, "/reload", None, Bytes::new()).await?;
                let told: Value = serde_json::from_slice(&told)?;
                match told["status"].as_str() {
                    Some("running") => tokio::time::sleep(PAUSE).await,
                    Some("failed") | None => bail!("the reload failed"),
                    Some(_) => return Ok(()),
                }
            }
        };
        tokio::time::timeout(RELOAD, is_over).await.context("the reload does not end")?
    }
}

/// What op-batcher asks a signer, in its own words.
#[derive(Clone, Debug)]
pub struct Batcher {
    endpoint: String,
    address: String,
}

/// A transaction that op-batcher wants to be signed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Transaction {
    /// Its number among the sender's.
    pub nonce: u64,
    /// The batch inbox: `0x` and 40 hex digits.
    pub to: String,
    /// The most gas that it may use.
    pub gas: u64,
    /// The most wei for each unit of gas.
    pub max_fee_per_gas: u128,
    /// How many of these are for whoever takes it into a block.
    pub max_priority_fee_per_gas: u128,
    /// Its data, which is empty where there are blobs.
    pub input: Vec<u8>,
    /// Its blobs' hashes and the most wei for each unit of their gas; the blobs themselves stay with op-batcher.
    pub blobs: Option<(Vec<[u8; 32]>, u128)>,
}

impl Batcher {
    /// One that starts: with a signer's endpoint and the address that it is to sign for, both of which it needs.
    /// It first asks whether the signer is well.
    ///
    /// # Errors
    ///
    /// When the signer does not say so in time.
    pub async fn start(endpoint: &str, address: &str) -> anyhow::Result<Self> {
        let status = tokio::time::timeout(HEALTH, rpc(endpoint, "health_status", None)).await;
        let status = status.context("health_status was not answered in time")??;
        ensure!(status.is_string(), "health_status was answered with something else than a text");
        Ok(Self { endpoint: endpoint.to_owned(), address: address.to_lowercase() })
    }

    /// Has a transaction signed, and gives it as it goes to a node.
    ///
    /// # Errors
    ///
    /// When the signer refuses.
    pub async fn sign(&self, chain_id: u64, transaction: &Transaction) -> anyhow::Result<Vec<u8>> {
        let asked = self.arguments(chain_id, transaction);
        let raw = rpc(&self.endpoint, "eth_signTransaction", Some(json!([asked]))).await?;
        let raw = raw.as_str().and_then(|raw| raw.strip_prefix("0x")).context("no transaction in hex")?;
        Ok(hex::decode(raw)?)
    }

    /// The one object: what is not known of it is there as null, blobs only where there are some.
    fn arguments(&self, chain_id: u64, transaction: &Transaction) -> Value {
        let mut asked = json!({
            "from": self.address,
            "to": transaction.to.to_lowercase(),
            "gas": format!("{:#x}", transaction.gas),
            "gasPrice": null,
            "maxFeePerGas": format!("{:#x}", transaction.max_fee_per_gas),
            "maxPriorityFeePerGas": format!("{:#x}", transaction.max_priority_fee_per_gas),
            "value": "0x0",
            "nonce": format!("{:#x}", transaction.nonce),
            "data": null,
            "input": format!("0x{}", hex::encode(&transaction.input)),
            "accessList": [],
            "chainId": format!("{chain_id:#x}"),
        });
        if let Some((hashes, max_fee_per_blob_gas)) = &transaction.blobs {
            let hashes: Vec<_> = hashes.iter().map(|hash| format!("0x{}", hex::encode(hash))).collect();
            asked["blobVersionedHashes"] = json!(hashes);
            asked["maxFeePerBlobGas"] = json!(format!("{max_fee_per_blob_gas:#x}"));
        }
        asked
    }
}

/// Asks by JSON-RPC; without parameters, there is no word of them.
async fn rpc(endpoint: &str, method: &str, params: Option<Value>) -> anyhow::Result<Value> {
    let mut asked = json!({ "jsonrpc": "2.0", "id": 1, "method": method });
    if let Some(params) = params {
        asked["params"] = params;
    }
    let (status, body) = ask(endpoint, Method::POST, "/", None, Bytes::from(asked.to_string())).await?;
    let told: Value = serde_json::from_slice(&body).with_context(|| format!("{method}: {status}"))?;
    ensure!(told["error"].is_null(), "{method}: {} {}", told["error"]["code"], told["error"]["message"]);
    ensure!(status == StatusCode::OK, "{method}: {status}");
    Ok(told["result"].clone())
}

/// Asks by HTTP, as a host that goes by another name if there is one.
async fn ask(
    endpoint: &str,
    method: Method,
    path: &str,
    host: Option<&str>,
    body: Bytes,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let address: SocketAddr = endpoint.strip_prefix("http://").context("not http")?.parse()?;
    let stream = TcpStream::connect(address).await.context("connecting")?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", host.map_or_else(|| address.to_string(), ToOwned::to_owned))
        .header("accept", "application/json")
        .header("content-type", "application/json")
        .body(Full::new(body))?;
    http::send(stream, request).await
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::ethereum::sender_of;
    use crate::openbao::Ready;

    /// A key from the notes on what the readers of keys accept, with its address. The other begins with zeros.
    const KEY: &str = "53dadf1d5a164d6b4acdb15e24aa4c5b1d3461bdbd42abedb0a4404d56ced8fb";
    const ADDRESS: &str = "0x8b805bf52e9ce863375c5105e1158d519537f5b3";
    const OTHER_KEY: &str = "0000000000000000000000000000000000000000000000000000000000000001";
    const OTHER_ADDRESS: &str = "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf";
    const INBOX: &str = "0xff00000000000000000000000000000000000901";
    const L1: Mode = Mode::Eth1 { chain_id: 1 };

    /// A server with two keys, and a folder of key files.
    struct Scene {
        ready: Ready,
        token: String,
        folder: tempfile::TempDir,
        venv: Venv,
    }

    impl Scene {
        async fn set() -> Self {
            let venv = Venv::onprem().unwrap();
            let ready = Ready::start(&venv).await.unwrap();
            let mount = json!({ "type": "kv-v2" });
            ready.call(Method::POST, "sys/mounts/kept", Some(&mount)).await.unwrap().accepted().unwrap();
            for (name, key) in [("batcher", KEY), ("other", OTHER_KEY)] {
                let data = json!({ "data": { "value": key, "beside": { "it": "" } } });
                let path = format!("kept/data/{name}");
                ready.call(Method::POST, &path, Some(&data)).await.unwrap().accepted().unwrap();
            }
            let policy = "path \"kept/data/batcher\" { capabilities = [\"read\"] }";
            let token = ready.token_of("signer", policy).await.unwrap();
            let folder = tempfile::tempdir_in(crate::home()).unwrap();
            let scene = Self { ready, token, folder, venv };
            scene.write_known_servers(&scene.ready.server.fingerprint().unwrap());
            scene
        }

        fn known_servers(&self) -> PathBuf {
            self.folder.path().join("known-servers")
        }

        fn write_known_servers(&self, fingerprint: &str) {
            let line = format!("127.0.0.1:{} {fingerprint}\n", self.ready.server.port());
            std::fs::write(self.known_servers(), line).unwrap();
        }

        /// A key file as it is to be.
        fn key_file(&self) -> String {
            format!(
                "type: \"hashicorp\"\nkeyType: \"SECP256K1\"\ntlsEnabled: \"true\"\n\
                 tlsKnownServersPath: \"{}\"\nserverHost: \"127.0.0.1\"\nserverPort: \"{}\"\n\
                 timeout: \"10000\"\nkeyPath: \"/v1/kept/data/batcher\"\nkeyName: \"value\"\ntoken: \"{}\"\n",
                self.known_servers().display(),
                self.ready.server.port(),
                self.token
            )
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.folder.path().join(name), text).unwrap();
        }

        fn start(&self, mode: Mode) -> Web3Signer {
            Web3Signer::start(&self.venv, self.folder.path(), mode).unwrap()
        }
    }

    fn transaction(blobs: Option<(Vec<[u8; 32]>, u128)>) -> Transaction {
        Transaction {
            nonce: 7,
            to: INBOX.to_owned(),
            gas: 21_000,
            max_fee_per_gas: 30_000_000_000,
            max_priority_fee_per_gas: 1_000_000_000,
            input: if blobs.is_some() { Vec::new() } else { vec![0, 1, 2] },
            blobs,
        }
    }

    #[tokio::test]
    async fn a_batcher_gets_signed_what_it_asks_for_and_the_sender_is_the_keys_address() {
        let scene = Scene::set().await;
        scene.write("batcher.yaml", &scene.key_file());
        let signer = scene.start(L1);
        assert_eq!(signer.accounts().await.unwrap(), [ADDRESS]);
        let batcher = Batcher::start(&signer.endpoint(), ADDRESS).await.unwrap();
        let mut hash = [0xab; 32];
        hash[0] = 1;
        for (kind, asked) in [(2, transaction(None)), (3, transaction(Some((vec![hash], 5))))] {
            let raw = batcher.sign(1, &asked).await.unwrap();
            let told = sender_of(&scene.venv, &raw).unwrap();
            assert_eq!((told.sender.as_str(), told.chain_id, told.kind), (ADDRESS, 1, kind));
            assert_eq!((told.nonce, told.gas, told.to.as_str()), (7, 21_000, INBOX));
            assert_eq!(told.input, format!("0x{}", hex::encode(&asked.input)));
            let hashes = asked.blobs.map(|(hashes, _)| hashes).unwrap_or_default();
            let hashes: Vec<_> = hashes.iter().map(|hash| format!("0x{}", hex::encode(hash))).collect();
            assert_eq!(told.blob_versioned_hashes, hashes);

            // A changed transaction is somebody else's, if anybody's.
            let mut changed = raw.clone();
            let nonce = changed.iter().position(|byte| *byte == 7).unwrap();
            changed[nonce] = 8;
            let sender = sender_of(&scene.venv, &changed).map(|told| told.sender).unwrap_or_default();
            assert_ne!(sender, ADDRESS);
        }
        let nobody = Batcher::start(&signer.endpoint(), OTHER_ADDRESS).await.unwrap();
        let refused = nobody.sign(1, &transaction(None)).await.unwrap_err().to_string();
        assert!(refused.contains("No unlocked account"), "{refused}");
        let log = signer.log().unwrap();
        assert!(log.starts_with("This is keyboot's stand-in for Web3Signer, not Web3Signer."), "{log}");
        assert!(!log.contains(KEY) && !log.contains(&scene.token));
        let version = rpc(&signer.endpoint(), "web3_clientVersion", None).await.unwrap();
        assert_eq!(version, "keyboot's stand-in for Web3Signer");
    }

    #[tokio::test]
    async fn a_key_file_with_a_wrong_setting_gives_no_key_and_the_signer_is_up_all_the_same() {
        let scene = Scene::set().await;
        let right = scene.key_file();
        let (known, port) = (scene.known_servers().display().to_string(), scene.ready.server.port());
        scene.write("elsewhere", &format!("127.0.0.1:{} {}\n", port + 1, "00".repeat(32)));
        let signer = scene.start(L1);
        assert!(signer.accounts().await.unwrap().is_empty());
        let line = |name: &str| right.lines().find(|line| line.starts_with(name)).unwrap().to_owned() + "\n";
        let wrong = [
            ("keyType is missing", right.replace(&line("keyType"), ""), "errors: 0"),
            ("keyType is misspelt", right.replace("keyType", "key-type"), "errors: 0"),
            ("another type", right.replace("\"hashicorp\"", "\"hashicorp-vault\""), "no known type"),
            ("no data in the path", right.replace("/data/", "/"), "status 403"),
            ("another's path", right.replace("/batcher", "/other"), "status 403"),
            ("no such entry", right.replace("\"value\"", "\"key\""), "no entry 'key'"),
            ("no TLS", right.replace("\"true\"", "\"false\""), "status 400"),
            ("TLS is missing", right.replace(&line("tlsEnabled"), ""), "status 400"),
            ("no known servers", right.replace(&line("tlsKnownServersPath"), ""), "no connection with TLS"),
            (
                "known elsewhere",
                right.replace(&known, &known.replace("known-servers", "elsewhere")),
                "no known",
            ),
            ("a token that is none", right.replace(&scene.token, "s.0"), "status 403"),
            ("no token", right.replace(&line("token"), ""), "token is missing"),
        ];
        for (what, text, told) in &wrong {
            assert_ne!(text, &right, "{what}");
            let before = signer.log().unwrap().len();
            scene.write("batcher.yaml", text);
            signer.reload().await.unwrap();
            assert!(signer.accounts().await.unwrap().is_empty(), "{what}");
            let log = signer.log().unwrap()[before..].to_owned();
            assert!(log.contains(told), "{what}: {log}");
            let up = ask(&signer.endpoint(), Method::GET, "/upcheck", None, Bytes::new()).await.unwrap();
            assert_eq!(up, (StatusCode::OK, Bytes::from_static(b"OK")), "{what}");
        }
        scene.write("batcher.yaml", &right);
        signer.reload().await.unwrap();
        assert_eq!(signer.accounts().await.unwrap(), [ADDRESS]);
    }

    #[tokio::test]
    async fn a_server_with_another_certificate_gets_no_token() {
        let scene = Scene::set().await;
        scene.write_known_servers(&["00"; 32].join(":"));
        scene.write("batcher.yaml", &scene.key_file());
        let before = std::fs::read_to_string(&scene.ready.server.audit_logs()[0]).unwrap();
        let signer = scene.start(L1);
        assert!(signer.accounts().await.unwrap().is_empty());
        assert!(signer.log().unwrap().contains("is not the one that is known"));
        let after = std::fs::read_to_string(&scene.ready.server.audit_logs()[0]).unwrap();
        assert_eq!(before, after);

        // Once the right certificate is known, it gives the key.
        scene.write_known_servers(&scene.ready.server.fingerprint().unwrap());
        scene.write("batcher.yaml", &scene.key_file());
        signer.reload().await.unwrap();
        assert_eq!(signer.accounts().await.unwrap(), [ADDRESS]);
    }

    #[tokio::test]
    async fn a_reload_sees_a_new_time_and_no_new_text_without_one() {
        let scene = Scene::set().await;
        let path = scene.folder.path().join("batcher.yaml");
        scene.write("batcher.yaml", &scene.key_file());
        let signer = scene.start(L1);
        let time = std::fs::metadata(&path).unwrap().modified().unwrap();

        // Another text under the same time is not seen.
        scene.write("batcher.yaml", &scene.key_file().replace("/batcher", "/other"));
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        signer.reload().await.unwrap();
        assert_eq!(signer.accounts().await.unwrap(), [ADDRESS]);

        // With a time of its own it is, and costs the key, for its token does not read that path.
        let later = time + Duration::from_secs(1);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
        signer.reload().await.unwrap();
        assert!(signer.accounts().await.unwrap().is_empty());

        // Two keys in two files, one of which goes.
        let policy = "path \"kept/data/other\" { capabilities = [\"read\"] }";
        let token = scene.ready.token_of("another", policy).await.unwrap();
        let other = scene.key_file().replace("/batcher", "/other").replace(&scene.token, &token);
        scene.write("batcher.yaml", &scene.key_file());
        scene.write("other.yml", &other);
        scene.write(".hidden.yaml", "no key file");
        signer.reload().await.unwrap();
        assert_eq!(signer.accounts().await.unwrap(), [OTHER_ADDRESS, ADDRESS]);
        std::fs::remove_file(&path).unwrap();
        signer.reload().await.unwrap();
        assert_eq!(signer.accounts().await.unwrap(), [OTHER_ADDRESS]);
    }

    #[tokio::test]
    async fn validators_mode_has_no_key_and_no_json_rpc_and_a_strange_host_gets_nothing() {
        let scene = Scene::set().await;
        scene.write("batcher.yaml", &scene.key_file());
        let validators = scene.start(Mode::Eth2);
        assert!(validators.log().unwrap().contains("keys loaded: 0, errors: 0"));
        assert!(Batcher::start(&validators.endpoint(), ADDRESS).await.is_err());

        let signer = scene.start(L1);
        let asked = Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"method":"eth_accounts"}"#);
        for (host, status) in [("localhost:1", StatusCode::OK), ("web3signer:9000", StatusCode::FORBIDDEN)] {
            let answer = ask(&signer.endpoint(), Method::POST, "/", Some(host), asked.clone()).await.unwrap();
            assert_eq!(answer.0, status, "{host}");
        }
    }
}
