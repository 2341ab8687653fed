//! The rotation of one secret, step by step: a new API or management key, or a new P2P key.
//!
//! What every step keeps to:
//! - the key that is handed out, before and after every call, is one that its node accepts: the node's
//!   record lists a new API key before it is stored, and the old one is accepted until its overlap is over;
//! - nothing is read but public documents and what can be told of a secret;
//! - a version counts as the rotation's own by the signature beside its label, so that nobody can slip in one
//!   of his own under the id that the rotation was given;
//! - whatever was done before is found and gone on from: every step may be repeated, and so may all of them.
//!
//! A P2P key is handed out at once, and counts from a time that the record tells: until then its readers
//! find both, and no second rotation begins.

use jiff::{SignedDuration, Timestamp};
use key_material::ApiKeyHash;

use crate::audit::{Action, AuditEvent};
use crate::authority::{Permit, PinnedStacks, permit_to_rotate};
use crate::error::ProvisionError;
use crate::intent::Intent;
use crate::leases::Lease;
use crate::making::{MadeValue, Recipe, make_value};
use crate::names::{ClusterName, ParameterName, Purpose, SecretName, Slot};
use crate::observing::{Standing, owner_shown, pin, read_one, standing};
use crate::ownership::{Generation, Owner, generation_of};
use crate::parallel::{both, each};
use crate::planning::{incomplete, public_key};
use crate::ports::{CURRENT, NewVersion, PENDING, PortError, SecretFacts, World};
use crate::properties::{API_KEYS_EVERY, P2P_KEYS_EVERY, SealingKeyArn};
use crate::publishing::{refused, sign, sign_label};
use crate::record::{NodeRecord, PendingKey};
use crate::renewing::{StaleLabel, cannot_label};
use crate::roster::RosterIndex;
use crate::rotation_policy::RotationPolicy;
use crate::signed::{self, PinnedKeys};
use crate::store::Store;
use crate::version_label::{KeyDigest, VersionLabel, is_ours};
use crate::versions::{Evidence, FROM_BEFORE, Item, NO_GENERATION, is_from_before};

/// One rotation of one secret.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The store of the secret.
    pub store: Store,
    /// The cluster.
    pub cluster: ClusterName,
    /// The node, and what the secret is for.
    pub slot: Slot,
    /// The id that the rotation was given: in a store that takes tokens, the new version's own.
    pub token: String,
    /// When this step was asked for.
    pub now: Timestamp,
}

/// What a rotation has come to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// The version is there, and its public half is published.
    Ready,
    /// The version counts: there is nothing left to do.
    Finished,
    /// There is no version of this rotation.
    Nothing,
}

/// A secret in service, and all that is known of it.
struct InService {
    owner: Owner,
    permit: Permit,
    keys: PinnedKeys,
    facts: SecretFacts,
    index: RosterIndex,
    policy: RotationPolicy,
    record: NodeRecord,
    /// Whether nobody else may write the record meanwhile.
    is_in_turn: bool,
}

impl InService {
    fn item(&self, rotation: &Rotation) -> Result<Item, ProvisionError> {
        Item::found(self.evidence(rotation), &rotation.slot, &self.facts, Some(&self.record))
    }

    fn held(&self, rotation: &Rotation) -> Result<Vec<Item>, ProvisionError> {
        Item::all_signed(self.evidence(rotation), &rotation.slot, &self.facts)
    }

    fn evidence<'a>(&'a self, rotation: &'a Rotation) -> Evidence<'a> {
        Evidence { cluster: &rotation.cluster, keys: &self.keys }
    }

    /// Whether a version that a rotation put was replaced since: it is neither in use, nor about to be, and one
    /// that came later is.
    fn has_replaced(&self, rotation: &Rotation, own: &Item) -> Result<bool, ProvisionError> {
        let purpose = &rotation.slot.purpose;
        let (record, id) = (&self.record, own.version_id.as_str());
        let is_used = record.counts(purpose, id) || record.is_coming(purpose, id);
        let later = match (purpose, &record.pending) {
            (Purpose::P2pKey, Some(pending)) => Some(pending.version),
            _ => self.item(rotation)?.number,
        };
        Ok(!is_used && own.number < later)
    }

