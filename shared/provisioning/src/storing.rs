//! Carrying a plan out: values made, proven and stored, secrets taken back from their window.
//!
//! The note goes first, so that a death half way leaves nothing that nobody would find.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::audit::{Action, AuditEvent};
use crate::authority::Permit;
use crate::error::ProvisionError;
use crate::intent::Intent;
use crate::making::{MadeValue, make_value};
use crate::names::{Purpose, SecretName, Slot};
use crate::observing::{Observed, Place, place};
use crate::operation::Operation;
use crate::overtaking::was_overtaken;
use crate::ownership::first_version_token;
use crate::parallel::{both, each};
use crate::planning::{Item, Plan, incomplete};
use crate::ports::{MakeError, NewSecret, PortError, World};
use crate::properties::ClusterSpec;
use crate::publishing::{publish, sign};
use crate::record::NodeRecord;

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
        let values = async {
            let values = each(&self.made, async |slot| {
                Ok::<_, MakeError>((slot, make_value(world, spec, slot).await?))
            });
            Ok(values.await?)
        };
        let ((), values) = both(write_intent(world, permit, operation, spec, observed), values).await?;
        // What was stored is known even if the next one fails: it may have to be taken back.
        let made_here = RefCell::new(BTreeMap::new());
        let made = each(values, async |(slot, value)| {
            let (item, here) = store(world, permit, operation, spec, slot, value).await?;
            if here {
                made_here.borrow_mut().insert(slot.clone(), item.clone());
            }
            Ok::<_, ProvisionError>((slot.clone(), item))
        })
        .await;
        self.made_here = made_here.into_inner();
        let made = made?;
        each(&self.restored, async |(slot, item)| {
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

    /// Ends an operation that was stopped before it published, and gives the failure to answer:
    /// the one that stopped it, or the one that kept it from taking back what it had made.
    pub(crate) async fn give_up(
        &self,
        world: &impl World,
        permit: Option<&Permit>,
        operation: &Operation,
        observed: &Observed,
        stopped: ProvisionError,
    ) -> ProvisionError {
        let undone = self.undo(world, permit, operation, observed, &stopped).await;
        undone.err().unwrap_or(stopped)
    }

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
    name: &SecretName,
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
        Place::Foreign(owner) => Err(ProvisionError::Foreign { subject: format!("secret {name}"), owner }),
    }
}
