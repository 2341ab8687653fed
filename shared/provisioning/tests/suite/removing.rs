//! Delete: what goes at once, what goes by rule, and what is never touched.

use provisioning::store::Store;
use provisioning::{OperationKind, ProvisionError};

use crate::fixtures::{
    Declared, OWNER, assert_gone_by_rule, assert_in_service, assert_nothing_is_left, create, delete,
    in_service, operation, pinned, record, run, run_removal, secret, update,
};
use crate::world::{Document, Effect, Mishap, World};

fn died_before_its_mark() -> (World, Declared) {
    let declared = Declared::nodes(&[0, 1]);
    let world = World::default();
    // All secrets are made, and all documents but the index are published.
    let calm = World::default();
    create(&calm, &declared, "create-1").unwrap().unwrap();
    let mark = calm
        .calls()
        .iter()
        .position(|call| call.verb == "publish_new" && call.subject.ends_with("/roster/index"));
    world.plan(mark.unwrap(), Mishap::DiesBefore);
    assert!(create(&world, &declared, "create-1").is_none());
    world.revive();
    (world, declared)
}

#[test]
fn a_delete_goes_by_the_rules_and_a_second_one_changes_nothing() {
    for (on_delete, share, days) in [
        ("Schedule", "Retain", "30"),
        ("Schedule", "Schedule", "7"),
        ("Retain", "Retain", "9"),
        ("Retain", "Schedule", "9"),
    ] {
        let declared = Declared::nodes(&[0, 1])
            .with("OnDelete", on_delete)
            .with("ShareSecretOnDelete", share)
            .with("RecoveryWindowDays", days);
        let world = in_service(&declared);
        let told = delete(&world, &declared, "delete-1").unwrap().unwrap();
        let rule = |rule: &str| (rule == "Schedule").then(|| days.parse::<u8>().unwrap());
        for (name, secret) in world.stored().secrets {
            let password = name.ends_with("/share-encryption-password");
            assert_eq!(secret.scheduled, rule(if password { share } else { on_delete }), "{name}");
            let named = told.iter().any(|line| line.contains(&secret.arn));
            assert_eq!(named, secret.scheduled.is_none(), "{name}: what stays is named");
        }
        let roster_stays = on_delete == "Retain" || share == "Retain";
        assert_eq!(world.stored().documents["/keyboot/tsm/roster/index"].expires.is_none(), roster_stays);
        world.revive();
        delete(&world, &declared, "delete-1").unwrap().unwrap();
        assert_eq!(world.writes(), [""; 0], "{on_delete} {share}");
    }
}

#[test]
fn a_deleted_cluster_comes_back_with_its_values_and_nothing_vanishes_later() {
    let declared = Declared::nodes(&[0]).with("ShareSecretOnDelete", "Schedule");
    let world = in_service(&declared);
    let (before, kept) = (world.stored(), record(&world, 0));
    delete(&world, &declared, "delete-1").unwrap().unwrap();
    let deleted = world.copy();
    create(&world, &declared, "create-2").unwrap().unwrap();
    assert_in_service(&world, &declared);
    assert_eq!(world.stored().secrets, before.secrets);
    assert_eq!(record(&world, 0), kept);

    // Also when the first attempt died.
    for at in 0..world.calls().len() {
        let world = deleted.copy();
        world.plan(at, Mishap::DiesAfter);
        let _ = create(&world, &declared, "create-2");
        world.revive();
        create(&world, &declared, "create-2").unwrap().unwrap();
        assert_in_service(&world, &declared);
    }

    // By a replacement that leads back to it.
    let world = deleted;
    world.show("UPDATE_IN_PROGRESS", Some("keyboot/keyboot/other/0123456789abcdef"));
    let mut back = operation(OperationKind::Update, "update-9");
    back.delivered_id = "keyboot/keyboot/other/0123456789abcdef".into();
    run(&world, &back, &declared, None).unwrap().unwrap();
    assert_in_service(&world, &declared);
    assert_eq!(world.stored().secrets, before.secrets);
}