    /// The version that this rotation put.
    fn own(&self, rotation: &Rotation) -> Result<Option<Item>, ProvisionError> {
        // New keys by another token put an end to it.
        let token = Some(self.index.token());
        let is_own = |item: &Item| item.generation.as_str() == rotation.token && item.token == token;
        let own = self.held(rotation)?.into_iter().filter(is_own);
        // Of two that one rotation put, the first is its own.
        Ok(own.min_by_key(|item| item.number))
    }
}

impl Rotation {
    /// Makes the new version and puts it, unless that was done before. Nobody is handed it yet.
    ///
    /// # Errors
    ///
    /// [`ProvisionError`]; every step may be repeated. [`ProvisionError::Busy`] when another rotation is
    /// writing the node's record: soon it will not be.
    pub async fn make(&self, world: &impl World, pinned: &PinnedStacks) -> Result<Progress, ProvisionError> {
        let found = self.look(world, pinned).await?;
        if let Some(own) = found.own(self)? {
            return self.ensure_announced(world, &found, &own).await;
        }
        self.refuse_before_the_cut_over(&found)?;
        if !self.store.counts_versions() {
            return self.make_of(world, pinned, found).await;
        }
        // What is signed is the number that is put next: nobody else puts one meanwhile.
        let name = self.cluster.lease_parameter(self.slot.index);
        let lease = Lease::take(world, &found.permit, &found.owner, &name).await?;
        let made = async {
            let found = InService { is_in_turn: true, ..self.look(world, pinned).await? };
            self.refuse_beside_an_operation(world, &found).await?;
            match found.own(self)? {
                Some(own) => self.ensure_announced(world, &found, &own).await,
                None => self.make_of(world, pinned, found).await,
            }
        };
        let made = made.await;
        lease.release(world, &found.permit).await?;
        made
    }

    /// Refuses to put a version where an operation of the stack may be putting its own: of two that count, the
    /// one with the lower number would not be looked at any more.
    async fn refuse_beside_an_operation(
        &self,
        world: &impl World,
        found: &InService,
    ) -> Result<(), ProvisionError> {
        let name = self.cluster.intent_parameter(found.owner.id.digest());
        let note = read_one(world, &name).await?;
        let note = note.and_then(|text| signed::verify::<Intent>(&text, &found.keys).ok());
        if note.is_some_and(|note| note.is_open(Some(&found.index))) {
            return Err(ProvisionError::Busy { subject: name.to_string() });
        }
        Ok(())
    }

    /// Makes the new version from what was found.
    async fn make_of(
        &self,
        world: &impl World,
        pinned: &PinnedStacks,
        found: InService,
    ) -> Result<Progress, ProvisionError> {
        let found = self.ensure_promoted(world, pinned, found).await?;
        self.refuse_before_the_cut_over(&found)?;
        self.refuse_one_from_before(world, &found.record, &found.keys).await?;
        let old = found.item(self)?;
        // As signed documents say, and not what anybody may write beside the secret.
        let key = SealingKeyArn::of_a_secret(&found.policy.kms_key_arn);
        let key = key.ok_or_else(|| incomplete(&found.facts.arn, "is under no key of the customer's"))?;
        let shares_key = !self.store.counts_versions();
        if shares_key && found.facts.key.as_deref() != Some(key.as_str()) {
            return Err(incomplete(
                &found.facts.arn,
                "is under another key than its stack declares: it takes a new Regenerate to be rotated again",
            ));
        }
        let form = found.policy.form(&self.slot.purpose);
        let curve = found.record.curve;
        let recipe = Recipe { cluster: &self.cluster, key: &key, curve, form };
        let made = make_value(world, recipe, &self.slot).await?;
        let numbers = found.held(self)?.into_iter().filter_map(|item| item.number);
        let label = VersionLabel {
            token: found.index.token(),
            number: numbers
                .chain([old.number.unwrap_or(1), self.number_in(&found.record)])
                .max()
                .unwrap_or(1)
                + 1,
            form,
            key: KeyDigest::of(key.as_str()),
            generation: Generation::new(self.token.as_str()),
            public: VersionLabel::public_bytes(made.public.as_deref().unwrap_or_default())
                .unwrap_or_default(),
        };
        let text = label.to_text().map_err(|error| cannot_label(&old.arn, error))?;
        self.put(world, pinned, &found, &old, &made, &text, &key).await
    }

