//! `keyboot-onprem remove`: lets go of a whole cluster or chain, by the rules of its declaration.
//!
//! Nothing is gone at once that anybody can have used: it can be restored by provisioning the same declaration
//! again until its recovery window is over.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use provisioning::names::ClusterName;
use serde_json::json;
use vault::Session;
use vault::operation::Kind;

use crate::audit::Audit;
use crate::chain::VaultChainStore;
use crate::chain::bringing::bring;
use crate::chain::planning::{Ask, Plan};
use crate::chain::store::ChainStore as _;
use crate::cluster::{self, Site};
use crate::config::Config;
use crate::declaration::Declaration;
use crate::error::OnpremError;
use crate::provision::{leave, wanted};
use crate::terminal::show;

/// What `remove` is called with.
#[derive(Args, Debug)]
pub struct Options {
    /// The cluster that goes, by its name in the declaration
    #[arg(long, required_unless_present = "chain", conflicts_with = "chain")]
    cluster: Option<String>,
    /// The chain that goes, by its name in the declaration
    #[arg(long)]
    chain: Option<String>,
    /// The declaration that still has it, for its rules
    declaration: PathBuf,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Removes.
///
/// # Errors
///
/// [`OnpremError`]; every step may be repeated.
pub async fn run(options: &Options, config: &Config) -> Result<ExitCode, OnpremError> {
    let declaration = Declaration::read(&options.declaration)?;
    let audit = Audit::open(config)?;
    let place = config.vault.place();
    let session = Session::open(&config.vault).await?;
    let site = Site { session: &session, place: &place, audit: &audit, owner: &declaration.owner };
    let told = match (&options.cluster, &options.chain) {
        (Some(name), _) => Box::pin(remove_cluster(&site, &declaration, name)).await,
        (None, Some(name)) => Box::pin(remove_chain(&site, &declaration, name)).await,
        (None, None) => Err(OnpremError::Config("`--cluster` or `--chain` is missing".to_owned())),
    };
    leave(session, config).await;
    let told = told.map_err(|error| error.of_rights(true))?;
    if options.json {
        show(&format!("{:#}", json!({"schema": 1, "told": told})));
    } else {
        show(&told.join("\n"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Lets go of a cluster, and gives what there is to say of it.
///
/// # Errors
///
/// As [`run`].
pub async fn remove_cluster(
    site: &Site<'_>,
    declaration: &Declaration,
    name: &str,
) -> Result<Vec<String>, OnpremError> {
    let cluster = declaration.cluster(name)?;
    let next = site.next(&cluster.name, &cluster.digest, true).await?;
    let foresight = cluster::foresee_removal(site, cluster, &next).await?;
    if foresight.changes_nothing() {
        return Ok(left_alone(&cluster.name, foresight.told));
    }
    let work = site.work_on(&cluster.name, Kind::Delete, &cluster.digest, async |held| {
        cluster::remove(site, cluster, held).await
    });
    let mut told = work.await?;
    told.insert(0, format!("{} is let go of", cluster.name));
    Ok(told)
}

/// Lets go of a chain: the keys of its roles, and those of its nodes.
///
/// # Errors
///
/// As [`run`].
pub async fn remove_chain(
    site: &Site<'_>,
    declaration: &Declaration,
    name: &str,
) -> Result<Vec<String>, OnpremError> {
    let chain = declaration.chain(name)?;
    let (nodes, owner) = (chain.to_cluster(), site.owner_of(&chain.name)?);
    let store = VaultChainStore::new(site.session, site.place, &chain.name, site.audit);
    let (none, no_tokens) = (BTreeSet::new(), BTreeMap::new());
    let ask = Ask::Bring { roles: &none, regenerate: &no_tokens };
    let next = site.next(&chain.name, &chain.digest, true).await?;
    let foresight = cluster::foresee_removal(site, &nodes, &next).await?;
    let (found, generation) = (store.find().await?, next.generation());
    let plan = Plan::of(&wanted(chain, &owner, &generation, Timestamp::now()), &ask, &found)?;
    if foresight.changes_nothing()
        && (plan.changes_nothing() || found.document.is_none() && found.keys.is_empty())
    {
        return Ok(left_alone(&chain.name, foresight.told.into_iter().chain(plan.told).collect()));
    }
    let work = site.work_on(&chain.name, Kind::Delete, &chain.digest, async |held| {
        let told = cluster::remove(site, &nodes, held).await?;
        let (plan, _) = bring(&store, &wanted(chain, &owner, &held.id, Timestamp::now()), &ask).await?;
        Ok((told, plan))
    });
    let (mut told, plan) = work.await?;
    told.insert(0, format!("{} is let go of", chain.name));
    let keys = plan.scheduled.iter().map(|(id, until)| {
        format!("the key {}/role/{}/{} can be restored until {until}", chain.name, id.role, id.number)
    });
    told.extend(keys);
    told.extend(plan.told);
    Ok(told)
}

fn left_alone(name: &ClusterName, told: Vec<String>) -> Vec<String> {
    let nothing = format!("there is nothing of {name} to let go of, or it was let go of before");
    std::iter::once(nothing).chain(told).collect()
}
