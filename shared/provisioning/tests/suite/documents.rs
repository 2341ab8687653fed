//! Records, the roster's index and its pages: what a reader refuses, and why.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use provisioning::record::NodeRecord;
use provisioning::roster::{self, RosterEntry, RosterIndex};
use provisioning::signed::{DOCUMENT_MAX, DocumentError, PinnedKeys};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::fixtures::{Declared, cluster, document, in_service, node, record};
use crate::world::{SIGNER, World};

/// A change to a document's text.
type Change<'a> = Box<dyn FnOnce(&mut Value) + 'a>;

const OTHER_SIGNER: &str = "arn:aws:kms:eu-central-1:444455556666:key/00000000-0000-0000-0000-000000000002";
const RECORD: (&str, &str) = ("keyboot.record.v1", "record");
const ROSTER: (&str, &str) = ("keyboot.roster.v1", "roster");

/// A document as our signing key would sign it, whatever its text.
fn signed((domain, field): (&str, &str), text: &str) -> String {
    let digest = Sha256::digest(format!("{domain}\n{text}").as_bytes());
    let signature = STANDARD.encode(World::sign(digest.into()));
    format!(r#"{{"{field}":{text},"signature":"{signature}","signer":"{SIGNER}"}}"#)
}

fn texts() -> (String, String, String, World) {
    let world = in_service(&Declared::nodes(&[0, 1]));
    let stored = world.stored();
    let text = |name: &str| document(&stored, name);
    (
        text("/keyboot/tsm/node/0/record"),
        text("/keyboot/tsm/roster/index"),
        text("/keyboot/tsm/roster/1/page/0"),
        world,
    )
}

fn read_record(text: &str) -> Result<NodeRecord, DocumentError> {
    NodeRecord::verify(text, &World::pinned_keys(), &cluster(), node(0), 0)
}

fn read_index(text: &str) -> Result<RosterIndex, DocumentError> {
    RosterIndex::verify(text, &World::pinned_keys(), &cluster())
}

/// The signed text within a stored document.
fn inner(stored: &str, field: &str) -> String {
    let json: Value = serde_json::from_str(stored).unwrap();
    serde_jcs::to_string(&json[field]).unwrap()
}

fn changed(stored: &str, field: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut json: Value = serde_json::from_str(&inner(stored, field)).unwrap();
    change(&mut json);
    serde_jcs::to_string(&json).unwrap()
}

#[test]
fn no_byte_of_a_document_can_change_unnoticed() {
    let (record, index, page, _) = texts();
    read_record(&record).unwrap();
    let read = read_index(&index).unwrap();
    read.entries(std::slice::from_ref(&page)).unwrap();
    let altered = |text: &str, at: usize| {
        let mut bytes = text.as_bytes().to_vec();
        bytes[at] ^= 1;
        String::from_utf8(bytes).unwrap()
    };
    for at in 0..record.len() {
        assert!(read_record(&altered(&record, at)).is_err(), "byte {at} of {record}");
    }
    for at in 0..index.len() {
        assert!(read_index(&altered(&index, at)).is_err(), "byte {at} of {index}");
    }
    for at in 0..page.len() {
        let error = read.entries(&[altered(&page, at)]).unwrap_err();
        assert!(matches!(error, DocumentError::Inconsistent(_)), "byte {at}: {error:?}");
    }
}

#[test]
fn a_record_that_somebody_changed_is_refused_for_its_fault() {
    let (text, _, _, world) = texts();
    let key = record(&world, 1).public_key.to_spki_base64();
    let own = record(&world, 0).public_key.to_spki_base64();
    let hash = record(&world, 1).management_keys[0].hash.to_string();
    let bad_signature = |text: &str| {
        assert_eq!(read_record(text).unwrap_err(), DocumentError::BadSignature, "{text}");
    };
    bad_signature(&text.replace(&own, &key));
    bad_signature(&text.replacen(
        r#""default":["#,
        &format!(r#""default":[{{"hash":"{hash}","state":"current"}},"#),
        1,
    ));
    bad_signature(&text.replace(r#""serial":1"#, r#""serial":2"#));
    // Another key's signature, and our own over another kind of document.
    let other = world.stored().documents["/keyboot/tsm/node/1/record"].text.clone();
    let signature =
        |text: &str| serde_json::from_str::<Value>(text).unwrap()["signature"].as_str().unwrap().to_owned();
    bad_signature(&text.replace(&signature(&text), &signature(&other)));
    bad_signature(&signed(("keyboot.roster.v1", "record"), &inner(&text, "record")));
    bad_signature(&signed(("keyboot.record.v2", "record"), &inner(&text, "record")));
    bad_signature(&text.replace(&signature(&text), ""));

    let moved = text.replace(SIGNER, OTHER_SIGNER);
    assert_eq!(read_record(&moved).unwrap_err(), DocumentError::UnknownSigner(OTHER_SIGNER.into()));
    // Pinned, but not the one that signed.
    let foreign = p256::SecretKey::from_slice(&[9; 32]).unwrap();
    let foreign = p256::pkcs8::EncodePublicKey::to_public_key_der(&foreign.public_key()).unwrap();
    let keys = World::pinned_keys().pin(OTHER_SIGNER, foreign.as_bytes()).unwrap();
    let refused = NodeRecord::verify(&moved, &keys, &cluster(), node(0), 0);
    assert_eq!(refused.unwrap_err(), DocumentError::BadSignature);
    let refused = NodeRecord::verify(&text, &PinnedKeys::default(), &cluster(), node(0), 0);
    assert!(matches!(refused, Err(DocumentError::UnknownSigner(_))));

    for other in [(cluster(), node(1)), ("keyboot/other".parse().unwrap(), node(0))] {
        let refused = NodeRecord::verify(&text, &World::pinned_keys(), &other.0, other.1, 0);
        assert!(matches!(refused, Err(DocumentError::Foreign { .. })), "{refused:?}");
    }
    let older = NodeRecord::verify(&text, &World::pinned_keys(), &cluster(), node(0), 2);
    assert_eq!(older.unwrap_err(), DocumentError::Older { found: 1, seen: 2 });
    assert!(NodeRecord::verify(&text, &World::pinned_keys(), &cluster(), node(0), 1).is_ok());
}

#[test]
fn a_document_has_one_spelling() {
    let (text, index, ..) = texts();
    for (text, field) in [(&text, "record"), (&index, "roster")] {
        let json: Value = serde_json::from_str(text).unwrap();
        let (signature, signer, body) = (&json["signature"], &json["signer"], inner(text, field));
        let read = |text: &str| match field {
            "record" => read_record(text).map(drop),
            _ => read_index(text).map(drop),
        };
        for other in [
            format!(r#"{{"signature":{signature},"{field}":{body},"signer":{signer}}}"#),
            format!(r#"{{"{field}":{body},"{field}":{body},"signature":{signature},"signer":{signer}}}"#),
            format!(r#"{{"{field}":{body},"signature":{signature},"signer":{signer},"signer":{signer}}}"#),
            format!(r#"{{"{field}":{body},"signature":{signature},"signer":{signer},"more":1}}"#),
            format!(r#"{{"{field}": {body},"signature":{signature},"signer":{signer}}}"#),
            format!("{text}\n"),
            format!(" {text}"),
        ] {
            assert_eq!(read(&other).unwrap_err(), DocumentError::NotCanonical, "{other}");
        }
        for other in ["", "x", "[]", "{}", "null", &format!("{text}x"), &text.replace(field, "note")] {
            assert!(matches!(read(other), Err(DocumentError::Malformed(_))), "{other}");
        }
    }
}

#[test]
fn even_a_signed_record_must_be_canonical_known_and_consistent() {
    let (text, _, _, world) = texts();
    let other = record(&world, 1);
    let body = inner(&text, "record");
    let unsorted =
        format!(r#"{{"version":1,{}"#, body.replace(r#","version":1"#, "").trim_start_matches('{'));
    assert_eq!(read_record(&signed(RECORD, &unsorted)).unwrap_err(), DocumentError::NotCanonical);
    let absent = body.replace(r#""managementKeys":[{"#, r#""managementKeys":[],"x":[{"#);
    assert!(matches!(read_record(&signed(RECORD, &absent)), Err(DocumentError::Malformed(_))));

    let pending = json!({
        "countsFrom": "2026-01-02T03:04:05Z", "fingerprint": record(&world, 0).fingerprint.to_string(),
        "generation": "g", "publicKey": other.public_key.to_spki_base64(), "version": 2, "versionId": "v",
    });
    let inconsistent: [Change<'_>; 5] = [
        Box::new(|record| record["schema"] = 2.into()),
        Box::new(|record| record["fingerprint"] = other.fingerprint.to_string().into()),
        Box::new(|record| record["publicKey"] = other.public_key.to_spki_base64().into()),
        Box::new(|record| record["curve"] = "secp256k1".into()),
        Box::new(|record| record["pending"] = pending),
    ];
    for change in inconsistent {
        let text = signed(RECORD, &changed(&text, "record", change));
        let error = read_record(&text).unwrap_err();
        assert!(matches!(error, DocumentError::Inconsistent(_)), "{text}: {error:?}");
    }
    let malformed: [Change<'_>; 5] = [
        Box::new(|record| record["more"] = 1.into()),
        Box::new(|record| record["index"] = "0".into()),
        Box::new(|record| record["apiKeys"]["A*"] = json!([])),
        Box::new(|record| record["managementKeys"][0]["hash"] = "short".into()),
        Box::new(|record| record["managementKeys"][0]["state"] = "trusted".into()),
    ];
    for change in malformed {
        let text = signed(RECORD, &changed(&text, "record", change));
        let error = read_record(&text).unwrap_err();
        assert!(matches!(error, DocumentError::Malformed(_)), "{text}: {error:?}");
    }
    // And one that is all of that is read.
    read_record(&signed(RECORD, &changed(&text, "record", |record| record["serial"] = 9.into()))).unwrap();
}

#[test]
fn a_roster_is_read_whole_or_not_at_all() {
    let (_, text, page, world) = texts();
    let refused = RosterIndex::verify(&text, &World::pinned_keys(), &"keyboot/other".parse().unwrap());
    assert!(matches!(refused, Err(DocumentError::Foreign { .. })));
    let schema = signed(ROSTER, &changed(&text, "roster", |index| index["schema"] = 2.into()));
    assert!(matches!(read_index(&schema), Err(DocumentError::Inconsistent(_))));
    let resigned = text.replace(r#""nodeCount":2"#, r#""nodeCount":3"#);
    assert_eq!(read_index(&resigned).unwrap_err(), DocumentError::BadSignature);

    let index = read_index(&text).unwrap();
    for pages in [vec![], vec![page.clone(), page.clone()], vec![r#"{"nodes":[]}"#.to_owned()]] {
        assert!(matches!(index.entries(&pages), Err(DocumentError::Inconsistent(_))));
    }
    let entry = |number: u32| RosterEntry {
        fingerprint: record(&world, 0).fingerprint,
        index: node(number),
        version: 1,
    };
    for (entries, count) in
        [(vec![entry(1), entry(0)], 2), (vec![entry(0), entry(0)], 2), (vec![entry(0)], 2)]
    {
        let pages = roster::pages(&entries).unwrap();
        let index = RosterIndex {
            adopted_from: None,
            node_count: count,
            pages: pages.len(),
            sha256: roster::digest(&pages),
            ..index.clone()
        };
        assert!(matches!(index.entries(&pages), Err(DocumentError::Inconsistent(_))));
    }
}

#[test]
fn a_roster_of_a_thousand_nodes_fits_its_pages() {
    let (_, text, _, world) = texts();
    let fingerprint = record(&world, 0).fingerprint;
    let entries: Vec<_> = (99_000..100_000)
        .map(|number| RosterEntry { fingerprint, index: node(number), version: u64::from(u32::MAX) })
        .collect();
    let pages = roster::pages(&entries).unwrap();
    assert_eq!(pages.len(), 16);
    assert!(pages.iter().all(|page| page.len() <= DOCUMENT_MAX), "{}", pages[0].len());
    let index = RosterIndex {
        adopted_from: None,
        node_count: 1000,
        pages: 16,
        sha256: roster::digest(&pages),
        ..read_index(&text).unwrap()
    };
    assert_eq!(index.entries(&pages).unwrap(), entries);
    let mut swapped = pages.clone();
    swapped.swap(3, 4);
    assert!(index.entries(&swapped).is_err());
}
