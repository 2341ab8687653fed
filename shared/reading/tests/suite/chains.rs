//! The keys of a chain's roles: which one counts is believed of a signed document only, and a value by its
//! address only.

use std::collections::{BTreeMap, BTreeSet};

use key_material::ethereum::EthereumAddress;
use key_material::{Curve, P2pPrivateKey};
use provisioning::chain::{ChainDocument, RoleKey, RoleKeys};
use provisioning::names::{ClusterName, Segment};
use provisioning::ownership::Generation;
use provisioning::signed::DocumentError;
use reading::{Pin, Pins, ReadError, Seen, fetch_role_key, read_chain};

use crate::world::{World, node, pin, run, sign};

const SIGNER: &str = "arn:vault:transit:ops:root:key/records";
const KEY_2: &str = "arn:vault:kv:ops:root:secret/keyboot/l2/role/sequencer/2";

fn chain() -> ClusterName {
    "keyboot/l2".parse().unwrap()
}

fn role() -> Segment {
    "sequencer".parse().unwrap()
}

fn private_key(seed: u8) -> P2pPrivateKey {
    P2pPrivateKey::from_scalar(Curve::Secp256k1, &[seed; 32]).unwrap()
}

fn role_key(number: u32) -> RoleKey {
    let key = private_key(u8::try_from(number).unwrap());
    RoleKey { address: EthereumAddress::of(&key.public_key()).unwrap(), number }
}

fn document(serial: u64) -> ChainDocument {
    let keys = RoleKeys { current: Some(role_key(2)), highest: 2, ..RoleKeys::default() };
    ChainDocument {
        chain: chain(),
        chain_id: 901,
        generation: Generation::new("provision-1"),
        l1_chain_id: 1,
        owner: "keyboot/keyboot/l2/0123456789abcdef".into(),
        roles: BTreeMap::from([(role(), keys)]),
        schema: 1,
        serial,
    }
}

fn pins(nodes: Option<&[u32]>) -> Pins {
    let nodes = nodes.map(|nodes| nodes.iter().copied().map(node).collect::<BTreeSet<_>>());
    Pins::new(vec![Pin { nodes, ..pin(SIGNER, 1) }]).unwrap()
}

fn publish(world: &mut World, document: &ChainDocument, seed: u8) {
    world.documents.insert("/keyboot/l2/chain".into(), sign(document, SIGNER, seed));
}

fn read(world: &World, pins: &Pins, seen: &mut Seen) -> Result<ChainDocument, ReadError> {
    run(read_chain(world, &chain(), Some(node(0)), pins, seen))
}

fn fetch(world: &World, key: &RoleKey) -> Result<P2pPrivateKey, ReadError> {
    run(fetch_role_key(world, &"ops".parse().unwrap(), &chain(), &role(), key))
}

#[test]
fn what_counts_is_read_and_an_older_document_is_refused_afterwards() {
    let (mut world, mut seen) = (World::default(), Seen::default());
    publish(&mut world, &document(5), 1);
    let found = read(&world, &pins(None), &mut seen).unwrap();
    assert_eq!(found.roles[&role()].current, Some(role_key(2)));
    assert_eq!(seen.chain(&chain()), 5);
    publish(&mut world, &document(4), 1);
    let older = read(&world, &pins(None), &mut seen).unwrap_err();
    let error = DocumentError::Older { found: 4, seen: 5 };
    assert_eq!(older, ReadError::Document { name: "/keyboot/l2/chain".into(), error });
}

#[test]
fn one_that_nobody_pinned_has_signed_or_that_is_not_there_is_refused_by_name() {
    let mut world = World::default();
    let missing = read(&world, &pins(None), &mut Seen::default()).unwrap_err().to_string();
    assert!(
        missing.contains("/keyboot/l2/chain does not exist") && missing.contains("keyboot-onprem"),
        "{missing}"
    );
    publish(&mut world, &document(5), 2);
    let mut seen = Seen::default();
    let forged = read(&world, &pins(None), &mut seen).unwrap_err().to_string();
    assert!(forged.contains("its signature does not fit"), "{forged}");
    assert_eq!(seen, Seen::default());
    // A key that speaks for another node only says nothing about the chain.
    publish(&mut world, &document(5), 1);
    let stranger = read(&world, &pins(Some(&[1])), &mut seen).unwrap_err().to_string();
    assert!(stranger.contains("is not pinned"), "{stranger}");
    assert!(read(&world, &pins(Some(&[0])), &mut seen).is_ok());
}

#[test]
fn a_value_is_fetched_by_its_number_and_believed_by_its_address() {
    let mut world = World::default();
    let mut put = |value: &str| world.secrets.insert((KEY_2.into(), "1".into()), value.to_owned());
    // EXPOSE: to a store in memory.
    put(&private_key(2).expose_scalar_hex());
    let found = fetch(&world, &role_key(2)).unwrap();
    assert!(found.matches(&private_key(2).public_key()));
    assert_eq!(*world.fetched.borrow(), [(KEY_2.to_owned(), "1".to_owned())]);
    let absent = fetch(&world, &role_key(3)).unwrap_err();
    assert!(
        matches!(&absent, ReadError::NotFound { name, .. } if name.ends_with("/role/sequencer/3")),
        "{absent}"
    );
    let other = RoleKey { number: 2, ..role_key(3) };
    let refused = fetch(&world, &other).unwrap_err().to_string();
    assert!(refused.contains(&format!("does not control {}", other.address)), "{refused}");
}

#[test]
fn what_is_no_key_is_refused_and_not_repeated() {
    let zero = "0".repeat(64);
    let with_newline = format!("{}\n", "02".repeat(32));
    let prefixed = format!("0x{}", "02".repeat(32));
    for value in ["canary", "", &"02".repeat(31), &"02".repeat(33), &zero, &with_newline, &prefixed] {
        let mut world = World::default();
        world.secrets.insert((KEY_2.into(), "1".into()), value.to_owned());
        let refused = fetch(&world, &role_key(2)).unwrap_err().to_string();
        assert!(refused.contains("64 hexadecimal digits and nothing else"), "{value:?}: {refused}");
        assert!(!refused.contains("0202") && !refused.contains("canary"), "{refused}");
    }
}
