//! What is no longer asked for: by the deletion rules, or at once where nobody can have used it.
//!
//! The roster index is the mark. What it never listed was made by an operation that never
//! completed, so nobody can have used it, and it is removed for good. What it listed goes by the
//! rules: into a recovery window or nowhere, and documents live as long as what they describe can
//! come back. Where a store does not end a recovery window, the next operation of the owner removes
//! what is over and not asked for. Documents of what goes for good are withdrawn before the secrets
//! that prove whose they are; environments, which tell that the removal is not finished, after them;
//! the note of what was about to be made goes last. Every step may be repeated. The rest is left as it
//! is and named.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::adopting;
use crate::audit::{Action, AuditEvent};
use crate::authority::{Permit, PinnedStacks, permit};
use crate::error::ProvisionError;
use crate::names::{NodeIndex, ParameterName, Slot};
use crate::observing::{Candidates, Observed, Place, Standing, observe};
use crate::operation::Operation;
use crate::ownership::{Generation, generation_of};
use crate::parallel::each;
use crate::planning::Plan;
use crate::ports::{SecretFacts, Workload, World};
use crate::properties::{ClusterSpec, DeletionRules, LenientSpec, OnDelete};
use crate::publishing::note;
use crate::renewing::StaleLabel;
use crate::roster::NODES_A_PAGE;
use crate::store::Store;
use crate::versions::is_any_named;

/// The most names that one removal takes (Systems Manager API Reference, `DeleteParameters`).
const NAMES_A_REMOVAL: usize = 10;
/// The most pages a roster can have: 1,000 nodes, 64 a page.
const PAGES_MAX: usize = 1000_usize.div_ceil(NODES_A_PAGE);
/// Nodes that are let go of together.
const NODES_A_STEP: usize = 12;
/// How much longer than its secrets a document stays, so that it never vanishes first.
const DOCUMENT_GRACE: SignedDuration = SignedDuration::from_hours(24);

/// What becomes of a secret that is ours and not asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    /// It is in its recovery window already.
    Goes,
    /// Its recovery window is over, and its store has left the removal to us.
    Overdue,
    /// Nobody can have used it.
    Remove,
    /// It goes into a recovery window of this many days.
    Schedule(u8),
    /// It stays.
    Stay,
}

/// What never completed: the operations that no roster ever listed.
struct NeverListed<'a> {
    generations: BTreeSet<Generation>,
    observed: &'a Observed,
}

impl<'a> NeverListed<'a> {
    /// `current` is an operation that is still making things.
    fn of(observed: &'a Observed, current: Option<&Generation>) -> Self {
        Self { generations: observed.never_listed(current), observed }
    }

    /// Whether nobody can have used this secret: no roster listed it, no record of a node in
    /// service names it, and the store never handed its value out.
    fn includes(&self, slot: &Slot, facts: &SecretFacts) -> bool {
        let Some(generation) = generation_of(&facts.tags) else { return false };
        if facts.was_retrieved || !self.generations.contains(&generation) {
            return false;
        }
        if !self.observed.lists(slot.index) {
            return true;
        }
        // A record of a node in service that cannot be read may name anything.
        self.observed.records.get(&slot.index).is_none_or(|stored| {
            stored.checked.as_ref().is_ok_and(|record| !is_any_named(record, slot, facts))
        })
    }

    fn fate(&self, rules: DeletionRules, slot: &Slot, facts: &SecretFacts, now: Timestamp) -> Fate {
        if facts.scheduled_for_deletion {
            // What is to stay goes by nobody's tag.
            let is_overdue = facts.awaits_removal_from.is_some_and(|end| end <= now)
                && rules.of(&slot.purpose) != OnDelete::Retain;
            return if is_overdue { Fate::Overdue } else { Fate::Goes };
        }
        if self.includes(slot, facts) {
            return Fate::Remove;
        }
        match rules.of(&slot.purpose) {
            OnDelete::Schedule { days } => Fate::Schedule(days),
            OnDelete::Retain => Fate::Stay,
        }
    }
}

