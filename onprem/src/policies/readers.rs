//! What those may do who read a key: each its own, by exact paths.

use provisioning::names::{Application, ClusterName, NodeIndex, Purpose, Segment, Slot};
use provisioning::sealing::EncryptionContext;
use vault::transit::context_base64;
use vault::{Mounts, VaultError};

use super::policy::Capability::{List, Read, Sudo, Update};
use super::policy::{Policy, Rule, Values};
use super::role::{Role, sequencer_policy};
use super::subjects::{Cluster, SEQUENCER, Subjects};
use super::{own, paths};

const NODE: &str = "\
Reads the keys of one node, and opens what is sealed for it. Whoever has this token is that node: he can read what
it reads, and nothing of any other node. He can write nothing.";
const CLIENT: &str = "\
Reads the API keys of one application. Whoever has this token can call the nodes as that application does.";
const MANAGER: &str = "\
Reads the management keys of one cluster. Whoever has this token can call its nodes' management interfaces.";
const SIGNER: &str = "\
Reads one key of one role of a chain, and nothing else: no document, no list, no other number of the same role.
Whoever has this token has that key for ever: read once, no policy takes it back. Then the key is replaced.";
const SEQUENCER_SAYS: &str = "\
Reads the keys that sign a chain's blocks: the one that counts, by the chain's signed document, and after a
rotation the next. Whoever has this token can sign blocks in the sequencer's name until the key is replaced.";
const AUDITOR: &str = "\
Looks at everything that is no key: public documents, what is said beside secrets, and the server's own rules.
Whoever has this token learns what there is and who may do what; he can read no key and change nothing.";

/// The policy of one node.
pub(super) fn node(cluster: &Cluster, index: NodeIndex, mounts: &Mounts) -> Result<Policy, VaultError> {
    let Mounts { secrets, documents, transit, seal_key, .. } = mounts;
    let purposes = cluster.read_by_nodes();
    let mut rules = own::token();
    for purpose in &purposes {
        let name = cluster.name.secret_name(index, purpose);
        rules.push(Rule::at(format!("{secrets}/data/{name}"), &[Read]));
    }
    let contexts = purposes
        .into_iter()
        .map(|purpose| context_base64(&EncryptionContext::of(&cluster.name, &Slot { index, purpose })))
        .collect::<Result<_, _>>()?;
    rules.push(
        Rule::at(format!("{transit}/decrypt/{seal_key}"), &[Update])
            .only_with([("ciphertext", Values::Any), ("context", Values::Texts(contexts))])
            .because(
                "The key is derived by what a value is for. The contexts are those of this node alone, and without\n\
                 `batch_input` among the parameters there is no way around them.",
            ),
    );
    let mut documents_read = paths::read_by_everybody(cluster);
    documents_read.push(format!("{}/node/{index}/env", cluster.name));
    for (position, path) in documents_read.iter().enumerate() {
        let rule = Rule::at(format!("{documents}/data/{path}"), &[Read]);
        rules.push(if position == 0 {
            rule.because(
                "The cluster's signed documents, which say which versions count, and the node's own.",
            )
        } else {
            rule
        });
    }
    let name = Role::Node { cluster: cluster.name.clone(), index }.to_string();
    Ok(Policy::new(name, NODE, rules))
}

/// The policy of an application.
pub(super) fn client(cluster: &Cluster, application: &Application, mounts: &Mounts) -> Policy {
    let purpose = Purpose::ApiKey(application.clone());
    let role = Role::Client { cluster: cluster.name.clone(), application: application.clone() };
    Policy::new(role.to_string(), CLIENT, of_each_node(cluster, &purpose, mounts))
}

/// The policy of who manages a cluster's nodes.
pub(super) fn manager(cluster: &Cluster, mounts: &Mounts) -> Policy {
    let role = Role::Manager { cluster: cluster.name.clone() };
    Policy::new(role.to_string(), MANAGER, of_each_node(cluster, &Purpose::ManagementKey, mounts))
}

fn of_each_node(cluster: &Cluster, purpose: &Purpose, Mounts { secrets, .. }: &Mounts) -> Vec<Rule> {
    let mut rules = own::token();
    rules.extend(cluster.nodes.iter().map(|index| {
        Rule::at(format!("{secrets}/data/{}", cluster.name.secret_name(*index, purpose)), &[Read])
    }));
    rules
}

/// The policy of a signer.
pub(super) fn signer(chain: &ClusterName, role: &Segment, number: u32, mounts: &Mounts) -> Policy {
    let mut rules: Vec<Rule> = own::lasting().into();
    rules.push(Rule::at(format!("{}/data/{chain}/role/{role}/{number}", mounts.secrets), &[Read]));
    let name = Role::Signer { chain: chain.clone(), role: role.clone(), number }.to_string();
    Policy::new(name, SIGNER, rules)
}

/// The policy of who signs a chain's blocks; each node that does has its own policy beside it.
pub(super) fn sequencer(chain: &ClusterName, mounts: &Mounts) -> Policy {
    let Mounts { secrets, documents, .. } = mounts;
    let rules = vec![
        Rule::at(format!("{secrets}/data/{chain}/role/{SEQUENCER}/+"), &[Read])
            .because("`+` is the key's number, which grows with each rotation."),
        Rule::at(format!("{documents}/data/{chain}/chain"), &[Read])
            .because("The signed document that says which of them counts."),
    ];
    Policy::new(sequencer_policy(chain), SEQUENCER_SAYS, rules)
}

/// The policy of who looks.
pub(super) fn auditor(subjects: &Subjects, mounts: &Mounts) -> Policy {
    let Mounts { secrets, documents, transit, seal_key, record_key, app_role } = mounts;
    let paths::Paths { documents: written, listings } = paths::of(subjects);
    let mut rules = own::token();
    for path in &written {
        rules.push(Rule::at(format!("{documents}/data/{path}"), &[Read]));
        rules.push(Rule::at(format!("{documents}/metadata/{path}"), &[Read]));
    }
    for path in paths::secrets(subjects) {
        rules.push(Rule::at(format!("{secrets}/metadata/{path}"), &[Read, List]));
        rules.push(Rule::at(format!("{secrets}/subkeys/{path}"), &[Read]));
    }
    rules.extend(listings.iter().map(|path| Rule::at(format!("{secrets}/metadata/{path}"), &[List])));
    rules.extend([
        Rule::at(format!("{secrets}/config"), &[Read]),
        Rule::at(format!("{transit}/keys/{seal_key}"), &[Read])
            .because("How the two keys are kept, and the public half of the one that signs."),
        Rule::at(format!("{transit}/keys/{record_key}"), &[Read]),
        Rule::at("sys/audit", &[Read, Sudo])
            .because(
                "The audit devices. The server keeps the list for administrators; to add or take one away is at\n\
                 other paths.",
            ),
        Rule::at("auth/token/accessors", &[List, Sudo])
            .because(
                "Whether a root token lives: what tokens are called where they must not be told, and what each is\n\
                 like.",
            ),
        Rule::at("auth/token/lookup-accessor", &[Update]).only_with([("accessor", Values::Any)]),
        Rule::at("sys/mounts", &[Read]).because("The server's rules: who may do what, and how one logs in."),
        Rule::at("sys/auth", &[Read]),
        Rule::at("sys/config/state/sanitized", &[Read]),
        Rule::at("sys/policies/acl", &[List]),
        Rule::at("sys/policies/acl/+", &[Read]),
        Rule::at(format!("auth/{app_role}/role"), &[List]),
        Rule::at(format!("auth/{app_role}/role/+"), &[Read]),
    ]);
    Policy::new("auditor", AUDITOR, rules)
}
