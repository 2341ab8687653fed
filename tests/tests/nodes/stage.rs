//! A local AWS with a KMS Stack, nodes of its cluster, and a client that calls them.

use anyhow::{Context as _, Result};
use provisioning::names::ClusterName;
use rig::cloud::Cloud;
use rig::ministack::MiniStack;
use rig::nodes::{ApiKeyReader, How, Nodes, as_client, role_of_client, role_of_node};
use rig::python::Venv;
use rig::stack::{Deployed, Deployment};
use stand_in::{Client, Status};

use crate::gate::Gate;

pub(crate) const CLUSTER: &str = "keyboot/tsm";
/// Whose client calls.
pub(crate) const APPLICATION: &str = "default";

/// Everything of one test; it ends with this value, the nodes first.
pub(crate) struct Stage {
    pub(crate) nodes: Nodes,
    pub(crate) stack: Deployed,
    pub(crate) deployment: Deployment,
    pub(crate) root: Cloud,
    pub(crate) client: ApiKeyReader,
    pub(crate) gate: Gate,
    _ministack: MiniStack,
}

pub(crate) fn cluster() -> ClusterName {
    CLUSTER.parse().expect("a cluster's name")
}

/// The parameters about a cluster of nodes from 0, and who reads.
pub(crate) fn parameters(nodes: u32) -> [(&'static str, String); 2] {
    let indexes: Vec<String> = (0..nodes).map(|index| index.to_string()).collect();
    let readers: Vec<String> = (0..nodes).map(|index| format!("{index}={}", role_of_node(index))).collect();
    [("Nodes", indexes.join(",")), ("ReaderPrincipals", readers.join(","))]
}

impl Stage {
    /// With three nodes that run.
    pub(crate) async fn set<const N: usize>(how: How, more: [(&str, &str); N]) -> Result<Self> {
        Self::set_with(how, more, |nodes| nodes).await
    }

    /// The same with nodes that are configured otherwise.
    pub(crate) async fn set_with<const N: usize>(
        how: How,
        more: [(&str, &str); N],
        change: impl FnOnce(Nodes) -> Nodes,
    ) -> Result<Self> {
        let venv = Venv::ready()?;
        let ministack = MiniStack::start(&venv, None)?;
        let root = Cloud::as_root(&ministack.endpoint());
        let deployment = Deployment::of_kms_stack(&root, "kms", more).await?;
        let deployment = deployment.with("ClientPrincipals", &format!("default={}", role_of_client()));
        let deployment =
            deployment.with_all(parameters(3).iter().map(|(name, value)| (*name, value.as_str())));
        let stack = deployment.create().await?;
        let client = as_client(&root, &cluster(), APPLICATION).await?;
        let gate = Gate::before(&ministack.endpoint()).await?;
        let nodes = Nodes::of(&root, &stack, &cluster(), 4, how).await?.through(&gate.endpoint());
        let mut nodes = change(nodes);
        for index in 0..3 {
            nodes.start(&stack, index).await?;
        }
        Ok(Self { nodes, stack, deployment, root, client, gate, _ministack: ministack })
    }

    /// A client of the nodes with indexes below `count`, with the keys that it is handed now.
    pub(crate) fn caller(&self, count: u32) -> Client<ApiKeyReader> {
        let ports = self.nodes.ports().iter().filter(|(index, _)| **index < count);
        Client::new(ports.map(|(index, ports)| (*index, ports.sdk)), self.client.clone())
    }

    /// What the first `count` nodes tell of themselves.
    pub(crate) async fn statuses(&self, count: u32) -> Result<Vec<Status>> {
        self.caller(count).statuses().await
    }

    /// Has it be, for all nodes, a second before the time from which a node's new key counts.
    pub(crate) async fn wait_for_the_cut_over_of(&self, index: u32) -> Result<()> {
        let signer = self.stack.output("RecordKeyArn")?;
        let published = rig::cluster::read(&self.root, &cluster(), signer).await?;
        let pending = published.records[&index.to_string().parse()?].pending.as_ref();
        let counts_from = pending.context("no key waits for its time")?.counts_from;
        self.nodes.set_ahead(counts_from.duration_since(jiff::Timestamp::now()).as_secs() - 1)
    }

    pub(crate) fn log(&self, index: u32) -> String {
        std::fs::read_to_string(self.nodes.log(index)).unwrap_or_default()
    }
}