/// What a Create or an Update no longer declares, worked out before it writes.
pub(crate) fn leaving(
    operation: &Operation,
    spec: &ClusterSpec,
    observed: &Observed,
    plan: &Plan,
) -> Removal {
    let never_listed = NeverListed::of(observed, Some(&operation.generation));
    let declared = spec.slots();
    let mut removal = Removal { store: observed.store, ..Removal::default() };
    for (slot, facts) in observed.ours().filter(|(slot, _)| !declared.contains(slot)) {
        removal.secret(slot, facts, never_listed.fate(spec.deletion, slot, facts, operation.now));
    }
    let known =
        observed.ours().map(|(slot, _)| slot.index).chain(observed.entries.iter().map(|entry| entry.index));
    let gone_nodes: BTreeSet<_> = known.filter(|index| !spec.nodes.contains(index)).collect();
    for index in gone_nodes {
        removal.documents_of(index, operation, observed, spec.deletion);
    }
    removal.told.clear();
    for (slot, facts) in observed.ours().filter(|(slot, _)| declared.contains(slot)) {
        removal.labels.extend(StaleLabel::all(
            slot,
            facts,
            &plan.counting(operation, slot),
            observed.record(slot.index),
            plan.renewed.get(slot),
        ));
    }
    removal
}

/// Lets go of what an operation no longer declares, after its commit. `written` are the pages of
/// the new roster, if it wrote one; `noted` tells whether a note of ours stands there.
pub(crate) async fn retire(
    world: &impl World,
    permit: &Permit,
    operation: &Operation,
    observed: &Observed,
    mut removal: Removal,
    written: Option<&[ParameterName]>,
    noted: bool,
) -> Result<Vec<String>, ProvisionError> {
    // The pages of the roster before this one, and those that an operation before it may have left
    // when it died after its mark: nobody who reads the index comes to them.
    if let Some(index) = observed.index() {
        let (before, pages) = if written.is_some() {
            (index.serial, index.pages)
        } else if index.generation == operation.generation || noted {
            (index.serial - 1, PAGES_MAX)
        } else {
            (0, 0)
        };
        let cluster = operation.owner.id.cluster();
        for (serial, pages) in [(before, pages), (before.saturating_sub(1), PAGES_MAX)] {
            if serial > 0 {
                removal.last.extend((0..pages).map(|page| cluster.roster_page_parameter(serial, page)));
            }
        }
    }
    // Those of an operation that died and had more of them.
    let stale = observed.unlisted_pages.iter().filter(|page| !written.unwrap_or_default().contains(page));
    removal.last.extend(stale.cloned());
    // The note is spent: what it told of is listed or gone.
    let owner = &operation.owner.id;
    removal.intent = noted.then(|| owner.cluster().intent_parameter(owner.digest()));
    removal.carry_out(world, permit, operation).await
}

/// Removes a cluster whose resource goes, and gives what stays and why.
///
/// Where the operation's delivered id is not its owner's, only what never completed is removed, and
/// nothing of a node that the roster lists but secrets it never listed: so it is for an id that
/// CloudFormation made up, and for an Update that failed to replace.
///
/// # Errors
///
/// [`ProvisionError`]; every step may be repeated.
pub async fn remove(
    world: &impl World,
    pinned: &PinnedStacks,
    operation: &Operation,
    spec: &LenientSpec,
) -> Result<Vec<String>, ProvisionError> {
    let candidates = Candidates {
        nodes: spec.nodes.clone(),
        applications: spec.applications.clone(),
        adopt_from: spec.adopt_from.clone(),
        store: spec.store,
    };
    let mut observed = observe(world, &operation.owner, operation.now, candidates.clone()).await?;
    if let Some(other) = adopting::claimed_by_another(world, &observed).await? {
        return Ok(vec![format!("everything was left alone: {other} takes this cluster over")]);
    }
    let handed_back = adopting::hand_back_before_removal(world, pinned, operation, &observed).await?;
    if handed_back.is_some() {
        observed = observe(world, &operation.owner, operation.now, candidates).await?;
    }
    let mut removal = Removal::of_all(operation, &observed, spec.deletion);
    removal.told.extend(handed_back);
    if removal.is_empty() {
        return Ok(removal.told);
    }
    let permit = permit(world, pinned, operation).await?;
    removal.carry_out(world, &permit, operation).await
}

