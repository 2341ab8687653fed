//! A set of nodes as a short text: `0-63,70,72-99`. A note of 2,000 nodes in two runs is a few bytes.
//!
//! A list of numbers, as notes had it before, is read as well.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

use crate::names::NodeIndex;

/// Writes a set. The form is the only one for this set.
pub(crate) fn serialize<S: Serializer>(nodes: &BTreeSet<NodeIndex>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&text(nodes))
}

/// Reads a set.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeSet<NodeIndex>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Ranges(String),
        List(BTreeSet<NodeIndex>),
    }
    match Form::deserialize(from)? {
        Form::List(nodes) => Ok(nodes),
        Form::Ranges(text) => parse(&text).ok_or_else(|| D::Error::custom("not ranges of nodes")),
    }
}

fn text(nodes: &BTreeSet<NodeIndex>) -> String {
    let mut text = String::new();
    let mut nodes = nodes.iter().map(|node| node.get()).peekable();
    while let Some(first) = nodes.next() {
        let mut last = first;
        while let Some(next) = nodes.next_if(|next| *next == last + 1) {
            last = next;
        }
        let comma = if text.is_empty() { "" } else { "," };
        // Writing to a text does not fail.
        let _ = write!(text, "{comma}{first}");
        if last > first {
            let _ = write!(text, "-{last}");
        }
    }
    text
}

/// Only what [`text`] writes.
fn parse(text: &str) -> Option<BTreeSet<NodeIndex>> {
    let mut nodes = BTreeSet::new();
    for range in text.split(',').filter(|_| !text.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (NodeIndex, NodeIndex) = (first.parse().ok()?, last.parse().ok()?);
        for index in first.get()..=last.get() {
            nodes.insert(index.to_string().parse().ok()?);
        }
    }
    (self::text(&nodes) == text).then_some(nodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(nodes: impl IntoIterator<Item = u32>) -> BTreeSet<NodeIndex> {
        nodes.into_iter().map(|index| index.to_string().parse().unwrap()).collect()
    }

    #[test]
    fn a_set_has_one_short_form() {
        for (nodes, form) in [
            (set([]), ""),
            (set([7]), "7"),
            (set([0, 1]), "0-1"),
            (set([0, 2, 3, 4, 99_999]), "0,2-4,99999"),
            (set((0..1000).chain(5000..6000)), "0-999,5000-5999"),
        ] {
            assert_eq!(text(&nodes), form);
            assert_eq!(parse(form), Some(nodes));
        }
    }

    #[test]
    fn what_is_not_in_that_form_is_refused() {
        for wrong in
            [",", "1,", "2-1", "1-1", "0,1", "3,1", "01", "1-", "-1", "a", "100000", "0-100000", "1 ,3"]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_list_as_notes_had_it_before_is_read_too() {
        #[derive(Deserialize)]
        struct Note {
            #[serde(with = "super")]
            nodes: BTreeSet<NodeIndex>,
        }
        let read = |text: &str| serde_json::from_str::<Note>(text).map(|note| note.nodes);
        assert_eq!(read(r#"{"nodes":[0,1,5]}"#).unwrap(), set([0, 1, 5]));
        assert_eq!(read(r#"{"nodes":"0-1,5"}"#).unwrap(), set([0, 1, 5]));
        assert!(read(r#"{"nodes":"5,0-1"}"#).is_err());
    }
}
