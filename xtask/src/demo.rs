//! `cargo xtask demo`: the main job, seen from outside.

mod core;
mod nodes_up;
mod onprem;
mod rotating;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail, ensure};
use clap::{Args, ValueEnum};
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table};
use console::style;
use provisioning::names::{ClusterName, Purpose};
use provisioning::record::NodeRecord;
use rig::cloud::Cloud;
use rig::cluster::{self, Published};
use rig::functions::{self, Build};
use rig::ministack::MiniStack;
use rig::nodes::{role_of_client, role_of_node};
use rig::programs;
use rig::python::Venv;
use rig::stack::{Deployed, Deployment, ResourceStatus, StackEvent};

use crate::terminal::{headline, say, step};
use rotating::Rotating;

/// The stack of the demonstration.
const STACK: &str = "keyboot-demo";
/// The cluster of the demonstration, in the template's default namespace.
const CLUSTER: &str = "keyboot/tsm";

/// How the demonstration runs.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// How many nodes the cluster has at first
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=50))]
    nodes: u32,
    /// The curve of the nodes' P2P keys
    #[arg(long, value_enum, default_value_t = Curve::P256)]
    curve: Curve,
    /// Rotate an API key of the first node and the P2P key of the last one
    #[arg(long)]
    rotate: bool,
    /// Run stand-in nodes with the keys that were made, which know each other and accept their client
    #[arg(long)]
    nodes_up: bool,
    /// Deploy the Core Stack as well: instances run the nodes, each with its profile's permissions and a database of
    /// its own
    #[arg(long, conflicts_with_all = ["rotate", "nodes_up", "keep"])]
    core: bool,
    /// Without AWS, on one's own servers: OpenBao in KMS's place, a chain's keys, a stand-in for Web3Signer that
    /// signs what op-batcher sends
    #[arg(long, conflicts_with_all = ["rotate", "nodes_up", "keep", "core", "nodes", "curve", "port"])]
    onprem: bool,
    /// Leave the stack and the local AWS running until Enter or Ctrl-C
    #[arg(long)]
    keep: bool,
    /// The port of the local AWS; a free one if not given
    #[arg(long)]
    port: Option<u16>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Curve {
    #[value(name = "P-256")]
    P256,
    #[value(name = "P-384")]
    P384,
    #[value(name = "secp256k1")]
    Secp256k1,
}

/// Runs the demonstration; whatever it started has ended when it returns.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    if options.onprem {
        return onprem::run();
    }
    headline("keyboot demo: a cluster's keys, made by CloudFormation on this machine");
    let venv = step("Python environment with the local AWS", Venv::ready)?;
    functions::build(Build::Local)?;
    // One node is no TSM, and one stack holds no more.
    ensure!(!options.core || (2..=9).contains(&options.nodes), "--core takes 2 to 9 nodes");
    if options.nodes_up || options.core {
        ensure!(
            options.curve != Curve::Secp256k1,
            "the stand-in nodes use TLS: choose P-256 or P-384 for them"
        );
        programs::build()?;
    }
    let ministack = step("local AWS (MiniStack, IAM on)", || MiniStack::start(&venv, options.port))?;
    say(&format!("  {} {}", style("endpoint").dim(), ministack.endpoint()));
    unless_interrupted(chosen(options, &venv, &ministack))?;
    step("local AWS ended", || {
        drop(ministack);
        Ok(())
    })
}

/// Does something to its end, or until Ctrl-C.
fn unless_interrupted<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Runtime::new().context("starting the async runtime")?;
    runtime.block_on(async {
        tokio::select! {
            result = work => result,
            _ = tokio::signal::ctrl_c() => bail!("interrupted; everything that was started has been ended"),
        }
    })
}

async fn chosen(options: &Options, venv: &Venv, ministack: &MiniStack) -> anyhow::Result<()> {
    if options.core {
        Box::pin(core::show(options.nodes, venv, ministack)).await
    } else {
        Box::pin(show(options, ministack)).await
    }
}

