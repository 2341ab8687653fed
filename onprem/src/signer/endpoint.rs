//! Where a server is: host and port, as Web3Signer is told them.

use std::fmt;
use std::str::FromStr;

/// A host, in lower case, and a port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endpoint {
    host: String,
    port: u16,
}

/// A text names no server.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("it must be https://<host>:<port> or <host>:<port>, with nothing behind it")]
pub struct EndpointError;

impl Endpoint {
    /// The server at that host and port.
    ///
    /// # Errors
    ///
    /// [`EndpointError`] where the host is no name and no address of IPv4, or the port is 0.
    pub fn new(host: &str, port: u16) -> Result<Self, EndpointError> {
        let host = host.to_ascii_lowercase();
        // Of an address of IPv6 the libraries in Web3Signer may write different forms: a name it has to be.
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
        let is_host = (1..=253).contains(&host.len()) && host.bytes().all(allowed);
        if is_host && port != 0 { Ok(Self { host, port }) } else { Err(EndpointError) }
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let rest = text.strip_prefix("https://").unwrap_or(text);
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = rest.rsplit_once(':').ok_or(EndpointError)?;
        Self::new(host, port.parse().map_err(|_| EndpointError)?)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_host_and_a_port() {
        for (text, wanted) in [
            ("https://openbao:8200", "openbao:8200"),
            ("https://OpenBao.Internal:443/", "openbao.internal:443"),
            ("127.0.0.1:18200", "127.0.0.1:18200"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), wanted);
        }
        for text in [
            "http://openbao:8200",
            "https://openbao:8200/v1",
            "",
            "openbao",
            ":8200",
            "openbao:0",
            "openbao:99999",
            "[::1]:8200",
            "a b:1",
            "a@b:1",
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(EndpointError), "{text}");
        }
    }
}
