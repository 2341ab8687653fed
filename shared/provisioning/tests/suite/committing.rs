//! The index, which is the mark: its number, and what happens when another one is there first.

use std::pin::pin;
use std::task::{Context, Waker};

use provisioning::names::Purpose;
use provisioning::ownership::Generation;
use provisioning::signed::CanonicalText;
use provisioning::store::Store;
use provisioning::version_label::SignedLabel;
use provisioning::{OperationKind, ProvisionError};

use crate::fixtures::{
    Declared, OWNER, assert_in_service, cluster, create, in_service, node, of_another_stack, operation,
    own_labels, pinned, record, roster, run, update,
};
use crate::world::{Call, Effect, Mishap, SIGNER, World};

const INDEX: &str = "/keyboot/tsm/roster/index";

fn is_mark(call: &Call) -> bool {
    call.effect == Effect::Writes && call.subject == INDEX
}

#[test]
fn an_index_that_came_up_at_the_last_moment_is_left_and_its_owner_named() {
    let theirs = World::default();
    theirs.show("CREATE_IN_PROGRESS", None);
    let stranger = of_another_stack(operation(OperationKind::Create, "theirs"));
    run(&theirs, &stranger, &Declared::nodes(&[7]), None).unwrap().unwrap();
    let index = theirs.stored().documents[INDEX].clone();

    let mine = Declared::nodes(&[0]);
    let calm = World::default();
    create(&calm, &mine, "create-1").unwrap().unwrap();
    let mark = calm.calls().iter().position(is_mark).unwrap();

    let world = World::default();
    world.show("CREATE_IN_PROGRESS", None);
    let (operation, spec, pinned) = (operation(OperationKind::Create, "create-1"), mine.spec(), pinned());
    let mut create = pin!(provisioning::reconcile(&world, &pinned, &operation, &spec, None));
    world.pause_at(mark);
    assert!(create.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    world.stored.borrow_mut().documents.insert(INDEX.into(), index.clone());
    world.go_on();
    let refused = world.drive(create).unwrap();
    let Err(ProvisionError::Foreign { owner, .. }) = &refused else { panic!("{refused:?}") };
    assert_eq!(*owner, stranger.owner.id.to_string());
    assert_eq!(world.stored().documents[INDEX], index);
}

#[test]
fn an_update_that_died_goes_on_under_its_own_number_and_another_takes_the_next() {
    let (old, new) = (Declared::nodes(&[0]), Declared::nodes(&[0, 1]));
    let service = in_service(&old);
    let calm = service.copy();
    update(&calm, &old, &new, "update-1").unwrap().unwrap();
    assert_eq!(roster(&calm).0.serial, 2);
    let mark = calm.calls().iter().position(is_mark).unwrap();
    for (request, declared, serial) in [("update-1", &new, 2), ("update-2", &new, 3), ("rollback", &old, 3)] {
        let world = service.copy();
        world.plan(mark, Mishap::DiesBefore);
        assert!(update(&world, &old, &new, "update-1").is_none());
        world.revive();
        update(&world, &old, declared, request).unwrap().unwrap();
        let index = roster(&world).0;
        assert_eq!((index.serial, index.generation.as_str()), (serial, request));
    }
}

#[test]
fn a_change_without_a_new_roster_withdraws_no_pages() {
    let (old, new) = (Declared::nodes(&[0]), Declared::nodes(&[0, 1]));
    let world = in_service(&old);
    update(&world, &old, &new, "update-1").unwrap().unwrap();
    assert_eq!(roster(&world).0.serial, 2);
    world.revive();
    let moved = new.clone().with("NodeDomain", "new.example.org");
    update(&world, &new, &moved, "update-2").unwrap().unwrap();
    let writes = world.writes();
    assert!(writes.iter().any(|write| write == "republish /keyboot/tsm/node/1/env"), "{writes:?}");
    assert!(writes.iter().all(|write| !write.starts_with("withdraw")), "{writes:?}");
}

#[test]
fn an_update_that_a_follower_overtook_leaves_what_the_follower_uses() {
    let (old, new) = (Declared::nodes(&[0]), Declared::nodes(&[0, 1]));
    let service = in_service(&old);
    let calm = service.copy();
    update(&calm, &old, &new, "update-1").unwrap().unwrap();
    let mut refused = 0;
    for pause_at in 0..calm.calls().len() {
        let world = service.copy();
        world.show("UPDATE_IN_PROGRESS", Some(OWNER));
        let (spec, before, pinned) = (new.spec(), old.lenient(), pinned());
        let first = operation(OperationKind::Update, "update-1");
        let mut first = pin!(provisioning::reconcile(&world, &pinned, &first, &spec, Some(&before)));
        world.pause_at(pause_at);
        assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending(), "{pause_at}");
        world.go_on();
        // It asks for the same, and takes over what it finds.
        update(&world, &old, &new, "update-2").unwrap().unwrap();
        let taken_over = world.stored().secrets;
        refused += usize::from(world.drive(first).unwrap().is_err());
        assert_eq!(world.stored().secrets, taken_over, "{pause_at}");
        // Between its last look and its mark there is no going back: the index is then the older one,
        // which the next Update puts right. A page that no index names may be left.
        update(&world, &new, &new, "update-3").unwrap().unwrap();
        let pages = format!("/keyboot/tsm/roster/{}/", roster(&world).0.serial);
        let is_stale = |name: &str| name.contains("/page/") && !name.starts_with(&pages);
        world.stored.borrow_mut().documents.retain(|name, _| !is_stale(name));
        assert_in_service(&world, &new);
    }
    assert!(refused > 10, "{refused}");
}