    /// Publishes what readers need of the new version. Of an API key they have it already; a P2P key is
    /// listed with the time from which it counts.
    ///
    /// # Errors
    ///
    /// As [`Rotation::make`].
    pub async fn publish(
        &self,
        world: &impl World,
        pinned: &PinnedStacks,
    ) -> Result<Progress, ProvisionError> {
        let found = self.look(world, pinned).await?;
        let Some(own) = found.own(self)? else { return Ok(Progress::Nothing) };
        self.ensure_announced(world, &found, &own).await
    }

    /// Looks whether the new version is there and published. Changes nothing.
    ///
    /// # Errors
    ///
    /// As [`Rotation::make`]; and [`ProvisionError::Incomplete`] where the version is there and nobody is
    /// told of it.
    pub async fn check(&self, world: &impl World, pinned: &PinnedStacks) -> Result<Progress, ProvisionError> {
        // A store tries a rotation out on a version of its own, before there need be anything to look at.
        if !self.was_begun(&self.describe(world).await?) {
            return Ok(Progress::Nothing);
        }
        let Some((found, own)) = self.look_at_published(world, pinned).await? else {
            return Ok(Progress::Nothing);
        };
        Ok(self.progress(&found, &own))
    }

    /// Hands the new version out, and has the one before accepted for as long as the overlap lasts.
    ///
    /// # Errors
    ///
    /// As [`Rotation::check`].
    pub async fn finish(
        &self,
        world: &impl World,
        pinned: &PinnedStacks,
    ) -> Result<Progress, ProvisionError> {
        let Some((found, own)) = self.look_at_published(world, pinned).await? else {
            return Ok(Progress::Nothing);
        };
        if found.has_replaced(self, &own)? {
            return Ok(Progress::Finished);
        }
        let name = self.cluster.lease_parameter(self.slot.index);
        let lease = Lease::take(world, &found.permit, &found.owner, &name).await?;
        let finished = self.finish_in_turn(world, pinned).await;
        lease.release(world, &found.permit).await?;
        finished
    }

    /// The same while nobody else writes the node's record: what is handed out is what the record lists.
    async fn finish_in_turn(
        &self,
        world: &impl World,
        pinned: &PinnedStacks,
    ) -> Result<Progress, ProvisionError> {
        let Some((found, own)) = self.look_at_published(world, pinned).await? else {
            return Ok(Progress::Nothing);
        };
        if found.has_replaced(self, &own)? {
            return Ok(Progress::Finished);
        }
        let found = InService { is_in_turn: true, ..found };
        let InService { owner, permit, facts, .. } = &found;
        let current = facts.staged(CURRENT).unwrap_or_default();
        if current != own.version_id {
            world.make_current(permit, &own.arn, current, &own.version_id).await?;
            let generation = Generation::new(self.token.as_str());
            let event = AuditEvent::new(Action::MadeCurrent, &owner.id, &generation, &own.arn);
            world.record(&event.of(&self.slot).version(&own.version_id).public(own.public.as_deref()));
        }
        if self.slot.purpose != Purpose::P2pKey {
            let until = self.after(found.policy.overlap());
            self.write(world, &found, |record| {
                record.promote(&self.slot.purpose, &own.version_id, until);
            })
            .await?;
        }
        if facts.staged(PENDING) == Some(&own.version_id) {
            world.unlabel_version(permit, &own.arn, &own.version_id, PENDING).await?;
        }
        let generation = Generation::new(self.token.as_str());
        // What an operation of the stack is putting under another token is its own, and not in the record yet.
        let labels_of = |version: &str| facts.versions.get(version).into_iter().flatten();
        let is_of_token = |version: &str| {
            let mut labels = labels_of(version).filter_map(|label| label.parse::<VersionLabel>().ok());
            labels.any(|label| Some(label.token) == own.token)
        };
        for stale in StaleLabel::all(&self.slot, facts, &own.version_id, None, None) {
            if is_of_token(stale.version_id()) {
                stale.release(world, permit, &owner.id, &generation).await?;
            }
        }
        Ok(Progress::Finished)
    }

