//! `keyboot-onprem provision`: brings clusters and chains to what a declaration says, and tells what it did.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use provisioning::Foresight;
use provisioning::names::{ClusterName, Slot};
use provisioning::ownership::{Generation, Owner};
use serde_json::{Value, json};
use vault::operation::Kind;
use vault::{Login, Session};

use crate::audit::Audit;
use crate::chain::VaultChainStore;
use crate::chain::bringing::carry_out;
use crate::chain::guidance::{self, Change};
use crate::chain::planning::{Ask, Plan, Wanted};
use crate::chain::store::{ChainStore as _, Found, KeyId};
use crate::cluster::{self, Next, Roster, Site, foresee_cluster};
use crate::config::Config;
use crate::declaration::{ChainDeclaration, ClusterDeclaration, Declaration};
use crate::error::OnpremError;
use crate::terminal::show;

/// What `provision` is called with.
#[derive(Args, Debug)]
pub struct Options {
    /// What there has to be, a TOML file
    declaration: PathBuf,
    /// Say what would be done, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// What was done, or would be, of one cluster or chain.
#[derive(Clone, Debug)]
pub struct Done {
    /// Its name.
    pub name: ClusterName,
    /// What was done to its nodes' secrets, where it has nodes.
    pub cluster: Option<Foresight>,
    /// What was done to its roles' keys, where it is a chain.
    pub roles: Option<Plan>,
    /// Keys of roles that are prepared and do not count yet: what the chain has to be told.
    pub changes: Vec<Change>,
    /// What the reader should know.
    pub told: Vec<String>,
}

impl Done {
    /// Whether there was nothing to do.
    #[must_use]
    pub fn changes_nothing(&self) -> bool {
        self.cluster.as_ref().is_none_or(Foresight::changes_nothing)
            && self.roles.as_ref().is_none_or(Plan::changes_nothing)
    }
}

/// Provisions.
///
/// # Errors
///
/// [`OnpremError`]; what was done by then stands, and the next run goes on from there.
pub async fn run(options: &Options, config: &Config) -> Result<ExitCode, OnpremError> {
    let declaration = Declaration::read(&options.declaration)?;
    // A dry run opens no log either: it would make the file.
    let audit = if options.dry_run { Audit::silent() } else { Audit::open(config)? };
    let place = config.vault.place();
    let session = Session::open(&config.vault).await?;
    let site = Site { session: &session, place: &place, audit: &audit, owner: &declaration.owner };
    let mut report = |done: &Done| {
        if !options.json {
            show(&to_text(done, options.dry_run));
        }
    };
    let done = Box::pin(provision(&site, &declaration, options.dry_run, &mut report)).await;
    leave(session, config).await;
    let done = done?;
    if options.json {
        let items: Vec<Value> = done.iter().map(to_json).collect();
        show(&format!("{:#}", json!({"dryRun": options.dry_run, "items": items, "schema": 1})));
    }
    Ok(ExitCode::SUCCESS)
}

/// Gives a login back that was made for this run. One that somebody else made is his.
pub(crate) async fn leave(session: Session, config: &Config) {
    if matches!(config.vault.login, Login::AppRole(_)) {
        // It ends by itself before long.
        let _ = session.end().await;
    }
}

/// Provisions one after the other, and reports each as soon as it is done.
///
/// # Errors
///
/// As [`run`].
pub async fn provision(
    site: &Site<'_>,
    declaration: &Declaration,
    dry_run: bool,
    report: &mut impl FnMut(&Done),
) -> Result<Vec<Done>, OnpremError> {
    let mut all = Vec::new();
    for cluster in &declaration.clusters {
        let done = Box::pin(provision_cluster(site, cluster, dry_run)).await?;
        report(&done);
        all.push(done);
    }
    for chain in &declaration.chains {
        let done = Box::pin(provision_chain(site, chain, dry_run)).await?;
        report(&done);
        all.push(done);
    }
    Ok(all)
}

async fn provision_cluster(
    site: &Site<'_>,
    cluster: &ClusterDeclaration,
    dry_run: bool,
) -> Result<Done, OnpremError> {
    let next = site.next(&cluster.name, &cluster.digest, false).await?;
    let foresight = foresee_cluster(site, cluster, &next).await?;
    let mut told = foresight.told.clone();
    if !dry_run && !foresight.changes_nothing() {
        let work = site.work_on(&cluster.name, next.kind, &cluster.digest, async |held| {
            cluster::bring(site, cluster, held).await
        });
        told = work.await.map_err(|error| error.of_rights(replaces(&foresight)))?.told;
    }
    Ok(Done { name: cluster.name.clone(), cluster: Some(foresight), roles: None, changes: Vec::new(), told })
}

async fn provision_chain(
    site: &Site<'_>,
    chain: &ChainDeclaration,
    dry_run: bool,
) -> Result<Done, OnpremError> {
    let next = site.next(&chain.name, &chain.digest, false).await?;
    let nodes = chain.to_cluster();
    let owner = site.owner_of(&chain.name)?;
    let store = VaultChainStore::new(site.session, site.place, &chain.name, site.audit);
    let ask = Ask::Bring { roles: &chain.roles, regenerate: &chain.regenerate };

    let has_nodes = !chain.nodes.is_empty();
    let foresight = match &next.roster {
        _ if has_nodes => Some(foresee_cluster(site, &nodes, &next).await?),
        // The nodes were all taken out of the declaration.
        Roster::Ours | Roster::Leaving => Some(cluster::foresee_removal(site, &nodes, &next).await?),
        _ => None,
    };
    let changes_nodes = foresight.as_ref().is_some_and(|foresight| !foresight.changes_nothing());
    let generation = next.generation();
    let mut found = store.find().await?;
    let mut plan = Plan::of(&wanted(chain, &owner, &generation, Timestamp::now()), &ask, &found)?;
    let mut told: Vec<String> = foresight.iter().flat_map(|foresight| foresight.told.clone()).collect();
    if !dry_run && (changes_nodes || !plan.changes_nothing()) {
        let work = site.work_on(&chain.name, kind_of(chain, &next), &chain.digest, async |held| {
            let mut told = Vec::new();
            if has_nodes {
                told.extend(cluster::bring(site, &nodes, held).await?.told);
            } else if changes_nodes {
                told.extend(cluster::remove(site, &nodes, held).await?);
            }
            let wanted = wanted(chain, &owner, &held.id, Timestamp::now());
            let found = store.find().await?;
            let plan = Plan::of(&wanted, &ask, &found)?;
            carry_out(&store, &wanted, &found, &plan).await?;
            Ok((told, plan))
        });
        let takes = foresight.as_ref().is_some_and(replaces) || plan.replaces();
        (told, plan) = work.await.map_err(|error| error.of_rights(takes))?;
        found = store.find().await?;
    }
    told.extend(plan.told.clone());
    let changes = changes(&found);
    Ok(Done { name: chain.name.clone(), cluster: foresight, roles: Some(plan), changes, told })
}

/// Whether something is put over what stands, or goes for good.
fn replaces(foresight: &Foresight) -> bool {
    !foresight.renewed.is_empty() || foresight.leaving.values().any(Option::is_none)
}

/// A chain without nodes has no cluster to make or to change.
fn kind_of(chain: &ChainDeclaration, next: &Next) -> Kind {
    let stands = matches!(next.roster, Roster::Ours | Roster::Leaving);
    if chain.nodes.is_empty() && stands { Kind::Delete } else { next.kind }
}

/// What a declaration wants of a chain's roles.
pub(crate) fn wanted<'a>(
    chain: &'a ChainDeclaration,
    owner: &'a Owner,
    generation: &'a Generation,
    now: Timestamp,
) -> Wanted<'a> {
    Wanted {
        chain: &chain.name,
        chain_id: chain.chain_id,
        l1_chain_id: chain.l1_chain_id,
        owner,
        generation,
        adopt_from: chain.adopt_from.as_ref(),
        on_delete: chain.on_delete,
        now,
    }
}

