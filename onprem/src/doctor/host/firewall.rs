//! Whether what comes in is dropped unless a rule names it.
//!
//! Both generations of the kernel's packet filter are asked, and both families of addresses. What stands in
//! front of the host cannot be seen from it.

use serde_json::Value;

use super::{Host, Told};
use crate::doctor::finding::{Fault, Report};

const NFT: (&str, &[&str]) = ("nft", &["--json", "list", "ruleset"]);
const IPTABLES: [&str; 2] = ["iptables-save", "iptables-legacy-save"];
const IP6TABLES: [&str; 2] = ["ip6tables-save", "ip6tables-legacy-save"];

/// For which addresses what comes in is dropped.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Dropped {
    v4: bool,
    v6: bool,
}

impl Host {
    pub(super) fn firewall(&self, report: &mut Report) {
        let mut dropped = Dropped::default();
        let (mut has_refused, mut has_said) = (false, false);
        let mut ask = |program, arguments, take: &mut dyn FnMut(&str)| match self.ask(program, arguments) {
            Told::Said(said) => {
                has_said = true;
                take(&said);
            }
            Told::Refused => has_refused = true,
            Told::Nothing => {}
        };
        ask(NFT.0, NFT.1, &mut |said| dropped = by_nft(said));
        for program in IPTABLES {
            ask(program, &[], &mut |said| dropped.v4 |= by_iptables(said));
        }
        for program in IP6TABLES {
            ask(program, &[], &mut |said| dropped.v6 |= by_iptables(said));
        }
        let open: Vec<&str> = [("IPv4", dropped.v4), ("IPv6", dropped.v6 || !self.has_ipv6())]
            .iter()
            .filter(|(_, is_dropped)| !is_dropped)
            .map(|(family, _)| *family)
            .collect();
        if open.is_empty() {
            return;
        }
        if has_refused {
            // What was said is not all there is.
            let why = "nft or iptables-save refused to list its rules: run doctor as root";
            return report.not_seen("the firewall", why);
        }
        let seen = if has_said {
            "no rule drops what comes in and is not named"
        } else {
            "neither nft nor iptables-save is installed, by which rules are set and seen"
        };
        for family in open {
            report.found(Fault::FirewallOpen, family, seen);
        }
    }

    /// Whether there is an address of IPv6 beside loopback's (proc(5), `/proc/net/if_inet6`).
    fn has_ipv6(&self) -> bool {
        let interfaces = self.read("proc/net/if_inet6").unwrap_or_default();
        interfaces.lines().filter_map(|line| line.split_whitespace().last()).any(|name| name != "lo")
    }
}

/// By chains of the input hook whose policy is drop, or which end in a rule that drops all
/// (libnftables-json(5)).
fn by_nft(said: &str) -> Dropped {
    let mut dropped = Dropped::default();
    let Ok(rules) = serde_json::from_str::<Value>(said) else { return dropped };
    let objects = rules["nftables"].as_array().map(Vec::as_slice).unwrap_or_default();
    for chain in objects.iter().map(|object| &object["chain"]).filter(|chain| chain["hook"] == "input") {
        let is_of_chain = |rule: &&Value| {
            ["family", "table"].iter().all(|field| rule[field] == chain[field])
                && rule["chain"] == chain["name"]
        };
        let last = objects.iter().map(|object| &object["rule"]).rfind(is_of_chain);
        if chain["policy"] != "drop" && !last.is_some_and(drops_all) {
            continue;
        }
        let family = chain["family"].as_str().unwrap_or_default();
        dropped.v4 |= matches!(family, "inet" | "ip");
        dropped.v6 |= matches!(family, "inet" | "ip6");
    }
    dropped
}

