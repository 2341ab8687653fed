//! Whole stories of an adoption: a rename, a rollback, a move, a stack made again, two who want the
//! same. Whatever happens, no value and no version is lost, and nothing is two owners'.

use std::task::{Context, Waker};

use provisioning::ownership::{Generation, Owner};
use provisioning::store::Store;
use provisioning::{Operation, OperationKind, ProvisionError};

use crate::deaths::at_every_call;
use crate::fixtures::{
    Answer, Declared, LOGICAL_ID, NOW, OWNER, STACK, assert_gone_by_rule, assert_in_service_of, cluster,
    in_service, pinned, read_by, roster, run, run_removal,
};
use crate::world::{Mishap, OTHER_SIGNER, SIGNER, Stored, World};

const OTHER_STACK: &str = "arn:aws:cloudformation:eu-central-1:111122223333:stack/x/1";
const INDEX: &str = "/keyboot/tsm/roster/index";
const CLAIM: &str = "/keyboot/tsm/adoption/0123456789abcdef";

/// A resource, and what CloudFormation does with it.
#[derive(Clone, Copy)]
pub(crate) struct Resource {
    pub(crate) id: &'static str,
    stack: &'static str,
    name: &'static str,
}

pub(crate) const OLD: Resource = Resource { id: OWNER, stack: STACK, name: LOGICAL_ID };
const RENAMED: Resource =
    Resource { id: "keyboot/keyboot/tsm/aaaaaaaaaaaaaaaa", stack: STACK, name: "Renamed" };
pub(crate) const MOVED: Resource =
    Resource { id: "keyboot/keyboot/tsm/bbbbbbbbbbbbbbbb", stack: OTHER_STACK, name: "Keys" };

type Removed = Result<Vec<String>, ProvisionError>;

impl Resource {
    fn operation(&self, kind: OperationKind, request: &str) -> Operation {
        Operation {
            kind,
            owner: Owner {
                id: self.id.parse().unwrap(),
                stack_id: self.stack.into(),
                logical_id: self.name.into(),
            },
            generation: Generation::new(request),
            delivered_id: self.id.into(),
            now: NOW.parse().unwrap(),
            time: provisioning::TimeBudget::unlimited(),
        }
    }

    fn shows(&self, world: &World, status: &str) {
        let id = if status == "CREATE_IN_PROGRESS" { "" } else { self.id };
        world.show_other(self.stack, self.name, Some((status, id)));
    }

    /// CloudFormation knows nothing of it.
    pub(crate) fn is_gone(&self, world: &World) {
        world.show_other(self.stack, self.name, None);
    }

    pub(crate) fn create(&self, world: &World, declared: &Declared, request: &str) -> Option<Answer> {
        self.shows(world, "CREATE_IN_PROGRESS");
        let answer = run(world, &self.operation(OperationKind::Create, request), declared, None)?;
        self.shows(world, if answer.is_ok() { "CREATE_COMPLETE" } else { "CREATE_FAILED" });
        Some(answer)
    }

    pub(crate) fn update(
        &self,
        world: &World,
        old: &Declared,
        new: &Declared,
        request: &str,
    ) -> Option<Answer> {
        self.shows(world, "UPDATE_IN_PROGRESS");
        let answer = run(world, &self.operation(OperationKind::Update, request), new, Some(old))?;
        self.shows(world, if answer.is_ok() { "UPDATE_COMPLETE" } else { "UPDATE_FAILED" });
        Some(answer)
    }

    fn delete(&self, world: &World, declared: &Declared, request: &str) -> Option<Removed> {
        self.shows(world, "DELETE_IN_PROGRESS");
        let removed = run_removal(world, &self.operation(OperationKind::Delete, request), declared)?;
        self.shows(world, if removed.is_ok() { "DELETE_COMPLETE" } else { "DELETE_FAILED" });
        Some(removed)
    }
}

fn two_nodes() -> Declared {
    Declared::nodes(&[0, 1])
}

pub(crate) fn adopting(declared: Declared) -> Declared {
    declared.with("AdoptFrom", OWNER)
}

/// The old owner's cluster, in service.
pub(crate) fn old_cluster() -> World {
    let world = in_service(&two_nodes());
    OLD.shows(&world, "CREATE_COMPLETE");
    world
}

/// The old owner's cluster after its stack was deleted.
fn deleted_cluster() -> World {
    let world = old_cluster();
    OLD.delete(&world, &two_nodes(), "delete-0").unwrap().unwrap();
    OLD.is_gone(&world);
    world.revive();
    world
}

