//! What a policy lets its holder do that it should not, and what it means to let and does not.

use std::collections::{BTreeMap, BTreeSet};

use vault::server::Engine;

use crate::doctor::finding::{Fault, Report};
use crate::doctor::hcl::{self, Item};

/// What changes something.
const WRITES: [&str; 4] = ["create", "delete", "patch", "update"];
/// What comes after the mount of a key-value engine, version 2.
const BELOW: [&str; 8] =
    ["config", "data", "delete", "destroy", "detailed-metadata", "metadata", "subkeys", "undelete"];
/// The parameters that a value is written with: others are inside of it, where no rule sees them.
const PARAMETERS: [&str; 4] = ["*", "data", "options", "version"];
/// A name that nothing has.
const NOBODY: &str = "a-name-that-nobody-has";

/// What a policy lets do at some paths.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Rule {
    path: String,
    capabilities: BTreeSet<String>,
    /// The parameters that it speaks of.
    parameters: BTreeSet<String>,
}

/// The rules of a policy; none where its text is not understood.
pub(super) fn parse(text: &str) -> Option<Vec<Rule>> {
    let mut rules = Vec::new();
    for item in hcl::read(text)?.iter().filter(|item| item.name == "path") {
        match item.labels.as_slice() {
            [path] => rules.push(Rule::of(path, item)),
            // As JSON has it.
            [] => rules.extend(item.fields().iter().map(|rule| Rule::of(&rule.name, rule))),
            _ => return None,
        }
    }
    Some(rules)
}

impl Rule {
    fn of(path: &str, item: &Item) -> Self {
        let texts = |name: &'static str| {
            item.fields()
                .iter()
                .filter(move |field| field.name == name)
                .flat_map(Item::texts)
                .map(str::to_owned)
        };
        let mut capabilities: BTreeSet<String> = texts("capabilities").collect();
        // As it was written before there were capabilities.
        for policy in texts("policy") {
            let meant: &[&str] = match policy.as_str() {
                "read" => &["list", "read"],
                "write" => &["create", "delete", "list", "read", "update"],
                "sudo" => &["create", "delete", "list", "read", "sudo", "update"],
                _ => &["deny"],
            };
            capabilities.extend(meant.iter().map(ToString::to_string));
        }
        let parameters = item
            .fields()
            .iter()
            .filter(|field| matches!(field.name.as_str(), "allowed_parameters" | "denied_parameters"))
            .flat_map(|field| field.fields().iter().map(|parameter| parameter.name.clone()));
        let required = texts("required_parameters");
        let parameters = parameters.chain(required).collect();
        Self { path: path.trim_start_matches('/').to_owned(), capabilities, parameters }
    }

    fn may(&self, capability: &str) -> bool {
        self.capabilities.contains(capability)
    }

    fn writes(&self) -> bool {
        WRITES.iter().any(|capability| self.may(capability))
    }

    fn has_wildcard(&self) -> bool {
        self.path.ends_with('*') || self.path.split('/').any(|segment| segment == "+")
    }

    /// What is left of the path below a place, where it reaches there: `*` where that is anything.
    fn below(&self, place: &str) -> Option<Vec<&str>> {
        let mut segments = self.path.split('/');
        for wanted in place.split('/') {
            let segment = segments.next()?;
            if let Some(start) = segment.strip_suffix('*') {
                // The last one, then: whatever begins so.
                return wanted.starts_with(start).then(|| vec!["*"]);
            }
            if segment != wanted && segment != "+" {
                return None;
            }
        }
        Some(segments.collect())
    }

    /// Whether a path that has no wildcard is among its own.
    fn covers(&self, path: &str) -> bool {
        self.below(path).is_some_and(|rest| matches!(rest.as_slice(), [] | ["*"]))
    }
}

/// What a rule means depends on what is where.
pub(super) struct Surroundings<'a> {
    /// The engines, by mount.
    pub(super) engines: &'a BTreeMap<String, Engine>,
    /// The mounts of logins by role.
    pub(super) logins: &'a BTreeSet<String>,
    /// The mount in which nothing is secret.
    pub(super) documents: &'a str,
}

