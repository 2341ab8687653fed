//! What can be wrong with a host or its server: the name of each fault, why it matters, and its remedy.
//!
//! The names are a contract: scripts accept findings by them. A finding tells where something is and what was
//! seen of it, and never what a file, a variable or an answer holds.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// Writes the faults down once, as a table.
macro_rules! faults {
    ($($fault:ident, $name:literal, $why:literal, $remedy:literal;)*) => {
        /// What can be wrong.
        #[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
        pub enum Fault {
            $(#[doc = concat!("`", $name, "`: ", $why, ".")] $fault,)*
        }

        impl Fault {
            /// All of them, in the order in which they are told.
            pub const ALL: &[Self] = &[$(Self::$fault,)*];

            /// What it is called, and accepted by.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$fault => $name,)*
                }
            }

            /// Why it matters.
            #[must_use]
            pub fn why(self) -> &'static str {
                match self {
                    $(Self::$fault => $why,)*
                }
            }

            /// What to do about it.
            #[must_use]
            pub fn remedy(self) -> &'static str {
                match self {
                    $(Self::$fault => $remedy,)*
                }
            }
        }
    };
}

faults! {
    // The server
    TlsOff, "vault-tls-off",
        "tokens and secrets cross the network as they are",
        "give the listener tls_cert_file and tls_key_file, take tls_disable out, and write https in the configuration";
    DevMode, "vault-dev-mode",
        "a dev server keeps its keys in memory without a seal, its root token is told to whoever starts it, and all is gone when it ends",
        "run a production server (keyboot-onprem init sets one up: raft, TLS, unseal shares, audit devices)";
    Uninitialized, "vault-uninitialized",
        "whoever reaches the server first can initialise it, and then holds its root token and its unseal shares",
        "run keyboot-onprem init";
    Sealed, "vault-sealed",
        "nothing can be read or written: after its next start no signer and no node has its keys",
        "have holders of its shares unseal it, as many as its threshold says (bao operator unseal)";
    OneShare, "vault-one-share",
        "one person, or one file, opens the server",
        "make new shares (bao operator rotate-keys), with a threshold of two or more, each for another person";
    AuditDevices, "vault-audit-devices",
        "with none nobody can tell who read a key; with one the server stops when that one cannot be written",
        "have two audit devices, on different disks or hosts, by the server's configuration file";
    AuditRaw, "vault-audit-raw",
        "the log holds secrets and tokens as they are",
        "take log_raw out of the device's options, and treat what has been logged as published";
    RootToken, "vault-root-token",
        "no policy bounds a root token, and unless it was given an end it has none",
        "revoke it (bao token revoke), work with roles, and make one for the time it is needed (bao operator generate-root)";
    PolicyOverBroad, "policy-over-broad",
        "whoever has the policy gives itself whatever is missing",
        "name the paths that are needed, one by one (keyboot-onprem policies shows ours)";
    PolicyReadsMany, "policy-reads-many",
        "one stolen token reads the keys of many nodes or roles",
        "read exact paths only: one policy for each node, and one for each role of a chain";
    PolicySudo, "policy-sudo",
        "sudo opens what the server keeps for root",
        "leave sudo to exact paths that are only read, such as sys/audit";
    PolicyParameters, "policy-parameters",
        "the key-value engine, version 2, takes what it stores below `data`: such a rule does not bound what is written",
        "take the parameters out, and bound what may be written by paths and capabilities";
    PolicyGrantsNothing, "policy-grants-nothing",
        "the rule looks like a permission and is none: who relies on it is denied",
        "write <mount>/data/<path> for a version 2 key-value engine, and mount the engine first";
    RoleRoot, "role-root",
        "whoever logs in with the role may do everything",
        "give the role policies of its own instead of root";
    RoleUnbound, "role-unbound",
        "the role's id alone, which is no secret, logs in",
        "set bind_secret_id=true on the role";
    RoleSecretId, "role-secret-id",
        "a secret id that is copied on its way can be used again, for as long as it is good for",
        "set secret_id_num_uses=1 and a short secret_id_ttl on the role, and hand secret ids out wrapped";
    RoleToken, "role-token",
        "a stolen token is good for 32 days, which is what the server sets where nobody says anything",
        "set token_ttl and token_max_ttl, or token_period, on the role";
    TransitKey, "transit-key-leaves",
        "the key that seals or signs can leave the server, or be deleted together with all that it sealed",
        "make another one that is neither exportable nor allows plaintext backups (that cannot be taken back), and set deletion_allowed=false";
    // The host
    PortOpen, "port-open",
        "whoever reaches it asks for signatures, or can try to",
        "have it listen on 127.0.0.1 or ::1; where it has to be reached from elsewhere, have it listen on a private address alone, let the firewall name its clients, and accept this finding";
    FirewallOpen, "firewall-open",
        "whatever listens, now or after the next installation, can be reached from everywhere",
        "drop what comes in unless it is named: `policy drop` on the chain of the input hook (nft), or `ufw default deny incoming`";
    DiskPlain, "disk-not-encrypted",
        "who gets the disk, or a copy of it, reads the server's storage, logs and whatever was swapped or dumped",
        "encrypt it with LUKS (cryptsetup); where the disk or what is below it encrypts, accept this finding";
    SwapPlain, "swap-not-encrypted",
        "memory that held keys is written to a disk as it is",
        "turn swap off (swapoff -a, and /etc/fstab), or put it on an encrypted device (crypttab: swap, with a random key)";
    CoreDumps, "core-dumps",
        "a crash writes all that a program knew to a disk, or hands it on",
        "set LimitCORE=1 in its unit (0 where dumps go to a file), or Storage=none and ProcessSizeMax=0 in coredump.conf";
    KeyFile, "key-file",
        "whoever reads the disk, a backup or an image of it has the key",
        "make a new key on the server (keyboot-onprem provision, or rotate), move to it, then destroy the file and its copies";
    KeyInEnvironment, "key-in-environment",
        "it is in the program's environment or arguments, and in the file or command that set them",
        "sign by Web3Signer (signer.endpoint and signer.address), take the key out, and rotate it";
    KeystorePassword, "keystore-with-password",
        "an encrypted keystore beside its password is a plaintext key",
        "have the key in Vault, or keep the password elsewhere";
    TokenExposed, "token-exposed",
        "whoever reads the file acts with it until it ends",
        "keep it on a tmpfs, with mode 0600, for a program of its own user (keyboot-onprem signer does), and revoke this one";
    UnsealShares, "unseal-shares-together",
        "whoever reads the file opens the server's storage, or has its root token",
        "make new shares (bao operator rotate-keys), hand each to another person, and revoke the root token";
    SignerType, "web3signer-type",
        "Web3Signer loads no key from the file",
        "write type: \"hashicorp\"";
    SignerKeyType, "web3signer-key-type",
        "without it Web3Signer takes the key for one of BLS, and in eth1 mode loads none, and says OK",
        "write keyType: \"SECP256K1\"";
    SignerKeyPath, "web3signer-key-path",
        "Web3Signer asks for the path as it is, and a version 2 key-value engine answers below `data` only",
        "write keyPath: \"/v1/<mount>/data/<path>\"";
    SignerTls, "web3signer-tls",
        "its token and the key itself cross the network as they are",
        "write tlsEnabled: \"true\" and tlsKnownServersPath";
    SignerKnownServers, "web3signer-known-servers",
        "Web3Signer does not know the server's certificate, and then loads no key, or whatever its authorities vouch for",
        "name a file by its absolute path with a line `<host>:<port> <SHA-256 fingerprint>` (keyboot-onprem signer writes it)";
    SignerMode, "web3signer-mode",
        "in eth2 mode it loads keys of BLS only and answers no eth_signTransaction",
        "start it with eth1 --chain-id=<chain id of L1>";
    SignerAllowList, "web3signer-allow-list",
        "a web page in any browser that reaches the port can ask for signatures",
        "name its clients' spelling of the host in --http-host-allowlist";
    SignerHalfSet, "signer-half-set",
        "endpoint and address switch remote signing on together only",
        "set both: signer.endpoint and signer.address";
    SignerFlag, "signer-flag",
        "there is no such setting: the program does not start, or does not sign by Web3Signer",
        "take it out: signer.endpoint and signer.address together are what enables it";
    SignerEndpointTls, "signer-tls",
        "signer.tls.enabled is true where nobody sets it, and has to fit the endpoint",
        "with http set signer.tls.enabled=false and keep the network private; with https leave it true";
    ComposePort, "compose-port",
        "Docker publishes on all addresses unless told otherwise, and past the host's firewall",
        "take the port out (services on one network reach each other), or write 127.0.0.1: before it";
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let fault = Self::ALL.iter().find(|fault| fault.name() == name);
        fault.copied().ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|fault| fault.name()).collect();
            format!("there is no finding of this name; there are {}", names.join(", "))
        })
    }
}

