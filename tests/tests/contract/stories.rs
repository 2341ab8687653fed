//! The requests that CloudFormation can make, each with what was there before.

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

/// The same with secrets in Parameter Store.
fn in_parameter_store(properties: &Properties) -> Properties {
    properties.clone().with("Store", "ParameterStore")
}

/// Creates: the first one, and one that meets what a deleted stack's twin left behind.
pub(crate) fn creates(id: PhysicalId<'_>) -> Vec<Story> {
    let of = |properties: &Properties, [name, again]: [&'static str; 2]| {
        let first = Sent::create("create-1", properties);
        let gone =
            vec![Sent::create("create-0", properties), Sent::delete("delete-0", properties, &id(CLUSTER))];
        [
            Story { name, before: Vec::new(), sent: first.clone() },
            Story { name: again, before: gone, sent: first },
        ]
    };
    let names = ["create", "create of what was deleted"];
    let in_parameters = ["create in Parameter Store", "create of what was deleted in Parameter Store"];
    of(&two_nodes(), names).into_iter().chain(of(&in_parameter_store(&two_nodes()), in_parameters)).collect()
}

/// Updates, each of which can be rolled back.
pub(crate) fn updates(id: PhysicalId<'_>) -> Vec<Story> {
    let one = Properties::nodes(&[0]);
    let changes: [(&'static str, Properties, Properties); 6] = [
        ("a node added, a node removed", two_nodes(), two_nodes().with_nodes(&[0, 2])),
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
        ("another domain", one.clone(), one.with("NodeDomain", "new.example.org")),
        (
            "a node added, a node removed, in Parameter Store",
            in_parameter_store(&two_nodes()),
            in_parameter_store(&two_nodes().with_nodes(&[0, 2])),
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
        story("delete in Parameter Store", in_parameter_store(&two_nodes())),
    ]
}
