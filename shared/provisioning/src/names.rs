//! The names of clusters, nodes, applications and purposes, and where their things are stored.
//!
//! Every name that reaches a path, a policy or a tag is parsed here first, so that nothing later
//! has to ask whether it holds a wildcard, a slash too many or a stray upper-case letter. No I/O.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest namespace, in bytes.
const NAMESPACE_MAX: usize = 64;
/// The most segments a namespace may have.
const NAMESPACE_SEGMENTS_MAX: usize = 4;
/// The longest name of a cluster, an application or one segment of a namespace, in bytes.
const SEGMENT_MAX: usize = 31;
/// The highest node index; a cluster has at most 1,000 nodes, and indexes stay readable.
const INDEX_MAX: u32 = 99_999;

/// A text is not a name of the kind asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("it must be {allowed}")]
pub struct NameError {
    /// What is allowed, as a phrase that follows "must be".
    pub allowed: &'static str,
}

/// What a cluster's name may be.
pub const CLUSTER_ALLOWED: &str =
    "1 to 31 characters of a-z, 0-9 and -, starting with a letter, not ending in - and six characters";
/// What a namespace may be.
pub const NAMESPACE_ALLOWED: &str = "1 to 4 segments of a-z, 0-9 and -, each starting with a letter and at most 31 characters long, \
     joined by /, at most 64 characters in all, not starting with aws or ssm, no segment ending in - and six characters";
/// What an application id may be.
pub const APPLICATION_ALLOWED: &str = CLUSTER_ALLOWED;
/// What a purpose may be.
pub const PURPOSE_ALLOWED: &str =
    "p2p-key, share-encryption-password, management-key or api-key/<application>";
/// What a node index may be.
pub const INDEX_ALLOWED: &str = "a whole number from 0 to 99999 without leading zeros";

/// Whether `text` is one path segment: `[a-z][a-z0-9-]{0,30}`.
///
/// An ending of `-` and six characters is refused, since Secrets Manager appends exactly that to
/// names in ARNs and then mistakes one name for another in a partial-ARN look-up (Secrets Manager
/// API Reference, `CreateSecret`, parameter `Name`).
fn is_segment(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends_like_an_arn =
        bytes.len() > 7 && bytes[bytes.len() - 7] == b'-' && !bytes[bytes.len() - 6..].contains(&b'-');
    (1..=SEGMENT_MAX).contains(&bytes.len())
        && bytes[0].is_ascii_lowercase()
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
        && !ends_like_an_arn
}

/// Gives a parsed name its text form in every place that needs one.
macro_rules! text_form {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

/// The path prefix of everything a cluster owns, such as `keyboot` or `keyboot/prod`.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Namespace(String);
text_form!(Namespace);

impl FromStr for Namespace {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        // Parameter Store reserves names that start with these (Systems Manager API Reference,
        // `PutParameter`, parameter `Name`).
        let reserved = text.starts_with("aws") || text.starts_with("ssm");
        let segments = text.split('/').count();
        if text.len() > NAMESPACE_MAX
            || segments > NAMESPACE_SEGMENTS_MAX
            || reserved
            || !text.split('/').all(is_segment)
        {
            return Err(NameError { allowed: NAMESPACE_ALLOWED });
        }
        Ok(Self(text.to_owned()))
    }
}

/// One name of the form that clusters have, such as that of a server, a key or a chain.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Segment(String);
text_form!(Segment);

impl FromStr for Segment {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if is_segment(text) { Ok(Self(text.to_owned())) } else { Err(NameError { allowed: CLUSTER_ALLOWED }) }
    }
}

/// The id of an application that calls the nodes, such as `default`.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Application(String);
text_form!(Application);

impl FromStr for Application {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if is_segment(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError { allowed: APPLICATION_ALLOWED })
        }
    }
}

/// A cluster's full name: namespace and cluster, `<namespace>/<cluster>`.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClusterName(String);
text_form!(ClusterName);

impl ClusterName {
    /// Joins a namespace and a cluster's own name.
    ///
    /// # Errors
    ///
    /// [`NameError`] when `cluster` is not [`CLUSTER_ALLOWED`].
    pub fn new(namespace: &Namespace, cluster: &str) -> Result<Self, NameError> {
        if is_segment(cluster) {
            Ok(Self(format!("{namespace}/{cluster}")))
        } else {
            Err(NameError { allowed: CLUSTER_ALLOWED })
        }
    }

    /// The name of the secret that holds `purpose` of node `index`.
    #[must_use]
    pub fn secret_name(&self, index: NodeIndex, purpose: &Purpose) -> SecretName {
        SecretName(format!("{self}/node/{index}/{purpose}"))
    }

