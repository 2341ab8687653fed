//! What has to be done to come from the keys that a chain has to those that are wanted.
//!
//! Planning only compares: it refuses what is somebody else's, and says what to take over, to make, to restore, to
//! let go of and to remove, and what the chain document says then. A key that counts and is not there is never
//! replaced unasked: the chain knows its address. No I/O here.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use key_material::ethereum::EthereumAddress;
use provisioning::chain::{self, ChainDocument, Leaving, LeavingKey, RoleKey, RoleKeys};
use provisioning::names::{ClusterName, Segment};
use provisioning::ownership::{Generation, Owner, OwnerId};
use provisioning::properties::OnDelete;
use provisioning::store::end_of_window;
use provisioning::version_label::RegenerateToken;

use super::store::{Found, FoundKey, KeyId, Standing};
use super::{ChainError, Role};

/// What is wanted of a chain.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// The chain.
    pub chain: &'a ClusterName,
    /// Its id.
    pub chain_id: u64,
    /// The id of the chain that it settles on.
    pub l1_chain_id: u64,
    /// On whose behalf.
    pub owner: &'a Owner,
    /// In which operation.
    pub generation: &'a Generation,
    /// The old owner whose keys are taken over.
    pub adopt_from: Option<&'a OwnerId>,
    /// What becomes of keys that are let go of.
    pub on_delete: OnDelete,
    /// The time.
    pub now: Timestamp,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub enum Ask<'a> {
    /// That these roles and no others have a key that counts, made under these tokens.
    Bring {
        /// The roles.
        roles: &'a BTreeSet<Role>,
        /// The tokens.
        regenerate: &'a BTreeMap<Role, RegenerateToken>,
    },
    /// That a role has a new key beside the one that counts.
    Prepare(Role),
    /// That the key which was prepared counts.
    Finish(Role),
    /// That the key which was prepared goes.
    Abandon(Role),
}

/// What has to be done.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Keys of another owner that are taken over.
    pub taken_over: BTreeSet<KeyId>,
    /// Keys that are there and stay as they are.
    pub kept: BTreeSet<KeyId>,
    /// Keys to make.
    pub made: BTreeSet<KeyId>,
    /// Keys to take out of their recovery window.
    pub restored: BTreeSet<KeyId>,
    /// Keys to let go of, and until when they can come back.
    pub scheduled: BTreeMap<KeyId, Timestamp>,
    /// Keys to remove: their recovery window is over.
    pub removed: BTreeSet<KeyId>,
    /// What the document says of each role, by numbers.
    drafts: BTreeMap<Role, Draft>,
    /// Whether another document has to be written.
    pub writes: bool,
    /// What the reader should know.
    pub told: Vec<String>,
}

/// What the document will say of one role.
#[derive(Clone, Debug, Default)]
struct Draft {
    current: Option<u32>,
    pending: Option<u32>,
    leaving: BTreeMap<u32, LeavingKey>,
    highest: u32,
    regenerate: Option<RegenerateToken>,
}

impl Plan {
    /// Says what has to be done.
    ///
    /// # Errors
    ///
    /// [`ChainError::Foreign`], [`ChainError::Incomplete`] and [`ChainError::NotInService`]: nothing is done then.
    pub fn of(wanted: &Wanted<'_>, ask: &Ask<'_>, found: &Found) -> Result<Self, ChainError> {
        refuse_the_document_of_another(wanted, found)?;
        let mut plan = Self::default();
        for role in Role::ALL {
            let planner = Planner { wanted, ask, found, role, entry: entry(found, role) };
            let draft = planner.plan(&mut plan)?;
            if draft.highest > 0 {
                plan.drafts.insert(role, draft);
            }
        }
        let placeholders = plan.made.iter().map(|id| (*id, EthereumAddress::from([0; 20])));
        let document = plan.document(wanted, found, &placeholders.collect())?;
        plan.writes = found.document.as_ref() != Some(&document);
        Ok(plan)
    }

    /// Whether nothing has to be done.
    #[must_use]
    pub fn changes_nothing(&self) -> bool {
        self.taken_over.is_empty()
            && self.made.is_empty()
            && self.restored.is_empty()
            && self.scheduled.is_empty()
            && self.removed.is_empty()
            && !self.writes
    }