/// What goes, in the order in which it goes.
#[derive(Debug, Default)]
pub(crate) struct Removal {
    /// Documents of things that nobody can have used.
    withdrawn: Vec<ParameterName>,
    /// Records that vanish with what they describe.
    expiring: BTreeMap<NodeIndex, Expiring>,
    /// Secrets that go: their ARN, and the days of their recovery window; none where nobody can
    /// have used them, and where it is over.
    secrets: BTreeMap<Slot, (String, Option<u8>)>,
    /// Those of them whose recovery window is over.
    overdue: BTreeSet<Slot>,
    /// The store that they are in.
    store: Store,
    /// Labels of versions that need not be held any more.
    labels: Vec<StaleLabel>,
    /// Secrets that stay and are rotated no more: nobody lists what a rotation would make of them.
    unscheduled: BTreeMap<Slot, String>,
    /// Environments, which tell while they are there that their node's removal is not finished.
    environments: BTreeMap<NodeIndex, ParameterName>,
    /// Pages that nobody comes to any more.
    last: Vec<ParameterName>,
    /// The roster, as long as the cluster can come back.
    roster: Vec<Expiring>,
    /// The note of what an operation was about to make, the very last.
    intent: Option<ParameterName>,
    /// What stays, and why.
    told: Vec<String>,
}

/// A document that vanishes at a time, with the text it has.
#[derive(Debug)]
struct Expiring {
    name: ParameterName,
    text: String,
    at: Timestamp,
}

impl Removal {
    /// Everything of a resource that goes.
    pub(crate) fn of_all(operation: &Operation, observed: &Observed, rules: DeletionRules) -> Self {
        let mut removal = Self { store: observed.store, ..Self::default() };
        let cluster = operation.owner.id.cluster();
        let never_listed = NeverListed::of(observed, None);
        // CloudFormation made the id up, since no answer ever reached it: then only what never
        // completed is ours to remove.
        let all = operation.delivered_id == operation.owner.id.as_str();
        let rules = if all {
            rules
        } else {
            DeletionRules { others: OnDelete::Retain, share_password: OnDelete::Retain }
        };
        for (slot, facts) in observed.ours() {
            match never_listed.fate(rules, slot, facts, operation.now) {
                Fate::Overdue if !all => {}
                fate => removal.secret(slot, facts, fate),
            }
        }
        let nodes: BTreeSet<_> = observed.ours().map(|(slot, _)| slot.index).collect();
        for index in nodes.into_iter().filter(|index| all || !observed.lists(*index)) {
            removal.documents_of(index, operation, observed, rules);
        }
        let foreign = observed.secrets.iter().filter(|(_, place)| matches!(place, Place::Foreign(_))).count();
        if foreign > 0 {
            removal.told.push(format!(
                "{foreign} secrets under this cluster's names are somebody else's and were left alone"
            ));
        }
        if let Standing::Foreign(index) = &observed.standing {
            removal.told.push(format!("the cluster belongs to {}", index.owner));
        }
        if let Standing::Unreadable(error) = &observed.standing {
            removal.told.push(format!("{} was left alone: {error}", cluster.roster_index_parameter()));
        }
        if let Some(error) = &observed.broken {
            removal.told.push(format!("the roster could not be read whole: {error}"));
        }
        removal.withdrawn.extend(observed.unlisted_pages.iter().cloned());
        if observed.intent.is_some() {
            removal.intent = Some(cluster.intent_parameter(operation.owner.id.digest()));
        }
        // With nothing else to do, this removal has been through here before.
        if all && !removal.is_empty() {
            removal.roster(operation, observed, rules);
            // Confirmed by now: it goes with the rest.
            let former = observed.adopted_from();
            removal.last.extend(former.map(|former| cluster.adoption_parameter(former.id.digest())));
        }
        removal
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.changes_nothing() && self.intent.is_none()
    }

    /// Whether there is nothing to let go of.
    pub(crate) fn changes_nothing(&self) -> bool {
        self.secrets.is_empty() && !self.touches_more_than_secrets()
    }

    /// Whether anything goes beside secrets.
    pub(crate) fn touches_more_than_secrets(&self) -> bool {
        !(self.withdrawn.is_empty()
            && self.expiring.is_empty()
            && self.labels.is_empty()
            && self.unscheduled.is_empty()
            && self.environments.is_empty()
            && self.last.is_empty()
            && self.roster.is_empty())
    }

    /// What stays, and why.
    pub(crate) fn told(&self) -> &[String] {
        &self.told
    }

    /// The secrets that go, with the days of their recovery window where they can come back.
    pub(crate) fn of_secrets(&self) -> BTreeMap<Slot, Option<u8>> {
        self.secrets.iter().map(|(slot, (_, days))| (slot.clone(), *days)).collect()
    }

