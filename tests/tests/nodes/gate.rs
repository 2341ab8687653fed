//! The way from the nodes to the local AWS, which can be shut.

use std::net::SocketAddr;

use anyhow::Result;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Hands connections on while it is open. While it is shut it takes none, and those that were there break.
pub(crate) struct Gate {
    address: SocketAddr,
    is_open: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Gate {
    /// Opens one before an endpoint.
    pub(crate) async fn before(endpoint: &str) -> Result<Self> {
        let behind = endpoint.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (is_open, seen) = watch::channel(true);
        let accepting = tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                if *seen.borrow() {
                    tokio::spawn(hand_on(from, behind.clone(), seen.clone()));
                }
            }
        });
        Ok(Self { address, is_open, accepting })
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn shut(&self) {
        self.is_open.send_replace(false);
    }

    pub(crate) fn open(&self) {
        self.is_open.send_replace(true);
    }
}

async fn hand_on(mut from: TcpStream, behind: String, mut is_open: watch::Receiver<bool>) {
    let Ok(mut to) = TcpStream::connect(behind).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut from, &mut to) => {}
        _ = is_open.wait_for(|is_open| !is_open) => {}
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
