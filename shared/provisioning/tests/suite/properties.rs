//! The table of properties: what each refuses, in which words, and never with the value in them.

use provisioning::properties::{ClusterSpec, LenientSpec, OnDelete, PROPERTIES, PropertyFault};
use provisioning::sealing::KeyOrigin;
use provisioning::store::Store;
use serde_json::{Value, json};

use crate::fixtures::{Declared, KEY};

/// Stands in every wrong value, and must stand in no message.
const CANARY: &str = "cAnArY";

fn refused(declared: &Declared) -> PropertyFault {
    match ClusterSpec::parse(&declared.0) {
        Err(fault) => {
            let message = fault.to_string();
            assert!(!message.contains(CANARY), "the value is repeated: {message}");
            fault
        }
        Ok(_) => panic!("not refused: {:?}", declared.0),
    }
}

fn valid() -> Declared {
    Declared::nodes(&[0, 1])
}

enum Kind {
    Text,
    List,
    Map,
}

/// Every property's kind, its wrong values, and its right ones. A property without an arm fails.
fn cases(name: &str) -> (Kind, Vec<Value>, Vec<Value>) {
    let texts = |wrong: &[&str], right: &[&str]| {
        let values = |texts: &[&str]| texts.iter().map(|text| json!(text)).collect();
        (Kind::Text, values(wrong), values(right))
    };
    let key = |rest: &str| format!("arn:aws:kms:eu-central-1:111122223333:{rest}");
    let role = "arn:aws:iam::111122223333:role/node";
    let id = "0a0a0a0a-0b0b-0c0c-0d0d-0e0e0e0e0e0e";
    match name {
        "Cluster" => texts(
            &[CANARY, "TSM", "1a", "-a", "a_b", "a/b", "a*", "a-abcdef", &"a".repeat(32), " a", "a ", "ä"],
            &["tsm", "a", &"a".repeat(31)],
        ),
        "Namespace" => texts(
            &[
                CANARY,
                "Keyboot",
                "aws",
                "ssm/x",
                "/a",
                "a/",
                "a//b",
                "a/b/c/d/e",
                "a/..",
                &format!("{0}/{0}/{0}", "a".repeat(31)),
            ],
            &["keyboot", "a/b/c/d"],
        ),
        "Nodes" => {
            let many = |count: u32| json!((0..count).map(|n| n.to_string()).collect::<Vec<_>>());
            (
                Kind::List,
                vec![
                    json!([]),
                    json!([CANARY]),
                    json!(["0", "0"]),
                    json!(["01"]),
                    json!(["-1"]),
                    json!(["+1"]),
                    json!(["1.0"]),
                    json!([" 1"]),
                    json!(["100000"]),
                    json!([""]),
                    json!(["4294967296"]),
                    many(1001),
                ],
                vec![many(1), many(1000), json!(["99999", "5"])],
            )
        }
        "KmsKeyArn" => {
            let wrong = [
                CANARY.to_owned(),
                id.to_owned(),
                key(&format!("alias/{CANARY}")),
                "alias/aws/secretsmanager".to_owned(),
                key("alias/aws/secretsmanager"),
                key("key/"),
                key("key/mrk-12"),
                key(&format!("key/{}", id.to_uppercase())),
                key(&format!("key/{id}/x")),
                key("key/*"),
                KEY.replace("arn:aws:", "arn:other:"),
                KEY.replace(":kms:", ":s3:"),
                KEY.replace("111122223333", "11112222333"),
                KEY.replace("eu-central-1", "EU"),
                format!(" {KEY}"),
            ];
            let right = [
                KEY.to_owned(),
                KEY.replace("arn:aws:", "arn:aws-cn:"),
                KEY.replace("arn:aws:", "arn:aws-us-gov:"),
                key(&format!("key/mrk-{}", "0a".repeat(16))),
            ];
            (Kind::Text, wrong.map(Value::from).to_vec(), right.map(Value::from).to_vec())
        }
        "P2pCurve" => texts(
            &[CANARY, "p-256", "P256", "P-521", "Secp256k1", "ed25519"],
            &["P-256", "P-384", "secp256k1"],
        ),
        "Applications" => {
            let many = |count: u32| json!((0..count).map(|n| format!("a{n}")).collect::<Vec<_>>());
            (
                Kind::List,
                vec![
                    json!([]),
                    json!([CANARY]),
                    json!(["a", "a"]),
                    json!(["A"]),
                    json!([""]),
                    json!(["a/b"]),
                    json!(["a*"]),
                    json!(["a".repeat(32)]),
                    json!(["a-abcdef"]),
                    many(17),
                ],
                vec![many(1), many(16), json!(["a".repeat(31)])],
            )
        }
        "ManagementKey" | "ShareEncryptionPassword" => {
            texts(&[CANARY, "True", "TRUE", "yes", "1", "0", " true"], &["true", "false"])
        }
        "AllowAccountReaders" => texts(&[CANARY, "True", "yes"], &["false", "true"]),
        "Store" => texts(
            &[CANARY, "secretsmanager", "parameterStore", "Vault"],
            &["SecretsManager", "ParameterStore"],
        ),
        "KeyOrigin" => texts(&[CANARY, "function", "KMS"], &["Function", "Kms"]),
        "Protection" => texts(&[CANARY, "envelope", "None"], &["Envelope", "Service"]),
        "ReaderPrincipals" => (
            Kind::Map,
            vec![
                json!({"0": [CANARY]}),
                json!({"0": CANARY}),
                json!({"0": ["*"]}),
                json!({(CANARY): [role]}),
                json!({"01": [role]}),
                json!({"0": [format!("{role}*")]}),
                json!({"0": [format!("{role}$")]}),
                json!({"0": ["arn:aws:iam::111122223333:root"]}),
                json!({"0": ["arn:aws:iam::111122223333:role/"]}),
                json!({"0": ["1111222233334"]}),
                json!({"0": ["111122223333"]}),
                json!({"0": [role.replace("arn:aws:", "arn:aws-cn:")]}),
                json!({"0": [format!("{role}/")]}),
                json!({"0": ["arn:aws:sts::111122223333:assumed-role/node/i-1"]}),
                json!({"2": [role]}),
                json!({"0": vec![role; 41]}),
                json!({"0": (0..16).map(|_| format!("{role}{}", "a".repeat(480))).collect::<Vec<_>>()}),
                json!([""]),
                json!([role]),
                json!([format!("0={CANARY}")]),
                json!([format!("0 ={role}")]),
                json!([format!("0= {role}")]),
                json!([format!("={role}")]),
                json!([format!("{role}=0")]),
                json!([format!("0={role}*")]),
                json!([format!("2={role}")]),
                json!([format!("0={role}"), format!("1={role}")]),
                json!((0..41).map(|n| format!("0={role}{n}")).collect::<Vec<_>>()),
            ],
            vec![
                json!({}),
                json!([]),
                json!([format!("0={role}"), format!("1={role}=a"), format!("0={role}-b")]),
                json!((0..40).map(|n| format!("0={role}{n}")).collect::<Vec<_>>()),
                json!({"0": []}),
                json!({"0": [role, "arn:aws:iam::444455556666:role/a/b/Node+=,.@-_9"], "1": [role]}),
                json!({"0": vec![role; 40]}),
                json!({"1": (0..15).map(|_| format!("{role}{}", "a".repeat(480))).collect::<Vec<_>>()}),
            ],
        ),
        "ClientPrincipals" => (
            Kind::Map,
            vec![
                json!({"default": [CANARY]}),
                json!({"default": ["?"]}),
                json!({(CANARY): [role]}),
                json!({"default": ["111122223333"]}),
                json!({"other": [role]}),
                json!([format!("other={role}")]),
                json!([format!("default:{role}")]),
            ],
            vec![json!({}), json!({"default": [role]}), json!([format!("default={role}")])],
        ),
        "ManagementPrincipals" => (
            Kind::List,
            vec![json!([CANARY]), json!(["*"]), json!(["arn:aws:iam::*:role/x"]), json!(["111122223333"])],
            vec![json!([]), json!([role])],
        ),
        "NodeDomain" => texts(
            &[
                CANARY,
                "A.example",
                ".example",
                "example.",
                "a..b",
                "-a.b",
                "a-.b",
                "a_b",
                "a b",
                "a/b",
                "*.b",
                &"a".repeat(64),
                &"a.".repeat(101),
            ],
            &["example.org", "a", "tsm-1.internal"],
        ),
        "PeerRecordArns" => {
            let arn = |n: u32| {
                format!("arn:aws:ssm:eu-central-1:111122223333:parameter/keyboot/tsm/node/{n}/record")
            };
            let many = |count| json!((0..count).map(arn).collect::<Vec<_>>());
            (
                Kind::List,
                vec![
                    json!([CANARY]),
                    many(17),
                    json!([format!("{}*", arn(0))]),
                    json!(["arn:aws:ssm:eu-central-1:111122223333:parameter/"]),
                    json!([arn(0).replace(":ssm:", ":s3:")]),
                    json!([format!("{}{}", arn(0), "a".repeat(200))]),
                ],
                vec![json!([]), many(1), many(16)],
            )
        }
        "OnDelete" | "ShareSecretOnDelete" => {
            texts(&[CANARY, "schedule", "Delete", "Force"], &["Schedule", "Retain"])
        }
        "RecoveryWindowDays" => {
            texts(&[CANARY, "6", "31", "0", "-7", "+7", "07", "7.0", "256", "7 "], &["7", "30"])
        }
        "Regenerate" => {
            texts(&["cAnArY x", "a b", "a/b", &"a".repeat(65)], &["2026-01", "A._-z", &"a".repeat(64)])
        }
        "RotateApiKeysEvery" | "RotateP2pKeysEvery" => texts(
            &[CANARY, "rate(cAnArY days)", "rate(3 hours)", "30 days", "cron(5 8 * * ? *)", "cron(0 cAnArY)"],
            &["rate(1 day)", "rate(90 days)", "cron(0 8 1 * ? *)"],
        ),
        "OverlapHours" => texts(&[CANARY, "1", "721", "024", "+24", "24.0"], &["2", "24", "720"]),
        "CutOverMinutes" => texts(&[CANARY, "4", "10081", "060", "+60", "1h"], &["5", "60", "10080"]),
        "AdoptFrom" => texts(
            &[
                CANARY,
                "keyboot",
                "keyboot/keyboot/other/0123456789abcdef",
                "keyboot/other/tsm/0123456789abcdef",
                "keyboot/keyboot/tsm/0123456789abcde",
            ],
            &["keyboot/keyboot/tsm/0123456789abcdef"],
        ),
        other => panic!("the table test does not know {other}"),
    }
}

