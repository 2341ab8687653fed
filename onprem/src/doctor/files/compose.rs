//! Compose files: ports that they publish, and what they tell the programs of a chain.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::Seen;
use super::content::is_token_value;
use crate::doctor::finding::{Fault, Report};
use crate::doctor::host::ports::owner_of;
use crate::doctor::settings::{From, Values, look_at_senders, look_at_signer};
use crate::doctor::yaml::Node;

/// Looks at a document, if it is a Compose file.
pub(crate) fn look(file: &Seen<'_>, document: &Node, report: &mut Report) {
    for (name, service) in document.at("services").map(Node::entries).unwrap_or_default() {
        let place = format!("{} service {name}", file.place());
        for port in service.at("ports").map(Node::items).unwrap_or_default() {
            look_at_port(port, &place, report);
        }
        let mut values = Values::default();
        let environment = service.at("environment");
        for (name, value) in environment.map(Node::entries).unwrap_or_default() {
            values.set(name, value.text().unwrap_or_default());
            look_at_token(file, name, value.text().unwrap_or_default(), report);
        }
        for assignment in environment.map(Node::items).unwrap_or_default().iter().filter_map(Node::text) {
            values.assign(assignment);
            let (name, value) = assignment.split_once('=').unwrap_or((assignment, ""));
            look_at_token(file, name, value, report);
        }
        let arguments = arguments(service);
        values.add_flags(arguments.iter().copied());
        look_at_senders(&values, From::File, &place, report);
        let image = service.text_at("image").unwrap_or_default();
        if image.contains("web3signer") || arguments.iter().any(|argument| argument.ends_with("web3signer")) {
            look_at_signer(arguments, &place, report);
        }
        let is_dev = |variable: &str| environment.is_some_and(|all| names(all).any(|name| name == variable));
        if ["VAULT_DEV_ROOT_TOKEN_ID", "BAO_DEV_ROOT_TOKEN_ID"].iter().any(|variable| is_dev(variable)) {
            report.found(Fault::DevMode, place, "a root token is set for a dev server");
        }
    }
}

fn names(environment: &Node) -> impl Iterator<Item = &str> {
    let of_map = environment.entries().iter().map(|(name, _)| name.as_str());
    let of_list = environment.items().iter().filter_map(Node::text);
    of_map.chain(of_list.filter_map(|text| text.split('=').next()))
}

fn look_at_token(file: &Seen<'_>, name: &str, value: &str, report: &mut Report) {
    if matches!(name, "VAULT_TOKEN" | "BAO_TOKEN") && is_token_value(value) {
        file.exposes(Fault::TokenExposed, "a token of a Vault server as a variable", report);
    }
}

/// What the service's program is called with; where its file does not say the program, the image does.
fn arguments(service: &Node) -> Vec<&str> {
    let image = service.text_at("image").unwrap_or_default();
    let image = image.rsplit('/').next().unwrap_or(image);
    let image = image.split([':', '@']).next().unwrap_or(image);
    let mut arguments = vec![image];
    for part in ["entrypoint", "command"].iter().filter_map(|key| service.at(key)) {
        match part.text() {
            Some(line) => arguments.extend(line.split_whitespace()),
            None => arguments.extend(part.items().iter().filter_map(Node::text)),
        }
    }
    arguments
}

fn look_at_port(port: &Node, place: &str, report: &mut Report) {
    let published = match port.text() {
        Some(text) => Published::parse(text),
        None => Published::of_map(port),
    };
    let Some(published) = published else { return };
    let owner = published.ports().find_map(|port| owner_of(port).map(|owner| (port, owner)));
    let (Some((port, owner)), false) = (owner, published.is_on_loopback()) else { return };
    report.found(Fault::ComposePort, place, format!("it publishes port {port}, by default {owner}"));
}

/// A port that a service publishes (Compose file reference, "ports").
struct Published {
    /// The host's address; empty for all.
    address: String,
    host: RangeInclusive<u16>,
    container: RangeInclusive<u16>,
}

impl Published {
    /// `[[address:]host:]container[/protocol]`; none where a port is not told.
    fn parse(text: &str) -> Option<Self> {
        let text = with_defaults(text)?;
        let text = text.split('/').next().unwrap_or_default();
        let (host, container) = match text.rsplit_once(':') {
            Some((host, container)) => (host, container),
            // A port of the host's is chosen.
            None => ("0", text),
        };
        let (address, host) = host.rsplit_once(':').unwrap_or(("", host));
        let host = if host.is_empty() { "0" } else { host };
        Some(Self {
            address: address.trim_matches(['[', ']']).to_owned(),
            host: range(host)?,
            container: range(container)?,
        })
    }

