//! Who may do what on the server: a policy for each who logs in, as text that a person can read and judge.
//!
//! They are made from what is declared, so that a path names a cluster, a chain or one node of one, and nothing
//! that nobody declared. No policy of these reads a key and writes one; the one that makes keys reads none. What
//! each could still do in the wrong hands stands in its own first lines. Nothing here speaks to a server.

mod keepers;
mod own;
mod paths;
mod policy;
mod readers;
mod role;
mod subjects;
mod writers;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use provisioning::names::ClusterName;
use vault::{Mounts, VaultError};

use crate::config::Config;
use crate::declaration::Declaration;
use crate::error::OnpremError;
use crate::terminal::show;

pub use policy::{Capability, Policy, Rule};
pub(crate) use role::Limits;
pub use role::Role;
pub use subjects::{ROLE_NUMBERS, Subjects};

/// What `policies` is called with.
#[derive(Args, Debug)]
pub struct Options {
    /// The declarations of all that the server serves
    #[arg(required = true)]
    declarations: Vec<PathBuf>,
    /// Show the policy with this name alone
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// For how many keys of each role of a chain there are signers
    #[arg(long, default_value_t = ROLE_NUMBERS)]
    role_numbers: u32,
}

/// Shows the policies that `init` writes.
///
/// # Errors
///
/// [`OnpremError`] where a declaration is wrong, or there is no policy of the name.
pub fn run(options: &Options, config: &Config) -> Result<ExitCode, OnpremError> {
    let subjects = Subjects::read(&options.declarations)?.with_role_numbers(options.role_numbers);
    let policies = subjects.policies(&config.vault.mounts)?;
    let is_wanted = |policy: &&Policy| options.only.as_ref().is_none_or(|name| name == policy.name());
    let wanted: Vec<&Policy> = policies.iter().filter(is_wanted).collect();
    if wanted.is_empty() {
        let names: Vec<&str> = policies.iter().map(Policy::name).collect();
        return Err(OnpremError::Config(format!("there is no such policy; there are {}", names.join(", "))));
    }
    for policy in wanted {
        show(&format!("# ---- {} ----\n{}", policy.name(), policy.text()));
    }
    Ok(ExitCode::SUCCESS)
}

impl Subjects {
    /// What declarations declare.
    ///
    /// # Errors
    ///
    /// [`OnpremError`] where one is wrong, and where a name is declared twice.
    pub fn read(declarations: &[PathBuf]) -> Result<Self, OnpremError> {
        let mut subjects = Self::default();
        for path in declarations {
            subjects.add(&Declaration::read(path)?)?;
        }
        Ok(subjects)
    }

    /// Adds what a declaration declares.
    ///
    /// # Errors
    ///
    /// [`OnpremError::Config`] where a name stands in another declaration as well: two owners of one name.
    pub fn add(&mut self, declaration: &Declaration) -> Result<(), OnpremError> {
        let twice = |name: &ClusterName| {
            OnpremError::Config(format!("{name} is declared twice, by two of the declarations"))
        };
        for cluster in &declaration.clusters {
            if self.names(&cluster.name) {
                return Err(twice(&cluster.name));
            }
            let nodes = cluster.nodes.iter().copied();
            let applications = cluster.applications.iter().cloned();
            self.add_cluster(
                &cluster.name,
                nodes,
                applications,
                cluster.management_key,
                cluster.share_password,
            );
        }
        for chain in &declaration.chains {
            if self.names(&chain.name) {
                return Err(twice(&chain.name));
            }
            let roles = chain.roles.iter().map(|role| role.as_segment());
            self.add_chain(&chain.name, chain.nodes.iter().copied(), roles);
        }
        Ok(())
    }

    fn names(&self, name: &ClusterName) -> bool {
        self.clusters().iter().any(|cluster| cluster.name == *name)
    }

    /// All policies of a server that serves them, each once.
    ///
    /// # Errors
    ///
    /// [`VaultError`], which it is for no names of ours.
    pub fn policies(&self, mounts: &Mounts) -> Result<Vec<Policy>, VaultError> {
        let own = self.roles();
        let own = own.iter().filter_map(|role| self.own_policy(role, mounts).transpose());
        let sequencers = self.chains().iter().filter(|chain| chain.has_sequencer());
        own.chain(sequencers.map(|chain| Ok(readers::sequencer(&chain.name, mounts)))).collect()
    }