async fn show(options: &Options, ministack: &MiniStack) -> anyhow::Result<()> {
    let cloud = Cloud::as_root(&ministack.endpoint());
    let cluster: ClusterName = CLUSTER.parse()?;
    let curve =
        options.curve.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();

    headline("CloudFormation creates the KMS Stack");
    let mut stack = Deployment::of_kms_stack(
        &cloud,
        STACK,
        [("Nodes", indexes(options.nodes).as_str()), ("P2pCurve", &curve)],
    )
    .await?;
    if options.rotate {
        stack = stack.with("RotateApiKeysEvery", "rate(30 days)").with("RotateP2pKeysEvery", "rate(90 days)");
    }
    if options.nodes_up {
        let readers: Vec<_> = (0..options.nodes).map(|n| format!("{n}={}", role_of_node(n))).collect();
        stack = stack.with("ReaderPrincipals", &readers.join(","));
        stack = stack.with("ClientPrincipals", &format!("default={}", role_of_client()));
    }
    let mut events = ShownEvents::default();
    let id = stack.begin_create().await?;
    let created = finished(stack.wait(&id, |event| events.show(event)).await?, "CREATE_COMPLETE")?;
    let signer = created.output("RecordKeyArn")?.to_owned();

    headline("The roster, every signature checked");
    let before = cluster::read(&cloud, &cluster, &signer).await?;
    show_roster(&cloud, &cluster, &before).await?;

    if options.nodes_up {
        nodes_up::show(&cloud, &created, &cluster, &before).await?;
    }

    headline("An update adds a node");
    let stack = stack.with("Nodes", &indexes(options.nodes + 1));
    stack.begin_update().await?;
    let updated = stack.wait(&id, |event| events.show(event)).await?;
    finished(updated, "UPDATE_COMPLETE")?;
    let after = cluster::read(&cloud, &cluster, &signer).await?;
    compare(&before, &after)?;

    if options.rotate {
        let keys = &cluster::pin(&cloud, &signer).await?;
        // The node that was added has the same rights as the others.
        let (api_key_of, p2p_key_of) = ("0".parse()?, options.nodes.to_string().parse()?);
        Rotating { cloud: &cloud, cluster: &cluster, keys, api_key_of, p2p_key_of }.show().await?;
    }

    if options.keep {
        headline("Kept");
        say(&format!("The stack {STACK} stays at {} until you press Enter.", ministack.endpoint()));
        tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
        return Ok(());
    }

    headline("CloudFormation deletes the stack");
    stack.begin_delete().await?;
    let deleted = stack.wait(&id, |event| events.show(event)).await?;
    finished(deleted, "DELETE_COMPLETE")?;
    show_what_is_left(&cloud).await
}

fn indexes(nodes: u32) -> String {
    (0..nodes).map(|index| index.to_string()).collect::<Vec<_>>().join(",")
}

fn finished(deployed: Deployed, wanted: &str) -> anyhow::Result<Deployed> {
    if deployed.status == wanted {
        return Ok(deployed);
    }
    bail!("the stack is {}, not {wanted}: {}", deployed.status, deployed.reasons().join("; "))
}

/// The stack's events that were printed: each is, once.
#[derive(Default)]
struct ShownEvents {
    shown: BTreeSet<Option<String>>,
    /// What the rig does for a resource type that the local AWS lacks, by types.
    played: BTreeMap<String, String>,
}

impl ShownEvents {
    /// With types that a plug-in of the rig plays, which is told with each event.
    fn with_plug_ins(played: BTreeMap<String, String>) -> Self {
        Self { played, ..Self::default() }
    }

    fn show(&mut self, event: &StackEvent) {
        if self.shown.insert(event.event_id.clone()) {
            let played = event.resource_type().and_then(|kind| self.played.get(kind));
            print_event(event, played);
        }
    }
}

fn print_event(event: &StackEvent, played: Option<&String>) {
    let status = event.resource_status().map_or("", ResourceStatus::as_str);
    let painted = match status {
        status if status.ends_with("_COMPLETE") => style(status).green(),
        status if status.ends_with("_FAILED") => style(status).red(),
        status => style(status).dim(),
    };
    let resource = event.logical_resource_id().unwrap_or_default();
    let kind = style(event.resource_type().unwrap_or_default()).dim();
    let reason = event.resource_status_reason().map(|reason| format!("  {reason}")).unwrap_or_default();
    let played =
        played.map(|played| style(format!(" [rig: {played}]")).magenta().to_string()).unwrap_or_default();
    say(&format!("  {painted:<28} {resource:<24} {kind}{played}{reason}"));
}

