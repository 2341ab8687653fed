//! One connection's worth of HTTP to a server: TLS under given authorities, no proxy, no redirection, a few
//! tries where a repeated call is harmless.
//!
//! The client is `vaultrs`'s, built by its fields: its own builder would take address, token and trust from
//! the environment. What is sent and what comes back are types of ours, for those of the library print what
//! they hold; of an error's text nothing gets further than [`told`]. What the library itself copies on the way to
//! the socket is freed and not wiped: that is in nobody's hands here.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use rustify::endpoint::{Endpoint, MiddleWare};
use rustify::enums::{RequestMethod, RequestType, ResponseType};
use rustify::errors::ClientError;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use vaultrs::api::EndpointMiddleware;
use vaultrs::client::{VaultClient, VaultClientSettings};
use zeroize::{Zeroize as _, Zeroizing};

use crate::error::VaultError;
use crate::settings::Address;

/// How long it may take until a connection stands.
const CONNECTING: Duration = Duration::from_secs(5);
/// How long a call may take in all.
const CALL: Duration = Duration::from_secs(30);
/// How often a call is tried.
const TRIES: u32 = 3;
/// The wait before the second try; before the third it is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Room for the longest request that holds a secret, in bytes, so that its buffer never moves.
const BODY_CAPACITY: usize = 16 * 1024;
/// The one media type that the server takes for a change of some keys.
const MERGE_PATCH: &str = "application/merge-patch+json";

/// A token of a server. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

/// A text cannot be a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("it must be one line of 1 to 512 characters of A-Z, a-z, 0-9, . _ = + / and -")]
pub struct TokenError;

impl Token {
    /// Takes a token over; white space around it is left out.
    ///
    /// # Errors
    ///
    /// [`TokenError`].
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let is_token = (1..=512).contains(&text.len()) && text.bytes().all(is_of_a_token);
        if is_token { Ok(Self(Zeroizing::new(text.to_owned()))) } else { Err(TokenError) }
    }

    /// Reveals the token.
    ///
    /// # Security
    ///
    /// Whoever has it may do what its policies let. Whoever calls this says in an `EXPOSE` comment where it
    /// goes.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// What tokens are made of: nothing that means something in a header, in YAML or in TOML.
fn is_of_a_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._=+/-".contains(&byte)
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").finish_non_exhaustive()
    }
}

/// A server that is spoken to, with a token or without. The token is wiped when this is dropped.
pub struct Connection {
    client: VaultClient,
    address: Address,
}

impl Connection {
    /// Prepares to speak to a server, without a token; sends nothing.
    ///
    /// # Errors
    ///
    /// [`VaultError::NoAuthorities`].
    pub fn to(address: &Address, ca_file: &Path) -> Result<Self, VaultError> {
        let refused =
            |fault: String| VaultError::NoAuthorities { file: ca_file.display().to_string(), fault };
        let pem = std::fs::read(ca_file).map_err(|error| refused(error.kind().to_string()))?;
        let http = client(&pem).map_err(|fault| refused(fault.to_owned()))?;
        let settings = VaultClientSettings {
            address: address.url().clone(),
            ca_certs: Vec::new(),
            identity: None,
            timeout: Some(CALL),
            token: String::new(),
            verify: true,
            version: 1,
            wrapping: false,
            namespace: None,
            proxy: None,
        };
        let middle =
            EndpointMiddleware { token: String::new(), version: "v1".into(), wrap: None, namespace: None };
        let http = rustify::Client::new(address.url().as_str(), http);
        Ok(Self { client: VaultClient { http, middle, settings }, address: address.clone() })
    }

    /// The same with a token.
    #[must_use]
    pub fn with(mut self, token: &Token) -> Self {
        self.client.middle.token.zeroize();
        // EXPOSE: into the header of requests to this server, over TLS.
        token.expose().clone_into(&mut self.client.middle.token);
        self
    }

    /// Where the server is.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// SHA-256 of the certificate that the server shows, as DER.
    ///
    /// # Errors
    ///
    /// [`VaultError::Unavailable`].
    pub async fn certificate_fingerprint(&self) -> Result<[u8; 32], VaultError> {
        let what = "the server's certificate";
        let mut url = self.address.url().clone();
        url.set_path("/v1/sys/seal-status");
        let answer = self.client.http.http.get(url).send().await;
        let answer =
            answer.map_err(|_| VaultError::Unavailable { what: what.into(), code: "no answer".into() })?;
        let tls = answer.extensions().get::<reqwest::tls::TlsInfo>();
        let certificate = tls.and_then(reqwest::tls::TlsInfo::peer_certificate);
        let certificate =
            certificate.ok_or_else(|| VaultError::refused(what, "it is not told of the connection"))?;
        Ok(Sha256::digest(certificate).into())
    }

