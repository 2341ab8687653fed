//! Create and Update: from what is declared and what is owned to what is published.
//!
//! One way, no step back: look, plan, note, make, store, sign, publish, commit; only then does
//! anything go, and the note last. Whoever finds that another operation has followed him stops. Private halves are stored before their public halves are published, and the
//! roster index is written last of all. A repeated request finds its own work done and answers
//! the same; a request that changes nothing writes nothing.

use std::collections::{BTreeMap, BTreeSet};

use key_material::P2pPublicKey;

use crate::audit::{Action, AuditEvent};
use crate::authority::{Permit, PinnedStacks, permit};
use crate::environment::NodeEnvironment;
use crate::error::ProvisionError;
use crate::intent::Intent;
use crate::making::{MadeValue, make_value};
use crate::names::{NodeIndex, ParameterName, Purpose, Slot};
use crate::observing::{Candidates, Observed, Place, Standing, observe, place};
use crate::operation::{Operation, OperationKind};
use crate::outcome::{NodeOutcome, Outcome};
use crate::ownership::{PROTECTION_TAG, PUBLIC_TAG, first_version_token, generation_of};
use crate::parallel::{both, each};
use crate::ports::{MakeError, NewSecret, PortError, SecretFacts, World};
use crate::properties::{ClusterSpec, LenientSpec, PropertyFault};
use crate::publishing::{note, publish, refused, sign};
use crate::record::{self, AcceptedKey, KeyState, NodeRecord};
use crate::retiring;
use crate::roster::{self, RosterEntry, RosterIndex};
use crate::signed;

/// A stored secret that counts: its place, its version and its public half.
#[derive(Clone, Debug)]
struct Item {
    arn: String,
    version_id: String,
    public: Option<String>,
    generation: crate::ownership::Generation,
}

/// What has to be done to come from what is owned to what is declared.
#[derive(Debug, Default)]
struct Plan {
    /// Secrets that are there and stay.
    kept: BTreeMap<Slot, Item>,
    /// Secrets to make.
    made: BTreeSet<Slot>,
    /// Secrets that this very call made.
    made_here: BTreeMap<Slot, Item>,
    /// Secrets to take out of their recovery window.
    restored: BTreeMap<Slot, Item>,
    /// The nodes of these.
    revived: BTreeSet<NodeIndex>,
    /// Whether a note is open that this operation has to bring to its roster.
    noted: bool,
    /// What the reader of the stack's events should know.
    told: Vec<String>,
}

/// Brings a cluster to what `spec` declares.
///
/// `before` is what the properties said before, where the event tells: a hint at names, no more.
///
/// # Errors
///
/// [`ProvisionError`]; whatever was made by then carries this operation's generation and is found
/// again by a retry or by the clean-up.
pub async fn reconcile(
    world: &impl World,
    pinned: &PinnedStacks,
    operation: &Operation,
    spec: &ClusterSpec,
    before: Option<&LenientSpec>,
) -> Result<Outcome, ProvisionError> {
    if !pinned.contains(&operation.owner.stack_id) {
        return Err(ProvisionError::NotPinned);
    }
    let observed = observe(world, &operation.owner, candidates(spec, before)).await?;
    refuse_what_is_not_ours(operation, spec, &observed)?;
    let mut plan = Plan::of(operation, spec, &observed)?;
    let leaving = retiring::leaving(operation, spec, &observed);

    let mut making = None;
    if plan.needs_a_note(operation, &observed) {
        let permit = making.insert(permit(world, pinned, operation).await?);
        plan.carry_out(world, permit, operation, spec, &observed).await?;
    }

    let drafts = Drafts::of(world, operation, spec, &observed, &plan)?;
    if drafts.differ() || !leaving.changes_nothing() || observed.intent.is_some() {
        let permit = match permit_to_publish(world, pinned, operation, &plan, &observed).await {
            Ok(permit) => permit,
            Err(stopped) => {
                let undone = plan.undo(world, making.as_ref(), operation, &observed, &stopped).await;
                return Err(undone.err().unwrap_or(stopped));
            }
        };
        drafts.publish(world, &permit, operation, &observed, plan.noted).await?;
        // What a follower has taken back into service must not be let go of.
        refuse_what_was_overtaken(world, operation, &observed, drafts.index.differs).await?;
        let pages = drafts.page_names(operation);
        let written = drafts.index.differs.then_some(pages.as_slice());
        let noted = plan.noted || observed.intent.is_some();
        let told = retiring::retire(world, &permit, operation, &observed, leaving, written, noted).await?;
        plan.told.extend(told);
    }
    Ok(drafts.outcome(world, operation, spec, plan))
}

