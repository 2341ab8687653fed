//! The way to CloudFormation: one PUT, tried until it is taken or there is no time left.

use std::sync::OnceLock;

use http_body_util::Full;
use https::{Client, Connector, TlsError};
use hyper::body::Bytes;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;

use crate::deadline::Deadline;
use crate::response_url::ResponseUrl;
use crate::retrying::{TRY_TIMEOUT, until_taken};

/// The most that is buffered of a response. Only its status matters: its body is never read.
const MAX_RESPONSE_HEAD: usize = 16 * 1024;

/// Sends answers.
///
/// An answer is a PUT to a pre-signed URL of S3. It is https under roots that are compiled in, so
/// no file or variable of the environment can add one; it goes through no proxy and follows no
/// redirect. The content type is sent empty, since CloudFormation signs the URL so: AWS's own code, on
/// the page "`cfn-response` module" in the CloudFormation user guide, does the same.
///
/// What may pass is tried again, with growing pauses of random length, until the deadline: a host
/// that cannot be found or reached, a connection that breaks, a try that takes longer than 2 seconds,
/// and the statuses 408, 429 and 500 to 599. Sending the same answer twice does no harm, for it
/// overwrites itself. Any other status is final: a 403 says that the URL has expired or is not
/// valid, a 400 that S3 does not understand the request, a 3xx would lead elsewhere, and none of
/// them becomes another by repetition.
///
/// The client inside is made when it is first needed, as most of a cold start's time is not to be
/// spent on it; no connection outlives its try, since the process may be frozen after it.
#[derive(Debug, Default)]
pub struct Responder {
    client: OnceLock<Client>,
}

/// Why an answer did not arrive. It never holds the URL.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DeliveryFault {
    /// There was no time left to try even once.
    #[error("there was no time left")]
    NoTime,
    /// No TLS client could be made.
    #[error("no TLS client could be made")]
    NoClient,
    /// The host was not found or not reached, or did not prove that it is the host.
    #[error("no connection")]
    NoConnection,
    /// The connection broke, or what came back was no HTTP response.
    #[error("the connection broke")]
    ConnectionLost,
    /// No response came in time.
    #[error("no response in time")]
    TimedOut,
    /// The response had a status that takes no answer.
    #[error("HTTP status {0}")]
    Status(u16),
}

impl DeliveryFault {
    /// Whether trying again is pointless.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::NoClient => true,
            Self::Status(status) => !matches!(status, 408 | 429 | 500..=599),
            Self::NoTime | Self::NoConnection | Self::ConnectionLost | Self::TimedOut => false,
        }
    }
}

/// An answer that did not arrive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Undelivered {
    pub(crate) fault: DeliveryFault,
    pub(crate) tries: u32,
}

impl Responder {
    /// A responder that has not made its client yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends an answer, and tells how many tries that took.
    pub(crate) async fn deliver(
        &self,
        url: ResponseUrl,
        body: Vec<u8>,
        deadline: Deadline,
    ) -> Result<u32, Undelivered> {
        let never_tried = Undelivered { fault: DeliveryFault::NoClient, tries: 0 };
        let client = self.client().map_err(|_| never_tried)?;
        let uri = url.into_uri().map_err(|_| never_tried)?;
        let body = Bytes::from(body);
        until_taken(deadline.for_sending(), || put(client, &uri, &body)).await
    }

    fn client(&self) -> Result<&Client, TlsError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = make_client()?;
        Ok(self.client.get_or_init(|| client))
    }
}

async fn put(client: &Client, uri: &Uri, body: &Bytes) -> Result<(), DeliveryFault> {
    let mut request = Request::new(Full::new(body.clone()));
    *request.method_mut() = Method::PUT;
    *request.uri_mut() = uri.clone();
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(""));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    // The response is dropped with its body unread, and the connection with it.
    match client.request(request).await.map(|response| response.status()) {
        Ok(status) if status.is_success() => Ok(()),
        Ok(status) => Err(DeliveryFault::Status(StatusCode::as_u16(&status))),
        Err(error) if error.is_connect() => Err(DeliveryFault::NoConnection),
        Err(_) => Err(DeliveryFault::ConnectionLost),
    }
}

fn make_client() -> Result<Client, TlsError> {
    #[cfg(not(feature = "local"))]
    let connector = Connector::new(TRY_TIMEOUT)?;
    #[cfg(feature = "local")]
    let connector = Connector::plain_too(TRY_TIMEOUT)?;
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    builder.pool_max_idle_per_host(0).retry_canceled_requests(false).http1_max_buf_size(MAX_RESPONSE_HEAD);
    Ok(builder.build(connector))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for status in [408, 429, 500, 502, 503, 504, 599] {
            assert!(!DeliveryFault::Status(status).is_final(), "{status}");
        }
        for status in [101, 300, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 411, 412, 413] {
            assert!(DeliveryFault::Status(status).is_final(), "{status}");
        }
    }

    /// What a client says first to a socket that hangs up on it, and what becomes of its request.
    async fn first_words(origin: &str) -> (Vec<u8>, Result<(), DeliveryFault>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let listening = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = vec![0; 4096];
            let length = stream.read(&mut heard).await.unwrap();
            heard.truncate(length);
            heard
        });
        let responder = Responder::new();
        let uri = format!("{origin}:{port}/key?Signature=canary").parse().unwrap();
        let sent = put(responder.client().unwrap(), &uri, &Bytes::from_static(b"canary")).await;
        let heard = timeout(Duration::from_millis(200), listening).await;
        (heard.map(Result::unwrap).unwrap_or_default(), sent)
    }

    #[tokio::test]
    async fn https_begins_with_a_handshake_and_sends_nothing_without_one() {
        let (heard, sent) = first_words("https://localhost").await;
        assert_eq!(sent, Err(DeliveryFault::NoConnection));
        // A TLS record of type handshake (RFC 8446, section 5.1), with the name of the host that is to
        // prove itself.
        assert_eq!(heard[..2], [0x16, 0x03]);
        assert!(heard.windows(9).any(|window| window == b"localhost"));
        assert!(!heard.windows(6).any(|window| window == b"canary"));
    }

    /// The second wall behind the check of the URL.
    #[cfg(not(feature = "local"))]
    #[tokio::test]
    async fn plain_http_is_beyond_the_client() {
        let (heard, sent) = first_words("http://127.0.0.1").await;
        assert_eq!(sent, Err(DeliveryFault::NoConnection));
        assert!(heard.is_empty());
    }
}
