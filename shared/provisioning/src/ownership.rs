//! Who owns a stored secret, and whether this stack may touch it.
//!
//! Ownership is written in the secret's tags in the same call that creates it, so that no crash
//! can leave a secret nobody owns. No I/O here.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::names::{ClusterName, SecretName, Slot};

/// The tag that names the owner: the physical id of the stack resource.
pub const OWNER_TAG: &str = "keyboot:owner";
/// The tag that names the stack.
pub const STACK_TAG: &str = "keyboot:stack";
/// The tag that names the resource in its template.
pub const RESOURCE_TAG: &str = "keyboot:resource";
/// The tag that names the operation that made the first version.
pub const GENERATION_TAG: &str = "keyboot:generation";
/// The tag that names the cluster.
pub const CLUSTER_TAG: &str = "keyboot:cluster";
/// The tag that names the node.
pub const NODE_TAG: &str = "keyboot:node";
/// The tag that names what the secret is for.
pub const PURPOSE_TAG: &str = "keyboot:purpose";
/// The tag that carries the public half of the first version.
pub const PUBLIC_TAG: &str = "keyboot:public";
/// The tag that says how the value is protected in its store.
pub const PROTECTION_TAG: &str = "keyboot:protection";
/// The tag that says what made the first version, where that was not this function.
pub const ORIGIN_TAG: &str = "keyboot:origin";
/// The tag with the digest of the `Regenerate` token of the first version, where there was one.
pub const REGENERATE_TAG: &str = "keyboot:regenerate";

/// The tag that names the owner before an adoption, until it is confirmed.
pub const ADOPTED_FROM_TAG: &str = "keyboot:adopted-from";
/// The tag that names this owner's stack.
pub const ADOPTED_STACK_TAG: &str = "keyboot:adopted-from-stack";
/// The tag that names this owner in its template.
pub const ADOPTED_RESOURCE_TAG: &str = "keyboot:adopted-from-resource";
/// The tags of an adoption.
pub const ADOPTION_TAGS: [&str; 3] = [ADOPTED_FROM_TAG, ADOPTED_STACK_TAG, ADOPTED_RESOURCE_TAG];
/// The tag that names the key which the value is encrypted with, in a store that does not tell it.
pub const KEY_TAG: &str = "keyboot:key";
/// The tag that tells when a recovery window is over, in a store that has none of its own.
pub const DELETE_AFTER_TAG: &str = "keyboot:delete-after";
/// The tag that such a store is asked by for what is in a recovery window; always `true`.
pub const LEAVING_TAG: &str = "keyboot:leaving";

/// The tags of a stored thing.
pub type Tags = BTreeMap<String, String>;

/// The physical id of the stack resource that made a secret,
/// `keyboot/<namespace>/<cluster>/<16 hex digits>`.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct OwnerId {
    text: String,
    cluster: ClusterName,
}

/// A text is not the physical id of one of our resources.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a physical id of the form keyboot/<namespace>/<cluster>/<16 hex digits>")]
pub struct OwnerIdError;

impl OwnerId {
    /// The first part of every physical id.
    pub const PREFIX: &'static str = "keyboot";

    /// The cluster that the id names.
    #[must_use]
    pub fn cluster(&self) -> &ClusterName {
        &self.cluster
    }