    /// Whether keys are hidden, brought back or removed, which takes more rights than to make some.
    #[must_use]
    pub fn replaces(&self) -> bool {
        !self.scheduled.is_empty() || !self.restored.is_empty() || !self.removed.is_empty()
    }

    /// The document that stands there afterwards; the one that stands there now, where it says the same.
    /// `made` are the addresses of the keys that were made.
    ///
    /// # Errors
    ///
    /// [`ChainError::Incomplete`] where the address of a key is not known.
    pub fn document(
        &self,
        wanted: &Wanted<'_>,
        found: &Found,
        made: &BTreeMap<KeyId, EthereumAddress>,
    ) -> Result<ChainDocument, ChainError> {
        let mut roles: BTreeMap<Segment, RoleKeys> = BTreeMap::new();
        for (&role, draft) in &self.drafts {
            let key = |number: Option<u32>| {
                let Some(number) = number else { return Ok(None) };
                let id = KeyId { role, number };
                // What is signed counts before what is said beside a key, also where the key is gone.
                let (listed, told) = (listed_address(found, id), found.key(id).map(|key| key.address));
                if listed.is_some() && told.is_some() && listed != told {
                    return Err(incomplete(wanted, id, ANOTHER));
                }
                let address = made.get(&id).copied().or(listed).or(told);
                let address =
                    address.ok_or_else(|| incomplete(wanted, id, "has no address that is known"))?;
                Ok::<_, ChainError>(Some(RoleKey { address, number }))
            };
            let keys = RoleKeys {
                current: key(draft.current)?,
                highest: draft.highest,
                leaving: draft.leaving.values().cloned().collect(),
                pending: key(draft.pending)?,
                regenerate: draft.regenerate.clone(),
            };
            roles.insert(role.as_segment(), keys);
        }
        // What a later version of this program knows of, it goes on knowing.
        if let Some(before) = &found.document {
            for (name, keys) in &before.roles {
                roles.entry(name.clone()).or_insert_with(|| keys.clone());
            }
        }
        let document = ChainDocument {
            chain: wanted.chain.clone(),
            chain_id: wanted.chain_id,
            generation: wanted.generation.clone(),
            l1_chain_id: wanted.l1_chain_id,
            owner: wanted.owner.id.to_string(),
            roles,
            schema: chain::SCHEMA,
            serial: 1,
        };
        Ok(document.following(found.document.as_ref()))
    }
}

fn refuse_the_document_of_another(wanted: &Wanted<'_>, found: &Found) -> Result<(), ChainError> {
    let Some(document) = &found.document else { return Ok(()) };
    let is_ours = document.owner == wanted.owner.id.as_str();
    let is_taken_over = wanted.adopt_from.is_some_and(|old| document.owner == old.as_str());
    if is_ours || is_taken_over {
        return Ok(());
    }
    Err(ChainError::Foreign { subject: format!("the chain {}", wanted.chain), owner: document.owner.clone() })
}

fn entry(found: &Found, role: Role) -> RoleKeys {
    let name = role.as_segment();
    found.document.as_ref().and_then(|document| document.roles.get(&name)).cloned().unwrap_or_default()
}

fn listed_address(found: &Found, id: KeyId) -> Option<EthereumAddress> {
    let entry = entry(found, id.role);
    let in_service = entry.current.iter().chain(&entry.pending).map(|key| (key.number, key.address));
    let mut listed = in_service.chain(entry.leaving.iter().map(|key| (key.number, key.address)));
    listed.find(|(number, _)| *number == id.number).map(|(_, address)| address)
}

fn incomplete(wanted: &Wanted<'_>, id: KeyId, fault: &'static str) -> ChainError {
    let name = wanted.chain.role_key_name(&id.role.as_segment(), id.number);
    ChainError::Incomplete { subject: format!("the key {name}"), fault }
}

/// What is wrong with a key that is described otherwise than it was signed.
const ANOTHER: &str = "has another address beside it than in the chain's signed document: what is said beside it was \
                       changed, and nothing else was; have it set right";

/// What is wrong with a key that counts and is not there.
const GONE: &str = "counts, and is not there any more: nothing was changed; bring it back from a backup, or replace it \
                    (`rotate prepare`, then `rotate finish`)";

