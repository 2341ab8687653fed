//! Every document of a cluster as it should be, and publishing those that differ.
//!
//! Records first, then environments and pages, the roster index last of all: a reader never meets
//! a public half whose private half is not stored, nor half a roster.

use std::collections::{BTreeMap, BTreeSet};

use crate::audit::Action;
use crate::authority::Permit;
use crate::environment::NodeEnvironment;
use crate::error::ProvisionError;
use crate::leases::Lease;
use crate::names::{NodeIndex, ParameterName, Purpose, Slot};
use crate::observing::{Observed, read_one};
use crate::operation::{Operation, OperationKind};
use crate::outcome::{NodeOutcome, Outcome};
use crate::overtaking::refuse_what_was_overtaken;
use crate::parallel::{at_most, both, each};
use crate::planning::{Plan, UNKNOWN, incomplete, public_key};
use crate::ports::{MakeError, PortError, World};
use crate::properties::ClusterSpec;
use crate::publishing::{note, publish, refused, sign};
use crate::record::{self, AcceptedKey, KeyState, NodeRecord};
use crate::renewing::Switch;
use crate::roster::{self, RosterEntry, RosterIndex};
use crate::scheduling::Reschedule;
use crate::versions::Item;

/// Nodes whose documents are published at once. More would only wait for their turn: the store takes
/// a few puts a second, and what waits at the end of the time has to be waited for.
const NODES_AT_ONCE: usize = 8;

/// Every document as it should be, beside what has to be written.
pub(crate) struct Drafts {
    pub(crate) items: BTreeMap<Slot, Item>,
    pub(crate) records: Vec<Draft<NodeRecord>>,
    pub(crate) environments: Vec<Draft<String>>,
    /// Versions that have to be handed out, between the records that name them and the roster.
    pub(crate) switches: Vec<Switch>,
    pub(crate) pages: Vec<String>,
    pub(crate) index: Draft<RosterIndex>,
}

/// A document as it should be, and whether it has to be written.
pub(crate) struct Draft<D> {
    pub(crate) name: ParameterName,
    pub(crate) document: D,
    pub(crate) differs: bool,
}

impl Drafts {
    pub(crate) fn of(
        world: &impl World,
        operation: &Operation,
        spec: &ClusterSpec,
        observed: &Observed,
        plan: &Plan,
    ) -> Result<Self, ProvisionError> {
        let items = plan.kept.clone();
        let is_new_life = is_new_life(operation, observed);
        let may_vanish = may_vanish(operation, observed, &plan.revived);
        let (mut records, mut environments) = (Vec::new(), Vec::new());
        for &index in &spec.nodes {
            let previous = observed.record(index);
            let record = draft_record(spec, index, &items, previous)?;
            // What is about to vanish is written anew, but once.
            let anew = may_vanish(index) && !observed.has_published(&operation.generation, index);
            // What was adopted gets our own signature as soon as it cannot be handed back any more.
            let is_signed_elsewhere = !observed.provisional && observed.is_signed_by_another(world, index);
            records.push(Draft {
                name: spec.cluster.record_parameter(index),
                differs: anew || is_signed_elsewhere || previous != Some(&record),
                document: record,
            });
            let text = draft_environment(world, spec, index, &items)?;
            environments.push(Draft {
                name: spec.cluster.environment_parameter(index),
                differs: anew || observed.environments.get(&index) != Some(&text),
                document: text,
            });
        }
        let entries: Vec<RosterEntry> = records.iter().map(|draft| (&draft.document).into()).collect();
        let name = spec.cluster.roster_index_parameter();
        let pages = roster::pages(&entries).map_err(|error| refused(&name, error))?;
        let mut index = RosterIndex {
            adopted_from: observed.index().and_then(|previous| previous.adopted_from.clone()),
            cluster: spec.cluster.clone(),
            finished: Vec::new(),
            generation: operation.generation.clone(),
            node_count: entries.len(),
            owner: operation.owner.id.to_string(),
            pages: pages.len(),
            regenerate: spec.regenerate.clone(),
            regenerate_before: observed.index().and_then(|previous| previous.token_before(spec.token())),
            rotation: spec.rotation.clone(),
            schema: roster::SCHEMA,
            serial: 1,
            sha256: roster::digest(&pages),
            store: spec.store,
        };
        let mut differs = true;
        if let Some(previous) = observed.index() {
            // Whatever was made, restored or taken over is listed by a new index, even where it
            // shows no other page: what no index listed counts as never used.
            // Broken pages are written anew from the records, which carry their own proof.
            let is_whole = observed.broken.is_none();
            let is_other = previous.sha256 != index.sha256
                || previous.regenerate != index.regenerate
                || previous.rotation != index.rotation;
            differs = is_other || is_new_life || plan.noted || !is_whole;
            index.serial =
                if differs { observed.next_serial(&operation.generation) } else { previous.serial };
            if differs {
                index.finished = previous.finished_after();
            } else {
                index.generation = previous.generation.clone();
                index.finished.clone_from(&previous.finished);
            }
        }
        let index = Draft { name, document: index, differs };
        let switches = Switch::all(plan, observed, &records);
        let mut drafts = Self { items, records, environments, switches, pages, index };
        if observed.is_committed(&operation.generation) {
            drafts.settle();
        }
        Ok(drafts)
    }

