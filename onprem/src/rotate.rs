//! `keyboot-onprem rotate`: replaces a key of a chain's role in steps, or a secret of a node at once.
//!
//! A role's new key is prepared beside the one that counts, because the chain has to be told first, by its owner;
//! it counts when `finish` says so. A node's own secret is rotated as in AWS: the old one is good for as long as
//! the declaration says.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use provisioning::authority::PinnedStacks;
use provisioning::names::NodeIndex;
use provisioning::ownership::Generation;
use provisioning::scheduled::{Scheduled, What, carry_out};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use vault::Session;

use crate::audit::Audit;
use crate::chain::bringing::bring;
use crate::chain::guidance::Change;
use crate::chain::planning::{Ask, Plan};
use crate::chain::store::{ChainStore as _, Found, KeyId};
use crate::chain::{Role, VaultChainStore};
use crate::cluster::{Site, in_turn};
use crate::config::Config;
use crate::declaration::{ChainDeclaration, Declaration};
use crate::error::OnpremError;
use crate::provision::{change_to_json, change_to_text, changes, leave, wanted};
use crate::terminal::show;

/// What `rotate` is called with.
#[derive(Args, Debug)]
pub struct Options {
    #[command(subcommand)]
    step: Step,
}

#[derive(Debug, Subcommand)]
enum Step {
    /// Make a role's new key beside the one that counts, and say what the chain must be told
    Prepare(OfRole),
    /// Have the key count that was prepared, and let go of the one before it
    Finish(OfRole),
    /// Let go of the key that was prepared, and leave all as it is
    Abandon(OfRole),
    /// Rotate secrets of a node of a cluster
    Node(OfNode),
    /// End the time of API and management keys that were replaced, where it is over
    Retire(OfCluster),
}

/// Whose key.
#[derive(Args, Debug)]
struct OfRole {
    /// The chain, by its name in the declaration
    #[arg(long)]
    chain: String,
    /// The role: batcher, proposer, challenger or sequencer
    #[arg(long)]
    role: Role,
    /// The declaration, a TOML file
    declaration: PathBuf,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Which secrets.
#[derive(Args, Debug)]
struct OfNode {
    /// The cluster, by its name in the declaration
    #[arg(long)]
    cluster: String,
    /// The node's index
    #[arg(long)]
    node: NodeIndex,
    /// api-keys (all of them and the management key), api-key/<application>, management-key or p2p-key
    #[arg(long, value_name = "WHAT", value_parser = what)]
    what: What,
    /// The time that this rotation is for: the same time is the same rotation, which is gone on with
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// The declaration, a TOML file
    declaration: PathBuf,
}

/// Of which cluster.
#[derive(Args, Debug)]
struct OfCluster {
    /// The cluster, by its name in the declaration
    #[arg(long)]
    cluster: String,
    /// The declaration, a TOML file
    declaration: PathBuf,
}

fn what(text: &str) -> Result<What, &'static str> {
    text.parse().map_err(|()| "it must be api-keys, api-key/<application>, management-key or p2p-key")
}

/// Which step of a role's rotation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RoleStep {
    /// [`Ask::Prepare`].
    Prepare,
    /// [`Ask::Finish`].
    Finish,
    /// [`Ask::Abandon`].
    Abandon,
}

/// What a step of a role's rotation has come to.
#[derive(Debug)]
pub struct Rotated {
    /// What was done.
    pub plan: Plan,
    /// What the chain has to be told, where a key is prepared now.
    pub change: Option<Change>,
    /// The number and address of the key that counts now.
    pub current: Option<(u32, String)>,
}

/// Rotates.
///
/// # Errors
///
/// [`OnpremError`]; every step may be repeated.
pub async fn run(options: &Options, config: &Config) -> Result<ExitCode, OnpremError> {
    let (of, step) = match &options.step {
        Step::Prepare(of) => (of, RoleStep::Prepare),
        Step::Finish(of) => (of, RoleStep::Finish),
        Step::Abandon(of) => (of, RoleStep::Abandon),
        Step::Node(of) => {
            let at = of.at.unwrap_or_else(Timestamp::now);
            let at = Timestamp::from_second(at.as_second()).unwrap_or(at);
            let scheduled =
                |cluster| Scheduled::Rotate { what: of.what.clone(), cluster, index: of.node, at };
            return rotate_secrets(config, &of.declaration, &of.cluster, scheduled).await;
        }
        Step::Retire(of) => {
            let scheduled = |cluster| Scheduled::Retire { cluster };
            return rotate_secrets(config, &of.declaration, &of.cluster, scheduled).await;
        }
    };
    let declaration = Declaration::read(&of.declaration)?;
    let chain = declaration.chain(&of.chain)?;
    let audit = Audit::open(config)?;
    let place = config.vault.place();
    let session = Session::open(&config.vault).await?;
    let site = Site { session: &session, place: &place, audit: &audit, owner: &declaration.owner };
    let rotated = Box::pin(rotate(&site, chain, of.role, step)).await;
    leave(session, config).await;
    let rotated = rotated.map_err(|error| error.of_rights(step != RoleStep::Prepare))?;
    show(&if of.json { to_json(chain, of.role, &rotated) } else { to_text(chain, of.role, &rotated) });
    Ok(ExitCode::SUCCESS)
}