#[test]
fn every_property_refuses_what_is_wrong_by_name_with_what_is_allowed() {
    for rule in PROPERTIES {
        let name = rule.name;
        let (kind, mut wrong, right) = cases(name);
        wrong.extend([json!(3), json!(true), Value::Null, json!(1.5)]);
        match kind {
            Kind::Text => wrong.extend([json!(""), json!([CANARY]), json!({(CANARY): CANARY})]),
            Kind::List => wrong.extend([
                json!(""),
                json!(CANARY),
                json!({(CANARY): CANARY}),
                json!([3]),
                json!([[CANARY]]),
                json!([null]),
            ]),
            Kind::Map => wrong.extend([json!(""), json!(CANARY), json!([CANARY])]),
        }
        for value in wrong {
            let fault = refused(&valid().with(name, value.clone()));
            assert_eq!(fault.property, name, "{value}");
            assert!(!fault.fault.is_empty());
            let allowed = [rule.allowed, "left out"];
            assert!(allowed.contains(&fault.allowed.as_str()), "{name} {value}: {fault}");
            let message = fault.to_string();
            assert!(
                message.starts_with(&format!("property {name} ")) && message.contains(": it must be "),
                "{message}"
            );
        }
        for value in right {
            ClusterSpec::parse(&valid().with(name, value.clone()).0)
                .unwrap_or_else(|fault| panic!("{value}: {fault}"));
        }
        let mut absent = valid();
        absent.0.remove(name);
        if rule.required {
            assert_eq!(refused(&absent).fault, "is missing", "{name}");
        } else {
            ClusterSpec::parse(&absent.0).unwrap();
        }
        for other in [name.to_lowercase(), name.to_uppercase(), format!("{name}s"), format!(" {name}")] {
            let fault = refused(&valid().with(&other, CANARY));
            assert!(fault.fault.starts_with("is unknown"), "{other}: {fault}");
            assert!(fault.allowed.contains(name));
        }
    }
    // What is wrong with a name is seen in the message.
    assert_eq!(refused(&valid().with("Recovery WindowDays", "7")).property, "Recovery?WindowDays");
}

