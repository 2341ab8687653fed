//! The login of a node at its own database.
//!
//! It is no secret of the KMS Stack's: whoever runs the database has it made and rotated, no record tells of
//! it and nobody signs it. So it is the one secret that is read by its stage, the current version. What it
//! gives access to is of no use without the password of the key shares, which is read by what the record says.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use crate::error::ReadError;
use crate::ports::{CurrentReader, CurrentValue};

/// Bytes in the longest name that `PostgreSQL` tells from others (its manual, "Identifiers and Key Words").
const NAME_MAX: usize = 63;
/// Bytes in the longest host name (RFC 1035, section 2.3.4).
const HOST_MAX: usize = 253;

/// The ARN of a secret in Secrets Manager.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct SecretArn(String);

impl SecretArn {
    /// The ARN.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The Region that the secret is in.
    #[must_use]
    pub fn region(&self) -> &str {
        self.0.split(':').nth(3).unwrap_or_default()
    }
}

impl fmt::Display for SecretArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is in a secret's place is not its full ARN. It does not repeat what is: that may be the secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "this takes the full ARN of a secret, as Secrets Manager shows it: \
     arn:<partition>:secretsmanager:<region>:<account>:secret:<name>-<six characters>"
)]
pub struct SecretArnError;

impl FromStr for SecretArn {
    type Err = SecretArnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.splitn(7, ':').collect();
        let ["arn", partition, "secretsmanager", region, account, "secret", name] = parts[..] else {
            return Err(SecretArnError);
        };
        let is_word = |word: &str| {
            let is_in_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            !word.is_empty() && word.bytes().all(is_in_word)
        };
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        // What a name consists of, and what is appended to it: Secrets Manager API Reference, `CreateSecret`.
        let is_in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"/_+=.@-".contains(&byte);
        let is_name = name.bytes().all(is_in_name)
            && name.rsplit_once('-').is_some_and(|(name, end)| {
                !name.is_empty() && end.len() == 6 && end.bytes().all(|byte| byte.is_ascii_alphanumeric())
            });
        if is_word(partition) && is_word(region) && is_account && is_name {
            Ok(Self(text.to_owned()))
        } else {
            Err(SecretArnError)
        }
    }
}

impl TryFrom<String> for SecretArn {
    type Error = SecretArnError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// The login of a node at its own `PostgreSQL` database, and where that is. Wiped when dropped, never printed.
pub struct DatabaseLogin {
    /// The version that it is.
    pub version_id: String,
    /// The database's host: a name or an IPv4 address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The database's name there.
    pub database: String,
    /// Whom to log in as.
    pub user: String,
    password: Zeroizing<String>,
}

/// The same as AWS writes it (Secrets Manager User Guide, "JSON structure of AWS Secrets Manager secrets"). What
/// else AWS puts in there is let pass.
#[derive(Deserialize)]
struct Written {
    engine: String,
    host: String,
    port: u16,
    dbname: String,
    username: String,
    #[serde(deserialize_with = "wiped")]
    password: Zeroizing<String>,
}

impl DatabaseLogin {
    /// Fetches the one that is current.
    ///
    /// # Errors
    ///
    /// [`ReadError`]; [`ReadError::Mismatch`] where what is stored is no login of a `PostgreSQL` database.
    pub async fn fetch(from: &impl CurrentReader, secret: &SecretArn) -> Result<Self, ReadError> {
        let CurrentValue { version_id, text } = from.fetch_current(secret.as_str()).await?;
        // EXPOSE: to the parser, which keeps it in this type.
        let login = Self::parse(version_id, text.expose());
        login.map_err(|fault| ReadError::mismatch(secret.as_str(), fault))
    }

    /// Reads it, or says what is wrong without what is there.
    fn parse(version_id: String, text: &str) -> Result<Self, String> {
        // A list of the same values would do for serde as well.
        if !text.trim_start().starts_with('{') {
            return Err("what it holds is no JSON object".into());
        }
        let written: Written = {
            let mut from = serde_json::Deserializer::from_str(text);
            let written = serde_path_to_error::deserialize(&mut from)
                .map_err(|error| fault(&error.path().to_string(), error.inner()))?;
            from.end().map_err(|error| fault(".", &error))?;
            written
        };
        let refused = |field: &str, why: &str| Err(format!("its `{field}` {why}"));
        if written.engine != "postgres" {
            return refused("engine", "is not postgres, which is the only one that a login is handed on for");
        }
        if !is_host(&written.host) {
            return refused("host", "is neither a host name nor an IPv4 address");
        }
        if written.port == 0 {
            return refused("port", "is 0: ports are counted from 1");
        }
        for (field, name) in [("dbname", &written.dbname), ("username", &written.username)] {
            if name.is_empty() || name.len() > NAME_MAX || has_control(name) {
                return refused(
                    field,
                    &format!("is empty, longer than {NAME_MAX} bytes, or has control characters"),
                );
            }
        }
        if written.password.is_empty() || has_control(&written.password) {
            return refused("password", "is empty or has control characters");
        }
        Ok(Self {
            version_id,
            host: written.host,
            port: written.port,
            database: written.dbname,
            user: written.username,
            password: written.password,
        })
    }

    /// Reveals the password.
    ///
    /// # Security
    ///
    /// Its one sink is the process that is started. Whoever calls this says so in an `EXPOSE` comment.
    #[must_use]
    pub fn expose_password(&self) -> &str {
        &self.password
    }
}

impl fmt::Debug for DatabaseLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseLogin").field("version_id", &self.version_id).finish_non_exhaustive()
    }
}

/// Taken over into memory that is wiped, at once and in one piece.
fn wiped<'de, D: Deserializer<'de>>(from: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(from).map(Zeroizing::new)
}

/// What is wrong with the JSON: which field, and never what stands in it, as serde's own words would.
fn fault(path: &str, error: &serde_json::Error) -> String {
    const FIELDS: [&str; 6] = ["engine", "host", "port", "dbname", "username", "password"];
    if !error.is_data() {
        return "what it holds is no JSON".into();
    }
    if FIELDS.contains(&path) {
        return format!("its `{path}` is of another kind than in a database secret of AWS's, or not alone");
    }
    let said = error.to_string();
    let missing = FIELDS.iter().find(|field| said.starts_with(&format!("missing field `{field}`")));
    missing.map_or_else(
        || "what it holds is no login, or has a field twice".into(),
        |field| format!("it lacks `{field}`, which a database secret of AWS's has"),
    )
}

fn is_host(host: &str) -> bool {
    let is_in_label = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    host.len() <= HOST_MAX && host.split('.').all(|label| !label.is_empty() && label.bytes().all(is_in_label))
}

fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}