    /// Which secret of this cluster has a name; `None` where it is none of its names.
    #[must_use]
    pub fn slot_of(&self, secret_name: &str) -> Option<Slot> {
        let path = secret_name.strip_prefix(self.as_str())?.strip_prefix("/node/")?;
        let (index, purpose) = path.split_once('/')?;
        let slot = Slot { index: index.parse().ok()?, purpose: purpose.parse().ok()? };
        (self.secret_name(slot.index, &slot.purpose).as_str() == secret_name).then_some(slot)
    }

    /// The cluster and the secret of it that have a name; `None` where it is nobody's.
    #[must_use]
    pub fn of_secret(name: &str) -> Option<(Self, Slot)> {
        name.match_indices("/node/").find_map(|(at, _)| {
            let cluster: Self = name[..at].parse().ok()?;
            let slot = cluster.slot_of(name)?;
            Some((cluster, slot))
        })
    }

    /// The parameter that holds the signed record of node `index`.
    #[must_use]
    pub fn record_parameter(&self, index: NodeIndex) -> ParameterName {
        ParameterName(format!("/{self}/node/{index}/record"))
    }

    /// The parameter that is the lease on the record of node `index`.
    #[must_use]
    pub fn lease_parameter(&self, index: NodeIndex) -> ParameterName {
        ParameterName(format!("/{self}/node/{index}/lease"))
    }

    /// The parameter that holds the environment of node `index`.
    #[must_use]
    pub fn environment_parameter(&self, index: NodeIndex) -> ParameterName {
        ParameterName(format!("/{self}/node/{index}/env"))
    }

    /// The parameter that holds the signed roster index: the commit mark of a Create.
    #[must_use]
    pub fn roster_index_parameter(&self) -> ParameterName {
        ParameterName(format!("/{self}/roster/index"))
    }

    /// The parameter that holds page `page` of the roster with serial number `serial`.
    #[must_use]
    pub fn roster_page_parameter(&self, serial: u64, page: usize) -> ParameterName {
        ParameterName(format!("/{self}/roster/{serial}/page/{page}"))
    }

    /// The document of a chain of this name: which key of each of its roles counts.
    #[must_use]
    pub fn chain_parameter(&self) -> ParameterName {
        ParameterName(format!("/{self}/chain"))
    }

    /// The name of the secret that holds key `number` of a role of a chain of this name.
    #[must_use]
    pub fn role_key_name(&self, role: &Segment, number: u32) -> SecretName {
        SecretName(format!("{self}/role/{role}/{number}"))
    }

    /// The parameter in which one owner notes what it is about to make.
    ///
    /// The owner is part of the name, so that a second stack that asks for the same cluster never
    /// overwrites the first one's note.
    #[must_use]
    pub fn intent_parameter(&self, owner_digest: &str) -> ParameterName {
        ParameterName(format!("/{self}/intent/{owner_digest}"))
    }

    /// The parameter in which whoever takes over an owner's secrets claims them.
    ///
    /// The old owner is the name's last part, so that of two who want the same secrets one comes first.
    #[must_use]
    pub fn adoption_parameter(&self, old_owner_digest: &str) -> ParameterName {
        ParameterName(format!("/{self}/adoption/{old_owner_digest}"))
    }
}

impl FromStr for ClusterName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (namespace, cluster) =
            text.rsplit_once('/').ok_or(NameError { allowed: "<namespace>/<cluster>" })?;
        Self::new(&namespace.parse()?, cluster)
    }
}

/// The index of a node in its cluster, from 0.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeIndex(u32);

impl NodeIndex {
    /// The index as a number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for NodeIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for NodeIndex {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let canonical = text == "0" || !text.starts_with(['0', '+']);
        text.parse()
            .ok()
            .filter(|index| canonical && *index <= INDEX_MAX)
            .map(Self)
            .ok_or(NameError { allowed: INDEX_ALLOWED })
    }
}

/// What a secret is for.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub enum Purpose {
    /// The node's private key towards its peers.
    P2pKey,
    /// The plaintext half of an application's API key for this node.
    ApiKey(Application),
    /// The plaintext half of the key for the node's management interface.
    ManagementKey,
    /// The password that unlocks the key shares in the node's database. Written once.
    SharePassword,
}

impl Purpose {
    /// Whether the node itself reads this secret (the others are read by the node's clients).
    #[must_use]
    pub fn is_read_by_the_node(&self) -> bool {
        matches!(self, Self::P2pKey | Self::SharePassword)
    }
}

impl FromStr for Purpose {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let application = text.strip_prefix("api-key/").map(str::parse);
        let known = [Self::P2pKey, Self::SharePassword, Self::ManagementKey];
        match application {
            Some(application) => Ok(Self::ApiKey(application?)),
            None => known
                .into_iter()
                .find(|purpose| purpose.to_string() == text)
                .ok_or(NameError { allowed: PURPOSE_ALLOWED }),
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::P2pKey => f.write_str("p2p-key"),
            Self::ApiKey(application) => write!(f, "api-key/{application}"),
            Self::ManagementKey => f.write_str("management-key"),
            Self::SharePassword => f.write_str("share-encryption-password"),
        }
    }
}

