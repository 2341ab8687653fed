//! An HTTP server on loopback that keeps what it is sent: where answers of custom resources, or
//! events that a stack passes on, go in a test. It can be as friendly, as strict or as broken as the
//! test wants it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Full};
pub use hyper::StatusCode;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, HeaderMap, HeaderValue, LOCATION};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};
use tokio::task::JoinSet;

use crate::presigned;

/// What was sent.
#[derive(Clone, Debug)]
pub struct Received {
    /// The method of the request.
    pub method: Method,
    /// Its path, with its query.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// The status that it was answered with, or was to be; none where there was no answer.
    pub status: Option<StatusCode>,
}

impl Received {
    /// The body as JSON.
    ///
    /// # Errors
    ///
    /// When it is something else.
    pub fn json(&self) -> anyhow::Result<serde_json::Value> {
        serde_json::from_slice(&self.body).context("what was received is no JSON")
    }
}

/// What becomes of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reaction {
    /// It is answered with a status.
    Status(StatusCode),
    /// The client is sent elsewhere: with which status, and where.
    Redirect(StatusCode, String),
    /// It is answered as S3 answers a request to a URL that was signed for one PUT without headers.
    LikeS3,
    /// It is not even read: the connection is reset as soon as it stands.
    Reset,
    /// It is read, this much of an answer is sent, and the connection is reset.
    BreakOff(&'static str),
    /// It is read, and never answered for as long as the client stays.
    Stall,
}

/// A server that keeps every request, for as long as this value lives.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    received: AsyncMutex<mpsc::UnboundedReceiver<Received>>,
    manners: Arc<Manners>,
    // Ends the server when it is dropped.
    _server: JoinSet<()>,
}

/// What is done with the connections to come, of which each is one request's.
#[derive(Debug)]
struct Manners {
    next: Mutex<VecDeque<Reaction>>,
    usual: Reaction,
    connections: AtomicUsize,
}

impl Receiver {
    /// Starts on a port that is free now, and answers every request with 200.
    ///
    /// # Errors
    ///
    /// When no port is free.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(Reaction::Status(StatusCode::OK)).await
    }

    /// Starts on a port that is free now, and does this with every request.
    ///
    /// # Errors
    ///
    /// When no port is free.
    pub async fn start_with(usual: Reaction) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no free port")?;
        let address = listener.local_addr()?;
        let (sender, received) = mpsc::unbounded_channel();
        let manners = Arc::new(Manners { next: Mutex::default(), usual, connections: AtomicUsize::new(0) });
        let mut server = JoinSet::new();
        server.spawn(accept(listener, sender, Arc::clone(&manners)));
        Ok(Self { address, received: AsyncMutex::new(received), manners, _server: server })
    }

    /// The URL of a path of this server.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{}", self.address, path.trim_start_matches('/'))
    }

    /// Does this with the requests to come, one after the other, and the usual after them.
    pub fn react(&self, reactions: impl IntoIterator<Item = Reaction>) {
        self.manners.next.lock().unwrap_or_else(PoisonError::into_inner).extend(reactions);
    }

    /// Takes the next request that was not taken before, waiting for it if need be.
    ///
    /// # Errors
    ///
    /// When none comes in time.
    pub async fn next(&self, within: Duration) -> anyhow::Result<Received> {
        let mut received = self.received.lock().await;
        let next = tokio::time::timeout(within, received.recv()).await;
        next.ok().flatten().with_context(|| format!("nothing was received within {within:?}"))
    }

    /// Takes the requests that have come and were not taken before.
    pub async fn so_far(&self) -> Vec<Received> {
        let mut received = self.received.lock().await;
        std::iter::from_fn(|| received.try_recv().ok()).collect()
    }

    /// How many connections there have been, those that were reset included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.manners.connections.load(Ordering::SeqCst)
    }
}

/// Sends a body with PUT, as an answer to CloudFormation is sent, and gives the status.
///
/// # Errors
///
/// When the URL is not plain http, or nobody answers there.
pub async fn put(url: &str, body: impl Into<Bytes>) -> anyhow::Result<StatusCode> {
    let url: Uri = url.parse().context("not a URL")?;
    let authority = url.authority().context("a URL without a host")?;
    let stream = TcpStream::connect(authority.as_str()).await.context("connecting")?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::put(path).header("host", authority.as_str()).body(Full::new(body.into()))?;
    let status = sender.send_request(request).await.context("sending")?.status();
    connection.abort();
    Ok(status)
}

