//! A server, by what it tells of itself: its seal, audit devices, tokens, policies, roles and keys.
//!
//! Asking and judging are two things: [`ServerFacts`] is what was told, and what is wrong with it is found
//! without a server.

mod asking;
mod policies;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use vault::server::{AuditDevice, Engine, Health, OtherToken, Role};
use vault::transit::KeyFacts;

use self::policies::Surroundings;
use super::finding::{Fault, Report};

pub use self::asking::{Login, look, look_without_tls};

/// Something that was told, or why it was not.
type Told<T> = Result<T, String>;

/// How many audit devices there have to be.
const DEVICES: usize = 2;

/// What a server tells of itself.
#[derive(Clone, Debug)]
pub(crate) struct ServerFacts {
    /// Where it is.
    pub(crate) address: String,
    /// What it tells everybody.
    pub(crate) health: Health,
    /// What it tells who has logged in; none where nobody has, and why.
    pub(crate) inner: Told<InnerFacts>,
}

/// What a server tells who has logged in.
#[derive(Clone, Debug)]
pub(crate) struct InnerFacts {
    /// Whether the token that asks is one of root's.
    pub(crate) is_root: Told<bool>,
    /// All tokens.
    pub(crate) tokens: Told<Vec<OtherToken>>,
    /// The audit devices, by path.
    pub(crate) audit_devices: Told<BTreeMap<String, AuditDevice>>,
    /// The engines, by mount.
    pub(crate) engines: Told<BTreeMap<String, Engine>>,
    /// The mounts of logins by role.
    pub(crate) logins: Told<BTreeSet<String>>,
    /// The policies' texts, by name.
    pub(crate) policies: Told<BTreeMap<String, Told<String>>>,
    /// The roles, by mount and name.
    pub(crate) roles: Told<BTreeMap<String, Told<Role>>>,
    /// The transit keys that seal and sign, by name.
    pub(crate) keys: BTreeMap<String, Told<KeyFacts>>,
    /// The mount in which nothing is secret.
    pub(crate) documents: String,
}

impl ServerFacts {
    /// Finds what is wrong.
    pub(crate) fn check(&self, report: &mut Report) {
        let Self { address, health, inner } = self;
        if health.storage_type.starts_with("inmem") {
            report.found(Fault::DevMode, address, "it keeps everything in memory");
        }
        if !health.initialized {
            report.found(Fault::Uninitialized, address, "it has not been initialised");
            return;
        }
        if health.seal == "shamir" && health.threshold < 2 && !health.storage_type.starts_with("inmem") {
            let seen = format!("{} of {} unseal shares opens it", health.threshold, health.shares);
            report.found(Fault::OneShare, address, seen);
        }
        if health.sealed {
            let seen = format!("{} of {} shares have been given", health.progress, health.threshold);
            report.found(Fault::Sealed, address, seen);
            report.not_seen(format!("the rules of {address}"), "it is sealed");
            return;
        }
        match inner {
            Ok(inner) => inner.check(address, report),
            Err(why) => report.not_seen(format!("the rules of {address}"), why),
        }
    }
}

impl InnerFacts {
    fn check(&self, address: &str, report: &mut Report) {
        if let Some(true) = seen(&self.is_root, || format!("the login at {address}"), report) {
            report.found(Fault::RootToken, address, "doctor's own token is one of root's");
        }
        for token in seen(&self.tokens, || "living root tokens".into(), report).into_iter().flatten() {
            // Its own is told already.
            if token.policies.iter().any(|policy| policy == "root") && self.is_root != Ok(true) {
                let made = token.made.map(|made| format!(", made at {made}")).unwrap_or_default();
                let place = format!("{address} accessor {}", token.accessor);
                report.found(Fault::RootToken, place, format!("a root token lives{made}"));
            }
        }
        if let Some(devices) = seen(&self.audit_devices, || "audit devices".into(), report) {
            check_devices(address, devices, report);
        }
        self.check_policies(report);
        let roles = seen(&self.roles, || "roles".into(), report);
        for (name, role) in roles.into_iter().flatten() {
            if let Some(role) = seen(role, || format!("role {name}"), report) {
                check_role(&format!("role {name}"), role, report);
            }
        }
        for (name, key) in &self.keys {
            if let Some(key) = seen(key, || format!("transit key {name}"), report) {
                check_key(&format!("transit key {name}"), key, report);
            }
        }
    }

