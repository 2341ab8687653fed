//! Who may read: policies follow the properties, and nothing else does.

use provisioning::OperationKind;
use provisioning::ports::StoredReaders;
use provisioning::principals::Readers;
use serde_json::json;

use crate::adopting::{MOVED, OLD, adopting, old_cluster};
use crate::deaths::at_every_call;
use crate::fixtures::{
    Declared, OWNER, assert_in_service, assert_in_service_of, create, delete, in_service, operation, pinned,
    read_by, secret, update,
};
use crate::world::{Effect, World};

fn two_nodes() -> Declared {
    Declared::nodes(&[0, 1])
}

fn role(name: &str) -> String {
    format!("arn:aws:iam::444455556666:role/{name}")
}

fn with_readers(name: &str) -> Declared {
    Declared::nodes(&[0, 1])
        .with("ReaderPrincipals", json!({"0": [role(name)], "1": [role("node-1")]}))
        .with("ClientPrincipals", json!({"default": [role("client")]}))
        .with("ManagementPrincipals", json!([role("manager")]))
}

/// The secrets of a world, as if their policies were the same.
fn but_for_policies(world: &World) -> crate::world::Stored {
    let mut stored = world.stored();
    stored.secrets.values_mut().for_each(|secret| secret.readers = StoredReaders::None);
    stored
}

