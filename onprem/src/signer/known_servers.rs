//! The file that says which certificate a server has: Web3Signer trusts that one and no other.
//!
//! One line a server, `<host>:<port> <SHA-256 of the certificate>`, as the library that Web3Signer uses
//! reads it (Apache Tuweni, package `net-tls`): the host in lower case, the digest in hexadecimal digits
//! with or without colons, `#` begins a comment. Here no line is ever guessed: the certificate was shown by
//! a server that the configured certificate authority vouches for.

use std::fmt;
use std::fmt::Write as _;

use super::endpoint::Endpoint;

/// The file's name, in the folder of the key files. It has no ending, so Web3Signer does not take it for a key.
pub const FILE_NAME: &str = "known-servers";

/// The SHA-256 digest of a certificate.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// A digest that a connection to the server has shown.
    #[must_use]
    pub fn new(digest: [u8; 32]) -> Self {
        Self(digest)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let colon = if at == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// The file's text with a server's certificate in it, once. What it says of other servers stays.
#[must_use]
pub fn with(text: &str, server: &Endpoint, fingerprint: Fingerprint) -> String {
    let name = server.to_string();
    let others = text.lines().filter(|line| {
        let first = line.split_whitespace().next();
        first.is_some_and(|first| !first.eq_ignore_ascii_case(&name))
    });
    let mut kept: String = others.flat_map(|line| [line, "\n"]).collect();
    // Writing to a text does not fail.
    let _ = writeln!(kept, "{name} {fingerprint}");
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_one_line_and_others_keep_theirs() {
        let server: Endpoint = "https://OpenBao:8200".parse().unwrap();
        let digest =
            |last: u8| Fingerprint::new(std::array::from_fn(|at| if at == 31 { last } else { 0xA0 }));
        let first = with("", &server, digest(0x0B));
        assert_eq!(first, format!("openbao:8200 {}0B\n", "A0:".repeat(31)));

        let before = format!("# ours\nother:8200 AA:BB\nOPENBAO:8200 AA:BB\n\n{first}");
        let after = with(&before, &server, digest(0xFF));
        assert_eq!(after, format!("# ours\nother:8200 AA:BB\nopenbao:8200 {}FF\n", "A0:".repeat(31)));
        assert_eq!(with(&after, &server, digest(0xFF)), after);
    }
}