    /// Makes a call, and gives what came back.
    pub(crate) async fn call(&self, call: &Call<'_>) -> Result<Answer, VaultError> {
        self.tried(call).await.map_err(|failure| told(&call.what, failure))
    }

    async fn tried(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        let (mut pause, mut attempt) = (FIRST_PAUSE, 1);
        loop {
            let failure = match self.once(call).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let again = match &failure {
                Failure::NotSent => true,
                Failure::NoAnswer => call.repeats,
                Failure::Answered { status, body } => {
                    call.repeats && (*status == 429 || *status >= 500 && !is_sealed(*status, body.as_ref()))
                }
            };
            if !again || attempt == TRIES {
                return Err(failure);
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
            attempt += 1;
        }
    }

    /// Whether the token has ended. One that lives and may not look at itself is told from it by what it is
    /// denied with: by a policy, or by nobody's having it.
    pub(crate) async fn is_dead(&self) -> Result<bool, VaultError> {
        let call = Call::read("auth/token/lookup-self");
        match self.tried(&call).await {
            Ok(_) => Ok(false),
            Err(Failure::Answered { status: 403, body }) => {
                Ok(!says(body.as_ref(), BY_A_POLICY) || says(body.as_ref(), "invalid token"))
            }
            Err(failure) => Err(told(&call.what, failure)),
        }
    }

    async fn once(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        let mut middle = self.client.middle.clone();
        if let Some(token) = call.token {
            middle.token.zeroize();
            // EXPOSE: as above.
            token.expose().clone_into(&mut middle.token);
        }
        middle.wrap = call.wrap.map(|ttl| format!("{}s", ttl.as_secs()));
        let middle = Dressed { middle, merges: call.merges };
        match Sent(call).with_middleware(&middle).exec(&self.client.http).await {
            Ok(answer) => {
                Ok(Answer { what: call.what.clone(), body: Zeroizing::new(answer.response.into_body()) })
            }
            Err(ClientError::ServerResponseError { code, content }) => {
                Err(Failure::Answered { status: code, body: content.map(Zeroizing::new) })
            }
            Err(ClientError::RequestError { source, .. }) => {
                let never_sent =
                    source.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_connect);
                Err(if never_sent { Failure::NotSent } else { Failure::NoAnswer })
            }
            Err(_) => Err(Failure::NoAnswer),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.client.middle.token.zeroize();
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("address", &self.address).finish_non_exhaustive()
    }
}

/// A client that trusts these authorities and no other, asks no proxy and follows nobody elsewhere: it would
/// take the token along.
fn client(pem: &[u8]) -> Result<reqwest::Client, &'static str> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| "a certificate in it is cut or garbled")?;
        roots.add(certificate).map_err(|_| "a certificate in it is none of an authority")?;
    }
    if roots.is_empty() {
        return Err("no certificate is in it");
    }
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| "no version of TLS is left")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .tls_info(true)
        .https_only(true)
        .no_proxy()
        .redirect(Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECTING)
        .timeout(CALL)
        .build()
        .map_err(|_| "no client can be made with it")
}

/// What is asked of a server.
pub(crate) struct Call<'a> {
    method: RequestMethod,
    path: String,
    what: String,
    query: Option<String>,
    body: Option<Zeroizing<Vec<u8>>>,
    token: Option<&'a Token>,
    wrap: Option<Duration>,
    merges: bool,
    repeats: bool,
}

impl<'a> Call<'a> {
    fn new(method: RequestMethod, path: impl Into<String>, repeats: bool) -> Self {
        let path = path.into();
        let what = format!("{} {path}", spelled(&method));
        Self { method, path, what, query: None, body: None, token: None, wrap: None, merges: false, repeats }
    }

    /// Reads.
    pub(crate) fn read(path: impl Into<String>) -> Self {
        Self::new(RequestMethod::GET, path, true)
    }

    /// Lists.
    pub(crate) fn list(path: impl Into<String>) -> Self {
        Self::new(RequestMethod::LIST, path, true)
    }

