//! Create: what it makes, in which order, and once only.

use provisioning::store::Store;
use provisioning::{NodeOutcome, OperationKind, ProvisionError};
use serde_json::{Value, json};

use crate::fixtures::{
    Declared, LOGICAL_ID, OWNER, STACK, assert_in_service, create, document, in_service, node,
    of_another_stack, operation, pinned, record, roster, run, run_removal, secret, value,
};
use crate::world::{Call, Effect, World};

fn position(calls: &[Call], verb: &str, subject: &str) -> usize {
    calls
        .iter()
        .position(|call| call.verb == verb && call.subject.contains(subject))
        .unwrap_or_else(|| panic!("no {verb} of {subject}"))
}

#[test]
fn a_create_of_three_nodes_makes_what_the_shapes_say() {
    let declared = Declared::nodes(&[0, 1, 2]).with("NodeDomain", "tsm.example.org");
    let world = World::default();
    let outcome = create(&world, &declared, "create-1").unwrap().unwrap();
    assert_in_service(&world, &declared);
    let stored = world.stored();
    assert_eq!(stored.secrets.len(), 12);

    for (index, node) in (0..).zip(&outcome.nodes) {
        assert_node_has_its_shape(&world, index, node);
    }

    let fingerprint = |index| record(&world, index).fingerprint;
    let page = document(&stored, "/keyboot/tsm/roster/1/page/0");
    assert_eq!(
        page,
        format!(
            concat!(
                r#"{{"nodes":[{{"fingerprint":"{}","index":0,"version":1}},"#,
                r#"{{"fingerprint":"{}","index":1,"version":1}},{{"fingerprint":"{}","index":2,"version":1}}]}}"#
            ),
            fingerprint(0),
            fingerprint(1),
            fingerprint(2)
        )
    );
    let index = document(&stored, "/keyboot/tsm/roster/index");
    let golden = format!(
        concat!(
            r#"{{"roster":{{"cluster":"keyboot/tsm","generation":"create-1","nodeCount":3,"owner":"{}","#,
            r#""pages":1,"schema":1,"serial":1,"sha256":"{}"{}}},"signature":""#
        ),
        OWNER,
        outcome.roster_sha256,
        if crate::STORE == Store::default() { "" } else { r#","store":"ParameterStore""# }
    );
    assert!(index.starts_with(&golden), "{index}\n{golden}");
    assert_eq!(
        outcome.roster_arn,
        "arn:aws:ssm:eu-central-1:111122223333:parameter/keyboot/tsm/roster/index"
    );
    for (name, document) in &stored.documents {
        assert_eq!(document.tags["keyboot:owner"], OWNER, "{name}");
    }
}

/// One node of a Create with the default properties, byte for byte.
fn assert_node_has_its_shape(world: &World, index: u32, outcome: &NodeOutcome) {
    let stored = world.stored();
    let record = record(world, index);
    let p2p = secret(world, index, "p2p-key");
    let api = secret(world, index, "api-key/default");
    let management = secret(world, index, "management-key");
    let share = secret(world, index, "share-encryption-password");
    let spki = record.public_key.to_spki_base64();
    let tags = |purpose: &str, public: Option<String>, protection: Option<&str>| {
        let mut tags = json!({
            "keyboot:owner": OWNER, "keyboot:stack": STACK, "keyboot:resource": LOGICAL_ID,
            "keyboot:generation": "create-1", "keyboot:cluster": "keyboot/tsm",
            "keyboot:node": index.to_string(), "keyboot:purpose": purpose,
        });
        if let Some(public) = public {
            tags["keyboot:public"] = public.into();
        }
        if let Some(protection) = protection {
            tags["keyboot:protection"] = protection.into();
        }
        tags
    };
    let hash = |keys: &[provisioning::record::AcceptedKey]| Some(keys[0].hash.to_string());
    let api_hash = hash(record.api_keys.values().next().unwrap());
    assert_eq!(json!(p2p.tags), tags("p2p-key", Some(spki.clone()), Some("Envelope")));
    assert_eq!(json!(api.tags), tags("api-key/default", api_hash.clone(), None));
    assert_eq!(json!(management.tags), tags("management-key", hash(&record.management_keys), None));
    assert_eq!(json!(share.tags), tags("share-encryption-password", None, Some("Envelope")));
    assert!(value(&api).starts_with("keyboot_") && value(&api).len() == 57);
    assert!(value(&management).starts_with("keybootm_"));

    let text = document(&stored, &format!("/keyboot/tsm/node/{index}/record"));
    let (text, signature) = text.split_once(r#","signature":""#).unwrap();
    let golden = format!(
        concat!(
            r#"{{"record":{{"apiKeys":{{"default":[{{"hash":"{api}","state":"current","versionId":"{api_version}"}}]}},"#,
            r#""cluster":"keyboot/tsm","curve":"P-256","fingerprint":"{fingerprint}","generation":"create-1","#,
            r#""index":{index},"managementKeys":[{{"hash":"{management}","state":"current","versionId":"{management_version}"}}],"#,
            r#""publicKey":"{spki}","schema":1,"serial":1,"shareVersionId":"{share_version}","version":1,"versionId":"{version}"}}"#
        ),
        api = api_hash.unwrap(),
        api_version = api.versions[0].0,
        fingerprint = record.fingerprint,
        index = index,
        management = record.management_keys[0].hash,
        management_version = management.versions[0].0,
        spki = spki,
        share_version = share.versions[0].0,
        version = p2p.versions[0].0,
    );
    assert_eq!(text, golden);
    assert!(signature.contains(r#"","signer":"arn:aws:kms:"#));

    let environment = document(&stored, &format!("/keyboot/tsm/node/{index}/env"));
    let golden = format!(
        concat!(
            r#"{{"cluster":"keyboot/tsm","index":{index},"node":"node-{index}.tsm.example.org","#,
            r#""p2pKeyArn":"{p2p}","peers":"roster","#,
            r#""recordArn":"arn:aws:ssm:eu-central-1:111122223333:parameter/keyboot/tsm/node/{index}/record","#,
            r#""schema":1,"shareSecretArn":"{share}"}}"#
        ),
        index = index,
        p2p = p2p.arn,
        share = share.arn
    );
    assert_eq!(environment, golden);
    assert_eq!(
        outcome.attributes,
        [
            ("PublicKey", spki),
            (
                "RecordArn",
                format!("arn:aws:ssm:eu-central-1:111122223333:parameter/keyboot/tsm/node/{index}/record")
            ),
            (
                "EnvArn",
                format!("arn:aws:ssm:eu-central-1:111122223333:parameter/keyboot/tsm/node/{index}/env")
            ),
            ("P2pKeyArn", p2p.arn),
            ("ShareSecretArn", share.arn),
            ("ManagementKeyArn", management.arn),
            ("ApiKeyArn0", api.arn),
        ]
        .map(|(name, value)| (name.to_owned(), value))
    );
}

#[test]
fn private_halves_are_stored_before_public_halves_are_published_and_the_index_comes_last() {
    let world = World::default();
    let declared = Declared::nodes(&[0, 1, 2]);
    create(&world, &declared, "create-1").unwrap().unwrap();
    let calls = world.calls();
    let asked: Vec<_> = calls
        .iter()
        .enumerate()
        .filter(|(_, call)| call.verb == "resource_state")
        .map(|(at, _)| at)
        .collect();
    let first_write = calls.iter().position(|call| call.effect == Effect::Writes).unwrap();
    let first_made = calls.iter().position(|call| call.effect == Effect::Makes).unwrap();
    let last_secret = calls.iter().rposition(|call| call.verb == "create_secret").unwrap();
    let intent = position(&calls, "publish_new", "/intent/");
    let first_secret = position(&calls, "create_secret", "");
    assert_eq!(asked.len(), 2, "asked before the first write and before publishing");
    assert!(asked[0] < first_write && asked[0] < first_made);
    assert!(intent < first_secret, "the note comes before what it tells of");
    assert!(last_secret < asked[1]);
    for index in 0..3 {
        for document in ["record", "env"] {
            assert!(asked[1] < position(&calls, "publish_new", &format!("/node/{index}/{document}")));
        }
    }
    let index = position(&calls, "publish_new", "/roster/index");
    assert!(position(&calls, "publish_new", "/roster/1/page/0") < index);
    // After the mark only the spent note goes.
    let after: Vec<_> = calls[index + 1..].iter().filter(|call| call.effect != Effect::Reads).collect();
    assert!(
        matches!(after.as_slice(), [call] if call.verb == "withdraw" && call.subject == "/keyboot/tsm/intent/0123456789abcdef"),
        "{after:?}"
    );
}

#[test]
fn no_audit_event_holds_a_value_and_its_schema_is_fixed() {
    for protection in ["Envelope", "Service"] {
        let declared = Declared::nodes(&[0, 1]).with("Protection", protection);
        let world = in_service(&declared);
        crate::fixtures::update(&world, &declared, &declared.clone().with_nodes(&[1]), "u").unwrap().unwrap();
        crate::fixtures::delete(&world, &declared, "d").unwrap().unwrap();
        let events = world.events.borrow().clone();
        assert!(events.len() > 20);
        for plaintext in world.plaintexts.borrow().iter() {
            use base64::Engine as _;
            let text = String::from_utf8_lossy(plaintext).into_owned();
            let forms = [
                base64::engine::general_purpose::STANDARD.encode(plaintext),
                hex::encode(plaintext),
                serde_json::to_string(&text).unwrap().trim_matches('"').to_owned(),
                text,
            ];
            for event in &events {
                assert!(forms.iter().all(|form| !event.contains(form.as_str())), "a value in {event}");
            }
        }
        let made = events.iter().find(|event| event.contains("node/0/p2p-key")).unwrap();
        let p2p = secret(&world, 0, "p2p-key");
        assert_eq!(
            *made,
            format!(
                concat!(
                    r#"{{"schema":1,"event":"keyboot.audit","action":"made","owner":"{}","generation":"create-1","#,
                    r#""subject":"{}","node":0,"purpose":"p2p-key","versionId":"{}","public":"{}"}}"#
                ),
                OWNER, p2p.arn, p2p.versions[0].0, p2p.tags["keyboot:public"]
            )
        );
        let allowed = [
            "schema",
            "event",
            "action",
            "owner",
            "generation",
            "subject",
            "node",
            "purpose",
            "versionId",
            "public",
            "because",
        ];
        for event in &events {
            let json: Value = serde_json::from_str(event).unwrap();
            assert!(json.as_object().unwrap().keys().all(|key| allowed.contains(&key.as_str())), "{event}");
        }
    }
}

#[test]
fn the_same_create_again_changes_nothing_and_answers_the_same() {
    let declared = Declared::nodes(&[0, 1, 2]);
    let world = World::default();
    let first = create(&world, &declared, "create-1").unwrap().unwrap();
    let stored = world.stored();
    world.revive();
    assert_eq!(create(&world, &declared, "create-1").unwrap().unwrap(), first);
    assert_eq!(world.writes(), [""; 0]);
    assert_eq!(world.stored(), stored);
    // Long after: CloudFormation shows another state, and nothing has to be asked.
    world.show("CREATE_COMPLETE", Some(OWNER));
    let late = run(&world, &operation(OperationKind::Create, "create-1"), &declared, None);
    assert_eq!(late.unwrap().unwrap(), first);
    assert_eq!(world.stored(), stored);
}

#[test]
fn two_deliveries_at_once_make_one_version_of_each_secret_and_answer_the_same() {
    let declared = Declared::nodes(&[0, 1]);
    for seed in 1..16 {
        let world = World::default();
        world.take_turns(seed);
        world.show("CREATE_IN_PROGRESS", None);
        let (operation, spec, pinned) =
            (operation(OperationKind::Create, "create-1"), declared.spec(), pinned());
        let once = || provisioning::reconcile(&world, &pinned, &operation, &spec, None);
        let (a, b) = world.drive(futures_util::future::join(once(), once())).unwrap();
        assert_eq!(a.unwrap(), b.unwrap(), "seed {seed}");
        assert_in_service(&world, &declared);
    }
}

#[test]
fn without_a_permit_nothing_is_written() {
    let declared = Declared::nodes(&[0]);
    let state = |world: &World, status: &str| match status {
        "" => world.show_nothing(),
        status => world.show(status, Some(OWNER)),
    };
    for (kind, status) in [
        (OperationKind::Create, ""),
        (OperationKind::Create, "CREATE_COMPLETE"),
        (OperationKind::Create, "CREATE_FAILED"),
        (OperationKind::Create, "DELETE_IN_PROGRESS"),
        (OperationKind::Create, "DELETE_COMPLETE"),
        (OperationKind::Create, "UPDATE_IN_PROGRESS"),
        (OperationKind::Update, "UPDATE_COMPLETE"),
        (OperationKind::Update, "CREATE_IN_PROGRESS"),
        (OperationKind::Update, "DELETE_IN_PROGRESS"),
    ] {
        let world = World::default();
        state(&world, status);
        let refused = run(&world, &operation(kind, "r"), &declared, None).unwrap();
        assert!(matches!(refused, Err(ProvisionError::NotInProgress(_))), "{kind:?} {status}: {refused:?}");
        assert!(world.stored().is_empty(), "{kind:?} {status}");
        assert!(world.calls().iter().all(|call| call.effect == Effect::Reads), "{kind:?} {status}");
    }
    let world = World::default();
    world.show("CREATE_IN_PROGRESS", None);
    let mut unknown = operation(OperationKind::Create, "r");
    unknown.owner.stack_id.push('x');
    let refused = run(&world, &unknown, &declared, None).unwrap();
    assert!(matches!(refused, Err(ProvisionError::NotPinned)));
    assert_eq!(world.calls(), []);
}

#[test]
fn a_create_whose_stack_gave_up_publishes_nothing_more() {
    let declared = Declared::nodes(&[0]);
    let world = World::default();
    world.take_turns(3);
    world.show("CREATE_IN_PROGRESS", None);
    let (operation, spec, pinned) = (operation(OperationKind::Create, "create-1"), declared.spec(), pinned());
    let gives_up = async {
        while !world.calls().iter().any(|call| call.verb == "create_secret") {
            let mut once = false;
            std::future::poll_fn(|_| {
                if std::mem::replace(&mut once, true) {
                    std::task::Poll::Ready(())
                } else {
                    std::task::Poll::Pending
                }
            })
            .await;
        }
        world.show("CREATE_FAILED", None);
    };
    let create = provisioning::reconcile(&world, &pinned, &operation, &spec, None);
    let (answer, ()) = world.drive(futures_util::future::join(create, gives_up)).unwrap();
    assert!(matches!(answer, Err(ProvisionError::NotInProgress(_))), "{answer:?}");
    assert!(world.stored().documents.keys().all(|name| name.contains("/intent/")));
    crate::fixtures::delete(&world, &declared, "d").unwrap().unwrap();
    crate::fixtures::assert_nothing_is_left(&world, "a Create that was given up");
}

#[test]
fn a_foreign_secret_in_the_way_is_refused_before_any_write_and_left_as_it_is() {
    let declared = Declared::nodes(&[0, 1]);
    for purpose in ["p2p-key", "api-key/default", "management-key", "share-encryption-password"] {
        for tags in [
            json!({}),
            json!({"keyboot:owner": "keyboot/keyboot/tsm/fedcba9876543210", "keyboot:stack": STACK}),
            json!({"keyboot:owner": OWNER, "keyboot:stack": "arn:aws:cloudformation:eu-central-1:111122223333:stack/x/1"}),
        ] {
            let world = World::default();
            let other = in_service(&Declared::nodes(&[1]));
            let mut foreign = secret(&other, 1, purpose);
            foreign.tags = serde_json::from_value(tags.clone()).unwrap();
            let name = format!("keyboot/tsm/node/1/{purpose}");
            world.stored.borrow_mut().secrets.insert(name.clone(), foreign);
            let before = world.stored();
            let refused = create(&world, &declared, "create-1").unwrap();
            let Err(ProvisionError::Foreign { subject, .. }) = &refused else { panic!("{refused:?}") };
            assert!(subject.contains(&name));
            assert_eq!(world.writes(), [""; 0]);
            let told = crate::fixtures::delete(&world, &declared, "d").unwrap().unwrap();
            assert!(told.iter().any(|line| line.contains("left alone")), "{told:?}");
            assert_eq!(world.stored(), before);
        }
    }
}

#[test]
fn a_foreign_roster_is_refused_before_any_write_and_left_as_it_is() {
    // The other stack has other nodes, so that no secret's name meets another.
    let theirs = Declared::nodes(&[7]);
    let world = World::default();
    world.show("CREATE_IN_PROGRESS", None);
    run(&world, &of_another_stack(operation(OperationKind::Create, "theirs")), &theirs, None)
        .unwrap()
        .unwrap();
    let before = world.stored();
    world.revive();
    let refused = create(&world, &Declared::nodes(&[0]), "create-1").unwrap();
    assert!(
        matches!(&refused, Err(ProvisionError::Foreign { owner, .. }) if owner.ends_with("fedcba9876543210"))
    );
    assert_eq!(world.writes(), [""; 0]);
    crate::fixtures::delete(&world, &Declared::nodes(&[0, 7]), "d").unwrap().unwrap();
    assert_eq!(world.stored(), before);
}

#[test]
fn of_two_stacks_that_want_one_cluster_at_once_one_wins_and_stays_whole() {
    let (mine, theirs) = (Declared::nodes(&[0]), Declared::nodes(&[7]));
    let mut wins = [0, 0];
    for seed in 1..24 {
        let world = World::default();
        world.take_turns(seed);
        world.show("CREATE_IN_PROGRESS", None);
        let pinned = pinned();
        let a = operation(OperationKind::Create, "mine");
        let b = of_another_stack(operation(OperationKind::Create, "theirs"));
        let (spec_a, spec_b) = (mine.spec(), theirs.spec());
        let (first, second) = world
            .drive(futures_util::future::join(
                provisioning::reconcile(&world, &pinned, &a, &spec_a, None),
                provisioning::reconcile(&world, &pinned, &b, &spec_b, None),
            ))
            .unwrap();
        assert!(first.is_err() || second.is_err(), "seed {seed}: both won");
        // The losers' Deletes follow.
        world.take_turns(0);
        world.show("DELETE_IN_PROGRESS", None);
        for (answer, operation, declared) in [(&first, &a, &mine), (&second, &b, &theirs)] {
            if answer.is_err() {
                let mut delete = operation.clone();
                delete.kind = OperationKind::Delete;
                run_removal(&world, &delete, declared).unwrap().unwrap();
            }
        }
        let (winner, index) = match (&first, &second) {
            (Ok(_), _) => (Some(&a), 0),
            (_, Ok(_)) => (Some(&b), 7),
            _ => (None, 0),
        };
        match winner {
            Some(winner) => {
                wins[usize::from(index == 7)] += 1;
                let (roster, entries) = roster(&world);
                assert_eq!(roster.owner, winner.owner.id.as_str(), "seed {seed}");
                assert_eq!(entries.iter().map(|entry| entry.index).collect::<Vec<_>>(), [node(index)]);
                let owner = &winner.owner;
                assert!(
                    world.stored().secrets.values().all(|secret| owner.owns(&secret.tags)),
                    "seed {seed}"
                );
            }
            None => crate::fixtures::assert_nothing_is_left(&world, &format!("seed {seed}")),
        }
    }
    assert!(wins.iter().all(|wins| *wins > 0), "{wins:?}");
}

#[test]
fn a_large_record_fits_and_calls_side_by_side_are_bounded() {
    let applications: Vec<_> = (0..16).map(|n| format!("{}{n:02}", "a".repeat(29))).collect();
    let namespace = format!("{0}/{0}/{1}", "n".repeat(31), "");
    let namespace = namespace.trim_end_matches('/').to_owned();
    assert!(namespace.len() >= 63);
    let declared = Declared::nodes(&[99_999, 99_998, 99_997, 99_996])
        .with("Namespace", namespace.as_str())
        .with("Cluster", "c".repeat(31))
        .with("P2pCurve", "P-384")
        .with("Applications", applications);
    let world = World::default();
    world.take_turns(1);
    world.show("CREATE_IN_PROGRESS", None);
    let mut operation = operation(OperationKind::Create, "11111111-2222-3333-4444-555555555555");
    operation.owner.id = format!("keyboot/{namespace}/{}/0123456789abcdef", "c".repeat(31)).parse().unwrap();
    run(&world, &operation, &declared, None).unwrap().unwrap();
    assert!(world.most_under_way() <= 48, "{}", world.most_under_way());
    assert!(world.most_under_way() >= 20, "{}", world.most_under_way());
    let longest = world.stored().documents.values().map(|document| document.text.len()).max().unwrap();
    assert!((2800..=8192).contains(&longest), "{longest}");
}