/// Whether a rule has no condition and drops or rejects.
fn drops_all(rule: &Value) -> bool {
    const HARMLESS: [&str; 2] = ["counter", "log"];
    let statements = rule["expr"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names = |statement: &Value| statement.as_object()?.keys().next().cloned();
    match statements.iter().filter_map(names).collect::<Vec<_>>().as_slice() {
        [before @ .., last] => {
            matches!(last.as_str(), "drop" | "reject")
                && before.iter().all(|name| HARMLESS.contains(&&**name))
        }
        [] => false,
    }
}

/// By the policy of INPUT in the table filter, or by its last rule (iptables-save(8)).
fn by_iptables(said: &str) -> bool {
    let filter = said.lines().skip_while(|line| *line != "*filter").take_while(|line| *line != "COMMIT");
    let lines: Vec<&str> = filter.collect();
    let has_policy = lines.iter().any(|line| line.starts_with(":INPUT DROP"));
    let last = lines.iter().rev().find_map(|line| line.strip_prefix("-A INPUT "));
    has_policy || last.is_some_and(|rule| rule.starts_with("-j DROP") || rule.starts_with("-j REJECT"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::planted::Planted;

    fn chain(family: &str, policy: &str) -> Value {
        json!({"chain": {"family": family, "table": "filter", "name": "input", "handle": 1, "type": "filter",
            "hook": "input", "prio": 0, "policy": policy}})
    }

    fn rule(expr: &Value) -> Value {
        json!({"rule": {"family": "inet", "table": "filter", "chain": "input", "handle": 9, "expr": expr}})
    }

    fn nft(objects: &[Value]) -> Dropped {
        by_nft(&json!({"nftables": objects}).to_string())
    }

    #[test]
    fn a_policy_or_a_last_rule_drops() {
        let (both, v4, none) =
            (Dropped { v4: true, v6: true }, Dropped { v4: true, v6: false }, Dropped::default());
        assert_eq!(nft(&[chain("inet", "drop")]), both);
        assert_eq!(nft(&[chain("ip", "drop")]), v4);
        assert_eq!(nft(&[chain("ip", "drop"), chain("ip6", "drop")]), both);
        assert_eq!(nft(&[chain("inet", "accept")]), none);
        assert_eq!(nft(&[]), none);
        let reject = json!([{"counter": {"packets": 1, "bytes": 2}}, {"reject": {"type": "icmpx"}}]);
        assert_eq!(nft(&[chain("inet", "accept"), rule(&reject)]), both);
        assert_eq!(nft(&[chain("inet", "accept"), rule(&json!([{"drop": null}]))]), both);
        let some = json!([{"match": {"op": "==", "left": {}, "right": "lo"}}, {"drop": null}]);
        assert_eq!(nft(&[chain("inet", "accept"), rule(&some)]), none);
        assert_eq!(nft(&[chain("inet", "accept"), rule(&reject), rule(&some)]), none);
        assert_eq!(by_nft("not JSON"), none);
    }

    #[test]
    fn the_older_filter_is_understood() {
        let filter = |input: &str| format!("*nat\n:INPUT DROP [0:0]\nCOMMIT\n*filter\n{input}COMMIT\n");
        assert!(by_iptables(&filter(":INPUT DROP [0:0]\n-A INPUT -i lo -j ACCEPT\n")));
        assert!(by_iptables(&filter(":INPUT ACCEPT [0:0]\n-A INPUT -i lo -j ACCEPT\n-A INPUT -j DROP\n")));
        assert!(!by_iptables(&filter(":INPUT ACCEPT [0:0]\n-A INPUT -s 192.0.2.1/32 -j DROP\n")));
        assert!(!by_iptables(&filter(":INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n")));
        assert!(!by_iptables(""));
    }

    fn open(host: &Planted) -> Vec<String> {
        let findings = host.look().findings.into_iter();
        findings.filter(|finding| finding.fault == Fault::FirewallOpen).map(|finding| finding.place).collect()
    }

    #[test]
    fn each_family_of_addresses_counts() {
        let host = Planted::clean();
        host.remove("commands/nft");
        assert_eq!(open(&host), ["IPv4", "IPv6"]);
        host.write("commands/iptables-save", "*filter\n:INPUT DROP [0:0]\nCOMMIT\n");
        assert_eq!(open(&host), ["IPv6"]);
        host.write("proc/net/if_inet6", "00000000000000000000000000000001 01 80 10 80       lo\n");
        assert_eq!(open(&host), [""; 0]);
    }

    #[test]
    fn who_may_not_look_is_told() {
        let host = Planted::clean();
        host.remove("commands/nft");
        host.write("commands/nft.refused", "");
        let report = host.look();
        assert_eq!((report.findings.len(), report.status()), (0, 2));
        assert!(report.unseen.first().unwrap().why.contains("as root"));
    }
}
