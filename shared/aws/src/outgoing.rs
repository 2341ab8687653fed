//! The SDK's way to the network.
//!
//! The SDK has a client for HTTP of its own. It brings HTTP/2 along, proxies and the system's roots, and
//! none of them can be left out, though nothing here uses them: a tenth of a function's archive. This one
//! goes through [`https`], as answers to CloudFormation do. It limits times as the SDK's settings say,
//! and tells failures as the SDK's own does, for what is tried again follows from that.

use std::error::Error;
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use aws_smithy_runtime_api::client::connection::{CaptureSmithyConnection, ConnectionMetadata};
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::ErrorKind;
use http_body_util::{BodyExt as _, Full};
use https::{Client, Connector, TlsError};
use hyper::Request;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

/// How long connecting may take where the SDK sets no limit. It always does.
const CONNECT: Duration = Duration::from_secs(3);

/// The way to AWS, or to the emulator that a local build was told of.
pub(crate) fn client_to(#[cfg(feature = "local")] endpoint: Option<&str>) -> SharedHttpClient {
    #[cfg(feature = "local")]
    if endpoint.is_some() {
        return plain_too();
    }
    https()
}

/// A client that trusts Mozilla's roots as compiled in, and neither the system's store nor a file that an
/// environment variable names. It takes no proxy, and `https` alone.
fn https() -> SharedHttpClient {
    through(Connector::new)
}

/// The same, which takes `http` as well.
#[cfg(any(feature = "local", feature = "reading"))]
pub(crate) fn plain_too() -> SharedHttpClient {
    through(Connector::plain_too)
}

fn through(connector: Connecting) -> SharedHttpClient {
    SharedHttpClient::new(Outgoing { connector, ways: Mutex::default() })
}

type Connecting = fn(Duration) -> Result<Connector, TlsError>;

/// One [`Way`] for each pair of limits, and so one pool of connections: the services share it.
struct Outgoing {
    connector: Connecting,
    ways: Mutex<Vec<(Limits, SharedHttpConnector)>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Limits {
    connect: Option<Duration>,
    /// Until the head of the response is there.
    read: Option<Duration>,
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").finish_non_exhaustive()
    }
}

impl HttpClient for Outgoing {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let limits = Limits { connect: settings.connect_timeout(), read: settings.read_timeout() };
        let mut ways = self.ways.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((_, way)) = ways.iter().find(|(of, _)| *of == limits) {
            return way.clone();
        }
        let client = client(self.connector, limits.connect.unwrap_or(CONNECT));
        let way = SharedHttpConnector::new(Way { client, read: limits.read });
        ways.push((limits, way.clone()));
        way
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        Some(ConnectorMetadata::new("hyper", Some("1.x".into())))
    }
}

fn client(connector: Connecting, limit: Duration) -> Client {
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    // Without a timer no idle connection is ever closed.
    builder.pool_timer(TokioTimer::new());
    builder.build(connector(limit).expect("the TLS library's own defaults are accepted by it"))
}

#[derive(Debug)]
struct Way {
    client: Client,
    read: Option<Duration>,
}

impl HttpConnector for Way {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(send(self.client.clone(), request, self.read))
    }
}

async fn send(
    client: Client,
    request: HttpRequest,
    read: Option<Duration>,
) -> Result<HttpResponse, ConnectorError> {
    let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
    let (head, body) = request.into_parts();
    // It is in memory and in one piece, which is handed on.
    let body = body.collect().await.map_err(ConnectorError::user)?.to_bytes();
    let mut request = Request::from_parts(head, Full::new(body));
    let captured = capture_connection(&mut request);
    if let Some(capture) = request.extensions().get::<CaptureSmithyConnection>() {
        capture.set_connection_retriever(move || connection(&captured));
    }
    let answer = client.request(request);
    let answer = match read {
        Some(limit) => timeout(limit, answer).await.map_err(|late| ConnectorError::timeout(late.into()))?,
        None => answer.await,
    };
    HttpResponse::try_from(answer.map_err(told)?.map(SdkBody::from_body_1_x))
        .map_err(|error| ConnectorError::other(error.into(), None))
}

