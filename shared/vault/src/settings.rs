//! Where the server is, how one logs in, and what its engines are called: a table of a configuration file.
//!
//! ```toml
//! [vault]
//! address = "https://vault.example.org:8200"
//! name = "ops"
//! ca-file = "/etc/keyboot/vault-ca.pem"
//!
//! [vault.app-role]
//! role = "provisioner"
//! role-id = "5b2c…"
//! secret-id-file = "/run/keyboot/secret-id"
//! ```
//!
//! Nothing comes from the environment: neither an address nor a token of whoever starts the program. No I/O.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use provisioning::names::Segment;
use provisioning::properties::SealingKeyArn;
use serde::Deserialize;
use url::Url;

/// A text is not what a setting takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("it must be {allowed}")]
pub struct SettingError {
    /// What is allowed, as a phrase that follows "must be".
    pub allowed: &'static str,
}

/// What an address may be.
pub const ADDRESS_ALLOWED: &str =
    "https://<host>[:<port>], without a user, a path or a query; plain http is refused";
/// What the path of an engine may be.
pub const MOUNT_ALLOWED: &str =
    "1 to 4 segments of a-z, 0-9, - and _, joined by /, at most 64 characters in all, not sys or auth";
/// What the name of a role may be.
pub const ROLE_ALLOWED: &str = "1 to 128 characters of a-z, 0-9, -, _ and .";

/// Where a server is: always TLS.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct Address(Url);

impl Address {
    /// The server's name or address.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(443)
    }

    pub(crate) fn url(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl FromStr for Address {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        let refused = SettingError { allowed: ADDRESS_ALLOWED };
        let url = Url::parse(text).map_err(|_| refused)?;
        let is_bare = url.username().is_empty()
            && url.password().is_none()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none();
        if url.scheme() == "https" && url.host_str().is_some() && is_bare {
            Ok(Self(url))
        } else {
            Err(refused)
        }
    }
}

impl TryFrom<String> for Address {
    type Error = SettingError;

    fn try_from(text: String) -> Result<Self, SettingError> {
        text.parse()
    }
}

/// The path that an engine is mounted at.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Deserialize)]
#[serde(try_from = "String")]
pub struct Mount(String);

impl Mount {
    /// The path as text, without slashes around it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Mount {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        let is_known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        let is_segment = |segment: &str| !segment.is_empty() && segment.bytes().all(is_known);
        let first = text.split('/').next();
        let is_mount = text.len() <= 64
            && text.split('/').count() <= 4
            && text.split('/').all(is_segment)
            && !matches!(first, Some("sys" | "auth" | "identity" | "cubbyhole"));
        if is_mount { Ok(Self(text.to_owned())) } else { Err(SettingError { allowed: MOUNT_ALLOWED }) }
    }
}

impl TryFrom<String> for Mount {
    type Error = SettingError;

    fn try_from(text: String) -> Result<Self, SettingError> {
        text.parse()
    }
}

/// The name of a role that programs log in as.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Deserialize)]
#[serde(try_from = "String")]
pub struct RoleName(String);

impl RoleName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RoleName {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        let is_known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
        let is_name =
            (1..=128).contains(&text.len()) && text.bytes().all(is_known) && text.bytes().any(|b| b != b'.');
        if is_name { Ok(Self(text.to_owned())) } else { Err(SettingError { allowed: ROLE_ALLOWED }) }
    }
}

impl TryFrom<String> for RoleName {
    type Error = SettingError;

    fn try_from(text: String) -> Result<Self, SettingError> {
        text.parse()
    }
}

/// What the engines are called, and the keys of the one that seals.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Mounts {
    /// The key-value engine (version 2) with secrets.
    pub secrets: Mount,
    /// The key-value engine (version 2) with public documents.
    pub documents: Mount,
    /// The transit engine.
    pub transit: Mount,
    /// The login by role and secret id.
    pub app_role: Mount,
    /// The transit key that seals.
    pub seal_key: Segment,
    /// The transit key that signs documents.
    pub record_key: Segment,
}

impl Default for Mounts {
    fn default() -> Self {
        Self {
            secrets: Mount("keyboot-secrets".into()),
            documents: Mount("keyboot-documents".into()),
            transit: Mount("keyboot-transit".into()),
            app_role: Mount("approle".into()),
            seal_key: segment("seal"),
            record_key: segment("records"),
        }
    }
}

/// A name of ours.
#[expect(clippy::expect_used, reason = "the two names above are segments: a test parses them")]
fn segment(text: &str) -> Segment {
    text.parse().expect("a segment")
}

/// What one has to know of a server to name what is on it: its name, and what its engines are called.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// The server's short name.
    pub server: Segment,
    /// What its engines are called.
    pub mounts: Mounts,
}

impl Place {
    /// The name of a secret, in the form of an ARN.
    #[must_use]
    pub fn secret_arn(&self, name: &str) -> String {
        format!("{}{name}", self.secret_prefix())
    }

