//! Ports of this machine, and nothing further away.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

/// Listens on a port of an address.
pub(crate) async fn listen(address: Ipv4Addr, port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((address, port)).await
}

/// The next connection, however long it takes.
pub(crate) async fn next(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // What is said here is short, and waited for.
                let _ = stream.set_nodelay(true);
                return stream;
            }
            // Such as too many open files: another may succeed once some are closed.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}
