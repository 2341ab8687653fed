//! The way from the nodes to the local AWS, which can be shut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Hands connections on while it is open, and breaks them while it is shut.
pub(crate) struct Gate {
    address: SocketAddr,
    is_shut: Arc<AtomicBool>,
    accepting: JoinHandle<()>,
}

impl Gate {
    /// Opens one before an endpoint.
    pub(crate) async fn before(endpoint: &str) -> Result<Self> {
        let behind = endpoint.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let is_shut = Arc::new(AtomicBool::new(false));
        let shut = is_shut.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((mut from, _)) = listener.accept().await {
                if shut.load(Ordering::Relaxed) {
                    continue;
                }
                let behind = behind.clone();
                tokio::spawn(async move {
                    if let Ok(mut to) = TcpStream::connect(behind).await {
                        let _ = copy_bidirectional(&mut from, &mut to).await;
                    }
                });
            }
        });
        Ok(Self { address, is_shut, accepting })
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Hands on no more connections.
    pub(crate) fn shut(&self) {
        self.is_shut.store(true, Ordering::Relaxed);
    }

    pub(crate) fn open(&self) {
        self.is_shut.store(false, Ordering::Relaxed);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