fn candidates(spec: &ClusterSpec, before: Option<&LenientSpec>) -> Candidates {
    let mut candidates =
        Candidates { nodes: spec.nodes.clone(), applications: spec.applications.iter().cloned().collect() };
    if let Some(before) = before {
        candidates.nodes.extend(&before.nodes);
        candidates.applications.extend(before.applications.iter().cloned());
    }
    candidates
}

async fn permit_to_publish(
    world: &impl World,
    pinned: &PinnedStacks,
    operation: &Operation,
    plan: &Plan,
    observed: &Observed,
) -> Result<Permit, ProvisionError> {
    let permit = permit(world, pinned, operation).await?;
    refuse_what_was_overtaken(world, operation, observed, plan.noted).await?;
    Ok(permit)
}

/// Asks just before publishing, just before the mark and just after it. What took no note has made
/// nothing, and what wrote no mark has none to lose: then `asks` is false.
async fn refuse_what_was_overtaken(
    world: &impl World,
    operation: &Operation,
    observed: &Observed,
    asks: bool,
) -> Result<(), ProvisionError> {
    if asks && was_overtaken(world, operation, observed).await? {
        return Err(ProvisionError::NotInProgress("that another operation has followed it".into()));
    }
    Ok(())
}

/// Whether another operation has followed this one while it was still at work: CloudFormation
/// begins a rollback without waiting for what it cancelled. The follower has put its own name on
/// the note, or withdrawn it. A duplicate that came to its end first has done so too, and is none.
async fn was_overtaken(
    world: &impl World,
    operation: &Operation,
    observed: &Observed,
) -> Result<bool, PortError> {
    let owner = &operation.owner.id;
    let names = [owner.cluster().intent_parameter(owner.digest()), owner.cluster().roster_index_parameter()];
    let documents = world.read_documents(&names).await?;
    let [intent, index] = [0, 1].map(|n| documents.get(n).and_then(Option::as_deref));
    let noted = intent
        .and_then(|text| signed::verify::<Intent>(text, &observed.keys).ok())
        .is_some_and(|intent| intent.generations.first() == Some(&operation.generation));
    let done = index
        .and_then(|text| RosterIndex::verify(text, &observed.keys, owner.cluster()).ok())
        .is_some_and(|index| index.generation == operation.generation);
    Ok(!noted && !done)
}

fn refuse_what_is_not_ours(
    operation: &Operation,
    spec: &ClusterSpec,
    observed: &Observed,
) -> Result<(), ProvisionError> {
    const ANOTHER: &str = "";
    let index = spec.cluster.roster_index_parameter();
    match &observed.standing {
        Standing::None | Standing::Ours(_) => {}
        Standing::Foreign(other) => {
            return Err(ProvisionError::Foreign {
                subject: format!("cluster {}", spec.cluster),
                owner: other.owner.clone(),
                remedy: ANOTHER,
            });
        }
        Standing::Unreadable(error) => return Err(refused(&index, error.clone())),
    }
    let declared = spec.slots();
    for (slot, place) in &observed.secrets {
        if let Place::Foreign(owner) = place
            && declared.contains(slot)
        {
            return Err(ProvisionError::Foreign {
                subject: format!(
                    "secret {}",
                    operation.owner.id.cluster().secret_name(slot.index, &slot.purpose)
                ),
                owner: owner.clone(),
                remedy: ANOTHER,
            });
        }
    }
    for (&index, record) in &observed.records {
        if let (Err(error), true) = (&record.checked, spec.nodes.contains(&index)) {
            return Err(refused(&spec.cluster.record_parameter(index), error.clone()));
        }
    }
    Ok(())
}