#[test]
fn a_secret_that_was_retrieved_is_never_removed_at_once() {
    if crate::STORE == Store::ParameterStore {
        return assert_retrievals_are_not_known();
    }
    let (world, declared) = died_before_its_mark();
    for purpose in ["p2p-key", "share-encryption-password"] {
        let name = crate::fixtures::secret_name(0, purpose);
        world.stored.borrow_mut().secrets.get_mut(&name).unwrap().retrieved = true;
    }
    delete(&world, &declared, "delete-1").unwrap().unwrap();
    assert_eq!(world.stored().secrets.len(), 2);
    assert_eq!(secret(&world, 0, "p2p-key").scheduled, Some(30));
    assert_eq!(secret(&world, 0, "share-encryption-password").scheduled, None);
    assert_gone_by_rule(&world, "retrieved before the mark");
}

/// Parameter Store tells of no retrieval: what no roster listed counts as never used.
fn assert_retrievals_are_not_known() {
    let (world, declared) = died_before_its_mark();
    delete(&world, &declared, "delete-1").unwrap().unwrap();
    assert_nothing_is_left(&world, "before the mark");
}

#[test]
fn without_its_roster_a_cluster_in_service_is_never_removed_at_once() {
    let declared = Declared::nodes(&[0, 1]);
    let service = in_service(&declared);
    for name in ["/keyboot/tsm/roster/index", "/keyboot/tsm/roster/1/page/0"] {
        for text in [None, Some("x")] {
            let world = service.copy();
            let document = world.stored.borrow_mut().documents.remove(name);
            if let Some(text) = text {
                let document = Document { text: text.into(), ..document.unwrap() };
                world.stored.borrow_mut().documents.insert(name.into(), document);
            }
            // Not even where an Update was about to add something and died.
            let unfinished = world.copy();
            unfinished.plan(30, Mishap::DiesAfter);
            let _ = update(&unfinished, &declared, &Declared::nodes(&[0, 1, 2]), "update-1");
            unfinished.revive();
            for world in [world, unfinished] {
                delete(&world, &declared, "delete-1").unwrap().unwrap();
                let secrets = world.stored().secrets.into_keys();
                assert_eq!(secrets.filter(|name| !name.contains("/node/2/")).count(), 8, "{name} {text:?}");
                assert_eq!(secret(&world, 0, "share-encryption-password").scheduled, None);
            }
        }
    }
}

#[test]
fn a_spent_note_beside_a_roster_that_cannot_be_read_removes_nothing() {
    let declared = Declared::nodes(&[0]);
    let calm = World::default();
    create(&calm, &declared, "create-1").unwrap().unwrap();
    // The Create dies between its mark and the end of its note.
    let start = World::default();
    start.plan(calm.calls().len() - 1, Mishap::DiesBefore);
    assert!(create(&start, &declared, "create-1").is_none());
    for (name, text) in [
        ("/keyboot/tsm/roster/index", Some("x")),
        ("/keyboot/tsm/roster/1/page/0", Some("x")),
        ("/keyboot/tsm/roster/1/page/0", None),
    ] {
        let world = start.copy();
        let document = world.stored.borrow_mut().documents.remove(name).unwrap();
        if let Some(text) = text {
            let document = Document { text: text.into(), ..document };
            world.stored.borrow_mut().documents.insert(name.into(), document);
        }
        delete(&world, &declared, "delete-1").unwrap().unwrap();
        assert_eq!(world.stored().secrets.len(), 4, "{name} {text:?}");
    }
}

#[test]
fn an_id_that_cloudformation_made_up_never_touches_a_cluster_in_service() {
    let made_up = || {
        let mut delete = operation(OperationKind::Delete, "delete-1");
        delete.delivered_id = "kms-Keys-1ABCDEF".into();
        delete
    };
    let declared = Declared::nodes(&[0, 1]);
    let world = in_service(&declared);
    let before = world.stored();
    world.show("DELETE_IN_PROGRESS", Some("kms-Keys-1ABCDEF"));
    run_removal(&world, &made_up(), &declared).unwrap().unwrap();
    assert_eq!(world.writes(), [""; 0]);
    assert_eq!(world.stored(), before);

    let (world, declared) = died_before_its_mark();
    world.show("DELETE_IN_PROGRESS", Some("kms-Keys-1ABCDEF"));
    run_removal(&world, &made_up(), &declared).unwrap().unwrap();
    assert_nothing_is_left(&world, "an id that CloudFormation made up");
}