/// The old owner's cluster as the renamed resource has taken it over, provisionally.
fn taken_over() -> World {
    let world = old_cluster();
    RENAMED.create(&world, &adopting(two_nodes()), "create-2").unwrap().unwrap();
    world.revive();
    world
}

/// What no adoption may ever change of a secret.
fn values(stored: &Stored) -> Vec<String> {
    let told = |(name, secret): (&String, &crate::world::Secret)| {
        format!("{name} {} {:?} {}", secret.arn, secret.versions, secret.tags["keyboot:generation"])
    };
    stored.secrets.iter().map(told).collect()
}

fn assert_owned_by(stored: &Stored, owner: &Resource, of: &str) {
    for (name, secret) in &stored.secrets {
        let tag = |name: &str| secret.tags[name].as_str();
        let named = (tag("keyboot:owner"), tag("keyboot:stack"), tag("keyboot:resource"));
        assert_eq!(named, (owner.id, owner.stack, owner.name), "{of}: {name}");
    }
}

/// An adoption that is not confirmed: owners changed, and nothing else.
fn assert_provisional(world: &World, before: &Stored, owner: &Resource, of: &str) {
    let stored = world.stored();
    assert_eq!(values(&stored), values(before), "{of}");
    assert_owned_by(&stored, owner, of);
    assert!(stored.secrets.values().all(|secret| secret.scheduled.is_none()), "{of}");
    assert!(stored.secrets.values().all(|secret| secret.tags["keyboot:adopted-from"] == OWNER), "{of}");
    let (index, _) = roster(world);
    assert_eq!(index.owner, owner.id, "{of}");
    assert_eq!(index.adopted_from.unwrap().owner, OWNER, "{of}");
    let (mut documents, mut others) = (stored.documents, before.documents.clone());
    assert!(documents.remove(CLAIM).is_some(), "{of}");
    documents.remove(INDEX);
    others.remove(INDEX);
    assert_eq!(documents, others, "{of}");
}

#[test]
fn a_rename_changes_owners_and_nothing_else_and_is_confirmed_by_the_old_ones_delete() {
    let world = old_cluster();
    let before = world.stored();
    let outcome = RENAMED.create(&world, &adopting(two_nodes()), "create-2").unwrap().unwrap();
    assert!(outcome.told.iter().any(|told| told.contains(OWNER)), "{:?}", outcome.told);
    assert_provisional(&world, &before, &RENAMED, "the Create");
    world.revive();
    let again = RENAMED.create(&world, &adopting(two_nodes()), "create-2").unwrap().unwrap();
    assert_eq!((world.writes(), again), (vec![], outcome), "a duplicate");

    let told = OLD.delete(&world, &two_nodes(), "delete-1").unwrap().unwrap();
    assert_eq!(world.writes(), [""; 0], "the old one's Delete");
    assert!(told.iter().any(|told| told.contains(RENAMED.id)), "{told:?}");
    assert_provisional(&world, &before, &RENAMED, "the old one's Delete");

    // An Update that changes nothing, with AdoptFrom or without it, confirms.
    for declared in [two_nodes(), adopting(two_nodes())] {
        let world = world.copy();
        let text = crate::fixtures::document(&world.stored(), "/keyboot/tsm/node/0/record");
        RENAMED.update(&world, &adopting(two_nodes()), &declared, "update-2").unwrap().unwrap();
        assert_in_service_of(&world, &two_nodes(), RENAMED.id);
        let stored = world.stored();
        assert_eq!(values(&stored), values(&before));
        assert_eq!(crate::fixtures::document(&stored, "/keyboot/tsm/node/0/record"), text);
        assert_eq!(roster(&world).0.adopted_from, None);
        let has_a_tag = |tags: &provisioning::ownership::Tags| tags.keys().any(|key| key.contains("adopted"));
        assert!(!stored.secrets.values().any(|secret| has_a_tag(&secret.tags)));
        world.revive();
        RENAMED.update(&world, &declared, &declared, "update-3").unwrap().unwrap();
        assert_eq!(world.writes(), [""; 0]);
        // From here on it is a cluster like any other.
        let three = declared.clone().with_nodes(&[0, 1, 2]);
        RENAMED.update(&world, &declared, &three, "update-4").unwrap().unwrap();
        assert_in_service_of(&world, &three, RENAMED.id);
        RENAMED.delete(&world, &three, "delete-2").unwrap().unwrap();
        assert_gone_by_rule(&world, "the new one's Delete");
        assert_eq!(world.stored().secrets.len(), 12);
    }
    // Without another operation, its Delete follows the rules as well.
    RENAMED.delete(&world, &adopting(two_nodes()), "delete-2").unwrap().unwrap();
    assert_gone_by_rule(&world, "the new one's Delete");
    assert_owned_by(&world.stored(), &RENAMED, "the new one's Delete");
}

