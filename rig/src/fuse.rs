//! What stands before OpenBao and breaks the connection at the request that a test names, as a client's own
//! death or a network does: before the server has heard of it, or after it has answered.
//!
//! It speaks TLS with the server's own certificate, so a client is told another port and nothing else. It keeps
//! which requests came, never what was in them.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::http::Kept;
use crate::openbao::OpenBao;
use crate::{service, tls};

/// When the fuse burns; requests are counted from one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Burn {
    /// It never does, and only counts.
    Never,
    /// At this request, of which the server never hears.
    Before(usize),
    /// At this request, once the server has answered it; the client gets no answer.
    After(usize),
}

/// A fuse before a server, for as long as the value lives. Once burnt it lets nothing through any more.
#[derive(Debug)]
pub struct Fuse {
    port: u16,
    line: Arc<Line>,
    /// Ends the thread when it is dropped.
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What its connections have in common.
#[derive(Debug)]
struct Line {
    burn: Burn,
    state: Mutex<State>,
    has_burnt: Notify,
    port_behind: u16,
    authority: PathBuf,
}

#[derive(Debug, Default)]
struct State {
    requests: Vec<String>,
    is_burnt: bool,
}

impl Fuse {
    /// Puts a fuse before a server. It has a thread of its own: whoever waits for a program keeps nobody else.
    ///
    /// # Errors
    ///
    /// When no port is free, or the server's certificate cannot be read.
    pub fn start(server: &OpenBao, burn: Burn) -> anyhow::Result<Self> {
        let port = service::free_port()?;
        let acceptor = tls::acceptor(&server.identity())?;
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let line = Arc::new(Line {
            burn,
            state: Mutex::default(),
            has_burnt: Notify::new(),
            port_behind: server.port(),
            authority: server.ca_file(),
        });
        let (end, ended) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let on_line = Arc::clone(&line);
        let thread = std::thread::Builder::new().name("fuse".to_owned()).spawn(move || {
            runtime.block_on(async {
                let Ok(listener) = TcpListener::from_std(listener) else { return };
                tokio::select! {
                    () = accept(listener, acceptor, on_line) => {}
                    _ = ended => {}
                }
            });
        });
        Ok(Self { port, line, end: Some(end), thread: Some(thread.context("starting a thread")?) })
    }

    /// Its address, which a client is told in the server's place.
    #[must_use]
    pub fn address(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The port of that address.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Method and path of every request that came, the one that it burnt at included.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.line.state().requests.clone()
    }

