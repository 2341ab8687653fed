//! Node records: text that reaches a reader over any channel.

use provisioning::names::{NodeIndex, Purpose};
use provisioning::record::NodeRecord;
use provisioning::signed::{CanonicalText, DOCUMENT_MAX, DocumentError};

use crate::signing::{self, is_signed, pinned_keys, sign};
use crate::{Verdict, assert_names_one_thing};

const DOMAIN: &str = "keyboot.record.v1";
const FIELD: &str = "record";

/// Reads bytes as a stored record, and as the text within one that the pinned key has signed.
#[must_use]
pub fn record(bytes: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Verdict::Refused;
    };
    let as_stored = stored(text);
    if as_within(text) || as_stored { Verdict::Accepted } else { Verdict::Refused }
}

/// Nothing is taken that is not signed, to the last byte of it.
fn stored(text: &str) -> bool {
    let claimed = is_signed(text, DOMAIN, FIELD).and_then(parse);
    let (cluster, index) = match &claimed {
        Some(claimed) => (claimed.cluster.clone(), claimed.index),
        None => ("keyboot/tsm".parse().expect("a name"), "0".parse().expect("an index")),
    };
    match NodeRecord::verify(text, pinned_keys(), &cluster, index, 0) {
        Ok(record) => {
            assert_eq!(Some(&record), claimed.as_ref(), "what was accepted is what was signed");
            true
        }
        Err(_) => false,
    }
}

/// What lies behind the signature check, which no fuzzer gets through by itself.
fn as_within(text: &str) -> bool {
    let document = sign(DOMAIN, FIELD, text);
    let Some(claimed) = parse(text) else {
        let (cluster, index) = ("keyboot/tsm".parse().expect("a name"), "0".parse().expect("an index"));
        assert!(NodeRecord::verify(&document, pinned_keys(), &cluster, index, 0).is_err());
        return false;
    };
    let read = |document: &str, index, seen| {
        NodeRecord::verify(document, pinned_keys(), &claimed.cluster, index, seen)
    };
    let record = match read(&document, claimed.index, 0) {
        Ok(record) => record,
        Err(error) => {
            assert!(matches!(error, DocumentError::NotCanonical | DocumentError::Inconsistent(_)), "{error}");
            return false;
        }
    };
    assert_eq!(record, claimed);
    assert_consistent(&record);
    assert_printed_is(&record, text);

    assert_eq!(read(&document, claimed.index, record.serial), Ok(record.clone()));
    if let Some(newer) = record.serial.checked_add(1) {
        let older = DocumentError::Older { found: record.serial, seen: newer };
        assert_eq!(read(&document, claimed.index, newer), Err(older));
    }
    let neighbour = neighbour_of(claimed.index);
    assert!(matches!(read(&document, neighbour, 0), Err(DocumentError::Foreign { .. })));
    // The same text under the signature of another document, and of another kind of document.
    for foreign in [sign(DOMAIN, FIELD, "{}"), sign("keyboot.roster.v1", FIELD, text)] {
        let proof = &foreign[foreign.rfind(r#","signature""#).expect("it has a signature")..];
        let forged = format!(r#"{{"{FIELD}":{text}{proof}"#);
        assert_eq!(read(&forged, claimed.index, 0), Err(DocumentError::BadSignature));
    }
    true
}

fn parse(text: &str) -> Option<NodeRecord> {
    serde_json::from_str(text).ok()
}

fn assert_consistent(record: &NodeRecord) {
    assert_eq!(record.schema, 1);
    assert_eq!(record.fingerprint, record.public_key.fingerprint());
    assert_eq!(record.curve, record.public_key.curve());
    if let Some(pending) = &record.pending {
        assert_eq!(pending.fingerprint, pending.public_key.fingerprint());
    }
    assert_names_one_thing("a cluster", record.cluster.as_str());
    for application in record.api_keys.keys() {
        assert_names_one_thing("an application", application.as_str());
    }
    assert!(record.names(&Purpose::P2pKey, &record.version_id));
    assert_eq!(record.clone().following(Some(record)), *record, "no change, no new serial number");
}

/// What is printed are the bytes that were signed, and no more of them than a parameter holds.
fn assert_printed_is(record: &NodeRecord, text: &str) {
    let canonical = CanonicalText::of(record).expect("what was read can be printed");
    assert_eq!(canonical.to_string(), text);
    match canonical.signed(&[0; 72], signing::SIGNER) {
        Ok(stored) => assert!(stored.len() <= DOCUMENT_MAX),
        Err(error) => assert!(matches!(error, DocumentError::TooLong(length) if length > DOCUMENT_MAX)),
    }
}

fn neighbour_of(index: NodeIndex) -> NodeIndex {
    if index.get() == 0 { "1" } else { "0" }.parse().expect("an index")
}
