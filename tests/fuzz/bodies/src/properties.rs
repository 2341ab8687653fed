//! Properties: what a template says about a cluster.

use std::collections::BTreeSet;

use provisioning::names::{Application, ClusterName, NodeIndex, Purpose, Slot};
use provisioning::ownership::{Generation, Owner};
use provisioning::principals::RoleArn;
use provisioning::properties::{ClusterSpec, LenientSpec, OnDelete, PROPERTIES, PropertyFault};
use provisioning::sealing::{EncryptionContext, KeyOrigin, Protection};
use serde_json::{Map, Value};

use crate::{Verdict, assert_names_one_thing};

/// Reads properties as Create and Update do, and as Delete does.
#[must_use]
pub fn properties(bytes: &[u8]) -> Verdict {
    let Ok(Value::Object(map)) = serde_json::from_slice(bytes) else {
        return Verdict::Refused;
    };
    let lenient = LenientSpec::read(&map);
    assert_lenient_is_careful(&map, &lenient);
    match ClusterSpec::parse(&map) {
        Err(fault) => {
            assert_fault_repeats_nothing(&fault);
            Verdict::Refused
        }
        Ok(spec) => {
            assert_within_limits(&spec);
            assert_list_admits(&map, &spec);
            assert_delete_sees_the_same(&spec, &lenient);
            for (name, value) in &map {
                assert_value_is_plain(name, value);
            }
            for index in spec.nodes.first().into_iter().chain(spec.nodes.last()) {
                assert_names_are_sound(&spec.cluster, *index, &spec.purposes());
            }
            Verdict::Accepted
        }
    }
}

