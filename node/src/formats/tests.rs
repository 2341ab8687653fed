use std::collections::BTreeMap;

use jiff::Timestamp;
use key_material::{Curve, P2pPrivateKey, SharePassword};
use provisioning::names::NodeIndex;
use reading::{ClusterView, NodeEnvironment, NodeSecrets, ReadError, Refusal};
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;

/// Before it the fixtures' times, after it none of them.
pub(super) const NOON: &str = "2026-03-01T12:00:00Z";

/// The vectors of `key-material`: keys of which one part or another begins with a zero byte.
#[derive(Deserialize)]
struct Vectors {
    keys: Vec<Vector>,
}

#[derive(Clone, Deserialize)]
pub(super) struct Vector {
    name: String,
    curve: String,
    pub(super) scalar: String,
    pub(super) sec1: String,
    pub(super) spki: String,
    fingerprint: String,
}

impl Vector {
    pub(super) fn private_key(&self) -> P2pPrivateKey {
        let scalar = hex::decode(&self.scalar).unwrap();
        P2pPrivateKey::from_scalar(self.curve.parse().unwrap(), &scalar).unwrap()
    }

    pub(super) fn secrets(&self) -> NodeSecrets {
        NodeSecrets { p2p_key: self.private_key(), share_password: None }
    }
}

pub(super) fn vectors(curve: Curve) -> impl Iterator<Item = Vector> {
    let text = include_str!("../../../tests/vectors/key-material/p2p-keys.json");
    let vectors: Vectors = serde_json::from_str(text).unwrap();
    vectors.keys.into_iter().filter(move |vector| vector.curve == curve.name())
}

pub(super) fn vector(curve: Curve, name: &str) -> Vector {
    vectors(curve).find(|vector| vector.name == name).unwrap()
}

pub(super) fn index(text: &str) -> NodeIndex {
    text.parse().unwrap()
}

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The record of a node that has this key and accepts no API key.
pub(super) fn record(index: u32, key: &Vector) -> Value {
    json!({
        "apiKeys": {}, "cluster": "keyboot/tsm", "curve": key.curve, "fingerprint": key.fingerprint,
        "generation": "g-1", "index": index, "publicKey": key.spki, "schema": 1, "serial": 1, "version": 1,
        "versionId": "v-1"
    })
}

/// What a record has for a P2P key that takes over at a time.
pub(super) fn pending(key: &Vector, counts_from: &str) -> Value {
    json!({
        "countsFrom": counts_from, "fingerprint": key.fingerprint, "generation": "g-2",
        "publicKey": key.spki, "version": 2, "versionId": "v-2"
    })
}

/// The view of node `own`, whose cluster has a domain.
pub(super) fn view(own: u32, records: impl IntoIterator<Item = Value>) -> ClusterView {
    let records = records.into_iter().map(|record| serde_json::from_value(record).unwrap());
    let records: BTreeMap<_, _> =
        records.map(|record: provisioning::record::NodeRecord| (record.index, record)).collect();
    let environment = json!({
        "cluster": "keyboot/tsm", "index": own, "node": format!("node-{own}.nodes.internal"),
        "p2pKeyArn": "arn:p", "peers": "roster", "recordArn": "arn:r", "schema": 1
    });
    let cluster = "keyboot/tsm".parse().unwrap();
    let environment =
        NodeEnvironment::read(&environment.to_string(), &cluster, index(&own.to_string())).unwrap();
    ClusterView {
        cluster,
        environment: Some(environment),
        members: records.keys().copied().collect(),
        records,
        texts: BTreeMap::new(),
        refused: Vec::new(),
        kept: Vec::new(),
        roster: None,
    }
}

pub(super) fn refusal(of: &str) -> Refusal {
    let error = ReadError::NotFound { name: format!("/keyboot/tsm/node/{of}/record"), hint: "look there" };
    Refusal { index: index(of), error }
}

/// Converts, and reveals what comes out: (variable, value).
fn convert(format: Format, secrets: &NodeSecrets, view: &ClusterView) -> Vec<(&'static str, String)> {
    let handed = format.convert(secrets, view, index("1"), at(NOON)).unwrap();
    // EXPOSE: to a test.
    let known = |handed: &Handed| match handed.variable {
        Cow::Borrowed(variable) => (variable, handed.expose().to_owned()),
        Cow::Owned(_) => panic!("{handed:?}"),
    };
    handed.iter().map(known).collect()
}

/// Nodes 0 to 2 on secp256k1, each key with a part that begins with a zero byte.
fn horcrux_records() -> Vec<Value> {
    let names = ["x begins with 00", "the scalar begins with 0000", "y begins with 00"];
    (0..).zip(names).map(|(index, name)| record(index, &vector(Curve::Secp256k1, name))).collect()
}

