//! Public documents: what is believed, what is refused by name, what is left out.

use provisioning::record::NodeRecord;
use reading::{Imported, Pin, Pins, Seen, Whose};

use crate::world::{
    CUT_OVER, SIGNER, World, at, cluster, indexes, node, nodes, of_node, p2p_key, pin, pins, record, run,
    sign, view, with_pending,
};

const RECORD_1: &str = "/keyboot/tsm/node/1/record";
const BEFORE: &str = "2026-02-01T00:00:00Z";

#[test]
fn a_node_sees_itself_its_peers_and_the_roster() {
    let world = World::of(25, true);
    let view = view(&world, &of_node(3), &mut Seen::default()).unwrap();
    assert_eq!(indexes(&view), (0..25).collect::<Vec<_>>());
    assert!(view.refused.is_empty());
    assert_eq!(view.roster.as_ref().unwrap().index.serial, 5);
    assert_eq!(view.environment.unwrap().index, node(3));
    // An auditor is no node.
    let auditor = Whose { index: None, ..of_node(0) };
    let view = crate::world::view(&world, &auditor, &mut Seen::default()).unwrap();
    assert_eq!((indexes(&view).len(), view.environment), (25, None));
}

#[test]
fn a_peers_record_that_is_not_believed_is_left_out_and_told_and_ones_own_is_an_error() {
    let older = NodeRecord { serial: 2, ..record(1) };
    let of_another = NodeRecord { index: node(2), ..record(1) };
    let broken = sign(&record(1), SIGNER, 1).replace("\"serial\":3", "\"serial\":4");
    for (text, why) in [
        (sign(&record(1), SIGNER, 2), "does not fit"),
        (sign(&record(1), "arn:aws:kms:eu-central-1:111122223333:key/other", 2), "not pinned"),
        (sign(&of_another, SIGNER, 1), "node 2"),
        (sign(&older, SIGNER, 1), "older"),
        (broken, "does not fit"),
        ("{}".to_owned(), "malformed"),
    ] {
        let mut world = World::of(3, true);
        let mut seen = Seen::default();
        view(&world, &of_node(0), &mut seen).unwrap();
        world.documents.insert(RECORD_1.into(), text);
        let found = view(&world, &of_node(0), &mut seen).unwrap();
        assert_eq!(indexes(&found), [0, 2], "{why}");
        assert_eq!(found.refused[0].index, node(1));
        let error = found.refused[0].error.to_string();
        assert!(error.contains(why) && error.contains(RECORD_1), "{error}");
        let error = view(&world, &of_node(1), &mut seen).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        assert_eq!(seen.record(&cluster(), node(1)), 3, "what is refused is not taken note of");
    }
    let mut world = World::of(3, true);
    world.documents.remove(RECORD_1);
    let found = view(&world, &of_node(0), &mut Seen::default()).unwrap();
    assert!(found.refused[0].error.to_string().contains("does not exist"));
}

#[test]
fn an_older_roster_is_refused() {
    let mut world = World::of(3, true);
    let mut seen = Seen::default();
    view(&world, &of_node(0), &mut seen).unwrap();
    world.list(2, 4);
    let error = view(&world, &of_node(0), &mut seen).unwrap_err().to_string();
    assert!(error.contains("older") && error.contains("roster/index"), "{error}");
    world.list(2, 6);
    assert_eq!(indexes(&view(&world, &of_node(0), &mut seen).unwrap()), [0, 1]);
    // Pages of another roster.
    let page = world.documents.get_mut("/keyboot/tsm/roster/6/page/0").unwrap();
    *page = page.replace("\"version\":1", "\"version\":2");
    assert!(view(&world, &of_node(0), &mut seen).unwrap_err().to_string().contains("digest"));
}

#[test]
fn the_environment_of_another_node_is_refused() {
    let mut world = World::of(2, true);
    let other = world.documents["/keyboot/tsm/node/1/env"].clone();
    world.documents.insert("/keyboot/tsm/node/0/env".into(), other);
    let error = view(&world, &of_node(0), &mut Seen::default()).unwrap_err().to_string();
    assert!(error.contains("node 1") && error.contains("node/0/env"), "{error}");
}

