//! What is handed out as bytes is what is handed out as text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use key_material::ethereum::NodeId;
use key_material::libp2p::PeerId;
use key_material::{ApiKeyHash, Curve, Fingerprint, P2pPrivateKey};

#[test]
fn bytes_and_text_of_a_name_are_the_same() {
    let key = P2pPrivateKey::make(Curve::Secp256k1).unwrap().public_key();
    let fingerprint = Fingerprint::of(&key);
    assert_eq!(fingerprint.to_string(), format!("sha256:{}", hex::encode(fingerprint.as_bytes())));
    let node_id = NodeId::of(&key).unwrap();
    assert_eq!(node_id.to_string(), hex::encode(node_id.as_bytes()));
    let peer_id = PeerId::of(&key).unwrap();
    assert_eq!(peer_id.to_string(), bs58::encode(peer_id.as_bytes()).into_string());
    let hash = ApiKeyHash::of("a key");
    assert_eq!(hash.to_string(), STANDARD.encode(hash.as_bytes()));
}
