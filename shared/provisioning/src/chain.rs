//! The chain document: which key of each role of a chain counts, signed.
//!
//! A role's keys are written once, each under a number of its own, so the number is what tells them apart
//! and this document is what tells which number counts. Whoever signs with a role's key reads it here, checked
//! as a node record is, and compares the key that he gets with the address that stands beside the number.
//! It never holds a secret. No I/O here.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use key_material::ethereum::EthereumAddress;
use serde::{Deserialize, Serialize};

use crate::names::{ClusterName, Segment};
use crate::ownership::Generation;
use crate::signed::{self, Document, DocumentError, PinnedKeys};
use crate::version_label::RegenerateToken;

/// The schema number of a chain document.
pub const SCHEMA: u32 = 1;

/// What is public of a chain's keys.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChainDocument {
    /// The chain, `<namespace>/<chain>`.
    pub chain: ClusterName,
    /// The number by which wallets and transactions know it.
    pub chain_id: u64,
    /// The operation that wrote this document.
    pub generation: Generation,
    /// The same number of the chain that it settles on.
    pub l1_chain_id: u64,
    /// Whose the chain is.
    pub owner: String,
    /// The keys of its roles.
    pub roles: BTreeMap<Segment, RoleKeys>,
    /// The schema number of this document.
    pub schema: u32,
    /// Grows with every change of this document; a reader refuses less than it has seen.
    pub serial: u64,
}

/// The keys of one role.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoleKeys {
    /// The one that counts; none while the role is let go of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<RoleKey>,
    /// The highest number that a key of this role was ever given: none is given twice.
    pub highest: u32,
    /// Those that are let go of and can still come back, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaving: Vec<LeavingKey>,
    /// The one that a rotation has prepared; it does not count yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<RoleKey>,
    /// The regeneration token applied last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regenerate: Option<RegenerateToken>,
}

/// One key of a role.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoleKey {
    /// The address of the account that it controls.
    #[serde(with = "signed::text_form")]
    pub address: EthereumAddress,
    /// Its number among the role's keys, from 1.
    pub number: u32,
}

/// One key of a role that is let go of.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LeavingKey {
    /// The address of the account that it controls.
    #[serde(with = "signed::text_form")]
    pub address: EthereumAddress,
    /// Why it goes.
    pub because: Leaving,
    /// Its number among the role's keys, from 1.
    pub number: u32,
    /// When its recovery window is over; it stays where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// Why a key is let go of.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Leaving {
    /// Its role is not declared any more: this is the one that comes back with the role.
    Removed,
    /// Another one counts instead.
    Replaced,
    /// It was prepared, and never counted.
    Abandoned,
}

impl Document for ChainDocument {
    const DOMAIN: &'static str = "keyboot.chain.v1";
    const FIELD: &'static str = "chain";
}

impl ChainDocument {
    /// Reads the document of a chain: signed by a pinned key, of that very chain, consistent, and no older
    /// than `seen`, the highest serial number the reader has met (0 at first).
    ///
    /// # Errors
    ///
    /// [`DocumentError`], which names the reason.
    pub fn verify(
        stored: &str,
        keys: &PinnedKeys,
        chain: &ClusterName,
        seen: u64,
    ) -> Result<Self, DocumentError> {
        let document: Self = signed::verify(stored, keys)?;
        if document.chain != *chain {
            return Err(DocumentError::Foreign {
                found: document.chain.to_string(),
                expected: chain.to_string(),
            });
        }
        if document.schema != SCHEMA {
            return Err(DocumentError::Inconsistent("its schema is not 1"));
        }
        if !document.roles.values().all(RoleKeys::are_distinct) {
            return Err(DocumentError::Inconsistent(
                "a role has one key number twice, the number 0, or one above its highest",
            ));
        }
        if document.serial < seen {
            return Err(DocumentError::Older { found: document.serial, seen });
        }
        Ok(document)
    }

    /// This document with the serial number that follows `previous`, or `previous` itself when nothing but the
    /// operation differs: no change, no new text.
    #[must_use]
    pub fn following(mut self, previous: Option<&Self>) -> Self {
        let Some(previous) = previous else { return self };
        self.serial = previous.serial;
        let same = Self { generation: previous.generation.clone(), ..self.clone() };
        if same == *previous {
            return same;
        }
        self.serial += 1;
        self
    }
}