#[test]
fn a_replacement_that_failed_leaves_nothing_and_touches_nothing_in_service() {
    // The Update to this cluster's id was delivered with another cluster's.
    let replacing = |kind| {
        let mut operation = operation(kind, "create-1");
        operation.delivered_id = "keyboot/keyboot/other/0123456789abcdef".into();
        operation
    };
    let (world, declared) = died_before_its_mark();
    world.show("UPDATE_IN_PROGRESS", Some("keyboot/keyboot/other/0123456789abcdef"));
    run_removal(&world, &replacing(OperationKind::Update), &declared).unwrap().unwrap();
    assert_nothing_is_left(&world, "a replacement that failed");

    let world = in_service(&declared);
    let before = world.stored();
    world.show("UPDATE_IN_PROGRESS", Some("keyboot/keyboot/other/0123456789abcdef"));
    run_removal(&world, &replacing(OperationKind::Update), &declared).unwrap().unwrap();
    assert_eq!(world.stored(), before);
}

#[test]
fn a_delete_that_cloudformation_does_not_show_changes_nothing() {
    let (unfinished, declared) = died_before_its_mark();
    for start in [in_service(&declared), unfinished] {
        for (resource, present, stack) in [
            ("CREATE_COMPLETE", OWNER, "UPDATE_COMPLETE"),
            ("UPDATE_COMPLETE", OWNER, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"),
            ("UPDATE_COMPLETE", OWNER, "ROLLBACK_IN_PROGRESS"),
            ("CREATE_IN_PROGRESS", "", "CREATE_IN_PROGRESS"),
            ("UPDATE_COMPLETE", "another", "UPDATE_COMPLETE"),
            ("UPDATE_COMPLETE", "another", "UPDATE_IN_PROGRESS"),
            ("", "", ""),
        ] {
            let world = start.copy();
            if resource.is_empty() {
                world.show_nothing();
            } else {
                world.show(resource, Some(present).filter(|id| !id.is_empty()));
                world.show_stack(stack);
            }
            let refused = run_removal(&world, &operation(OperationKind::Delete, "d"), &declared).unwrap();
            assert!(
                matches!(refused, Err(ProvisionError::NotInProgress(_))),
                "{resource} {stack}: {refused:?}"
            );
            assert!(world.calls().iter().all(|call| call.effect == Effect::Reads));
            assert_eq!(world.stored(), start.stored());
        }
        let world = start.copy();
        world.show("DELETE_IN_PROGRESS", Some(OWNER));
        let refused = world.drive(provisioning::remove(
            &world,
            &"arn:aws:cloudformation:eu-central-1:111122223333:stack/x/1".parse().unwrap(),
            &operation(OperationKind::Delete, "d"),
            &declared.lenient(),
        ));
        assert!(matches!(refused, Some(Err(ProvisionError::NotPinned))), "{refused:?}");
        assert_eq!(world.stored(), start.stored());
        assert!(pinned().contains(crate::fixtures::STACK));
    }
}

#[test]
fn the_clean_up_after_a_replacement_goes_by_the_rules() {
    for stack in [
        "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
        "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
        "UPDATE_ROLLBACK_IN_PROGRESS",
    ] {
        let declared = Declared::nodes(&[0]);
        let world = in_service(&declared);
        world.show("UPDATE_COMPLETE", Some("keyboot/keyboot/other/0123456789abcdef"));
        world.show_stack(stack);
        run_removal(&world, &operation(OperationKind::Delete, "d"), &declared).unwrap().unwrap();
        assert_gone_by_rule(&world, stack);
        assert_eq!(world.stored().secrets.len(), 4);
    }
}

#[test]
fn a_create_that_comes_after_its_delete_makes_and_restores_nothing() {
    let declared = Declared::nodes(&[0]);
    let world = in_service(&declared);
    delete(&world, &declared, "delete-1").unwrap().unwrap();
    let before = world.stored();
    world.show("DELETE_COMPLETE", None);
    let late = run(&world, &operation(OperationKind::Create, "create-1"), &declared, None).unwrap();
    assert!(matches!(late, Err(ProvisionError::NotInProgress(_))), "{late:?}");
    assert_eq!(world.stored(), before);
}