/// Takes a step of a role's rotation. The same step twice changes nothing.
///
/// # Errors
///
/// [`OnpremError::Chain`].
pub async fn rotate(
    site: &Site<'_>,
    chain: &ChainDeclaration,
    role: Role,
    step: RoleStep,
) -> Result<Rotated, OnpremError> {
    let owner = site.owner_of(&chain.name)?;
    let store = VaultChainStore::new(site.session, site.place, &chain.name, site.audit);
    let ask = match step {
        RoleStep::Prepare => Ask::Prepare(role),
        RoleStep::Finish => Ask::Finish(role),
        RoleStep::Abandon => Ask::Abandon(role),
    };
    let before = store.find().await?;
    let generation = generation(chain, role, &before);
    let (plan, _) = bring(&store, &wanted(chain, &owner, &generation, Timestamp::now()), &ask).await?;
    let found = store.find().await?;
    let document = found.document.as_ref();
    let keys = document.and_then(|document| document.roles.get(&role.as_segment()));
    let current = keys.and_then(|keys| keys.current.as_ref());
    Ok(Rotated {
        plan,
        change: changes(&found).into_iter().find(|change| change.role == role),
        current: current.map(|key| (key.number, key.address.to_string())),
    })
}

/// The id of a rotation: of two runs that begin where the same was written down it is the same one, so that a run
/// that goes on after a death knows the key that it had made.
fn generation(chain: &ChainDeclaration, role: Role, found: &Found) -> Generation {
    let serial = found.document.as_ref().map_or(0, |document| document.serial);
    let digest = Sha256::new()
        .chain_update("keyboot.rotation.v1\n")
        .chain_update(format!("{}\n{role}\n{serial}\n", chain.name))
        .finalize();
    Generation::new(format!("rotation-{}", &hex::encode(digest)[..32]))
}

async fn rotate_secrets(
    config: &Config,
    declaration: &Path,
    cluster: &str,
    scheduled: impl FnOnce(provisioning::names::ClusterName) -> Scheduled,
) -> Result<ExitCode, OnpremError> {
    let declaration = Declaration::read(declaration)?;
    let cluster = declaration.cluster(cluster)?;
    let audit = Audit::open(config)?;
    let place = config.vault.place();
    let session = Session::open(&config.vault).await?;
    let site = Site { session: &session, place: &place, audit: &audit, owner: &declaration.owner };
    let told = Box::pin(carry_out_scheduled(&site, &scheduled(cluster.name.clone()))).await;
    leave(session, config).await;
    let told = told.map_err(|error| error.of_rights(true))?;
    show(&if told.is_empty() { "there was nothing to do".to_owned() } else { told.join("\n") });
    Ok(ExitCode::SUCCESS)
}

/// Does what a schedule would ask for in AWS, and gives what was done.
///
/// # Errors
///
/// [`OnpremError::Provision`]; it may be asked for again.
pub async fn carry_out_scheduled(site: &Site<'_>, scheduled: &Scheduled) -> Result<Vec<String>, OnpremError> {
    let (Scheduled::Rotate { cluster, .. } | Scheduled::Retire { cluster }) = scheduled;
    let pinned = PinnedStacks::only(site.owner_of(cluster)?.stack_id);
    let world = site.world(None);
    in_turn(async || Box::pin(carry_out(&world, &pinned, scheduled)).await).await
}

fn to_json(chain: &ChainDeclaration, role: Role, rotated: &Rotated) -> String {
    let Rotated { plan, change, current } = rotated;
    let keys = |ids: Vec<KeyId>| ids.iter().map(|id| id.number).collect::<Vec<_>>();
    let value = json!({
        "chain": chain.name,
        "change": change.as_ref().map(change_to_json),
        "current": current.as_ref().map(|(number, address)| json!({"address": address, "number": number})),
        "leaving": keys(plan.scheduled.keys().copied().collect()),
        "made": keys(plan.made.iter().copied().collect()),
        "role": role,
        "schema": 1,
        "told": plan.told,
        "unchanged": plan.changes_nothing(),
    });
    format!("{value:#}")
}

fn to_text(chain: &ChainDeclaration, role: Role, rotated: &Rotated) -> String {
    let Rotated { plan, change, current } = rotated;
    let mut text = format!("{}\n", chain.name);
    if let Some((number, address)) = current {
        let _ = writeln!(text, "  {role}: key {number} counts, {address}");
    }
    for id in &plan.made {
        let _ = writeln!(text, "  {role}: key {} was made", id.number);
    }
    for (id, until) in &plan.scheduled {
        let _ = writeln!(
            text,
            "  {role}: key {} cannot be read any more; it can be restored until {until}",
            id.number
        );
    }
    for told in &plan.told {
        let _ = writeln!(text, "  note: {told}");
    }
    if plan.changes_nothing() {
        text.push_str("  unchanged\n");
    }
    if let Some(change) = change {
        text.push_str(&change_to_text(change));
    }
    text
}