impl RoleKeys {
    /// The numbers of all of them.
    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        let in_use = self.current.iter().chain(&self.pending).map(|key| key.number);
        in_use.chain(self.leaving.iter().map(|key| key.number))
    }

    fn are_distinct(&self) -> bool {
        let numbers: BTreeSet<u32> = self.numbers().collect();
        let are_in_range = numbers.first().is_none_or(|lowest| *lowest > 0)
            && numbers.last().is_none_or(|highest| *highest <= self.highest);
        numbers.len() == self.numbers().count() && are_in_range
    }
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::signature::hazmat::PrehashSigner as _;
    use p256::ecdsa::{DerSignature, SigningKey};
    use p256::pkcs8::EncodePublicKey as _;

    use super::*;
    use crate::signed::CanonicalText;

    const SIGNER: &str = "arn:vault:transit:ops:root:key/records";

    fn key(number: u32) -> RoleKey {
        RoleKey { address: EthereumAddress::from([u8::try_from(number).unwrap(); 20]), number }
    }

    fn document() -> ChainDocument {
        let leaving = LeavingKey {
            address: key(1).address,
            because: Leaving::Replaced,
            number: 1,
            until: Some("2026-01-02T03:04:05Z".parse().unwrap()),
        };
        let keys = RoleKeys {
            current: Some(key(2)),
            highest: 3,
            leaving: vec![leaving],
            pending: Some(key(3)),
            regenerate: Some("2026-11".parse().unwrap()),
        };
        ChainDocument {
            chain: "keyboot/l2".parse().unwrap(),
            chain_id: 901,
            generation: Generation::new("provision-1"),
            l1_chain_id: 1,
            owner: "keyboot/keyboot/l2/0123456789abcdef".into(),
            roles: BTreeMap::from([("sequencer".parse().unwrap(), keys)]),
            schema: 1,
            serial: 7,
        }
    }

    fn signing_key() -> SigningKey {
        SigningKey::from_slice(&[7; 32]).unwrap()
    }

    fn signed(document: &ChainDocument) -> String {
        let text = CanonicalText::of(document).unwrap();
        let signature: DerSignature = signing_key().sign_prehash(&text.digest()).unwrap();
        text.signed(signature.as_bytes(), SIGNER).unwrap()
    }

    fn read(text: &str, chain: &str, seen: u64) -> Result<ChainDocument, DocumentError> {
        let public_key = p256::PublicKey::from(signing_key().verifying_key());
        let public_key = public_key.to_public_key_der().unwrap();
        let keys = PinnedKeys::default().pin(SIGNER, public_key.as_bytes()).unwrap();
        ChainDocument::verify(text, &keys, &chain.parse().unwrap(), seen)
    }

    #[test]
    fn what_is_signed_is_read_and_stands_there_in_one_spelling() {
        let text = signed(&document());
        assert!(
            text.starts_with(concat!(
                r#"{"chain":{"chain":"keyboot/l2","chainId":901,"generation":"provision-1","l1ChainId":1,"#,
                r#""owner":"keyboot/keyboot/l2/0123456789abcdef","roles":{"sequencer":{"current":{"address":"#,
                r#""0x0202020202020202020202020202020202020202","number":2},"highest":3,"leaving":[{"address":"#,
                r#""0x0101010101010101010101010101010101010101","because":"replaced","number":1,"#,
                r#""until":"2026-01-02T03:04:05Z"}],"pending":{"address":"#,
                r#""0x0303030303030303030303030303030303030303","number":3},"regenerate":"2026-11"}},"schema":1,"#,
                r#""serial":7},"#
            )),
            "{text}"
        );
        assert_eq!(read(&text, "keyboot/l2", 7), Ok(document()));
        let bare = ChainDocument { roles: BTreeMap::new(), ..document() };
        assert_eq!(read(&signed(&bare), "keyboot/l2", 0), Ok(bare));
    }

    #[test]
    fn one_that_is_older_of_another_chain_or_changed_is_refused() {
        let text = signed(&document());
        assert_eq!(read(&text, "keyboot/l2", 8), Err(DocumentError::Older { found: 7, seen: 8 }));
        assert!(matches!(read(&text, "keyboot/l3", 0), Err(DocumentError::Foreign { .. })));
        let changed = text.replacen("\"number\":2", "\"number\":4", 1);
        assert_eq!(read(&changed, "keyboot/l2", 0), Err(DocumentError::BadSignature));
        let other = text.replace("key/records", "key/recordz");
        assert!(matches!(read(&other, "keyboot/l2", 0), Err(DocumentError::UnknownSigner(_))));
    }

    #[test]
    fn one_that_contradicts_itself_is_refused() {
        let with = |keys: RoleKeys, schema: u32| {
            let roles = BTreeMap::from([("sequencer".parse().unwrap(), keys)]);
            read(&signed(&ChainDocument { roles, schema, ..document() }), "keyboot/l2", 0)
        };
        let up_to = |highest| RoleKeys { highest, ..RoleKeys::default() };
        let twice = RoleKeys { current: Some(key(2)), pending: Some(key(2)), ..up_to(2) };
        assert!(matches!(with(twice, 1), Err(DocumentError::Inconsistent(why)) if why.contains("twice")));
        let none = RoleKeys { current: Some(key(0)), ..up_to(1) };
        assert!(matches!(with(none, 1), Err(DocumentError::Inconsistent(why)) if why.contains("number 0")));
        let above = RoleKeys { current: Some(key(2)), ..up_to(1) };
        assert!(matches!(with(above, 1), Err(DocumentError::Inconsistent(why)) if why.contains("highest")));
        let one = RoleKeys { current: Some(key(1)), ..up_to(1) };
        assert!(matches!(with(one, 2), Err(DocumentError::Inconsistent(why)) if why.contains("schema")));
    }

    #[test]
    fn nothing_new_is_no_new_document() {
        let later = ChainDocument { generation: Generation::new("provision-2"), serial: 1, ..document() };
        assert_eq!(later.clone().following(Some(&document())), document());
        let changed = ChainDocument { chain_id: 902, ..later.clone() };
        let following = changed.following(Some(&document()));
        assert_eq!((following.serial, following.generation.as_str()), (8, "provision-2"));
        assert_eq!(later.clone().following(None), later);
    }
}