/// The roles whose new key is prepared.
pub(crate) fn changes(found: &Found) -> Vec<Change> {
    let Some(document) = &found.document else { return Vec::new() };
    let changes = document.roles.iter().filter_map(|(name, keys)| {
        let (current, pending) = (keys.current.as_ref()?, keys.pending.as_ref()?);
        Some(Change { role: name.as_str().parse().ok()?, new: pending.address, old: current.address })
    });
    changes.collect()
}

fn to_json(done: &Done) -> Value {
    let mut value = json!({
        "name": done.name,
        "nodes": done.cluster.as_ref().map(foresight_to_json),
        "roles": done.roles.as_ref().map(plan_to_json),
        "told": done.told,
        "unchanged": done.changes_nothing(),
    });
    value["changes"] = done.changes.iter().map(change_to_json).collect();
    value
}

fn foresight_to_json(foresight: &Foresight) -> Value {
    let leaving = foresight.leaving.iter().map(|(slot, days)| json!({"days": days, "secret": path(slot)}));
    json!({
        "adoptsFrom": foresight.adopts_from.as_ref().map(ToString::to_string),
        "kept": paths(&foresight.kept),
        "leaving": leaving.collect::<Vec<_>>(),
        "made": paths(&foresight.made),
        "renewed": paths(&foresight.renewed),
        "restored": paths(&foresight.restored),
        "writesMore": foresight.writes_more,
    })
}