    /// Removes.
    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self::new(RequestMethod::DELETE, path, true)
    }

    /// Writes; a repeated call has the same effect.
    pub(crate) fn write(path: impl Into<String>) -> Self {
        Self::new(RequestMethod::POST, path, true)
    }

    /// Writes; a repeated call has another effect, so that it is sent once.
    pub(crate) fn write_once(path: impl Into<String>) -> Self {
        Self::new(RequestMethod::POST, path, false)
    }

    /// Changes some keys and leaves the others.
    pub(crate) fn merge(path: impl Into<String>) -> Self {
        Self { merges: true, ..Self::new(RequestMethod::PATCH, path, true) }
    }

    /// What is sent.
    pub(crate) fn body(mut self, body: &impl Serialize) -> Result<Self, VaultError> {
        let mut text = Zeroizing::new(Vec::with_capacity(BODY_CAPACITY));
        serde_json::to_writer(&mut *text, body)
            .map_err(|_| VaultError::refused(&self.what, "it cannot be written as JSON"))?;
        self.body = Some(text);
        Ok(self)
    }

    /// Of one version.
    pub(crate) fn version(mut self, version: Option<u64>) -> Self {
        self.query = version.map(|version| format!("version={version}"));
        self
    }

    /// With another token than the connection's.
    pub(crate) fn token(mut self, token: &'a Token) -> Self {
        self.token = Some(token);
        self
    }

    /// With the answer wrapped for so long.
    pub(crate) fn wrapped(mut self, ttl: Duration) -> Self {
        self.wrap = Some(ttl);
        self
    }
}

fn spelled(method: &RequestMethod) -> &'static str {
    match method {
        RequestMethod::GET => "reading",
        RequestMethod::LIST => "listing",
        RequestMethod::DELETE => "deleting",
        RequestMethod::PATCH => "changing",
        _ => "writing",
    }
}

/// A call as the library sends it.
struct Sent<'a>(&'a Call<'a>);

impl Endpoint for Sent<'_> {
    type Response = ();
    const REQUEST_BODY_TYPE: RequestType = RequestType::JSON;
    const RESPONSE_BODY_TYPE: ResponseType = ResponseType::JSON;

    fn path(&self) -> String {
        self.0.path.clone()
    }

    fn method(&self) -> RequestMethod {
        self.0.method.clone()
    }

    fn query(&self) -> Result<Option<String>, ClientError> {
        Ok(self.0.query.clone())
    }

    fn body(&self) -> Result<Option<Vec<u8>>, ClientError> {
        // EXPOSE: to this server, over TLS.
        Ok(self.0.body.as_ref().map(|body| body.to_vec()))
    }
}

/// The library's headers, and the media type where the server insists on one.
struct Dressed {
    middle: EndpointMiddleware,
    merges: bool,
}

impl Drop for Dressed {
    fn drop(&mut self) {
        self.middle.token.zeroize();
    }
}

impl MiddleWare for Dressed {
    fn request<E: Endpoint>(
        &self,
        endpoint: &E,
        request: &mut http::Request<Vec<u8>>,
    ) -> Result<(), ClientError> {
        self.middle.request(endpoint, request)?;
        let kind = if self.merges { MERGE_PATCH } else { "application/json" };
        request.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
        if let Some(token) = request.headers_mut().get_mut("X-Vault-Token") {
            token.set_sensitive(true);
        }
        Ok(())
    }

    fn response<E: Endpoint>(&self, _: &E, _: &mut http::Response<Vec<u8>>) -> Result<(), ClientError> {
        Ok(())
    }
}

/// What came back. Wiped when dropped, never printed.
pub(crate) struct Answer {
    what: String,
    body: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// The answer as JSON.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, VaultError> {
        serde_json::from_slice(&self.body).map_err(|_| self.malformed())
    }

    /// What is under `data` in it.
    pub(crate) fn data<T: DeserializeOwned>(&self) -> Result<T, VaultError> {
        #[derive(serde::Deserialize)]
        struct Enclosed<T> {
            data: Option<T>,
        }
        let enclosed: Enclosed<T> = self.parse()?;
        enclosed.data.ok_or_else(|| self.malformed())
    }

    fn malformed(&self) -> VaultError {
        VaultError::refused(&self.what, "the answer is not of the form that it has")
    }
}

/// Why a call gave no answer to use.
enum Failure {
    /// No connection stood.
    NotSent,
    /// It was sent, and nothing is known of what became of it.
    NoAnswer,
    /// The server refused.
    Answered { status: u16, body: Option<Zeroizing<String>> },
}

fn says(body: Option<&Zeroizing<String>>, sentence: &str) -> bool {
    body.is_some_and(|body| body.contains(sentence))
}

fn is_sealed(status: u16, body: Option<&Zeroizing<String>>) -> bool {
    status == 503 && says(body, "sealed")
}

/// What a server says of a token that lives and may not.
const BY_A_POLICY: &str = "1 error occurred";

/// What servers say where they refuse, and the same in our words.
const KNOWN: [(&str, &str); 12] = [
    ("wrapping token is not valid", "the wrapping token is none, or has been used, or its time is over"),
    ("invalid role or secret ID", "role id or secret id is wrong, used up or over"),
    ("invalid secret id", "the secret id is wrong, used up or over"),
    ("invalid role ID", "there is no such role"),
    ("encryption key not found", "there is no such transit key"),
    ("signing key not found", "there is no such transit key"),
    ("missing 'context'", "the key is derived: it takes a context"),
    ("message authentication failed", "it was sealed under another key or context"),
    ("no handler for route", "nothing is mounted there"),
    ("is not initialized", "the server is not initialized"),
    ("already initialized", "the server is initialized already"),
    ("unsupported path", "the server knows no such path"),
];