    /// The name of a document, in the form of an ARN.
    #[must_use]
    pub fn document_arn(&self, name: &str) -> String {
        format!("{}{}", self.document_prefix(), name.trim_start_matches('/'))
    }

    /// The path of the secret with this ARN, below its engine; none where it is no secret of this server.
    #[must_use]
    pub fn secret_path<'a>(&self, arn: &'a str) -> Option<&'a str> {
        arn.strip_prefix(self.secret_prefix().as_str()).filter(|path| is_path(path))
    }

    /// The path of a document by its name, which begins with a slash, or by its ARN.
    #[must_use]
    pub fn document_path<'a>(&self, name: &'a str) -> Option<&'a str> {
        let path = name.strip_prefix(self.document_prefix().as_str()).or_else(|| name.strip_prefix('/'));
        path.filter(|path| is_path(path))
    }

    /// The key that seals.
    #[must_use]
    pub fn seal_key(&self) -> SealingKeyArn {
        SealingKeyArn::of_transit(&self.server, &self.mounts.seal_key)
    }

    /// The name of the key that signs documents.
    #[must_use]
    pub fn signer(&self) -> String {
        SealingKeyArn::of_transit(&self.server, &self.mounts.record_key).to_string()
    }

    /// The transit key with this ARN; none where it is no key of this server.
    #[must_use]
    pub fn transit_key(&self, arn: &str) -> Option<Segment> {
        let key = arn.strip_prefix(&format!("arn:vault:transit:{}:root:key/", self.server))?;
        key.parse().ok()
    }

    fn secret_prefix(&self) -> String {
        format!("arn:vault:kv:{}:root:secret/", self.server)
    }

    fn document_prefix(&self) -> String {
        format!("arn:vault:kv:{}:root:document/", self.server)
    }
}

/// Whether a path names one thing and nothing beside it: it goes into a URL, and what is read from the world
/// outside may not lead anywhere else.
pub(crate) fn is_path(path: &str) -> bool {
    let is_known = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let is_segment = |segment: &str| {
        !segment.is_empty() && segment.bytes().all(is_known) && segment.bytes().any(|b| b != b'.')
    };
    path.len() <= 512 && path.split('/').all(is_segment)
}

/// How a program logs in.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Login {
    /// With a role and a secret id.
    AppRole(AppRole),
    /// With a token that stands in a file: for whoever sets a server up.
    TokenFile(PathBuf),
}

impl Login {
    /// The file that it is made with.
    #[must_use]
    pub fn file(&self) -> &Path {
        match self {
            Self::AppRole(role) => &role.secret_id_file,
            Self::TokenFile(file) => file,
        }
    }

    /// Whether it can be made once only: what is in its file is used up by it.
    #[must_use]
    pub fn is_for_once(&self) -> bool {
        matches!(self, Self::AppRole(role) if role.wrapped)
    }
}

/// A role, and where its secret id is.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AppRole {
    /// The role's name: a wrapped secret id is refused that was not made for it.
    pub role: RoleName,
    /// The role's id, which is no secret.
    pub role_id: String,
    /// The file with the secret id, or with the token that it is wrapped in.
    pub secret_id_file: PathBuf,
    /// Whether the file holds such a token, which shows whether somebody else has unwrapped it.
    #[serde(default = "wrapped")]
    pub wrapped: bool,
}

fn wrapped() -> bool {
    true
}

/// A server, and how to log in to it.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Settings {
    /// Where it is.
    pub address: Address,
    /// Its short name, which is part of the name of everything on it.
    pub name: Segment,
    /// The file with the authorities that its certificate may come from, in PEM.
    pub ca_file: PathBuf,
    /// How one logs in.
    pub login: Login,
    /// What its engines are called.
    pub mounts: Mounts,
}

impl Settings {
    /// What names things on it.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { server: self.name.clone(), mounts: self.mounts.clone() }
    }
}

/// The table as it is written.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Written {
    address: Address,
    name: Segment,
    ca_file: PathBuf,
    app_role: Option<AppRole>,
    token_file: Option<PathBuf>,
    #[serde(default)]
    mounts: Mounts,
}

/// A table does not say how one logs in.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("it must have either the table app-role or token-file, and not both")]
struct NoOneLogin;

impl TryFrom<Written> for Settings {
    type Error = NoOneLogin;