impl Surroundings<'_> {
    /// Finds what is wrong with a rule of a policy.
    pub(super) fn check(&self, place: &str, rule: &Rule, report: &mut Report) {
        if rule.capabilities.is_empty() || rule.may("deny") {
            return;
        }
        let path = &rule.path;
        if self.gives_all(rule) {
            let seen = format!("{path}: it may write any policy or role, or turn to any other place");
            report.found(Fault::PolicyOverBroad, place, seen);
        }
        if rule.may("sudo") && (rule.has_wildcard() || rule.writes()) {
            report.found(Fault::PolicySudo, place, format!("{path}: sudo on more than reading one path"));
        }
        if rule.may("read") && self.reads_many(rule) {
            report.found(Fault::PolicyReadsMany, place, format!("{path}: it reads more than one secret"));
        }
        let is_of_data = self.version_two().any(|mount| rule.below(&format!("{mount}/data")).is_some());
        if is_of_data && rule.parameters.iter().any(|parameter| !PARAMETERS.contains(&parameter.as_str())) {
            report.found(
                Fault::PolicyParameters,
                place,
                format!("{path}: it bounds parameters inside a value"),
            );
        }
        if let Some(why) = self.grants_nothing(rule) {
            report.found(Fault::PolicyGrantsNothing, place, format!("{path}: {why}"));
        }
    }

    fn version_two(&self) -> impl Iterator<Item = &str> {
        self.engines.iter().filter(|(_, engine)| engine.is_kv2()).map(|(mount, _)| mount.as_str())
    }

    /// Whether it makes policies or roles, or ways to log in, also one of them alone: that may be its own. And whether
    /// it does to the keys of a transit engine whatever there is to do.
    fn gives_all(&self, rule: &Rule) -> bool {
        let roles = self.logins.iter().map(|mount| format!("auth/{mount}/role/{NOBODY}"));
        let one_role = self
            .logins
            .iter()
            .any(|mount| rule.below(&format!("auth/{mount}/role")).is_some_and(|rest| rest.len() == 1));
        let places = ["sys/policies/acl", "sys/policy", "sys/auth", "identity/entity", "identity/group"];
        let transit = self.engines.iter().filter(|(_, engine)| engine.kind == "transit");
        let all_keys =
            rule.has_wildcard() && transit.map(|(mount, _)| mount).any(|mount| rule.below(mount).is_some());
        (rule.writes() || rule.may("sudo"))
            && (all_keys
                || one_role
                || roles.into_iter().any(|path| rule.covers(&path))
                || places.iter().any(|place| rule.below(place).is_some()))
    }

    fn reads_many(&self, rule: &Rule) -> bool {
        let secret =
            self.engines.iter().filter(|(mount, engine)| engine.kind == "kv" && *mount != self.documents);
        secret
            .map(|(mount, engine)| if engine.is_kv2() { format!("{mount}/data") } else { mount.clone() })
            .filter_map(|place| rule.below(&place))
            .any(|rest| is_many(&rest))
    }

    fn grants_nothing(&self, rule: &Rule) -> Option<&'static str> {
        let first = rule.path.split('/').next().unwrap_or_default();
        let is_open = |segment: &str| segment == "+" || segment.ends_with('*') || segment.contains("{{");
        if is_open(first) || matches!(first, "auth" | "cubbyhole" | "identity" | "sys") {
            return None;
        }
        let reached: Vec<_> =
            self.engines.iter().filter_map(|(mount, engine)| Some((engine, rule.below(mount)?))).collect();
        if reached.is_empty() {
            return Some("no engine is mounted there");
        }
        let is_nothing = |(engine, rest): &(&Engine, Vec<&str>)| {
            let next = rest.first().copied().unwrap_or_default();
            engine.is_kv2() && !next.is_empty() && !is_open(next) && !BELOW.contains(&next)
        };
        reached
            .iter()
            .all(is_nothing)
            .then_some("it has no `data` after the mount of a version 2 key-value engine")
    }
}