/// The name of a secret, `<namespace>/<cluster>/node/<index>/<purpose>`.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct SecretName(String);

/// The name of a parameter, starting with `/`.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct ParameterName(String);

impl SecretName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ParameterName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ParameterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One secret of a cluster, before it has a store: which node, and what for.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Slot {
    /// The node.
    pub index: NodeIndex,
    /// What the secret is for.
    pub purpose: Purpose,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_reach_beyond_themselves_are_refused() {
        for bad in ["", "A", "0a", "-a", "a_b", "a*", "a?", "a b", "a/b", "ä", "a-abcdef", &"a".repeat(32)] {
            assert!(bad.parse::<Application>().is_err(), "{bad:?}");
        }
        for good in ["a", "default", "a-b", "a-abcde", "a-abcdefg", "ab-cd-efg", &"a".repeat(31)] {
            assert!(good.parse::<Application>().is_ok(), "{good:?}");
        }
    }

    #[test]
    fn a_namespace_is_a_short_path_that_no_aws_service_reserves() {
        for bad in [
            "aws",
            "awsome",
            "ssm/a",
            "/a",
            "a/",
            "a//b",
            "a/b/c/d/e",
            "a/../b",
            &format!("{0}/{0}/{0}", "a".repeat(31)),
        ] {
            assert!(bad.parse::<Namespace>().is_err(), "{bad:?}");
        }
        for good in ["keyboot", "keyboot/prod", "a/b/c/d"] {
            assert!(good.parse::<Namespace>().is_ok(), "{good:?}");
        }
    }

    #[test]
    fn an_index_has_one_spelling() {
        for bad in ["", "-1", "+1", "01", "00", "1.0", " 1", "100000", "4294967296", "x"] {
            assert!(bad.parse::<NodeIndex>().is_err(), "{bad:?}");
        }
        assert_eq!("0".parse::<NodeIndex>().unwrap().get(), 0);
        assert_eq!("99999".parse::<NodeIndex>().unwrap().get(), 99_999);
    }

    #[test]
    fn a_secret_is_known_by_its_name() {
        let cluster: ClusterName = "keyboot/prod/tsm".parse().unwrap();
        let index: NodeIndex = "7".parse().unwrap();
        for purpose in ["p2p-key", "share-encryption-password", "management-key", "api-key/default"] {
            let slot = Slot { index, purpose: purpose.parse().unwrap() };
            assert_eq!(slot.purpose.to_string(), purpose);
            let name = cluster.secret_name(index, &slot.purpose);
            assert_eq!(cluster.slot_of(name.as_str()), Some(slot.clone()));
            assert_eq!(ClusterName::of_secret(name.as_str()), Some((cluster.clone(), slot)));
        }
        for bad in [
            "keyboot/prod/tsm/node/07/p2p-key",
            "keyboot/prod/tsm/node/7/record",
            "keyboot/prod/tsm/node/7/api-key/",
            "keyboot/prod/tsm/node/7/api-key/a/b",
            "keyboot/prod/tsm/node/7/p2p-key/x",
            "keyboot/prod/tsm2/node/7/p2p-key",
            "/keyboot/prod/tsm/node/7/p2p-key",
            "keyboot/prod/node/7/p2p-key",
        ] {
            assert_eq!(cluster.slot_of(bad), None, "{bad}");
            let known = ClusterName::of_secret(bad);
            assert!(known.is_none_or(|(other, _)| other != cluster), "{bad}");
        }
    }

    #[test]
    fn every_thing_has_its_place() {
        let cluster: ClusterName = "keyboot/prod/tsm".parse().unwrap();
        let index: NodeIndex = "2".parse().unwrap();
        let api_key = Purpose::ApiKey("default".parse().unwrap());
        assert_eq!(cluster.secret_name(index, &api_key).as_str(), "keyboot/prod/tsm/node/2/api-key/default");
        assert_eq!(
            cluster.secret_name(index, &Purpose::SharePassword).as_str(),
            "keyboot/prod/tsm/node/2/share-encryption-password"
        );
        assert_eq!(cluster.record_parameter(index).as_str(), "/keyboot/prod/tsm/node/2/record");
        assert_eq!(cluster.environment_parameter(index).as_str(), "/keyboot/prod/tsm/node/2/env");
        assert_eq!(cluster.roster_index_parameter().as_str(), "/keyboot/prod/tsm/roster/index");
        assert_eq!(cluster.roster_page_parameter(7, 0).as_str(), "/keyboot/prod/tsm/roster/7/page/0");
        assert_eq!(
            cluster.adoption_parameter("0123456789abcdef").as_str(),
            "/keyboot/prod/tsm/adoption/0123456789abcdef"
        );
    }
}