fn plan_to_json(plan: &Plan) -> Value {
    let scheduled =
        plan.scheduled.iter().map(|(id, until)| json!({"key": key(*id), "until": until.to_string()}));
    let keys = |ids: &BTreeSet<KeyId>| ids.iter().map(|id| key(*id)).collect::<Vec<_>>();
    json!({
        "kept": keys(&plan.kept),
        "leaving": scheduled.collect::<Vec<_>>(),
        "made": keys(&plan.made),
        "removed": keys(&plan.removed),
        "restored": keys(&plan.restored),
        "takenOver": keys(&plan.taken_over),
    })
}

/// What a chain has to be told, for programs.
pub(crate) fn change_to_json(change: &Change) -> Value {
    json!({
        "new": change.new.to_string(),
        "old": change.old.to_string(),
        "role": change.role,
        "steps": guidance::steps(change),
        "transaction": guidance::transaction(change),
    })
}

fn to_text(done: &Done, dry_run: bool) -> String {
    let (nodes, roles) = (done.cluster.as_ref(), done.roles.as_ref());
    let keys = |ids: fn(&Plan) -> &BTreeSet<KeyId>| roles.into_iter().flat_map(ids).map(|id| key(*id));
    let slots = |slots: fn(&Foresight) -> &BTreeSet<Slot>| nodes.into_iter().flat_map(slots).map(path);
    let leaving = nodes.into_iter().flat_map(|nodes| &nodes.leaving).map(|(slot, days)| match days {
        Some(days) => format!("{} (can be restored for {days} days)", path(slot)),
        None => format!("{} (for good)", path(slot)),
    });
    let scheduled = roles.into_iter().flat_map(|roles| &roles.scheduled);
    let scheduled = scheduled.map(|(id, until)| format!("{} (can be restored until {until})", key(*id)));
    let from = nodes.and_then(|nodes| nodes.adopts_from.as_ref()).map(ToString::to_string);
    let writes = nodes.is_some_and(|nodes| nodes.writes_more) || roles.is_some_and(|roles| roles.writes);
    let lines: [(&str, Vec<String>); 9] = [
        ("taken over from", from.into_iter().collect()),
        ("taken over", keys(|plan| &plan.taken_over).collect()),
        ("made", slots(|nodes| &nodes.made).chain(keys(|plan| &plan.made)).collect()),
        ("restored", slots(|nodes| &nodes.restored).chain(keys(|plan| &plan.restored)).collect()),
        ("renewed", slots(|nodes| &nodes.renewed).collect()),
        ("let go of", leaving.chain(scheduled).collect()),
        ("removed", keys(|plan| &plan.removed).collect()),
        ("written", writes.then(|| "signed documents and notes".to_owned()).into_iter().collect()),
        ("kept", slots(|nodes| &nodes.kept).chain(keys(|plan| &plan.kept)).collect()),
    ];
    let mut text = format!("{}\n", done.name);
    for (what, things) in lines.iter().filter(|(_, things)| !things.is_empty()) {
        let would = if dry_run && *what != "kept" { "would be " } else { "" };
        let _ = writeln!(text, "  {would}{what}: {}", things.join(", "));
    }
    if done.changes_nothing() {
        text.push_str("  unchanged: everything is as declared\n");
    }
    for told in &done.told {
        let _ = writeln!(text, "  note: {told}");
    }
    for change in &done.changes {
        text.push_str(&change_to_text(change));
    }
    text
}

/// What a chain has to be told, for people.
pub(crate) fn change_to_text(change: &Change) -> String {
    let Change { role, new, old } = change;
    let mut text = format!("  {role}: {new} is prepared, {old} still counts. What is to be done now:\n");
    for (position, step) in guidance::steps(change).iter().enumerate() {
        let _ = writeln!(text, "    {}. {step}", position + 1);
    }
    let _ =
        writeln!(text, "    then `keyboot-onprem rotate finish`, or `rotate abandon` to leave all as it is");
    text
}

fn paths<'a>(slots: impl IntoIterator<Item = &'a Slot>) -> Vec<String> {
    slots.into_iter().map(path).collect()
}

fn path(slot: &Slot) -> String {
    format!("node/{}/{}", slot.index, slot.purpose)
}

fn key(id: KeyId) -> String {
    format!("role/{}/{}", id.role, id.number)
}