#[test]
fn a_rename_that_is_rolled_back_leaves_everything_as_it_was() {
    let world = old_cluster();
    let before = world.stored();
    RENAMED.create(&world, &adopting(two_nodes()), "create-2").unwrap().unwrap();
    // Its template may not name the old one any more.
    let without = world.copy();
    RENAMED.delete(&without, &two_nodes(), "delete-2").unwrap().unwrap();
    assert_eq!(without.stored(), before);
    let told = RENAMED.delete(&world, &adopting(two_nodes()), "delete-2").unwrap().unwrap();
    assert!(told.iter().any(|told| told.contains(OWNER)), "{told:?}");
    assert_eq!(world.stored(), before);
    let three = Declared::nodes(&[0, 1, 2]);
    OLD.update(&world, &two_nodes(), &three, "update-1").unwrap().unwrap();
    assert_in_service_of(&world, &three, OWNER);
    // And it may be tried again, from what the old one is now.
    RENAMED.create(&world, &adopting(three.clone()), "create-3").unwrap().unwrap();
    OLD.delete(&world, &three, "delete-1").unwrap().unwrap();
    RENAMED.update(&world, &three, &three, "update-2").unwrap().unwrap();
    assert_in_service_of(&world, &three, RENAMED.id);
}

#[test]
fn a_rename_that_ended_anywhere_is_completed_by_its_retry_or_handed_back_by_its_delete() {
    let start = old_cluster();
    let before = start.stored();
    let create = |world: &World| RENAMED.create(world, &adopting(two_nodes()), "create-2");
    let (points, shown) = at_every_call(
        &start,
        |world| matches!(create(world), Some(Ok(_))),
        |world, point| {
            assert_eq!(values(&world.stored()), values(&before), "{point}");
            let retried = world.copy();
            create(&retried).unwrap().unwrap_or_else(|error| panic!("{point}: {error}"));
            assert_provisional(&retried, &before, &RENAMED, point);
            for (world, at) in [(&retried, "after its retry"), (world, "at once")] {
                RENAMED.delete(world, &adopting(two_nodes()), "delete-2").unwrap().unwrap();
                assert_eq!(world.stored(), before, "{point}: {at}");
                world.revive();
                RENAMED.delete(world, &adopting(two_nodes()), "delete-2").unwrap().unwrap();
                assert_eq!(world.writes(), [""; 0], "{point}: the second Delete");
            }
        },
    );
    assert!(points > 25 && shown > 8, "{points}, {shown}");
}

#[test]
fn a_hand_back_that_ended_anywhere_is_completed_by_its_retry() {
    let start = taken_over();
    let before = old_cluster();
    let delete = |world: &World| RENAMED.delete(world, &adopting(two_nodes()), "delete-2");
    let (points, shown) = at_every_call(
        &start,
        |world| matches!(delete(world), Some(Ok(_))),
        |world, point| {
            delete(world).unwrap().unwrap_or_else(|error| panic!("{point}: {error}"));
            let stored = world.stored();
            assert_owned_by(&stored, &OLD, point);
            // Keys are random, so it is another world's cluster: what counts is what there is.
            assert!(stored.secrets.values().all(|secret| !secret.tags.contains_key("keyboot:adopted-from")));
            assert_in_service_of(world, &two_nodes(), OWNER);
            assert_eq!(stored.documents.len(), before.stored().documents.len(), "{point}");
            let three = Declared::nodes(&[0, 1, 2]);
            OLD.update(world, &two_nodes(), &three, "update-1").unwrap().unwrap();
            assert_in_service_of(world, &three, OWNER);
        },
    );
    assert!(points > 25 && shown > 8, "{points}, {shown}");
}

#[test]
fn a_confirmation_that_ended_anywhere_is_completed_by_its_retry() {
    let start = taken_over();
    OLD.is_gone(&start);
    let update = |world: &World| RENAMED.update(world, &adopting(two_nodes()), &two_nodes(), "update-2");
    at_every_call(
        &start,
        |world| matches!(update(world), Some(Ok(_))),
        |world, point| {
            update(world).unwrap().unwrap_or_else(|error| panic!("{point}: {error}"));
            assert_in_service_of(world, &two_nodes(), RENAMED.id);
            let stored = world.stored();
            assert_owned_by(&stored, &RENAMED, point);
            assert!(!stored.secrets.values().any(|secret| secret.tags.contains_key("keyboot:adopted-from")));
        },
    );
}

