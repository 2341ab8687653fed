//! Which keys a chain's roles have, whatever is asked for and whenever a run dies.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use jiff::{SignedDuration, Timestamp};
use key_material::ethereum::EthereumAddress;
use keyboot_onprem::chain::bringing::bring;
use keyboot_onprem::chain::planning::{Ask, Plan, Wanted};
use keyboot_onprem::chain::store::{ChainStore as _, KeyId};
use keyboot_onprem::chain::{ChainError, Role};
use keyboot_onprem::cluster::owner_of;
use proptest::prelude::*;
use provisioning::chain::{Leaving, RoleKeys};
use provisioning::names::ClusterName;
use provisioning::ownership::{Generation, Owner, OwnerId};
use provisioning::properties::OnDelete;
use provisioning::version_label::RegenerateToken;

use crate::memory::Memory;

/// What is asked for, with what it takes to ask.
#[derive(Clone, Debug)]
enum Asked {
    Bring { roles: BTreeSet<Role>, tokens: BTreeMap<Role, RegenerateToken> },
    Prepare(Role),
    Finish(Role),
    Abandon(Role),
}

struct Stage {
    memory: Memory,
    chain: ClusterName,
    owner: Owner,
    adopt_from: Option<OwnerId>,
    on_delete: OnDelete,
    now: Timestamp,
    asked: usize,
}

impl Stage {
    fn new() -> Self {
        let chain: ClusterName = "keyboot/l2".parse().unwrap();
        Self {
            memory: Memory::default(),
            owner: owner_of(&"ops".parse().unwrap(), &"team".parse().unwrap(), &chain).unwrap(),
            chain,
            adopt_from: None,
            on_delete: OnDelete::Schedule { days: 30 },
            now: "2026-01-02T03:04:05Z".parse().unwrap(),
            asked: 0,
        }
    }

    fn later(&mut self, days: i64) {
        self.now = self.now.checked_add(SignedDuration::from_hours(24 * days)).unwrap();
    }

    /// A generation of its own for each new request; a rotation's is told by what stands there.
    fn generation(&mut self, asked: &Asked) -> Generation {
        self.asked += 1;
        if matches!(asked, Asked::Bring { .. }) {
            return Generation::new(format!("request-{}", self.asked));
        }
        let document = self.memory.document.borrow();
        Generation::new(format!("rotation-{}", document.as_ref().map_or(0, |document| document.serial)))
    }

    fn once(&self, asked: &Asked, generation: &Generation) -> Result<Plan, ChainError> {
        let wanted = Wanted {
            chain: &self.chain,
            chain_id: 901,
            l1_chain_id: 1,
            owner: &self.owner,
            generation,
            adopt_from: self.adopt_from.as_ref(),
            on_delete: self.on_delete,
            now: self.now,
        };
        let ask = match asked {
            Asked::Bring { roles, tokens } => Ask::Bring { roles, regenerate: tokens },
            Asked::Prepare(role) => Ask::Prepare(*role),
            Asked::Finish(role) => Ask::Finish(*role),
            Asked::Abandon(role) => Ask::Abandon(*role),
        };
        now(bring(&self.memory, &wanted, &ask)).map(|(plan, _)| plan)
    }

    fn ask(&mut self, asked: &Asked) -> Result<Plan, ChainError> {
        let generation = self.generation(asked);
        self.once(asked, &generation)
    }

    fn keys(&self, role: Role) -> RoleKeys {
        let document = self.memory.document.borrow();
        let keys = document.as_ref().and_then(|document| document.roles.get(&role.as_segment()).cloned());
        keys.unwrap_or_default()
    }

    fn current(&self, role: Role) -> Option<(u32, EthereumAddress)> {
        self.keys(role).current.map(|key| (key.number, key.address))
    }

    /// Whether a role's key can be read by who signs with it.
    fn is_readable(&self, role: Role, number: u32) -> bool {
        self.memory.keys.borrow().get(&KeyId { role, number }).is_some_and(|key| !key.is_hidden)
    }
}

