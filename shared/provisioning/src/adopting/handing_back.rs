//! Handing an adoption back: everything as the old owner left it.
//!
//! An adopter that goes before the adoption is confirmed was taken back by CloudFormation, and the
//! old resource lives on. Owner tags go back in one call, the adoption's own tags after them, so
//! that no secret is ever without an owner; then the roster index in the very text that stood
//! there; the claim goes last. Every step may be repeated, and nothing is scheduled but what was in
//! its recovery window before.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::claim::Claim;
use super::former::{Former, ask, still_stands};
use crate::audit::{Action, AuditEvent};
use crate::authority::{Permit, PinnedStacks, permit};
use crate::error::ProvisionError;
use crate::names::{NodeIndex, Slot};
use crate::observing::Observed;
use crate::operation::Operation;
use crate::ownership::{ADOPTED_FROM_TAG, ADOPTION_TAGS, OWNER_TAG, Owner};
use crate::parallel::each;
use crate::ports::{SecretFacts, World};
use crate::publishing::{note, sign};
use crate::retiring::withdraw;
use crate::roster::RosterIndex;

/// The recovery window of a secret that goes back into it, in days: the longest, since nobody knows
/// how much of the old one was left.
const WINDOW: u8 = 30;

/// Hands back what a resource that goes has adopted, unless it is confirmed, and says so.
pub(crate) async fn hand_back_before_removal(
    world: &impl World,
    pinned: &PinnedStacks,
    operation: &Operation,
    observed: &Observed,
) -> Result<Option<String>, ProvisionError> {
    let owner = &operation.owner;
    let former = if observed.index().is_some() {
        let Some(former) = observed.adopted_from() else { return Ok(None) };
        if !still_stands(world, &former).await? {
            return Ok(None);
        }
        former
    } else {
        let claim = observed.claim.as_ref().and_then(|claim| claim.of(owner));
        let by_claim = claim.and_then(|claim| claim.former.parsed());
        let by_tags = || observed.ours().find_map(|(_, facts)| Owner::adopted_from(&facts.tags));
        let Some(former) = by_claim.or_else(by_tags) else { return Ok(None) };
        former
    };
    let permit = permit(world, pinned, operation).await?;
    hand_back(world, &permit, operation, observed, &former).await?;
    Ok(Some(format!("what was taken over from {} belongs to it again", former.id)))
}

/// Gives everything of `former` back to it.
pub(super) async fn hand_back(
    world: &impl World,
    permit: &Permit,
    operation: &Operation,
    observed: &Observed,
    former: &Owner,
) -> Result<(), ProvisionError> {
    let owner = &operation.owner;
    let claim = observed.claim.as_ref().and_then(|claim| claim.of(owner));
    let is_gone = ask(world, former).await.is_ok_and(|shown| shown == Former::Gone);
    let goes_back = |slot: &Slot| is_gone && claim.is_some_and(|claim| claim.was_scheduled(slot));
    let is_adopted =
        |facts: &SecretFacts| Owner::adopted_from(&facts.tags).is_some_and(|from| from.id == former.id);
    let belongs_to_it = |facts: &SecretFacts| former.owns(&facts.tags);
    let ours = observed.ours().filter(|(_, facts)| is_adopted(facts));
    let theirs = observed.foreign().filter(|(_, facts)| belongs_to_it(facts));
    each(ours.chain(theirs), async |(slot, facts)| {
        let arn = facts.arn.as_str();
        let write_down = |action| {
            let event = AuditEvent::new(action, &owner.id, &operation.generation, arn);
            world.record(&event.of(slot).because(former.id.as_str()));
        };
        let has_tags = facts.tags.contains_key(ADOPTED_FROM_TAG);
        if has_tags {
            if facts.scheduled_for_deletion {
                // Nothing can be tagged in its window.
                world.restore_secret(permit, arn).await?;
            }
            if facts.tags.get(OWNER_TAG).is_some_and(|id| id != former.id.as_str()) {
                world.tag_secret(permit, arn, &former.owner_tags()).await?;
                write_down(Action::HandedBack);
            }
            world.untag_secret(permit, arn, &ADOPTION_TAGS).await?;
        }
        if goes_back(slot) && (has_tags || !facts.scheduled_for_deletion) {
            world.schedule_secret(permit, arn, WINDOW).await?;
            write_down(Action::Scheduled);
        }
        Ok::<_, ProvisionError>(())
    })
    .await?;
    let theirs = observed.foreign().map(|(slot, _)| slot);
    let went: BTreeSet<_> =
        observed.ours().map(|(slot, _)| slot).chain(theirs).filter(|slot| goes_back(slot)).collect();
    let nodes: BTreeSet<_> = went.iter().map(|slot| slot.index).collect();
    expire_records(world, permit, operation, observed, &nodes).await?;
    if let Some(index) = observed.index() {
        let name = owner.id.cluster().roster_index_parameter();
        let text = match claim.and_then(|claim| claim.index.clone()) {
            Some(text) => text,
            None => sign(world, permit, &name, &index_of(former, index)).await?,
        };
        world.republish(permit, &name, &text, None).await?;
        note(world, operation, Action::Published, name.as_str());
    }
    withdraw_claim(world, permit, operation, former, claim).await
}

/// The index as the old owner would have it, where the claim that kept its text is lost.
fn index_of(former: &Owner, ours: &RosterIndex) -> RosterIndex {
    let mut finished = ours.finished.clone();
    let generation = if finished.is_empty() { ours.generation.clone() } else { finished.remove(0) };
    RosterIndex { adopted_from: None, owner: former.id.to_string(), generation, finished, ..ours.clone() }
}

/// Records stay as long as what they describe can come back: the window has begun anew.
async fn expire_records(
    world: &impl World,
    permit: &Permit,
    operation: &Operation,
    observed: &Observed,
    nodes: &BTreeSet<NodeIndex>,
) -> Result<(), ProvisionError> {
    let days = SignedDuration::from_hours(24 * (i64::from(WINDOW) + 1));
    let end = operation.now.checked_add(days).unwrap_or(Timestamp::MAX);
    let end = Timestamp::from_second(end.as_second()).unwrap_or(end);
    let records = nodes.iter().filter_map(|index| Some((index, observed.records.get(index)?)));
    each(records, async |(index, record)| {
        let name = operation.owner.id.cluster().record_parameter(*index);
        Ok::<_, ProvisionError>(world.republish(permit, &name, &record.text, Some(end)).await?)
    })
    .await
    .map(drop)
}

/// Takes the claim away, unless it is another's.
async fn withdraw_claim(
    world: &impl World,
    permit: &Permit,
    operation: &Operation,
    former: &Owner,
    claim: Option<&Claim>,
) -> Result<(), ProvisionError> {
    if claim.is_none() {
        return Ok(());
    }
    let name = former.id.cluster().adoption_parameter(former.id.digest());
    withdraw(world, permit, operation, &[name]).await
}