#[test]
fn a_create_admits_after_it_has_stored_and_before_it_publishes() {
    let world = World::default();
    create(&world, &with_readers("node-0"), "create-1").unwrap().unwrap();
    assert_in_service(&world, &with_readers("node-0"));
    let calls = world.calls();
    let at = |verb: &'static str| {
        calls.iter().enumerate().filter(move |(_, call)| call.verb == verb).map(|(at, _)| at)
    };
    assert_eq!(at("admit_readers").count(), 8);
    assert_eq!(at("secret_readers").count(), 0, "what has just been made has no policy");
    assert!(at("create_secret").max() < at("admit_readers").min());
    let is_record =
        |call: &crate::world::Call| call.subject.ends_with("/record") && call.verb == "publish_new";
    let record = calls.iter().position(is_record);
    assert!(at("admit_readers").max() < record);
    let events = world.events.borrow();
    let admitted: Vec<_> = events.iter().filter(|event| event.contains(r#""action":"admitted""#)).collect();
    assert_eq!(admitted.len(), 8);
    assert!(admitted.iter().any(|event| event.contains(&role("manager"))), "{admitted:?}");
}

#[test]
fn an_update_of_readers_writes_policies_and_nothing_else() {
    let none = Declared::nodes(&[0, 1]);
    let first = with_readers("node-0");
    let fewer = first.clone().with("ClientPrincipals", json!({}));
    // Of eight secrets: all, those of node 0, the clients', all.
    for (old, new, policies) in
        [(&none, &first, 8), (&first, &with_readers("another"), 2), (&first, &fewer, 2), (&first, &none, 8)]
    {
        let world = in_service(old);
        let before = but_for_policies(&world);
        update(&world, old, new, "update-1").unwrap().unwrap();
        assert_in_service(&world, new);
        assert_eq!(but_for_policies(&world), before);
        let writes = world.writes();
        assert_eq!(writes.len(), policies, "{writes:?}");
        assert!(writes.iter().all(|write| write.starts_with("admit_readers ")), "{writes:?}");
        assert!(world.calls().iter().all(|call| call.effect != Effect::Makes), "{:?}", world.calls());
        // And its rollback brings back what was.
        update(&world, new, old, "rollback-1").unwrap().unwrap();
        assert_in_service(&world, old);
        assert_eq!(but_for_policies(&world), before);
    }
}

#[test]
fn where_nobody_is_or_was_named_no_policy_is_looked_at() {
    let none = Declared::nodes(&[0, 1]);
    let world = World::default();
    create(&world, &none, "create-1").unwrap().unwrap();
    update(&world, &none, &none.clone().with_nodes(&[0, 1, 2]), "update-1").unwrap().unwrap();
    assert!(world.calls().iter().all(|call| !call.verb.ends_with("_readers")), "{:?}", world.calls());
    // Where somebody is, nothing is written as long as nothing differs.
    let world = in_service(&with_readers("node-0"));
    update(&world, &with_readers("node-0"), &with_readers("node-0"), "update-1").unwrap().unwrap();
    assert_eq!(world.calls().iter().filter(|call| call.verb == "secret_readers").count(), 8);
    assert_eq!(world.writes(), [""; 0]);
}

#[test]
fn a_policy_that_somebody_has_changed_or_taken_away_is_written_anew() {
    let declared = with_readers("node-0");
    let stranger = Readers { accounts: ["777788889999".to_owned()].into(), ..Readers::default() };
    for changed in [StoredReaders::None, StoredReaders::Otherwise, StoredReaders::Admitted(stranger)] {
        let world = in_service(&declared);
        world.stored.borrow_mut().secrets.get_mut("keyboot/tsm/node/1/p2p-key").unwrap().readers =
            changed.clone();
        update(&world, &declared, &declared, "update-1").unwrap().unwrap();
        assert_in_service(&world, &declared);
        let arn = secret(&world, 1, "p2p-key").arn;
        assert_eq!(world.writes(), [format!("admit_readers {arn}")]);
    }
}

#[test]
fn a_policy_of_an_earlier_function_is_written_anew_before_a_version_is_put() {
    let old = with_readers("node-0");
    let new = old.clone().with("Regenerate", "1");
    let world = in_service(&old);
    for secret in world.stored.borrow_mut().secrets.values_mut() {
        secret.readers = StoredReaders::Otherwise;
    }
    update(&world, &old, &new, "update-1").unwrap().unwrap();
    assert_in_service(&world, &new);
    let calls = world.calls();
    let at = |verbs: &[&str]| {
        let is_one = |call: &crate::world::Call| verbs.contains(&call.verb);
        calls.iter().enumerate().filter(|(_, call)| is_one(call)).map(|(at, _)| at).collect::<Vec<_>>()
    };
    let (admitted, put) = (at(&["admit_readers"]), at(&["label_version", "put_version", "make_current"]));
    assert_eq!(admitted.len(), 8);
    assert!(admitted.iter().max() < put.iter().min(), "{calls:?}");
}

#[test]
fn what_comes_back_is_read_by_whom_the_properties_name_now() {
    let (old, none) = (with_readers("node-0"), Declared::nodes(&[0, 1]));
    let retained = old.clone().with("OnDelete", "Retain");
    for (before, now) in [
        (&old, &none),
        (&retained, &none),
        (&old, &with_readers("another")),
        (&retained, &with_readers("another")),
        (&none, &old),
    ] {
        let world = in_service(before);
        delete(&world, before, "delete-1").unwrap().unwrap();
        world.revive();
        create(&world, now, "create-2").unwrap().unwrap();
        assert_in_service(&world, now);
    }
    // A node that is left out, stays by rule, and comes back later.
    let one = Declared::nodes(&[0]).with("OnDelete", "Retain");
    let world = in_service(&retained);
    update(&world, &retained, &one, "update-1").unwrap().unwrap();
    update(&world, &one, &none, "update-2").unwrap().unwrap();
    assert_in_service(&world, &none);
    // And a key that is switched off and on.
    let without = none.clone().with("OnDelete", "Retain").with("ManagementKey", "false");
    let world = in_service(&retained);
    update(&world, &retained, &without, "update-1").unwrap().unwrap();
    update(&world, &without, &none, "update-2").unwrap().unwrap();
    assert_in_service(&world, &none);
}

#[test]
fn only_secrets_of_the_owner_are_told_who_may_read_them() {
    let world = in_service(&with_readers("node-0"));
    let name = "keyboot/tsm/node/1/p2p-key";
    world.stored.borrow_mut().secrets.get_mut(name).unwrap().tags.insert("keyboot:owner".into(), "x".into());
    let before = world.stored();
    let refused = update(&world, &with_readers("node-0"), &with_readers("another"), "update-1").unwrap();
    assert!(refused.is_err());
    assert_eq!(world.stored(), before);
}

#[test]
fn nobody_is_let_in_without_cloudformations_word() {
    let (old, new) = (with_readers("node-0"), with_readers("another"));
    let world = in_service(&old);
    let before = world.stored();
    world.show("UPDATE_COMPLETE", Some(OWNER));
    let (spec, lenient) = (new.spec(), old.lenient());
    let forged = operation(OperationKind::Update, "forged");
    let answer =
        world.drive(provisioning::reconcile(&world, &pinned(), &forged, &spec, Some(&lenient))).unwrap();
    assert!(answer.is_err());
    assert_eq!(world.stored(), before);
}

#[test]
fn a_change_of_readers_alone_that_ended_anywhere_is_completed_or_taken_back() {
    let (old, new) = (read_by(two_nodes(), "a"), two_nodes());
    for (old, new) in [(&old, &new), (&new, &old), (&old, &read_by(two_nodes(), "b"))] {
        let start = in_service(old);
        let carry_out = |world: &World| matches!(update(world, old, new, "update-1"), Some(Ok(_)));
        let (points, shown) = at_every_call(&start, carry_out, |world, point| {
            let undone = world.copy();
            assert!(carry_out(world), "{point}");
            assert_in_service(world, new);
            world.revive();
            assert!(carry_out(world), "{point}");
            assert_eq!(world.writes(), [""; 0], "{point}: the third delivery");
            assert!(matches!(update(&undone, new, old, "rollback-1"), Some(Ok(_))), "{point}");
            assert_eq!(undone.stored(), start.stored(), "{point}");
        });
        assert!(points > 2 && shown > 1, "{points}, {shown}");
    }
}

#[test]
fn policies_stay_while_an_adoption_is_provisional_and_are_written_once_it_is_confirmed() {
    // Those of another stack's function name its role, and are no policies of ours.
    for (declared, stored) in [
        (read_by(two_nodes(), "node-0"), StoredReaders::Otherwise),
        (two_nodes(), StoredReaders::Otherwise),
        (two_nodes(), StoredReaders::None),
    ] {
        let world = old_cluster();
        for secret in world.stored.borrow_mut().secrets.values_mut() {
            secret.readers = stored.clone();
        }
        MOVED.create(&world, &adopting(declared.clone()), "create-2").unwrap().unwrap();
        MOVED.update(&world, &adopting(declared.clone()), &declared, "update-2").unwrap().unwrap();
        assert!(world.stored().secrets.values().all(|secret| secret.readers == stored));
        OLD.is_gone(&world);
        MOVED.update(&world, &declared, &declared, "update-3").unwrap().unwrap();
        assert_in_service_of(&world, &declared, MOVED.id);
    }
}