#[test]
fn nothing_changes_while_an_adoption_is_provisional() {
    let changes = [
        two_nodes().with_nodes(&[0, 1, 2]),
        two_nodes().with_nodes(&[0]),
        two_nodes().with("Applications", vec!["default", "more"]),
        two_nodes().with("ManagementKey", "false"),
        two_nodes().with("NodeDomain", "new.example.org"),
    ]
    .into_iter()
    // Parameters have no policies that could change.
    .chain((crate::STORE == Store::SecretsManager).then(|| read_by(two_nodes(), "node-0")));
    let fresh = old_cluster();
    let taken = taken_over();
    for change in changes {
        let world = fresh.copy();
        let before = world.stored();
        world.revive();
        let error = RENAMED.create(&world, &adopting(change.clone()), "create-2").unwrap().unwrap_err();
        assert!(matches!(error, ProvisionError::Provisional { .. }), "{error}");
        assert!(
            error.to_string().contains(OWNER) && error.to_string().contains("same properties"),
            "{error}"
        );
        assert_eq!(world.writes(), [""; 0]);
        RENAMED.delete(&world, &adopting(change.clone()), "delete-2").unwrap().unwrap();
        assert_eq!(world.stored(), before);

        let world = taken.copy();
        let error = RENAMED.update(&world, &two_nodes(), &change, "update-2").unwrap().unwrap_err();
        assert!(matches!(error, ProvisionError::Provisional { .. }), "{error}");
        RENAMED.update(&world, &change, &two_nodes(), "rollback-2").unwrap().unwrap();
        assert_eq!(world.writes(), [""; 0]);
        // Once the old one is gone it may.
        OLD.is_gone(&world);
        RENAMED.update(&world, &two_nodes(), &change, "update-3").unwrap().unwrap();
        assert_in_service_of(&world, &change, RENAMED.id);
    }
}

#[test]
fn the_old_one_changes_nothing_while_it_is_taken_over() {
    let world = taken_over();
    let error = OLD.update(&world, &two_nodes(), &Declared::nodes(&[0]), "update-1").unwrap().unwrap_err();
    assert!(matches!(&error, ProvisionError::Foreign { owner, .. } if owner == RENAMED.id), "{error}");
    OLD.update(&world, &Declared::nodes(&[0]), &two_nodes(), "rollback-1").unwrap().unwrap_err();
    assert_eq!(world.writes(), [""; 0]);
}

#[test]
fn a_stack_deleted_and_made_again_finds_its_keys_in_their_window_and_may_change_things_at_once() {
    for declared in [two_nodes(), Declared::nodes(&[0, 1, 2]), Declared::nodes(&[0])] {
        let world = deleted_cluster();
        let before = world.stored();
        MOVED.create(&world, &adopting(declared.clone()), "create-2").unwrap().unwrap();
        assert_in_service_of(&world, &declared, MOVED.id);
        let stored = world.stored();
        for (name, secret) in &before.secrets {
            assert_eq!(
                (&stored.secrets[name].arn, &stored.secrets[name].versions),
                (&secret.arn, &secret.versions)
            );
        }
        world.revive();
        MOVED.create(&world, &adopting(declared.clone()), "create-2").unwrap().unwrap();
        assert_eq!(world.writes(), [""; 0], "a duplicate");
        // What was not asked for stays in its window, and may be asked for later.
        let all = adopting(declared.clone().with_nodes(&[0, 1, 2]));
        MOVED.update(&world, &declared, &all, "update-2").unwrap().unwrap();
        assert_in_service_of(&world, &all, MOVED.id);
        let stored = world.stored();
        for (name, secret) in &before.secrets {
            assert_eq!(stored.secrets[name].versions, secret.versions, "{name}");
        }
        MOVED.delete(&world, &all, "delete-2").unwrap().unwrap();
        assert_gone_by_rule(&world, "its Delete");
    }
}