/// The secrets of node 1 among [`horcrux_records`].
fn horcrux_secrets() -> NodeSecrets {
    vector(Curve::Secp256k1, "the scalar begins with 0000").secrets()
}

fn horcrux_fault(secrets: &NodeSecrets, view: &ClusterView) -> String {
    Format::Horcrux.convert(secrets, view, index("1"), at(NOON)).unwrap_err().to_string()
}

#[test]
fn a_tsm_node_gets_sec1_in_base64_and_its_share_password() {
    let vendor = "MHcCAQEEIJZ2T0ESxG34wA77rhn+9KMOrkz296jeDUOenHsLmWO/oAoGCCqGSM49AwEHoUQDQgAE0AyIB0e0A00Z+ovq\
                  DQ5mjffEqVabU/eEOwOOrkElnSX1qPkgIn5eLIOC7OWQq6dgZnJLjElg6R4vR5a91aAE8w==";
    let mut secrets = vector(Curve::P256, "vendor sample").secrets();
    assert_eq!(
        convert(Format::Tsm, &secrets, &view(1, [])),
        [("KEYBOOT_P2P_PRIVATE_KEY", vendor.to_owned())]
    );
    secrets.share_password = Some(SharePassword::derive_from_entropy(&[0; 32]));
    let handed = convert(Format::Tsm, &secrets, &view(1, []));
    assert_eq!(handed[1], ("KEYBOOT_SHARE_ENCRYPTION_PASSWORD", "A".repeat(43)));
    assert_eq!(handed.len(), 2);

    for key in vectors(Curve::P256).chain(vectors(Curve::P384)) {
        let handed = convert(Format::Tsm, &key.secrets(), &view(1, []));
        assert_eq!(handed, [("KEYBOOT_P2P_PRIVATE_KEY", key.sec1.clone())], "{} on {}", key.name, key.curve);
    }
}

#[test]
fn geth_and_op_node_get_64_digits_and_no_newline() {
    let key = vector(Curve::Secp256k1, "the scalar begins with 0000");
    let digits = "0000c1e57b5b8159c36f9fb3eb5c386c7a4248a5e0c922f26640b9f77c22454e";
    for (format, variable) in [(Format::Geth, "GETH_NODEKEYHEX"), (Format::OpNode, "OP_NODE_P2P_PRIV_RAW")] {
        assert_eq!(convert(format, &key.secrets(), &view(1, [])), [(variable, digits.to_owned())]);
        for key in vectors(Curve::Secp256k1) {
            let handed = convert(format, &key.secrets(), &view(1, []));
            assert_eq!(handed, [(variable, key.scalar.clone())], "{}", key.name);
        }
    }
}

#[test]
fn horcrux_gets_its_document_to_the_byte() {
    let document = concat!(
        r#"{"eciesKey":"AADB5XtbgVnDb5+z61w4bHpCSKXgySLyZkC593wiRU4=","eciesPubs":["#,
        r#""BAB8QNY7PPn6Fn+QczsbdFNwl1SeEFXFnGmOY6/BRzwHkBh77S+0Wb1jjFxtk6lvJiI/9CnxksqeVsXCo5wsq0U=","#,
        r#""BCFOEbiXIcrc2GTPClcAc282ZKpRhkk87b0W9th6gatyihfkcIJG4z2h5PDV19xa+reAUyIEJb2NLlJ2YHFayGE=","#,
        r#""BK/kenb75RIrKb/zDvtq2zDI0Z2nsu+LUERnHiQaXS+sABcClqqcyXB1A/ugdueTHci4TA/bravBCZClxPD67uo="],"#,
        r#""id":2}"#
    );
    let view = view(1, horcrux_records());
    let handed = convert(Format::Horcrux, &horcrux_secrets(), &view);
    assert_eq!(handed, [("KEYBOOT_HORCRUX_ECIES_KEYS", document.to_owned())]);
}

#[test]
fn horcrux_gets_the_keys_that_count_at_the_time() {
    let next = vector(Curve::Secp256k1, "address and peer id sample");
    let mut records = horcrux_records();
    records[2]["pending"] = pending(&next, NOON);
    let view = view(1, records);
    let keys = |time: &str| -> Value {
        let handed = Format::Horcrux.convert(&horcrux_secrets(), &view, index("1"), at(time)).unwrap();
        // EXPOSE: to a test.
        serde_json::from_str(handed[0].expose()).unwrap()
    };
    let (before, after) = (keys("2026-03-01T11:59:59Z"), keys(NOON));
    assert_eq!(before["eciesPubs"][1], after["eciesPubs"][1]);
    assert!(before["eciesPubs"][2].as_str().unwrap().starts_with("BK/kenb75RIrKb"));
    let point = base64_of(&next.private_key().public_key().to_uncompressed_point());
    assert_eq!(after["eciesPubs"][2], point);
}

