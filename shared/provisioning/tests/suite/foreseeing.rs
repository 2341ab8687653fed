//! What is foreseen is what happens then, and foreseeing writes nothing.

use provisioning::{Foresight, OperationKind, ProvisionError, foresee, foresee_removal};

use crate::fixtures::{
    Declared, create, delete, in_service, of_another_stack, operation, pinned, secret, update,
};
use crate::world::{Effect, World};

fn foreseen(world: &World, kind: OperationKind, declared: &Declared) -> Result<Foresight, ProvisionError> {
    let before = world.stored();
    world.revive();
    let foreseen =
        world.drive(foresee(world, &pinned(), &operation(kind, "foreseen"), &declared.spec())).unwrap();
    assert!(world.calls().iter().all(|call| call.effect == Effect::Reads), "{:?}", world.calls());
    assert_eq!(world.stored(), before);
    foreseen
}

fn removal_foreseen(world: &World, declared: &Declared) -> Foresight {
    let before = world.stored();
    world.revive();
    let operation = operation(OperationKind::Delete, "foreseen");
    let foreseen = world.drive(foresee_removal(world, &operation, &declared.lenient())).unwrap().unwrap();
    assert!(world.calls().iter().all(|call| call.effect == Effect::Reads), "{:?}", world.calls());
    assert_eq!(world.stored(), before);
    foreseen
}

fn paths<'a>(slots: impl IntoIterator<Item = &'a provisioning::names::Slot>) -> Vec<String> {
    slots.into_iter().map(|slot| format!("{}/{}", slot.index, slot.purpose)).collect()
}

#[test]
fn a_new_cluster_is_all_made_and_then_nothing_changes() {
    let (world, declared) = (World::default(), Declared::nodes(&[0, 1]));
    let before = foreseen(&world, OperationKind::Create, &declared).unwrap();
    assert_eq!(before.made, declared.spec().slots());
    assert!(before.writes_more && !before.changes_nothing());
    create(&world, &declared, "create-1").unwrap().unwrap();
    let after = foreseen(&world, OperationKind::Update, &declared).unwrap();
    assert!(after.changes_nothing(), "{after:?}");
    assert_eq!(after.kept, declared.spec().slots());
}

#[test]
fn what_leaves_and_what_comes_back_is_foreseen() {
    let (old, new) = (Declared::nodes(&[0, 1]), Declared::nodes(&[0]));
    let world = in_service(&old);
    let leaving = foreseen(&world, OperationKind::Update, &new).unwrap().leaving;
    assert_eq!(paths(leaving.keys()), ["1/p2p-key", "1/api-key/default", "1/management-key"]);
    assert!(leaving.values().all(|days| *days == Some(30)), "{leaving:?}");
    update(&world, &old, &new, "update-1").unwrap().unwrap();
    assert!(
        leaving.keys().all(|slot| {
            secret(&world, slot.index.get(), &slot.purpose.to_string()).scheduled == Some(30)
        })
    );
    assert!(foreseen(&world, OperationKind::Update, &new).unwrap().changes_nothing());
    let back = foreseen(&world, OperationKind::Update, &old).unwrap();
    assert_eq!((back.restored, back.made.len()), (leaving.keys().cloned().collect(), 0));
}

#[test]
fn documents_that_would_change_alone_are_foreseen() {
    let declared = Declared::nodes(&[0]);
    let world = in_service(&declared);
    let moved = declared.clone().with("NodeDomain", "other.internal");
    let foresight = foreseen(&world, OperationKind::Update, &moved).unwrap();
    assert!(foresight.writes_more && foresight.made.is_empty() && foresight.leaving.is_empty());
    let token = declared.with("Regenerate", "another");
    let foresight = foreseen(&world, OperationKind::Update, &token).unwrap();
    assert_eq!(paths(&foresight.renewed), ["0/p2p-key", "0/api-key/default", "0/management-key"]);
}

#[test]
fn what_would_be_refused_is_refused() {
    let declared = Declared::nodes(&[0]);
    let world = in_service(&declared);
    let other = foreseen(&world, OperationKind::Update, &declared.clone().with("P2pCurve", "P-384"));
    assert!(matches!(other, Err(ProvisionError::Property(_))), "{other:?}");
    let strange = of_another_stack(operation(OperationKind::Create, "foreseen"));
    let strange = world.drive(foresee(&world, &pinned(), &strange, &declared.spec())).unwrap();
    assert!(matches!(strange, Err(ProvisionError::Foreign { .. })), "{strange:?}");
}

#[test]
fn a_removal_is_foreseen_and_a_second_one_has_nothing_to_do() {
    let declared = Declared::nodes(&[0]);
    let world = in_service(&declared);
    let foresight = removal_foreseen(&world, &declared);
    assert_eq!(paths(foresight.leaving.keys()), ["0/p2p-key", "0/api-key/default", "0/management-key"]);
    delete(&world, &declared, "delete-1").unwrap().unwrap();
    assert!(removal_foreseen(&world, &declared).changes_nothing());
    assert!(removal_foreseen(&World::default(), &declared).changes_nothing());
}
