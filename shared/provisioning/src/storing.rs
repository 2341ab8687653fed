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
use crate::ownership::first_version_token;
use crate::parallel::{both, each};
use crate::planning::{Item, Plan, incomplete};
use crate::ports::{MakeError, NewSecret, PortError, World};
use crate::properties::ClusterSpec;
use crate::publishing::{publish, sign};

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
        self.restored_here = self.restored.clone();
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
        store: spec.store,
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
        Err(PortError::Exists { .. }) => {
            Ok((found_in_the_way(world, operation, spec, slot, &name).await?, false))
        }
        Err(error) => Err(error.into()),
    }
}

async fn found_in_the_way(
    world: &impl World,
    operation: &Operation,
    spec: &ClusterSpec,
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
        Place::Ours(facts) => Item::found(operation, slot, &facts, None),
        Place::Foreign(owner) => Err(ProvisionError::Foreign { subject: format!("secret {name}"), owner }),
    }
}