    fn secret(&mut self, slot: &Slot, facts: &SecretFacts, fate: Fate) {
        match fate {
            Fate::Remove => {
                self.secrets.insert(slot.clone(), (facts.arn.clone(), None));
            }
            Fate::Overdue => {
                self.secrets.insert(slot.clone(), (facts.arn.clone(), None));
                self.overdue.insert(slot.clone());
            }
            Fate::Schedule(days) => {
                self.secrets.insert(slot.clone(), (facts.arn.clone(), Some(days)));
            }
            Fate::Stay => {
                if facts.rotation.is_some() {
                    self.unscheduled.insert(slot.clone(), facts.arn.clone());
                }
                self.told.push(format!("kept {}", facts.arn));
            }
            Fate::Goes => {}
        }
    }

    /// The documents of a node that goes. They are ours, since a secret of the node is, or since our
    /// roster lists the node.
    fn documents_of(
        &mut self,
        index: NodeIndex,
        operation: &Operation,
        observed: &Observed,
        rules: DeletionRules,
    ) {
        // Where the cluster is another's, so is a node that both have secrets of; where it is ours,
        // one that only others have secrets of.
        if observed.is_anothers(index, observed.index().is_none()) {
            return;
        }
        let cluster = operation.owner.id.cluster();
        let (record, environment) = (cluster.record_parameter(index), cluster.environment_parameter(index));
        let mut ours = observed.ours().map(|(slot, _)| slot).filter(|slot| slot.index == index);
        let nobody_used_it = ours.all(|slot| matches!(self.secrets.get(slot), Some((_, None))));
        if nobody_used_it {
            if observed.records.contains_key(&index) {
                self.withdrawn.push(record);
            }
            if observed.environments.contains_key(&index) {
                self.withdrawn.push(environment);
            }
            return;
        }
        let stands = observed.environments.contains_key(&index);
        let mut going = self.secrets.keys().filter(|slot| slot.index == index);
        let goes_now = going.any(|slot| !self.overdue.contains(slot));
        if !stands && !goes_now {
            return;
        }
        if stands {
            self.environments.insert(index, environment);
        }
        match (rules.others, observed.records.get(&index)) {
            (OnDelete::Schedule { days }, Some(stored)) => {
                let at = window_end(operation, days);
                self.expiring.insert(index, Expiring { name: record, text: stored.text.clone(), at });
            }
            (OnDelete::Retain, Some(_)) => self.told.push(format!("kept {record}")),
            (_, None) => {}
        }
    }

    /// The roster stays as long as what it lists can come back.
    fn roster(&mut self, operation: &Operation, observed: &Observed, rules: DeletionRules) {
        let Some(index) = observed.index() else { return };
        let cluster = operation.owner.id.cluster();
        let name = cluster.roster_index_parameter();
        let stays = observed.ours().any(|(slot, facts)| {
            !facts.scheduled_for_deletion && rules.of(&slot.purpose) == OnDelete::Retain
        });
        let (OnDelete::Schedule { days }, false) = (rules.others, stays) else {
            self.told.push(format!("kept {name}"));
            return;
        };
        let at = window_end(operation, days);
        let pages = observed.pages.iter().enumerate().map(|(page, text)| Expiring {
            name: cluster.roster_page_parameter(index.serial, page),
            text: text.clone(),
            at,
        });
        self.roster.extend(pages);
        self.roster.extend(observed.index_text.clone().map(|text| Expiring { name, text, at }));
    }