#[test]
fn a_stack_made_again_that_ended_anywhere_goes_on_or_gives_back_and_loses_nothing() {
    let start = deleted_cluster();
    let before = start.stored();
    let create = |world: &World| MOVED.create(world, &adopting(two_nodes()), "create-2");
    at_every_call(
        &start,
        |world| matches!(create(world), Some(Ok(_))),
        |world, point| {
            let retried = world.copy();
            create(&retried).unwrap().unwrap_or_else(|error| panic!("{point}: {error}"));
            assert_in_service_of(&retried, &two_nodes(), MOVED.id);
            assert_eq!(values(&retried.stored()), values(&before), "{point}");

            MOVED.delete(world, &adopting(two_nodes()), "delete-2").unwrap().unwrap();
            let stored = world.stored();
            assert_gone_by_rule(world, point);
            assert_eq!(values(&stored), values(&before), "{point}");
            // Before the roster had its name it is the old one's again, after that its own.
            let owner = if roster(world).0.owner == MOVED.id { MOVED } else { OLD };
            assert_owned_by(&stored, &owner, point);
            assert!(owner.id == MOVED.id || !stored.documents.contains_key(CLAIM), "{point}");
            MOVED.is_gone(world);
            let again = two_nodes().with("AdoptFrom", owner.id);
            RENAMED
                .create(world, &again, "create-3")
                .unwrap()
                .unwrap_or_else(|error| panic!("{point}: {error}"));
            assert_in_service_of(world, &two_nodes(), RENAMED.id);
            assert_eq!(values(&world.stored()), values(&before), "{point}");
        },
    );
}

#[test]
fn what_another_stacks_key_signed_is_taken_over_where_that_key_is_named() {
    let world = deleted_cluster();
    world.is_of_another_stack(&[]);
    let error = MOVED.create(&world, &adopting(two_nodes()), "create-2").unwrap().unwrap_err();
    let said = error.to_string();
    assert!(said.contains(SIGNER) && said.contains("FormerRecordKeyArns") && said.contains(OWNER), "{said}");
    assert_eq!(world.writes(), [""; 0]);

    world.is_of_another_stack(&[SIGNER]);
    let before = world.stored();
    MOVED.create(&world, &adopting(two_nodes()), "create-3").unwrap().unwrap();
    assert_in_service_of(&world, &two_nodes(), MOVED.id);
    assert_eq!(values(&world.stored()), values(&before));
    for (name, document) in world.stored().documents {
        let signed = !name.ends_with("/env") && !name.contains("/page/");
        assert!(!signed || document.text.contains(OTHER_SIGNER), "{name}");
    }
    // From now on the old key is not needed any more.
    world.is_of_another_stack(&[]);
    MOVED.update(&world, &two_nodes(), &Declared::nodes(&[0]), "update-2").unwrap().unwrap();
    assert_in_service_of(&world, &Declared::nodes(&[0]), MOVED.id);
}

#[test]
fn a_move_to_a_stack_with_another_key_can_be_handed_back_to_the_letter() {
    let start = old_cluster();
    let before = start.stored();
    start.is_of_another_stack(&[SIGNER]);
    at_every_call(
        &start,
        |world| matches!(MOVED.create(world, &adopting(two_nodes()), "create-2"), Some(Ok(_))),
        |world, point| {
            // Its own function knows nothing of the new key, and leaves everything alone.
            let other = world.copy();
            other.is_of_the_first_stack();
            if other.stored().documents.contains_key(CLAIM) {
                OLD.update(&other, &two_nodes(), &Declared::nodes(&[0]), "update-1").unwrap().unwrap_err();
                OLD.delete(&other, &two_nodes(), "delete-1").unwrap().unwrap();
                assert_eq!(other.writes(), [""; 0], "{point}");
            }
            MOVED.delete(world, &adopting(two_nodes()), "delete-2").unwrap().unwrap();
            assert_eq!(world.stored(), before, "{point}");
        },
    );
    MOVED.create(&start, &adopting(two_nodes()), "create-2").unwrap().unwrap();
    assert_provisional(&start, &before, &MOVED, "the move");
    start.is_of_the_first_stack();
    OLD.delete(&start, &two_nodes(), "delete-1").unwrap().unwrap();
    start.is_of_another_stack(&[SIGNER]);
    MOVED.update(&start, &two_nodes(), &two_nodes(), "update-2").unwrap().unwrap();
    assert_in_service_of(&start, &two_nodes(), MOVED.id);
    assert_eq!(values(&start.stored()), values(&before));
    start.is_of_another_stack(&[]);
    MOVED.update(&start, &two_nodes(), &Declared::nodes(&[0]), "update-3").unwrap().unwrap();
    assert_in_service_of(&start, &Declared::nodes(&[0]), MOVED.id);
}

