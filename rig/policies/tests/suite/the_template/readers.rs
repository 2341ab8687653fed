//! Who uses the secrets' key, by its policy alone: every role here has a policy of its own that allows
//! everything, so that nothing but the key's policy keeps it out.

use std::collections::BTreeSet;
use std::fs;

use policies::template::Stack;
use policies::{Context, Principal};
use serde_json::{Value, json};

use super::{
    Deployed, STACK, VIA_SECRETS_MANAGER, administrator, full, pairs, resolve, sealed_under, secret,
};
use crate::asking::{ELSEWHERE, HERE};

const NOT_LISTED: &str = "777788889999";

fn role(account: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:role/{name}")
}

/// Two nodes in two accounts, one of them read by two roles; two applications; a manager.
fn read_by_many() -> Stack {
    let readers = [
        format!("0={}", role(HERE, "node-0")),
        format!("1={}", role(ELSEWHERE, "path/node-1")),
        format!("0={}", role(ELSEWHERE, "rescue")),
        format!("1={}", role(NOT_LISTED, "node-1")),
    ];
    let clients = [format!("a={}", role(ELSEWHERE, "client-a")), format!("b={}", role(HERE, "client-b"))];
    Stack::new(STACK)
        .unwrap()
        .parameter("Nodes", "0,1")
        .parameter("Applications", "a,b")
        .parameter("ReaderPrincipals", &readers.join(","))
        .parameter("ClientPrincipals", &clients.join(", "))
        .parameter("ManagementPrincipals", &role(HERE, "manager"))
        .parameter("ReaderAccounts", ELSEWHERE)
}

/// What a key is used for: its name, and what KMS is asked with.
fn uses() -> Vec<(String, Context)> {
    let via = |name: &str| {
        let pairs = [("SecretARN", secret(name)), ("SecretVersionId", "1".to_owned())];
        let pairs: Vec<_> = pairs.iter().map(|(key, value)| (*key, value.as_str())).collect();
        sealed_under(&pairs).with("kms:ViaService", VIA_SECRETS_MANAGER)
    };
    let mut uses = Vec::new();
    for cluster in ["tsm", "other"] {
        for node in ["0", "1", "10"] {
            for purpose in
                ["p2p-key", "share-encryption-password", "api-key/a", "api-key/b", "management-key", "more"]
            {
                let name = format!("keyboot/{cluster}/node/{node}/{purpose}");
                uses.push((format!("{name} by way of the store"), via(&name)));
            }
            // A purpose is no one's to choose: who opens a node's envelopes opens all of them.
            let cluster = format!("keyboot/{cluster}");
            uses.push((format!("{cluster} envelope of node {node}"), pairs(&full(&cluster, node))));
            let by_ssm =
                pairs(&full(&cluster, node)).with("kms:ViaService", "ssm.eu-central-1.amazonaws.com");
            uses.push((format!("{cluster} envelope of node {node} by another service"), by_ssm));
        }
    }
    uses.push(("nothing".to_owned(), Context::new()));
    uses.push((
        "a secret past the store".to_owned(),
        sealed_under(&[("SecretARN", &secret("keyboot/tsm/node/0/p2p-key"))]),
    ));
    uses
}

fn of_node(index: u32) -> Vec<String> {
    let secrets = ["p2p-key", "share-encryption-password"];
    let secrets = secrets.map(|purpose| format!("keyboot/tsm/node/{index}/{purpose} by way of the store"));
    let mut all = secrets.to_vec();
    all.push(format!("keyboot/tsm envelope of node {index}"));
    all
}

fn of_every_node(purpose: &str) -> Vec<String> {
    let of = |node| format!("keyboot/tsm/node/{node}/{purpose} by way of the store");
    ["0", "1", "10"].map(of).to_vec()
}

fn used(deployed: &Deployed, arn: &str) -> BTreeSet<String> {
    let who = || Principal::role(arn, "session").unwrap();
    let allows = |context: &Context| {
        deployed.with_secrets_key(who(), &administrator(), "kms:Decrypt", context.clone()).is_allowed()
    };
    uses().into_iter().filter(|(_, context)| allows(context)).map(|(name, _)| name).collect()
}

#[test]
fn each_role_uses_the_key_for_what_it_is_named_for_and_nothing_else() {
    let deployed = Deployed::new(read_by_many());
    for (who, wanted) in [
        (role(HERE, "node-0"), of_node(0)),
        (role(ELSEWHERE, "path/node-1"), of_node(1)),
        (role(ELSEWHERE, "rescue"), of_node(0)),
        (role(ELSEWHERE, "client-a"), of_every_node("api-key/a")),
        (role(HERE, "client-b"), of_every_node("api-key/b")),
        (role(HERE, "manager"), of_every_node("management-key")),
        // Named, but of an account that is not.
        (role(NOT_LISTED, "node-1"), vec![]),
        // The same names in other accounts, and names that are like those.
        (role(ELSEWHERE, "node-0"), vec![]),
        (role(HERE, "path/node-1"), vec![]),
        (role(ELSEWHERE, "node-1"), vec![]),
        (role(ELSEWHERE, "path/node-10"), vec![]),
        (role(HERE, "admin"), vec![]),
        (role(HERE, "NodeKeysRole"), vec![]),
        (role(HERE, "KeyRotationRole"), vec![]),
    ] {
        assert_eq!(used(&deployed, &who), wanted.into_iter().collect(), "{who}");
    }
}

