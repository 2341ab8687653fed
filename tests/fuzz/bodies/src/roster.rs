//! Rosters: the signed index, and the pages that it vouches for by their digest.

use provisioning::names::ClusterName;
use provisioning::roster::{RosterIndex, digest, pages};
use provisioning::signed::{CanonicalText, DocumentError};
use serde_json::Value;

use crate::signing::{is_signed, pinned_keys, sign};
use crate::{Verdict, assert_names_one_thing};

const DOMAIN: &str = "keyboot.roster.v1";
const FIELD: &str = "roster";

/// An index of which the pages are told later.
const INDEX: &str = r#"{"cluster":"keyboot/tsm","generation":"request-1","nodeCount":0,
    "owner":"keyboot/keyboot/tsm/0123456789abcdef","pages":0,"schema":1,"serial":1,"sha256":""}"#;

/// Reads bytes as a stored index, as the text within one, and as pages, one a line.
#[must_use]
pub fn roster(bytes: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Verdict::Refused;
    };
    let accepted = [as_stored(text), as_within(text), as_pages(text)];
    if accepted.contains(&true) { Verdict::Accepted } else { Verdict::Refused }
}

/// Nothing is taken that is not signed, to the last byte of it.
fn as_stored(text: &str) -> bool {
    let claimed = is_signed(text, DOMAIN, FIELD).and_then(parse);
    let cluster = claimed.as_ref().map_or_else(any_cluster, |claimed| claimed.cluster.clone());
    match RosterIndex::verify(text, pinned_keys(), &cluster) {
        Ok(index) => {
            assert_eq!(Some(&index), claimed.as_ref(), "what was accepted is what was signed");
            true
        }
        Err(_) => false,
    }
}

/// What lies behind the signature check, which no fuzzer gets through by itself.
fn as_within(text: &str) -> bool {
    let document = sign(DOMAIN, FIELD, text);
    let Some(claimed) = parse(text) else {
        assert!(RosterIndex::verify(&document, pinned_keys(), &any_cluster()).is_err());
        return false;
    };
    let read = |document: &str| RosterIndex::verify(document, pinned_keys(), &claimed.cluster);
    let index = match read(&document) {
        Ok(index) => index,
        Err(error) => {
            assert!(matches!(error, DocumentError::NotCanonical | DocumentError::Inconsistent(_)), "{error}");
            return false;
        }
    };
    assert_eq!(index, claimed);
    assert_eq!(index.schema, 1);
    assert_names_one_thing("a cluster", index.cluster.as_str());
    let printed = CanonicalText::of(&index).expect("what was read can be printed");
    assert_eq!(printed.to_string(), text, "what is printed are the bytes that were signed");
    // An index of any size reads no pages but its own.
    for pages in [vec![], vec![String::new()], vec![r#"{"nodes":[]}"#.to_owned()]] {
        if let Ok(entries) = index.entries(&pages) {
            assert_eq!((entries.len(), pages.len()), (index.node_count, index.pages));
            assert_eq!(digest(&pages), index.sha256);
        }
    }
    let other = "keyboot/another".parse().expect("a name");
    if index.cluster != other {
        let refused = RosterIndex::verify(&document, pinned_keys(), &other);
        assert!(matches!(refused, Err(DocumentError::Foreign { .. })));
    }
    for foreign in [sign(DOMAIN, FIELD, "{}"), sign("keyboot.record.v1", FIELD, text)] {
        let proof = &foreign[foreign.rfind(r#","signature""#).expect("it has a signature")..];
        assert_eq!(read(&format!(r#"{{"{FIELD}":{text}{proof}"#)), Err(DocumentError::BadSignature));
    }
    true
}

/// Pages under an index that vouches for them: what is read is ascending, whole, and prints again.
fn as_pages(text: &str) -> bool {
    let texts: Vec<String> = text.lines().map(str::to_owned).collect();
    let claimed: usize = texts.iter().filter_map(|page| nodes_on(page)).sum();
    let index = parse(INDEX).expect("it is an index");
    let index = RosterIndex { node_count: claimed, pages: texts.len(), sha256: digest(&texts), ..index };
    for (pages, count) in [(texts.len() + 1, claimed), (texts.len(), claimed + 1)] {
        let wrong = RosterIndex { pages, node_count: count, ..index.clone() };
        assert!(wrong.entries(&texts).is_err(), "{count} nodes on {pages} pages");
    }
    let Ok(entries) = index.entries(&texts) else { return false };
    assert_eq!(entries.len(), claimed);
    assert!(entries.windows(2).all(|pair| pair[0].index < pair[1].index));
    let printed = pages(&entries).expect("what was read can be printed");
    let again = RosterIndex { pages: printed.len(), sha256: digest(&printed), ..index };
    assert_eq!(again.entries(&printed).as_ref(), Ok(&entries));
    assert_eq!(pages(&entries), Ok(printed));
    !entries.is_empty()
}

fn parse(text: &str) -> Option<RosterIndex> {
    serde_json::from_str(text).ok()
}

fn nodes_on(page: &str) -> Option<usize> {
    Some(serde_json::from_str::<Value>(page).ok()?.get("nodes")?.as_array()?.len())
}

fn any_cluster() -> ClusterName {
    "keyboot/tsm".parse().expect("a name")
}
