//! The file by which Web3Signer finds a role's key: where the server is, which path, and a token.
//!
//! Web3Signer takes one YAML file a key ("Key configuration files", type `hashicorp`). What its defaults
//! get wrong here is always written: without `keyType` it takes the key for a BLS one and, in `eth1` mode,
//! loads none; without `data/` in the path a KV v2 server answers 404 or 403; with `tlsEnabled` and no
//! known-servers file it trusts whatever the host's Java trusts. The file holds a token, and never the key.

use std::fmt;

use vault::Token;
use zeroize::Zeroizing;

use super::endpoint::Endpoint;
use super::which::RoleKey;

/// How long Web3Signer waits for the server, in milliseconds.
const TIMEOUT: u32 = 10_000;
/// The key of the stored value that Web3Signer takes.
const KEY_NAME: &str = "value";

/// What stands in the file.
pub struct KeyFile<'a> {
    /// The server, as Web3Signer reaches it.
    pub server: &'a Endpoint,
    /// The absolute path of the known-servers file, as Web3Signer sees it.
    pub known_servers: &'a str,
    /// The mount of the secrets.
    pub mount: &'a str,
    /// Which key it is.
    pub key: &'a RoleKey,
    /// What Web3Signer reads it with.
    pub token: &'a Token,
}

impl KeyFile<'_> {
    /// The file's text. Every value is quoted: neither a token nor a name is ever read as anything else.
    #[must_use]
    pub fn to_yaml(&self) -> Zeroizing<String> {
        let Self { server, known_servers, mount, key, token } = self;
        let path = format!("/v1/{mount}/data/{key}");
        let lines: [(&str, &str); 10] = [
            ("type", "hashicorp"),
            ("keyType", "SECP256K1"),
            ("tlsEnabled", "true"),
            ("tlsKnownServersPath", known_servers),
            ("serverHost", server.host()),
            ("serverPort", &server.port().to_string()),
            ("timeout", &TIMEOUT.to_string()),
            ("keyPath", &path),
            ("keyName", KEY_NAME),
            // EXPOSE: into the file that Web3Signer reads, in memory, for its user alone. It knows no other login.
            ("token", token.expose()),
        ];
        // Long enough that it never moves, and so leaves no copy behind.
        let length = lines.iter().map(|(name, value)| name.len() + value.len() + 5).sum();
        let mut text = Zeroizing::new(String::with_capacity(length));
        for (name, value) in lines {
            for part in [name, ": \"", value, "\"\n"] {
                text.push_str(part);
            }
        }
        text
    }
}

impl fmt::Debug for KeyFile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyFile").field("server", self.server).field("key", self.key).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_file_has_every_setting_and_quotes_each() {
        let server: Endpoint = "https://OpenBao.internal:8200".parse().unwrap();
        let key = RoleKey::new("keyboot", "l2", "batcher", 3).unwrap();
        let token = Token::new("s.a-token").unwrap();
        let file = KeyFile {
            server: &server,
            known_servers: "/run/keyboot/keys/known-servers",
            mount: "keyboot-secrets",
            key: &key,
            token: &token,
        };
        let wanted = [
            r#"type: "hashicorp""#,
            r#"keyType: "SECP256K1""#,
            r#"tlsEnabled: "true""#,
            r#"tlsKnownServersPath: "/run/keyboot/keys/known-servers""#,
            r#"serverHost: "openbao.internal""#,
            r#"serverPort: "8200""#,
            r#"timeout: "10000""#,
            r#"keyPath: "/v1/keyboot-secrets/data/keyboot/l2/role/batcher/3""#,
            r#"keyName: "value""#,
            r#"token: "s.a-token""#,
        ];
        assert_eq!(*file.to_yaml(), wanted.join("\n") + "\n");
    }

    #[test]
    fn what_is_shown_of_a_key_file_is_never_its_token() {
        let server: Endpoint = "https://openbao:8200".parse().unwrap();
        let key = RoleKey::new("keyboot", "l2", "batcher", 1).unwrap();
        let token = Token::new("s.must-not-show").unwrap();
        let file = KeyFile { server: &server, known_servers: "/k", mount: "m", key: &key, token: &token };
        let shown = format!("{file:?}");
        assert!(shown.contains("batcher") && !shown.contains("must-not-show"), "{shown}");
    }
}