    /// Ends the overlap of keys that were replaced, where it is over.
    ///
    /// # Errors
    ///
    /// As [`Rotation::make`].
    pub async fn retire(&self, world: &impl World, pinned: &PinnedStacks) -> Result<(), ProvisionError> {
        let found = self.look_at_node(world, pinned).await?;
        // Whatever is written is written without what is over.
        self.write(world, &found, |_| ()).await
    }

    /// Takes back a version that an older rotation left unfinished: nobody accepts it any more, and what
    /// holds it is taken off.
    ///
    /// # Errors
    ///
    /// As [`Rotation::make`].
    pub async fn discard(&self, world: &impl World, pinned: &PinnedStacks) -> Result<(), ProvisionError> {
        let found = self.look(world, pinned).await?;
        let InService { permit, facts, .. } = &found;
        let stale = facts.staged(PENDING).map(str::to_owned);
        let Some(stale) = stale.filter(|stale| facts.staged(CURRENT) != Some(stale)) else { return Ok(()) };
        self.write(world, &found, |record| record.withdraw_candidate(&self.slot.purpose, &stale)).await?;
        for label in facts.versions.get(&stale).into_iter().flatten() {
            if label == PENDING || is_ours(label) {
                world.unlabel_version(permit, &facts.arn, &stale, label).await?;
            }
        }
        Ok(())
    }

    /// A P2P key that has been announced counts before another one is.
    fn refuse_before_the_cut_over(&self, found: &InService) -> Result<(), ProvisionError> {
        if self.slot.purpose != Purpose::P2pKey || found.record.pending.is_none() {
            return Ok(());
        }
        Err(incomplete(
            &found.facts.arn,
            "has a key that has not begun to count yet: no other one is made before",
        ))
    }

    /// The time that follows this step by so much, in whole seconds.
    fn after(&self, duration: SignedDuration) -> Timestamp {
        let time = self.now.checked_add(duration).unwrap_or(Timestamp::MAX);
        Timestamp::from_second(time.as_second()).unwrap_or(time)
    }

    fn name(&self) -> SecretName {
        self.cluster.secret_name(self.slot.index, &self.slot.purpose)
    }

    fn record_name(&self) -> ParameterName {
        self.cluster.record_parameter(self.slot.index)
    }

    /// The highest number that the record gives to a P2P key.
    fn number_in(&self, record: &NodeRecord) -> u64 {
        let pending = record.pending.as_ref().map_or(0, |pending| pending.version);
        if self.slot.purpose == Purpose::P2pKey { record.version.max(pending) } else { 1 }
    }

    fn progress(&self, found: &InService, own: &Item) -> Progress {
        let is_current = found.facts.staged(CURRENT) == Some(own.version_id.as_str());
        if is_current && found.record.counts(&self.slot.purpose, &own.version_id) {
            Progress::Finished
        } else {
            Progress::Ready
        }
    }

    /// Whether anything that is kept with the secret says that this rotation has put a version.
    fn was_begun(&self, facts: &SecretFacts) -> bool {
        let mut labels =
            facts.versions.values().flatten().filter_map(|label| label.parse::<VersionLabel>().ok());
        labels.any(|label| label.generation.as_str() == self.token)
    }

    /// Looks at the secret, which has to be of a kind that is ever renewed.
    async fn describe(&self, world: &impl World) -> Result<SecretFacts, ProvisionError> {
        let name = self.name();
        let facts = world.describe_secret(self.store, &name).await?;
        let facts = facts.ok_or_else(|| incomplete(name.as_str(), "does not exist"))?;
        if self.slot.purpose == Purpose::SharePassword {
            return Err(incomplete(
                &facts.arn,
                "is a share-encryption password: it is written once and never rotated, since what it \
                 encrypted could not be read any more",
            ));
        }
        Ok(facts)
    }

