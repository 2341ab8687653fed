//! What a program is told by arguments and environment variables, and what is wrong with it.
//!
//! The same rules count for a process that runs, for a file of variables and for a service of a Compose file.
//! A value may be a key: it is looked at and never told.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::finding::{Fault, Report};

/// Programs of an OP-stack chain that sign what they send, by the prefix of their variables.
const SENDERS: [(&str, &str); 3] =
    [("OP_BATCHER_", "op-batcher"), ("OP_PROPOSER_", "op-proposer"), ("OP_CHALLENGER_", "op-challenger")];

/// Variables by name; those without a value count as not there.
#[derive(Default)]
pub(crate) struct Values(BTreeMap<String, Zeroizing<String>>);

impl Values {
    /// Adds a variable; a later one replaces an earlier one.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), Zeroizing::new(value.trim().to_owned()));
    }

    /// Adds `NAME=value`.
    pub(crate) fn assign(&mut self, assignment: &str) {
        if let Some((name, value)) = assignment.split_once('=') {
            self.set(name.trim(), value);
        }
    }

    /// Adds what a sender is told by flags: they count more than variables do.
    pub(crate) fn add_flags<'a>(&mut self, arguments: impl IntoIterator<Item = &'a str>) {
        let mut arguments = arguments.into_iter().peekable();
        let mut prefix = None;
        while let Some(argument) = arguments.next() {
            let program = program_of(argument);
            if let Some((known, _)) = SENDERS.iter().find(|(_, name)| *name == program) {
                prefix = Some(*known);
            }
            let (Some(prefix), Some(flag)) = (prefix, argument.strip_prefix('-')) else { continue };
            let flag = flag.strip_prefix('-').unwrap_or(flag);
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, value),
                None => match arguments.peek() {
                    Some(next) if !next.starts_with('-') => (flag, *next),
                    // A flag alone is switched on.
                    _ => (flag, "true"),
                },
            };
            self.set(&format!("{prefix}{}", name.to_ascii_uppercase().replace(['.', '-'], "_")), value);
        }
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.as_str()).filter(|value| !value.is_empty())
    }
}

/// Whether what is looked at holds values itself, and would be found by its content.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum From {
    /// A file: a plaintext key in it is a finding of its own.
    File,
    /// A file that names another one with more of them.
    Part,
    /// A process.
    Process,
}

/// Looks at what the senders of a chain are told.
pub(crate) fn look_at_senders(values: &Values, from: From, place: &str, report: &mut Report) {
    for (prefix, program) in SENDERS {
        let value = |name: &str| values.value(&format!("{prefix}{name}"));
        for name in ["PRIVATE_KEY", "MNEMONIC"] {
            let Some(key) = value(name) else { continue };
            if from == From::Process || is_reference(key) {
                report.found(Fault::KeyInEnvironment, place, format!("{prefix}{name} is set for {program}"));
            }
        }
        if value("SIGNER_ENABLED").is_some() {
            report.found(Fault::SignerFlag, place, format!("signer.enabled is set for {program}"));
        }
        let (endpoint, address) = (value("SIGNER_ENDPOINT"), value("SIGNER_ADDRESS"));
        match (endpoint, address) {
            _ if from == From::Part => {}
            (Some(_), None) => {
                report.found(
                    Fault::SignerHalfSet,
                    place,
                    format!("{program} has an endpoint and no address"),
                );
            }
            (None, Some(_)) => {
                report.found(
                    Fault::SignerHalfSet,
                    place,
                    format!("{program} has an address and no endpoint"),
                );
            }
            _ => {}
        }
        let unset = (from != From::Part).then_some(true);
        let is_tls = value("SIGNER_TLS_ENABLED").map_or(unset, as_boolean);
        let seen = match (endpoint.unwrap_or_default(), is_tls) {
            (endpoint, Some(true)) if endpoint.starts_with("http://") => "an endpoint of http, and TLS is on",
            (endpoint, Some(false)) if endpoint.starts_with("https://") => {
                "an endpoint of https, and TLS is off"
            }
            _ => continue,
        };
        report.found(Fault::SignerEndpointTls, place, format!("{program} has {seen}"));
    }
}

/// Looks at what `Web3Signer` is told.
pub(crate) fn look_at_signer<'a>(
    arguments: impl IntoIterator<Item = &'a str>,
    place: &str,
    report: &mut Report,
) {
    const ALLOW_LIST: &str = "--http-host-allowlist";
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let hosts = match argument.strip_prefix(ALLOW_LIST) {
            Some("") => arguments.next(),
            Some(rest) => rest.strip_prefix('='),
            None => None,
        };
        if hosts.is_some_and(|hosts| hosts.split(',').any(|host| matches!(host.trim(), "*" | "all"))) {
            report.found(Fault::SignerAllowList, place, "every spelling of its host is allowed");
        }
        if argument == "eth2" {
            report.found(Fault::SignerMode, place, "Web3Signer is started as eth2");
        }
    }
}

/// A program's name, without its folder.
pub(crate) fn program_of(argument: &str) -> &str {
    argument.rsplit('/').next().unwrap_or(argument)
}

