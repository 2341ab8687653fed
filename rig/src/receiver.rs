//! An HTTP server on loopback that keeps what it is sent: where answers of custom resources, or
//! events that a stack passes on, go in a test.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio::task::JoinHandle;

/// What was sent.
#[derive(Clone, Debug)]
pub struct Received {
    /// The method of the request.
    pub method: Method,
    /// Its path, with its query.
    pub path: String,
    /// Its body.
    pub body: Bytes,
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

/// How a request is answered.
#[derive(Clone, Copy, Debug)]
pub struct Reaction {
    /// With which status.
    pub status: StatusCode,
    /// After how long.
    pub delay: Duration,
}

impl Default for Reaction {
    fn default() -> Self {
        Self { status: StatusCode::OK, delay: Duration::ZERO }
    }
}

/// A server that keeps every request, for as long as this value lives.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    received: AsyncMutex<mpsc::UnboundedReceiver<Received>>,
    reactions: Arc<Mutex<VecDeque<Reaction>>>,
    task: JoinHandle<()>,
}

impl Receiver {
    /// Starts on a port that is free now, and answers every request with 200 at once.
    ///
    /// # Errors
    ///
    /// When no port is free.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no free port")?;
        let address = listener.local_addr()?;
        let (sender, received) = mpsc::unbounded_channel();
        let reactions = Arc::<Mutex<VecDeque<Reaction>>>::default();
        let task = tokio::spawn(accept(listener, sender, Arc::clone(&reactions)));
        Ok(Self { address, received: AsyncMutex::new(received), reactions, task })
    }

    /// The URL of a path of this server.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{}", self.address, path.trim_start_matches('/'))
    }

    /// Answers the requests to come like this, one after the other, and 200 at once after them.
    pub fn react(&self, reactions: impl IntoIterator<Item = Reaction>) {
        self.reactions.lock().unwrap_or_else(PoisonError::into_inner).extend(reactions);
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
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
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

async fn accept(
    listener: TcpListener,
    sender: mpsc::UnboundedSender<Received>,
    reactions: Arc<Mutex<VecDeque<Reaction>>>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (sender, reactions) = (sender.clone(), Arc::clone(&reactions));
        let service = service_fn(move |request| keep(request, sender.clone(), Arc::clone(&reactions)));
        tokio::spawn(
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
        );
    }
}

async fn keep(
    request: Request<Incoming>,
    sender: mpsc::UnboundedSender<Received>,
    reactions: Arc<Mutex<VecDeque<Reaction>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let method = request.method().clone();
    let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let reaction = reactions.lock().unwrap_or_else(PoisonError::into_inner).pop_front().unwrap_or_default();
    if let Ok(body) = request.into_body().collect().await {
        let _ = sender.send(Received { method, path, body: body.to_bytes() });
    }
    tokio::time::sleep(reaction.delay).await;
    let mut response = Response::new(Full::default());
    *response.status_mut() = reaction.status;
    Ok(response)
}
