//! One request on one connection: what the rig asks servers by whose clients are under test.

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use hyper::http::response::Parts;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;

/// Sends a request, and gives the status and the body of its answer.
pub(crate) async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<(StatusCode, Bytes)> {
    Kept::over(stream).await?.send(request).await
}

/// A connection for one request after the other: most of a request's time goes into making one. It ends with
/// the value.
#[derive(Debug)]
pub(crate) struct Kept {
    sender: SendRequest<Full<Bytes>>,
    connection: JoinHandle<hyper::Result<()>>,
}

impl Kept {
    pub(crate) async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> anyhow::Result<Self> {
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, connection: tokio::spawn(connection) })
    }

    /// Whether the other side has not ended it, as far as is known by now.
    pub(crate) fn is_open(&self) -> bool {
        self.sender.is_ready()
    }

    /// Sends a request, and gives the status and the body of its answer.
    pub(crate) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let (head, body) = self.exchange(request).await?;
        Ok((head.status, body))
    }

    /// Sends a request, and gives the head and the body of its answer.
    pub(crate) async fn exchange(&mut self, request: Request<Full<Bytes>>) -> anyhow::Result<(Parts, Bytes)> {
        let answer = self.sender.send_request(request).await.context("sending")?;
        let (head, body) = answer.into_parts();
        Ok((head, body.collect().await?.to_bytes()))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.connection.abort();
    }
}