    fn check_policies(&self, report: &mut Report) {
        let engines = seen(&self.engines, || "engines".into(), report);
        let logins = seen(&self.logins, || "logins".into(), report);
        let policies = seen(&self.policies, || "policies".into(), report);
        let (Some(engines), Some(logins), Some(policies)) = (engines, logins, policies) else { return };
        let surroundings = Surroundings { engines, logins, documents: &self.documents };
        for (name, text) in policies {
            let place = format!("policy {name}");
            match seen(text, || place.clone(), report).map(|text| policies::parse(text)) {
                Some(Some(rules)) => rules.iter().for_each(|rule| surroundings.check(&place, rule, report)),
                Some(None) => report.not_seen(place, "its text is not understood here: read it yourself"),
                None => {}
            }
        }
    }
}

/// What was told, or that it was not.
fn seen<'a, T>(told: &'a Told<T>, what: impl FnOnce() -> String, report: &mut Report) -> Option<&'a T> {
    told.as_ref().map_err(|why| report.not_seen(what(), why)).ok()
}

fn check_devices(address: &str, devices: &BTreeMap<String, AuditDevice>, report: &mut Report) {
    let option =
        |device: &AuditDevice, name: &str| -> Option<String> { device.options.as_ref()?.get(name).cloned() };
    // Two that write to one place are one.
    let places: BTreeSet<_> = devices
        .iter()
        .map(|(path, device)| {
            let place = ["file_path", "address", "path"].iter().find_map(|name| option(device, name));
            (device.kind.as_str(), place.unwrap_or_else(|| path.clone()))
        })
        .collect();
    if places.len() < DEVICES {
        let seen = match (places.len(), devices.len()) {
            (0, _) => "there is no audit device".to_owned(),
            (1, 1) => "there is one audit device".to_owned(),
            (_, all) => format!("there are {all} audit devices, and all write to the same place"),
        };
        report.found(Fault::AuditDevices, address, seen);
    }
    for (path, device) in devices {
        if option(device, "log_raw")
            .is_some_and(|raw| matches!(raw.to_lowercase().as_str(), "true" | "1" | "t"))
        {
            report.found(Fault::AuditRaw, format!("audit device {path}"), "log_raw is set");
        }
    }
}

fn check_role(place: &str, role: &Role, report: &mut Report) {
    if role.token_policies.iter().any(|policy| policy == "root") {
        report.found(Fault::RoleRoot, place, "it has the policy root");
    }
    if !role.bind_secret_id {
        report.found(Fault::RoleUnbound, place, "it needs no secret id");
    }
    // One of many uses is for a host that starts by itself: then it is bound to that host.
    let is_bound = role.secret_id_bound_cidrs.as_ref().is_some_and(|networks| {
        !networks.is_empty() && networks.iter().all(|network| !network.ends_with("/0"))
    });
    if role.bind_secret_id && !is_bound {
        match (role.secret_id_num_uses, role.secret_id_ttl) {
            (1, 1..) => {}
            (1, 0) => report.found(Fault::RoleSecretId, place, "its secret ids never end"),
            (0, _) => {
                report.found(Fault::RoleSecretId, place, "its secret ids can be used any number of times");
            }
            (uses, _) => {
                report.found(Fault::RoleSecretId, place, format!("its secret ids can be used {uses} times"));
            }
        }
    }
    if role.token_ttl == 0 && role.token_max_ttl == 0 && role.token_period == 0 {
        report.found(Fault::RoleToken, place, "it says nothing about how long its tokens last");
    }
}