/// Something that is wrong.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Finding {
    /// What is wrong.
    pub fault: Fault,
    /// Where: a file, an address, a device, a policy…
    pub place: String,
    /// What was seen there.
    pub seen: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fault, place, seen } = self;
        write!(f, "{} at {place}: {seen}; {}", fault.name(), fault.remedy())
    }
}

/// Something that could not be looked at, so that nobody knows whether it is right.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Unseen {
    /// What.
    pub what: String,
    /// Why not, and what would help.
    pub why: String,
}

/// What is accepted: a fault wherever it is, or at one place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Accepted {
    fault: Fault,
    place: Option<String>,
}

impl Accepted {
    fn covers(&self, finding: &Finding) -> bool {
        self.fault == finding.fault && self.place.as_ref().is_none_or(|place| *place == finding.place)
    }
}

impl FromStr for Accepted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, place) = match text.split_once('@') {
            Some((name, place)) => (name, Some(place.to_owned())),
            None => (text, None),
        };
        Ok(Self { fault: name.parse()?, place })
    }
}

/// What was found, each thing once.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Report {
    /// What is wrong.
    pub findings: BTreeSet<Finding>,
    /// What is wrong and accepted.
    pub accepted: BTreeSet<Finding>,
    /// What could not be looked at.
    pub unseen: BTreeSet<Unseen>,
}