#[test]
fn what_kms_makes_is_sealed_or_refused() {
    let of_kms = valid().with("KeyOrigin", "Kms");
    assert_eq!(of_kms.spec().key_origin, KeyOrigin::Kms);
    let fault = refused(&of_kms.with("Protection", "Service"));
    assert_eq!((fault.property.as_str(), fault.fault), ("KeyOrigin", "is Kms, but Protection is Service"));
    assert!(fault.allowed.contains("Envelope"), "{fault}");
}

#[test]
fn an_account_stands_for_its_roles_only_where_that_is_allowed_and_why_is_said() {
    let account = "444455556666";
    for (name, value) in [
        ("ReaderPrincipals", json!({"0": [account]})),
        ("ClientPrincipals", json!({"default": [account]})),
        ("ManagementPrincipals", json!([account])),
    ] {
        let declared = valid().with(name, value);
        let fault = refused(&declared);
        assert_eq!(fault.property, name);
        assert!(fault.fault.contains("every administrator of that account could then read"), "{fault}");
        assert!(ClusterSpec::parse(&declared.with("AllowAccountReaders", "true").0).is_ok(), "{name}");
    }
}

#[test]
fn principals_are_of_their_slot_and_of_no_other() {
    let role = |name: &str| format!("arn:aws:iam::444455556666:role/{name}");
    let declared = valid()
        .with("Applications", vec!["a", "b"])
        .with("ReaderPrincipals", json!({"1": [role("node-1")]}))
        .with("ClientPrincipals", json!({"b": [role("client"), role("client")]}))
        .with("ManagementPrincipals", json!([role("manager")]));
    let (spec, lenient) = (declared.spec(), declared.lenient());
    for slot in spec.slots() {
        let readers = spec.admitted.to(&slot);
        let expected = match (slot.index.get(), slot.purpose.to_string().as_str()) {
            (1, "p2p-key" | "share-encryption-password") => vec![role("node-1")],
            (_, "api-key/b") => vec![role("client")],
            (_, "management-key") => vec![role("manager")],
            _ => vec![],
        };
        assert_eq!(readers.roles.iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{slot:?}");
        assert_eq!(lenient.admitted.to(&slot), readers, "{slot:?}");
    }
    let broken = valid().with("ReaderPrincipals", json!({"0": [role("*"), 3, role("x")], "y": 1}));
    let slot = spec.slots().into_iter().next().unwrap();
    assert_eq!(broken.lenient().admitted.to(&slot).to_string(), role("x"));
}

#[test]
fn a_list_of_keys_and_roles_is_the_map_that_it_stands_for() {
    let role = |name: &str| format!("arn:aws:iam::444455556666:role/{name}");
    let map = valid()
        .with("ReaderPrincipals", json!({"0": [role("a"), role("b=c")], "1": [role("d")]}))
        .with("ClientPrincipals", json!({"default": [role("e")]}));
    let list = valid()
        .with(
            "ReaderPrincipals",
            json!([
                format!("0={}", role("a")),
                format!("1={}", role("d")),
                format!("0={}", role("b=c")),
                format!("0={}", role("a"))
            ]),
        )
        .with("ClientPrincipals", json!([format!("default={}", role("e"))]));
    assert_eq!(list.spec().admitted, map.spec().admitted);
    assert_eq!(list.lenient().admitted, map.lenient().admitted);
    assert_eq!(list.lenient().admitted, list.spec().admitted);
    for (wrong, why) in [
        (json!([format!("0={}", role("a")), format!("1={}", role("a"))]), "one role stands under two names"),
        (json!([role("a")]), "an entry that is not <name>=<role ARN>"),
        (json!(CANARY), "neither a map nor a list of strings"),
        (json!([format!("0={}", role("a")), 3]), "neither a map nor a list of strings"),
    ] {
        let fault = refused(&valid().with("ReaderPrincipals", wrong));
        assert!(fault.fault.contains(why), "{fault}");
        assert!(fault.allowed.contains("<name>=<role ARN>"), "{fault}");
    }
    // What is beyond reading is left out, and nothing else.
    let broken = valid().with("ReaderPrincipals", json!([format!("0={}", role("x")), "0=y", 3, "z"]));
    let slot = list.spec().slots().into_iter().next().unwrap();
    assert_eq!(broken.lenient().admitted.to(&slot).to_string(), role("x"));
}

#[test]
fn what_is_replaced_is_over_before_the_next_rotation() {
    let declared = valid().with("RotateApiKeysEvery", "rate(4 hours)");
    assert_eq!(
        refused(&declared).to_string().split(':').next(),
        Some("property OverlapHours is longer than RotateApiKeysEvery")
    );
    declared.with("OverlapHours", "4").spec();
    let declared = valid().with("RotateP2pKeysEvery", "rate(1 day)").with("CutOverMinutes", "1441");
    assert_eq!(refused(&declared).property, "CutOverMinutes");
    declared.with("CutOverMinutes", "1440").spec();
    // Parameter Store's schedules would begin at once.
    let of_parameters = |every| valid().with("Store", "ParameterStore").with("RotateApiKeysEvery", every);
    assert!(refused(&of_parameters("rate(30 days)")).fault.contains("at once"));
    of_parameters("cron(0 8 1 * ? *)").spec();
    // Times alone declare no rotation.
    assert_eq!(valid().with("OverlapHours", "2").spec().rotation, None);
}

#[test]
fn defaults_are_what_the_table_says() {
    let Value::Object(properties) = json!({
        "ServiceToken": "arn", "ServiceTimeout": "3600", "Cluster": "tsm", "Nodes": ["2", "0"], "KmsKeyArn": KEY,
    }) else {
        unreachable!()
    };
    let spec = ClusterSpec::parse(&properties).unwrap();
    let mut explicit = Declared(properties);
    for rule in PROPERTIES.iter().filter(|rule| !rule.default.is_empty()) {
        let is_list = matches!(cases(rule.name).0, Kind::List);
        explicit =
            explicit.with(rule.name, if is_list { json!([rule.default]) } else { json!(rule.default) });
    }
    assert_eq!(format!("{spec:?}"), format!("{:?}", explicit.spec()));
    assert_eq!(spec.cluster.as_str(), "keyboot/tsm");
    assert_eq!(spec.deletion.others, OnDelete::Schedule { days: 30 });
    assert_eq!(spec.deletion.share_password, OnDelete::Retain);
}

#[test]
fn a_delete_reads_what_can_be_read_and_is_careful_with_the_rest() {
    let read = |declared: Declared| LenientSpec::read(&declared.0);
    let spec =
        read(valid().with("Nodes", json!(["0", "x", 3, "5"])).with("Applications", json!(["a", "B*", null])));
    assert_eq!(spec.nodes.iter().map(|node| node.get()).collect::<Vec<_>>(), [0, 5]);
    assert_eq!(spec.applications.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a"]);
    assert_eq!(spec.deletion.others, OnDelete::Schedule { days: 30 });
    for (name, value) in [
        ("OnDelete", json!("force")),
        ("RecoveryWindowDays", json!("0")),
        ("ShareSecretOnDelete", json!(true)),
        ("OnDelete", Value::Null),
    ] {
        let rules = read(valid().with(name, value)).deletion;
        assert_eq!((rules.others, rules.share_password), (OnDelete::Retain, OnDelete::Retain), "{name}");
    }
    for (value, store) in [
        (json!("ParameterStore"), Some(Store::ParameterStore)),
        (json!("SecretsManager"), Some(Store::SecretsManager)),
        (json!("Vault"), None),
        (json!(3), None),
    ] {
        assert_eq!(read(valid().with("Store", value.clone())).store, store, "{value}");
    }
    assert_eq!(read(valid()).store, Some(Store::SecretsManager));
    let nothing = LenientSpec::read(&serde_json::Map::new());
    assert!(nothing.nodes.is_empty());
    assert_eq!(nothing.applications.len(), 1);
}
