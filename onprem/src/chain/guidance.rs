//! What the chain has to be told before a role's new key is of any use, who has to be funded, and what the old
//! key is still needed for.
//!
//! Nothing here is sent anywhere: what changes the chain is signed by its owner, on a hardware wallet. How the
//! contracts behave was read in the specification of the OP stack (system configuration, fault proofs); whoever
//! runs a chain of another version looks there first.

use key_material::ethereum::EthereumAddress;

use super::Role;

/// A role's new key, and the one before it.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// The role.
    pub role: Role,
    /// The address of the new key.
    pub new: EthereumAddress,
    /// The address of the key that counts until then.
    pub old: EthereumAddress,
}

/// The value that the chain's system configuration has for a batcher: its address in the last 20 bytes of 32.
#[must_use]
pub fn batcher_hash(address: EthereumAddress) -> String {
    format!("0x{}{}", "0".repeat(24), hex::encode(address.as_bytes()))
}

/// Where a deployment's configuration names the role's address.
#[must_use]
pub fn deployment_setting(role: Role) -> &'static str {
    match role {
        Role::Batcher => "op-deployer: roles.batcher (batchSenderAddress)",
        Role::Proposer => "op-deployer: roles.proposer (l2OutputOracleProposer)",
        Role::Challenger => "op-deployer: roles.challenger (l2OutputOracleChallenger)",
        Role::Sequencer => "op-deployer: roles.unsafeBlockSigner (p2pSequencerAddress)",
    }
}

/// The transaction that tells the chain, as its owner sends it from a hardware wallet; none where no one
/// transaction does.
#[must_use]
pub fn transaction(change: &Change) -> Option<String> {
    let send = |signature: &str, argument: String| {
        format!("cast send <SystemConfig> \"{signature}\" {argument} --ledger --rpc-url <L1>")
    };
    match change.role {
        Role::Batcher => Some(send("setBatcherHash(bytes32)", batcher_hash(change.new))),
        Role::Sequencer => Some(send("setUnsafeBlockSigner(address)", change.new.to_string())),
        Role::Proposer | Role::Challenger => None,
    }
}

/// What is to be done between `rotate prepare` and `rotate finish`, in order.
#[must_use]
pub fn steps(change: &Change) -> Vec<String> {
    let Change { role, new, old } = change;
    let mut steps = Vec::new();
    if role.pays_for_transactions() {
        steps.push(format!("fund {new} on L1: it pays for its transactions itself"));
        steps.push(format!(
            "grant the signer's login for the new key, start its keeper, reload Web3Signer, and look that it shows {new} in \
             eth_accounts: go on only then"
        ));
    }
    match role {
        Role::Batcher => steps.extend([
            format!("stop op-batcher, and wait until no transaction of {old} is pending on L1"),
            format!(
                "the system configuration's owner sends, from a hardware wallet: {}",
                transaction(change).unwrap_or_default()
            ),
            format!(
                "once it is final, start op-batcher with --signer.address={new}: what {old} still sends is not read \
                 any more"
            ),
        ]),
        Role::Sequencer => steps.extend([
            format!(
                "the system configuration's owner sends, from a hardware wallet: {}",
                transaction(change).unwrap_or_default()
            ),
            "no funds: it signs blocks between nodes, and no transaction".to_owned(),
            format!(
                "run `rotate finish` as soon as that is final: keyboot-node starts the sequencer's op-node again with \
                 the new key. Until the other nodes have read the change from L1 they take no unsafe blocks of {new}, \
                 and follow by what is on L1"
            ),
        ]),
        Role::Proposer | Role::Challenger => {
            steps.push(format!(
                "permissionless games: nothing of the chain changes, anybody may {} who puts up the bond",
                if *role == Role::Proposer { "propose" } else { "challenge" }
            ));
            steps.push(format!(
                "permissioned games: {role} is part of the game's implementation, so its owner has a new one deployed \
                 with {new} and sets it in the DisputeGameFactory, from a hardware wallet; no one transaction of the \
                 system configuration does it. An L2OutputOracle is initialised anew by the owner of its proxy"
            ));
            steps.push(format!("start op-{role} with --signer.address={new}"));
            steps.push(format!(
                "bonds of games that {old} is in come back to {old}: leave its key readable until they are resolved \
                 and claimed"
            ));
        }
    }
    if role.pays_for_transactions() {
        steps.push(format!("look that transactions of {new} are taken"));
        steps.push(format!(
            "move what is left on {old} before `rotate finish`: after that nobody can sign with it unless its key is \
             restored"
        ));
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(role: Role) -> Change {
        Change {
            role,
            new: "0x8b805bF52e9cE863375c5105E1158d519537F5B3".parse().unwrap(),
            old: EthereumAddress::from([1; 20]),
        }
    }

    #[test]
    fn a_batcher_is_told_as_32_bytes() {
        let told = transaction(&change(Role::Batcher)).unwrap();
        assert_eq!(
            told,
            "cast send <SystemConfig> \"setBatcherHash(bytes32)\" \
             0x0000000000000000000000008b805bf52e9ce863375c5105e1158d519537f5b3 --ledger --rpc-url <L1>"
        );
        let hash = batcher_hash(change(Role::Batcher).new);
        assert_eq!(hash.len(), 2 + 64);
    }

    #[test]
    fn an_unsafe_block_signer_is_told_as_an_address_and_needs_no_funds() {
        let told = transaction(&change(Role::Sequencer)).unwrap();
        assert!(
            told.contains("setUnsafeBlockSigner(address)\" 0x8b805bF52e9cE863375c5105E1158d519537F5B3"),
            "{told}"
        );
        let steps = steps(&change(Role::Sequencer)).join("\n");
        assert!(steps.contains("no funds") && !steps.contains("fund 0x"), "{steps}");
    }

    #[test]
    fn of_proposer_and_challenger_no_transaction_is_claimed_that_there_is_not() {
        for role in [Role::Proposer, Role::Challenger] {
            assert_eq!(transaction(&change(role)), None);
            let steps = steps(&change(role)).join("\n");
            assert!(steps.contains("permissioned games") && steps.contains("bonds"), "{steps}");
            assert!(steps.contains("fund 0x8b805bF52e9cE863375c5105E1158d519537F5B3"), "{steps}");
        }
    }

    #[test]
    fn every_transaction_is_sent_from_a_hardware_wallet() {
        for role in Role::ALL {
            assert!(transaction(&change(role)).is_none_or(|told| told.contains("--ledger")), "{role}");
        }
    }
}