/// Whether a value is taken from somewhere else.
pub(crate) fn is_reference(value: &str) -> bool {
    value.starts_with(['$', '<']) || value.starts_with("{{")
}

/// As Go's `strconv.ParseBool` does; none for what it refuses, and for what is taken from elsewhere.
fn as_boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "OP_BATCHER_PRIVATE_KEY=0x53dadf1d5a164d6b4acdb15e24aa4c5b1d3461bdbd42abedb0a4404d56ced8fb";

    fn found(values: &Values, from: From) -> Vec<&'static str> {
        let mut report = Report::default();
        look_at_senders(values, from, "a place", &mut report);
        assert!(!format!("{report:?}").contains("53dadf1d"));
        report.findings.iter().map(|finding| finding.fault.name()).collect()
    }

    fn variables(assignments: &[&str]) -> Values {
        let mut values = Values::default();
        for assignment in assignments {
            values.assign(assignment);
        }
        values
    }

    #[test]
    fn each_wrong_variable_is_found() {
        let process = |assignments: &[&str]| found(&variables(assignments), From::Process);
        let address = "OP_BATCHER_SIGNER_ADDRESS=0x8b805bF52e9cE863375c5105E1158d519537F5B3";
        let (http, https) = (
            "OP_BATCHER_SIGNER_ENDPOINT=http://signer:9000",
            "OP_BATCHER_SIGNER_ENDPOINT=https://signer:9000",
        );
        let off = "OP_BATCHER_SIGNER_TLS_ENABLED=false";
        assert_eq!(process(&[address, http, off]), [""; 0]);
        assert_eq!(process(&[address, https]), [""; 0]);
        assert_eq!(process(&[address, http, "OP_BATCHER_SIGNER_TLS_ENABLED=${TLS}"]), [""; 0]);
        assert_eq!(process(&["OP_BATCHER_PRIVATE_KEY=", "OP_BATCHER_SIGNER_ADDRESS="]), [""; 0]);
        assert_eq!(process(&[KEY]), ["key-in-environment"]);
        assert_eq!(process(&["OP_CHALLENGER_MNEMONIC=one two"]), ["key-in-environment"]);
        assert_eq!(process(&[address]), ["signer-half-set"]);
        assert_eq!(process(&[https]), ["signer-half-set"]);
        assert_eq!(process(&[address, http]), ["signer-tls"]);
        assert_eq!(process(&[address, http, "OP_BATCHER_SIGNER_TLS_ENABLED=1"]), ["signer-tls"]);
        assert_eq!(process(&[address, https, off]), ["signer-tls"]);
        assert_eq!(process(&[address, https, "OP_BATCHER_SIGNER_ENABLED=true"]), ["signer-flag"]);
    }

    #[test]
    fn a_key_in_a_file_is_found_by_its_content_and_a_reference_here() {
        assert_eq!(found(&variables(&[KEY]), From::File), [""; 0]);
        assert_eq!(
            found(&variables(&["OP_PROPOSER_PRIVATE_KEY=${KEY}"]), From::File),
            ["key-in-environment"]
        );
        let half = variables(&["OP_BATCHER_SIGNER_ENDPOINT=http://a:9000"]);
        assert_eq!(found(&half, From::File), ["signer-half-set", "signer-tls"]);
        assert_eq!(found(&half, From::Part), [""; 0]);
    }

    #[test]
    fn flags_are_variables_too() {
        let flags = |line: &str| {
            let mut values = Values::default();
            values.add_flags(line.split(' '));
            found(&values, From::Process)
        };
        assert_eq!(flags("/usr/bin/op-batcher --private-key=0x1"), ["key-in-environment"]);
        assert_eq!(flags("op-proposer --private-key 0x1"), ["key-in-environment"]);
        assert_eq!(flags("op-batcher --signer.endpoint=http://s:9000 --signer.address 0x1"), ["signer-tls"]);
        let off =
            "op-batcher --signer.endpoint=http://s:9000 --signer.address 0x1 --signer.tls.enabled=false";
        assert_eq!(flags(off), [""; 0]);
        assert_eq!(flags(&format!("{off} --signer.enabled")), ["signer-flag"]);
        assert_eq!(flags("geth --private-key=0x1"), [""; 0]);
    }

    #[test]
    fn the_signers_arguments_are_understood() {
        let signer = |line: &str| {
            let mut report = Report::default();
            look_at_signer(line.split(' '), "a place", &mut report);
            report.findings.iter().map(|finding| finding.fault.name()).collect::<Vec<_>>()
        };
        assert_eq!(
            signer("web3signer --http-host-allowlist=web3signer,localhost eth1 --chain-id=1"),
            [""; 0]
        );
        assert_eq!(signer("web3signer --http-host-allowlist=* eth1"), ["web3signer-allow-list"]);
        assert_eq!(signer("web3signer --http-host-allowlist a,* eth1"), ["web3signer-allow-list"]);
        assert_eq!(signer("web3signer eth2 --network=mainnet"), ["web3signer-mode"]);
    }
}