/// Nothing in memory is ever waited for.
fn now<T>(work: impl Future<Output = T>) -> T {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("something waits"),
    }
}

fn roles(roles: &[Role]) -> Asked {
    Asked::Bring { roles: roles.iter().copied().collect(), tokens: BTreeMap::new() }
}

fn with_token(role: Role, token: &str) -> Asked {
    let tokens = BTreeMap::from([(role, token.parse().unwrap())]);
    Asked::Bring { roles: Role::ALL.into(), tokens }
}

#[test]
fn each_role_gets_a_key_and_the_same_request_changes_nothing() {
    let mut stage = Stage::new();
    let all = roles(&Role::ALL);
    let plan = stage.ask(&all).unwrap();
    assert_eq!(plan.made.len(), 4);
    let addresses: BTreeSet<_> = Role::ALL.iter().map(|role| stage.current(*role).unwrap().1).collect();
    assert_eq!(addresses.len(), 4);
    let (effects, document) = (stage.memory.effects(), stage.memory.document.borrow().clone());
    let plan = stage.ask(&all).unwrap();
    assert!(plan.changes_nothing());
    assert_eq!(plan.kept.len(), 4);
    assert_eq!(stage.memory.effects(), effects);
    assert_eq!(*stage.memory.document.borrow(), document);
}

#[test]
fn a_role_that_goes_comes_back_with_its_key_until_its_time_is_over() {
    let mut stage = Stage::new();
    stage.ask(&roles(&[Role::Batcher, Role::Proposer])).unwrap();
    let batcher = stage.current(Role::Batcher).unwrap();
    let plan = stage.ask(&roles(&[Role::Proposer])).unwrap();
    assert_eq!(plan.scheduled.len(), 1);
    assert_eq!(stage.current(Role::Batcher), None);
    assert!(!stage.is_readable(Role::Batcher, 1));
    assert!(stage.is_readable(Role::Proposer, 1));
    assert!(stage.ask(&roles(&[Role::Proposer])).unwrap().changes_nothing());

    stage.later(29);
    let plan = stage.ask(&roles(&[Role::Batcher, Role::Proposer])).unwrap();
    assert!(plan.made.is_empty());
    assert_eq!(stage.current(Role::Batcher), Some(batcher));
    assert!(stage.is_readable(Role::Batcher, 1));

    stage.ask(&roles(&[Role::Proposer])).unwrap();
    stage.later(31);
    let plan = stage.ask(&roles(&[Role::Proposer])).unwrap();
    assert_eq!(plan.removed.len(), 1);
    let plan = stage.ask(&roles(&[Role::Batcher, Role::Proposer])).unwrap();
    // Its number is never given to another key.
    assert_eq!(plan.made.iter().map(|id| id.number).collect::<Vec<_>>(), [2]);
    assert_ne!(stage.current(Role::Batcher).unwrap().1, batcher.1);
}

#[test]
fn what_is_retained_stays_readable_and_comes_back() {
    let mut stage = Stage::new();
    stage.on_delete = OnDelete::Retain;
    stage.ask(&roles(&[Role::Batcher])).unwrap();
    let batcher = stage.current(Role::Batcher);
    stage.ask(&roles(&[])).unwrap();
    assert!(stage.is_readable(Role::Batcher, 1));
    assert_eq!(stage.keys(Role::Batcher).leaving[0].until, None);
    assert!(stage.ask(&roles(&[])).unwrap().changes_nothing());
    stage.ask(&roles(&[Role::Batcher])).unwrap();
    assert_eq!(stage.current(Role::Batcher), batcher);
}

