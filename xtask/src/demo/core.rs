//! `cargo xtask demo --core`: a KMS Stack and a Core Stack, deployed by CloudFormation; instances that run user data
//! as it is and do what their profiles may; nodes that know each other, are called by their client, and keep what
//! they hold in databases of their own. They are stand-ins, and no TSM.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use aws_smithy_types::error::metadata::ProvideErrorMetadata as _;
use console::style;
use provisioning::names::ClusterName;
use rig::asking::ask;
use rig::cloud::Cloud;
use rig::core_stack::{Uploaded, left_behind, parameters_of_kms_stack};
use rig::instances::Instances;
use rig::ministack::MiniStack;
use rig::nodes::{ApiKeyReader, as_client, role_of_client};
use rig::python::Venv;
use rig::stack::{Deployed, Deployment};
use serde_json::json;
use stand_in::{Called, Client, Row, Status};

use super::{CLUSTER, ShownEvents, finished, table};
use crate::terminal::{headline, say};

const KMS_STACK: &str = "keyboot-kms";
const CORE_STACK: &str = "keyboot-core";
/// Whose client calls.
const APPLICATION: &str = "default";
/// How many nodes have to agree.
const THRESHOLD: usize = 2;

/// Deploys both stacks, shows what runs, replaces an instance, and deletes both.
pub(super) async fn show(nodes: u32, venv: &Venv, ministack: &MiniStack) -> anyhow::Result<()> {
    let cloud = Cloud::as_root(&ministack.endpoint());
    let cluster: ClusterName = CLUSTER.parse()?;
    let mut events = ShownEvents::with_plug_ins(ministack.played()?);

    headline("CloudFormation creates the KMS Stack, for nodes that are not there yet");
    let parameters = parameters_of_kms_stack(nodes);
    let kms = Deployment::of_kms_stack(&cloud, KMS_STACK, []).await?;
    let kms = kms.with_all(parameters.iter().map(|(name, value)| (*name, value.as_str())));
    let kms = kms.with("ClientPrincipals", &format!("{APPLICATION}={}", role_of_client()));
    let id = kms.begin_create().await?;
    let kms_deployed = finished(kms.wait(&id, |event| events.show(event)).await?, "CREATE_COMPLETE")?;

    headline("CloudFormation creates the Core Stack");
    let uploaded = Uploaded::of(&cloud, &ministack.database_roots()).await?;
    let core = uploaded.deployment(CORE_STACK, KMS_STACK, &kms_deployed, nodes).await?;
    // So that it can be deleted at the end; it is on by default.
    let core = core.with("DatabaseDeletionProtection", "false");
    let id = core.begin_create().await?;
    let core_deployed = finished(core.wait(&id, |event| events.show(event)).await?, "CREATE_COMPLETE")?;

    headline("Its groups' instances boot, with the launch templates' user data as it is");
    let mut shown = Core {
        cloud: &cloud,
        reader: as_client(&cloud, &cluster, APPLICATION).await?,
        nodes,
        instances: Instances::of(&cloud, venv, CORE_STACK)?,
    };
    shown.boot().await?;
    headline("The nodes know each other, accept their client, and each has a database of its own");
    let before = shown.nodes().await?;
    headline("What an instance's credentials read");
    shown.who_reads().await?;
    headline("An instance dies, and its disk with it");
    shown.replace(nodes - 1, &before).await?;
    drop(shown);
    say(&format!("{} the instances ended", style("✓").green()));

    headline("CloudFormation deletes the Core Stack, then the KMS Stack");
    let mut left = Vec::new();
    for (deployment, deployed) in [(&core, &core_deployed), (&kms, &kms_deployed)] {
        deployment.begin_delete().await?;
        let deleted = deployment.wait(&deployed.id, |event| events.show(event)).await?;
        left.push(finished(deleted, "DELETE_COMPLETE")?);
    }
    show_what_is_left(&cloud, venv, &left).await
}

struct Core<'a> {
    cloud: &'a Cloud,
    // The API client, as it reads its keys.
    reader: ApiKeyReader,
    nodes: u32,
    // Ends the instances when it is dropped.
    instances: Instances,
}