impl Plan {
    fn of(operation: &Operation, spec: &ClusterSpec, observed: &Observed) -> Result<Self, ProvisionError> {
        let mut plan = Self { noted: observed.open_intent().is_some(), ..Self::default() };
        let mut under_other_keys = BTreeSet::new();
        let never_listed = observed.never_listed(None);
        for slot in spec.slots() {
            let Some(Place::Ours(facts)) = observed.secrets.get(&slot) else {
                plan.made.insert(slot);
                continue;
            };
            // A record that is older than its node's secret does not know of it.
            let is_unlisted = generation_of(&facts.tags).is_some_and(|made| never_listed.contains(&made));
            let record = observed.record(slot.index).filter(|_| !is_unlisted);
            let item = Item::found(operation, &slot, facts, record)?;
            refuse_a_change_of_kind(spec, &slot, facts, &item)?;
            if facts.key.as_deref().is_some_and(|key| key != spec.kms_key.as_str()) {
                under_other_keys.extend(facts.key.clone());
            }
            if facts.scheduled_for_deletion {
                plan.revived.insert(slot.index);
                plan.restored.insert(slot, item);
            } else {
                plan.kept.insert(slot, item);
            }
        }
        plan.told.extend(under_other_keys.into_iter().map(|key| {
            format!("secrets made before still need {key}: keep it enabled until they are regenerated")
        }));
        Ok(plan)
    }

    /// Whether there is something to make or to restore, or the remains of another operation to
    /// take over.
    fn needs_a_note(&self, operation: &Operation, observed: &Observed) -> bool {
        let of_another = observed
            .open_intent()
            .is_some_and(|intent| intent.generations.first() != Some(&operation.generation));
        !self.made.is_empty() || !self.restored.is_empty() || of_another
    }

    /// Makes and restores: the note first, so that a death half way leaves nothing unfindable.
    async fn carry_out(
        &mut self,
        world: &impl World,
        permit: &Permit,
        operation: &Operation,
        spec: &ClusterSpec,
        observed: &Observed,
    ) -> Result<(), ProvisionError> {
        let values = async {
            let values = each(&self.made, async |slot| {
                Ok::<_, MakeError>((slot, make_value(world, spec, slot).await?))
            });
            Ok(values.await?)
        };
        let ((), values) = both(write_intent(world, permit, operation, spec, observed), values).await?;
        let made = each(values, async |(slot, value)| {
            let (item, here) = store(world, permit, operation, spec, slot, value).await?;
            Ok::<_, ProvisionError>((slot.clone(), item, here))
        })
        .await?;
        each(&self.restored, async |(slot, item)| {
            world.restore_secret(permit, &item.arn).await?;
            let event =
                AuditEvent::new(Action::Restored, &operation.owner.id, &operation.generation, &item.arn);
            world.record(&event.of(slot).version(&item.version_id).public(item.public.as_deref()));
            Ok::<_, ProvisionError>(())
        })
        .await?;
        let made_here = made.iter().filter(|(_, _, here)| *here);
        self.made_here.extend(made_here.map(|(slot, item, _)| (slot.clone(), item.clone())));
        self.kept.extend(made.into_iter().map(|(slot, item, _)| (slot, item)));
        self.kept.append(&mut self.restored);
        self.made.clear();
        self.noted = true;
        Ok(())
    }
}

