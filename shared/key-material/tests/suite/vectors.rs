//! The vector files, as types. Each file says what it expects and where its values come from.

use key_material::{ApiKeyKind, Curve};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// `p2p-keys.json`
#[derive(Deserialize)]
pub(crate) struct P2pKeys {
    pub(crate) keys: Vec<P2pKey>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct P2pKey {
    pub(crate) name: String,
    pub(crate) curve: String,
    pub(crate) scalar: String,
    pub(crate) pkcs8: String,
    pub(crate) sec1: String,
    pub(crate) spki: String,
    pub(crate) uncompressed: String,
    pub(crate) compressed: String,
    pub(crate) fingerprint: String,
    pub(crate) address: Option<String>,
    pub(crate) node_id: Option<String>,
    pub(crate) enode: Option<String>,
    pub(crate) peer_id: Option<String>,
}

/// `documents.json`
#[derive(Deserialize)]
pub(crate) struct Documents {
    pub(crate) accepted: Vec<Accepted>,
    pub(crate) refused: Vec<RefusedDocument>,
}

#[derive(Deserialize)]
pub(crate) struct Accepted {
    pub(crate) name: String,
    pub(crate) form: Form,
    pub(crate) document: String,
    pub(crate) curve: String,
    pub(crate) scalar: String,
}

#[derive(Deserialize)]
pub(crate) struct RefusedDocument {
    pub(crate) name: String,
    pub(crate) form: Form,
    pub(crate) document: String,
    pub(crate) fault: String,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Form {
    Pkcs8,
    Sec1,
    Spki,
}

/// `api-keys.json`
#[derive(Deserialize)]
pub(crate) struct ApiKeys {
    pub(crate) keys: Vec<ApiKeyVector>,
    pub(crate) refused: Vec<RefusedApiKey>,
    pub(crate) hashes: Vec<HashVector>,
}

#[derive(Deserialize)]
pub(crate) struct ApiKeyVector {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) entropy: String,
    pub(crate) text: String,
    pub(crate) hash: String,
}

#[derive(Deserialize)]
pub(crate) struct RefusedApiKey {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) fault: String,
}

#[derive(Deserialize)]
pub(crate) struct HashVector {
    pub(crate) text: String,
    pub(crate) hash: String,
}

/// `ethereum-addresses.json`
#[derive(Deserialize)]
pub(crate) struct EthereumAddresses {
    pub(crate) addresses: Vec<AddressVector>,
}

#[derive(Deserialize)]
pub(crate) struct AddressVector {
    pub(crate) text: String,
}

macro_rules! vector_file {
    ($name:literal) => {
        include_str!(concat!("../../../../tests/vectors/key-material/", $name))
    };
}

pub(crate) fn p2p_keys() -> Vec<P2pKey> {
    read::<P2pKeys>(vector_file!("p2p-keys.json")).keys
}

pub(crate) fn documents() -> Documents {
    read(vector_file!("documents.json"))
}

pub(crate) fn api_keys() -> ApiKeys {
    read(vector_file!("api-keys.json"))
}

pub(crate) fn ethereum_addresses() -> Vec<AddressVector> {
    read::<EthereumAddresses>(vector_file!("ethereum-addresses.json")).addresses
}

pub(crate) fn curve(name: &str) -> Curve {
    name.parse().expect("the vectors name known curves")
}

pub(crate) fn kind(name: &str) -> ApiKeyKind {
    ApiKeyKind::ALL
        .into_iter()
        .find(|kind| format!("{kind:?}") == name)
        .expect("the vectors name known kinds")
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    hex::decode(text).expect("the vectors are hexadecimal")
}

fn read<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).expect("a vector file has the shape its type says")
}