/// Stops an operation before its call `at`, lets `meanwhile` happen, and lets it go on.
fn stopped<T>(world: &World, work: impl Future<Output = T>, at: usize, meanwhile: impl FnOnce()) -> T {
    let mut work = std::pin::pin!(work);
    world.pause_at(at);
    let mut context = Context::from_waker(Waker::noop());
    assert!(work.as_mut().poll(&mut context).is_pending(), "call {at} was not made");
    world.go_on();
    meanwhile();
    world.drive(work).unwrap()
}

fn calls_of(start: &World, work: impl Fn(&World)) -> usize {
    let calm = start.copy();
    work(&calm);
    calm.calls().len()
}

#[test]
fn of_two_adopters_one_wins_and_everything_can_still_be_handed_back() {
    let start = old_cluster();
    let before = start.stored();
    let declared = adopting(two_nodes());
    let calls = calls_of(&start, |world| {
        RENAMED.create(world, &declared, "create-2").unwrap().unwrap();
    });
    let (mut firsts, mut seconds) = (0, 0);
    for at in 0..calls {
        let world = start.copy();
        RENAMED.shows(&world, "CREATE_IN_PROGRESS");
        let (spec, pinned, create) =
            (declared.spec(), pinned(), RENAMED.operation(OperationKind::Create, "create-2"));
        let mut other = None;
        let work = provisioning::reconcile(&world, &pinned, &create, &spec, None);
        let first = stopped(&world, work, at, || {
            other = MOVED.create(&world, &declared, "create-3");
        });
        let second = other.unwrap();
        assert!(first.is_err() || second.is_err(), "{at}: both won");
        let (winner, loser) = if first.is_ok() { (RENAMED, MOVED) } else { (MOVED, RENAMED) };
        if first.is_ok() || second.is_ok() {
            assert_provisional(&world, &before, &winner, &at.to_string());
            let told = first.err().or(second.err()).unwrap().to_string();
            assert!(told.contains(winner.id) || told.contains("try again"), "{told}");
            if winner.id == RENAMED.id { firsts += 1 } else { seconds += 1 }
        }
        let shown = world.stored();
        loser.delete(&world, &declared, "delete-3").unwrap().unwrap();
        assert_eq!(world.stored(), shown, "{at}: the loser's Delete");
        winner.shows(&world, "CREATE_COMPLETE");
        winner.delete(&world, &declared, "delete-2").unwrap().unwrap();
        assert_eq!(world.stored(), before, "{at}");
    }
    assert!(firsts > 5 && seconds > 3, "{firsts}, {seconds}");
}

#[test]
fn an_adopter_that_its_own_delete_overtook_gives_everything_back() {
    let start = old_cluster();
    let before = start.stored();
    let declared = adopting(two_nodes());
    let calls = calls_of(&start, |world| {
        RENAMED.create(world, &declared, "create-2").unwrap().unwrap();
    });
    for at in 0..calls {
        let world = start.copy();
        RENAMED.shows(&world, "CREATE_IN_PROGRESS");
        let (spec, pinned, create) =
            (declared.spec(), pinned(), RENAMED.operation(OperationKind::Create, "create-2"));
        let work = provisioning::reconcile(&world, &pinned, &create, &spec, None);
        let answer = stopped(&world, work, at, || {
            RENAMED.delete(&world, &declared, "delete-2").unwrap().unwrap();
        });
        let mark = world.stored().documents[INDEX].text != before.documents[INDEX].text;
        assert!(!mark, "{at}: {answer:?}");
        assert_eq!(world.stored(), before, "{at}: {answer:?}");
    }
}

#[test]
fn the_old_ones_delete_over_an_adoption_loses_nothing() {
    let start = old_cluster();
    let before = start.stored();
    let declared = adopting(two_nodes());
    let calls = calls_of(&start, |world| {
        MOVED.create(world, &declared, "create-2").unwrap().unwrap();
    });
    let (mut taken, mut refused) = (0, 0);
    for at in 0..calls {
        let world = start.copy();
        MOVED.shows(&world, "CREATE_IN_PROGRESS");
        let (spec, pinned, create) =
            (declared.spec(), pinned(), MOVED.operation(OperationKind::Create, "create-2"));
        let work = provisioning::reconcile(&world, &pinned, &create, &spec, None);
        let answer = stopped(&world, work, at, || {
            OLD.delete(&world, &two_nodes(), "delete-1").unwrap().unwrap();
        });
        assert_eq!(values(&world.stored()), values(&before), "{at}");
        if answer.is_ok() {
            taken += 1;
        } else {
            refused += 1;
        }
        if answer.is_err() {
            MOVED.delete(&world, &declared, "delete-2").unwrap().unwrap();
            assert_owned_by(&world.stored(), &OLD, &at.to_string());
            MOVED
                .create(&world, &declared, "create-3")
                .unwrap()
                .unwrap_or_else(|error| panic!("{at}: {error}"));
        }
        MOVED.update(&world, &declared, &declared, "update-3").unwrap().unwrap();
        assert_in_service_of(&world, &two_nodes(), MOVED.id);
        assert_eq!(values(&world.stored()), values(&before), "{at}");
    }
    assert!(taken > 3 && refused > 3, "{taken}, {refused}");
}