fn check_key(place: &str, key: &KeyFacts, report: &mut Report) {
    let faults = [
        (key.exportable, "it is exportable"),
        (key.plaintext_backup, "it can be backed up in plaintext"),
        (key.deletion_allowed, "it can be deleted"),
    ];
    for (_, seen) in faults.iter().filter(|(is_so, _)| *is_so) {
        report.found(Fault::TransitKey, place, *seen);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::doctor::finding::Finding;

    /// A server without a fault.
    fn clean() -> ServerFacts {
        let device = |file: &str| AuditDevice {
            kind: "file".into(),
            description: String::new(),
            options: Some([("file_path".to_owned(), file.to_owned())].into()),
        };
        let engine = |kind: &str, version: &str| Engine {
            kind: kind.into(),
            options: Some([("version".to_owned(), version.to_owned())].into()),
        };
        let role = Role {
            token_policies: vec!["node.keyboot.tsm.0".into()],
            token_ttl: 600,
            bind_secret_id: true,
            secret_id_num_uses: 1,
            secret_id_ttl: 600,
            ..Role::default()
        };
        let health = Health {
            initialized: true,
            sealed: false,
            seal: "shamir".into(),
            threshold: 2,
            shares: 3,
            progress: 0,
            version: "2.7.2".into(),
            storage_type: "raft".into(),
            cluster_name: None,
            recovery_seal: false,
        };
        let inner = InnerFacts {
            is_root: Ok(false),
            tokens: Ok(vec![token("default")]),
            audit_devices: Ok([("one/".into(), device("/a")), ("two/".into(), device("/b"))].into()),
            engines: Ok([
                ("keyboot-secrets".into(), engine("kv", "2")),
                ("keyboot-documents".into(), engine("kv", "2")),
                ("keyboot-transit".into(), engine("transit", "")),
            ]
            .into()),
            logins: Ok(["approle".to_owned()].into()),
            policies: Ok([(
                "node.keyboot.tsm.0".into(),
                Ok("path \"keyboot-secrets/data/keyboot/tsm/node/0/p2p-key\" { capabilities = [\"read\"] }"
                    .into()),
            )]
            .into()),
            roles: Ok([("approle/node.keyboot.tsm.0".into(), Ok(role))].into()),
            keys: [("keyboot-transit/seal".into(), Ok(key()))].into(),
            documents: "keyboot-documents".into(),
        };
        ServerFacts { address: "https://vault:8200".into(), health, inner: Ok(inner) }
    }

    fn token(policy: &str) -> OtherToken {
        OtherToken {
            accessor: "an-accessor".into(),
            policies: vec![policy.into()],
            made_by: "auth/token/root".into(),
            made: None,
            ttl: Some(Duration::from_mins(1)),
        }
    }

    fn key() -> KeyFacts {
        KeyFacts {
            kind: "aes256-gcm96".into(),
            derived: true,
            exportable: false,
            plaintext_backup: false,
            deletion_allowed: false,
            newest: 1,
            opens_from: 1,
            public: BTreeMap::new(),
        }
    }

    fn report(facts: &ServerFacts) -> Report {
        let mut report = Report::default();
        facts.check(&mut report);
        report
    }

    /// What is found after a change.
    fn after(change: impl FnOnce(&mut ServerFacts)) -> (Vec<Fault>, usize) {
        let Report { findings, unseen, .. } = report(&plant(change));
        (findings.iter().map(|finding: &Finding| finding.fault).collect(), unseen.len())
    }

    fn inner(facts: &mut ServerFacts) -> &mut InnerFacts {
        facts.inner.as_mut().unwrap()
    }

    fn role(facts: &mut ServerFacts) -> &mut Role {
        inner(facts).roles.as_mut().unwrap().values_mut().next().unwrap().as_mut().unwrap()
    }

    fn plant(change: impl FnOnce(&mut ServerFacts)) -> ServerFacts {
        let mut facts = clean();
        change(&mut facts);
        facts
    }

    fn with_rule(path: &str, rest: &str) -> ServerFacts {
        plant(|server| {
            let text = format!("path \"{path}\" {{ {rest} }}");
            inner(server).policies.as_mut().unwrap().insert("more".into(), Ok(text));
        })
    }

    /// A server for each fault that one can have, with that fault alone.
    pub(crate) fn planted() -> Vec<(Fault, ServerFacts)> {
        let devices = |change: fn(&mut BTreeMap<String, AuditDevice>)| {
            plant(|server| change(inner(server).audit_devices.as_mut().unwrap()))
        };
        let raw = |devices: &mut BTreeMap<String, AuditDevice>| {
            let options = devices.get_mut("two/").unwrap().options.as_mut().unwrap();
            options.insert("log_raw".into(), "true".into());
        };
        vec![
            (Fault::DevMode, plant(|server| server.health.storage_type = "inmem".into())),
            (Fault::Uninitialized, plant(|server| server.health.initialized = false)),
            (Fault::Sealed, plant(|server| server.health.sealed = true)),
            (Fault::OneShare, plant(|server| server.health.threshold = 1)),
            (Fault::AuditDevices, devices(|devices| drop(devices.remove("one/")))),
            (Fault::AuditRaw, devices(raw)),
            (Fault::RootToken, plant(|server| inner(server).is_root = Ok(true))),
            (Fault::PolicyOverBroad, with_rule("sys/policies/acl/*", "capabilities = [\"update\"]")),
            (Fault::PolicyReadsMany, with_rule("keyboot-secrets/data/*", "capabilities = [\"read\"]")),
            (Fault::PolicySudo, with_rule("sys/audit/*", "capabilities = [\"read\", \"sudo\"]")),
            (
                Fault::PolicyParameters,
                with_rule(
                    "keyboot-secrets/data/keyboot/l2/role/batcher/1",
                    "capabilities = [\"create\"]\n allowed_parameters = { \"value\" = [] }",
                ),
            ),
            (Fault::PolicyGrantsNothing, with_rule("secret/op/batcher", "capabilities = [\"read\"]")),
            (Fault::RoleRoot, plant(|server| role(server).token_policies.push("root".into()))),
            (Fault::RoleUnbound, plant(|server| role(server).bind_secret_id = false)),
            (Fault::RoleSecretId, plant(|server| role(server).secret_id_num_uses = 0)),
            (Fault::RoleToken, plant(|server| role(server).token_ttl = 0)),
            (
                Fault::TransitKey,
                plant(|server| {
                    inner(server).keys.values_mut().next().unwrap().as_mut().unwrap().exportable = true;
                }),
            ),
        ]
    }

    #[test]
    fn each_planted_fault_is_found_and_nothing_else() {
        for (fault, facts) in planted() {
            let findings: Vec<Fault> = report(&facts).findings.iter().map(|finding| finding.fault).collect();
            assert_eq!(findings, [fault]);
        }
    }

    #[test]
    fn a_clean_server_has_no_findings() {
        assert_eq!(report(&clean()), Report::default());
    }

    #[test]
    fn a_server_that_is_closed_or_for_trial_is_found() {
        assert_eq!(after(|server| server.health.sealed = true), (vec![Fault::Sealed], 1));
        assert_eq!(after(|server| server.health.initialized = false), (vec![Fault::Uninitialized], 0));
        assert_eq!(after(|server| server.health.storage_type = "inmem".into()), (vec![Fault::DevMode], 0));
        assert_eq!(after(|server| server.health.threshold = 1), (vec![Fault::OneShare], 0));
        let by_cloud = |server: &mut ServerFacts| {
            server.health.seal = "awskms".into();
            server.health.threshold = 1;
        };
        assert_eq!(after(by_cloud), (vec![], 0));
        assert_eq!(after(|server| server.inner = Err("no token".into())), (vec![], 1));
    }

    #[test]
    fn audit_devices_are_two_and_keep_nothing_in_plain() {
        let devices = |server: &mut ServerFacts, change: fn(&mut BTreeMap<String, AuditDevice>)| {
            change(inner(server).audit_devices.as_mut().unwrap());
        };
        let two = |plant: fn(&mut BTreeMap<String, AuditDevice>)| after(|server| devices(server, plant)).0;
        assert_eq!(two(BTreeMap::clear), [Fault::AuditDevices]);
        assert_eq!(two(|devices| drop(devices.remove("one/"))), [Fault::AuditDevices]);
        let at_one_place = |devices: &mut BTreeMap<String, AuditDevice>| {
            let one = devices["one/"].clone();
            devices.insert("two/".into(), one);
        };
        assert_eq!(two(at_one_place), [Fault::AuditDevices]);
        let raw = |devices: &mut BTreeMap<String, AuditDevice>| {
            let options = devices.get_mut("two/").unwrap().options.as_mut().unwrap();
            options.insert("log_raw".into(), "true".into());
        };
        assert_eq!(two(raw), [Fault::AuditRaw]);
    }

    #[test]
    fn root_tokens_are_found() {
        assert_eq!(after(|server| inner(server).is_root = Ok(true)).0, [Fault::RootToken]);
        let other = |server: &mut ServerFacts| inner(server).tokens.as_mut().unwrap().push(token("root"));
        assert_eq!(after(other).0, [Fault::RootToken]);
    }

    #[test]
    fn roles_are_bound_and_end() {
        assert_eq!(after(|server| role(server).token_policies.push("root".into())).0, [Fault::RoleRoot]);
        assert_eq!(after(|server| role(server).bind_secret_id = false).0, [Fault::RoleUnbound]);
        assert_eq!(after(|server| role(server).secret_id_num_uses = 0).0, [Fault::RoleSecretId]);
        assert_eq!(after(|server| role(server).secret_id_num_uses = 5).0, [Fault::RoleSecretId]);
        assert_eq!(after(|server| role(server).secret_id_ttl = 0).0, [Fault::RoleSecretId]);
        assert_eq!(after(|server| role(server).token_ttl = 0).0, [Fault::RoleToken]);
        let standing = |server: &mut ServerFacts| {
            let role = role(server);
            (role.secret_id_num_uses, role.secret_id_bound_cidrs) = (0, Some(vec!["192.0.2.1/32".into()]));
            (role.token_ttl, role.token_period) = (0, 3600);
        };
        assert_eq!(after(standing), (vec![], 0));
    }

    #[test]
    fn keys_stay_on_the_server() {
        let with = |change: fn(&mut KeyFacts)| {
            after(|server| change(inner(server).keys.values_mut().next().unwrap().as_mut().unwrap())).0
        };
        assert_eq!(with(|key| key.exportable = true), [Fault::TransitKey]);
        assert_eq!(with(|key| key.plaintext_backup = true), [Fault::TransitKey]);
        assert_eq!(with(|key| key.deletion_allowed = true), [Fault::TransitKey]);
    }

    #[test]
    fn policies_are_judged_and_what_is_not_understood_is_told() {
        let with = |text: &str| {
            after(|server| {
                inner(server).policies.as_mut().unwrap().insert("more".into(), Ok(text.to_owned()));
            })
        };
        let broad = with("path \"keyboot-secrets/data/*\" { capabilities = [\"read\"] }");
        assert_eq!(broad, (vec![Fault::PolicyReadsMany], 0));
        assert_eq!(with("path \"x\" = <<EOF\nEOF"), (vec![], 1));
    }

    #[test]
    fn whatever_is_denied_is_told() {
        let denied = || "it was denied".to_owned();
        let all = |server: &mut ServerFacts| {
            let inner = inner(server);
            inner.is_root = Err(denied());
            inner.tokens = Err(denied());
            inner.audit_devices = Err(denied());
            inner.engines = Err(denied());
            inner.logins = Err(denied());
            inner.policies = Err(denied());
            inner.roles = Err(denied());
            inner.keys = [("seal".into(), Err(denied()))].into();
        };
        assert_eq!(after(all), (vec![], 8));
    }
}