    /// The policy with a role's name; none for who has those of others.
    fn own_policy(&self, role: &Role, mounts: &Mounts) -> Result<Option<Policy>, VaultError> {
        let of = |name: &ClusterName| self.clusters().iter().find(|cluster| cluster.name == *name);
        Ok(match role {
            Role::Provisioner => Some(writers::provisioner(self, mounts)),
            Role::Rotator => Some(writers::rotator(self, mounts)),
            Role::Auditor => Some(readers::auditor(self, mounts)),
            Role::Operator => Some(keepers::operator(&self.roles(), mounts)),
            Role::Custodian => Some(keepers::custodian()),
            Role::Node { cluster, index } => {
                of(cluster).map(|of| readers::node(of, *index, mounts)).transpose()?
            }
            Role::Client { cluster, application } => {
                of(cluster).map(|of| readers::client(of, application, mounts))
            }
            Role::Manager { cluster } => of(cluster).map(|of| readers::manager(of, mounts)),
            Role::Signer { chain, role, number } => Some(readers::signer(chain, role, *number, mounts)),
            Role::Sequencer { .. } => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::Capability::{Create, Delete, List, Patch, Read, Sudo, Update};
    use super::*;

    /// The declaration beside the texts.
    fn subjects() -> Subjects {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
        Subjects::read(&[folder.join("declaration.toml")]).unwrap().with_role_numbers(2)
    }

    fn policies() -> Vec<Policy> {
        subjects().policies(&Mounts::default()).unwrap()
    }

    /// The rules of a policy, with those of its paths that begin so.
    fn below<'a>(policy: &'a Policy, prefix: &'a str) -> impl Iterator<Item = &'a Rule> {
        policy.rules().iter().filter(move |rule| rule.path().starts_with(prefix))
    }

    fn can(rule: &Rule, capability: Capability) -> bool {
        rule.capabilities().contains(&capability)
    }

    #[test]
    fn the_texts_are_those_that_people_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
        let policies = policies();
        for policy in &policies {
            let path = folder.join(format!("{}.hcl", policy.name()));
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(text, policy.text(), "{}", path.display());
        }
        let written: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter_map(|name| name.strip_suffix(".hcl").map(str::to_owned))
            .collect();
        assert_eq!(written, policies.iter().map(|policy| policy.name().to_owned()).collect());
    }

    #[test]
    fn no_path_has_a_star_and_none_is_said_twice() {
        for policy in policies() {
            let mut paths = BTreeSet::new();
            for rule in policy.rules() {
                assert!(!rule.path().contains('*'), "{}: {}", policy.name(), rule.path());
                // Of two rules about one path the server takes both together, and the reader one.
                assert!(paths.insert(rule.path().to_owned()), "{}: {} twice", policy.name(), rule.path());
            }
        }
    }

    #[test]
    fn nobody_reads_a_secret_and_writes_one() {
        let mut readers = BTreeSet::new();
        let mut writers = BTreeSet::new();
        for policy in policies() {
            for rule in below(&policy, "keyboot-secrets/data/") {
                if can(rule, Read) {
                    readers.insert(policy.name().to_owned());
                }
                if [Create, Update, Patch, Delete].iter().any(|each| can(rule, *each)) {
                    writers.insert(policy.name().to_owned());
                }
            }
        }
        assert!(readers.is_disjoint(&writers), "{readers:?} {writers:?}");
        assert_eq!(writers.into_iter().collect::<Vec<_>>(), ["provisioner", "rotator"]);
        assert!(readers.iter().all(|name| {
            ["client.", "manager.", "node.", "sequencer.", "signer."]
                .iter()
                .any(|kind| name.starts_with(kind))
        }));
    }

    #[test]
    fn only_nodes_open_and_only_makers_seal_and_sign() {
        for policy in policies() {
            for rule in below(&policy, "keyboot-transit/") {
                let expected: &[&str] = match rule.path() {
                    "keyboot-transit/decrypt/seal" => &["node."],
                    "keyboot-transit/encrypt/seal" | "keyboot-transit/sign/records" => {
                        &["provisioner", "rotator"]
                    }
                    _ => {
                        assert_eq!(rule.capabilities(), [Read], "{}: {}", policy.name(), rule.path());
                        continue;
                    }
                };
                assert!(expected.iter().any(|kind| policy.name().starts_with(kind)), "{}", policy.name());
                assert_eq!(rule.capabilities(), [Update]);
            }
        }
    }

    #[test]
    fn the_servers_own_paths_are_for_who_looks_and_for_who_begins_the_ceremony() {
        for policy in policies() {
            for rule in below(&policy, "sys/") {
                match policy.name() {
                    "auditor" => {
                        assert!(rule.capabilities().iter().all(|each| [Read, List, Sudo].contains(each)));
                    }
                    "custodian" => assert!(rule.path().starts_with("sys/generate-root-token/")),
                    other => assert_eq!(rule.path(), "", "{other} has it"),
                }
            }
        }
    }

    #[test]
    fn what_the_server_keeps_for_administrators_is_only_looked_at() {
        let sudo: Vec<_> = policies()
            .iter()
            .flat_map(|policy| policy.rules().iter().map(|rule| (policy.name().to_owned(), rule.clone())))
            .filter(|(_, rule)| can(rule, Sudo))
            .map(|(name, rule)| (name, rule.path().to_owned(), rule.capabilities().to_vec()))
            .collect();
        let auditor = |path: &str, looks| ("auditor".to_owned(), path.to_owned(), vec![looks, Sudo]);
        assert_eq!(sudo, [auditor("sys/audit", Read), auditor("auth/token/accessors", List)]);
    }

    #[test]
    fn a_signer_has_one_path_and_may_live_on_and_end() {
        let policies = policies();
        let signer = policies.iter().find(|policy| policy.name() == "signer.keyboot.l2.batcher.2").unwrap();
        let paths: Vec<_> = signer.rules().iter().map(Rule::path).collect();
        assert_eq!(
            paths,
            [
                "auth/token/renew-self",
                "auth/token/revoke-self",
                "keyboot-secrets/data/keyboot/l2/role/batcher/2"
            ]
        );
    }

    #[test]
    fn everybody_has_a_policy_that_is_there() {
        let names: BTreeSet<String> = policies().iter().map(|policy| policy.name().to_owned()).collect();
        let roles = subjects().roles();
        for role in &roles {
            for name in role.policy_names() {
                assert!(names.contains(&name), "{role}: {name}");
            }
        }
        let distinct: BTreeSet<String> = roles.iter().map(Role::to_string).collect();
        assert_eq!(distinct.len(), roles.len());
    }

    #[test]
    fn two_clusters_never_share_a_name() {
        let cluster = |name: &str| name.parse::<ClusterName>().unwrap();
        let client = |name: &str, application: &str| {
            Role::Client { cluster: cluster(name), application: application.parse().unwrap() }.to_string()
        };
        assert_ne!(client("keyboot/a-b", "c"), client("keyboot/a", "b-c"));
        assert_ne!(client("keyboot/a/b", "c"), client("keyboot/a", "b"));
    }

    #[test]
    fn what_is_declared_by_two_is_refused_by_name() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/declaration.toml");
        let said = Subjects::read(&[folder.clone(), folder]).unwrap_err().to_string();
        assert!(said.contains("keyboot/tsm is declared twice"), "{said}");
    }

    #[test]
    fn a_secret_id_is_good_once_and_a_token_ends() {
        for role in subjects().roles() {
            let login = role.login(&Limits::default());
            assert!(login.token_no_default_policy && login.bind_secret_id, "{role}");
            assert_eq!(login.secret_id_num_uses, 1, "{role}");
            assert_eq!(login.token_type, "service", "{role}");
            let lasts = login.token_period > 0 || (login.token_ttl > 0 && login.token_max_ttl > 0);
            assert!(lasts && login.secret_id_ttl > 0, "{role}");
            let standing = Limits { cidrs: vec!["192.0.2.1/32".into()], standing: true };
            let login = role.login(&standing);
            assert_eq!((login.secret_id_num_uses, &login.token_bound_cidrs), (0, &standing.cidrs), "{role}");
            assert!(login.secret_id_ttl > 0, "{role}");
        }
    }
}