#[test]
fn an_adoption_over_the_old_ones_delete_waits_until_it_is_over() {
    let start = old_cluster();
    let before = start.stored();
    let declared = adopting(two_nodes());
    let calls = calls_of(&start, |world| {
        OLD.delete(world, &two_nodes(), "delete-1").unwrap().unwrap();
    });
    for at in 0..calls {
        let world = start.copy();
        OLD.shows(&world, "DELETE_IN_PROGRESS");
        let (lenient, pinned, delete) =
            (two_nodes().lenient(), pinned(), OLD.operation(OperationKind::Delete, "delete-1"));
        let mut other = None;
        stopped(&world, provisioning::remove(&world, &pinned, &delete, &lenient), at, || {
            other = MOVED.create(&world, &declared, "create-2");
        })
        .unwrap();
        let error = other.unwrap().unwrap_err();
        assert!(error.to_string().contains("in progress"), "{error}");
        OLD.shows(&world, "DELETE_COMPLETE");
        MOVED.create(&world, &declared, "create-3").unwrap().unwrap();
        assert_in_service_of(&world, &two_nodes(), MOVED.id);
        assert_eq!(values(&world.stored()), values(&before), "{at}");
    }
}

#[test]
fn an_adopter_that_nobody_knows_any_more_holds_nothing() {
    let start = old_cluster();
    let before = start.stored();
    let declared = adopting(two_nodes());
    let calls = calls_of(&start, |world| {
        RENAMED.create(world, &declared, "create-2").unwrap().unwrap();
    });
    for at in 0..calls - 1 {
        let world = start.copy();
        world.plan(at, Mishap::DiesAfter);
        assert!(RENAMED.create(&world, &declared, "create-2").is_none());
        world.revive();
        let is_claimed = world.stored().documents.contains_key(CLAIM);
        if is_claimed {
            let error = MOVED.create(&world, &declared, "create-3").unwrap().unwrap_err();
            assert!(error.to_string().contains(RENAMED.id), "{error}");
            MOVED.delete(&world, &declared, "delete-3").unwrap().unwrap();
        }
        RENAMED.is_gone(&world);
        // Where it came to its mark, the cluster is its own, and is asked for by its name.
        let marked = roster(&world).0.owner == RENAMED.id;
        if marked {
            OLD.is_gone(&world);
        }
        let owner = if marked { RENAMED.id } else { OWNER };
        MOVED.create(&world, &two_nodes().with("AdoptFrom", owner), "create-4").unwrap().unwrap();
        assert_owned_by(&world.stored(), &MOVED, &at.to_string());
        assert_eq!(values(&world.stored()), values(&before), "{at}");
        OLD.is_gone(&world);
        MOVED.update(&world, &declared, &two_nodes(), "update-4").unwrap().unwrap();
        let mut stored = world.stored();
        stored.documents.remove(CLAIM);
        *world.stored.borrow_mut() = stored;
        assert_in_service_of(&world, &two_nodes(), MOVED.id);
    }
}

#[test]
fn passwords_that_outlived_their_cluster_are_taken_over_and_the_rest_is_made_anew() {
    let world = deleted_cluster();
    world.stored.borrow_mut().secrets.retain(|_, secret| secret.scheduled.is_none());
    world.stored.borrow_mut().documents.retain(|_, document| document.expires.is_none());
    let before = world.stored();
    assert_eq!(before.secrets.len(), 2);
    // Without the password at first, and then with it.
    let without = two_nodes().with("ShareEncryptionPassword", "false");
    let error = MOVED.create(&world, &adopting(without.clone()), "create-2").unwrap().unwrap_err();
    assert!(error.to_string().contains("leave AdoptFrom out"), "{error}");
    MOVED.delete(&world, &adopting(without), "delete-2").unwrap().unwrap();
    assert_eq!(world.stored(), before);
    MOVED.create(&world, &adopting(two_nodes()), "create-3").unwrap().unwrap();
    assert_in_service_of(&world, &two_nodes(), MOVED.id);
    let stored = world.stored();
    for (name, secret) in before.secrets {
        assert_eq!(stored.secrets[&name].versions, secret.versions, "{name}");
    }
}