    fn try_from(written: Written) -> Result<Self, NoOneLogin> {
        let login = match (written.app_role, written.token_file) {
            (Some(role), None) => Login::AppRole(role),
            (None, Some(file)) => Login::TokenFile(file),
            _ => return Err(NoOneLogin),
        };
        let Written { address, name, ca_file, mounts, .. } = written;
        Ok(Self { address, name, ca_file, login, mounts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITTEN: &str = r#"
        address = "https://vault.example.org:8200"
        name = "ops"
        ca-file = "/etc/keyboot/vault-ca.pem"
        [app-role]
        role = "node.keyboot.tsm.0"
        role-id = "5b2c"
        secret-id-file = "/run/keyboot/secret-id"
    "#;

    #[test]
    fn a_table_is_read_with_what_is_usual_for_the_rest() {
        let settings: Settings = toml::from_str(WRITTEN).unwrap();
        assert_eq!((settings.address.host(), settings.address.port()), ("vault.example.org", 8200));
        assert_eq!(settings.address.to_string(), "https://vault.example.org:8200");
        assert_eq!(settings.mounts, Mounts::default());
        assert!(settings.login.is_for_once());
        assert_eq!(settings.login.file(), Path::new("/run/keyboot/secret-id"));
        let more =
            format!("{WRITTEN}wrapped = false\n[mounts]\nsecrets = \"team/kv\"\nseal-key = \"other\"\n");
        let settings: Settings = toml::from_str(&more).unwrap();
        assert!(!settings.login.is_for_once());
        assert_eq!(settings.mounts.secrets.as_str(), "team/kv");
        assert_eq!(settings.mounts.documents, Mounts::default().documents);
        assert_eq!(settings.place().seal_key().as_str(), "arn:vault:transit:ops:root:key/other");
        let by_token = WRITTEN.split("[app-role]").next().unwrap().to_owned() + "token-file = \"/run/token\"";
        let settings: Settings = toml::from_str(&by_token).unwrap();
        assert_eq!(settings.login, Login::TokenFile("/run/token".into()));
        assert!(!settings.login.is_for_once());
    }

    #[test]
    fn what_a_table_does_not_say_plainly_is_refused() {
        for (from, to) in [
            ("https://", "http://"),
            ("https://", "https://user:password@"),
            (":8200", ":8200/v1"),
            (":8200", ":8200?a"),
            ("\"ops\"", "\"Ops\""),
            ("ca-file", "ca-path"),
            ("[app-role]", "token-file = \"/run/token\"\n[app-role]"),
            ("node.keyboot.tsm.0", "../node"),
            ("node.keyboot.tsm.0", ".."),
            ("role-id", "roleid"),
            ("[app-role]", "[approle]"),
            ("[app-role]", "[mounts]\nsecrets = \"sys\"\n[app-role]"),
            ("[app-role]", "[mounts]\nsecrets = \"a/../b\"\n[app-role]"),
            ("[app-role]", "[mounts]\nsecrets = \"/a\"\n[app-role]"),
            ("[app-role]", "[mounts]\nother = \"a\"\n[app-role]"),
        ] {
            let text = WRITTEN.replacen(from, to, 1);
            assert_ne!(text, WRITTEN, "{from} -> {to}");
            assert!(toml::from_str::<Settings>(&text).is_err(), "{from} -> {to}");
        }
        let no_login = WRITTEN.split("[app-role]").next().unwrap();
        let error = toml::from_str::<Settings>(no_login).unwrap_err().to_string();
        assert!(error.contains("app-role or token-file"), "{error}");
    }

    #[test]
    fn a_name_leads_to_its_path_and_no_other_servers_does() {
        let place = Place { server: "ops".parse().unwrap(), mounts: Mounts::default() };
        let secret = place.secret_arn("keyboot/tsm/node/0/p2p-key");
        assert_eq!(secret, "arn:vault:kv:ops:root:secret/keyboot/tsm/node/0/p2p-key");
        assert_eq!(place.secret_path(&secret), Some("keyboot/tsm/node/0/p2p-key"));
        let document = place.document_arn("/keyboot/tsm/roster/index");
        assert_eq!(document, "arn:vault:kv:ops:root:document/keyboot/tsm/roster/index");
        assert_eq!(place.document_path(&document), Some("keyboot/tsm/roster/index"));
        assert_eq!(place.document_path("/keyboot/tsm/roster/index"), Some("keyboot/tsm/roster/index"));
        assert_eq!(place.signer(), "arn:vault:transit:ops:root:key/records");
        assert_eq!(place.transit_key(&place.signer()), Some(place.mounts.record_key.clone()));
        for bad in [
            "keyboot/tsm/node/0/p2p-key",
            "arn:vault:kv:other:root:secret/keyboot/tsm",
            "arn:vault:kv:ops:root:document/keyboot/tsm",
            "arn:vault:kv:ops:root:secret/",
            "arn:vault:kv:ops:root:secret//keyboot",
            "arn:vault:kv:ops:root:secret/keyboot/../other",
            "arn:vault:kv:ops:root:secret/keyboot?version=1",
            "arn:vault:kv:ops:root:secret/key%62oot",
        ] {
            assert_eq!(place.secret_path(bad), None, "{bad}");
        }
        for bad in ["keyboot/tsm", "//keyboot", "/", "/a/./b", "arn:vault:kv:other:root:document/a"] {
            assert_eq!(place.document_path(bad), None, "{bad}");
        }
        for bad in ["arn:vault:transit:other:root:key/seal", "arn:vault:transit:ops:root:key/../seal", "seal"]
        {
            assert_eq!(place.transit_key(bad), None, "{bad}");
        }
    }
}
