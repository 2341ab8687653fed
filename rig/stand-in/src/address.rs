//! Where another node is: on this machine, at an address of loopback or by a name that leads to one.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// The domain of names that no resolver of the world answers (ICANN, resolution 2024.07.29.06).
const INTERNAL: &str = ".internal";

/// A node's address as it is written: a host of this machine and a port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PeerAddress {
    host: String,
    port: u16,
}

impl PeerAddress {
    /// Takes a host and a port, if the host can be of this machine: `localhost`, an address of loopback, or
    /// a name that ends in `.internal`.
    pub(crate) fn new(host: &str, port: u16) -> Option<Self> {
        let is_loopback = host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
        let is_here = is_loopback || host == "localhost" || host.ends_with(INTERNAL);
        is_here.then(|| Self { host: host.to_owned(), port })
    }

    /// Where it leads to now. A name that leads off this machine leads nowhere.
    pub(crate) async fn resolve(&self) -> io::Result<SocketAddr> {
        let mut found = tokio::net::lookup_host((self.host.as_str(), self.port)).await?;
        found.find(|address| address.ip().is_loopback() && address.is_ipv4()).ok_or_else(|| {
            io::Error::new(io::ErrorKind::AddrNotAvailable, "the name does not lead to this machine")
        })
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_is_one_of_this_machine_or_none() {
        for elsewhere in ["node-0.example.com", "192.0.2.1", "::ffff:192.0.2.1", ""] {
            assert_eq!(PeerAddress::new(elsewhere, 1), None, "{elsewhere}");
        }
        for (here, address) in [("localhost", "127.0.0.1:9000"), ("127.9.8.7", "127.9.8.7:9000")] {
            let resolved = PeerAddress::new(here, 9000).unwrap().resolve().await.unwrap();
            assert_eq!(resolved, address.parse().unwrap());
        }
        let unknown = PeerAddress::new("node-0.nobody-has-this.internal", 9000).unwrap();
        assert!(unknown.resolve().await.is_err());
    }
}
