//! Carrying a plan out, in the order that leaves nothing behind that the next run could not go on from: take over,
//! make, restore, then the document, which is the mark, and only then let go of anything.
//!
//! A key is made here, proven (it signs, and the signature verifies under its public half) and handed to the
//! store; nothing else ever holds it, and it is wiped when its step is over.

use std::collections::BTreeMap;

use key_material::ethereum::EthereumAddress;
use key_material::{Curve, P2pPrivateKey};
use provisioning::audit::{Action, AuditEvent};

use super::ChainError;
use super::planning::{Ask, Plan, Wanted};
use super::store::{ChainStore, Found, KeyId};

/// The version of every role's key: each path is written once.
const VERSION: &str = "1";

/// Looks at what is there, plans, and carries the plan out. Gives the plan, and what was found before it.
///
/// # Errors
///
/// [`ChainError`]; whatever was made by then carries this operation's generation, and a run of the same operation
/// goes on with it.
pub async fn bring(
    store: &impl ChainStore,
    wanted: &Wanted<'_>,
    ask: &Ask<'_>,
) -> Result<(Plan, Found), ChainError> {
    let found = store.find().await?;
    let plan = Plan::of(wanted, ask, &found)?;
    carry_out(store, wanted, &found, &plan).await?;
    Ok((plan, found))
}

/// Carries a plan out.
///
/// # Errors
///
/// As [`bring`].
pub async fn carry_out(
    store: &impl ChainStore,
    wanted: &Wanted<'_>,
    found: &Found,
    plan: &Plan,
) -> Result<(), ChainError> {
    let note = |action, id: KeyId, because: Option<&str>| {
        let arn = store.key_arn(id);
        let address = found.key(id).map(|key| key.address.to_string());
        let event = AuditEvent::new(action, &wanted.owner.id, wanted.generation, &arn);
        let event = event.version(VERSION).public(address.as_deref());
        store.record(&match because {
            Some(reason) => event.because(reason),
            None => event,
        });
    };
    for &id in &plan.taken_over {
        store.take_over(id, wanted.owner).await?;
        note(Action::Adopted, id, None);
    }
    let mut made = BTreeMap::new();
    for &id in &plan.made {
        let key = P2pPrivateKey::make(Curve::Secp256k1)?;
        let address = EthereumAddress::of(&key.public_key())?;
        store.create(id, &key, wanted.owner, wanted.generation).await?;
        let (arn, shown) = (store.key_arn(id), address.to_string());
        let event = AuditEvent::new(Action::Made, &wanted.owner.id, wanted.generation, &arn);
        store.record(&event.version(VERSION).public(Some(&shown)));
        made.insert(id, address);
    }
    for &id in &plan.restored {
        store.restore(id).await?;
        note(Action::Restored, id, None);
    }
    let document = plan.document(wanted, found, &made)?;
    if found.document.as_ref() != Some(&document) {
        store.write(&document, found.newest).await?;
        let arn = store.document_arn();
        store.record(&AuditEvent::new(Action::Committed, &wanted.owner.id, wanted.generation, &arn));
    }
    let hides = !plan.scheduled.is_empty() || !plan.removed.is_empty();
    if hides && store.find().await?.document.as_ref() != Some(&document) {
        // Somebody came between, and may have brought back what would go now.
        return Err(ChainError::Meanwhile);
    }
    for (&id, &until) in &plan.scheduled {
        store.schedule(id, until).await?;
        note(Action::Scheduled, id, Some("it is not asked for any more"));
    }
    for &id in &plan.removed {
        store.remove(id).await?;
        note(Action::Removed, id, Some("its recovery window is over"));
    }
    Ok(())
}