impl Plan {
    /// Removes what this very call made, if another operation has followed meanwhile, or the
    /// resource is gone and none will: whoever looked did so before all of it was there, and nobody
    /// would know of it later. What a record names has found a use, and stays.
    async fn undo(
        &self,
        world: &impl World,
        permit: Option<&Permit>,
        operation: &Operation,
        observed: &Observed,
        stopped: &ProvisionError,
    ) -> Result<(), ProvisionError> {
        let Some(permit) = permit else { return Ok(()) };
        let is_gone = matches!(stopped, ProvisionError::NotInProgress(shown) if shown == "DELETE_COMPLETE");
        if self.made_here.is_empty() || !(is_gone || was_overtaken(world, operation, observed).await?) {
            return Ok(());
        }
        let (cluster, owner) = (operation.owner.id.cluster(), &operation.owner.id);
        each(&self.made_here, async |(slot, item)| {
            let documents = world.read_documents(&[cluster.record_parameter(slot.index)]).await?;
            let record = documents.into_iter().flatten().next();
            let is_named = record
                .and_then(|text| NodeRecord::verify(&text, &observed.keys, cluster, slot.index, 0).ok())
                .is_some_and(|record| record.names(&slot.purpose, &item.version_id));
            let facts = world.describe_secret(&cluster.secret_name(slot.index, &slot.purpose)).await?;
            let is_used = facts.is_some_and(|facts| facts.was_retrieved);
            if !is_named && !is_used {
                world.remove_secret(permit, &item.arn).await?;
                let event =
                    AuditEvent::new(Action::Removed, &operation.owner.id, &operation.generation, &item.arn);
                world.record(&event.of(slot));
            }
            Ok::<_, ProvisionError>(())
        })
        .await?;
        if is_gone {
            world.withdraw(permit, &[cluster.intent_parameter(owner.digest())]).await?;
        }
        Ok(())
    }
}

/// What cannot change without a new key is refused here, by property.
fn refuse_a_change_of_kind(
    spec: &ClusterSpec,
    slot: &Slot,
    facts: &SecretFacts,
    item: &Item,
) -> Result<(), ProvisionError> {
    let changed = |property: &str, allowed: &str| {
        ProvisionError::Property(PropertyFault {
            property: property.to_owned(),
            fault: "changed for keys that exist already, which this version does not do",
            allowed: format!("{allowed}, as they were made"),
        })
    };
    if slot.purpose == Purpose::P2pKey {
        let curve = public_key(slot, item, &facts.arn)?.curve();
        if curve != spec.curve {
            return Err(changed("P2pCurve", curve.name()));
        }
    }
    let protection = facts.tags.get(PROTECTION_TAG).map(String::as_str);
    if slot.purpose.is_read_by_the_node() && protection != Some(spec.protection.as_str()) {
        return Err(match protection {
            Some("Envelope") => changed("Protection", "Envelope"),
            Some("Service") => changed("Protection", "Service"),
            _ => incomplete(&facts.arn, "has no tag that says how it is protected: restore its tags"),
        });
    }
    Ok(())
}

fn incomplete(subject: &str, fault: &'static str) -> ProvisionError {
    ProvisionError::Incomplete { subject: subject.to_owned(), fault }
}

fn public_key(slot: &Slot, item: &Item, subject: &str) -> Result<P2pPublicKey, ProvisionError> {
    debug_assert_eq!(slot.purpose, Purpose::P2pKey);
    item.public
        .as_deref()
        .and_then(|spki| P2pPublicKey::from_spki_base64(spki).ok())
        .ok_or_else(|| incomplete(subject, "has no tag with its public key: restore its tags"))
}

impl Item {
    /// A secret that is there: which version counts is told by the node's record; before there is
    /// one, it is the first version, whose id follows from the tags.
    fn found(
        operation: &Operation,
        slot: &Slot,
        facts: &SecretFacts,
        record: Option<&NodeRecord>,
    ) -> Result<Self, ProvisionError> {
        let generation = generation_of(&facts.tags).ok_or_else(|| {
            incomplete(&facts.arn, "has no tag that names its generation: restore its tags")
        })?;
        let name = operation.owner.id.cluster().secret_name(slot.index, &slot.purpose);
        let first = Self {
            arn: facts.arn.clone(),
            version_id: first_version_token(&generation, &name),
            public: facts.tags.get(PUBLIC_TAG).cloned(),
            generation,
        };
        let Some(record) = record else { return Ok(first) };
        let current = |keys: &[AcceptedKey]| {
            let key = keys.iter().find(|key| key.state == KeyState::Current)?;
            Some((key.version_id.clone()?, Some(key.hash.to_string())))
        };
        let named = match &slot.purpose {
            Purpose::P2pKey => Some((record.version_id.clone(), Some(record.public_key.to_spki_base64()))),
            Purpose::SharePassword => record.share_version_id.clone().map(|id| (id, None)),
            Purpose::ManagementKey => current(&record.management_keys),
            Purpose::ApiKey(application) => record.api_keys.get(application).and_then(|keys| current(keys)),
        };
        Ok(match named {
            Some((version_id, public)) => Self { version_id, public, ..first },
            None => first,
        })
    }
}