#[test]
fn a_rotation_leaves_the_old_key_in_service_until_it_is_finished() {
    let mut stage = Stage::new();
    stage.ask(&roles(&Role::ALL)).unwrap();
    let old = stage.current(Role::Batcher).unwrap();
    stage.ask(&Asked::Prepare(Role::Batcher)).unwrap();
    let pending = stage.keys(Role::Batcher).pending.unwrap();
    assert_eq!((stage.current(Role::Batcher), pending.number), (Some(old), 2));
    assert!(stage.is_readable(Role::Batcher, 1) && stage.is_readable(Role::Batcher, 2));
    assert!(stage.ask(&Asked::Prepare(Role::Batcher)).unwrap().changes_nothing());
    // Provisioning meanwhile touches neither.
    assert!(stage.ask(&roles(&Role::ALL)).unwrap().changes_nothing());

    stage.ask(&Asked::Finish(Role::Batcher)).unwrap();
    assert_eq!(stage.current(Role::Batcher), Some((2, pending.address)));
    assert!(!stage.is_readable(Role::Batcher, 1) && stage.is_readable(Role::Batcher, 2));
    assert_eq!(stage.keys(Role::Batcher).leaving[0].because, Leaving::Replaced);
    let again = stage.ask(&Asked::Finish(Role::Batcher)).unwrap();
    assert!(again.changes_nothing() && again.told[0].contains("nothing to finish"), "{:?}", again.told);
    assert!(stage.ask(&roles(&Role::ALL)).unwrap().changes_nothing());
}

#[test]
fn an_abandoned_rotation_leaves_all_as_it_was() {
    let mut stage = Stage::new();
    stage.ask(&roles(&[Role::Sequencer])).unwrap();
    let old = stage.current(Role::Sequencer);
    stage.ask(&Asked::Prepare(Role::Sequencer)).unwrap();
    stage.ask(&Asked::Abandon(Role::Sequencer)).unwrap();
    assert_eq!(stage.current(Role::Sequencer), old);
    assert_eq!(stage.keys(Role::Sequencer).pending, None);
    assert!(stage.is_readable(Role::Sequencer, 1) && !stage.is_readable(Role::Sequencer, 2));
    assert!(stage.ask(&Asked::Abandon(Role::Sequencer)).unwrap().changes_nothing());
    // The next one is a third key.
    stage.ask(&Asked::Prepare(Role::Sequencer)).unwrap();
    assert_eq!(stage.keys(Role::Sequencer).pending.unwrap().number, 3);
}

#[test]
fn another_token_has_a_key_prepared_and_no_more_than_that() {
    let mut stage = Stage::new();
    stage.ask(&with_token(Role::Proposer, "2026-11")).unwrap();
    let old = stage.current(Role::Proposer).unwrap();
    assert_eq!((old.0, stage.keys(Role::Proposer).pending), (1, None));
    let plan = stage.ask(&with_token(Role::Proposer, "2026-12")).unwrap();
    assert_eq!(plan.made.len(), 1);
    assert_eq!(stage.current(Role::Proposer), Some(old));
    assert!(stage.ask(&with_token(Role::Proposer, "2026-12")).unwrap().changes_nothing());
    let waiting = stage.ask(&with_token(Role::Proposer, "2027-01")).unwrap();
    assert!(waiting.changes_nothing() && waiting.told[0].contains("prepared already"), "{:?}", waiting.told);
    stage.ask(&Asked::Abandon(Role::Proposer)).unwrap();
    // What was given up is not made again unasked.
    assert!(stage.ask(&with_token(Role::Proposer, "2026-12")).unwrap().changes_nothing());
    assert_eq!(stage.ask(&with_token(Role::Proposer, "2027-01")).unwrap().made.len(), 1);
}

#[test]
fn what_is_not_in_service_is_not_rotated() {
    let mut stage = Stage::new();
    stage.ask(&roles(&[Role::Batcher])).unwrap();
    let effects = stage.memory.effects();
    for asked in
        [Asked::Prepare(Role::Challenger), Asked::Finish(Role::Challenger), Asked::Abandon(Role::Challenger)]
    {
        let error = stage.ask(&asked).unwrap_err();
        assert!(matches!(error, ChainError::NotInService { role: Role::Challenger, .. }), "{error}");
    }
    assert_eq!(stage.memory.effects(), effects);
}