impl Core<'_> {
    async fn boot(&mut self) -> anyhow::Result<()> {
        let changes = self.instances.follow().await?;
        for index in changes.started {
            self.instances.wait_until_up(index)?;
            self.tell(index)?;
        }
        Ok(())
    }

    fn tell(&self, index: u32) -> anyhow::Result<()> {
        let (instance, group) = (self.instances.instance(index)?, &self.instances.groups()[&index]);
        let role = group.role.rsplit('/').next().unwrap_or_default();
        say(&format!("  {} of group {}: node {index} is up, as role {role}", instance.id, group.group));
        Ok(())
    }

    fn client(&self) -> Client<ApiKeyReader> {
        Client::at(self.instances.sdk(), self.reader.clone())
    }

    /// Waits until each node has opened its database and reaches its peers: whoever starts looks for them in time.
    async fn wait_until_whole(&self) -> anyhow::Result<()> {
        let client = self.client();
        for _ in 0..300 {
            let mut whole = 0;
            for index in 0..self.nodes {
                let (status, called) = (client.status(index).await, client.call(index).await);
                let reaches =
                    |called: Called| (0..self.nodes).all(|peer| peer == index || called.reaches(peer));
                whole +=
                    u32::from(status.is_ok_and(|status| row(&status).is_some()) && called.is_ok_and(reaches));
            }
            if whole == self.nodes {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("the nodes do not come together")
    }

    async fn nodes(&self) -> anyhow::Result<BTreeMap<u32, Status>> {
        self.wait_until_whole().await?;
        let client = self.client();
        let mut rows = table([
            "node",
            "instance",
            "fingerprint",
            "accepts its client",
            "knows its peers (TLS)",
            "its database",
        ]);
        let mut statuses = BTreeMap::new();
        for index in 0..self.nodes {
            let (status, called) = (client.status(index).await?, client.call(index).await?);
            ensure!((0..self.nodes).all(|peer| peer == index || called.reaches(peer)), "{called:?}");
            let reached: Vec<_> =
                called.peers.iter().map(|(peer, outcome)| format!("{peer}: {outcome}")).collect();
            rows.add_row([
                index.to_string(),
                self.instances.instance(index)?.id.clone(),
                status.fingerprint.clone(),
                "yes".to_owned(),
                reached.join(", "),
                database(&status),
            ]);
            statuses.insert(index, status);
        }
        say(&rows.to_string());
        let quorum = client.quorum_call(THRESHOLD).await;
        ensure!(quorum.is_ok(), "{quorum:?}");
        Ok(statuses)
    }
}

impl Core<'_> {
    /// Reads secrets with an instance's own credentials: those of its node, and those of another one.
    async fn who_reads(&self) -> anyhow::Result<()> {
        let role = self.instances.instance(0)?.credentials().clone();
        let role = Cloud::with(self.cloud.endpoint(), role);
        let (namespace, cluster) = CLUSTER.split_once('/').context("a cluster without a namespace")?;
        let mut rows = table(["secret", "with the credentials of node 0's instance"]);
        for index in 0..self.nodes.min(2) {
            for name in [
                format!("{namespace}/{cluster}/node/{index}/p2p-key"),
                format!("{namespace}/{cluster}/node/{index}/share-encryption-password"),
                format!("{namespace}-storage/{cluster}/node/{index}/database-login"),
            ] {
                let answer = role.secrets().get_secret_value().secret_id(&name).send().await;
                let outcome = match answer {
                    Ok(_) => "read",
                    Err(fault) if fault.code().is_some_and(|code| code.starts_with("AccessDenied")) => {
                        "denied"
                    }
                    Err(fault) => return Err(fault).with_context(|| format!("reading {name}")),
                };
                ensure!((outcome == "read") == (index == 0), "{name}: {outcome}");
                rows.add_row([name, outcome.to_owned()]);
            }
        }
        say(&rows.to_string());
        Ok(())
    }

    /// Has an instance die, and shows that what its group puts in its place is the same node.
    async fn replace(&mut self, index: u32, before: &BTreeMap<u32, Status>) -> anyhow::Result<()> {
        let dead = self.instances.terminate(index)?;
        say(&format!("  {dead} of node {index} is gone; its group starts another one"));
        self.boot().await?;
        let after = self.nodes().await?;
        ensure!(self.instances.instance(index)?.id != dead, "the same instance is back");
        for (before, after) in before.values().zip(after.values()) {
            ensure!(before.fingerprint == after.fingerprint, "node {} has another key", after.index);
            ensure!(row(before) == row(after), "node {} has other key shares", after.index);
        }
        say(&format!("  node {index} is back: the same key, the same role, the same rows in its database"));
        Ok(())
    }
}

/// What a node says of its database.
fn database(status: &Status) -> String {
    let Some(database) = &status.database else { return "none".to_owned() };
    let row = database.row.as_ref().map_or("no row", |row| row.id.get(..8).unwrap_or(&row.id));
    format!("as {}, row {row}", database.user.as_deref().unwrap_or("nobody"))
}

fn row(status: &Status) -> Option<&Row> {
    status.database.as_ref()?.row.as_ref()
}

/// What stays when both stacks are gone, and why.
async fn show_what_is_left(cloud: &Cloud, venv: &Venv, deleted: &[Deployed]) -> anyhow::Result<()> {
    headline("What is left, and why");
    let mut rows = super::left(cloud).await?;
    let snapshots = ask(venv, cloud, "rds", "describe_db_snapshots", &json!({}))?;
    for snapshot in snapshots["DBSnapshots"].as_array().into_iter().flatten() {
        let name = snapshot["DBSnapshotIdentifier"].as_str().unwrap_or_default();
        rows.add_row([name, "kept", "a node's key shares; DeletionPolicy: Snapshot"]);
    }
    for (resource, (kind, id)) in deleted.iter().flat_map(left_behind) {
        let why = match kind.as_str() {
            // It is among the keys.
            "AWS::KMS::Key" => continue,
            "AWS::SecretsManager::Secret" => {
                "opens the database of a snapshot; it stays by its DeletionPolicy"
            }
            "AWS::SecretsManager::ResourcePolicy" => "says who reads that secret",
            "AWS::Logs::LogGroup" => "says what was done; DeletionPolicy: Retain",
            _ => "its DeletionPolicy says so",
        };
        rows.add_row([format!("{resource} ({})", shortened(&id)), "kept".to_owned(), why.to_owned()]);
    }
    say(&rows.to_string());
    Ok(())
}

/// The end of an ARN.
fn shortened(id: &str) -> &str {
    id.rsplit_once(':').map_or(id, |(_, end)| end)
}