async fn write_intent(
    world: &impl World,
    permit: &Permit,
    operation: &Operation,
    spec: &ClusterSpec,
    observed: &Observed,
) -> Result<(), ProvisionError> {
    let owner = &operation.owner.id;
    let serial = observed.next_serial(&operation.generation);
    let mut intent = Intent::new(owner.to_string(), operation.generation.clone(), serial);
    intent.nodes.extend(&spec.nodes);
    intent.applications.extend(spec.applications.iter().cloned());
    // What is here and not asked for stays findable until it is gone.
    for (slot, facts) in observed.ours() {
        if !facts.scheduled_for_deletion {
            intent.nodes.insert(slot.index);
            if let Purpose::ApiKey(application) = &slot.purpose {
                intent.applications.insert(application.clone());
            }
        }
    }
    intent.generations.extend(observed.never_listed(Some(&operation.generation)));
    let name = owner.cluster().intent_parameter(owner.digest());
    let text = sign(world, permit, &name, &intent).await?;
    publish(world, permit, operation, &name, &text).await
}

/// Stores a value under a new name, and tells whether it was this call that did. Whoever finds the name taken asks whose it is: a duplicate of
/// this very operation that was faster has done the work.
async fn store(
    world: &impl World,
    permit: &Permit,
    operation: &Operation,
    spec: &ClusterSpec,
    slot: &Slot,
    made: MadeValue,
) -> Result<(Item, bool), ProvisionError> {
    let name = spec.cluster.secret_name(slot.index, &slot.purpose);
    let token = first_version_token(&operation.generation, &name);
    let protection = slot.purpose.is_read_by_the_node().then(|| spec.protection.as_str());
    let tags = operation.owner.tags(&operation.generation, slot, made.public.clone(), protection);
    let secret = NewSecret {
        name: &name,
        token: &token,
        value: &made.value,
        key: &spec.kms_key,
        description: &format!(
            "{} of node {} of cluster {}, made by keyboot",
            slot.purpose, slot.index, spec.cluster
        ),
        tags: &tags,
    };
    match world.create_secret(permit, secret).await {
        Ok(stored) => {
            let event =
                AuditEvent::new(Action::Made, &operation.owner.id, &operation.generation, &stored.arn);
            world.record(&event.of(slot).version(&stored.version_id).public(made.public.as_deref()));
            let item = Item {
                arn: stored.arn,
                version_id: stored.version_id,
                public: made.public,
                generation: operation.generation.clone(),
            };
            Ok((item, true))
        }
        Err(PortError::Exists { .. }) => Ok((found_in_the_way(world, operation, slot, &name).await?, false)),
        Err(error) => Err(error.into()),
    }
}

async fn found_in_the_way(
    world: &impl World,
    operation: &Operation,
    slot: &Slot,
    name: &crate::names::SecretName,
) -> Result<Item, ProvisionError> {
    let facts = world
        .describe_secret(name)
        .await?
        .ok_or_else(|| incomplete(name.as_str(), "came and went while it was being made: try again"))?;
    match place(&operation.owner, facts) {
        Place::Ours(facts) if facts.scheduled_for_deletion => {
            Err(incomplete(name.as_str(), "was scheduled for deletion meanwhile: try again"))
        }
        Place::Ours(facts) => Item::found(operation, slot, &facts, None),
        Place::Foreign(owner) => {
            Err(ProvisionError::Foreign { subject: format!("secret {name}"), owner, remedy: "" })
        }
    }
}

/// Every document as it should be, beside what has to be written.
struct Drafts {
    items: BTreeMap<Slot, Item>,
    records: Vec<Draft<NodeRecord>>,
    environments: Vec<Draft<String>>,
    pages: Vec<String>,
    index: Draft<RosterIndex>,
}