fn told(what: &str, failure: Failure) -> VaultError {
    let what = what.to_owned();
    let (status, body) = match failure {
        Failure::NotSent => {
            return VaultError::Unavailable {
                what,
                code: "the server is not reached, or shows no certificate of a trusted authority".into(),
            };
        }
        Failure::NoAnswer => return VaultError::Unavailable { what, code: "no answer".into() },
        Failure::Answered { status, body } => (status, body),
    };
    if is_sealed(status, body.as_ref()) {
        return VaultError::Sealed;
    }
    let known = KNOWN.iter().find(|(sentence, _)| says(body.as_ref(), sentence)).map(|(_, told)| *told);
    let is_empty = says(body.as_ref(), r#""errors":[]"#);
    match status {
        403 => VaultError::Denied { what },
        404 if known.is_none() && (is_empty || !says(body.as_ref(), r#""errors""#)) => {
            VaultError::NotFound { what }
        }
        400 if says(body.as_ref(), "check-and-set parameter did not match")
            || says(body.as_ref(), "already in use") =>
        {
            VaultError::Conflict { what }
        }
        429 | 500..=599 => {
            VaultError::Unavailable { what, code: known.map_or_else(|| status.to_string(), str::to_owned) }
        }
        300..=399 => VaultError::refused(
            what,
            "a redirection, which is not followed: name the active server's own address",
        ),
        _ => VaultError::Refused { what, code: known.map_or_else(|| status.to_string(), str::to_owned) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &str) -> VaultError {
        told("writing x", Failure::Answered { status, body: Some(Zeroizing::new(body.to_owned())) })
    }

    #[test]
    fn what_a_server_says_is_told_in_our_words() {
        let what = || "writing x".to_owned();
        let refused = |code: &str| VaultError::Refused { what: what(), code: code.to_owned() };
        let unavailable = |code: &str| VaultError::Unavailable { what: what(), code: code.to_owned() };
        let cas = r#"{"errors":["check-and-set parameter did not match the current version"]}"#;
        for (status, body, told) in [
            (400, cas, VaultError::Conflict { what: what() }),
            (400, r#"{"errors":["path is already in use at a/"]}"#, VaultError::Conflict { what: what() }),
            (400, r#"{"errors":["a-needle"]}"#, refused("400")),
            (
                400,
                r#"{"errors":["invalid role or secret ID"]}"#,
                refused("role id or secret id is wrong, used up or over"),
            ),
            (403, r#"{"errors":["permission denied"]}"#, VaultError::Denied { what: what() }),
            (404, r#"{"errors":[]}"#, VaultError::NotFound { what: what() }),
            (404, r#"{"data":{"data":null}}"#, VaultError::NotFound { what: what() }),
            (404, r#"{"errors":["no handler for route \"a\""]}"#, refused("nothing is mounted there")),
            (404, r#"{"errors":["unsupported path"]}"#, refused("the server knows no such path")),
            (404, r#"{"errors":["a-needle"]}"#, refused("404")),
            (405, "", refused("405")),
            (429, "", unavailable("429")),
            (500, r#"{"errors":["a-needle"]}"#, unavailable("500")),
            (502, "<html>a-needle</html>", unavailable("502")),
            (503, r#"{"errors":["Vault is sealed"]}"#, VaultError::Sealed),
        ] {
            assert_eq!(answered(status, body), told, "{status} {body}");
            assert!(!answered(status, body).to_string().contains("needle"));
        }
        assert!(answered(307, "").to_string().contains("redirection"));
        let unsent = told("writing x", Failure::NotSent).to_string();
        assert!(unsent.contains("not reached"), "{unsent}");
    }

    #[test]
    fn a_token_is_one_line_and_never_printed() {
        for bad in ["", " ", "a b", "a\nb", "a\u{7f}", "ä", &"a".repeat(513)] {
            assert!(Token::new(bad).is_err(), "{bad:?}");
        }
        let token = Token::new(" hvs.a-needle\n").unwrap();
        // EXPOSE: to this test.
        assert_eq!(token.expose(), "hvs.a-needle");
        assert!(!format!("{token:?}").contains("needle"));
    }

    #[test]
    fn a_call_tells_what_and_where_and_never_with_what() {
        let call = Call::merge("a/metadata/b").body(&"a-needle").unwrap().version(Some(3));
        assert_eq!(call.what, "changing a/metadata/b");
        assert_eq!(call.query.as_deref(), Some("version=3"));
        assert!(Call::write("a").repeats && !Call::write_once("a").repeats);
    }
}