async fn show_roster(cloud: &Cloud, cluster: &ClusterName, published: &Published) -> anyhow::Result<()> {
    let mut table = table(["node", "purpose", "curve", "fingerprint", "version", "secret ARN"]);
    for (index, record) in &published.records {
        for (purpose, fingerprint, version) in rows_of(record) {
            let name = cluster.secret_name(*index, &purpose);
            let secret = cloud.secrets().describe_secret().secret_id(name.as_str()).send().await;
            let secret = secret.with_context(|| format!("describing {name}"))?;
            let curve = if purpose == Purpose::P2pKey { record.curve.to_string() } else { String::new() };
            table.add_row([
                index.to_string(),
                purpose.to_string(),
                curve,
                fingerprint,
                version,
                secret.arn.unwrap_or_default(),
            ]);
        }
    }
    say(&table.to_string());
    say(&format!("  {} {}", style("roster digest").dim(), published.index.sha256));
    Ok(())
}

/// What of a record the table shows: purpose, what tells its key, version.
fn rows_of(record: &NodeRecord) -> Vec<(Purpose, String, String)> {
    let mut rows = vec![(Purpose::P2pKey, record.fingerprint.to_string(), record.version.to_string())];
    if record.share_version_id.is_some() {
        rows.push((Purpose::SharePassword, "(none: only its owner knows it)".to_owned(), "1".to_owned()));
    }
    let accepted = record.management_keys.iter().map(|key| (Purpose::ManagementKey, key));
    let accepted =
        accepted.chain(record.api_keys.iter().flat_map(|(application, keys)| {
            keys.iter().map(|key| (Purpose::ApiKey(application.clone()), key))
        }));
    rows.extend(
        accepted.map(|(purpose, key)| (purpose, format!("SHA-256 {}", key.hash), record.version.to_string())),
    );
    rows
}

fn compare(before: &Published, after: &Published) -> anyhow::Result<()> {
    let mut table = table(["node", "fingerprint", "version id", ""]);
    for (index, record) in &after.records {
        let verdict = match before.records.get(index) {
            None => "new",
            Some(old) if old == record => "unchanged",
            Some(_) => bail!("the keys of node {index} changed with an update that only adds a node"),
        };
        table.add_row([
            index.to_string(),
            record.fingerprint.to_string(),
            record.version_id.clone(),
            verdict.to_owned(),
        ]);
    }
    say(&table.to_string());
    say(&format!("  {} {}", style("roster digest").dim(), after.index.sha256));
    Ok(())
}

async fn show_what_is_left(cloud: &Cloud) -> anyhow::Result<()> {
    headline("What is left, and why");
    say(&left(cloud).await?.to_string());
    Ok(())
}

/// What is left of a KMS Stack, and every key.
async fn left(cloud: &Cloud) -> anyhow::Result<Table> {
    let mut table = table(["what", "state", "why"]);
    let secrets =
        cloud.secrets().list_secrets().include_planned_deletion(true).max_results(100).send().await?;
    for secret in secrets.secret_list() {
        let name = secret.name().unwrap_or_default().to_owned();
        if !name.starts_with(&format!("{CLUSTER}/")) {
            continue;
        }
        let (state, why) = match secret.deleted_date() {
            Some(_) => ("can be restored for 30 days", "OnDelete: Schedule"),
            None => ("kept", "ShareSecretOnDelete: Retain (it unlocks the node's key shares)"),
        };
        table.add_row([name, state.to_owned(), why.to_owned()]);
    }
    let mut pages = cloud
        .parameters()
        .get_parameters_by_path()
        .path(format!("/{CLUSTER}"))
        .recursive(true)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        for document in page?.parameters() {
            let name = document.name().unwrap_or_default().to_owned();
            let (state, why) = if name.ends_with("/lease") {
                ("vanishes in two days", "held by who writes the record beside it")
            } else {
                ("kept", "public: says which keys can come back")
            };
            table.add_row([name, state.to_owned(), why.to_owned()]);
        }
    }
    let keys = cloud.kms().list_keys().send().await?;
    for key in keys.keys() {
        let arn = key.key_arn().unwrap_or_default().to_owned();
        let described = cloud.kms().describe_key().key_id(&arn).send().await?;
        let (state, why) = match described.key_metadata().and_then(|key| key.deletion_date()) {
            Some(_) => ("goes after 7 days", "it sealed alarms on their way"),
            None => ("kept", "DeletionPolicy: Retain"),
        };
        table.add_row([arn, state.to_owned(), why.to_owned()]);
    }
    Ok(table)
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    table
}