/// A document as it should be, and whether it has to be written.
struct Draft<D> {
    name: ParameterName,
    document: D,
    differs: bool,
}

impl Drafts {
    fn of(
        world: &impl World,
        operation: &Operation,
        spec: &ClusterSpec,
        observed: &Observed,
        plan: &Plan,
    ) -> Result<Self, ProvisionError> {
        let items = plan.kept.clone();
        let is_new_life = is_new_life(operation, observed);
        let (mut records, mut environments) = (Vec::new(), Vec::new());
        for &index in &spec.nodes {
            let previous = observed.record(index);
            let record = draft_record(spec, index, &items, previous)?;
            // A node that the roster does not list yet, or no longer lists, may have documents
            // that are about to vanish, and so may one with secrets that were about to, and a
            // cluster that was deleted: they are written anew.
            let unlisted = is_new_life || plan.revived.contains(&index) || !observed.lists(index);
            records.push(Draft {
                name: spec.cluster.record_parameter(index),
                differs: unlisted || previous != Some(&record),
                document: record,
            });
            let text = draft_environment(world, spec, index, &items)?;
            environments.push(Draft {
                name: spec.cluster.environment_parameter(index),
                differs: unlisted || observed.environments.get(&index) != Some(&text),
                document: text,
            });
        }
        let entries: Vec<RosterEntry> = records.iter().map(|draft| (&draft.document).into()).collect();
        let name = spec.cluster.roster_index_parameter();
        let pages = roster::pages(&entries).map_err(|error| refused(&name, error))?;
        let mut index = RosterIndex {
            cluster: spec.cluster.clone(),
            generation: operation.generation.clone(),
            node_count: entries.len(),
            owner: operation.owner.id.to_string(),
            pages: pages.len(),
            regenerate: None,
            schema: roster::SCHEMA,
            serial: 1,
            sha256: roster::digest(&pages),
        };
        let mut differs = true;
        if let Some(previous) = observed.index() {
            // Whatever was made, restored or taken over is listed by a new index, even where it
            // shows no other page: what no index listed counts as never used.
            // Broken pages are written anew from the records, which carry their own proof.
            let is_whole = observed.broken.is_none();
            differs = previous.sha256 != index.sha256 || is_new_life || plan.noted || !is_whole;
            index.serial =
                if differs { observed.next_serial(&operation.generation) } else { previous.serial };
            index.regenerate.clone_from(&previous.regenerate);
            if !differs {
                index.generation = previous.generation.clone();
            }
        }
        Ok(Self { items, records, environments, pages, index: Draft { name, document: index, differs } })
    }

    fn page_names(&self, operation: &Operation) -> Vec<ParameterName> {
        let (cluster, serial) = (operation.owner.id.cluster(), self.index.document.serial);
        (0..self.pages.len()).map(|page| cluster.roster_page_parameter(serial, page)).collect()
    }

    fn differ(&self) -> bool {
        self.index.differs
            || self.records.iter().any(|draft| draft.differs)
            || self.environments.iter().any(|draft| draft.differs)
    }

    /// Publishes what differs: records and environments, then the roster's pages, then its index.
    async fn publish(
        &self,
        world: &impl World,
        permit: &Permit,
        operation: &Operation,
        observed: &Observed,
        noted: bool,
    ) -> Result<(), ProvisionError> {
        let records = each(self.records.iter().filter(|draft| draft.differs), async |draft| {
            let text = sign(world, permit, &draft.name, &draft.document).await?;
            publish(world, permit, operation, &draft.name, &text).await
        });
        let environments = each(self.environments.iter().filter(|draft| draft.differs), async |draft| {
            publish(world, permit, operation, &draft.name, &draft.document).await
        });
        both(records, environments).await?;
        if !self.index.differs {
            return Ok(());
        }
        refuse_what_was_overtaken(world, operation, observed, noted).await?;
        let pages = each(self.page_names(operation).into_iter().zip(&self.pages), async |(name, text)| {
            if observed.index().is_some() || observed.unlisted_pages.contains(&name) {
                return publish(world, permit, operation, &name, text).await;
            }
            publish_first(world, permit, operation, &name, text).await
        });
        let index = sign(world, permit, &self.index.name, &self.index.document);
        let (_, text) = both(pages, index).await?;
        self.commit(world, permit, operation, observed, &text).await
    }