    fn of_map(port: &Node) -> Option<Self> {
        let address = with_defaults(port.text_at("host_ip").unwrap_or_default())?;
        let host = with_defaults(port.text_at("published").unwrap_or("0"))?;
        let container = with_defaults(port.text_at("target")?)?;
        Some(Self { address, host: range(&host)?, container: range(&container)? })
    }

    fn ports(&self) -> impl Iterator<Item = u16> {
        self.host.clone().chain(self.container.clone())
    }

    fn is_on_loopback(&self) -> bool {
        self.address == "localhost"
            || self.address.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
    }
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some(first.parse().ok()?..=last.parse().ok()?)
}

/// A text with the defaults of the variables in it (`${NAME:-default}`); none where one has none.
fn with_defaults(text: &str) -> Option<String> {
    let mut whole = String::new();
    let mut rest = text;
    while let Some((before, variable)) = rest.split_once("${") {
        let (variable, after) = variable.split_once('}')?;
        let (_, default) = variable.split_once(":-").or_else(|| variable.split_once('-'))?;
        whole.push_str(before);
        whole.push_str(default);
        rest = after;
    }
    whole.push_str(rest);
    (!whole.contains('$')).then_some(whole)
}

#[cfg(test)]
mod tests {
    use crate::doctor::planted::Planted;

    fn found(service: &str) -> Vec<&'static str> {
        let host = Planted::clean();
        let text = format!("services:\n  one:\n    image: example/one:1\n{service}");
        host.write("srv/chain/compose.yaml", &text);
        let report = host.look_in("/srv");
        let place = "/srv/chain/compose.yaml";
        assert!(report.findings.iter().all(|finding| finding.place.starts_with(place)), "{report:?}");
        report.findings.iter().map(|finding| finding.fault.name()).collect()
    }

    #[test]
    fn published_ports_are_found_unless_on_loopback() {
        let ports = |ports: &str| found(&format!("    ports: [{ports}]\n"));
        for open in [
            "\"8545:8545\"",
            "9000",
            "\"8545:80\"",
            "\"18545:8545\"",
            "\"0.0.0.0:9001:9001\"",
            "\"[::]:8200:8200\"",
            "\"8540-8550:8540-8550\"",
            "\"${PORT:-9545}:80/tcp\"",
            "\"10.0.0.7:8551:8551\"",
            "{target: 8545, published: 8545}",
            "{target: 8545, published: \"1\", host_ip: 10.0.0.7}",
        ] {
            assert_eq!(ports(open), ["compose-port"], "{open}");
        }
        for private in [
            "\"30303:30303\"",
            "\"127.0.0.1:8545:8545\"",
            "\"127.0.0.1::8545\"",
            "\"[::1]:8200:8200\"",
            "\"${ADDRESS:-127.0.0.1}:8545:8545\"",
            "\"${ADDRESS}:8545:8545\"",
            "{target: 8545, published: 8545, host_ip: 127.0.0.1}",
        ] {
            assert_eq!(ports(private), [""; 0], "{private}");
        }
    }

    #[test]
    fn what_a_service_is_told_is_looked_at() {
        assert_eq!(found("    environment:\n      OP_BATCHER_PRIVATE_KEY: ${KEY}\n"), ["key-in-environment"]);
        assert_eq!(
            found("    environment: [\"OP_BATCHER_SIGNER_ENDPOINT=https://a\"]\n"),
            ["signer-half-set"]
        );
        assert_eq!(found("    command: op-batcher --signer.enabled=true\n"), ["signer-flag"]);
        assert_eq!(found("    command: [web3signer, eth2]\n"), ["web3signer-mode"]);
        assert_eq!(found("    environment: {VAULT_DEV_ROOT_TOKEN_ID: root}\n"), ["vault-dev-mode"]);
        assert_eq!(found("    environment: {VAULT_TOKEN: \"${TOKEN}\"}\n"), [""; 0]);
        assert_eq!(found("    environment: [\"VAULT_TOKEN=root\"]\n"), ["token-exposed"]);
    }

    #[test]
    fn the_image_says_the_program() {
        let host = Planted::clean();
        host.write(
            "srv/compose.yml",
            "x-signer: &signer\n  image: consensys/web3signer:26.4.2\nservices:\n  a:\n    <<: *signer\n    \
             command: [--http-host-allowlist=*, eth1]\n  b:\n    image: images.example/op-batcher:v1\n    command: \
             [--signer.address=0x1]\n",
        );
        let report = host.look_in("srv");
        let findings: Vec<_> =
            report.findings.iter().map(|finding| (finding.fault.name(), finding.place.as_str())).collect();
        assert_eq!(
            findings,
            [
                ("web3signer-allow-list", "/srv/compose.yml service a"),
                ("signer-half-set", "/srv/compose.yml service b"),
            ]
        );
    }
}