    pub(crate) fn page_names(&self, operation: &Operation) -> Vec<ParameterName> {
        let (cluster, serial) = (operation.owner.id.cluster(), self.index.document.serial);
        (0..self.pages.len()).map(|page| cluster.roster_page_parameter(serial, page)).collect()
    }

    /// What an operation had to publish stood before its mark did. What differs after it is the work
    /// of one that followed, and no delivery of the first one may turn it back.
    fn settle(&mut self) {
        self.index.differs = false;
        self.switches.clear();
        self.records.iter_mut().for_each(|draft| draft.differs = false);
        self.environments.iter_mut().for_each(|draft| draft.differs = false);
    }

    pub(crate) fn differ(&self) -> bool {
        self.index.differs
            || !self.switches.is_empty()
            || self.records.iter().any(|draft| draft.differs)
            || self.environments.iter().any(|draft| draft.differs)
    }

    /// Publishes what differs: records and environments, then the roster's pages, then its index.
    /// What the records name is handed out before the index is there, and rotated by the schedules that
    /// the index tells of.
    pub(crate) async fn publish(
        &self,
        world: &impl World,
        permit: &Permit,
        operation: &Operation,
        observed: &Observed,
        noted: bool,
        schedules: Vec<Reschedule>,
    ) -> Result<(), ProvisionError> {
        let nodes = self.records.iter().zip(&self.environments);
        let nodes = nodes.filter(|(record, environment)| record.differs || environment.differs);
        at_most(NODES_AT_ONCE, nodes, async |(record, environment)| {
            operation.time.check()?;
            let stood = observed.records.contains_key(&record.document.index);
            let record = async {
                if !record.differs {
                    return Ok(());
                }
                write_record(world, permit, operation, observed, record).await
            };
            let environment = async {
                if !environment.differs {
                    return Ok(());
                }
                publish(world, permit, operation, &environment.name, &environment.document).await
            };
            // An environment tells a retry that the record beside it needs nothing more.
            if stood {
                record.await?;
                environment.await
            } else {
                both(record, environment).await.map(drop)
            }
        })
        .await?;
        if !self.index.differs && self.switches.is_empty() && schedules.is_empty() {
            return Ok(());
        }
        operation.time.check()?;
        refuse_what_was_overtaken(world, operation, observed, noted).await?;
        // Not earlier: no rotation is to begin of a secret that its node's record does not name.
        each(schedules, async |change: Reschedule| change.carry_out(world, permit, operation).await).await?;
        let rotates = observed.rotates();
        let switches = each(&self.switches, async |switch| {
            refuse_what_was_rotated(world, observed, &self.records, switch.index()).await?;
            switch.carry_out(world, permit, operation).await.map_err(|error| match error {
                // A rotation has handed out another one since.
                ProvisionError::Port(PortError::Refused { what, .. }) if rotates => {
                    ProvisionError::Busy { subject: what }
                }
                error => error,
            })
        });
        if !self.index.differs {
            return switches.await.map(drop);
        }
        let pages = each(self.page_names(operation).into_iter().zip(&self.pages), async |(name, text)| {
            if observed.index().is_some() || observed.unlisted_pages.contains(&name) {
                return publish(world, permit, operation, &name, text).await;
            }
            publish_first(world, permit, operation, &name, text).await
        });
        let index = sign(world, permit, &self.index.name, &self.index.document);
        let ((_, text), _) = both(both(pages, index), switches).await?;
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
            match world.publish_new(permit, name, text, &tags, None).await {
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
        let stored = read_one(world, name).await?;
        let stored = stored.ok_or_else(|| {
            incomplete(name.as_str(), "came and went while it was being written: try again")
        })?;
        let other = RosterIndex::verify(&stored, &observed.keys, operation.owner.id.cluster())
            .map_err(|error| refused(name, error))?;
        if other == self.index.document {
            return Ok(());
        }
        Err(ProvisionError::Foreign { subject: format!("cluster {}", other.cluster), owner: other.owner })
    }

    pub(crate) fn outcome(
        &self,
        world: &impl World,
        operation: &Operation,
        spec: &ClusterSpec,
        plan: Plan,
    ) -> Outcome {
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

/// How many documents of nodes differ from what they should be, before anything is made.
pub(crate) fn differing_documents(
    world: &impl World,
    operation: &Operation,
    spec: &ClusterSpec,
    observed: &Observed,
    plan: &Plan,
) -> Result<usize, ProvisionError> {
    let may_vanish = may_vanish(operation, observed, &plan.revived);
    let changing: BTreeSet<NodeIndex> =
        plan.made.iter().chain(plan.restored.keys()).map(|slot| slot.index).collect();
    let mut differing = 0;
    for &index in &spec.nodes {
        if may_vanish(index) || changing.contains(&index) {
            differing += 2;
            continue;
        }
        let previous = observed.record(index);
        let record = draft_record(spec, index, &plan.kept, previous)?;
        let environment = draft_environment(world, spec, index, &plan.kept)?;
        differing += usize::from(previous != Some(&record));
        differing += usize::from(observed.environments.get(&index) != Some(&environment));
    }
    Ok(differing)
}

/// Tells of a node whether its documents may be about to vanish: one that the roster does not list yet,
/// or no longer lists, one with secrets that were about to go, and any of a cluster that was deleted.
pub(crate) fn may_vanish<'a>(
    operation: &Operation,
    observed: &'a Observed,
    revived: &'a BTreeSet<NodeIndex>,
) -> impl Fn(NodeIndex) -> bool + 'a {
    let is_new_life = is_new_life(operation, observed);
    move |index| is_new_life || revived.contains(&index) || !observed.lists(index)
}

/// Whether the cluster stands there from before and comes back: by a Create, or by a replacement
/// that leads back to it.
fn is_new_life(operation: &Operation, observed: &Observed) -> bool {
    let comes_anew =
        operation.kind == OperationKind::Create || operation.delivered_id != operation.owner.id.as_str();
    comes_anew && observed.index().is_some_and(|index| index.generation != operation.generation)
}

/// Writes a node's record. Where a rotation may be writing it too, that is kept from it meanwhile, and what
/// it has written since this operation looked is not overwritten.
async fn write_record(
    world: &impl World,
    permit: &Permit,
    operation: &Operation,
    observed: &Observed,
    record: &Draft<NodeRecord>,
) -> Result<(), ProvisionError> {
    let write = async || {
        let text = sign(world, permit, &record.name, &record.document).await?;
        publish(world, permit, operation, &record.name, &text).await
    };
    let index = record.document.index;
    let Some(seen) = observed.records.get(&index).filter(|_| observed.rotates()) else {
        return write().await;
    };
    let name = operation.owner.id.cluster().lease_parameter(index);
    let lease = Lease::take(world, permit, &operation.owner, &name).await?;
    let written = async {
        match read_one(world, &record.name).await? {
            // A duplicate of this very operation was faster.
            Some(stored) if stored != seen.text && is_text_of(&stored, observed, &record.document) => Ok(()),
            Some(stored) if stored != seen.text => {
                Err(ProvisionError::Busy { subject: record.name.to_string() })
            }
            _ => write().await,
        }
    };
    let written = written.await;
    lease.release(world, permit).await?;
    written
}

/// Whether a stored record says just this.
fn is_text_of(stored: &str, observed: &Observed, record: &NodeRecord) -> bool {
    let told = NodeRecord::verify(stored, &observed.keys, &record.cluster, record.index, 0);
    told.is_ok_and(|told| told == *record)
}

/// Refuses to go on where a rotation has written a record since this operation looked: what is handed out
/// may be another version by now.
async fn refuse_what_was_rotated(
    world: &impl World,
    observed: &Observed,
    records: &[Draft<NodeRecord>],
    index: NodeIndex,
) -> Result<(), ProvisionError> {
    let Some(draft) = records.iter().find(|draft| draft.document.index == index) else { return Ok(()) };
    let Some(seen) = observed.records.get(&index).filter(|_| observed.rotates()) else { return Ok(()) };
    match read_one(world, &draft.name).await? {
        Some(stored) if stored == seen.text || is_text_of(&stored, observed, &draft.document) => Ok(()),
        _ => Err(ProvisionError::Busy { subject: draft.name.to_string() }),
    }
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
    match world.publish_new(permit, name, text, &operation.owner.document_tags(), None).await {
        Err(PortError::Exists { .. }) => {
            if read_one(world, name).await?.as_deref() != Some(text) {
                return Err(ProvisionError::Foreign {
                    subject: format!("parameter {name}"),
                    owner: "another stack that asks for this cluster".into(),
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
            let mut keys = keys.iter();
            keys.any(|key| {
                key.version_id.as_ref() == Some(&item.version_id) && item.may_be(Some(&key.hash.to_string()))
            })
        };
        if let Some(keys) = before.filter(knows_it) {
            return Ok(keys.clone());
        }
        let hash = item
            .public
            .as_deref()
            .and_then(|hash| hash.parse().ok())
            .ok_or_else(|| incomplete(&item.arn, UNKNOWN))?;
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
    let known =
        previous.filter(|record| record.version_id == p2p.version_id && record.public_key == public_key);
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
        regenerate: spec.regenerate.is_some().then(|| spec.token()),
        schema: record::SCHEMA,
        serial: 1,
        share_version_id,
        version: match (known, previous) {
            (Some(known), _) => known.version,
            (None, other) => p2p.number.unwrap_or_else(|| other.map_or(1, |other| other.version + 1)),
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