/// Plans for one role.
struct Planner<'a> {
    wanted: &'a Wanted<'a>,
    ask: &'a Ask<'a>,
    found: &'a Found,
    role: Role,
    /// What the document says of it.
    entry: RoleKeys,
}

impl Planner<'_> {
    fn plan(&self, plan: &mut Plan) -> Result<Draft, ChainError> {
        let mut draft = Draft {
            current: self.entry.current.as_ref().map(|key| key.number),
            pending: self.entry.pending.as_ref().map(|key| key.number),
            leaving: self.entry.leaving.iter().map(|key| (key.number, key.clone())).collect(),
            highest: self.entry.highest,
            regenerate: self.entry.regenerate.clone(),
        };
        let is_wanted = match self.ask {
            Ask::Bring { roles, .. } => roles.contains(&self.role),
            Ask::Prepare(role) | Ask::Finish(role) | Ask::Abandon(role) if *role != self.role => {
                // A rotation of one role leaves the others as they are.
                return Ok(draft);
            }
            _ => true,
        };
        self.refuse_what_is_not_in_service()?;
        self.refuse_what_is_not_ours(is_wanted)?;
        draft.highest = self.highest();
        self.take_in_what_is_not_listed(&mut draft, plan);
        if is_wanted {
            self.bring(&mut draft, plan)?;
            self.rotate(&mut draft, plan);
        } else {
            self.let_go(&mut draft);
        }
        self.settle(&mut draft, plan)?;
        self.take_over(&draft, plan);
        Ok(draft)
    }

    /// A key that counts: the one that does, the one that did before its role went, or a new one.
    fn bring(&self, draft: &mut Draft, plan: &mut Plan) -> Result<(), ChainError> {
        let token = match self.ask {
            Ask::Bring { regenerate, .. } => regenerate.get(&self.role),
            _ => None,
        };
        if let Some(number) = draft.current {
            // Whoever replaces it need not have it any more.
            let replaces = matches!(self.ask, Ask::Prepare(_) | Ask::Finish(_));
            let is_there = self.key(number).is_some_and(|key| key.standing != Standing::Lost);
            if !is_there && !replaces {
                return Err(incomplete(self.wanted, self.id(number), GONE));
            }
        } else if let Some(number) = self.returning(draft) {
            draft.leaving.remove(&number);
            draft.current = Some(number);
        } else {
            draft.current = Some(self.spare_or_new(draft, plan));
            draft.regenerate = token.cloned();
        }
        if draft
            .pending
            .is_some_and(|number| self.key(number).is_none_or(|key| key.standing == Standing::Lost))
        {
            plan.told.push(format!(
                "the key of {} that was prepared is gone, and not waited for any more",
                self.role
            ));
            draft.pending = None;
        }
        if token.is_some_and(|token| draft.regenerate.as_ref() != Some(token)) {
            if draft.pending.is_some() {
                plan.told.push(format!(
                    "a key of {} is prepared already: finish or abandon it, and the new token of `regenerate` is \
                     applied after that",
                    self.role
                ));
            } else {
                draft.pending = Some(self.spare_or_new(draft, plan));
                draft.regenerate = token.cloned();
            }
        }
        Ok(())
    }

    /// A step of a rotation.
    fn rotate(&self, draft: &mut Draft, plan: &mut Plan) {
        match self.ask {
            Ask::Prepare(_) if draft.pending.is_none() => {
                draft.pending = Some(self.spare_or_new(draft, plan));
            }
            Ask::Finish(role) => match draft.pending.take() {
                Some(number) => {
                    let replaced = draft.current.replace(number);
                    self.leave(draft, replaced, Leaving::Replaced);
                }
                None => plan.told.push(format!("no key of {role} is prepared: there is nothing to finish")),
            },
            Ask::Abandon(role) => match draft.pending.take() {
                Some(number) => self.leave(draft, Some(number), Leaving::Abandoned),
                None => plan.told.push(format!("no key of {role} is prepared: there is nothing to abandon")),
            },
            Ask::Prepare(_) | Ask::Bring { .. } => {}
        }
    }

    /// All that is in service of a role that is not wanted any more.
    fn let_go(&self, draft: &mut Draft) {
        let (current, pending) = (draft.current.take(), draft.pending.take());
        self.leave(draft, current, Leaving::Removed);
        self.leave(draft, pending, Leaving::Abandoned);
    }

    /// Keys of ours that the document does not list: of an operation that died before it could say so. Those that
    /// this very operation made may still come into service.
    fn take_in_what_is_not_listed(&self, draft: &mut Draft, plan: &mut Plan) {
        let listed: BTreeSet<u32> = self.entry.numbers().collect();
        for key in self.ours().filter(|key| !listed.contains(&key.id.number)) {
            match key.standing {
                Standing::Held if self.is_of_this_operation(key) => {}
                Standing::Held => self.leave(draft, Some(key.id.number), Leaving::Abandoned),
                Standing::Leaving { until: Some(until), .. } if until <= self.wanted.now => {
                    plan.removed.insert(key.id);
                }
                Standing::Leaving { until, .. } => {
                    let left = LeavingKey {
                        address: key.address,
                        because: Leaving::Abandoned,
                        number: key.id.number,
                        until,
                    };
                    draft.leaving.insert(key.id.number, left);
                }
                Standing::Lost => {}
            }
        }
    }

    /// What each key that is listed needs to be as it is listed.
    fn settle(&self, draft: &mut Draft, plan: &mut Plan) -> Result<(), ChainError> {
        // What was made for this operation and found no use after all.
        while let Some(number) = self.spare(draft) {
            self.leave(draft, Some(number), Leaving::Abandoned);
        }
        for number in draft.current.iter().chain(&draft.pending) {
            let id = self.id(*number);
            match self.key(*number).map(|key| key.standing) {
                _ if plan.made.contains(&id) => {}
                Some(Standing::Held) => {
                    plan.kept.insert(id);
                }
                Some(Standing::Leaving { .. }) => {
                    plan.restored.insert(id);
                }
                // Whoever replaces it was let through before.
                None | Some(Standing::Lost) if draft.current == Some(*number) => {
                    if !matches!(self.ask, Ask::Prepare(_)) {
                        return Err(incomplete(self.wanted, id, GONE));
                    }
                }
                None | Some(Standing::Lost) => return Err(incomplete(self.wanted, id, GONE)),
            }
        }
        let end = self.end();
        let mut left = std::mem::take(&mut draft.leaving);
        left.retain(|&number, key| {
            let id = self.id(number);
            let Some(found) = self.key(number) else { return false };
            if !self.is_ours(found) {
                return false;
            }
            if matches!(self.ask, Ask::Bring { .. }) {
                // A rule that keeps nothing any more holds of what was kept before.
                key.until = key.until.or(end);
            }
            match (found.standing, key.until) {
                (Standing::Lost, _) => false,
                (_, Some(until)) if until <= self.wanted.now => {
                    plan.removed.insert(id);
                    false
                }
                (Standing::Leaving { until: Some(_), hidden: true }, _) | (_, None) => true,
                (_, Some(until)) => {
                    plan.scheduled.insert(id, until);
                    true
                }
            }
        });
        draft.leaving = left;
        Ok(())
    }

    /// Keys of the old owner that stay or go by what was planned: all that is touched becomes this owner's.
    fn take_over(&self, draft: &Draft, plan: &mut Plan) {
        let listed: BTreeSet<u32> =
            draft.current.iter().chain(&draft.pending).chain(draft.leaving.keys()).copied().collect();
        let of_another = self.ours().filter(|key| !self.is_owned(key));
        plan.taken_over.extend(of_another.filter(|key| listed.contains(&key.id.number)).map(|key| key.id));
    }

    fn leave(&self, draft: &mut Draft, number: Option<u32>, because: Leaving) {
        let Some(found) = number.and_then(|number| self.key(number)) else { return };
        let number = found.id.number;
        let key = LeavingKey { address: found.address, because, number, until: self.end() };
        draft.leaving.insert(number, key);
    }

    /// When the recovery window of what is let go of now is over, in whole seconds.
    fn end(&self) -> Option<Timestamp> {
        let OnDelete::Schedule { days } = self.wanted.on_delete else { return None };
        Some(end_of_window(self.wanted.now, days))
    }

    /// The key that counted before its role went, as long as it can come back.
    fn returning(&self, draft: &Draft) -> Option<u32> {
        let gone = draft.leaving.values().filter(|key| key.because == Leaving::Removed);
        let mut numbers = gone.map(|key| key.number).rev();
        numbers.find(|number| {
            self.key(*number).is_some_and(|key| self.is_ours(key) && key.standing != Standing::Lost)
        })
    }

    /// A key that this very operation made before it died, and that has no place yet.
    fn spare(&self, draft: &Draft) -> Option<u32> {
        let listed: BTreeSet<u32> = self.entry.numbers().collect();
        let has_a_place = |number: u32| {
            listed.contains(&number)
                || draft.current == Some(number)
                || draft.pending == Some(number)
                || draft.leaving.contains_key(&number)
        };
        let mut spare = self.ours().filter(|key| {
            key.standing == Standing::Held && self.is_of_this_operation(key) && !has_a_place(key.id.number)
        });
        spare.next().map(|key| key.id.number)
    }

    /// A key for a place that has none. One that is there already is told: whoever may make keys could have put it
    /// there.
    fn spare_or_new(&self, draft: &mut Draft, plan: &mut Plan) -> u32 {
        let Some(number) = self.spare(draft) else { return self.make(draft, plan) };
        plan.told.push(format!(
            "key {number} of {} was there already and was not made by this run: unless an earlier run of yours died, \
             have it replaced before it is used",
            self.role
        ));
        number
    }

    fn make(&self, draft: &mut Draft, plan: &mut Plan) -> u32 {
        draft.highest += 1;
        plan.made.insert(self.id(draft.highest));
        draft.highest
    }

    /// The highest number that was ever given. What is somebody else's under a role that is wanted is refused.
    fn highest(&self) -> u32 {
        self.ours().map(|key| key.id.number).chain([self.entry.highest]).max().unwrap_or(0)
    }

    fn refuse_what_is_not_ours(&self, is_wanted: bool) -> Result<(), ChainError> {
        if !is_wanted {
            return Ok(());
        }
        let foreign = self.found.keys.iter().find(|key| key.id.role == self.role && !self.is_ours(key));
        if let Some(key) = foreign {
            let owner = key.owner.as_ref().map(|owner| owner.id.to_string());
            return Err(ChainError::Foreign {
                subject: format!(
                    "the key {}",
                    self.wanted.chain.role_key_name(&self.role.as_segment(), key.id.number)
                ),
                owner: owner.unwrap_or_else(|| "somebody who is not named".to_owned()),
            });
        }
        match self.found.unknown.iter().find(|(id, _)| id.role == self.role) {
            Some((id, fault)) => Err(incomplete(self.wanted, *id, fault)),
            None => Ok(()),
        }
    }

    /// A rotation is of what is in service.
    fn refuse_what_is_not_in_service(&self) -> Result<(), ChainError> {
        if !matches!(self.ask, Ask::Bring { .. }) && self.entry.current.is_none() {
            return Err(ChainError::NotInService { chain: self.wanted.chain.to_string(), role: self.role });
        }
        Ok(())
    }

    /// The keys of this role that are this owner's, or the old owner's who is taken over from, ascending.
    fn ours(&self) -> impl Iterator<Item = &FoundKey> {
        let mut ours: Vec<&FoundKey> =
            self.found.keys.iter().filter(|key| key.id.role == self.role && self.is_ours(key)).collect();
        ours.sort_by_key(|key| key.id.number);
        ours.into_iter()
    }

    fn is_ours(&self, key: &FoundKey) -> bool {
        let is_taken_over = key
            .owner
            .as_ref()
            .is_some_and(|owner| self.wanted.adopt_from.is_some_and(|old| owner.id == *old));
        self.is_owned(key) || is_taken_over
    }

    fn is_owned(&self, key: &FoundKey) -> bool {
        let owner = self.wanted.owner;
        key.owner.as_ref().is_some_and(|found| found.id == owner.id && found.stack_id == owner.stack_id)
    }

    fn is_of_this_operation(&self, key: &FoundKey) -> bool {
        key.generation.as_ref() == Some(self.wanted.generation)
    }

    fn key(&self, number: u32) -> Option<&FoundKey> {
        self.found.key(self.id(number))
    }

    fn id(&self, number: u32) -> KeyId {
        KeyId { role: self.role, number }
    }
}