    /// The same, and whether it may be rotated: in service, ours, and as its stack has declared.
    async fn look(&self, world: &impl World, pinned: &PinnedStacks) -> Result<InService, ProvisionError> {
        let found = self.look_at_node(world, pinned).await?;
        if found.policy.every(&self.slot.purpose).is_some() {
            return Ok(found);
        }
        let property = if self.slot.purpose == Purpose::P2pKey { P2P_KEYS_EVERY } else { API_KEYS_EVERY };
        Err(ProvisionError::NotRotated { subject: found.facts.arn, property })
    }

    /// The same where anything of its cluster is rotated: then whoever writes the node's record takes turns.
    async fn look_at_node(
        &self,
        world: &impl World,
        pinned: &PinnedStacks,
    ) -> Result<InService, ProvisionError> {
        let facts = self.describe(world).await?;
        let name = self.name();
        let foreign = |owner: String| ProvisionError::Foreign { subject: format!("secret {name}"), owner };
        let owner = Owner::named_by(&facts.tags).filter(|owner| *owner.id.cluster() == self.cluster);
        let owner = owner.ok_or_else(|| foreign(owner_shown(&facts)))?;
        let permit = permit_to_rotate(pinned, &owner)?;
        if facts.scheduled_for_deletion {
            return Err(incomplete(&facts.arn, "is in its recovery window: nothing of it is changed"));
        }
        let names = [self.cluster.roster_index_parameter(), self.record_name()];
        let (spki, documents) = both(world.verifying_key(), world.read_documents(&names)).await?;
        let keys = pin(world, &spki)?;
        let [index, record] = [0, 1].map(|n| documents.get(n).and_then(Option::as_deref));
        let index = match standing(index, &keys, &owner) {
            Standing::Ours(index) => index,
            Standing::Foreign(index) => return Err(foreign(index.owner)),
            Standing::None => return Err(incomplete(&facts.arn, "is of no cluster in service")),
            Standing::Unreadable(error) => return Err(refused(&names[0], error)),
        };
        if let Some(former) = index.adopted_from {
            return Err(ProvisionError::Provisional {
                from: former.owner,
                change: "a rotation makes another key",
            });
        }
        if index.store != self.store {
            return Err(incomplete(&facts.arn, "is not in the store that its cluster keeps its secrets in"));
        }
        let policy = index.rotation.clone().ok_or_else(|| ProvisionError::NotRotated {
            subject: facts.arn.clone(),
            property: API_KEYS_EVERY,
        })?;
        let record =
            record.ok_or_else(|| incomplete(names[1].as_str(), "is not there: update the stack first"))?;
        let record = self.checked(record, &keys)?;
        if !record.knows(&self.slot.purpose) {
            return Err(incomplete(&facts.arn, "is not listed in its node's record: nothing uses it"));
        }
        if record.token() != index.token() {
            // New keys are being declared for all of the cluster.
            return Err(ProvisionError::Busy { subject: names[1].to_string() });
        }
        let evidence = Evidence { cluster: &self.cluster, keys: &keys };
        if is_from_before(&record, evidence, &self.slot, &facts) {
            return Err(incomplete(names[1].as_str(), FROM_BEFORE));
        }
        Ok(InService { owner, permit, keys, facts, index, policy, record, is_in_turn: false })
    }

    /// The same with the version of this rotation, if there is one, which its node's record has to name.
    async fn look_at_published(
        &self,
        world: &impl World,
        pinned: &PinnedStacks,
    ) -> Result<Option<(InService, Item)>, ProvisionError> {
        let found = self.look(world, pinned).await?;
        let Some(own) = found.own(self)? else { return Ok(None) };
        if !own.is_named_by(&found.record, &self.slot) {
            return Err(incomplete(&own.arn, "has a new version that its node's record does not tell of"));
        }
        Ok(Some((found, own)))
    }

    fn checked(&self, record: &str, keys: &PinnedKeys) -> Result<NodeRecord, ProvisionError> {
        let record = NodeRecord::verify(record, keys, &self.cluster, self.slot.index, 0);
        record.map(|record| record.at(self.now)).map_err(|error| refused(&self.record_name(), error))
    }

