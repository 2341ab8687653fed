//! What is told, and under which names: tokens, owners in messages, the last byte of an answer.

use provisioning::names::{ClusterName, Purpose, Slot};
use provisioning::ownership::{Generation, first_version_token};
use provisioning::record::PendingKey;
use provisioning::roster::RosterIndex;
use provisioning::sealing::EncryptionContext;
use provisioning::signed::{CanonicalText, DOCUMENT_MAX, DocumentError};
use provisioning::{NodeOutcome, OperationKind, Outcome, ProvisionError};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::fixtures::{
    Declared, NOW, create, delete, in_service, node, operation, record, roster, run, secret,
};
use crate::world::{SIGNER, World};

/// RFC 9562, section 5.8: version 8, the variant of that RFC, and 122 bits of the digest.
#[test]
fn a_token_is_a_uuid_of_the_request_and_the_name() {
    let cluster: ClusterName = "keyboot/tsm".parse().unwrap();
    for (request, index, purpose) in [
        ("create-1", 0, Purpose::P2pKey),
        ("create-1", 1, Purpose::P2pKey),
        ("create-2", 0, Purpose::P2pKey),
        ("create-1", 0, Purpose::ManagementKey),
        ("create-1", 0, Purpose::ApiKey("default".parse().unwrap())),
        ("create-1", 0, Purpose::SharePassword),
    ] {
        let name = cluster.secret_name(node(index), &purpose);
        let digest = Sha256::digest(format!("{request}{name}"));
        let number = u128::from_be_bytes(digest[..16].try_into().unwrap());
        let number = number & !(0xf000_u128 << 64) | (0x8000_u128 << 64);
        let number = number & !(0xc000_u128 << 48) | (0x8000_u128 << 48);
        let hex = format!("{number:032x}");
        let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
        assert_eq!(first_version_token(&Generation::new(request), &name), parts.join("-"), "{name}");
    }
}

#[test]
fn a_stranger_is_named_as_far_as_its_tag_can_be_printed() {
    let long = "x".repeat(300);
    for (tags, named) in [
        (json!({ "keyboot:owner": "another/stack" }), "another/stack"),
        (json!({ "keyboot:owner": "a \n\u{1b}[31mb\u{e9}" }), "a[31mb"),
        (json!({ "keyboot:owner": long }), &long[..200]),
        (json!({ "somebody": "else" }), "somebody who is not a keyboot resource"),
    ] {
        let world = World::default();
        let mut foreign = secret(&in_service(&Declared::nodes(&[0])), 0, "p2p-key");
        foreign.tags = serde_json::from_value(tags).unwrap();
        world.stored.borrow_mut().secrets.insert("keyboot/tsm/node/0/p2p-key".into(), foreign);
        let refused = create(&world, &Declared::nodes(&[0]), "create-1").unwrap();
        let Err(ProvisionError::Foreign { owner, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(owner, named);
    }
}

#[test]
fn a_delete_that_met_no_stranger_speaks_of_none() {
    let declared = Declared::nodes(&[0]);
    let told = delete(&in_service(&declared), &declared, "delete-1").unwrap().unwrap();
    assert!(told.iter().any(|line| line.contains("share-encryption-password")), "{told:?}");
    assert!(told.iter().all(|line| !line.contains("somebody else")), "{told:?}");
}

#[test]
fn an_answer_takes_its_budget_to_the_last_byte() {
    let nodes = (0..5).map(|index| NodeOutcome {
        index: node(index),
        attributes: vec![("PublicKey".into(), "p".repeat(124)), ("P2pKeyArn".into(), "a\"".into())],
    });
    let outcome = Outcome {
        nodes: nodes.collect(),
        roster_arn: "arn".into(),
        roster_sha256: "0".repeat(64),
        told: Vec::new(),
    };
    let whole = outcome.attributes(100_000);
    assert_eq!(whole["NodesInAnswer"], "5");
    let length = serde_json::to_string(&whole).unwrap().len();
    assert_eq!(outcome.attributes(length), whole);
    assert_eq!(outcome.attributes(length - 1)["NodesInAnswer"], "4");
}

#[test]
fn what_is_signed_is_the_text_that_is_shown() {
    let (index, _) = roster(&in_service(&Declared::nodes(&[0])));
    let canonical = CanonicalText::of(&index).unwrap();
    assert_eq!(canonical.to_string(), serde_jcs::to_string(&index).unwrap());
    assert_eq!(canonical.digest(), *Sha256::digest(format!("keyboot.roster.v1\n{canonical}")));
}

#[test]
fn an_encryption_context_is_these_three_pairs() {
    let slot = Slot { index: node(3), purpose: Purpose::ApiKey("default".parse().unwrap()) };
    let context = EncryptionContext::of(&"keyboot/prod/tsm".parse().unwrap(), &slot);
    let pairs: Vec<_> = context.pairs().collect();
    assert_eq!(
        pairs,
        [
            ("keyboot:cluster", "keyboot/prod/tsm"),
            ("keyboot:node", "3"),
            ("keyboot:purpose", "api-key/default")
        ]
    );
}

#[test]
fn a_document_fits_its_parameter_to_the_last_byte() {
    let (mut index, _) = roster(&in_service(&Declared::nodes(&[0])));
    let signed = |index: &RosterIndex| CanonicalText::of(index).unwrap().signed(&[0; 72], SIGNER);
    let length = signed(&index).unwrap().len();
    index.owner.push_str(&"x".repeat(DOCUMENT_MAX - length));
    assert_eq!(signed(&index).map(|text| text.len()), Ok(DOCUMENT_MAX));
    index.owner.push('x');
    assert_eq!(signed(&index), Err(DocumentError::TooLong(DOCUMENT_MAX + 1)));
}

#[test]
fn a_record_names_its_versions_and_no_others() {
    let mut record = record(&in_service(&Declared::nodes(&[0])), 0);
    record.pending = Some(PendingKey {
        counts_from: NOW.parse().unwrap(),
        fingerprint: record.fingerprint,
        generation: record.generation.clone(),
        public_key: record.public_key.clone(),
        version: 2,
        version_id: "to-come".into(),
    });
    let api_key = Purpose::ApiKey("default".parse().unwrap());
    let names = [
        (Purpose::P2pKey, record.version_id.clone()),
        (Purpose::P2pKey, "to-come".into()),
        (Purpose::SharePassword, record.share_version_id.clone().unwrap()),
        (Purpose::ManagementKey, record.management_keys[0].version_id.clone().unwrap()),
        (api_key.clone(), record.api_keys.values().next().unwrap()[0].version_id.clone().unwrap()),
    ];
    for (purpose, id) in &names {
        for (other, _) in &names {
            assert_eq!(record.names(other, id), other == purpose, "{id} of {other}");
        }
        assert!(!record.names(purpose, "another"), "{purpose}");
    }
    assert!(!record.names(&Purpose::ApiKey("other".parse().unwrap()), &names[4].1));
    record.pending = None;
    assert!(!record.names(&Purpose::P2pKey, "to-come"));
}

#[test]
fn a_refusal_says_what_cloudformation_shows() {
    let world = World::default();
    world.show("CREATE_FAILED", Some("made-up-id"));
    let create = operation(OperationKind::Create, "create-1");
    let refused = run(&world, &create, &Declared::nodes(&[0]), None).unwrap().unwrap_err().to_string();
    assert!(refused.contains("CREATE_FAILED") && !refused.contains("made-up-id"), "{refused}");
}