    /// The last part: 16 hex digits made of the stack and the logical id.
    #[must_use]
    pub fn digest(&self) -> &str {
        self.text.rsplit('/').next().unwrap_or_default()
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for OwnerId {
    type Err = OwnerIdError;

    fn from_str(text: &str) -> Result<Self, OwnerIdError> {
        let (path, digest) = text.rsplit_once('/').ok_or(OwnerIdError)?;
        let cluster =
            path.strip_prefix(Self::PREFIX).and_then(|rest| rest.strip_prefix('/')).ok_or(OwnerIdError)?;
        let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if digest.len() != 16 || !digest.bytes().all(is_hex) {
            return Err(OwnerIdError);
        }
        Ok(Self { cluster: cluster.parse().map_err(|_| OwnerIdError)?, text: text.to_owned() })
    }
}

impl fmt::Display for OwnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The `RequestId` of the operation that made a version.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Generation(String);

impl Generation {
    /// Takes the `RequestId` of a CloudFormation event.
    #[must_use]
    pub fn new(request_id: impl Into<String>) -> Self {
        Self(request_id.into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The stack resource on whose behalf an operation runs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Owner {
    /// Its physical id.
    pub id: OwnerId,
    /// The ARN of its stack.
    pub stack_id: String,
    /// Its name in the template.
    pub logical_id: String,
}

impl Owner {
    /// The tags of a secret that this owner makes now.
    ///
    /// `public` is the public half of the value (an SPKI in base64, or the hash of an API key);
    /// the share-encryption password has none.
    #[must_use]
    pub fn tags(
        &self,
        generation: &Generation,
        slot: &Slot,
        public: Option<String>,
        protection: Option<&str>,
    ) -> Tags {
        let mut tags = self.document_tags();
        tags.insert(GENERATION_TAG.into(), generation.to_string());
        tags.insert(NODE_TAG.into(), slot.index.to_string());
        tags.insert(PURPOSE_TAG.into(), slot.purpose.to_string());
        tags.extend(public.map(|public| (PUBLIC_TAG.into(), public)));
        tags.extend(protection.map(|how| (PROTECTION_TAG.into(), how.into())));
        tags
    }

    /// The tags of a public document (record, environment, roster) of this owner.
    #[must_use]
    pub fn document_tags(&self) -> Tags {
        Tags::from([
            (OWNER_TAG.into(), self.id.to_string()),
            (STACK_TAG.into(), self.stack_id.clone()),
            (RESOURCE_TAG.into(), self.logical_id.clone()),
            (CLUSTER_TAG.into(), self.id.cluster().to_string()),
        ])
    }

    /// The owner that `tags` name, if they name one of our form.
    #[must_use]
    pub fn named_by(tags: &Tags) -> Option<Self> {
        Self::in_tags(tags, [OWNER_TAG, STACK_TAG, RESOURCE_TAG])
    }

    /// The owner before an adoption that is not confirmed, if `tags` name one.
    #[must_use]
    pub fn adopted_from(tags: &Tags) -> Option<Self> {
        Self::in_tags(tags, ADOPTION_TAGS)
    }

    fn in_tags(tags: &Tags, [id, stack, resource]: [&str; 3]) -> Option<Self> {
        Some(Self {
            id: tags.get(id)?.parse().ok()?,
            stack_id: tags.get(stack)?.clone(),
            logical_id: tags.get(resource)?.clone(),
        })
    }

    /// The tags that make a secret this owner's.
    #[must_use]
    pub fn owner_tags(&self) -> Tags {
        Tags::from([
            (OWNER_TAG.into(), self.id.to_string()),
            (STACK_TAG.into(), self.stack_id.clone()),
            (RESOURCE_TAG.into(), self.logical_id.clone()),
        ])
    }

    /// The same for a secret of another owner, with what it takes to hand it back to that one: all
    /// of it goes on in one call.
    #[must_use]
    pub fn adopting_tags(&self, former: &Self) -> Tags {
        let mut tags = self.owner_tags();
        tags.insert(ADOPTED_FROM_TAG.into(), former.id.to_string());
        tags.insert(ADOPTED_STACK_TAG.into(), former.stack_id.clone());
        tags.insert(ADOPTED_RESOURCE_TAG.into(), former.logical_id.clone());
        tags
    }

    /// Whether `tags` name this owner: the physical id and the stack, both.
    #[must_use]
    pub fn owns(&self, tags: &Tags) -> bool {
        tags.get(OWNER_TAG).is_some_and(|id| id == self.id.as_str())
            && tags.get(STACK_TAG).is_some_and(|stack| *stack == self.stack_id)
    }
}

/// The generation that a secret's tags name.
#[must_use]
pub fn generation_of(tags: &Tags) -> Option<Generation> {
    tags.get(GENERATION_TAG).map(Generation::new)
}

/// The token, and so the version id, of a secret's first version: the same for every delivery of
/// the same request, a different one for every secret. 36 characters in the form of a UUID (RFC
/// 9562, version 8), as `CreateSecret` recommends.
#[must_use]
pub fn first_version_token(generation: &Generation, name: &SecretName) -> String {
    uuid(Sha256::new().chain_update(generation.as_str()).chain_update(name.as_str()))
}

/// The same of a further version: every delivery of one request puts under one id, so that only one
/// of them takes effect, whatever each has made.
#[must_use]
pub fn further_version_token(generation: &Generation, name: &SecretName) -> String {
    let domain = Sha256::new().chain_update("keyboot.version.v1\n");
    uuid(domain.chain_update(generation.as_str()).chain_update([0]).chain_update(name.as_str()))
}

/// The same of a version that a schedule asks for: every delivery of what was scheduled for one time puts
/// under one id.
pub(crate) fn scheduled_version_token(name: &SecretName, at: Timestamp) -> String {
    let domain = Sha256::new().chain_update("keyboot.scheduled.v1\n");
    uuid(domain.chain_update(name.as_str()).chain_update([0]).chain_update(at.to_string()))
}

fn uuid(hash: Sha256) -> String {
    let digest = hash.finalize();
    let mut bytes: [u8; 16] = std::array::from_fn(|position| digest[position]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex::encode(bytes);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Purpose;

    const ID: &str = "keyboot/keyboot/prod/tsm/0123456789abcdef";

    fn owner() -> Owner {
        Owner {
            id: ID.parse().unwrap(),
            stack_id: "arn:aws:cloudformation:eu-central-1:111122223333:stack/kms/1".into(),
            logical_id: "Keys".into(),
        }
    }

    #[test]
    fn a_physical_id_gives_its_cluster_back() {
        let id: OwnerId = ID.parse().unwrap();
        assert_eq!(id.cluster().as_str(), "keyboot/prod/tsm");
        assert_eq!(id.digest(), "0123456789abcdef");
        for bad in [
            "",
            "keyboot",
            "keyboot/a/0123456789abcdef",
            "other/ns/a/0123456789abcdef",
            "keyboot/-/-/0123456789abcdef",
            "keyboot/ns/a/0123456789ABCDEF",
            "keyboot/ns/a/0123",
            "kms-stack-Keys-1ABCDEF",
        ] {
            assert_eq!(bad.parse::<OwnerId>(), Err(OwnerIdError), "{bad:?}");
        }
    }

    #[test]
    fn ownership_needs_both_the_id_and_the_stack() {
        let owner = owner();
        let slot = Slot { index: "0".parse().unwrap(), purpose: Purpose::P2pKey };
        let tags = owner.tags(&Generation::new("r"), &slot, Some("p".into()), Some("Envelope"));
        assert!(owner.owns(&tags));
        assert_eq!(generation_of(&tags), Some(Generation::new("r")));
        for missing in [OWNER_TAG, STACK_TAG] {
            let mut fewer = tags.clone();
            fewer.remove(missing);
            assert!(!owner.owns(&fewer), "{missing}");
            fewer.insert(missing.into(), "another".into());
            assert!(!owner.owns(&fewer), "{missing}");
        }
        assert!(!owner.owns(&Tags::new()));
    }
}