    async fn carry_out(
        mut self,
        world: &impl World,
        permit: &Permit,
        operation: &Operation,
    ) -> Result<Vec<String>, ProvisionError> {
        let mut told = std::mem::take(&mut self.told);
        withdraw(world, permit, operation, &self.withdrawn).await?;
        expire(world, permit, operation, &self.roster).await?;
        let nodes: BTreeSet<NodeIndex> = self.secrets.keys().map(|slot| slot.index).collect();
        let nodes: BTreeSet<_> =
            nodes.iter().chain(self.expiring.keys()).chain(self.environments.keys()).copied().collect();
        let nodes: Vec<_> = nodes.into_iter().collect();
        // A few nodes to their end before the next: where the time is over, a retry begins with those
        // that are left.
        for nodes in nodes.chunks(NODES_A_STEP) {
            self.let_go(world, permit, operation, nodes).await?;
        }
        if !self.overdue.is_empty() {
            told.push(format!(
                "{} secrets whose recovery window was over were removed for good",
                self.overdue.len()
            ));
        }
        let scheduled: Vec<&Slot> =
            self.secrets.iter().filter(|(_, (_, days))| days.is_some()).map(|(slot, _)| slot).collect();
        if let Some(days) = self.secrets.values().find_map(|(_, days)| *days) {
            let nodes: BTreeSet<_> = scheduled.iter().map(|slot| slot.index.to_string()).collect();
            let nodes = nodes.into_iter().collect::<Vec<_>>().join(", ");
            let then = match self.store {
                Store::SecretsManager => "they are gone",
                // It ends no recovery window by itself.
                Store::ParameterStore | Store::Vault => "the next change of this cluster removes them",
            };
            told.push(format!(
                "{} secrets of nodes {nodes} can be restored for {days} days, then {then}",
                scheduled.len()
            ));
        }
        each(&self.unscheduled, async |(slot, arn)| {
            world.stop_rotating(permit, arn).await?;
            let event = AuditEvent::new(Action::Rescheduled, &operation.owner.id, &operation.generation, arn)
                .of(slot);
            world.record(&event.because("no schedule"));
            Ok::<_, ProvisionError>(())
        })
        .await?;
        each(&self.labels, async |stale| {
            stale.release(world, permit, &operation.owner.id, &operation.generation).await
        })
        .await?;
        withdraw(world, permit, operation, &self.last).await?;
        withdraw(world, permit, operation, self.intent.as_slice()).await?;
        for kept in &told {
            let event = AuditEvent::new(Action::Kept, &operation.owner.id, &operation.generation, "rule");
            world.record(&event.because(kept));
        }
        Ok(told)
    }

    /// Lets go of what is of these nodes: records first, environments last.
    async fn let_go(
        &self,
        world: &impl World,
        permit: &Permit,
        operation: &Operation,
        nodes: &[NodeIndex],
    ) -> Result<(), ProvisionError> {
        expire(world, permit, operation, nodes.iter().filter_map(|index| self.expiring.get(index))).await?;
        let secrets = self.secrets.iter().filter(|(slot, _)| nodes.contains(&slot.index));
        each(secrets, async |(slot, (arn, days))| {
            operation.time.check()?;
            let action = if let Some(days) = days {
                world.schedule_secret(permit, arn, *days).await?;
                Action::Scheduled
            } else {
                world.remove_secret(permit, arn).await?;
                Action::Removed
            };
            let event = AuditEvent::new(action, &operation.owner.id, &operation.generation, arn).of(slot);
            let is_overdue = self.overdue.contains(slot);
            world.record(&if is_overdue { event.because("its recovery window is over") } else { event });
            Ok::<_, ProvisionError>(())
        })
        .await?;
        let environments: Vec<_> =
            nodes.iter().filter_map(|index| self.environments.get(index)).cloned().collect();
        withdraw(world, permit, operation, &environments).await
    }

    /// The calls that it takes.
    pub(crate) fn workload(&self) -> Workload {
        Workload {
            published: self.expiring.len() + self.roster.len(),
            removed: self.secrets.len(),
            store: self.store,
            ..Workload::default()
        }
    }

    /// The number of nodes of which something goes.
    pub(crate) fn nodes(&self) -> usize {
        let of_secrets = self.secrets.keys().map(|slot| slot.index);
        of_secrets.chain(self.expiring.keys().copied()).collect::<BTreeSet<_>>().len()
    }
}

/// When a recovery window of `days` that starts now is over for certain.
fn window_end(operation: &Operation, days: u8) -> Timestamp {
    let window = SignedDuration::from_hours(24 * i64::from(days)) + DOCUMENT_GRACE;
    let end = operation.now.checked_add(window).unwrap_or(Timestamp::MAX);
    Timestamp::from_second(end.as_second()).unwrap_or(end)
}

/// Takes documents away, so many at a time as one call takes, and writes down that it did.
pub(crate) async fn withdraw(
    world: &impl World,
    permit: &Permit,
    operation: &Operation,
    names: &[ParameterName],
) -> Result<(), ProvisionError> {
    each(names.chunks(NAMES_A_REMOVAL), async |names| {
        world.withdraw(permit, names).await?;
        for name in names {
            note(world, operation, Action::Withdrawn, name.as_str());
        }
        Ok(())
    })
    .await
    .map(drop)
}

async fn expire<'a>(
    world: &impl World,
    permit: &Permit,
    operation: &Operation,
    documents: impl IntoIterator<Item = &'a Expiring>,
) -> Result<(), ProvisionError> {
    each(documents, async |document: &Expiring| {
        operation.time.check()?;
        Ok(world.republish(permit, &document.name, &document.text, Some(document.at)).await?)
    })
    .await
    .map(drop)
}