#[test]
fn a_key_that_counts_and_is_gone_is_told_and_never_replaced_unasked() {
    let mut stage = Stage::new();
    stage.ask(&roles(&Role::ALL)).unwrap();
    now(stage.memory.remove(KeyId { role: Role::Batcher, number: 1 })).unwrap();
    let effects = stage.memory.effects();
    let error = stage.ask(&roles(&Role::ALL)).unwrap_err();
    assert!(
        matches!(&error, ChainError::Incomplete { .. }) && error.to_string().contains("role/batcher/1"),
        "{error}"
    );
    assert_eq!(stage.memory.effects(), effects);
    // A rotation of another role goes on.
    stage.ask(&Asked::Prepare(Role::Proposer)).unwrap();
    // And this is the way out.
    stage.ask(&Asked::Prepare(Role::Batcher)).unwrap();
    stage.ask(&Asked::Finish(Role::Batcher)).unwrap();
    assert_eq!(stage.current(Role::Batcher).unwrap().0, 2);
    assert!(stage.ask(&roles(&Role::ALL)).unwrap().changes_nothing());
}

#[test]
fn what_is_another_owners_is_refused_and_taken_over_only_by_his_name() {
    let mut stage = Stage::new();
    stage.ask(&roles(&[Role::Batcher])).unwrap();
    let (old, address) = (stage.owner.clone(), stage.current(Role::Batcher));
    stage.owner = owner_of(&"ops".parse().unwrap(), &"others".parse().unwrap(), &stage.chain).unwrap();
    let effects = stage.memory.effects();
    let error = stage.ask(&roles(&[Role::Batcher])).unwrap_err();
    assert!(matches!(&error, ChainError::Foreign { owner, .. } if *owner == old.id.to_string()), "{error}");
    assert_eq!(stage.memory.effects(), effects);

    stage.adopt_from = Some(old.id);
    let plan = stage.ask(&roles(&[Role::Batcher])).unwrap();
    assert_eq!((plan.taken_over.len(), plan.made.len()), (1, 0));
    assert_eq!(stage.current(Role::Batcher), address);
    let owner = stage.owner.clone();
    assert!(stage.memory.keys.borrow().values().all(|key| key.owner == owner));
    stage.adopt_from = None;
    assert!(stage.ask(&roles(&[Role::Batcher])).unwrap().changes_nothing());
}

#[test]
fn a_key_that_another_made_meanwhile_under_a_wanted_role_is_refused() {
    let mut stage = Stage::new();
    stage.ask(&roles(&[Role::Batcher])).unwrap();
    let other = owner_of(&"ops".parse().unwrap(), &"others".parse().unwrap(), &stage.chain).unwrap();
    let key = key_material::P2pPrivateKey::make(key_material::Curve::Secp256k1).unwrap();
    let planted = KeyId { role: Role::Proposer, number: 1 };
    now(stage.memory.create(planted, &key, &other, &Generation::new("x"))).unwrap();
    let error = stage.ask(&roles(&[Role::Batcher, Role::Proposer])).unwrap_err();
    assert!(matches!(error, ChainError::Foreign { .. }), "{error}");
    assert!(stage.ask(&roles(&[Role::Batcher])).unwrap().changes_nothing());
}

