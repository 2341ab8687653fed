//! What applications, and those who run a node, ask of it over HTTP/1.1.
//!
//! | port | request | who | answer |
//! |---|---|---|---|
//! | both | `GET /ping` | anybody | `pong`; 503 until the node has been at its database, if it has one |
//! | SDK | `GET /status` | anybody | [`Status`](crate::Status) |
//! | SDK | `POST /call` | a key of `Authentication.APIKeys` | [`Called`](crate::Called) |
//! | management | `GET /health` | a key of `ManagementServer.APIKeys` that may `HEALTH` | `healthy` |
//!
//! A key is the whole of `Authorization` behind `APIKEY` or `Bearer`. No answer repeats it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::listening;
use crate::node::Node;

/// How long requests that have arrived may take once the node is asked to end.
const LAST_ANSWERS: Duration = Duration::from_millis(300);

/// Whose requests a port is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Interface {
    Sdk,
    Management,
}

/// Answers requests until the other end of `stopped` is gone; those that have arrived by then get
/// their answers, if that does not take long.
pub(crate) async fn serve(
    listener: TcpListener,
    interface: Interface,
    node: Arc<Node>,
    mut stopped: watch::Receiver<()>,
) {
    let mut connections = JoinSet::new();
    let graceful = GracefulShutdown::new();
    loop {
        let stream = tokio::select! {
            stream = listening::next(&listener) => stream,
            _ = stopped.changed() => break,
        };
        while connections.try_join_next().is_some() {}
        let node = Arc::clone(&node);
        let service = service_fn(move |request| {
            let node = Arc::clone(&node);
            async move { Ok::<_, Infallible>(answer(interface, &node, &request).await) }
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        // A client that goes away is no fault of the node.
        connections.spawn(graceful.watch(connection));
    }
    drop(listener);
    let _ = timeout(LAST_ANSWERS, graceful.shutdown()).await;
}

async fn answer(interface: Interface, node: &Node, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let key = bearer(request).unwrap_or_default();
    match (interface, request.method(), request.uri().path()) {
        (_, &Method::GET, "/ping") if node.has_been_at_its_database() => text(StatusCode::OK, "pong"),
        (_, &Method::GET, "/ping") => {
            text(StatusCode::SERVICE_UNAVAILABLE, "the node has not been at its database yet")
        }
        (Interface::Sdk, &Method::GET, "/status") => json(&node.status()),
        (Interface::Sdk, &Method::POST, "/call") if node.admitted().accepts(key) => json(&node.call().await),
        (Interface::Management, &Method::GET, "/health") if node.admitted().permits(key, "HEALTH") => {
            text(StatusCode::OK, "healthy")
        }
        (Interface::Sdk, &Method::POST, "/call") | (Interface::Management, &Method::GET, "/health") => {
            text(StatusCode::UNAUTHORIZED, "this key is not accepted")
        }
        _ => text(StatusCode::NOT_FOUND, "there is nothing here"),
    }
}

/// The key that a request bears.
fn bearer(request: &Request<Incoming>) -> Option<&str> {
    let (scheme, key) = request.headers().get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    ["APIKEY", "Bearer"].iter().any(|known| known.eq_ignore_ascii_case(scheme)).then_some(key)
}

fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

fn json(answer: &impl Serialize) -> Response<Full<Bytes>> {
    match serde_json::to_vec(answer) {
        Ok(answer) => {
            let mut response = Response::new(Full::from(answer));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be written"),
    }
}
