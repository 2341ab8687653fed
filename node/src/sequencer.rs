//! The key with which a chain's sequencer signs what it gossips, which op-node gets beside its own.
//!
//! It is a role's key, not a node's: no record tells of it. Which one counts stands in the chain document, which
//! is signed; or in the configuration, with the address that it controls. op-node takes it from its environment
//! alone. Where it is told of a remote signer as well it refuses to start, and says the key in its complaint: so
//! keyboot-node refuses before.

use std::ffi::{OsStr, OsString};
use std::fmt;

use key_material::ethereum::EthereumAddress;
use provisioning::chain::{ChainDocument, RoleKey};
use provisioning::names::{ClusterName, Segment};
use reading::ReadError;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::error::NodeError;

/// The role whose key it is.
const ROLE: &str = "sequencer";
/// How the variables begin that tell op-node of a remote signer.
const REMOTE_SIGNER: &str = "OP_NODE_SIGNER_";
/// The options that say in the command itself what keyboot-node hands over, or another signer.
const OPTIONS: [&str; 3] = ["p2p.sequencer.key", "signer.endpoint", "signer.address"];

/// Which key of the sequencer op-node gets.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Written")]
pub struct Sequencer {
    chain: Option<ClusterName>,
    fixed: Option<RoleKey>,
}

/// The same as it is written.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Written {
    #[serde(default)]
    chain: Option<ClusterName>,
    #[serde(default)]
    number: Option<u32>,
    #[serde(default, deserialize_with = "address")]
    address: Option<EthereumAddress>,
}

/// A table does not say which key it means.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
enum SequencerError {
    #[error("`number` and `address` belong together: a number alone would take whatever key stands there")]
    Half,
    #[error("`number` is 0: a role's keys are counted from 1")]
    Zero,
}

impl TryFrom<Written> for Sequencer {
    type Error = SequencerError;

    fn try_from(written: Written) -> Result<Self, SequencerError> {
        let fixed = match (written.number, written.address) {
            (None, None) => None,
            (Some(0), _) => return Err(SequencerError::Zero),
            (Some(number), Some(address)) => Some(RoleKey { address, number }),
            _ => return Err(SequencerError::Half),
        };
        Ok(Self { chain: written.chain, fixed })
    }
}

fn address<'de, D: Deserializer<'de>>(from: D) -> Result<Option<EthereumAddress>, D::Error> {
    let parsed = String::deserialize(from)?.parse();
    parsed.map(Some).map_err(|_| {
        D::Error::custom(
            "it is no address: 0x and 40 digits, in the case of the letters that keyboot-onprem shows",
        )
    })
}

/// A key of the sequencer, as it can be told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SequencerKey {
    /// The chain.
    pub chain: ClusterName,
    /// The key.
    pub key: RoleKey,
}

impl fmt::Display for SequencerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "number {} of {}, {}", self.key.number, self.chain, self.key.address)
    }
}

impl Sequencer {
    /// The chain: by default the one whose node this is.
    #[must_use]
    pub fn chain<'a>(&'a self, cluster: &'a ClusterName) -> &'a ClusterName {
        self.chain.as_ref().unwrap_or(cluster)
    }

    /// The key that the configuration says, where it says one.
    #[must_use]
    pub fn fixed(&self) -> Option<&RoleKey> {
        self.fixed.as_ref()
    }
}

/// The role whose key it is.
pub(crate) fn role() -> Segment {
    ROLE.parse().expect("it has the form of a role's name")
}

/// The key of the sequencer that counts by a chain's document.
///
/// # Errors
///
/// [`NodeError::Read`] where there is none.
pub(crate) fn counting(document: ChainDocument) -> Result<SequencerKey, NodeError> {
    let name = document.chain.chain_parameter().to_string();
    let fault = "it tells of no key of the sequencer that counts: is the role declared?".to_owned();
    let keys = document.roles.get(&role()).and_then(|keys| keys.current.clone());
    let key = keys.ok_or(NodeError::Read(ReadError::Mismatch { name, fault }))?;
    Ok(SequencerKey { chain: document.chain, key })
}