#[test]
fn the_audit_log_tells_each_step_and_never_a_key() {
    let mut stage = Stage::new();
    stage.ask(&roles(&[Role::Batcher])).unwrap();
    stage.ask(&Asked::Prepare(Role::Batcher)).unwrap();
    stage.ask(&Asked::Finish(Role::Batcher)).unwrap();
    stage.ask(&roles(&[])).unwrap();
    stage.ask(&roles(&[Role::Batcher])).unwrap();
    let events = stage.memory.events.borrow();
    let actions: Vec<String> = events
        .iter()
        .map(|event| {
            serde_json::from_str::<serde_json::Value>(event).unwrap()["action"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(
        actions,
        [
            "made",
            "committed",
            "made",
            "committed",
            "committed",
            "scheduled",
            "committed",
            "scheduled",
            "restored",
            "committed"
        ]
    );
    for event in events.iter() {
        let event: serde_json::Value = serde_json::from_str(event).unwrap();
        let known =
            ["schema", "event", "action", "owner", "generation", "subject", "versionId", "public", "because"];
        assert!(event.as_object().unwrap().keys().all(|name| known.contains(&name.as_str())), "{event}");
    }
}

fn any_role() -> impl Strategy<Value = Role> {
    proptest::sample::select(Role::ALL.to_vec())
}

fn any_ask() -> impl Strategy<Value = Asked> {
    let token = proptest::sample::select(vec!["a", "b"]);
    let tokens = proptest::collection::btree_map(any_role(), token, 0..2);
    let roles = proptest::collection::btree_set(any_role(), 0..3);
    prop_oneof![
        3 => (roles, tokens).prop_map(|(roles, tokens)| Asked::Bring {
            roles,
            tokens: tokens.into_iter().map(|(role, token)| (role, token.parse().unwrap())).collect(),
        }),
        1 => any_role().prop_map(Asked::Prepare),
        1 => any_role().prop_map(Asked::Finish),
        1 => any_role().prop_map(Asked::Abandon),
    ]
}

/// What holds after a request that came to its end.
fn check(stage: &Stage, asked: &Asked) {
    let document = stage.memory.document.borrow();
    let keys = stage.memory.keys.borrow();
    for role in Role::ALL {
        let listed = document.as_ref().and_then(|document| document.roles.get(&role.as_segment())).cloned();
        let listed = listed.unwrap_or_default();
        if let Asked::Bring { roles, .. } = asked {
            assert_eq!(roles.contains(&role), listed.current.is_some(), "{role}");
            // Nothing is there that the document does not tell of.
            let numbers: BTreeSet<u32> = listed.numbers().collect();
            let stored: BTreeSet<u32> =
                keys.keys().filter(|id| id.role == role).map(|id| id.number).collect();
            assert_eq!(stored, numbers, "{role}");
            for left in listed.leaving.iter().filter(|left| left.until.is_some()) {
                assert!(keys[&KeyId { role, number: left.number }].is_hidden, "{role} {}", left.number);
            }
        }
        for key in listed.current.iter().chain(&listed.pending) {
            let stored = &keys[&KeyId { role, number: key.number }];
            assert_eq!(stored.address, key.address);
            assert!(!stored.is_hidden && stored.until.is_none(), "{role} {} cannot be read", key.number);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is asked for in whatever order, and whenever a run dies: the same request again comes to its end,
    /// no address that counts changes but by a finished rotation, no number is given twice (the store sees to
    /// that), and once more changes nothing.
    #[test]
    fn whenever_a_run_dies_the_next_one_goes_on(
        asked in proptest::collection::vec((any_ask(), 0_usize..12, 0_i64..20), 1..10),
    ) {
        let mut stage = Stage::new();
        for (asked, effects, days) in asked {
            stage.later(days);
            let before: BTreeMap<Role, _> =
                Role::ALL.iter().filter_map(|role| Some((*role, stage.current(*role)?))).collect();
            let generation = stage.generation(&asked);
            stage.memory.dies_after(Some(effects));
            let first = stage.once(&asked, &generation);
            stage.memory.dies_after(None);
            if let Err(error) = &first
                && !matches!(error, ChainError::Vault(_))
            {
                prop_assert!(matches!(error, ChainError::NotInService { .. }), "{error}");
                continue;
            }
            // A rotation that was written down is over: asked for again it finds nothing left, or what is.
            stage.once(&asked, &generation).unwrap();
            check(&stage, &asked);
            let total = stage.memory.effects();
            let again = stage.ask(&asked).unwrap();
            prop_assert!(again.changes_nothing(), "{asked:?}");
            prop_assert_eq!(stage.memory.effects(), total);
            for (role, key) in before {
                match &asked {
                    Asked::Finish(finished) if *finished == role => {}
                    Asked::Bring { roles, .. } if !roles.contains(&role) => {
                        prop_assert_eq!(stage.current(role), None);
                    }
                    _ => prop_assert_eq!(stage.current(role), Some(key)),
                }
            }
        }
    }
}