#[test]
fn from_another_account_everything_is_asked_for_by_arn_and_the_roster_is_not() {
    let mut world = World::of(3, true);
    let by_arn = |name: &String| format!("arn:aws:ssm:eu-central-1:111122223333:parameter{name}");
    world.documents.retain(|name, _| !name.contains("roster"));
    world.documents = world.documents.iter().map(|(name, text)| (by_arn(name), text.clone())).collect();
    let whose = Whose {
        documents: Some("arn:aws:ssm:eu-central-1:111122223333".into()),
        nodes: Some(nodes(&[0, 1, 2])),
        ..of_node(0)
    };
    let found = view(&world, &whose, &mut Seen::default()).unwrap();
    assert_eq!((indexes(&found), found.roster), (vec![0, 1, 2], None));
}

#[test]
fn a_record_may_come_as_a_file_or_from_where_the_environment_says_and_carries_its_own_proof() {
    let mut world = World::of(1, true);
    let arn = "arn:aws:ssm:eu-central-1:444455556666:parameter/keyboot/tsm/node/2/record";
    world.documents.insert(arn.into(), sign(&record(2), SIGNER, 1));
    let environment = world.documents.get_mut("/keyboot/tsm/node/0/env").unwrap();
    *environment = environment.replace("\"peers\"", &format!("\"peerRecordArns\":[\"{arn}\"],\"peers\""));
    let file = |text: String| Imported { from: "records/1.json".into(), text };
    let mut whose = of_node(0);
    whose.imported.insert(node(1), file(sign(&record(1), SIGNER, 1)));
    // What this roster's own signer says of nodes that it does not list is of nodes that it has removed.
    let found = view(&world, &whose, &mut Seen::default()).unwrap();
    assert_eq!(indexes(&found), [0]);
    assert_eq!(found.refused.len(), 2);
    let other = "arn:aws:kms:eu-central-1:444455556666:key/records";
    let pins = Pins::new(vec![pin(SIGNER, 1), pin(other, 2)]).unwrap();
    let view = |world: &World, whose: &Whose| {
        run(reading::ClusterView::read(world, whose, &pins, &mut Seen::default())).unwrap()
    };
    world.documents.insert(arn.into(), sign(&record(2), other, 2));
    whose.imported.insert(node(1), file(sign(&record(1), other, 2)));
    assert_eq!(indexes(&view(&world, &whose)), [0, 1, 2]);
    whose.imported.insert(node(1), file(sign(&record(1), other, 1)));
    let found = view(&world, &whose);
    assert_eq!(indexes(&found), [0, 2]);
    assert!(found.refused[0].error.to_string().contains("records/1.json"));
    // Who has a list of the nodes goes by it.
    whose.nodes = Some(nodes(&[0, 1]));
    whose.imported.insert(node(1), file(sign(&record(1), other, 2)));
    assert_eq!(indexes(&view(&world, &whose)), [0, 1]);
}

#[test]
fn who_is_pinned_for_one_node_does_not_speak_for_another() {
    let other = "arn:aws:kms:eu-central-1:444455556666:key/records";
    let mut world = World::of(2, true);
    let pins = Pins::new(vec![
        Pin { nodes: Some(nodes(&[0])), ..pin(SIGNER, 1) },
        Pin { nodes: Some(nodes(&[1])), ..pin(other, 2) },
    ])
    .unwrap();
    let found = run(reading::ClusterView::read(&world, &of_node(0), &pins, &mut Seen::default())).unwrap();
    assert_eq!(indexes(&found), [0], "node 1's record is signed by the key of node 0's account");
    world.documents.insert(RECORD_1.into(), sign(&record(1), other, 2));
    let found = run(reading::ClusterView::read(&world, &of_node(0), &pins, &mut Seen::default())).unwrap();
    assert_eq!(indexes(&found), [0, 1]);
}

#[test]
fn a_pin_is_a_p256_key_and_there_is_one() {
    assert!(Pins::new(Vec::new()).is_err());
    assert!(Pins::new(vec![Pin { public_key: vec![1, 2, 3], ..pin(SIGNER, 1) }]).is_err());
}

#[test]
fn a_key_that_waits_counts_from_its_time() {
    let mut world = World::of(2, true);
    world.publish(&with_pending(record(1)));
    let found = view(&world, &of_node(0), &mut Seen::default()).unwrap();
    assert_eq!(found.next_cut_over(at(BEFORE)), Some((at(CUT_OVER), node(1))));
    assert_eq!(found.next_cut_over(at(CUT_OVER)), None);
    let key = |time: &str| found.record_at(node(1), at(time)).unwrap().public_key;
    assert_eq!(key(BEFORE), p2p_key(1, 1).public_key());
    assert_eq!(key(CUT_OVER), p2p_key(1, 2).public_key());
}