/// Every documented limit, in other words than the parser's.
fn assert_within_limits(spec: &ClusterSpec) {
    let segments: Vec<&str> = spec.cluster.as_str().split('/').collect();
    let (cluster, namespace) = segments.split_last().expect("a split gives at least one part");
    assert_segment(cluster);
    assert!((1..=4).contains(&namespace.len()), "{}", spec.cluster);
    for segment in namespace {
        assert_segment(segment);
    }
    assert!(namespace.join("/").len() <= 64);
    assert!(!namespace[0].starts_with("aws") && !namespace[0].starts_with("ssm"));

    assert!((1..=1000).contains(&spec.nodes.len()));
    assert!(spec.nodes.iter().all(|index| index.get() <= 99_999));

    assert!((1..=16).contains(&spec.applications.len()));
    assert_eq!(spec.applications.iter().collect::<BTreeSet<_>>().len(), spec.applications.len());
    spec.applications.iter().for_each(|application| assert_segment(application.as_str()));

    assert_key_arn(spec.kms_key.as_str());
    if let Some(domain) = &spec.node_domain {
        assert!(domain.len() <= 200);
        for label in domain.split('.') {
            assert!((1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-'));
            assert_of(label, "abcdefghijklmnopqrstuvwxyz0123456789-");
        }
    }
    assert!(spec.peer_record_arns.len() <= 16);
    for arn in &spec.peer_record_arns {
        assert_names_one_thing("a peer's record", arn);
        let name = arn_resource(arn, "ssm").strip_prefix("parameter/").expect("it is a parameter");
        assert!(!name.is_empty() && name.len() <= 190);
    }
    if let Some(token) = &spec.regenerate {
        assert!((1..=64).contains(&token.as_str().len()));
        assert_of(token.as_str(), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
    }
    assert!(spec.key_origin == KeyOrigin::Function || spec.protection == Protection::Envelope);
    assert_readers(spec);
    for rule in [spec.deletion.others, spec.deletion.share_password] {
        assert!(matches!(rule, OnDelete::Retain | OnDelete::Schedule { days: 7..=30 }), "{rule:?}");
    }
}

/// Who reads is a few roles and accounts, each by itself.
fn assert_readers(spec: &ClusterSpec) {
    for slot in spec.slots() {
        let readers = spec.admitted.to(&slot);
        let roles = readers.roles.iter().map(RoleArn::as_str);
        let principals: Vec<&str> = roles.chain(readers.accounts.iter().map(String::as_str)).collect();
        // Secrets Manager API Reference, PutResourcePolicy: 20,480 characters, in which each stands twice.
        assert!(principals.len() <= 40 && principals.iter().map(|text| text.len()).sum::<usize>() <= 8000);
        for role in &readers.roles {
            assert_names_one_thing("a reader", role.as_str());
            assert!(role.as_str().contains(":role/") && role.account().len() == 12);
            assert!(spec.kms_key.as_str().starts_with(&format!("arn:{}:", role.partition())));
        }
    }
}

/// A list in the place of a map of principals: each of its entries is a key, `=` and one principal, which
/// the key's slot admits and, if it is a role, no other key's.
fn assert_list_admits(map: &Map<String, Value>, spec: &ClusterSpec) {
    for name in ["ReaderPrincipals", "ClientPrincipals"] {
        for entry in map.get(name).and_then(Value::as_array).into_iter().flatten() {
            let (key, principal) = entry.as_str().and_then(|entry| entry.split_once('=')).expect("an entry");
            for slot in spec.slots() {
                let of = match &slot.purpose {
                    Purpose::P2pKey | Purpose::SharePassword if name == "ReaderPrincipals" => {
                        slot.index.to_string()
                    }
                    Purpose::ApiKey(application) if name == "ClientPrincipals" => application.to_string(),
                    _ => continue,
                };
                let readers = spec.admitted.to(&slot);
                let admits = readers.accounts.contains(principal)
                    || readers.roles.iter().any(|role| role.as_str() == principal);
                assert_eq!(admits, of == key, "{entry} and {slot:?}");
            }
        }
    }
}

/// What is read leniently is a part of what is said, and nothing is lost by a rule that nobody gave.
fn assert_lenient_is_careful(map: &Map<String, Value>, lenient: &LenientSpec) {
    let says = |name: &str, text: &str| {
        map.get(name).and_then(Value::as_array).is_some_and(|list| list.iter().any(|item| item == text))
    };
    for index in &lenient.nodes {
        assert!(says("Nodes", &index.to_string()), "{index}");
        assert!(index.get() <= 99_999);
    }
    for application in &lenient.applications {
        let by_default = !map.contains_key("Applications") && application.as_str() == "default";
        assert!(by_default || says("Applications", application.as_str()), "{application}");
        assert_segment(application.as_str());
    }
    let schedules = |rule: OnDelete| matches!(rule, OnDelete::Schedule { .. });
    if schedules(lenient.deletion.share_password) {
        assert_eq!(map["ShareSecretOnDelete"], "Schedule", "a password goes only on a plain word");
    }
    if schedules(lenient.deletion.others) {
        assert!(map.get("OnDelete").is_none_or(|value| value == "Schedule"));
    }
}

fn assert_delete_sees_the_same(spec: &ClusterSpec, lenient: &LenientSpec) {
    assert_eq!(spec.nodes, lenient.nodes);
    assert_eq!(spec.applications.iter().cloned().collect::<BTreeSet<Application>>(), lenient.applications);
    assert_eq!(spec.deletion, lenient.deletion);
    assert!(spec.slots().iter().all(|slot| lenient.declares(slot)));
    assert_eq!(spec.admitted, lenient.admitted);
}

/// A fault is put together from words of ours, and an unknown name with `?` for what no name has.
fn assert_fault_repeats_nothing(fault: &PropertyFault) {
    if fault.fault.starts_with("is unknown") {
        assert!(fault.allowed.starts_with("one of Cluster, "), "{fault}");
        let is_shown = |c: char| c.is_ascii_alphanumeric() || c == '?';
        assert!(fault.property.len() <= 64 && fault.property.chars().all(is_shown));
    } else {
        let rule = PROPERTIES.iter().find(|rule| rule.name == fault.property).expect("a known property");
        assert_eq!(fault.allowed, rule.allowed, "{fault}");
    }
}

/// Whatever is accepted stands for itself, in properties that are yet to come as well.
fn assert_value_is_plain(name: &str, value: &Value) {
    match value {
        // CloudFormation's own, which it has used before it calls.
        _ if name == "ServiceToken" || name == "ServiceTimeout" => {}
        Value::String(text) => assert_names_one_thing(name, text),
        Value::Array(items) => items.iter().for_each(|item| assert_value_is_plain(name, item)),
        Value::Object(map) => {
            for (key, item) in map {
                assert_names_one_thing(name, key);
                assert_value_is_plain(name, item);
            }
        }
        other => unreachable!("{name} has been accepted with {other}"),
    }
}

/// Every text that reaches a store for a node: names, tags, encryption contexts.
fn assert_names_are_sound(cluster: &ClusterName, index: NodeIndex, purposes: &[Purpose]) {
    for parameter in [
        cluster.record_parameter(index),
        cluster.environment_parameter(index),
        cluster.roster_index_parameter(),
        cluster.roster_page_parameter(u64::MAX, 999),
        cluster.intent_parameter("0123456789abcdef"),
    ] {
        assert_names_one_thing("a parameter's name", parameter.as_str());
        assert!(parameter.as_str().starts_with('/') && !parameter.as_str().contains("//"));
        // Systems Manager API Reference, PutParameter, parameter Name: 15 levels, 1,011 bytes with the ARN.
        assert!(parameter.as_str().len() <= 900 && parameter.as_str().matches('/').count() <= 15);
    }
    let owner = Owner {
        id: format!("keyboot/{cluster}/0123456789abcdef").parse().expect("it is an id of ours"),
        stack_id: "arn:aws:cloudformation:us-east-1:111122223333:stack/kms/5b0c".to_owned(),
        logical_id: "Keys".to_owned(),
    };
    for purpose in purposes {
        let name = cluster.secret_name(index, purpose);
        assert_names_one_thing("a secret's name", name.as_str());
        // Secrets Manager API Reference, CreateSecret, parameter Name.
        assert!(name.as_str().len() <= 512 && !name.as_str().contains("//"));
        assert!(!ends_like_an_arn(name.as_str()), "{name}");

        let slot = Slot { index, purpose: purpose.clone() };
        let context = EncryptionContext::of(cluster, &slot);
        assert_eq!(context.pairs().count(), 3);
        for (key, value) in context.pairs() {
            assert_names_one_thing("a key of the encryption context", key);
            assert_names_one_thing("a value of the encryption context", value);
        }
        let tags = owner.tags(&Generation::new("request-1"), &slot, None, Some("Envelope"));
        for (key, value) in &tags {
            assert_names_one_thing("a tag's key", key);
            assert_names_one_thing("a tag's value", value);
            // Secrets Manager API Reference, Tag.
            assert!(key.len() <= 128 && value.len() <= 256 && !key.starts_with("aws:"));
        }
    }
}

fn assert_segment(text: &str) {
    assert!((1..=31).contains(&text.len()), "{text:?}");
    assert_of(&text[..1], "abcdefghijklmnopqrstuvwxyz");
    assert_of(text, "abcdefghijklmnopqrstuvwxyz0123456789-");
    assert!(!ends_like_an_arn(text), "{text}");
}

/// Whether a name ends in what Secrets Manager puts behind names in ARNs: a dash and six letters or
/// digits. The `-key/ab` of an application with two letters is none, for it has a slash.
fn ends_like_an_arn(text: &str) -> bool {
    let is_suffix = |after: &str| after.len() == 6 && after.chars().all(|c| c.is_ascii_alphanumeric());
    text.rsplit_once('-').is_some_and(|(before, after)| !before.is_empty() && is_suffix(after))
}

fn assert_key_arn(arn: &str) {
    assert_names_one_thing("a key", arn);
    let id = arn_resource(arn, "kms").strip_prefix("key/").expect("it is a key, no alias");
    let (shape, length) = id.strip_prefix("mrk-").map_or((id, 36), |digits| (digits, 32));
    assert_eq!(shape.len(), length, "{arn}");
    assert_of(shape, "0123456789abcdef-");
}

/// What follows the account in an ARN of a service.
fn arn_resource<'a>(arn: &'a str, service: &str) -> &'a str {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    assert!(parts.len() == 6 && parts[0] == "arn" && parts[2] == service, "{arn}");
    assert!(["aws", "aws-cn", "aws-us-gov"].contains(&parts[1]), "{arn}");
    assert_of(parts[3], "abcdefghijklmnopqrstuvwxyz0123456789-");
    assert!(parts[4].len() == 12, "{arn}");
    assert_of(parts[4], "0123456789");
    parts[5]
}

fn assert_of(text: &str, alphabet: &str) {
    assert!(!text.is_empty() && text.chars().all(|character| alphabet.contains(character)), "{text:?}");
}