/// Whether a path below the data of an engine is that of several secrets. The keys that a role of a chain has
/// one after the other are one thing.
fn is_many(rest: &[&str]) -> bool {
    let is_open = |segment: &&&str| **segment == "+" || segment.ends_with('*');
    match rest {
        [before @ .., "+"] if matches!(before, [.., "role", _]) => {
            before.iter().any(|segment| is_open(&segment))
        }
        _ => rest.iter().any(|segment| is_open(&segment)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<Fault> {
        let engine = |kind: &str, version: &str| Engine {
            kind: kind.into(),
            options: Some([("version".to_owned(), version.to_owned())].into()),
        };
        let engines: BTreeMap<String, Engine> = [
            ("keyboot-secrets".into(), engine("kv", "2")),
            ("keyboot-documents".into(), engine("kv", "2")),
            ("teams/one".into(), engine("kv", "2")),
            ("old".into(), engine("kv", "1")),
            ("keyboot-transit".into(), engine("transit", "")),
        ]
        .into();
        let logins = ["approle".to_owned()].into();
        let surroundings =
            Surroundings { engines: &engines, logins: &logins, documents: "keyboot-documents" };
        let mut report = Report::default();
        for rule in parse(text).unwrap() {
            surroundings.check("policy one", &rule, &mut report);
        }
        report.findings.iter().map(|finding| finding.fault).collect()
    }

    fn rule(path: &str, capabilities: &str) -> Vec<Fault> {
        found(&format!("path \"{path}\" {{ capabilities = [{capabilities}] }}"))
    }

    #[test]
    fn whoever_can_give_itself_more_is_over_broad() {
        for path in
            ["sys/policies/acl/*", "sys/policies/acl/+", "sys/policy/*", "sys/auth/+", "auth/approle/role/*"]
        {
            assert_eq!(rule(path, "\"create\", \"update\""), [Fault::PolicyOverBroad], "{path}");
            assert_eq!(rule(path, "\"read\", \"list\""), [], "{path}");
        }
        assert_eq!(rule("sys/*", "\"update\""), [Fault::PolicyOverBroad]);
        assert_eq!(rule("auth/+/role/+", "\"update\""), [Fault::PolicyOverBroad]);
        assert_eq!(rule("*", "\"update\""), [Fault::PolicyOverBroad]);
        let all = "\"create\", \"read\", \"update\", \"delete\", \"list\", \"sudo\"";
        assert_eq!(rule("*", all), [Fault::PolicyOverBroad, Fault::PolicyReadsMany, Fault::PolicySudo]);
        for path in
            ["sys/policies/acl/one", "auth/approle/role/one", "identity/group/name/one", "keyboot-transit/*"]
        {
            assert_eq!(rule(path, "\"update\""), [Fault::PolicyOverBroad], "{path}");
        }
        for path in [
            "auth/approle/role/one/secret-id",
            "auth/approle/role/+/secret-id",
            "keyboot-transit/sign/records",
        ] {
            assert_eq!(rule(path, "\"update\""), [], "{path}");
        }
    }

    #[test]
    fn sudo_is_for_reading_one_path() {
        assert_eq!(rule("sys/audit", "\"read\", \"sudo\""), []);
        assert_eq!(rule("auth/token/accessors", "\"list\", \"sudo\""), []);
        assert_eq!(rule("sys/audit", "\"read\", \"update\", \"sudo\""), [Fault::PolicySudo]);
        assert_eq!(rule("sys/audit/*", "\"read\", \"sudo\""), [Fault::PolicySudo]);
    }

    #[test]
    fn a_secret_is_read_by_its_exact_path() {
        for path in [
            "keyboot-secrets/data/*",
            "keyboot-secrets/*",
            "keyboot-secrets/data/keyboot/tsm/node/+/p2p-key",
            "keyboot-secrets/data/keyboot/l2/role/+/1",
            "keyboot-secrets/data/keyboot/l2/role/+/+",
            "keyboot-secrets/data/+",
            "key*",
            "+/data/keyboot/*",
            "teams/one/data/a*",
            "old/*",
        ] {
            assert_eq!(rule(path, "\"read\""), [Fault::PolicyReadsMany], "{path}");
        }
        for path in [
            "keyboot-secrets/data/keyboot/tsm/node/0/p2p-key",
            "keyboot-secrets/data/keyboot/l2/role/sequencer/+",
            "keyboot-secrets/subkeys/keyboot/tsm/node/+/p2p-key",
            "keyboot-secrets/metadata/*",
            "keyboot-documents/data/keyboot/tsm/node/+/record",
            "keyboot-documents/*",
            "keyboot-transit/keys/*",
            "old/one",
        ] {
            assert_eq!(rule(path, "\"read\""), [], "{path}");
        }
        assert_eq!(rule("keyboot-secrets/data/*", "\"create\""), []);
        assert_eq!(rule("keyboot-secrets/data/*", "\"deny\", \"read\""), []);
    }

    #[test]
    fn parameters_do_not_bound_what_is_in_a_value() {
        let bounded = |path: &str, parameters: &str| {
            found(&format!("path \"{path}\" {{ capabilities = [\"create\"]\n {parameters} }}"))
        };
        let path = "keyboot-secrets/data/keyboot/l2/role/batcher/+";
        assert_eq!(bounded(path, "allowed_parameters = { \"value\" = [] }"), [Fault::PolicyParameters]);
        assert_eq!(bounded(path, "denied_parameters { \"value\" = [] }"), [Fault::PolicyParameters]);
        assert_eq!(bounded(path, "required_parameters = [\"value\"]"), [Fault::PolicyParameters]);
        assert_eq!(bounded(path, "allowed_parameters = { \"data\" = [], \"options\" = [] }"), []);
        assert_eq!(
            bounded("keyboot-transit/decrypt/seal", "allowed_parameters = { \"context\" = [\"x\"] }"),
            []
        );
    }

    #[test]
    fn a_rule_that_reaches_nothing_is_found() {
        for path in
            ["keyboot-secrets/op/batcher", "teams/one/op/batcher", "secret/data/op/batcher", "secret/*"]
        {
            assert_eq!(rule(path, "\"read\""), [Fault::PolicyGrantsNothing], "{path}");
        }
        for path in
            ["keyboot-secrets/config", "old/op/batcher", "cubbyhole/*", "auth/token/lookup-self", "{{x}}/y"]
        {
            assert_eq!(rule(path, "\"update\""), [], "{path}");
        }
    }

    #[test]
    fn policies_of_all_ages_are_read() {
        assert_eq!(found("path \"keyboot-secrets/*\" { policy = \"read\" }"), [Fault::PolicyReadsMany]);
        assert_eq!(found("path \"keyboot-secrets/*\" { policy = \"deny\" }"), []);
        let json = r#"{"path": {"keyboot-secrets/data/*": {"capabilities": ["read"]}}}"#;
        assert_eq!(found(json), [Fault::PolicyReadsMany]);
        assert_eq!(parse("path \"a\" \"b\" {}"), None);
        assert_eq!(parse("# nothing\n"), Some(vec![]));
    }
}
