//! What is asked of a running Web3Signer: that it reads its key files again, and which addresses it then has.
//!
//! `GET /upcheck` says OK with no key at all, so it is never asked: `eth_accounts` is. A reload runs behind the
//! answer to it (202 since 25.12.0, 200 before), so the addresses are asked for until they are as they have to be.
//! Of an answer only addresses, a status and a number are ever told.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response, StatusCode, Url};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::SignerError;

/// How long one request may take.
const LIMIT: Duration = Duration::from_secs(10);
/// How long is waited between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest answer that is read, in bytes: some thousand addresses.
const ANSWER_MAX: usize = 1 << 20;

/// An address of Ethereum, in lower case as Web3Signer says it.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub struct Address(String);

/// A text is no address.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("it must be 0x and 40 hexadecimal digits")]
pub struct AddressError;

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let digits = text.strip_prefix("0x").ok_or(AddressError)?;
        let is_address = digits.len() == 40 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_address { Ok(Self(text.to_ascii_lowercase())) } else { Err(AddressError) }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where Web3Signer is, and how one shows it who asks.
#[derive(clap::Args, Clone, Debug)]
pub struct Where {
    /// Web3Signer's address, such as <https://web3signer:9000>; http only on this host's loopback
    #[arg(long, env = "KEYBOOT_WEB3SIGNER", default_value = "https://127.0.0.1:9000", value_name = "URL")]
    web3signer: Url,
    /// The authority of Web3Signer's certificate, in PEM
    #[arg(long, env = "KEYBOOT_WEB3SIGNER_CA", value_name = "FILE")]
    web3signer_ca: Option<PathBuf>,
    /// The certificate to show to Web3Signer, in PEM
    #[arg(long, env = "KEYBOOT_WEB3SIGNER_CERTIFICATE", value_name = "FILE", requires = "web3signer_key")]
    web3signer_certificate: Option<PathBuf>,
    /// The private key of that certificate, in PEM
    #[arg(long, env = "KEYBOOT_WEB3SIGNER_KEY", value_name = "FILE", requires = "web3signer_certificate")]
    web3signer_key: Option<PathBuf>,
}

/// A running Web3Signer.
#[derive(Clone, Debug)]
pub struct Web3Signer {
    client: Client,
    address: Url,
}

/// What there has to be after a reload.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Addresses that it has to sign for.
    pub there: BTreeSet<Address>,
    /// Addresses that it may not sign for any more.
    pub gone: BTreeSet<Address>,
}

impl Wanted {
    fn is_met_by(&self, accounts: &BTreeSet<Address>) -> bool {
        self.there.is_subset(accounts) && self.gone.is_disjoint(accounts)
    }
}

