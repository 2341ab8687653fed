//! What an Ethereum network calls a key: address, node id, `enode` URL.
//!
//! All of them come from `X ‖ Y` of a secp256k1 key, 64 bytes without the leading 04, and from
//! Keccak-256: the hash that became SHA-3, before its padding was changed, so that SHA3-256 gives
//! another digest.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use sha3::{Digest as _, Keccak256};

use crate::{Curve, KeyMaterialError, P2pPublicKey};

/// An account's address: the last 20 bytes of Keccak-256 over `X ‖ Y`.
///
/// Written `0x` and 40 digits in the mixed case of EIP-55, where the case of the letters is a
/// checksum.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct EthereumAddress([u8; 20]);

impl EthereumAddress {
    /// The address of the account that a key controls.
    ///
    /// # Errors
    ///
    /// [`KeyMaterialError::WrongCurve`] when the key is not on secp256k1.
    pub fn of(public_key: &P2pPublicKey) -> Result<Self, KeyMaterialError> {
        let NodeId(digest) = NodeId::of(public_key)?;
        let mut address = [0; 20];
        address.copy_from_slice(&digest[12..]);
        Ok(Self(address))
    }

    /// The raw address.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl From<[u8; 20]> for EthereumAddress {
    fn from(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for EthereumAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // EIP-55: a letter is upper-case where the digit at the same place in the hash of the
        // lower-case text is 8 or more.
        let digits = hex::encode(self.0);
        let hash = hex::encode(Keccak256::digest(digits.as_bytes()));
        let mut text = String::with_capacity(2 + digits.len());
        text.push_str("0x");
        for (digit, mark) in digits.chars().zip(hash.chars()) {
            text.push(if mark >= '8' { digit.to_ascii_uppercase() } else { digit });
        }
        f.pad(&text)
    }
}

impl FromStr for EthereumAddress {
    type Err = KeyMaterialError;

    /// Reads an address exactly as it is written; another case of a letter is a typing mistake.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("0x").ok_or(KeyMaterialError::InvalidEthereumAddress)?;
        let mut bytes = [0; 20];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| KeyMaterialError::InvalidEthereumAddress)?;
        let address = Self(bytes);
        if address.to_string() == text { Ok(address) } else { Err(KeyMaterialError::InvalidEthereumAddress) }
    }
}

/// A node's id in the discovery protocol and under the `v4` identity scheme of node records
/// (EIP-778): Keccak-256 over `X ‖ Y`, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NodeId([u8; 32]);

impl NodeId {
    /// The id of the node that a key belongs to.
    ///
    /// # Errors
    ///
    /// [`KeyMaterialError::WrongCurve`] when the key is not on secp256k1.
    pub fn of(public_key: &P2pPublicKey) -> Result<Self, KeyMaterialError> {
        Ok(Self(Keccak256::digest(secp256k1_coordinates(public_key)?).into()))
    }

    /// The raw id.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex::encode(self.0))
    }
}

/// The URL under which other nodes find one: `enode://<128 digits of X ‖ Y>@<host>:<port>`.
///
/// `host` is a DNS name or an IP address; an IPv6 address gets the brackets a URL needs, unless it
/// has them. `port` is the TCP port, and the discovery port if that is the same.
///
/// # Errors
///
/// [`KeyMaterialError::WrongCurve`] when the key is not on secp256k1,
/// [`KeyMaterialError::InvalidEndpoint`] when host and port would make another URL.
pub fn enode(public_key: &P2pPublicKey, host: &str, port: u16) -> Result<String, KeyMaterialError> {
    let coordinates = hex::encode(secp256k1_coordinates(public_key)?);
    let host = url_host(host).ok_or(KeyMaterialError::InvalidEndpoint)?;
    if port == 0 {
        return Err(KeyMaterialError::InvalidEndpoint);
    }
    Ok(format!("enode://{coordinates}@{host}:{port}"))
}

fn secp256k1_coordinates(public_key: &P2pPublicKey) -> Result<&[u8], KeyMaterialError> {
    match public_key.curve() {
        Curve::Secp256k1 => Ok(public_key.coordinates()),
        found => Err(KeyMaterialError::WrongCurve { needed: Curve::Secp256k1, found }),
    }
}

/// A host as it stands in a URL (RFC 3986, section 3.2.2); none if it is not one.
fn url_host(host: &str) -> Option<String> {
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Some(address) = bracketed {
        return address.parse::<Ipv6Addr>().ok().map(|address| format!("[{address}]"));
    }
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => Some(address.to_string()),
        Ok(IpAddr::V6(address)) => Some(format!("[{address}]")),
        Err(_) => is_dns_name(host).then(|| host.to_owned()),
    }
}

/// Letters, digits and hyphens in labels of 1 to 63 characters, 253 in all (RFC 1123, section
/// 2.1), the last label no number: that would be read as an address.
fn is_dns_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let ends_in_number =
        name.rsplit('.').next().is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
    name.len() <= 253 && name.split('.').all(is_label) && !ends_in_number
}
