//! What an operation is about to make, noted before it makes it.
//!
//! Names alone cannot be listed reliably (the store's listing lags behind by minutes), so an
//! operation that died half way would leave things that no later one knows to look for. The note
//! is signed like every document of ours, kept under a name of the owner's own, spent as soon as
//! the roster index has its serial number, and withdrawn at the end of the operation: were the
//! index lost one day, a note that still stood there would make a cluster in service look as if it
//! had never been completed. No I/O here.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::names::{Application, NodeIndex};
use crate::node_ranges;
use crate::ownership::Generation;
use crate::roster::RosterIndex;
use crate::signed::Document;
use crate::store::Store;

/// The schema number of the note.
pub(crate) const SCHEMA: u32 = 2;

/// A note of what may exist although no roster lists it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Intent {
    /// Every application that the operation, or an unfinished one before it, has keys for.
    pub(crate) applications: BTreeSet<Application>,
    /// The operation, first, and those before it that never reached their roster.
    pub(crate) generations: Vec<Generation>,
    /// Every node that the operation, or an unfinished one before it, has secrets for.
    #[serde(with = "node_ranges")]
    pub(crate) nodes: BTreeSet<NodeIndex>,
    /// The physical id of the stack resource that the operation concerns.
    pub(crate) owner: String,
    /// The schema number of this document.
    pub(crate) schema: u32,
    /// The serial number of the roster index that the operation will write.
    pub(crate) serial: u64,
    /// Nodes to be listed whose environment stood already when the operation began: that of any other
    /// such node was written by the operation itself, and with it everything about the node.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty", with = "node_ranges")]
    pub(crate) unproven: BTreeSet<NodeIndex>,
    /// The store of the secrets.
    #[serde(default, skip_serializing_if = "Store::is_default")]
    pub(crate) store: Store,
}

impl Document for Intent {
    const DOMAIN: &'static str = "keyboot.intent.v1";
    const FIELD: &'static str = "intent";
}

impl Intent {
    /// A note that `generation` is about to make things for these nodes and applications, and to
    /// list them in the roster with this serial number.
    #[must_use]
    pub(crate) fn new(owner: String, generation: Generation, serial: u64, store: Store) -> Self {
        Self {
            applications: BTreeSet::new(),
            generations: vec![generation],
            nodes: BTreeSet::new(),
            owner,
            schema: SCHEMA,
            serial,
            unproven: BTreeSet::new(),
            store,
        }
    }

    /// Whether the operation that wrote this note never reached its roster, given the roster that
    /// stands now.
    #[must_use]
    pub(crate) fn is_open(&self, index: Option<&RosterIndex>) -> bool {
        index.is_none_or(|index| index.serial < self.serial)
    }

    /// The operations that never reached a roster, as far as can be concluded: every one in an
    /// open note; in a note that `current` wrote and that is spent, those whose remains it took
    /// over. What `current` itself makes is never among them.
    #[must_use]
    pub(crate) fn never_listed(
        &self,
        index: Option<&RosterIndex>,
        current: Option<&Generation>,
    ) -> BTreeSet<Generation> {
        let taken_over = current.is_some() && self.generations.first() == current;
        if !self.is_open(index) && !taken_over {
            return BTreeSet::new();
        }
        self.generations.iter().filter(|generation| Some(*generation) != current).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signed::CanonicalText;

    fn note(generations: &[&str], serial: u64) -> Intent {
        let mut note = Intent::new(
            "keyboot/a/b/0123456789abcdef".into(),
            Generation::new(generations[0]),
            serial,
            Store::default(),
        );
        note.generations.extend(generations[1..].iter().map(|id| Generation::new(*id)));
        note
    }

    fn index(serial: u64) -> RosterIndex {
        RosterIndex {
            adopted_from: None,
            cluster: "a/b".parse().unwrap(),
            finished: Vec::new(),
            generation: Generation::new("any"),
            node_count: 0,
            owner: String::new(),
            pages: 0,
            regenerate: None,
            regenerate_before: None,
            rotation: None,
            schema: 1,
            serial,
            sha256: String::new(),
            store: Store::default(),
        }
    }

    #[test]
    fn the_longest_note_fits_a_parameter() {
        let owner = format!("keyboot/{}/{}/0123456789abcdef", "n".repeat(64), "c".repeat(31));
        let id = "11111111-2222-3333-4444-555555555555";
        let mut note = Intent::new(owner, Generation::new(id), u64::from(u32::MAX), Store::ParameterStore);
        note.nodes = (99_000..100_000).map(|index: u32| index.to_string().parse().unwrap()).collect();
        note.applications = (0..16).map(|n| format!("{}{n:02}", "a".repeat(29)).parse().unwrap()).collect();
        note.generations.extend([Generation::new(id), Generation::new(id)]);
        let signer = "arn:aws-us-gov:kms:us-gov-east-1:111122223333:key/mrk-00000000000000000000000000000001";
        let fits = |note: &Intent| CanonicalText::of(note).unwrap().signed(&[0; 72], signer).is_ok();
        assert!(fits(&note));
        // A cluster of 1,000 nodes on its way to 1,000 others.
        note.nodes.extend((10_000..11_000).map(|index: u32| index.to_string().parse::<NodeIndex>().unwrap()));
        assert!(fits(&note));
        // Of nodes that stand apart, as many as a cluster may have.
        let apart = |count: u32| (0..count).map(|n| (90_000 + 2 * n).to_string().parse().unwrap()).collect();
        note.nodes = apart(1000);
        assert!(fits(&note));
        note.nodes = apart(2000);
        assert!(!fits(&note));
    }

    #[test]
    fn a_note_of_before_is_read() {
        let text =
            r#"{"applications":["a"],"generations":["g"],"nodes":[0,2],"owner":"o","schema":1,"serial":1}"#;
        let note: Intent = serde_json::from_str(text).unwrap();
        assert_eq!(note.nodes.iter().map(|node| node.get()).collect::<Vec<_>>(), [0, 2]);
        assert!(note.unproven.is_empty() && note.schema < SCHEMA);
    }

    #[test]
    fn only_an_unspent_note_tells_of_what_was_never_listed() {
        let current = Generation::new("b");
        let all = |note: &Intent, index: Option<&RosterIndex>, current: Option<&Generation>| {
            note.never_listed(index, current).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        let open = note(&["b", "a"], 2);
        assert_eq!(all(&open, None, None), "a b");
        assert_eq!(all(&open, Some(&index(1)), None), "a b");
        assert_eq!(all(&open, Some(&index(1)), Some(&current)), "a");
        // Spent: only who wrote it still knows what it took over, and it takes nothing of its own.
        assert_eq!(all(&open, Some(&index(2)), None), "");
        assert_eq!(all(&open, Some(&index(2)), Some(&current)), "a");
        assert_eq!(all(&open, Some(&index(2)), Some(&Generation::new("a"))), "");
    }
}
