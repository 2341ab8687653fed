//! The requests that CloudFormation can make, each with what was there before.

use serde_json::json;

use crate::cloudformation::{Properties, Sent};

/// One request, after others that went well.
#[derive(Clone, Debug)]
pub(crate) struct Story {
    pub(crate) name: &'static str,
    /// In this order.
    pub(crate) before: Vec<Sent>,
    pub(crate) sent: Sent,
}

/// The physical id of a cluster of the stack's resource.
pub(crate) type PhysicalId<'a> = &'a dyn Fn(&str) -> String;

/// The cluster of the stories.
pub(crate) const CLUSTER: &str = "tsm";
/// The one that a replacement leads to.
pub(crate) const OTHER_CLUSTER: &str = "other";

fn two_nodes() -> Properties {
    Properties::nodes(&[0, 1])
}

/// The same with roles that may read, one of node 0 with this name.
pub(crate) fn read_by(properties: Properties, name: &str) -> Properties {
    let role = |name: &str| format!("arn:aws:iam::444455556666:role/{name}");
    properties
        .with("ReaderPrincipals", json!({"0": [role(name)]}))
        .with("ManagementPrincipals", json!([role("manager")]))
}

/// The same with API and management keys that are rotated so.
fn rotated(properties: Properties, every: &str) -> Properties {
    properties.with("RotateApiKeysEvery", every)
}

/// The same with secrets in Parameter Store.
fn in_parameter_store(properties: Properties) -> Properties {
    properties.with("Store", "ParameterStore")
}

/// Creates: the first one, and one that meets what a deleted stack's twin left behind.
pub(crate) fn creates(id: PhysicalId<'_>) -> Vec<Story> {
    let first = Sent::create("create-1", &two_nodes());
    let other = read_by(two_nodes(), "before");
    let gone = vec![Sent::create("create-0", &other), Sent::delete("delete-0", &other, &id(CLUSTER))];
    let again = Sent::create("create-1", &read_by(two_nodes(), "now"));
    let of_kms = Properties::nodes(&[0]).with("KeyOrigin", "Kms").with("P2pCurve", "secp256k1");
    let parameters = in_parameter_store(two_nodes());
    vec![
        Story { name: "create", before: Vec::new(), sent: first },
        Story { name: "create of what was deleted", before: gone, sent: again },
        Story {
            name: "create of what is rotated",
            before: Vec::new(),
            sent: Sent::create("create-1", &rotated(Properties::nodes(&[0]), "rate(30 days)")),
        },
        Story { name: "create of keys of KMS", before: Vec::new(), sent: Sent::create("create-1", &of_kms) },
        Story {
            name: "create in Parameter Store",
            before: Vec::new(),
            sent: Sent::create("create-1", &parameters),
        },
        Story {
            name: "create of what was deleted, in Parameter Store",
            before: vec![
                Sent::create("create-0", &parameters),
                Sent::delete("delete-0", &parameters, &id(CLUSTER)),
            ],
            sent: Sent::create("create-1", &parameters),
        },
    ]
}

/// Updates, each of which can be rolled back.
pub(crate) fn updates(id: PhysicalId<'_>) -> Vec<Story> {
    let one = Properties::nodes(&[0]);
    let changes: [(&'static str, Properties, Properties); 13] = [
        (
            "a node added, a node removed, another reader",
            read_by(two_nodes(), "before"),
            read_by(two_nodes(), "now").with_nodes(&[0, 2]),
        ),
        ("another reader", read_by(one.clone(), "before"), read_by(one.clone(), "now")),
        ("a node removed", two_nodes(), one.clone()),
        (
            "an application added, one removed",
            one.clone().with("Applications", vec!["a", "b"]),
            one.clone().with("Applications", vec!["a", "c"]),
        ),
        (
            "keys switched on and off",
            one.clone().with("ManagementKey", "false"),
            one.clone().with("ShareEncryptionPassword", "false"),
        ),
        ("another domain", one.clone(), one.clone().with("NodeDomain", "new.example.org")),
        ("another token", one.clone().with("Regenerate", "1"), one.clone().with("Regenerate", "2")),
        ("rotation switched on", two_nodes(), rotated(two_nodes(), "rate(30 days)")),
        (
            "rotated by another schedule, a node added, an application added",
            rotated(one.clone(), "rate(30 days)"),
            rotated(two_nodes(), "rate(7 days)").with("Applications", vec!["default", "more"]),
        ),
        ("rotation switched off", rotated(one.clone(), "rate(30 days)"), one.clone()),
        (
            "another token, curve and origin, a node added, a node removed",
            two_nodes(),
            one.clone()
                .with_nodes(&[0, 2])
                .with("Regenerate", "1")
                .with("P2pCurve", "P-384")
                .with("KeyOrigin", "Kms"),
        ),
        (
            "a node added, a node removed, in Parameter Store",
            in_parameter_store(two_nodes()),
            in_parameter_store(two_nodes().with_nodes(&[0, 2])),
        ),
        (
            "another token, in Parameter Store",
            in_parameter_store(one.clone()),
            in_parameter_store(one).with("Regenerate", "1"),
        ),
    ];
    let story = |(name, old, new): (_, Properties, Properties)| Story {
        name,
        before: vec![Sent::create("create-1", &old)],
        sent: Sent::update("update-1", &old, &new, &id(CLUSTER)),
    };
    changes.into_iter().map(story).collect()
}

/// A cluster replaced by another.
pub(crate) fn replacement(id: PhysicalId<'_>) -> Story {
    let old = Properties::nodes(&[0]);
    let new = old.clone().with("Cluster", OTHER_CLUSTER);
    Story {
        name: "another cluster",
        before: vec![Sent::create("create-1", &old)],
        sent: Sent::update("update-1", &old, &new, &id(CLUSTER)),
    }
}

/// Deletes of what was in service.
pub(crate) fn deletes(id: PhysicalId<'_>) -> Vec<Story> {
    let story = |name, properties: Properties| Story {
        name,
        before: vec![Sent::create("create-1", &properties)],
        sent: Sent::delete("delete-1", &properties, &id(CLUSTER)),
    };
    vec![
        story("delete", two_nodes()),
        story("delete with the password", two_nodes().with("ShareSecretOnDelete", "Schedule")),
        story("delete that retains", two_nodes().with("OnDelete", "Retain")),
        story("delete in Parameter Store", in_parameter_store(two_nodes())),
    ]
}
