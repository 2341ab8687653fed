//! Carrying a plan out: values made, proven and stored, secrets taken back from their window.
//!
//! The note goes first, so that a death half way leaves nothing that nobody would find.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::audit::{Action, AuditEvent};
use crate::authority::Permit;
use crate::drafting::may_vanish;
use crate::error::ProvisionError;
use crate::intent::Intent;
use crate::making::{MadeValue, make_value};
use crate::names::{NodeIndex, Purpose, SecretName, Slot};
use crate::observing::{Observed, Place, owner_shown, place};
use crate::operation::Operation;
use crate::ownership::{ORIGIN_TAG, REGENERATE_TAG, first_version_token};
use crate::parallel::{AT_ONCE, both, each};
use crate::planning::{Plan, first_number, incomplete};
use crate::ports::{MakeError, NewSecret, PortError, World};
use crate::properties::ClusterSpec;
use crate::publishing::{publish, sign, sign_label};
use crate::renewing::{cannot_label, label_for};
use crate::sealing::KeyOrigin;
use crate::signed::DocumentError;
use crate::versions::{Evidence, Item};

impl Plan {
    /// Makes and restores: the note first, so that a death half way leaves nothing unfindable.
    pub(crate) async fn carry_out(
        &mut self,
        world: &impl World,
        permit: &Permit,
        operation: &Operation,
        spec: &ClusterSpec,
        observed: &Observed,
    ) -> Result<(), ProvisionError> {
        // What was stored is known even if the next one fails: it may have to be taken back.
        let made_here = RefCell::new(BTreeMap::new());
        let made = async {
            let slots: Vec<&Slot> = self.made.iter().collect();
            // However many there are, a few are in memory at once; the first while the note is written.
            let mut waves = slots.chunks(AT_ONCE);
            let note = write_intent(world, permit, operation, spec, observed, &self.revived);
            let ((), mut values) =
                both(note, make(world, operation, spec, waves.next().unwrap_or_default())).await?;
            let mut made = Vec::with_capacity(slots.len());
            loop {
                let stored = each(values, async |(slot, value)| {
                    operation.time.check()?;
                    let (item, here) = store(world, permit, operation, spec, observed, slot, value).await?;
                    if here {
                        made_here.borrow_mut().insert(slot.clone(), item.clone());
                    }
                    Ok::<_, ProvisionError>((slot.clone(), item))
                });
                made.extend(stored.await?);
                let Some(wave) = waves.next() else { return Ok(made) };
                values = make(world, operation, spec, wave).await?;
            }
        };
        let made: Result<_, ProvisionError> = made.await;
        self.made_here = made_here.into_inner();
        let made = made?;
        self.restored_here = self.restored.clone();
        each(&self.restored, async |(slot, item)| {
            operation.time.check()?;
            world.restore_secret(permit, &item.arn).await?;
            let event =
                AuditEvent::new(Action::Restored, &operation.owner.id, &operation.generation, &item.arn);
            world.record(&event.of(slot).version(&item.version_id).public(item.public.as_deref()));
            Ok::<_, ProvisionError>(())
        })
        .await?;
        self.kept.extend(made);
        self.kept.append(&mut self.restored);
        self.made.clear();
        self.noted = true;
        Ok(())
    }
}

/// Makes values, and stores none.
async fn make<'a>(
    world: &impl World,
    operation: &Operation,
    spec: &ClusterSpec,
    slots: &[&'a Slot],
) -> Result<Vec<(&'a Slot, MadeValue)>, ProvisionError> {
    each(slots, async |slot: &&'a Slot| {
        operation.time.check()?;
        let made: Result<_, MakeError> = make_value(world, spec.into(), slot).await;
        Ok((*slot, made?))
    })
    .await
}

