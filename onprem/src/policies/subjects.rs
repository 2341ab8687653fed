//! Whose keys there are: the clusters and chains of all declarations that one server serves. No I/O.

use std::collections::BTreeSet;

use provisioning::names::{Application, ClusterName, NodeIndex, Purpose, Segment};

use super::role::Role;

/// For how many keys of each role of a chain there is a signer from the start: keys are replaced without
/// anybody who may write policies.
pub const ROLE_NUMBERS: u32 = 4;

/// The clusters and chains that a server serves.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Subjects {
    clusters: Vec<Cluster>,
    chains: Vec<Chain>,
    role_numbers: u32,
}

/// A cluster, or the nodes of a chain with their P2P keys.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Cluster {
    pub(crate) name: ClusterName,
    pub(crate) nodes: BTreeSet<NodeIndex>,
    pub(crate) applications: Vec<Application>,
    pub(crate) management_key: bool,
    pub(crate) share_password: bool,
}

impl Cluster {
    /// What its nodes read themselves.
    pub(crate) fn read_by_nodes(&self) -> Vec<Purpose> {
        let password = self.share_password.then_some(Purpose::SharePassword);
        std::iter::once(Purpose::P2pKey).chain(password).collect()
    }
}

/// A chain, beside its nodes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Chain {
    pub(crate) name: ClusterName,
    pub(crate) roles: Vec<Segment>,
}

impl Default for Subjects {
    fn default() -> Self {
        Self { clusters: Vec::new(), chains: Vec::new(), role_numbers: ROLE_NUMBERS }
    }
}

impl Subjects {
    /// The same, with signers for so many keys of each role of a chain.
    #[must_use]
    pub fn with_role_numbers(mut self, numbers: u32) -> Self {
        self.role_numbers = numbers;
        self
    }

    /// Adds a cluster; `applications` are those that have API keys.
    pub fn add_cluster(
        &mut self,
        name: &ClusterName,
        nodes: impl IntoIterator<Item = NodeIndex>,
        applications: impl IntoIterator<Item = Application>,
        management_key: bool,
        share_password: bool,
    ) {
        self.clusters.push(Cluster {
            name: name.clone(),
            nodes: nodes.into_iter().collect(),
            applications: applications.into_iter().collect(),
            management_key,
            share_password,
        });
    }

    /// Adds a chain: its nodes, which have P2P keys, and its roles.
    pub fn add_chain(
        &mut self,
        name: &ClusterName,
        nodes: impl IntoIterator<Item = NodeIndex>,
        roles: impl IntoIterator<Item = Segment>,
    ) {
        self.add_cluster(name, nodes, [], false, false);
        self.chains.push(Chain { name: name.clone(), roles: roles.into_iter().collect() });
    }

    /// Everybody who logs in, in the order of their names' kinds.
    #[must_use]
    pub fn roles(&self) -> Vec<Role> {
        let mut roles =
            vec![Role::Provisioner, Role::Rotator, Role::Auditor, Role::Operator, Role::Custodian];
        for cluster in &self.clusters {
            let name = || cluster.name.clone();
            roles.extend(cluster.nodes.iter().map(|index| Role::Node { cluster: name(), index: *index }));
            roles.extend(
                cluster
                    .applications
                    .iter()
                    .map(|application| Role::Client { cluster: name(), application: application.clone() }),
            );
            roles.extend(cluster.management_key.then(|| Role::Manager { cluster: name() }));
        }
        for chain in &self.chains {
            for role in chain.roles.iter().filter(|role| role.as_str() != SEQUENCER) {
                roles.extend((1..=self.role_numbers).map(|number| Role::Signer {
                    chain: chain.name.clone(),
                    role: role.clone(),
                    number,
                }));
            }
            if chain.has_sequencer() {
                let nodes = self.clusters.iter().find(|cluster| cluster.name == chain.name);
                roles.extend(
                    nodes
                        .iter()
                        .flat_map(|cluster| &cluster.nodes)
                        .map(|index| Role::Sequencer { chain: chain.name.clone(), index: *index }),
                );
            }
        }
        roles
    }

    pub(crate) fn clusters(&self) -> &[Cluster] {
        &self.clusters
    }

    pub(crate) fn chains(&self) -> &[Chain] {
        &self.chains
    }
}

/// The role whose key a node of the chain has itself, and no signer.
pub(crate) const SEQUENCER: &str = "sequencer";

impl Chain {
    pub(crate) fn has_sequencer(&self) -> bool {
        self.roles.iter().any(|role| role.as_str() == SEQUENCER)
    }
}