fn base64_of(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[test]
fn horcrux_has_to_know_each_node_by_its_place() {
    let secrets = horcrux_secrets();
    let records = horcrux_records();
    let first = view(1, records[..2].to_vec());
    assert!(Format::Horcrux.convert(&secrets, &first, index("1"), at(NOON)).is_ok());

    let no_first = horcrux_fault(&secrets, &view(1, records[1..].to_vec()));
    assert!(no_first.contains("a node 1, but no node 0"), "{no_first}");

    let mut far = records.clone();
    far[2]["index"] = json!(3);
    let gap = horcrux_fault(&secrets, &view(1, far));
    assert!(gap.contains("a node 3, but no node 2"), "{gap}");

    // The last one's absence leaves no gap.
    let mut refused = first;
    refused.refused.push(refusal("2"));
    let unknown = horcrux_fault(&secrets, &refused);
    assert!(
        unknown.contains("that of node 2 is not known: /keyboot/tsm/node/2/record does not"),
        "{unknown}"
    );
}

#[test]
fn horcrux_is_not_given_a_private_key_that_is_not_in_the_records() {
    let mut records = horcrux_records();
    records[1]["pending"] = pending(&vector(Curve::Secp256k1, "address and peer id sample"), NOON);
    let replaced = horcrux_fault(&horcrux_secrets(), &view(1, records));
    assert!(replaced.contains("its private key is not that of node 1"), "{replaced}");
    let absent = horcrux_fault(&horcrux_secrets(), &view(1, []));
    assert!(absent.contains("its private key is not that of node 1"), "{absent}");
}

#[test]
fn a_key_on_another_curve_is_refused_with_the_way_out() {
    let view = view(1, horcrux_records());
    let fault = |format: Format, curve| {
        let secrets = vector(curve, "x begins with 00").secrets();
        format.convert(&secrets, &view, index("1"), at(NOON)).unwrap_err()
    };
    let error = fault(Format::Tsm, Curve::Secp256k1);
    assert_eq!(error.program, "a TSM node");
    assert_eq!(
        error.to_string(),
        "a TSM node cannot run as this node: the key of node 1 is on secp256k1, and the program takes P-256 or \
         P-384; a cluster keeps its curve, so this takes a new cluster with that P2pCurve"
    );
    for (format, program) in
        [(Format::Geth, "geth"), (Format::OpNode, "op-node"), (Format::Horcrux, "horcrux")]
    {
        for curve in [Curve::P256, Curve::P384] {
            let error = fault(format, curve);
            assert_eq!(error.program, program);
            assert!(
                error.fault.contains(&format!("is on {curve}, and the program takes secp256k1;")),
                "{error}"
            );
        }
    }
    let mut records = horcrux_records();
    records[0] = record(0, &vector(Curve::P256, "vendor sample"));
    let peer = horcrux_fault(&horcrux_secrets(), &super::tests::view(1, records));
    assert!(peer.contains("the key of node 0 is on P-256"), "{peer}");
}

#[test]
fn no_buffer_has_grown_and_none_is_shown() {
    let view = view(1, horcrux_records());
    let tsm = NodeSecrets {
        p2p_key: vector(Curve::P384, "the scalar begins with 00").private_key(),
        share_password: Some(SharePassword::make().unwrap()),
    };
    let all = [
        Format::Tsm.convert(&tsm, &view, index("1"), at(NOON)),
        Format::Geth.convert(&horcrux_secrets(), &view, index("1"), at(NOON)),
        Format::OpNode.convert(&horcrux_secrets(), &view, index("1"), at(NOON)),
        Format::Horcrux.convert(&horcrux_secrets(), &view, index("1"), at(NOON)),
    ];
    for handed in all.into_iter().flat_map(Result::unwrap) {
        assert_eq!(handed.value.capacity(), handed.value.len(), "{}", handed.variable);
        assert_eq!(format!("{handed:?}"), format!("Handed {{ variable: {:?}, .. }}", handed.variable));
    }
}

#[test]
fn a_format_is_named_as_its_program() {
    for (name, format) in [
        ("tsm", Format::Tsm),
        ("geth", Format::Geth),
        ("op-node", Format::OpNode),
        ("horcrux", Format::Horcrux),
    ] {
        assert_eq!(serde_json::from_value::<Format>(json!(name)).unwrap(), format);
    }
    assert!(serde_json::from_value::<Format>(json!("Tsm")).is_err());
}