    /// Writes the index: from here on the operation counts. The first index of a cluster must not
    /// meet another one, so two stacks that ask for one cluster at once cannot both win.
    async fn commit(
        &self,
        world: &impl World,
        permit: &Permit,
        operation: &Operation,
        observed: &Observed,
        text: &str,
    ) -> Result<(), ProvisionError> {
        let name = &self.index.name;
        if observed.index().is_some() {
            world.republish(permit, name, text, None).await?;
        } else {
            let tags = operation.owner.document_tags();
            match world.publish_new(permit, name, text, &tags).await {
                Err(PortError::Exists { .. }) => self.agree(world, operation, observed).await?,
                other => other?,
            }
        }
        note(world, operation, Action::Committed, name.as_str());
        Ok(())
    }

    /// An index came up meanwhile: fine if a duplicate of this very operation wrote the same.
    async fn agree(
        &self,
        world: &impl World,
        operation: &Operation,
        observed: &Observed,
    ) -> Result<(), ProvisionError> {
        let name = &self.index.name;
        let stored = world.read_documents(std::slice::from_ref(name)).await?.into_iter().flatten().next();
        let stored = stored.ok_or_else(|| {
            incomplete(name.as_str(), "came and went while it was being written: try again")
        })?;
        let other = RosterIndex::verify(&stored, &observed.keys, operation.owner.id.cluster())
            .map_err(|error| refused(name, error))?;
        if other == self.index.document {
            return Ok(());
        }
        Err(ProvisionError::Foreign {
            subject: format!("cluster {}", other.cluster),
            owner: other.owner,
            remedy: "",
        })
    }

    fn outcome(&self, world: &impl World, operation: &Operation, spec: &ClusterSpec, plan: Plan) -> Outcome {
        let cluster = operation.owner.id.cluster();
        let arn =
            |index, purpose: Purpose| self.items.get(&Slot { index, purpose }).map(|item| item.arn.clone());
        let nodes = self.records.iter().map(|draft| {
            let index = draft.document.index;
            let mut attributes = vec![
                ("PublicKey".to_owned(), draft.document.public_key.to_spki_base64()),
                ("RecordArn".to_owned(), world.document_arn(&cluster.record_parameter(index))),
                ("EnvArn".to_owned(), world.document_arn(&cluster.environment_parameter(index))),
            ];
            let mut secret = |name: String, purpose| {
                attributes.extend(arn(index, purpose).map(|arn| (name, arn)));
            };
            secret("P2pKeyArn".to_owned(), Purpose::P2pKey);
            secret("ShareSecretArn".to_owned(), Purpose::SharePassword);
            secret("ManagementKeyArn".to_owned(), Purpose::ManagementKey);
            for (position, application) in spec.applications.iter().enumerate() {
                secret(format!("ApiKeyArn{position}"), Purpose::ApiKey(application.clone()));
            }
            NodeOutcome { index, attributes }
        });
        Outcome {
            nodes: nodes.collect(),
            roster_arn: world.document_arn(&self.index.name),
            roster_sha256: self.index.document.sha256.clone(),
            told: plan.told,
        }
    }
}

/// Whether the cluster stands there from before and comes back: by a Create, or by a replacement
/// that leads back to it.
fn is_new_life(operation: &Operation, observed: &Observed) -> bool {
    let comes_anew =
        operation.kind == OperationKind::Create || operation.delivered_id != operation.owner.id.as_str();
    comes_anew && observed.index().is_some_and(|index| index.generation != operation.generation)
}

/// Writes a page of a cluster's first roster. Another stack that wants the same cluster writes its
/// own under the same name: whoever comes second gives way.
async fn publish_first(
    world: &impl World,
    permit: &Permit,
    operation: &Operation,
    name: &ParameterName,
    text: &str,
) -> Result<(), ProvisionError> {
    match world.publish_new(permit, name, text, &operation.owner.document_tags()).await {
        Err(PortError::Exists { .. }) => {
            let stored = world.read_documents(std::slice::from_ref(name)).await?;
            if stored.first().and_then(Option::as_deref) != Some(text) {
                return Err(ProvisionError::Foreign {
                    subject: format!("parameter {name}"),
                    owner: "another stack that asks for this cluster".into(),
                    remedy: "",
                });
            }
        }
        other => other?,
    }
    note(world, operation, Action::Published, name.as_str());
    Ok(())
}