/// The connection that a request went over, which the SDK has closed after an error that may pass.
fn connection(captured: &CaptureConnection) -> Option<ConnectionMetadata> {
    captured.connection_metadata().as_ref()?;
    let captured = captured.clone();
    let poison = move || {
        if let Some(connected) = captured.connection_metadata().as_ref() {
            connected.poison();
        }
    };
    Some(ConnectionMetadata::builder().proxied(false).poison_fn(poison).build())
}

/// What failed, by what the SDK does next: what timed out or broke is tried again, and so is a connection
/// that ended before the response did. What is wrong with the request itself is not.
fn told(error: legacy::Error) -> ConnectorError {
    if source::<Elapsed>(&error).is_some() {
        return ConnectorError::timeout(error.into());
    }
    match source::<hyper::Error>(&error) {
        Some(fault) if fault.is_timeout() => ConnectorError::timeout(error.into()),
        Some(fault) if fault.is_user() => ConnectorError::user(error.into()),
        Some(fault)
            if fault.is_closed() || fault.is_canceled() || source::<std::io::Error>(fault).is_some() =>
        {
            ConnectorError::io(error.into())
        }
        Some(fault) if fault.is_incomplete_message() => {
            ConnectorError::other(error.into(), Some(ErrorKind::TransientError))
        }
        None if error.is_connect() || source::<std::io::Error>(&error).is_some() => {
            ConnectorError::io(error.into())
        }
        _ => ConnectorError::other(error.into(), None),
    }
}

/// The first of a kind among an error and its sources.
fn source<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |&error| error.source()).find_map(|error| error.downcast_ref())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(100);

    fn request(origin: &str, port: u16) -> HttpRequest {
        let mut request = HttpRequest::new(SdkBody::from("{}"));
        request.set_method("POST").unwrap();
        request.set_uri(format!("{origin}:{port}/")).unwrap();
        request
    }

    /// What comes of a request to a socket that takes what is said, answers so, and hangs up if it should.
    async fn sent(
        connector: Connecting,
        origin: &str,
        answer: &str,
        hangs_up: bool,
    ) -> Result<HttpResponse, ConnectorError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let listening = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = Vec::new();
            while !heard.ends_with(b"{}") {
                assert_ne!(stream.read_buf(&mut heard).await.unwrap(), 0);
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            // Dropped at once, or never.
            let kept = (!hangs_up).then_some(stream);
            std::future::pending::<()>().await;
            drop(kept);
        };
        tokio::select! {
            answer = send(client(connector, LIMIT), request(origin, port), Some(LIMIT * 5)) => answer,
            () = listening => unreachable!("it never ends"),
        }
    }

    #[cfg(any(feature = "local", feature = "reading"))]
    #[tokio::test]
    async fn an_answer_is_handed_on_with_its_body() {
        let answer = "HTTP/1.1 400 Bad Request\r\nx-amzn-requestid: 1\r\ncontent-length: 2\r\n\r\n[]";
        let answer = sent(Connector::plain_too, "http://127.0.0.1", answer, false).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers().get("x-amzn-requestid")), (400, Some("1")));
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes().as_ref(), b"[]");
    }

    #[cfg(any(feature = "local", feature = "reading"))]
    #[tokio::test]
    async fn what_may_pass_is_told_so_that_it_is_tried_again() {
        let late = sent(Connector::plain_too, "http://127.0.0.1", "", false).await.unwrap_err();
        assert!(late.is_timeout(), "{late:?}");
        let broken = sent(Connector::plain_too, "http://127.0.0.1", "", true).await.unwrap_err();
        assert_eq!(broken.as_other(), Some(ErrorKind::TransientError), "{broken:?}");
    }

    #[tokio::test]
    async fn a_handshake_that_stands_still_is_a_timeout() {
        let late = sent(Connector::new, "https://localhost", "", false).await.unwrap_err();
        assert!(late.is_timeout(), "{late:?}");
    }

    #[tokio::test]
    async fn where_nobody_listens_it_may_pass_as_well() {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let refused = send(client(Connector::new, LIMIT), request("https://127.0.0.1", port), None).await;
        assert!(refused.unwrap_err().is_io());
    }

    #[tokio::test]
    async fn plain_http_is_beyond_the_client() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let request = request("http://127.0.0.1", listener.local_addr().unwrap().port());
        assert!(send(client(Connector::new, LIMIT), request, None).await.unwrap_err().is_io());
        assert!(timeout(LIMIT, listener.accept()).await.is_err());
    }
}