#[test]
fn an_update_that_nobody_waits_for_takes_back_what_it_did_and_its_note() {
    let (old, new) = (Declared::nodes(&[0]), Declared::nodes(&[0, 1]));
    let fresh = in_service(&old);
    let removed = in_service(&new);
    update(&removed, &new, &old, "update-0").unwrap().unwrap();
    removed.revive();
    for (service, does, undoes) in
        [(fresh, "create_secret", "remove_secret"), (removed, "restore_secret", "schedule_secret")]
    {
        let calm = service.copy();
        update(&calm, &old, &new, "update-1").unwrap().unwrap();
        let calls = calm.calls();
        let last = |verb| calls.iter().rposition(|call: &Call| call.verb == verb).unwrap();
        assert!(last(does) < last("resource_state"), "it asks again before it publishes");
        let world = service.copy();
        world.show("UPDATE_IN_PROGRESS", Some(OWNER));
        let (spec, before, pinned) = (new.spec(), old.lenient(), pinned());
        let first = operation(OperationKind::Update, "update-1");
        let mut first = pin!(provisioning::reconcile(&world, &pinned, &first, &spec, Some(&before)));
        world.pause_at(last(does) + 1);
        assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        world.show("UPDATE_FAILED", Some(OWNER));
        world.go_on();
        let stopped = world.drive(first).unwrap();
        assert!(matches!(stopped, Err(ProvisionError::NotInProgress(_))), "{stopped:?}");
        assert!(world.calls().iter().any(|call| call.verb == undoes), "{undoes}");
        assert_eq!(world.stored().secrets, service.stored().secrets, "{undoes}");
        // Documents of a node that no roster lists may go: they grant nothing.
        let of_others = |world: &World| {
            let mut documents = world.stored().documents;
            documents.retain(|name, _| !name.contains("/node/1/"));
            documents
        };
        assert_eq!(of_others(&world), of_others(&service), "{undoes}");
    }
}

#[test]
fn an_update_that_died_after_its_last_secret_still_comes_to_its_mark() {
    let old = Declared::nodes(&[0]);
    let new = old.clone().with("Applications", vec!["default", "other"]);
    let service = in_service(&old);
    let calm = service.copy();
    update(&calm, &old, &new, "update-1").unwrap().unwrap();
    let mark = calm.calls().iter().position(is_mark).unwrap();
    let world = service.copy();
    world.plan(mark, Mishap::DiesBefore);
    assert!(update(&world, &old, &new, "update-1").is_none());
    world.revive();
    update(&world, &old, &new, "update-1").unwrap().unwrap();
    let index = roster(&world).0;
    assert_eq!((index.serial, index.generation.as_str()), (2, "update-1"));
}

#[test]
fn a_record_that_is_gone_is_written_anew_and_nothing_else_is() {
    let declared = Declared::nodes(&[0, 1]);
    let world = in_service(&declared);
    let name = "/keyboot/tsm/node/1/record";
    world.stored.borrow_mut().documents.remove(name);
    update(&world, &declared, &declared, "update-1").unwrap().unwrap();
    assert_in_service(&world, &declared);
    assert!(world.writes().iter().all(|write| write.ends_with(name)), "{:?}", world.writes());
}

#[test]
fn what_a_record_names_counts_and_not_the_first_version() {
    let declared = Declared::nodes(&[0]);
    let world = in_service(&declared);
    let mut rotated = record(&world, 0);
    let counts = crate::STORE == Store::ParameterStore;
    rotated.version_id = if counts { "2" } else { "version-of-a-rotation" }.to_owned();
    let mut stored = world.stored.borrow_mut();
    let secret = stored.secrets.get_mut("keyboot/tsm/node/0/p2p-key").unwrap();
    let arn = secret.arn.clone();
    secret.versions.push((rotated.version_id.clone(), "value".to_owned()));
    if counts {
        let mut label = own_labels(secret)["1"].clone();
        label.number = 2;
        let name = cluster().secret_name(node(0), &Purpose::P2pKey);
        let label = label.to_text().unwrap();
        let signature = World::sign(SignedLabel::digest(
            &name,
            &Generation::new("create-1"),
            &rotated.version_id,
            &label,
        ));
        let signed = SignedLabel::new(label, &signature);
        secret.labels.insert(signed.label, rotated.version_id.clone());
        secret.labels.insert(signed.signature, rotated.version_id.clone());
    }
    let text = CanonicalText::of(&rotated).unwrap();
    let text = text.signed(&World::sign(text.digest()), SIGNER).unwrap();
    stored.documents.get_mut("/keyboot/tsm/node/0/record").unwrap().text = text;
    drop(stored);
    // What is handed out unasked follows, once.
    for writes in [vec![format!("make_current {arn}")], Vec::new()] {
        world.revive();
        update(&world, &declared, &declared, "update-1").unwrap().unwrap();
        assert_eq!(world.writes(), writes);
        assert_eq!(record(&world, 0), rotated);
    }
}
