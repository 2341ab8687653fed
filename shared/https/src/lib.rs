//! The way out: HTTPS under roots that are compiled in.
//!
//! What goes to AWS and what answers CloudFormation leave through the same [`Connector`] and the same
//! [`Client`], so that a program carries HTTP over TLS once, and one list of roots. No file and no
//! variable of the environment can add a root, no proxy is asked, and HTTP/1.1 alone is spoken. It knows
//! nothing of what is sent.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::Full;
use hyper::Uri;
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::crypto::ring;
use tokio::time::timeout;
use tower_service::Service;

pub use rustls::Error as TlsError;

/// A client of requests whose bodies are in memory.
pub type Client = legacy::Client<Connector, Full<Bytes>>;

/// Opens connections, each within a limit.
#[derive(Clone, Debug)]
pub struct Connector {
    inner: Inner,
    limit: Duration,
}

/// What may be connected to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Schemes {
    Https,
    #[cfg(feature = "plain")]
    HttpToo,
}

type Inner = HttpsConnector<HttpConnector>;
type Opening = Pin<Box<dyn Future<Output = Result<<Inner as Service<Uri>>::Response, Fault>> + Send>>;
type Fault = Box<dyn Error + Send + Sync>;

impl Connector {
    /// A connector to `https` URLs and to nothing else. The limit is for looking up the host, TCP and TLS
    /// together; an error has [`tokio::time::error::Elapsed`] among its sources when it has passed.
    ///
    /// # Errors
    ///
    /// When TLS cannot be set up.
    pub fn new(limit: Duration) -> Result<Self, TlsError> {
        Self::to(Schemes::Https, limit)
    }

    /// The same, to `http` URLs as well.
    ///
    /// # Errors
    ///
    /// As [`Connector::new`].
    #[cfg(feature = "plain")]
    pub fn plain_too(limit: Duration) -> Result<Self, TlsError> {
        Self::to(Schemes::HttpToo, limit)
    }

    fn to(schemes: Schemes, limit: Duration) -> Result<Self, TlsError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let with_tls =
            HttpsConnectorBuilder::new().with_provider_and_webpki_roots(ring::default_provider())?;
        let with_schemes = match schemes {
            Schemes::Https => with_tls.https_only(),
            #[cfg(feature = "plain")]
            Schemes::HttpToo => with_tls.https_or_http(),
        };
        Ok(Self { inner: with_schemes.enable_http1().wrap_connector(tcp), limit })
    }
}

impl Service<Uri> for Connector {
    type Response = <Inner as Service<Uri>>::Response;
    type Error = Fault;
    type Future = Opening;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Opening {
        let (opening, limit) = (self.inner.call(uri), self.limit);
        Box::pin(async move { timeout(limit, opening).await? })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;
    use tokio::time::error::Elapsed;

    use super::*;

    /// What a connector says first to a socket that never answers, and why it fails.
    async fn first_words(connector: Result<Connector, TlsError>, origin: &str) -> (Vec<u8>, Fault) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("{origin}:{}", listener.local_addr().unwrap().port()).parse().unwrap();
        let listening = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = vec![0; 4096];
            let length = stream.read(&mut heard).await.unwrap();
            heard.truncate(length);
            let _ = stream.read(&mut [0]).await;
            heard
        };
        let mut connector = connector.unwrap();
        tokio::select! {
            biased;
            opened = connector.call(uri) => (Vec::new(), opened.err().unwrap()),
            heard = listening => (heard, "the connector went away".into()),
        }
    }

    #[tokio::test]
    async fn a_handshake_that_stands_still_ends_with_the_limit() {
        let limit = Duration::from_millis(50);
        let (_, fault) = first_words(Connector::new(limit), "https://localhost").await;
        assert!(fault.is::<Elapsed>(), "{fault}");
    }

    #[tokio::test]
    async fn plain_http_is_refused_before_anything_is_said() {
        let limit = Duration::from_secs(10);
        let (heard, fault) = first_words(Connector::new(limit), "http://127.0.0.1").await;
        assert!(heard.is_empty() && !fault.is::<Elapsed>(), "{fault}");
    }
}
