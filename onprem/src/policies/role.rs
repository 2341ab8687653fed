//! Who works with the server: the roles that programs and people log in as, and their names.
//!
//! A name's parts are joined by dots, which no part holds: parts may hold `-`, so that joined by it two
//! clusters could have one name, and one of them the other's rights. No I/O.

use std::fmt;
use std::time::Duration;

use provisioning::names::{Application, ClusterName, NodeIndex, Segment};
use vault::server;

/// How long a secret id lives, and its wrapping at most: as long as the way from whoever grants it to its
/// program may take.
const SECRET_ID_TTL: Duration = Duration::from_hours(1);
/// The same of the operator's, who has the next one made with each: until he is needed again.
const OPERATORS_TTL: Duration = Duration::from_hours(30 * 24);
/// The same of one that is for many logins.
const STANDING_TTL: Duration = Duration::from_hours(90 * 24);

/// Somebody who logs in.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum Role {
    /// Makes keys, and reads none.
    Provisioner,
    /// Replaces, removes and restores keys, and reads none.
    Rotator,
    /// Looks at everything that is no key.
    Auditor,
    /// Hands out logins.
    Operator,
    /// Begins the ceremony that makes a root token out of the holders' shares.
    Custodian,
    /// A node of a cluster, or a node of a chain with its P2P key.
    Node {
        /// The cluster.
        cluster: ClusterName,
        /// The node.
        index: NodeIndex,
    },
    /// Calls a cluster's nodes with an application's API keys.
    Client {
        /// The cluster.
        cluster: ClusterName,
        /// The application.
        application: Application,
    },
    /// Calls the management interfaces of a cluster's nodes.
    Manager {
        /// The cluster.
        cluster: ClusterName,
    },
    /// A signer with one key of one role of a chain.
    Signer {
        /// The chain.
        chain: ClusterName,
        /// The role.
        role: Segment,
        /// Which of its keys.
        number: u32,
    },
    /// A node of a chain that also signs the chain's blocks.
    Sequencer {
        /// The chain.
        chain: ClusterName,
        /// The node.
        index: NodeIndex,
    },
}

impl Role {
    /// How long a secret id of its own may wait in its wrapping.
    #[must_use]
    pub fn longest_wrapping(&self) -> Duration {
        if *self == Self::Operator { OPERATORS_TTL } else { SECRET_ID_TTL }
    }

    /// What its logins are like, as the login by role and secret id takes it: a secret id is for one login and
    /// one hour, a token is for little longer than its work takes, and nobody has the default policy.
    pub(crate) fn login(&self, limits: &Limits) -> server::Role {
        let secret_id_ttl = if limits.standing { STANDING_TTL } else { self.longest_wrapping() };
        let Lifetime { ttl, max_ttl, period } = self.lifetime();
        server::Role {
            token_policies: self.policy_names(),
            token_no_default_policy: true,
            token_ttl: ttl,
            token_max_ttl: max_ttl,
            token_period: period,
            token_num_uses: 0,
            token_type: "service".to_owned(),
            token_bound_cidrs: limits.cidrs.clone(),
            bind_secret_id: true,
            secret_id_num_uses: u64::from(!limits.standing),
            secret_id_ttl: secret_id_ttl.as_secs(),
            secret_id_bound_cidrs: Some(limits.cidrs.clone()),
        }
    }

    /// The names of the policies that its tokens have.
    #[must_use]
    pub fn policy_names(&self) -> Vec<String> {
        match self {
            // A node of the chain, which has the key of its blocks beside its own.
            Self::Sequencer { chain, index } => {
                let node = Self::Node { cluster: chain.clone(), index: *index };
                vec![node.to_string(), sequencer_policy(chain)]
            }
            other => vec![other.to_string()],
        }
    }

    fn lifetime(&self) -> Lifetime {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        match self {
            Self::Provisioner | Self::Rotator | Self::Custodian => {
                Lifetime { ttl: 30 * MINUTE, max_ttl: 2 * HOUR, period: 0 }
            }
            Self::Auditor => Lifetime { ttl: HOUR, max_ttl: 8 * HOUR, period: 0 },
            Self::Operator => Lifetime { ttl: HOUR, max_ttl: 12 * HOUR, period: 0 },
            Self::Node { .. } | Self::Client { .. } | Self::Manager { .. } | Self::Sequencer { .. } => {
                Lifetime { ttl: 10 * MINUTE, max_ttl: HOUR, period: 0 }
            }
            // The signer reads its key again at each of its starts, with the token that it was given, which
            // lives for as long as it is renewed and one hour beyond.
            Self::Signer { .. } => Lifetime { ttl: 0, max_ttl: 0, period: HOUR },
        }
    }
}

/// What is set for one role beside what holds for all of its kind.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Limits {
    /// The addresses that its logins and its tokens are good from; every address where there is none.
    pub(crate) cidrs: Vec<String>,
    /// Whether its secret ids are for many logins and have no end.
    pub(crate) standing: bool,
}

/// How long a token lives, in seconds.
struct Lifetime {
    ttl: u64,
    max_ttl: u64,
    period: u64,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Provisioner => f.write_str("provisioner"),
            Self::Rotator => f.write_str("rotator"),
            Self::Auditor => f.write_str("auditor"),
            Self::Operator => f.write_str("operator"),
            Self::Custodian => f.write_str("custodian"),
            Self::Node { cluster, index } => write!(f, "node.{}.{index}", dotted(cluster)),
            Self::Client { cluster, application } => write!(f, "client.{}.{application}", dotted(cluster)),
            Self::Manager { cluster } => write!(f, "manager.{}", dotted(cluster)),
            Self::Signer { chain, role, number } => write!(f, "signer.{}.{role}.{number}", dotted(chain)),
            Self::Sequencer { chain, index } => write!(f, "sequencer.{}.{index}", dotted(chain)),
        }
    }
}

/// The full name of a cluster or chain with dots between its parts.
fn dotted(name: &ClusterName) -> String {
    name.as_str().replace('/', ".")
}

/// The name of the policy that every sequencer of a chain has.
pub(crate) fn sequencer_policy(chain: &ClusterName) -> String {
    format!("sequencer.{}", dotted(chain))
}
