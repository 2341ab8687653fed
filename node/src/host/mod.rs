//! What of this host would let others see the secrets of the command.
//!
//! Whoever operates the host accepts each shortcoming by its name, or mends it; until then the command does
//! not start. What cannot be read counts as missing.

mod checks;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Uid, User, geteuid};

use crate::delivery::Delivery;

/// The finding that another process runs as the command's user.
pub const SHARED_USER: &str = "shared-user";

/// The names of all findings.
pub const NAMES: [&str; 10] = [
    "command-is-root",
    "core-dumps",
    "login-readable",
    "memory-not-locked",
    "metadata-reachable",
    "private-files-swap",
    "proc-visible",
    "ptrace",
    SHARED_USER,
    "swap",
];

/// Something of this host that would let others see the secrets of the command.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// What it is accepted by: one of [`NAMES`].
    pub name: &'static str,
    /// What is wrong.
    pub fault: String,
    /// What to do.
    pub remedy: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.name, self.fault, self.remedy)
    }
}

/// The host is not fit to run the command.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// The configuration accepts what there is not.
    #[error("`accepted-findings`: there is no finding {name}; there are {}", NAMES.join(", "))]
    UnknownFinding {
        /// What it says.
        name: String,
    },
    /// There are findings that the configuration does not accept.
    #[error(
        "others on this host could see the command's secrets: mend this, or list it in `accepted-findings`{}",
        listed(.0)
    )]
    Unfit(Vec<Finding>),
}

fn listed(findings: &[Finding]) -> String {
    findings.iter().fold(String::new(), |list, finding| list + "\n  " + &finding.to_string())
}

/// What is looked at.
#[derive(Clone, Debug)]
pub struct Context {
    /// Where `proc` and `sys` are.
    root: PathBuf,
    /// Whom the command runs as.
    user: Uid,
    /// Where private files are, if there are any.
    directory: Option<PathBuf>,
}

impl Context {
    /// This host, with a command that runs as `user`, or as this process's user where there is none.
    #[must_use]
    pub fn of(delivery: &Delivery, user: Option<&User>) -> Self {
        let directory = match delivery {
            Delivery::PrivateFile { directory } => Some(directory.clone()),
            Delivery::Environment | Delivery::MemoryFile => None,
        };
        Self { root: "/".into(), user: user.map_or_else(geteuid, |user| user.uid), directory }
    }
}

/// What is missing on this host, but for its metadata service ([`reachable_metadata`]).
///
/// It looks as whoever it is called by: root sees all users' processes, others may not. It comes after
/// [`crate::hardening::lock`], which sets what this reads.
#[must_use]
pub fn missing(context: &Context) -> Vec<Finding> {
    checks::Host::new(&context.root).missing(context.user, context.directory.as_deref())
}

/// Where instances get their credentials (Amazon EC2 User Guide, "Access instance metadata").
const METADATA: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// How long is waited for an answer: the service is on the host itself.
const PATIENCE: Duration = Duration::from_millis(200);

/// Whether the instance's metadata service answers this process, and thereby gives it keyboot-node's own
/// credentials.
///
/// It is for the command's user: call it after [`crate::hardening::become_user`].
#[must_use]
pub fn reachable_metadata() -> Option<Finding> {
    reachable(METADATA.map(|address| SocketAddr::new(address, 80)))
}

fn reachable(addresses: impl IntoIterator<Item = SocketAddr>) -> Option<Finding> {
    let answers = |address: &SocketAddr| TcpStream::connect_timeout(address, PATIENCE).is_ok();
    let address = addresses.into_iter().find(answers)?;
    Some(Finding {
        name: "metadata-reachable",
        fault: format!(
            "the command's user can ask {address} for the instance's credentials, and with them for every secret \
             of the node"
        ),
        remedy: "give the command a user of its own and load keyboot-node.nft, which rejects the address for that \
                 user",
    })
}

/// Whether this process can read the file that keyboot-node logs in with at a server, and could so do the same.
///
/// It is for the command's user: call it after [`crate::hardening::become_user`]. The file of a login that was good
/// for once is gone by then.
#[must_use]
pub fn readable_login(file: &Path) -> Option<Finding> {
    std::fs::File::open(file).ok()?;
    Some(Finding {
        name: "login-readable",
        fault: format!(
            "the command's user can read {}, and with it log in at the server as keyboot-node does",
            file.display()
        ),
        remedy: "give the command a user of its own, and the file to root alone (0600)",
    })
}

/// Lets findings pass that are accepted, and gives them back, to be told.
///
/// # Errors
///
/// [`HostError`] when there are others, or when a name is accepted that is none.
pub fn refuse(findings: Vec<Finding>, accepted: &[String]) -> Result<Vec<Finding>, HostError> {
    if let Some(name) = accepted.iter().find(|name| !NAMES.contains(&name.as_str())) {
        return Err(HostError::UnknownFinding { name: name.clone() });
    }
    let is_accepted = |finding: &Finding| accepted.iter().any(|name| name == finding.name);
    let (accepted, others): (Vec<_>, Vec<_>) = findings.into_iter().partition(is_accepted);
    if others.is_empty() { Ok(accepted) } else { Err(HostError::Unfit(others)) }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn finding(name: &'static str) -> Finding {
        Finding { name, fault: "a fault".into(), remedy: "a remedy" }
    }

    #[test]
    fn only_what_is_accepted_passes() {
        let accept = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            refuse(vec![finding("swap"), finding("ptrace")], &names)
        };
        assert_eq!(accept(&["ptrace", "swap", "core-dumps"]), Ok(vec![finding("swap"), finding("ptrace")]));
        assert_eq!(accept(&["ptrace"]), Err(HostError::Unfit(vec![finding("swap")])));
        let error = accept(&[]).unwrap_err().to_string();
        assert!(error.contains("\n  swap: a fault; a remedy\n  ptrace: "), "{error}");
        let error = accept(&["swap", "ptrace", "swaps"]).unwrap_err().to_string();
        assert!(error.contains("no finding swaps; there are command-is-root, core-dumps, "), "{error}");
    }

    #[test]
    fn a_login_that_can_be_read_is_found_by_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret-id");
        assert_eq!(readable_login(&file), None);
        std::fs::write(&file, "canary").unwrap();
        let finding = readable_login(&file).unwrap();
        assert!(NAMES.contains(&finding.name));
        assert!(finding.fault.contains("/secret-id") && !finding.fault.contains("canary"), "{finding}");
    }

    #[test]
    fn a_metadata_service_that_answers_is_found() {
        let service = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = service.local_addr().unwrap();
        let finding = reachable([SocketAddr::from(([127, 0, 0, 1], 1)), address]).unwrap();
        assert_eq!(finding.name, "metadata-reachable");
        assert!(finding.fault.contains(&address.to_string()));
        drop(service);
        assert_eq!(reachable([address]), None);
        assert_eq!(METADATA[1].to_string(), "fd00:ec2::254");
    }
}