impl Report {
    pub(crate) fn found(&mut self, fault: Fault, place: impl Into<String>, seen: impl Into<String>) {
        self.findings.insert(Finding { fault, place: place.into(), seen: seen.into() });
    }

    pub(crate) fn not_seen(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.unseen.insert(Unseen { what: what.into(), why: why.into() });
    }

    /// Sets aside what is accepted.
    pub fn accept(&mut self, accepted: &[Accepted]) {
        let is_accepted = |finding: &Finding| accepted.iter().any(|accepted| accepted.covers(finding));
        let (aside, rest) = std::mem::take(&mut self.findings).into_iter().partition(is_accepted);
        self.findings = rest;
        self.accepted.extend::<BTreeSet<_>>(aside);
    }

    /// How the process ends: 0 where all was looked at and nothing is wrong, 1 where something is, 2 where
    /// nothing was found and not all could be looked at.
    #[must_use]
    pub fn status(&self) -> u8 {
        match (self.findings.is_empty(), self.unseen.is_empty()) {
            (false, _) => 1,
            (true, false) => 2,
            (true, true) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(faults: &[(Fault, &str)]) -> Report {
        let mut report = Report::default();
        for (fault, place) in faults {
            report.found(*fault, *place, "something");
        }
        report
    }

    #[test]
    fn names_are_distinct_and_found_again() {
        for fault in Fault::ALL {
            assert_eq!(fault.name().parse(), Ok(*fault));
            assert!(
                fault.name().bytes().all(|byte| byte.is_ascii_lowercase() || b"-0123456789".contains(&byte))
            );
        }
        let names: BTreeSet<_> = Fault::ALL.iter().map(|fault| fault.name()).collect();
        assert_eq!(names.len(), Fault::ALL.len());
        let error = "swap".parse::<Fault>().unwrap_err();
        assert!(error.contains("swap-not-encrypted"), "{error}");
    }

    #[test]
    fn what_is_accepted_no_longer_counts() {
        let faults =
            [(Fault::PortOpen, "0.0.0.0:9000"), (Fault::PortOpen, "0.0.0.0:8545"), (Fault::Sealed, "x")];
        let after = |accepted: &[&str]| {
            let mut report = report(&faults);
            let accepted: Vec<Accepted> = accepted.iter().map(|text| text.parse().unwrap()).collect();
            report.accept(&accepted);
            (report.findings.len(), report.accepted.len(), report.status())
        };
        assert_eq!(after(&[]), (3, 0, 1));
        assert_eq!(after(&["port-open@0.0.0.0:9000"]), (2, 1, 1));
        assert_eq!(after(&["port-open@[::]:9000"]), (3, 0, 1));
        assert_eq!(after(&["port-open", "vault-sealed@x"]), (0, 3, 0));
        assert!("ports@x".parse::<Accepted>().is_err());
    }

    #[test]
    fn the_status_says_whether_it_was_all_seen() {
        let mut unseen = Report::default();
        assert_eq!(unseen.status(), 0);
        unseen.not_seen("the firewall", "only root may");
        assert_eq!(unseen.status(), 2);
        unseen.found(Fault::SwapPlain, "/dev/sda2", "a swap area");
        assert_eq!(unseen.status(), 1);
    }

    #[test]
    fn a_finding_tells_what_to_do() {
        let report = report(&[(Fault::SignerType, "/etc/web3signer/batcher.yaml")]);
        assert_eq!(
            report.findings.first().unwrap().to_string(),
            "web3signer-type at /etc/web3signer/batcher.yaml: something; write type: \"hashicorp\""
        );
    }
}