async fn accept(listener: TcpListener, sender: mpsc::UnboundedSender<Received>, manners: Arc<Manners>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        manners.connections.fetch_add(1, Ordering::SeqCst);
        let next = manners.next.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let reaction = next.unwrap_or_else(|| manners.usual.clone());
        connections.spawn(converse(stream, reaction, sender.clone()));
        // Those that have ended are let go.
        while connections.try_join_next().is_some() {}
    }
}

/// Takes one request from a connection.
async fn converse(stream: TcpStream, reaction: Reaction, sender: mpsc::UnboundedSender<Received>) {
    let Ok(host) = stream.local_addr() else { return };
    if reaction == Reaction::Reset {
        reset(stream);
        return;
    }
    let (has_read, read) = oneshot::channel();
    let has_read = Mutex::new(Some(has_read));
    let service = service_fn(|request| {
        let (sender, reaction) = (sender.clone(), reaction.clone());
        let has_read = has_read.lock().unwrap_or_else(PoisonError::into_inner).take();
        async move {
            if let Some(response) = keep(request, &reaction, host, &sender).await {
                return Ok::<_, Infallible>(response);
            }
            let _ = has_read.map(|has_read| has_read.send(()));
            std::future::pending().await
        }
    });
    let mut connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let broken_off = match reaction {
        Reaction::BreakOff(part) => Some(part),
        _ => None,
    };
    tokio::select! {
        // It ends when it is answered, and when the client leaves.
        _ = &mut connection => {}
        Ok(()) = read, if broken_off.is_some() => {
            let mut stream = connection.into_parts().io.into_inner();
            let _ = stream.write_all(broken_off.unwrap_or_default().as_bytes()).await;
            reset(stream);
        }
    }
}

/// Keeps a request, and says what it is answered, if it is.
async fn keep(
    request: Request<Incoming>,
    reaction: &Reaction,
    host: SocketAddr,
    sender: &mpsc::UnboundedSender<Received>,
) -> Option<Response<Full<Bytes>>> {
    let (request, body) = request.into_parts();
    let body = body.collect().await;
    let response = match reaction {
        Reaction::Status(status) => Some(response(*status)),
        Reaction::Redirect(status, location) => {
            let mut response = response(*status);
            if let Ok(location) = HeaderValue::try_from(location) {
                response.headers_mut().insert(LOCATION, location);
            }
            Some(response)
        }
        Reaction::LikeS3 => Some(presigned::verdict(&request, host).map_or_else(
            |fault| {
                response(fault.status).map(|_| format!("<Error><Code>{}</Code></Error>", fault.code).into())
            },
            |()| response(StatusCode::OK),
        )),
        Reaction::Reset | Reaction::BreakOff(_) | Reaction::Stall => None,
    };
    if let Ok(body) = body {
        let _ = sender.send(Received {
            method: request.method,
            path: request.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
            headers: request.headers,
            body: body.to_bytes(),
            status: response.as_ref().map(Response::status),
        });
    }
    response
}