    /// Whether it has burnt.
    #[must_use]
    pub fn is_burnt(&self) -> bool {
        self.line.state().is_burnt
    }
}

impl Drop for Fuse {
    fn drop(&mut self) {
        drop(self.end.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Line {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request, and gives its number unless it is not to be heard of.
    fn let_in(&self, request: &Request<Incoming>) -> Option<usize> {
        let mut state = self.state();
        if state.is_burnt {
            return None;
        }
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        state.requests.push(format!("{} {path}", request.method()));
        let number = state.requests.len();
        if self.burn == Burn::Before(number) {
            self.burn_out(state);
            return None;
        }
        Some(number)
    }

    /// Whether the answer to a request is let out.
    fn lets_out(&self, number: usize) -> bool {
        let state = self.state();
        let is_let_out = !state.is_burnt && self.burn != Burn::After(number);
        if !state.is_burnt && !is_let_out {
            self.burn_out(state);
        }
        is_let_out
    }

    fn burn_out(&self, mut state: std::sync::MutexGuard<'_, State>) {
        state.is_burnt = true;
        drop(state);
        self.has_burnt.notify_waiters();
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, line: Arc<Line>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(converse(stream, acceptor.clone(), Arc::clone(&line)));
        // Those that have ended are let go.
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(stream: TcpStream, acceptor: TlsAcceptor, line: Arc<Line>) {
    let mut burns = std::pin::pin!(line.has_burnt.notified());
    // From here on nothing that happens is missed.
    burns.as_mut().enable();
    // Whatever the client is in the midst of, it gets no orderly end.
    if line.state().is_burnt || stream.set_zero_linger().is_err() {
        return;
    }
    let talk = async {
        let Ok(stream) = acceptor.accept(stream).await else { return };
        let behind = Mutex::new(None);
        let service = service_fn(|request| answer(request, &line, &behind));
        let mut connection = hyper::server::conn::http1::Builder::new();
        let _ = connection.keep_alive(true).serve_connection(TokioIo::new(stream), service).await;
    };
    tokio::select! {
        () = talk => {}
        () = burns => {}
    }
}

/// Passes a request on, and the answer back; never answers once the fuse has burnt.
async fn answer(
    request: Request<Incoming>,
    line: &Line,
    behind: &Mutex<Option<Kept>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let Some(number) = line.let_in(&request) else { return std::future::pending().await };
    let answer = pass_on(request, line, behind).await.unwrap_or_else(|_| {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        response
    });
    if line.lets_out(number) { Ok(answer) } else { std::future::pending().await }
}

async fn pass_on(
    request: Request<Incoming>,
    line: &Line,
    behind: &Mutex<Option<Kept>>,
) -> anyhow::Result<Response<Full<Bytes>>> {
    let (mut head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    for name in [CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH] {
        head.headers.remove(name);
    }
    // A client asks one thing after the other on a connection, and so does what asks for it behind.
    let kept = behind.lock().unwrap_or_else(PoisonError::into_inner).take();
    let mut to_server = match kept.filter(Kept::is_open) {
        Some(kept) => kept,
        None => Kept::over(tls::connect(line.port_behind, &line.authority).await?).await?,
    };
    let (mut head, body) = to_server.exchange(Request::from_parts(head, Full::new(body))).await?;
    *behind.lock().unwrap_or_else(PoisonError::into_inner) = Some(to_server);
    for name in [CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH] {
        head.headers.remove(name);
    }
    Ok(Response::from_parts(head, Full::new(body)))
}

#[cfg(test)]
mod tests {
    use hyper::Method;
    use serde_json::{Value, json};

    use super::*;
    use crate::openbao::{Answer, Ready};
    use crate::python::Venv;

    async fn ready() -> Ready {
        let ready = Ready::start(&Venv::onprem().unwrap()).await.unwrap();
        let mount = json!({ "type": "kv-v2" });
        ready.call(Method::POST, "sys/mounts/kept", Some(&mount)).await.unwrap().accepted().unwrap();
        ready
    }

    /// Puts a text by way of a fuse.
    async fn put(ready: &Ready, fuse: &Fuse, name: &str) -> anyhow::Result<Answer> {
        let body = json!({ "options": { "cas": 0 }, "data": { "value": name } });
        let path = format!("kept/data/{name}");
        ready.server.call_by(fuse.port(), Method::POST, &path, Some(&ready.root_token), Some(&body)).await
    }

    async fn kept(ready: &Ready) -> Vec<String> {
        let list = ready.call(Method::from_bytes(b"LIST").unwrap(), "kept/metadata", None).await.unwrap();
        let keys = list.body["data"]["keys"].as_array().cloned().unwrap_or_default();
        keys.iter().map(|key| key.as_str().unwrap_or_default().to_owned()).collect()
    }

    #[tokio::test]
    async fn it_burns_at_the_request_that_is_asked_for_and_nothing_passes_after() {
        let ready = ready().await;
        for (burn, is_heard_of) in [(Burn::Before(2), false), (Burn::After(2), true)] {
            let fuse = Fuse::start(&ready.server, burn).unwrap();
            let names = [1, 2, 3].map(|number| format!("{burn:?}-{number}").replace(['(', ')'], ""));
            assert_eq!(put(&ready, &fuse, &names[0]).await.unwrap().status, StatusCode::OK);
            assert!(!fuse.is_burnt());
            for name in &names[1..] {
                assert!(put(&ready, &fuse, name).await.is_err(), "{burn:?} let {name} through");
            }
            assert!(fuse.is_burnt());
            let asked: Vec<_> = names[..2].iter().map(|name| format!("POST /v1/kept/data/{name}")).collect();
            assert_eq!(fuse.requests(), asked);
            let kept = kept(&ready).await;
            assert_eq!(
                names.clone().map(|name| kept.contains(&name)),
                [true, is_heard_of, false],
                "{burn:?}"
            );
        }
    }

    #[tokio::test]
    async fn whoever_has_a_connection_loses_it_when_another_burns_the_fuse() {
        let ready = ready().await;
        let fuse = Fuse::start(&ready.server, Burn::Before(1)).unwrap();
        let mut idle = tls::connect(fuse.port(), &ready.server.ca_file()).await.unwrap();
        assert!(put(&ready, &fuse, "one").await.is_err());
        let end = tokio::io::AsyncReadExt::read(&mut idle, &mut [0]).await;
        assert!(end.is_err(), "the connection ended in an orderly way: {end:?}");
    }

    #[tokio::test]
    async fn without_burning_it_passes_on_what_comes_and_what_is_answered() {
        let ready = ready().await;
        let fuse = Fuse::start(&ready.server, Burn::Never).unwrap();
        assert_eq!(put(&ready, &fuse, "one").await.unwrap().status, StatusCode::OK);
        assert_eq!(put(&ready, &fuse, "one").await.unwrap().status, StatusCode::BAD_REQUEST);
        let token = Some(ready.root_token.as_str());
        let path = "kept/data/one?version=1";
        let by = ready.server.call_by(fuse.port(), Method::GET, path, token, None).await.unwrap();
        let straight = ready.call(Method::GET, path, None).await.unwrap();
        let data = |answer: &Answer| -> Value { answer.body["data"].clone() };
        assert_eq!((by.status, data(&by)), (straight.status, data(&straight)));
        assert_eq!(data(&by)["data"], json!({ "value": "one" }));
        assert_eq!(fuse.requests().last().unwrap(), "GET /v1/kept/data/one?version=1");
        assert!(!fuse.is_burnt());
    }
}
