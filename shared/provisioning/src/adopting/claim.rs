//! The claim: who takes an old owner's secrets over, and what it takes to give them back.
//!
//! Tags are set one secret after another, and no store locks several at once. So whoever adopts
//! first publishes a signed claim under a name made of the old owner's id, where none may stand
//! yet: of two adopters one comes first, and the old owner's own operations see it. The claim keeps
//! the roster index in the very text that stood there, since only its signer could write it anew,
//! and which secrets were in their recovery window. It is withdrawn when the adoption is confirmed
//! or handed back. No I/O here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::names::{ClusterName, NodeIndex, Slot};
use crate::ownership::Owner;
use crate::roster::NamedOwner;
use crate::signed::{self, Document, PinnedKeys};

/// The schema number of the claim.
const SCHEMA: u32 = 1;

/// A claim on what an old owner has.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Claim {
    /// The cluster.
    pub(crate) cluster: ClusterName,
    /// The old owner.
    pub(crate) former: NamedOwner,
    /// The roster index as it stood, where the old owner may get it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<String>,
    /// The new owner.
    pub(crate) owner: NamedOwner,
    /// The schema number of this document.
    schema: u32,
    /// The secrets that were in their recovery window.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    windows: Vec<Window>,
}

/// Purposes whose secrets of the same nodes were in their recovery window.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Window {
    /// Indexes and ranges of them, such as `0-2,7`.
    nodes: String,
    purposes: Vec<String>,
}

impl Document for Claim {
    const DOMAIN: &'static str = "keyboot.adoption.v1";
    const FIELD: &'static str = "adoption";
}

impl Claim {
    /// A claim of `owner` on what `former` has.
    pub(crate) fn new<'a>(
        owner: &Owner,
        former: &Owner,
        index: Option<String>,
        scheduled: impl IntoIterator<Item = &'a Slot>,
    ) -> Self {
        Self {
            cluster: owner.id.cluster().clone(),
            former: former.into(),
            index,
            owner: owner.into(),
            schema: SCHEMA,
            windows: windows(scheduled),
        }
    }

    /// Whether it is this owner's.
    pub(crate) fn is_of(&self, owner: &Owner) -> bool {
        self.owner == NamedOwner::from(owner)
    }

    /// Whether the secret was in its recovery window when the claim was made.
    pub(crate) fn was_scheduled(&self, slot: &Slot) -> bool {
        let (index, purpose) = (slot.index.get(), slot.purpose.to_string());
        let names = |window: &Window| {
            window.purposes.contains(&purpose)
                && window.nodes.split(',').any(|range| {
                    let (first, last) = range.split_once('-').unwrap_or((range, range));
                    matches!((first.parse(), last.parse()), (Ok(first), Ok(last)) if (first..=last).contains(&index))
                })
        };
        self.windows.iter().any(names)
    }
}

/// A claim as it stands.
#[derive(Clone, Debug)]
pub(crate) enum Claimed {
    /// It checks out.
    By(Box<Claim>),
    /// It does not: it may be that of a stack whose key is not pinned here.
    Unreadable,
}

impl Claimed {
    pub(crate) fn read(text: &str, keys: &PinnedKeys) -> Self {
        match signed::verify::<Claim>(text, keys) {
            Ok(claim) if claim.schema == SCHEMA => Self::By(Box::new(claim)),
            _ => Self::Unreadable,
        }
    }

    /// The claim, if it is this owner's.
    pub(crate) fn of(&self, owner: &Owner) -> Option<&Claim> {
        match self {
            Self::By(claim) if claim.is_of(owner) => Some(claim),
            _ => None,
        }
    }
}

/// Slots by purpose, in few words: purposes with the same nodes stand together.
fn windows<'a>(slots: impl IntoIterator<Item = &'a Slot>) -> Vec<Window> {
    let mut nodes_of: BTreeMap<String, Vec<NodeIndex>> = BTreeMap::new();
    for slot in slots {
        nodes_of.entry(slot.purpose.to_string()).or_default().push(slot.index);
    }
    let mut windows: Vec<Window> = Vec::new();
    for (purpose, mut nodes) in nodes_of {
        nodes.sort_unstable();
        let nodes = ranges(&nodes);
        match windows.iter_mut().find(|window| window.nodes == nodes) {
            Some(window) => window.purposes.push(purpose),
            None => windows.push(Window { nodes, purposes: vec![purpose] }),
        }
    }
    windows
}

fn ranges(ascending: &[NodeIndex]) -> String {
    let follows = |a: &NodeIndex, b: &NodeIndex| b.get() == a.get() + 1;
    let range = |nodes: &[NodeIndex]| match nodes {
        [only] => only.to_string(),
        [first, .., last] => format!("{first}-{last}"),
        [] => String::new(),
    };
    ascending.chunk_by(follows).map(range).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signed::CanonicalText;

    fn owner(id: &str) -> Owner {
        Owner { id: id.parse().unwrap(), stack_id: "stack".into(), logical_id: "Keys".into() }
    }

    fn slot(index: u32, purpose: &str) -> Slot {
        let purpose = match purpose {
            "p2p-key" => crate::names::Purpose::P2pKey,
            "management-key" => crate::names::Purpose::ManagementKey,
            other => crate::names::Purpose::ApiKey(other.parse().unwrap()),
        };
        Slot { index: index.to_string().parse().unwrap(), purpose }
    }

    fn claim(slots: &[Slot]) -> Claim {
        let (new, old) = (owner("keyboot/a/b/0123456789abcdef"), owner("keyboot/a/b/fedcba9876543210"));
        Claim::new(&new, &old, None, slots)
    }

    #[test]
    fn a_claim_tells_exactly_what_was_in_its_window() {
        let mut scheduled: Vec<_> = [0, 1, 2, 7].map(|index| slot(index, "p2p-key")).into();
        scheduled.extend([0, 1, 2, 7].map(|index| slot(index, "app")));
        scheduled.push(slot(7, "management-key"));
        let claim = claim(&scheduled);
        let text = CanonicalText::of(&claim).unwrap().to_string();
        assert!(text.contains(r#"{"nodes":"0-2,7","purposes":["api-key/app","p2p-key"]}"#), "{text}");
        let read: Claim = serde_json::from_str(&text).unwrap();
        for index in 0..20 {
            for purpose in ["p2p-key", "app", "management-key", "other"] {
                let slot = slot(index, purpose);
                assert_eq!(read.was_scheduled(&slot), scheduled.contains(&slot), "{slot:?}");
            }
        }
    }

    #[test]
    fn a_thousand_scattered_nodes_fit_one_claim() {
        let purposes = ["p2p-key", "management-key", "app"];
        let slots: Vec<_> =
            purposes.iter().flat_map(|purpose| (0..1000).map(|n| slot(98_000 + 2 * n, purpose))).collect();
        let text = CanonicalText::of(&claim(&slots)).unwrap();
        let signer = "arn:aws-us-gov:kms:us-gov-east-1:111122223333:key/mrk-00000000000000000000000000000001";
        text.signed(&[0; 72], signer).unwrap();
    }
}
