//! Where a database is.

use std::fmt;
use std::num::NonZeroU16;

/// A database on a server.
///
/// It is what the function's own environment says, never what an event or a stored value does: a
/// password goes nowhere else.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    host: String,
    port: NonZeroU16,
    name: String,
}

/// A text is no part of a place.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("it must be {expected}")]
pub struct NoPlace {
    /// Which part is wrong.
    pub part: Part,
    /// What it must be.
    pub expected: &'static str,
}

/// A part of a place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// The host.
    Host,
    /// The port.
    Port,
    /// The database.
    Name,
}

/// The longest name of a host (RFC 1035, section 2.3.4), in bytes.
const MAX_HOST: usize = 253;
/// The longest name of a database (PostgreSQL documentation, "Identifiers and Key Words"), in bytes.
const MAX_NAME: usize = 63;

impl Place {
    /// Reads the parts.
    ///
    /// # Errors
    ///
    /// [`NoPlace`] for the first part that is none.
    pub fn parse(host: &str, port: &str, name: &str) -> Result<Self, NoPlace> {
        // A slash would begin the path of a socket, and a comma another host.
        let in_host = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
        if host.is_empty() || host.len() > MAX_HOST || !host.bytes().all(in_host) {
            return Err(NoPlace { part: Part::Host, expected: "the DNS name of a database server" });
        }
        let Ok(port) = port.parse() else {
            return Err(NoPlace { part: Part::Port, expected: "a port, 1 to 65535" });
        };
        let in_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(in_name) {
            let expected = "the name of a database: lowercase letters, digits and underscores";
            return Err(NoPlace { part: Part::Name, expected });
        }
        Ok(Self { host: host.to_owned(), port, name: name.to_owned() })
    }

    /// The server's DNS name, which its certificate has to name.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.get()
    }

    /// The database's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}", self.host, self.port, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_lead_elsewhere_is_no_place() {
        let parts = |host: &str, port: &str, name: &str| {
            Place::parse(host, port, name).map(|place| place.to_string()).map_err(|wrong| wrong.part)
        };
        let host = "tsm.abc123.eu-central-1.rds.amazonaws.com";
        assert_eq!(parts(host, "5432", "tsm").unwrap(), format!("{host}:5432/tsm"));
        for bad in ["", "/var/run", "one,two", "a b", "@x", &"a".repeat(254)] {
            assert_eq!(parts(bad, "5432", "tsm"), Err(Part::Host), "{bad}");
        }
        for bad in ["", "0", "65536", "-1", "5432,5433"] {
            assert_eq!(parts(host, bad, "tsm"), Err(Part::Port), "{bad}");
        }
        for bad in ["", "TSM", "a b", "a'b", "a\"b", &"a".repeat(64)] {
            assert_eq!(parts(host, "5432", bad), Err(Part::Name), "{bad}");
        }
    }
}