/// A response without a body, after which the connection closes.
fn response(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Ends a connection as one ends whose other side is gone.
fn reset(stream: TcpStream) {
    let _ = stream.set_zero_linger();
    drop(stream);
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    /// Sends a text to a receiver, and gives all that comes back, and whether the end was a reset.
    async fn say(receiver: &Receiver, text: &str) -> (String, bool) {
        let mut stream = TcpStream::connect(receiver.address).await.unwrap();
        let host = receiver.address.to_string();
        // Whoever is reset while it speaks hears of it when it listens.
        let _ = stream.write_all(text.replace("HOST", &host).as_bytes()).await;
        let (mut heard, mut is_reset) = (Vec::new(), false);
        loop {
            match stream.read_buf(&mut heard).await {
                Ok(0) => break,
                Ok(_) => {}
                Err(_) => {
                    is_reset = true;
                    break;
                }
            }
        }
        (String::from_utf8(heard).unwrap(), is_reset)
    }

    const PUT: &str = "PUT /key?Signature=x HTTP/1.1\r\nHost: HOST\r\nContent-Length: 2\r\n\r\n{}";

    #[tokio::test]
    async fn each_reaction_is_what_it_says() {
        let receiver = Receiver::start().await.unwrap();
        receiver.react([
            Reaction::Status(StatusCode::IM_A_TEAPOT),
            Reaction::Redirect(StatusCode::TEMPORARY_REDIRECT, "http://elsewhere.example/".to_owned()),
            Reaction::BreakOff(""),
            Reaction::BreakOff("HTTP/1.1 2"),
            Reaction::LikeS3,
        ]);
        let (heard, _) = say(&receiver, PUT).await;
        assert!(heard.starts_with("HTTP/1.1 418 "), "{heard}");
        let (heard, _) = say(&receiver, PUT).await;
        assert!(heard.starts_with("HTTP/1.1 307 "), "{heard}");
        assert!(heard.contains("location: http://elsewhere.example/\r\n"), "{heard}");
        assert_eq!(say(&receiver, PUT).await, (String::new(), true));
        assert_eq!(say(&receiver, PUT).await, ("HTTP/1.1 2".to_owned(), true));
        for _ in 0..2 {
            let (heard, _) = say(&receiver, PUT).await;
            assert!(heard.starts_with("HTTP/1.1 200 ") && heard.contains("connection: close"), "{heard}");
        }
        let kept = receiver.so_far().await;
        let statuses: Vec<_> =
            kept.iter().map(|request| request.status.map_or(0, |status| status.as_u16())).collect();
        assert_eq!(statuses, [418, 307, 0, 0, 200, 200]);
        assert!(kept.iter().all(|request| request.json().unwrap() == serde_json::json!({})));
        assert_eq!(receiver.connections(), 6);

        // A reset that comes before it is read leaves nothing to keep.
        receiver.react([Reaction::Reset]);
        assert_eq!(say(&receiver, PUT).await.0, "");
        assert_eq!((receiver.so_far().await.len(), receiver.connections()), (0, 7));
    }

    #[tokio::test]
    async fn a_stall_lasts_until_the_client_leaves() {
        let receiver = Receiver::start_with(Reaction::Stall).await.unwrap();
        let mut stream = TcpStream::connect(receiver.address).await.unwrap();
        stream.write_all(PUT.as_bytes()).await.unwrap();
        assert_eq!(receiver.next(SOON).await.unwrap().status, None);
        let silence = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut [0])).await;
        assert!(silence.is_err(), "its side of the connection closed before the client's");
        stream.shutdown().await.unwrap();
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn s3_takes_a_plain_put_and_nothing_else() {
        let receiver = Receiver::start_with(Reaction::LikeS3).await.unwrap();
        let with = |header: &str| PUT.replace("Content-Length", &format!("{header}\r\nContent-Length"));
        for (text, status, code) in [
            (PUT.to_owned(), 200, ""),
            (PUT.replace("Signature", "X-Amz-Signature"), 200, ""),
            (with("Content-Type: "), 200, ""),
            (with("Content-Type: application/json"), 403, "SignatureDoesNotMatch"),
            (PUT.replace("HOST", "elsewhere.example"), 403, "SignatureDoesNotMatch"),
            (PUT.replace("Signature=x", "Signature="), 403, "AccessDenied"),
            (PUT.replace("?Signature=x", ""), 403, "AccessDenied"),
            (with("x-amz-acl: public-read"), 403, "AccessDenied"),
            (with("Authorization: AWS x:y"), 400, "InvalidArgument"),
            (PUT.replace("Content-Length: 2\r\n\r\n{}", "\r\n"), 411, "MissingContentLength"),
            (
                PUT.replace(
                    "Content-Length: 2\r\n\r\n{}",
                    "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
                ),
                501,
                "NotImplemented",
            ),
            (PUT.replace("PUT", "POST"), 405, "MethodNotAllowed"),
            (PUT.replace("PUT", "GET"), 405, "MethodNotAllowed"),
        ] {
            let (heard, _) = say(&receiver, &text).await;
            assert!(heard.starts_with(&format!("HTTP/1.1 {status} ")), "{text}: {heard}");
            let ends =
                if code.is_empty() { "\r\n\r\n".to_owned() } else { format!("<Code>{code}</Code></Error>") };
            assert!(heard.ends_with(&ends), "{text}: {heard}");
            assert_eq!(receiver.next(SOON).await.unwrap().status.unwrap().as_u16(), status, "{text}");
        }
    }

    #[tokio::test]
    async fn our_own_put_is_taken() {
        let receiver = Receiver::start_with(Reaction::LikeS3).await.unwrap();
        assert_eq!(put(&receiver.url("key?Signature=x"), "{}").await.unwrap(), StatusCode::OK);
        assert_eq!(receiver.next(SOON).await.unwrap().headers[hyper::header::CONTENT_LENGTH], "2");
    }
}