async fn write_intent(
    world: &impl World,
    permit: &Permit,
    operation: &Operation,
    spec: &ClusterSpec,
    observed: &Observed,
    revived: &BTreeSet<NodeIndex>,
) -> Result<(), ProvisionError> {
    let owner = &operation.owner.id;
    let serial = observed.next_serial(&operation.generation);
    let mut intent = Intent::new(owner.to_string(), operation.generation.clone(), serial, spec.store);
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
    intent.unproven = match observed.own_note(&operation.generation) {
        Some(own) if own.schema == intent.schema => own.unproven.clone(),
        _ => {
            let may_vanish = may_vanish(operation, observed, revived);
            let stands =
                |index: &&NodeIndex| observed.environments.contains_key(index) && may_vanish(**index);
            spec.nodes.iter().filter(stands).copied().collect()
        }
    };
    let name = owner.cluster().intent_parameter(owner.digest());
    let text = sign(world, permit, &name, &intent).await.map_err(|error| match error {
        ProvisionError::Document { error: DocumentError::TooLong(_), .. } => incomplete(
            &format!("the note of {} nodes that stand and are to stand", intent.nodes.len()),
            "is longer than a parameter holds, and nothing was changed: go there in two steps, or use adjoining indexes",
        ),
        error => error,
    })?;
    publish(world, permit, operation, &name, &text).await
}

/// Stores a value under a new name, and tells whether it was this call that did. Whoever finds the
/// name taken asks whose it is: a duplicate of this very operation that was faster has done the work.
async fn store(
    world: &impl World,
    permit: &Permit,
    operation: &Operation,
    spec: &ClusterSpec,
    observed: &Observed,
    slot: &Slot,
    made: MadeValue,
) -> Result<(Item, bool), ProvisionError> {
    let name = spec.cluster.secret_name(slot.index, &slot.purpose);
    let token = first_version_token(&operation.generation, &name);
    let protection = slot.purpose.is_read_by_the_node().then(|| spec.protection.as_str());
    let mut tags = operation.owner.tags(&operation.generation, slot, made.public.clone(), protection);
    if slot.purpose == Purpose::P2pKey && spec.key_origin != KeyOrigin::Function {
        tags.insert(ORIGIN_TAG.into(), spec.key_origin.as_str().into());
    }
    // The password is of no token: it is written once.
    if slot.purpose != Purpose::SharePassword && spec.regenerate.is_some() {
        tags.insert(REGENERATE_TAG.into(), spec.token().to_string());
    }
    let label = match made.public.as_deref() {
        // Where tags tell of the first version, it gets a label when another one takes its place.
        Some(public) if spec.store.counts_versions() => {
            let label = label_for(operation, spec, slot, first_number(observed, slot), public);
            let text = label.to_text().map_err(|error| cannot_label(name.as_str(), error))?;
            let id = spec.store.first_version_id(&operation.generation, &name);
            Some(sign_label(world, permit, &name, &operation.generation, &id, text).await?)
        }
        _ => None,
    };
    let secret = NewSecret {
        store: spec.store,
        name: &name,
        token: &token,
        value: &made.value,
        key: &spec.kms_key,
        description: &format!(
            "{} of node {} of cluster {}, made by keyboot",
            slot.purpose, slot.index, spec.cluster
        ),
        label: label.as_ref(),
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
                number: None,
                token: Some(spec.token()),
                form: None,
                key: None,
                label: label.map(|label| label.label),
            };
            Ok((item, true))
        }
        Err(PortError::Exists { .. }) => {
            Ok((found_in_the_way(world, operation, spec, observed, slot, &name).await?, false))
        }
        Err(error) => Err(error.into()),
    }
}

async fn found_in_the_way(
    world: &impl World,
    operation: &Operation,
    spec: &ClusterSpec,
    observed: &Observed,
    slot: &Slot,
    name: &SecretName,
) -> Result<Item, ProvisionError> {
    let facts = world
        .describe_secret(spec.store, name)
        .await?
        .ok_or_else(|| incomplete(name.as_str(), "came and went while it was being made: try again"))?;
    match place(&operation.owner, facts) {
        Place::Ours(facts) if facts.scheduled_for_deletion => {
            Err(incomplete(name.as_str(), "was scheduled for deletion meanwhile: try again"))
        }
        Place::Ours(facts) => Item::found(Evidence::of(operation, observed), slot, &facts, None),
        Place::Foreign(facts) => {
            Err(ProvisionError::Foreign { subject: format!("secret {name}"), owner: owner_shown(&facts) })
        }
    }
}