impl Web3Signer {
    /// A client of it.
    ///
    /// # Errors
    ///
    /// [`SignerError::Web3Signer`] where its address would have requests travel in the clear, or a file of the
    /// TLS is not what it should be.
    pub fn at(place: &Where) -> Result<Self, SignerError> {
        let fault = |fault: String| SignerError::Web3Signer { address: place.web3signer.to_string(), fault };
        let host = place.web3signer.host_str().unwrap_or_default();
        let is_loopback = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
        match place.web3signer.scheme() {
            "https" => {}
            "http" if is_loopback => {}
            _ => return Err(fault("it must be https://…, or http:// on this host's loopback".into())),
        }
        let roots = match &place.web3signer_ca {
            Some(file) => authorities(file)?,
            None if place.web3signer.scheme() == "https" => {
                return Err(fault("--web3signer-ca must name the authority of its certificate".into()));
            }
            None => RootCertStore::empty(),
        };
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|_| fault("no version of TLS is left".into()))?
            .with_root_certificates(roots);
        let tls = match (&place.web3signer_certificate, &place.web3signer_key) {
            (Some(certificate), Some(key)) => {
                tls.with_client_auth_cert(certificates(certificate)?, private_key(key)?).map_err(|_| {
                    fault("the certificate to show and the private key do not belong together".into())
                })?
            }
            _ => tls.with_no_client_auth(),
        };
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .redirect(Policy::none())
            .connect_timeout(LIMIT)
            .timeout(LIMIT)
            .build()
            .map_err(|_| fault("no client can be made".into()))?;
        Ok(Self { client, address: place.web3signer.clone() })
    }

    /// Has it read its key files again, and waits until it signs for what is wanted. The addresses that it has.
    ///
    /// # Errors
    ///
    /// [`SignerError::Unreachable`] where it is not reached in that time, [`SignerError::Web3Signer`] where it
    /// refuses, [`SignerError::Accounts`] where the addresses are still not as they have to be when the time is
    /// over.
    pub async fn reload(&self, wanted: &Wanted, within: Duration) -> Result<BTreeSet<Address>, SignerError> {
        let until = Instant::now() + within;
        loop {
            match self.ask_for_reload().await {
                // One that is under way may have begun before the files were there: the next one has not.
                Ok(StatusCode::CONFLICT) => self.pause(until, "another reload does not end").await?,
                Ok(_) => break,
                // It may be starting.
                Err(error @ SignerError::Unreachable { .. }) if Instant::now() >= until => return Err(error),
                Err(SignerError::Unreachable { .. }) => tokio::time::sleep(PAUSE).await,
                Err(error) => return Err(error),
            }
        }
        loop {
            let accounts = self.accounts().await?;
            if wanted.is_met_by(&accounts) && !self.is_reloading().await? {
                return Ok(accounts);
            }
            if Instant::now() >= until {
                return Err(SignerError::Accounts {
                    address: self.address.to_string(),
                    accounts: listed(&accounts),
                    missing: listed(wanted.there.difference(&accounts)),
                    left: listed(wanted.gone.intersection(&accounts)),
                });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The addresses that it signs for.
    ///
    /// # Errors
    ///
    /// [`SignerError::Web3Signer`] where it does not say them.
    pub async fn accounts(&self) -> Result<BTreeSet<Address>, SignerError> {
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_accounts", "params": [] });
        let request = self.client.post(self.address.clone()).json(&call);
        let answer = self.answer(request.send().await)?;
        if answer.status() != StatusCode::OK {
            return Err(self.refused("eth_accounts", answer.status()));
        }
        let answer: Accounts = self.read(answer).await?;
        Ok(answer.result.into_iter().map(|account| account.0).collect())
    }

    async fn ask_for_reload(&self) -> Result<StatusCode, SignerError> {
        let answer = self.call(Method::POST).await?;
        match answer.status() {
            status @ (StatusCode::OK | StatusCode::ACCEPTED | StatusCode::CONFLICT) => Ok(status),
            status => Err(self.refused("POST /reload", status)),
        }
    }

    /// Whether a reload is under way. Before 25.12.0 nobody can tell.
    async fn is_reloading(&self) -> Result<bool, SignerError> {
        let answer = self.call(Method::GET).await?;
        if answer.status() != StatusCode::OK {
            return Ok(false);
        }
        Ok(self.read::<Reloading>(answer).await.is_ok_and(|answer| answer.status == "running"))
    }

    async fn call(&self, method: Method) -> Result<Response, SignerError> {
        let mut address = self.address.clone();
        address.set_path("/reload");
        self.answer(self.client.request(method, address).send().await)
    }

    async fn pause(&self, until: Instant, fault: &str) -> Result<(), SignerError> {
        if Instant::now() >= until {
            return Err(self.fault(fault));
        }
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }

    async fn read<T: for<'a> Deserialize<'a>>(&self, mut answer: Response) -> Result<T, SignerError> {
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(|_| self.fault("its answer breaks off"))? {
            body.extend_from_slice(&part);
            if body.len() > ANSWER_MAX {
                return Err(self.fault("its answer has no end"));
            }
        }
        serde_json::from_slice(&body).map_err(|_| self.fault("its answer is none of Web3Signer's"))
    }

    fn answer(&self, answer: reqwest::Result<Response>) -> Result<Response, SignerError> {
        answer.map_err(|error| {
            let fault = if error.is_timeout() {
                "it does not answer in time"
            } else {
                "it is not reached, over TLS or at all"
            };
            SignerError::Unreachable { address: self.address.to_string(), fault: fault.to_owned() }
        })
    }

    fn refused(&self, call: &str, status: StatusCode) -> SignerError {
        let host = self.address.host_str().unwrap_or_default();
        self.fault(&match status {
            StatusCode::FORBIDDEN => {
                format!("{call} answers 403: --http-host-allowlist does not name {host}")
            }
            StatusCode::NOT_FOUND => format!("{call} answers 404: this is no Web3Signer in eth1 mode"),
            status => format!("{call} answers {status}"),
        })
    }

    fn fault(&self, fault: &str) -> SignerError {
        SignerError::Web3Signer { address: self.address.to_string(), fault: fault.to_owned() }
    }
}

#[derive(Deserialize)]
struct Accounts {
    result: Vec<Account>,
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Account(Address);

impl TryFrom<String> for Account {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse().map(Self)
    }
}

#[derive(Deserialize)]
struct Reloading {
    status: String,
}

fn authorities(file: &Path) -> Result<RootCertStore, SignerError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|_| no_pem(file, "a certificate of an authority"))?;
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, SignerError> {
    let pem = read(file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or_else(|| no_pem(file, "a certificate"))
}

/// The key is of the TLS of this process: it shows Web3Signer who asks, and signs nothing else.
fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, SignerError> {
    PrivateKeyDer::from_pem_slice(&read(file)?).map_err(|_| no_pem(file, "a private key"))
}

fn read(file: &Path) -> Result<Zeroizing<Vec<u8>>, SignerError> {
    std::fs::read(file).map(Zeroizing::new).map_err(|error| SignerError::file(file, &error))
}

fn no_pem(file: &Path, what: &'static str) -> SignerError {
    SignerError::File { file: file.display().to_string(), fault: format!("it has to hold {what}, in PEM") }
}

/// Addresses, for a sentence.
pub fn listed<'a>(addresses: impl IntoIterator<Item = &'a Address>) -> String {
    let texts: Vec<_> = addresses.into_iter().map(Address::to_string).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::Mutex;

    use super::*;

    const ONE: &str = "0x8b805bF52e9cE863375c5105E1158d519537F5B3";
    const OTHER: &str = "0x00000000000000000000000000000000000000aa";
    /// What no sentence of ours may repeat.
    const CANARY: &str = "canary-of-the-server";

    /// What plays Web3Signer: for each kind of request the answers that it gives, one after the other, the last one
    /// for ever.
    struct Script {
        posts: Vec<(u16, &'static str)>,
        gets: Vec<(u16, &'static str)>,
        accounts: Vec<(u16, String)>,
    }

    fn accounts(addresses: &[&str]) -> (u16, String) {
        let listed: Vec<_> =
            addresses.iter().map(|address| format!("\"{}\"", address.to_lowercase())).collect();
        (200, format!(r#"{{"jsonrpc":"2.0","id":1,"result":[{}]}}"#, listed.join(",")))
    }

    /// Plays a script, and gives a client of it and what it was asked.
    fn playing(script: Script) -> (Web3Signer, Arc<Mutex<Vec<String>>>) {
        fn next<T: Clone>(answers: &mut Vec<T>) -> T {
            if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() }
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        std::thread::spawn(move || {
            let Script { mut posts, mut gets, mut accounts } = script;
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = Vec::new();
                let mut part = [0; 4096];
                // The head, and a body of as many bytes as it says.
                let request = loop {
                    let read = stream.read(&mut part).unwrap();
                    request.extend_from_slice(&part[..read]);
                    let text = String::from_utf8_lossy(&request).into_owned();
                    let Some((top, body)) = text.split_once("\r\n\r\n") else { continue };
                    let length = top.to_lowercase();
                    let length = length
                        .split("content-length: ")
                        .nth(1)
                        .map_or(0, |rest| rest.lines().next().unwrap().trim().parse().unwrap());
                    if body.len() >= length {
                        break text;
                    }
                };
                let line = request.lines().next().unwrap().to_owned();
                let (status, body) = match line.as_str() {
                    "POST /reload HTTP/1.1" => next(&mut posts),
                    "GET /reload HTTP/1.1" => next(&mut gets),
                    _ => {
                        assert!(request.contains(r#""method":"eth_accounts""#), "{request}");
                        let (status, body) = next(&mut accounts);
                        (status, &*body.leak())
                    }
                };
                heard.lock().unwrap().push(line);
                let answer = format!(
                    "HTTP/1.1 {status} Said\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        let place = Where {
            web3signer: address,
            web3signer_ca: None,
            web3signer_certificate: None,
            web3signer_key: None,
        };
        (Web3Signer::at(&place).unwrap(), asked)
    }

    fn wanted(there: &[&str], gone: &[&str]) -> Wanted {
        let parsed = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Wanted { there: parsed(there), gone: parsed(gone) }
    }

    #[tokio::test]
    async fn a_reload_waits_until_the_address_is_there_and_the_reload_is_over() {
        let (signer, asked) = playing(Script {
            // One is under way; then it is taken.
            posts: vec![(409, ""), (202, "{}")],
            gets: vec![(200, r#"{"status":"running"}"#), (200, r#"{"status":"completed"}"#)],
            accounts: vec![accounts(&[]), accounts(&[ONE]), accounts(&[ONE])],
        });
        let found = signer.reload(&wanted(&[ONE], &[OTHER]), Duration::from_secs(20)).await.unwrap();
        assert_eq!(listed(&found), ONE.to_lowercase());
        let asked = asked.lock().unwrap();
        let count = |line: &str| asked.iter().filter(|asked| asked.starts_with(line)).count();
        assert_eq!((count("POST /reload"), count("GET /reload"), count("POST / ")), (2, 2, 3), "{asked:?}");
        assert!(!asked.iter().any(|line| line.contains("upcheck")));
    }

    /// Before 25.12.0 the answer was 200, and nobody could ask how far it is.
    #[tokio::test]
    async fn a_web3signer_of_before_that_tells_how_far_it_is_is_waited_for_too() {
        let (signer, _) = playing(Script {
            posts: vec![(200, "")],
            gets: vec![(405, "")],
            accounts: vec![accounts(&[OTHER]), accounts(&[ONE])],
        });
        signer.reload(&wanted(&[ONE], &[OTHER]), Duration::from_secs(20)).await.unwrap();
    }

    #[tokio::test]
    async fn an_address_that_does_not_come_or_go_is_told_by_name() {
        let (signer, _) = playing(Script {
            posts: vec![(202, "{}")],
            gets: vec![(200, r#"{"status":"completed_with_errors","lastError":"canary-of-the-server"}"#)],
            accounts: vec![accounts(&[OTHER])],
        });
        let refused = signer.reload(&wanted(&[ONE], &[OTHER]), Duration::from_millis(600)).await.unwrap_err();
        let told = refused.to_string();
        assert!(told.contains(&format!("missing: {}", ONE.to_lowercase())), "{told}");
        assert!(told.contains(&format!("still there: {OTHER}")), "{told}");
        assert!(!told.contains(CANARY), "{told}");
    }

    #[tokio::test]
    async fn what_is_no_web3signer_in_eth1_mode_or_does_not_let_in_is_told_as_what_it_is() {
        for (post, accounts, fault) in [
            (403, accounts(&[]), "answers 403: --http-host-allowlist does not name 127.0.0.1"),
            (404, accounts(&[]), "this is no Web3Signer in eth1 mode"),
            (500, accounts(&[]), "POST /reload answers 500"),
            (202, (404, CANARY.to_owned()), "eth_accounts answers 404"),
            (202, (200, format!("{{\"error\":\"{CANARY}\"}}")), "none of Web3Signer's"),
            (202, (200, format!(r#"{{"result":["{CANARY}"]}}"#)), "none of Web3Signer's"),
            (202, (200, " ".repeat(ANSWER_MAX + 1)), "has no end"),
        ] {
            let script =
                Script { posts: vec![(post, CANARY)], gets: vec![(200, "{}")], accounts: vec![accounts] };
            let (signer, _) = playing(script);
            let refused = signer.reload(&wanted(&[ONE], &[]), Duration::from_secs(5)).await.unwrap_err();
            let told = refused.to_string();
            assert!(told.contains(fault) && !told.contains(CANARY), "{told}");
        }
    }

    #[tokio::test]
    async fn one_that_is_not_there_yet_is_waited_for_and_then_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let place = Where {
            web3signer: address.parse().unwrap(),
            web3signer_ca: None,
            web3signer_certificate: None,
            web3signer_key: None,
        };
        let began = Instant::now();
        let signer = Web3Signer::at(&place).unwrap();
        let refused = signer.reload(&wanted(&[ONE], &[]), Duration::from_millis(1200)).await.unwrap_err();
        assert!(matches!(refused, SignerError::Unreachable { .. }), "{refused}");
        assert!(began.elapsed() >= Duration::from_millis(1200));
    }

    #[test]
    fn what_would_travel_in_the_clear_is_refused() {
        for (address, fault) in [
            ("http://web3signer:9000", "it must be https://"),
            ("http://192.0.2.1:9000", "it must be https://"),
            ("ftp://127.0.0.1", "it must be https://"),
            ("https://web3signer:9000", "--web3signer-ca must name"),
        ] {
            let place = Where {
                web3signer: address.parse().unwrap(),
                web3signer_ca: None,
                web3signer_certificate: None,
                web3signer_key: None,
            };
            let refused = Web3Signer::at(&place).unwrap_err().to_string();
            assert!(refused.contains(fault), "{address}: {refused}");
        }
    }

    #[test]
    fn an_address_is_one_whatever_its_case() {
        assert_eq!(ONE.parse::<Address>().unwrap().to_string(), ONE.to_lowercase());
        for text in ["", "0x", &ONE[2..], &format!("{ONE}0"), "0x8b805bF52e9cE863375c5105E1158d519537F5Bg"] {
            assert_eq!(text.parse::<Address>(), Err(AddressError), "{text}");
        }
    }
}
