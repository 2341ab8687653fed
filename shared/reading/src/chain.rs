//! The keys of a chain's roles: which one counts, by a signed document, and that one's value.
//!
//! A role's keys are written once, each under a name of its own. The document is believed as a node record is;
//! the value is believed by the address that it controls, which stands in the document beside the number.

use key_material::ethereum::EthereumAddress;
use key_material::{Curve, P2pPrivateKey};
use provisioning::chain::{ChainDocument, RoleKey};
use provisioning::names::{ClusterName, NodeIndex, Segment};
use zeroize::Zeroizing;

use crate::error::ReadError;
use crate::pins::Pins;
use crate::ports::{DocumentReader, SecretReader};
use crate::seen::Seen;

/// What helps where the document is not there.
const NO_CHAIN: &str = "look whether keyboot-onprem made this chain, whose name is <namespace>/<chain>, and whether the server is the \
     right one";
/// The one version that a role key ever has.
const ONLY_VERSION: &str = "1";

/// Reads which keys of a chain count: signed by a key that is pinned for all nodes, or for the reader's own, and
/// no older than what he has seen.
///
/// # Errors
///
/// [`ReadError`], which names the document.
pub async fn read_chain(
    from: &impl DocumentReader,
    chain: &ClusterName,
    reader: Option<NodeIndex>,
    pins: &Pins,
    seen: &mut Seen,
) -> Result<ChainDocument, ReadError> {
    let name = chain.chain_parameter().to_string();
    let text = from.read_documents(std::slice::from_ref(&name)).await?.into_iter().flatten().next();
    let text = text.ok_or_else(|| ReadError::NotFound { name: name.clone(), hint: NO_CHAIN })?;
    let document = ChainDocument::verify(&text, &pins.of_rosters(reader), chain, seen.chain(chain));
    let document = document.map_err(|error| ReadError::document(&name, error))?;
    seen.note_chain(chain, document.serial);
    Ok(document)
}

/// Fetches one key of a role from a server on premises.
///
/// # Errors
///
/// [`ReadError`]; [`ReadError::Mismatch`] where what is stored is no key, or not that of the address.
pub async fn fetch_role_key(
    from: &impl SecretReader,
    server: &Segment,
    chain: &ClusterName,
    role: &Segment,
    key: &RoleKey,
) -> Result<P2pPrivateKey, ReadError> {
    let arn = format!("arn:vault:kv:{server}:root:secret/{}", chain.role_key_name(role, key.number));
    let stored = from.fetch_version(&arn, ONLY_VERSION).await?;
    let no_key =
        || ReadError::mismatch(&arn, "what it holds is no key: 64 hexadecimal digits and nothing else");
    let mut scalar = Zeroizing::new([0; 32]);
    // EXPOSE: into the type that keeps private keys.
    hex::decode_to_slice(stored.expose(), scalar.as_mut_slice()).map_err(|_| no_key())?;
    let found = P2pPrivateKey::from_scalar(Curve::Secp256k1, scalar.as_slice()).map_err(|_| no_key())?;
    match EthereumAddress::of(&found.public_key()) {
        Ok(address) if address == key.address => Ok(found),
        _ => Err(ReadError::mismatch(&arn, format!("its key does not control {}", key.address))),
    }
}