#[test]
fn of_a_file_and_a_store_the_newer_record_counts() {
    let mut world = World::of(2, true);
    let mut whose = of_node(0);
    for (stored, imported) in [(3, 9), (9, 3)] {
        world.publish(&NodeRecord { serial: stored, ..record(1) });
        let text = sign(&NodeRecord { serial: imported, ..record(1) }, SIGNER, 1);
        whose.imported.insert(node(1), Imported { from: "records/1.json".into(), text });
        let found = view(&world, &whose, &mut Seen::default()).unwrap();
        assert_eq!(found.records[&node(1)].serial, 9);
    }
}

#[test]
fn a_record_that_may_not_be_read_keeps_no_other_from_being_read() {
    let mut world = World::of(12, true);
    world.denied.push(RECORD_1.into());
    let found = view(&world, &of_node(0), &mut Seen::default()).unwrap();
    assert_eq!(indexes(&found), [0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    assert!(found.refused[0].error.to_string().contains("ssm:GetParameters"), "{:?}", found.refused);
    assert!(view(&world, &of_node(1), &mut Seen::default()).is_err());
}

#[test]
fn who_is_pinned_for_another_node_does_not_say_who_is_in() {
    let other = "arn:aws:kms:eu-central-1:444455556666:key/records";
    let world = World::of(2, true);
    let pins = Pins::new(vec![
        Pin { nodes: Some(nodes(&[1])), ..pin(SIGNER, 1) },
        Pin { nodes: Some(nodes(&[0])), ..pin(other, 2) },
    ])
    .unwrap();
    let error =
        run(reading::ClusterView::read(&world, &of_node(0), &pins, &mut Seen::default())).unwrap_err();
    assert!(
        error.to_string().contains("roster/index") && error.to_string().contains("not pinned"),
        "{error}"
    );
}

#[test]
fn what_was_believed_is_kept_where_what_is_there_now_is_not() {
    let mut world = World::of(3, true);
    let mut seen = Seen::default();
    let before = view(&world, &of_node(0), &mut seen).unwrap();
    world.documents.insert(RECORD_1.into(), "{}".into());
    let mut found = view(&world, &of_node(0), &mut seen).unwrap();
    found.keep(node(1), &before.texts[&node(1)], &pins(), &seen);
    assert!(found.kept[0].error.to_string().contains("malformed"));
    assert_eq!((indexes(&found), found.refused.len()), (vec![0, 1, 2], 0));
    // Not one that is older than what was seen, and not one of a node that is none any more.
    seen.note_record(&cluster(), node(1), 4);
    let mut found = view(&world, &of_node(0), &mut seen).unwrap();
    found.keep(node(1), &before.texts[&node(1)], &pins(), &seen);
    assert_eq!((indexes(&found), found.kept.len()), (vec![0, 2], 0));
}

#[test]
fn a_pending_key_is_on_the_same_curve() {
    let mut world = World::of(2, true);
    let mut changed = with_pending(record(1));
    let public_key = key_material::P2pPrivateKey::make(key_material::Curve::P384).unwrap().public_key();
    if let Some(pending) = &mut changed.pending {
        pending.fingerprint = public_key.fingerprint();
        pending.public_key = public_key;
    }
    world.publish(&changed);
    let found = view(&world, &of_node(0), &mut Seen::default()).unwrap();
    assert!(found.refused[0].error.to_string().contains("another curve"));
}

#[test]
fn what_was_believed_of_a_node_made_elsewhere_is_kept_and_what_was_removed_is_not() {
    let other = "arn:aws:kms:eu-central-1:444455556666:key/records";
    let arn = "arn:aws:ssm:eu-central-1:444455556666:parameter/keyboot/tsm/node/2/record";
    let pins = Pins::new(vec![pin(SIGNER, 1), pin(other, 2)]).unwrap();
    let mut world = World::of(1, true);
    let environment = world.documents.get_mut("/keyboot/tsm/node/0/env").unwrap();
    *environment = environment.replace("\"peers\"", &format!("\"peerRecordArns\":[\"{arn}\"],\"peers\""));
    world.documents.insert(arn.into(), "{}".into());
    let read = |world: &World| {
        run(reading::ClusterView::read(world, &of_node(0), &pins, &mut Seen::default())).unwrap()
    };
    let mut found = read(&world);
    found.keep(node(2), &sign(&record(2), other, 2), &pins, &Seen::default());
    assert_eq!((indexes(&found), found.members.len()), (vec![0, 2], 2));
    let mut found = read(&world);
    found.keep(node(2), &sign(&record(2), SIGNER, 1), &pins, &Seen::default());
    assert_eq!(indexes(&found), [0], "a node that this roster does not list is let back in");
}