/// The record of one node: what the previous one said, plus what is new, less what is gone.
fn draft_record(
    spec: &ClusterSpec,
    index: NodeIndex,
    items: &BTreeMap<Slot, Item>,
    previous: Option<&NodeRecord>,
) -> Result<NodeRecord, ProvisionError> {
    let item = |purpose: Purpose| {
        let name = spec.cluster.secret_name(index, &purpose);
        let slot = Slot { index, purpose };
        let item = items.get(&slot).ok_or_else(|| incomplete(name.as_str(), "was not made"));
        item.map(|item| (slot, item))
    };
    let accepted = |purpose: Purpose, before: Option<&Vec<AcceptedKey>>| -> Result<_, ProvisionError> {
        let (_, item) = item(purpose)?;
        // What the record says of a secret that is gone for good does not hold for a new one.
        let knows_it = |keys: &&Vec<AcceptedKey>| {
            keys.iter().any(|key| key.version_id.as_ref() == Some(&item.version_id))
        };
        if let Some(keys) = before.filter(knows_it) {
            return Ok(keys.clone());
        }
        let hash = item
            .public
            .as_deref()
            .and_then(|hash| hash.parse().ok())
            .ok_or_else(|| incomplete(&item.arn, "has no tag with its hash: restore its tags"))?;
        let version_id = Some(item.version_id.clone());
        Ok(vec![AcceptedKey { hash, state: KeyState::Current, until: None, version_id }])
    };
    let (slot, p2p) = item(Purpose::P2pKey)?;
    let public_key = public_key(&slot, p2p, &p2p.arn)?;
    let mut api_keys = BTreeMap::new();
    for application in &spec.applications {
        let before = previous.and_then(|record| record.api_keys.get(application));
        api_keys.insert(application.clone(), accepted(Purpose::ApiKey(application.clone()), before)?);
    }
    let management_keys = if spec.management_key {
        accepted(Purpose::ManagementKey, previous.map(|record| &record.management_keys))?
    } else {
        Vec::new()
    };
    let share_version_id =
        if spec.share_password { Some(item(Purpose::SharePassword)?.1.version_id.clone()) } else { None };
    let known = previous.filter(|record| record.version_id == p2p.version_id);
    let record = NodeRecord {
        api_keys,
        cluster: spec.cluster.clone(),
        curve: public_key.curve(),
        fingerprint: public_key.fingerprint(),
        generation: known.map_or_else(|| p2p.generation.clone(), |record| record.generation.clone()),
        index,
        management_keys,
        pending: known.and_then(|record| record.pending.clone()),
        public_key,
        schema: record::SCHEMA,
        serial: 1,
        share_version_id,
        version: match (known, previous) {
            (Some(known), _) => known.version,
            (None, Some(other)) => other.version + 1,
            (None, None) => 1,
        },
        version_id: p2p.version_id.clone(),
    };
    Ok(record.following(previous))
}

fn draft_environment(
    world: &impl World,
    spec: &ClusterSpec,
    index: NodeIndex,
    items: &BTreeMap<Slot, Item>,
) -> Result<String, ProvisionError> {
    let arn = |purpose| items.get(&Slot { index, purpose }).map(|item| item.arn.as_str());
    let environment = NodeEnvironment {
        cluster: &spec.cluster,
        index,
        node: spec.node_domain.as_ref().map(|domain| format!("node-{index}.{domain}")),
        p2p_key_arn: arn(Purpose::P2pKey).unwrap_or_default(),
        peer_record_arns: &spec.peer_record_arns,
        record_arn: world.document_arn(&spec.cluster.record_parameter(index)),
        share_secret_arn: arn(Purpose::SharePassword),
    };
    Ok(environment.to_text().map_err(MakeError::from)?)
}