/// Refuses to start op-node where somebody else says as well what it signs with.
///
/// # Errors
///
/// [`NodeError::Config`], which names the variable or option, and never a value.
pub(crate) fn refuse_another_signer(
    environment: impl Iterator<Item = (OsString, OsString)>,
    arguments: &[OsString],
) -> Result<(), NodeError> {
    let refused = |what: &str| {
        NodeError::Config(format!(
            "{what} says what op-node signs with, and `[sequencer]` does as well: leave one of them out (told of \
             two, op-node writes the key to its log)"
        ))
    };
    let mut names = environment.filter_map(|(name, _)| name.into_string().ok());
    if let Some(name) = names.find(|name| name.starts_with(REMOTE_SIGNER)) {
        return Err(refused(&name));
    }
    match arguments.iter().find_map(|argument| option(argument)) {
        Some(option) => Err(refused(&format!("the command's --{option}"))),
        None => Ok(()),
    }
}

/// Which of [`OPTIONS`] an argument is; one dash is as good as two there.
fn option(argument: &OsStr) -> Option<&'static str> {
    let text = argument.to_str()?;
    let text = text.strip_prefix("--").or_else(|| text.strip_prefix('-'))?;
    let name = text.split_once('=').map_or(text, |(name, _)| name);
    OPTIONS.into_iter().find(|option| *option == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Sequencer, String> {
        toml::from_str(text).map_err(|error: toml::de::Error| error.message().to_owned())
    }

    const ADDRESS: &str = "0x8b805bF52e9cE863375c5105E1158d519537F5B3";

    #[test]
    fn a_number_comes_with_its_address_or_the_chain_says_both() {
        let own: ClusterName = "keyboot/l2".parse().unwrap();
        let by_document = read("").unwrap();
        assert_eq!((by_document.chain(&own), by_document.fixed()), (&own, None));
        let fixed = read(&format!("chain = \"keyboot/l3\"\nnumber = 2\naddress = \"{ADDRESS}\"")).unwrap();
        assert_eq!(fixed.chain(&own).as_str(), "keyboot/l3");
        assert_eq!(fixed.fixed(), Some(&RoleKey { address: ADDRESS.parse().unwrap(), number: 2 }));
        for (text, why) in [
            ("number = 2".to_owned(), "belong together"),
            (format!("address = \"{ADDRESS}\""), "belong together"),
            (format!("number = 0\naddress = \"{ADDRESS}\""), "counted from 1"),
            (format!("number = 1\naddress = \"{}\"", ADDRESS.to_lowercase()), "no address"),
            ("numbr = 1".to_owned(), "numbr"),
        ] {
            let refused = read(&text).unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }

    #[test]
    fn a_second_signer_is_refused_by_its_name_and_without_its_value() {
        let refuse = |name: &str, argument: &str| {
            let environment = [("PATH", "/bin"), ("OP_NODE_P2P_LISTEN_IP", "0.0.0.0"), (name, "canary")];
            let environment = environment.map(|(name, value)| (name.into(), value.into()));
            let refused = refuse_another_signer(environment.into_iter(), &["--l1=x".into(), argument.into()]);
            refused.err().map(|error| error.to_string())
        };
        assert_eq!(refuse("OP_NODE_P2P_SEQUENCER_KEY", "--p2p.sequencer.keys=canary"), None);
        for (name, argument, said) in [
            ("OP_NODE_SIGNER_ENDPOINT", "", "OP_NODE_SIGNER_ENDPOINT says"),
            ("OP_NODE_SIGNER_ADDRESS", "", "OP_NODE_SIGNER_ADDRESS says"),
            ("HOME", "--p2p.sequencer.key=canary", "--p2p.sequencer.key says"),
            ("HOME", "-p2p.sequencer.key", "--p2p.sequencer.key says"),
            ("HOME", "--signer.endpoint", "--signer.endpoint says"),
            ("HOME", "--signer.address=canary", "--signer.address says"),
        ] {
            let refused = refuse(name, argument).unwrap();
            assert!(refused.contains(said) && !refused.contains("canary"), "{refused}");
        }
    }
}
