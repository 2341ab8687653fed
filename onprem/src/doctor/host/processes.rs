//! The processes that hold keys, and what they were told.

use std::fs;

use zeroize::Zeroizing;

use super::Host;
use crate::doctor::finding::{Fault, Report};
use crate::doctor::settings::{From, Values, look_at_senders, look_at_signer, program_of};

/// The most that arguments or variables are read of, in bytes.
const LONGEST: usize = 256 * 1024;
/// Programs that hold keys, by the name of their file.
const HOLDERS: [&str; 12] = [
    "bao",
    "geth",
    "horcrux",
    "op-batcher",
    "op-challenger",
    "op-geth",
    "op-node",
    "op-proposer",
    "reth",
    "tmkms",
    "vault",
    "web3signer",
];

/// A process.
pub(crate) struct Process {
    pub(crate) id: u32,
    /// Its program's name.
    pub(crate) name: String,
    /// What stands in its command line, the program first.
    arguments: Vec<Zeroizing<String>>,
}

impl Process {
    /// The same for people.
    pub(crate) fn place(&self) -> String {
        format!("process {} ({})", self.id, self.name)
    }

    fn arguments(&self) -> impl Iterator<Item = &str> {
        self.arguments.iter().map(|argument| argument.as_str())
    }
}

impl Host {
    /// The processes of programs that hold keys, and this one.
    pub(super) fn processes(&self) -> Vec<Process> {
        let entries = fs::read_dir(self.path("proc")).into_iter().flatten();
        let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let mut processes: Vec<_> = ids.filter_map(|id| self.process(id)).collect();
        processes.sort_by_key(|process| process.id);
        processes
    }

    fn process(&self, id: u32) -> Option<Process> {
        let line = Self::read_secret(&self.path(format!("proc/{id}/cmdline")), LONGEST).ok()?;
        let arguments = texts(&line);
        let first = arguments.first().map(|argument| program_of(argument)).unwrap_or_default();
        // It is a program of Java's.
        let is_signer = first == "java" && arguments.iter().any(|argument| argument.contains("web3signer"));
        let name = if is_signer { "web3signer" } else { first }.to_owned();
        let is_wanted = HOLDERS.contains(&name.as_str()) || id == std::process::id();
        is_wanted.then_some(Process { id, name, arguments })
    }

    pub(super) fn settings(&self, processes: &[Process], report: &mut Report) {
        for process in processes {
            let place = process.place();
            match process.name.as_str() {
                "bao" | "vault" if is_dev(process) => {
                    report.found(Fault::DevMode, place, format!("{} server runs with -dev", process.name));
                }
                "web3signer" => look_at_signer(process.arguments(), &place, report),
                "op-batcher" | "op-proposer" | "op-challenger" => {
                    let file = self.path(format!("proc/{}/environ", process.id));
                    let mut values = Values::default();
                    match Self::read_secret(&file, LONGEST) {
                        Ok(variables) => {
                            for variable in texts(&variables) {
                                values.assign(&variable);
                            }
                        }
                        Err(error) => {
                            let why = format!("{error}: run doctor as root");
                            report.not_seen(format!("the environment of {place}"), why);
                        }
                    }
                    values.add_flags(process.arguments());
                    look_at_senders(&values, From::Process, &place, report);
                }
                _ => {}
            }
        }
    }
}

/// Whether a server keeps all in memory, unsealed.
fn is_dev(process: &Process) -> bool {
    let is_dev = |argument: &str| {
        let flag = argument.trim_start_matches('-');
        flag.len() < argument.len() && (flag == "dev" || flag == "dev=true" || flag.starts_with("dev-"))
    };
    process.arguments().any(|argument| argument == "server") && process.arguments().any(is_dev)
}

/// What a file of texts holds, each of which ends with a zero (proc(5)).
fn texts(bytes: &[u8]) -> Vec<Zeroizing<String>> {
    let texts = bytes.split(|byte| *byte == 0).filter(|text| !text.is_empty());
    texts.filter_map(|text| Some(Zeroizing::new(str::from_utf8(text).ok()?.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use crate::doctor::planted::Planted;

    fn found(command: &str, environment: &str) -> Vec<String> {
        let host = Planted::clean();
        host.process(77, command, environment);
        let report = host.look();
        assert_eq!(report.unseen.len(), 0);
        assert!(
            report.findings.iter().all(|finding| finding.place.starts_with("process 77 (")),
            "{report:?}"
        );
        report.findings.iter().map(|finding| finding.fault.name().to_owned()).collect()
    }

    #[test]
    fn servers_in_dev_mode_are_found() {
        for line in
            ["bao server -dev", "/usr/bin/vault server -dev-root-token-id=root", "vault server --dev=true"]
        {
            assert_eq!(found(line, ""), ["vault-dev-mode"], "{line}");
        }
        for line in ["bao server -config=/etc/dev.hcl", "bao status -dev", "sh server -dev"] {
            assert_eq!(found(line, ""), [""; 0], "{line}");
        }
    }

    #[test]
    fn senders_and_the_signer_are_looked_at() {
        let key = "HOME=/\0OP_BATCHER_PRIVATE_KEY=0x1";
        assert_eq!(found("op-batcher --l1-eth-rpc=http://l1:8545", key), ["key-in-environment"]);
        assert_eq!(found("/bin/op-batcher --private-key=0x1", ""), ["key-in-environment"]);
        assert_eq!(
            found("java -cp /opt/web3signer/lib/* tech.pegasys.web3signer.Web3SignerApp eth2", ""),
            ["web3signer-mode"]
        );
        assert_eq!(found("java -jar other.jar eth2", key), [""; 0]);
        assert_eq!(found("op-node", key), [""; 0]);
    }

    #[test]
    fn an_environment_that_cannot_be_read_is_told() {
        let host = Planted::clean();
        host.process(77, "op-batcher", "");
        host.remove("proc/77/environ");
        assert_eq!(host.look().status(), 2);
    }
}
