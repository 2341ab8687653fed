//! Where a node's database is, with its login: what `Database.DataSourceName` refers to.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use url::Url;
use zeroize::Zeroizing;

use crate::address::PeerAddress;

/// Where a node's `PostgreSQL` database is, and as whom. It holds a password, so it cannot be shown.
#[derive(Clone, Eq, PartialEq)]
pub struct DataSource {
    /// The host, as its certificate names it.
    pub host: String,
    /// Where that is.
    pub address: PeerAddress,
    /// The database's name.
    pub database: String,
    /// Whom to log in as.
    pub user: String,
    /// The file of the certificates that the host's goes back to.
    pub roots: PathBuf,
    pub(crate) password: Zeroizing<String>,
}

/// The one way that this program verifies a server: its certificate, and its name in there.
const VERIFIED: &str = "verify-full";
/// The port where none is named (`PostgreSQL` documentation, "Connection URIs").
const PORT: u16 = 5432;

impl DataSource {
    /// Reads a connection URI, or says what is wrong without what is there.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let url = Url::parse(text).map_err(|_| "a connection URI is expected: postgres://…")?;
        if !["postgres", "postgresql"].contains(&url.scheme()) {
            return Err("a connection URI is expected: postgres://…");
        }
        let password = decoded(url.password().unwrap_or_default())?;
        let (mut mode, mut roots) = (None, None);
        for pair in url.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "sslmode" => mode = Some(decoded(value)?),
                "sslrootcert" => roots = Some(decoded(value)?),
                _ => return Err("a parameter that this program does not know"),
            }
        }
        if mode.as_deref().map(String::as_str) != Some(VERIFIED) {
            return Err("sslmode=verify-full is expected: this program logs in nowhere else");
        }
        let host = url.host_str().unwrap_or_default();
        let address = PeerAddress::new(host, url.port().unwrap_or(PORT));
        let source = Self {
            address: address.ok_or("this program dials nothing but loopback")?,
            host: host.to_owned(),
            database: decoded(url.path().strip_prefix('/').unwrap_or_default())?.to_string(),
            user: decoded(url.username())?.to_string(),
            roots: roots.ok_or("sslrootcert is missing")?.as_str().into(),
            password,
        };
        if source.database.is_empty() || source.user.is_empty() {
            return Err("user or database is missing");
        }
        Ok(source)
    }
}

fn decoded(part: &str) -> Result<Zeroizing<String>, &'static str> {
    let text = percent_decode_str(part).decode_utf8().map_err(|_| "a part of it is no UTF-8")?;
    Ok(Zeroizing::new(text.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const URI: &str =
        "postgres://node_a:a%2Fb%25+c@localhost:5433/tsm?sslmode=verify-full&sslrootcert=/etc/a%20b.pem";

    #[test]
    fn every_part_is_decoded() {
        let source = DataSource::parse(URI).ok().unwrap();
        assert_eq!(
            (source.host.as_str(), source.address.to_string().as_str()),
            ("localhost", "localhost:5433")
        );
        assert_eq!((source.user.as_str(), source.database.as_str()), ("node_a", "tsm"));
        assert_eq!((source.password.as_str(), source.roots.to_str().unwrap()), ("a/b%+c", "/etc/a b.pem"));
        let without = DataSource::parse(&URI.replace(":5433", "")).ok().unwrap();
        assert_eq!(without.address.to_string(), "localhost:5432");
    }

    #[test]
    fn nothing_but_a_verified_server_is_taken() {
        for (from, to, why) in [
            ("verify-full", "verify-ca", "sslmode=verify-full"),
            ("verify-full", "require", "sslmode=verify-full"),
            ("verify-full", "disable", "sslmode=verify-full"),
            ("sslmode=verify-full&", "", "sslmode=verify-full"),
            ("&sslrootcert=/etc/a%20b.pem", "", "sslrootcert"),
            ("verify-full", "verify-full&sslcert=x", "does not know"),
            ("postgres:", "mysql:", "connection URI"),
            (URI, "canary", "connection URI"),
            ("localhost", "db.example", "nothing but loopback"),
            ("localhost", "192.0.2.1", "nothing but loopback"),
            ("node_a", "", "is missing"),
            ("/tsm", "/", "is missing"),
            ("%2F", "%FF", "no UTF-8"),
        ] {
            let Err(fault) = DataSource::parse(&URI.replacen(from, to, 1)) else { panic!("{to} passed") };
            assert!(fault.contains(why), "{to}: {fault}");
        }
    }
}