#[test]
fn a_cluster_without_a_roster_is_taken_over_if_its_owner_is_gone() {
    let start = old_cluster();
    start.stored.borrow_mut().documents.clear();
    let before = start.stored();
    let error = RENAMED.create(&start, &adopting(two_nodes()), "create-2").unwrap().unwrap_err();
    assert!(error.to_string().contains("still exists"), "{error}");
    assert_eq!(start.stored(), before);
    OLD.is_gone(&start);
    at_every_call(
        &start,
        |world| matches!(RENAMED.create(world, &adopting(two_nodes()), "create-3"), Some(Ok(_))),
        |world, point| {
            RENAMED.create(world, &adopting(two_nodes()), "create-3").unwrap().unwrap();
            assert_in_service_of(world, &two_nodes(), RENAMED.id);
            let stored = world.stored();
            assert_eq!(values(&stored), values(&before), "{point}");
            assert!(!stored.secrets.values().any(|secret| secret.tags.contains_key("keyboot:adopted-from")));
        },
    );
}

#[test]
fn who_meets_anothers_name_is_told_the_id_to_put_there_and_a_strangers_secret_is_never_taken() {
    let world = old_cluster();
    let before = world.stored();
    let error = RENAMED.create(&world, &two_nodes(), "create-2").unwrap().unwrap_err().to_string();
    assert!(error.contains(&format!("set AdoptFrom to {OWNER}")), "{error}");
    // Nor with the wrong id.
    let wrong = two_nodes().with("AdoptFrom", MOVED.id);
    let error = RENAMED.create(&world, &wrong, "create-3").unwrap().unwrap_err().to_string();
    assert!(error.contains(&format!("set AdoptFrom to {OWNER}")), "{error}");
    assert_eq!(world.stored(), before);
    RENAMED.delete(&world, &wrong, "delete-3").unwrap().unwrap();
    assert_eq!(world.stored(), before);

    let name = cluster().secret_name(crate::fixtures::node(0), &provisioning::names::Purpose::ManagementKey);
    for tags in [
        provisioning::ownership::Tags::new(),
        provisioning::ownership::Tags::from([("keyboot:owner".into(), "somebody".into())]),
        provisioning::ownership::Tags::from([("keyboot:owner".into(), OWNER.into())]),
    ] {
        let world = deleted_cluster();
        world.stored.borrow_mut().secrets.get_mut(name.as_str()).unwrap().tags = tags;
        let before = world.stored();
        let error = MOVED.create(&world, &adopting(two_nodes()), "create-2").unwrap().unwrap_err();
        assert!(matches!(error, ProvisionError::Foreign { .. }), "{error}");
        assert_eq!(world.stored(), before);
        MOVED.delete(&world, &adopting(two_nodes()), "delete-2").unwrap().unwrap();
        assert_eq!(world.stored(), before);
    }
}

#[test]
fn an_adoption_of_what_is_ones_own_changes_nothing() {
    let world = old_cluster();
    OLD.update(&world, &two_nodes(), &adopting(two_nodes()), "update-1").unwrap().unwrap();
    assert_eq!(world.writes(), [""; 0]);
}

#[test]
fn where_cloudformation_may_not_be_asked_nothing_is_taken_and_nothing_is_lost() {
    let world = old_cluster();
    let before = world.stored();
    world.deny_asking_for(OLD.stack, OLD.name);
    let error = RENAMED.create(&world, &adopting(two_nodes()), "create-2").unwrap().unwrap_err().to_string();
    assert!(error.contains("AdoptFromStackIds") && error.contains(OLD.stack), "{error}");
    assert_eq!(world.stored(), before);

    let world = taken_over();
    let taken = world.stored();
    world.deny_asking_for(OLD.stack, OLD.name);
    RENAMED.update(&world, &two_nodes(), &Declared::nodes(&[0]), "update-2").unwrap().unwrap_err();
    RENAMED.update(&world, &Declared::nodes(&[0]), &two_nodes(), "rollback-2").unwrap().unwrap();
    assert_eq!(world.stored(), taken);
    // Where it may exist still, everything goes back to it.
    RENAMED.delete(&world, &adopting(two_nodes()), "delete-2").unwrap().unwrap();
    assert_owned_by(&world.stored(), &OLD, "its Delete");
    assert_in_service_of(&world, &two_nodes(), OWNER);
}