    /// Has an API key accepted, and then puts it; a P2P key is stored before anybody is told of it.
    #[expect(clippy::too_many_arguments, reason = "what is put, where, and on whose behalf")]
    async fn put(
        &self,
        world: &impl World,
        pinned: &PinnedStacks,
        found: &InService,
        old: &Item,
        made: &MadeValue,
        label: &str,
        key: &SealingKeyArn,
    ) -> Result<Progress, ProvisionError> {
        let InService { owner, permit, .. } = found;
        // Where versions are counted, this is the number that it gets if nobody is faster.
        let version_id = self.store.next_version_id(&self.token, &found.facts.versions);
        let name = self.name();
        let first = generation_of(&found.facts.tags).ok_or_else(|| incomplete(&old.arn, NO_GENERATION))?;
        let signed = sign_label(world, permit, &name, &first, &version_id, label.to_owned()).await?;
        let hash = self.hash(made.public.as_deref(), &old.arn)?;
        if let Some(hash) = hash {
            self.write(world, found, |record| record.announce(&self.slot.purpose, hash, &version_id)).await?;
        }
        let version = NewVersion {
            name: &name,
            arn: &old.arn,
            token: &self.token,
            value: &made.value,
            label: &signed,
            key,
            pending: true,
        };
        match world.put_version(permit, version).await {
            Ok(version_id) => {
                let generation = Generation::new(self.token.as_str());
                let event = AuditEvent::new(Action::Renewed, &owner.id, &generation, &old.arn);
                world.record(&event.of(&self.slot).version(&version_id).public(made.public.as_deref()));
            }
            // What another run of this rotation put counts.
            Err(PortError::Exists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let found = InService { is_in_turn: found.is_in_turn, ..self.look(world, pinned).await? };
        let Some(own) = found.own(self)? else {
            // As long as it is pending no other rotation begins.
            if found.facts.staged(PENDING) == Some(&self.token)
                && found.facts.staged(CURRENT) != Some(&self.token)
            {
                world.unlabel_version(permit, &old.arn, &self.token, PENDING).await?;
            }
            return Err(incomplete(
                &old.arn,
                "has a version under this rotation's id that it did not put: start another rotation",
            ));
        };
        if self.slot.purpose == Purpose::P2pKey {
            return Ok(Progress::Ready);
        }
        self.ensure_announced(world, &found, &own).await
    }

    fn hash(&self, public: Option<&str>, subject: &str) -> Result<Option<ApiKeyHash>, ProvisionError> {
        if self.slot.purpose == Purpose::P2pKey {
            return Ok(None);
        }
        let hash = public.and_then(|public| public.parse().ok());
        hash.map(Some).ok_or_else(|| incomplete(subject, "has a version without a hash"))
    }

    /// Has a key count that is handed out already, where the rotation that did so never told.
    async fn ensure_promoted(
        &self,
        world: &impl World,
        pinned: &PinnedStacks,
        found: InService,
    ) -> Result<InService, ProvisionError> {
        let Some(current) = found.facts.staged(CURRENT).map(str::to_owned) else { return Ok(found) };
        let is_coming = found.record.is_coming(&self.slot.purpose, &current);
        if !is_coming || self.slot.purpose == Purpose::P2pKey {
            return Ok(found);
        }
        let until = self.after(found.policy.overlap());
        self.write(world, &found, |record| record.promote(&self.slot.purpose, &current, until)).await?;
        Ok(InService { is_in_turn: found.is_in_turn, ..self.look(world, pinned).await? })
    }

    /// Has the record list the version that is there, if it lists another one of this rotation or none.
    async fn ensure_announced(
        &self,
        world: &impl World,
        found: &InService,
        own: &Item,
    ) -> Result<Progress, ProvisionError> {
        if found.has_replaced(self, own)? {
            return Ok(Progress::Finished);
        }
        if own.is_named_by(&found.record, &self.slot) {
            return Ok(self.progress(found, own));
        }
        self.refuse_before_the_cut_over(found)?;
        if let Some(hash) = self.hash(own.public.as_deref(), &own.arn)? {
            self.write(world, found, |record| record.announce(&self.slot.purpose, hash, &own.version_id))
                .await?;
            return Ok(Progress::Ready);
        }
        let public_key = public_key(&self.slot, own, &own.arn)?;
        let pending = PendingKey {
            counts_from: self.after(found.policy.cut_over()),
            fingerprint: public_key.fingerprint(),
            generation: own.generation.clone(),
            version: own.number.unwrap_or(found.record.version + 1),
            version_id: own.version_id.clone(),
            public_key,
        };
        // One that another rotation has announced meanwhile comes first.
        self.write(world, found, |record| {
            record.pending.get_or_insert(pending);
        })
        .await?;
        Ok(Progress::Ready)
    }

    /// Changes the node's record, alone: it is read again once nobody else may write it.
    async fn write(
        &self,
        world: &impl World,
        found: &InService,
        change: impl FnOnce(&mut NodeRecord),
    ) -> Result<(), ProvisionError> {
        let InService { owner, permit, .. } = found;
        if found.is_in_turn {
            return self.write_alone(world, found, change).await;
        }
        let name = self.cluster.lease_parameter(self.slot.index);
        let lease = Lease::take(world, permit, owner, &name).await?;
        let written = self.write_alone(world, found, change).await;
        lease.release(world, permit).await?;
        written
    }

    async fn write_alone(
        &self,
        world: &impl World,
        found: &InService,
        change: impl FnOnce(&mut NodeRecord),
    ) -> Result<(), ProvisionError> {
        let InService { owner, permit, keys, .. } = found;
        let name = self.record_name();
        let stored = read_one(world, &name).await?;
        let stored =
            stored.ok_or_else(|| incomplete(name.as_str(), "went while it was changed: try again"))?;
        let before = self.checked(&stored, keys)?;
        if before.token() != found.record.token() {
            return Err(ProvisionError::Busy { subject: name.to_string() });
        }
        let mut after = before.clone();
        after.retire(self.now);
        change(&mut after);
        if after != before {
            self.refuse_one_from_before(world, &before, keys).await?;
            let text = sign(world, permit, &name, &after.following(Some(&before))).await?;
            world.republish(permit, &name, &text, None).await?;
            let generation = Generation::new(self.token.as_str());
            world.record(
                &AuditEvent::new(Action::Published, &owner.id, &generation, name.as_str()).of(&self.slot),
            );
        }
        Ok(())
    }

    /// Refuses to build on a record that was put back: with the next serial it would count again, and with it
    /// keys that were replaced, or removed.
    async fn refuse_one_from_before(
        &self,
        world: &impl World,
        record: &NodeRecord,
        keys: &PinnedKeys,
    ) -> Result<(), ProvisionError> {
        let mut serial = record.serial;
        let mut refused = self.fault_of_record(world, record, keys).await?;
        // What is handed out was looked at later than the record, which another rotation may have written since.
        while let Some(error) = refused {
            let text = read_one(world, &self.record_name()).await?.unwrap_or_default();
            let Ok(later) = self.checked(&text, keys) else { return Err(error) };
            if later.serial <= serial {
                return Err(error);
            }
            serial = later.serial;
            refused = self.fault_of_record(world, &later, keys).await?;
        }
        Ok(())
    }

    /// What tells that a record is from before what its node's secrets hand out.
    async fn fault_of_record(
        &self,
        world: &impl World,
        record: &NodeRecord,
        keys: &PinnedKeys,
    ) -> Result<Option<ProvisionError>, ProvisionError> {
        let evidence = Evidence { cluster: &self.cluster, keys };
        let record_name = self.record_name();
        let found = each(record.purposes(), async |purpose: Purpose| {
            let slot = Slot { index: self.slot.index, purpose };
            let name = self.cluster.secret_name(slot.index, &slot.purpose);
            let facts = world.describe_secret(self.store, &name).await?;
            Ok::<_, ProvisionError>(match facts.filter(|facts| !facts.scheduled_for_deletion) {
                None => Some(
                    "lists a secret that is not in service: update the stack, which makes what is missing",
                ),
                Some(facts) if is_from_before(record, evidence, &slot, &facts) => Some(FROM_BEFORE),
                Some(_) => None,
            })
        })
        .await?;
        let fault = found.into_iter().flatten().next();
        Ok(fault.map(|fault| incomplete(record_name.as_str(), fault)))
    }
}