#[test]
fn a_tag_of_a_principal_opens_nothing() {
    let deployed = Deployed::new(read_by_many());
    let forged = Principal::role(&role(HERE, "admin"), "session").unwrap();
    let forged = [("keyboot:node", "0"), ("node", "0"), ("keyboot:cluster", "keyboot/tsm")]
        .into_iter()
        .fold(forged, |forged, (key, value)| forged.tagged(key, value));
    for (name, context) in uses() {
        let decision = deployed.with_secrets_key(forged.clone(), &administrator(), "kms:Decrypt", context);
        assert!(!decision.is_allowed(), "{name}");
    }
}

/// A role may be named for a node and for an application: neither takes from the other.
#[test]
fn a_role_of_two_kinds_has_both() {
    let both = role(ELSEWHERE, "path/node-1");
    let deployed = Deployed::new(
        read_by_many()
            .parameter("ClientPrincipals", &format!("a={both}"))
            .parameter("ManagementPrincipals", &both),
    );
    let wanted = [of_node(1), of_every_node("api-key/a"), of_every_node("management-key")].concat();
    assert_eq!(used(&deployed, &both), wanted.into_iter().collect());
}

#[test]
fn nobody_who_is_not_named_has_a_statement() {
    let sids = |stack: Stack| {
        let policy = resolve(stack).policy("SecretsKey", "KeyPolicy").unwrap();
        let statements = policy["Statement"].as_array().unwrap().clone();
        statements.iter().map(|statement| statement["Sid"].clone()).collect::<Vec<_>>()
    };
    let none = sids(Stack::new(STACK).unwrap());
    let fixed = [
        "ManageOnly",
        "NodeKeysSeals",
        "NodeKeysHasPairsMade",
        "NodeKeysStores",
        "NodeKeysIsTried",
        "NodeKeysStoresParameters",
    ];
    assert_eq!(none, fixed.map(Value::from));
    let alone = |parameter: &str, value: &str| {
        sids(Stack::new(STACK).unwrap().parameter(parameter, value)).split_off(fixed.len())
    };
    let reader = format!("0={}", role(HERE, "node-0"));
    assert_eq!(
        alone("ReaderPrincipals", &reader),
        [json!("NodesReadTheirSecrets"), json!("NodesOpenTheirEnvelopes"), Value::Null, Value::Null]
    );
    assert_eq!(
        alone("ClientPrincipals", &reader.replace("0=", "default=")),
        [json!("ClientsReadApiKeys"), Value::Null]
    );
    assert_eq!(alone("ManagementPrincipals", &role(HERE, "manager")), [json!("ManagersReadManagementKeys")]);
}

/// What the README says of how many nodes fit. A key policy has 32,768 bytes (KMS Developer Guide, "Resource
/// quotas").
#[test]
fn as_many_readers_fit_as_the_readme_says() {
    let length = |nodes: usize| {
        // Each role in an account of its own, and a client and a manager beside them.
        let accounts: Vec<_> = (0..nodes).map(|node| format!("{:012}", 444_400_000_000 + node)).collect();
        let readers = accounts.iter().enumerate().map(|(node, account)| {
            let role = format!("arn:aws:iam::{account}:role/builder-vault-node-{node:02}");
            assert_eq!(role.len(), 52);
            format!("{node}={role}")
        });
        let stack = Stack::new(STACK)
            .unwrap()
            .parameter("ReaderPrincipals", &readers.collect::<Vec<_>>().join(","))
            .parameter("ClientPrincipals", &format!("default={}", role(HERE, "client")))
            .parameter("ManagementPrincipals", &role(HERE, "manager"))
            .parameter("ReaderAccounts", &accounts.join(","));
        resolve(stack).resource("SecretsKey").unwrap()["KeyPolicy"].as_str().unwrap().len()
    };
    let fit = (1..100).take_while(|&nodes| length(nodes) <= 32_768).last().unwrap();
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).unwrap();
    assert!(
        readme.contains(&format!("**{fit} nodes**")),
        "{fit} nodes fit, and the README says another number"
    );
}

/// What the three parameters become a part of is JSON: none of their characters ends a string or a
/// statement there, and none is a wildcard or begins a variable.
#[test]
fn nothing_in_a_parameter_ends_what_it_stands_in() {
    let template = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../template.yaml")).unwrap();
    for name in ["ReaderPrincipals", "ClientPrincipals", "ManagementPrincipals", "ReaderAccounts"] {
        let (_, rest) = template.split_once(&format!("\n  {name}:\n")).unwrap();
        let (_, rest) = rest.split_once("AllowedPattern: \"").unwrap();
        let pattern = rest.split_once("\"\n").unwrap().0;
        let inner = pattern.strip_prefix("^(").and_then(|rest| rest.strip_suffix(")?$")).unwrap();
        // A class that is not negated lets in what stands in it, and everything outside of classes is
        // itself: so what is nowhere in the pattern is nowhere in a value.
        assert!(!inner.contains("[^"), "{name}: {pattern}");
        let outside: String =
            inner.split('[').map(|part| part.split_once(']').map_or(part, |(_, out)| out)).collect();
        assert!(!outside.contains('.'), "{name} lets in any character: {outside}");
        for character in ['"', '\'', '\\', '#', '*', '$', '<', '>', ' '] {
            assert!(!inner.contains(character), "{name} lets in {character}: {pattern}");
        }
        // The one = is what ends a name, and a role has none.
        assert_eq!(
            inner.matches('=').count(),
            usize::from(name.starts_with(['R', 'C']) && name != "ReaderAccounts")
        );
    }
}
