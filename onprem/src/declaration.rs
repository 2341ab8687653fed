//! What there has to be: clusters and chains, as a TOML file declares them.
//!
//! It is the on-premises twin of the properties of `Custom::NodeKeys`, and what a property may be is told by the
//! same [list](PROPERTIES). Whatever is unknown, wrong or missing is a [`DeclarationFault`] that says where, what is
//! wrong and what is allowed; it never repeats the value, which may be a secret in the wrong place.
//!
//! ```toml
//! owner = "ops"
//!
//! [[cluster]]
//! name = "tsm"
//! nodes = [0, 1, 2]
//!
//! [[chain]]
//! name = "l2"
//! chain-id = 901
//! l1-chain-id = 1
//! roles = ["batcher", "proposer", "challenger", "sequencer"]
//! nodes = [0, 1]
//! node-domain = "l2.internal"
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;

use key_material::Curve;
use provisioning::names::{
    Application, CLUSTER_ALLOWED, ClusterName, INDEX_ALLOWED, NAMESPACE_ALLOWED, Namespace, NodeIndex,
    Segment,
};
use provisioning::ownership::OwnerId;
use provisioning::principals::Admitted;
use provisioning::properties::{
    ClusterSpec, DeletionRules, LenientSpec, OnDelete, PROPERTIES, SealingKeyArn, is_node_domain,
};
use provisioning::rotation_policy::{RotationPolicy, ScheduleExpression};
use provisioning::sealing::{KeyOrigin, Protection};
use provisioning::store::Store;
use provisioning::version_label::RegenerateToken;
use sha2::{Digest as _, Sha256};
use toml::{Table, Value};

use crate::chain::{HARDWARE_WALLET, ROLES_ALLOWED, Role, RoleError};
use crate::config::no_toml;
use crate::error::OnpremError;

/// Where the P2P port of op-node is, where nothing is said.
const P2P_PORT: u16 = 9222;
/// The most nodes of a cluster.
const NODES_MAX: usize = 1000;
/// The most applications of a cluster.
const APPLICATIONS_MAX: usize = 16;
/// The name that node P2P keys of a chain have among the tokens of `regenerate`.
const P2P: &str = "p2p";

/// A declaration is wrong.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{path} {fault}: it must be {allowed}")]
pub struct DeclarationFault {
    /// Where: `chain[0].roles[2]`.
    pub path: String,
    /// What is wrong.
    pub fault: String,
    /// What is allowed.
    pub allowed: String,
}

/// What there has to be.
#[derive(Clone, Debug)]
pub struct Declaration {
    /// Who it speaks for.
    pub owner: Segment,
    /// The namespace of all its names.
    pub namespace: Namespace,
    /// Clusters.
    pub clusters: Vec<ClusterDeclaration>,
    /// Chains.
    pub chains: Vec<ChainDeclaration>,
}

/// A cluster.
#[derive(Clone, Debug)]
pub struct ClusterDeclaration {
    /// Its name.
    pub name: ClusterName,
    /// Its nodes.
    pub nodes: BTreeSet<NodeIndex>,
    /// The curve of P2P keys.
    pub curve: Curve,
    /// The applications that call the nodes.
    pub applications: Vec<Application>,
    /// Whether each node has a management key.
    pub management_key: bool,
    /// Whether each node has a share-encryption password.
    pub share_password: bool,
    /// How what the node reads is protected in its store.
    pub protection: Protection,
    /// The DNS suffix of the nodes.
    pub node_domain: Option<String>,
    /// The token that keys are made under.
    pub regenerate: Option<RegenerateToken>,
    /// What is rotated.
    pub rotation: Option<Rotating>,
    /// What becomes of what is not asked for any more.
    pub deletion: DeletionRules,
    /// The old owner that is taken over from.
    pub adopt_from: Option<OwnerId>,
    /// The digest of all this.
    pub digest: String,
}

/// What of a cluster is rotated, and for how long what is replaced goes on being good. Nothing here rotates by
/// itself: a timer runs `rotate node`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rotating {
    /// When API and management keys are.
    pub api_keys_every: Option<ScheduleExpression>,
    /// When P2P keys are.
    pub p2p_keys_every: Option<ScheduleExpression>,
    /// For how many hours a replaced API or management key is accepted.
    pub overlap_hours: u32,
    /// How many minutes after it is published a new P2P key counts.
    pub cut_over_minutes: u32,
}

/// A chain.
#[derive(Clone, Debug)]
pub struct ChainDeclaration {
    /// Its name, which is also that of the cluster of its nodes.
    pub name: ClusterName,
    /// The number by which wallets and transactions know it.
    pub chain_id: u64,
    /// The same of the chain that it settles on.
    pub l1_chain_id: u64,
    /// The roles that have a key.
    pub roles: BTreeSet<Role>,
    /// The nodes that have a P2P key.
    pub nodes: BTreeSet<NodeIndex>,
    /// The DNS suffix of the nodes.
    pub node_domain: Option<String>,
    /// The port of op-node's P2P network.
    pub p2p_port: u16,
    /// The tokens that keys of roles are made under: another one has a new key prepared.
    pub regenerate: BTreeMap<Role, RegenerateToken>,
    /// The token that P2P keys are made under: another one makes new ones at once.
    pub regenerate_p2p: Option<RegenerateToken>,
    /// What becomes of keys that are not asked for any more.
    pub on_delete: OnDelete,
    /// The old owner that is taken over from.
    pub adopt_from: Option<OwnerId>,
    /// The digest of all this.
    pub digest: String,
}

impl Declaration {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`OnpremError::Read`], [`OnpremError::Declaration`], or [`OnpremError::Config`] where it is no TOML.
    pub fn read(path: &Path) -> Result<Self, OnpremError> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| OnpremError::Read { path: shown.clone(), error })?;
        let table: Table = text
            .parse()
            .map_err(|error| OnpremError::Config(format!("{shown}: {}", no_toml(&text, &error))))?;
        Ok(Self::from_table(&table)?)
    }

    /// Reads a text.
    ///
    /// # Errors
    ///
    /// As [`Self::read`].
    pub fn parse(text: &str) -> Result<Self, OnpremError> {
        let table: Table = text.parse().map_err(|error| OnpremError::Config(no_toml(text, &error)))?;
        Ok(Self::from_table(&table)?)
    }

    fn from_table(table: &Table) -> Result<Self, DeclarationFault> {
        let reader = Reader { path: String::new(), table };
        reader.refuse_unknown(&["owner", "namespace", "cluster", "chain"])?;
        let owner: Segment = reader.required("owner", CLUSTER_ALLOWED)?;
        let namespace: Namespace = match reader.text("namespace", NAMESPACE_ALLOWED)? {
            Some(text) => reader.parsed("namespace", text, NAMESPACE_ALLOWED)?,
            None => reader.parsed("namespace", "keyboot", NAMESPACE_ALLOWED)?,
        };
        let of = Of { owner: &owner, namespace: &namespace };
        let clusters: Vec<_> =
            reader.tables("cluster")?.iter().map(|table| cluster(table, &of)).collect::<Result<_, _>>()?;
        let chains: Vec<_> =
            reader.tables("chain")?.iter().map(|table| chain(table, &of)).collect::<Result<_, _>>()?;
        if clusters.is_empty() && chains.is_empty() {
            return Err(reader.fault(
                "cluster",
                "is missing, and so is chain",
                "a list of tables, or chain is one",
            ));
        }
        let mut names = BTreeSet::new();
        let clusters_named =
            clusters.iter().enumerate().map(|(at, one)| (format!("cluster[{at}]"), &one.name));
        let chains_named = chains.iter().enumerate().map(|(at, one)| (format!("chain[{at}]"), &one.name));
        for (path, name) in clusters_named.chain(chains_named) {
            if !names.insert(name.clone()) {
                return Err(DeclarationFault {
                    path: format!("{path}.name"),
                    fault: "is the name of another cluster or chain of this file".into(),
                    allowed: "a name of its own: a chain's nodes are a cluster of its name".into(),
                });
            }
        }
        Ok(Self { owner, namespace, clusters, chains })
    }

    /// The cluster of this name.
    ///
    /// # Errors
    ///
    /// [`OnpremError::Config`], with the names that there are.
    pub fn cluster(&self, name: &str) -> Result<&ClusterDeclaration, OnpremError> {
        let found = self.clusters.iter().find(|cluster| is_called(&cluster.name, name));
        found.ok_or_else(|| unknown("cluster", self.clusters.iter().map(|cluster| &cluster.name)))
    }

    /// The chain of this name.
    ///
    /// # Errors
    ///
    /// As [`Self::cluster`].
    pub fn chain(&self, name: &str) -> Result<&ChainDeclaration, OnpremError> {
        let found = self.chains.iter().find(|chain| is_called(&chain.name, name));
        found.ok_or_else(|| unknown("chain", self.chains.iter().map(|chain| &chain.name)))
    }
}

/// Whether a name on the command line, with or without the namespace, is this one.
fn is_called(name: &ClusterName, text: &str) -> bool {
    name.as_str() == text || name.as_str().rsplit('/').next() == Some(text)
}

fn unknown<'a>(what: &str, names: impl Iterator<Item = &'a ClusterName>) -> OnpremError {
    let names: Vec<_> = names.map(ClusterName::as_str).collect();
    let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    OnpremError::Config(format!("no {what} of this name is declared; there is {there}"))
}

impl ClusterDeclaration {
    /// The same as provisioning takes it; its envelopes are sealed by `key`.
    #[must_use]
    pub fn to_spec(&self, key: SealingKeyArn) -> ClusterSpec {
        let rotation = self.rotation.as_ref().map(|rotating| RotationPolicy {
            api_keys_every: rotating.api_keys_every.clone(),
            cut_over_minutes: rotating.cut_over_minutes,
            key_origin: KeyOrigin::Function.as_str().to_owned(),
            kms_key_arn: key.to_string(),
            overlap_hours: rotating.overlap_hours,
            p2p_keys_every: rotating.p2p_keys_every.clone(),
            protection: self.protection.as_str().to_owned(),
        });
        ClusterSpec {
            cluster: self.name.clone(),
            nodes: self.nodes.clone(),
            kms_key: key,
            curve: self.curve,
            applications: self.applications.clone(),
            management_key: self.management_key,
            share_password: self.share_password,
            store: Store::Vault,
            protection: self.protection,
            key_origin: KeyOrigin::Function,
            regenerate: self.regenerate.clone(),
            rotation,
            admitted: Admitted::default(),
            node_domain: self.node_domain.clone(),
            peer_record_arns: Vec::new(),
            deletion: self.deletion,
            adopt_from: self.adopt_from.clone(),
        }
    }

    /// The same as a removal takes it.
    #[must_use]
    pub fn to_lenient_spec(&self) -> LenientSpec {
        LenientSpec {
            nodes: self.nodes.clone(),
            applications: self.applications.iter().cloned().collect(),
            store: Some(Store::Vault),
            deletion: self.deletion,
            adopt_from: self.adopt_from.clone(),
            management_key: self.management_key,
            share_password: self.share_password,
            admitted: Admitted::default(),
        }
    }
}

impl ChainDeclaration {
    /// The cluster of its nodes: a P2P key each, and nothing else. It may have none.
    #[must_use]
    pub fn to_cluster(&self) -> ClusterDeclaration {
        ClusterDeclaration {
            name: self.name.clone(),
            nodes: self.nodes.clone(),
            curve: Curve::Secp256k1,
            applications: Vec::new(),
            management_key: false,
            share_password: false,
            protection: Protection::Envelope,
            node_domain: self.node_domain.clone(),
            regenerate: self.regenerate_p2p.clone(),
            rotation: None,
            deletion: DeletionRules { others: self.on_delete, share_password: OnDelete::Retain },
            adopt_from: self.adopt_from.clone(),
            digest: self.digest.clone(),
        }
    }
}

/// Whose a cluster or a chain is, and where.
struct Of<'a> {
    owner: &'a Segment,
    namespace: &'a Namespace,
}

const BOOLEAN: &str = "true or false";
/// What the times of a rotation may be. Nothing here reads them but whoever sets up the timer.
const SCHEDULE: &str = "cron(0 <hours> <day of month> <month> <day of week> *), rate(<n> hours) of 4 to 999 hours, \
                        rate(1 day) or rate(<n> days) of up to 999 days";

fn cluster(reader: &Reader<'_>, of: &Of<'_>) -> Result<ClusterDeclaration, DeclarationFault> {
    reader.refuse_unknown(&[
        "name",
        "nodes",
        "curve",
        "applications",
        "management-key",
        "share-encryption-password",
        "protection",
        "node-domain",
        "regenerate",
        "rotate-api-keys-every",
        "rotate-p2p-keys-every",
        "overlap-hours",
        "cut-over-minutes",
        "on-delete",
        "recovery-window-days",
        "share-secret-on-delete",
        "adopt-from",
    ])?;
    let name = reader.name(of)?;
    let nodes = reader.nodes()?;
    if nodes.is_empty() {
        return Err(reader.fault("nodes", "is missing or empty", allowed("Nodes")));
    }
    let curve = match reader.text("curve", allowed("P2pCurve"))? {
        Some(text) => reader.parsed("curve", text, allowed("P2pCurve"))?,
        None => Curve::P256,
    };
    let days = reader.days()?;
    Ok(ClusterDeclaration {
        nodes,
        curve,
        applications: reader.applications()?,
        management_key: reader.boolean("management-key")?.unwrap_or(true),
        share_password: reader.boolean("share-encryption-password")?.unwrap_or(true),
        protection: match reader.choice("protection", &["Envelope", "Service"])? {
            Some("Service") => Protection::Service,
            _ => Protection::Envelope,
        },
        node_domain: reader.node_domain()?,
        regenerate: reader.token("regenerate")?,
        rotation: reader.rotating()?,
        deletion: DeletionRules {
            others: reader.on_delete("on-delete", days, OnDelete::Schedule { days })?,
            share_password: reader.on_delete("share-secret-on-delete", days, OnDelete::Retain)?,
        },
        adopt_from: reader.adopt_from(&name)?,
        digest: digest("cluster", of, reader.table),
        name,
    })
}

fn chain(reader: &Reader<'_>, of: &Of<'_>) -> Result<ChainDeclaration, DeclarationFault> {
    const ID: &str = "a whole number from 1, as wallets know the chain by";
    reader.refuse_unknown(&[
        "name",
        "chain-id",
        "l1-chain-id",
        "roles",
        "nodes",
        "node-domain",
        "p2p-port",
        "regenerate",
        "on-delete",
        "recovery-window-days",
        "adopt-from",
    ])?;
    let name = reader.name(of)?;
    let id = |field| {
        let id = reader.whole(field, 1..=i64::MAX, ID)?.and_then(|id| u64::try_from(id).ok());
        id.ok_or_else(|| reader.fault(field, "is missing", ID))
    };
    let (chain_id, l1_chain_id) = (id("chain-id")?, id("l1-chain-id")?);
    if chain_id == l1_chain_id {
        return Err(reader.fault(
            "l1-chain-id",
            "is the chain's own",
            "the id of the chain that it settles on",
        ));
    }
    let (roles, nodes) = (reader.roles()?, reader.nodes()?);
    if roles.is_empty() && nodes.is_empty() {
        return Err(reader.fault("roles", "is missing or empty, and so is nodes", ROLES_ALLOWED));
    }
    let (regenerate, regenerate_p2p) = reader.tokens()?;
    let port = reader.whole("p2p-port", 1..=65_535, "a port, from 1 to 65535")?;
    let days = reader.days()?;
    Ok(ChainDeclaration {
        chain_id,
        l1_chain_id,
        roles,
        nodes,
        node_domain: reader.node_domain()?,
        p2p_port: port.and_then(|port| u16::try_from(port).ok()).unwrap_or(P2P_PORT),
        regenerate,
        regenerate_p2p,
        on_delete: reader.on_delete("on-delete", days, OnDelete::Schedule { days })?,
        adopt_from: reader.adopt_from(&name)?,
        digest: digest("chain", of, reader.table),
        name,
    })
}

/// The digest of one table: comments and the order of fields make no difference.
fn digest(kind: &str, of: &Of<'_>, table: &Table) -> String {
    let canonical = serde_json::to_string(table).unwrap_or_default();
    let whole = Sha256::new()
        .chain_update("keyboot.declaration.v1\n")
        .chain_update(format!("{kind}\n{}\n{}\n", of.owner, of.namespace))
        .chain_update(canonical);
    format!("sha256:{}", hex::encode(whole.finalize()))
}

/// What a property may be, by its name in `Custom::NodeKeys`.
fn allowed(property: &str) -> &'static str {
    PROPERTIES
        .iter()
        .find(|rule| rule.name == property)
        .map_or("what the reference says", |rule| rule.allowed)
}

/// One table, and where it is.
struct Reader<'a> {
    path: String,
    table: &'a Table,
}

impl<'a> Reader<'a> {
    fn refuse_unknown(&self, known: &[&str]) -> Result<(), DeclarationFault> {
        let Some(name) = self.table.keys().find(|name| !known.contains(&name.as_str())) else {
            return Ok(());
        };
        // A character that no name has is shown as one that is wrong, not left out.
        let shown = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '?' };
        let printable: String = name.chars().map(shown).take(64).collect();
        Err(self.fault(&printable, "is unknown", format!("one of {}", known.join(", "))))
    }

    fn fault(&self, name: &str, fault: impl Into<String>, allowed: impl Into<String>) -> DeclarationFault {
        DeclarationFault { path: self.at(name), fault: fault.into(), allowed: allowed.into() }
    }

    fn at(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The text of a field. An empty one says nothing, as if it were left out.
    fn text(&self, name: &str, allowed: &str) -> Result<Option<&'a str>, DeclarationFault> {
        match self.table.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.fault(name, "is not a string", allowed)),
        }
    }

    fn parsed<T: FromStr>(&self, name: &str, text: &str, allowed: &str) -> Result<T, DeclarationFault> {
        text.parse().map_err(|_| self.fault(name, "is not a valid value", allowed))
    }

    fn required<T: FromStr>(&self, name: &str, allowed: &str) -> Result<T, DeclarationFault> {
        let text =
            self.text(name, allowed)?.ok_or_else(|| self.fault(name, "is missing or empty", allowed))?;
        self.parsed(name, text, allowed)
    }

    fn choice(&self, name: &str, choices: &[&'static str]) -> Result<Option<&'static str>, DeclarationFault> {
        let allowed = choices.join(" or ");
        let Some(text) = self.text(name, &allowed)? else { return Ok(None) };
        let choice = choices.iter().copied().find(|choice| *choice == text);
        choice.map(Some).ok_or_else(|| self.fault(name, "is not one of the values", allowed))
    }

    fn boolean(&self, name: &str) -> Result<Option<bool>, DeclarationFault> {
        match self.table.get(name) {
            None => Ok(None),
            Some(Value::Boolean(it)) => Ok(Some(*it)),
            Some(_) => Err(self.fault(name, "is neither of them", BOOLEAN)),
        }
    }

    fn whole(
        &self,
        name: &str,
        range: RangeInclusive<i64>,
        allowed: &str,
    ) -> Result<Option<i64>, DeclarationFault> {
        match self.table.get(name) {
            None => Ok(None),
            Some(Value::Integer(number)) if range.contains(number) => Ok(Some(*number)),
            Some(_) => Err(self.fault(name, "is not a number in this range", allowed)),
        }
    }

    /// The entries of a list; none where it is not there.
    fn list(&self, name: &str, allowed: &str) -> Result<Option<&'a [Value]>, DeclarationFault> {
        match self.table.get(name) {
            None => Ok(None),
            Some(Value::Array(entries)) => Ok(Some(entries)),
            Some(_) => Err(self.fault(name, "is not a list", allowed)),
        }
    }

    fn tables(&self, name: &str) -> Result<Vec<Reader<'a>>, DeclarationFault> {
        const TABLES: &str = "a list of tables, each under its name in double brackets";
        let entries = self.list(name, TABLES)?.unwrap_or_default();
        let readers = entries.iter().enumerate().map(|(position, entry)| match entry {
            Value::Table(table) => Ok(Reader { path: self.at(&format!("{name}[{position}]")), table }),
            _ => Err(self.fault(&format!("{name}[{position}]"), "is not a table", TABLES)),
        });
        readers.collect()
    }

    fn name(&self, of: &Of<'_>) -> Result<ClusterName, DeclarationFault> {
        let text = self.text("name", CLUSTER_ALLOWED)?;
        let text = text.ok_or_else(|| self.fault("name", "is missing or empty", CLUSTER_ALLOWED))?;
        ClusterName::new(of.namespace, text)
            .map_err(|_| self.fault("name", "is not a valid value", CLUSTER_ALLOWED))
    }

    fn nodes(&self) -> Result<BTreeSet<NodeIndex>, DeclarationFault> {
        const NAME: &str = "nodes";
        let entries = self.list(NAME, allowed("Nodes"))?.unwrap_or_default();
        if entries.len() > NODES_MAX {
            return Err(self.fault(NAME, "has too many entries", allowed("Nodes")));
        }
        let mut nodes = BTreeSet::new();
        for (position, entry) in entries.iter().enumerate() {
            let at = format!("{NAME}[{position}]");
            let index = entry.as_integer().and_then(|number| number.to_string().parse::<NodeIndex>().ok());
            let index = index.ok_or_else(|| self.fault(&at, "is not a node's index", INDEX_ALLOWED))?;
            if !nodes.insert(index) {
                return Err(self.fault(&at, "is named twice", allowed("Nodes")));
            }
        }
        Ok(nodes)
    }

    fn applications(&self) -> Result<Vec<Application>, DeclarationFault> {
        const NAME: &str = "applications";
        let allowed = allowed("Applications");
        let Some(entries) = self.list(NAME, allowed)? else {
            return Ok(vec![self.parsed(NAME, "default", allowed)?]);
        };
        if entries.is_empty() || entries.len() > APPLICATIONS_MAX {
            return Err(self.fault(NAME, "is empty or has too many entries", allowed));
        }
        let mut applications: Vec<Application> = Vec::new();
        for (position, entry) in entries.iter().enumerate() {
            let at = format!("{NAME}[{position}]");
            let application = entry.as_str().and_then(|text| text.parse().ok());
            let application = application.ok_or_else(|| self.fault(&at, "is not a valid value", allowed))?;
            if applications.contains(&application) {
                return Err(self.fault(&at, "is named twice", allowed));
            }
            applications.push(application);
        }
        Ok(applications)
    }

    fn roles(&self) -> Result<BTreeSet<Role>, DeclarationFault> {
        const NAME: &str = "roles";
        let entries = self.list(NAME, ROLES_ALLOWED)?.unwrap_or_default();
        let mut roles = BTreeSet::new();
        for (position, entry) in entries.iter().enumerate() {
            let at = format!("{NAME}[{position}]");
            let role = entry.as_str().ok_or_else(|| self.fault(&at, "is not a string", ROLES_ALLOWED))?;
            let role: Role = role.parse().map_err(|error| self.role_fault(&at, error))?;
            if !roles.insert(role) {
                return Err(self.fault(&at, "is named twice", ROLES_ALLOWED));
            }
        }
        Ok(roles)
    }

    fn role_fault(&self, at: &str, error: RoleError) -> DeclarationFault {
        match error {
            RoleError::Administrative => self.fault(
                at,
                format!("is a role that may change the chain itself: {HARDWARE_WALLET}"),
                ROLES_ALLOWED,
            ),
            RoleError::UnsafeBlockSigner => {
                self.fault(at, "is the key that the sequencer signs with", "the role sequencer")
            }
            RoleError::Unknown => self.fault(at, "is no role that is known", ROLES_ALLOWED),
        }
    }

    fn token(&self, name: &str) -> Result<Option<RegenerateToken>, DeclarationFault> {
        let allowed = allowed("Regenerate");
        let text = self.text(name, allowed)?;
        text.map(|text| self.parsed(name, text, allowed)).transpose()
    }

    /// The tokens of a chain: one for each role, and one for the nodes' P2P keys.
    fn tokens(&self) -> Result<(BTreeMap<Role, RegenerateToken>, Option<RegenerateToken>), DeclarationFault> {
        const NAME: &str = "regenerate";
        const TOKENS: &str = "a table of tokens: for the roles, and for p2p";
        let table = match self.table.get(NAME) {
            None => return Ok((BTreeMap::new(), None)),
            Some(Value::Table(table)) => table,
            Some(_) => return Err(self.fault(NAME, "is not a table", TOKENS)),
        };
        let reader = Reader { path: self.at(NAME), table };
        let known: Vec<&str> = Role::ALL.iter().map(|role| role.as_str()).chain([P2P]).collect();
        reader.refuse_unknown(&known)?;
        let mut tokens = BTreeMap::new();
        for role in Role::ALL {
            tokens.extend(reader.token(role.as_str())?.map(|token| (role, token)));
        }
        Ok((tokens, reader.token(P2P)?))
    }

    fn node_domain(&self) -> Result<Option<String>, DeclarationFault> {
        const NAME: &str = "node-domain";
        let allowed = allowed("NodeDomain");
        match self.text(NAME, allowed)? {
            Some(text) if is_node_domain(text) => Ok(Some(text.to_owned())),
            Some(_) => Err(self.fault(NAME, "is not a DNS suffix", allowed)),
            None => Ok(None),
        }
    }

    fn days(&self) -> Result<u8, DeclarationFault> {
        let days = self.whole("recovery-window-days", 7..=30, allowed("RecoveryWindowDays"))?;
        Ok(days.and_then(|days| u8::try_from(days).ok()).unwrap_or(30))
    }

    fn on_delete(&self, name: &str, days: u8, otherwise: OnDelete) -> Result<OnDelete, DeclarationFault> {
        Ok(match self.choice(name, &["Schedule", "Retain"])? {
            Some("Schedule") => OnDelete::Schedule { days },
            Some(_) => OnDelete::Retain,
            None => otherwise,
        })
    }

    fn rotating(&self) -> Result<Option<Rotating>, DeclarationFault> {
        let every = |name| {
            let text = self.text(name, SCHEDULE)?;
            text.map(|text| self.parsed::<ScheduleExpression>(name, text, SCHEDULE)).transpose()
        };
        let number = |name, range, property, otherwise: u32| {
            let number = self.whole(name, range, allowed(property))?;
            Ok::<_, DeclarationFault>(number.and_then(|it| u32::try_from(it).ok()).unwrap_or(otherwise))
        };
        let rotating = Rotating {
            api_keys_every: every("rotate-api-keys-every")?,
            p2p_keys_every: every("rotate-p2p-keys-every")?,
            overlap_hours: number("overlap-hours", 2..=720, "OverlapHours", 24)?,
            cut_over_minutes: number("cut-over-minutes", 5..=10_080, "CutOverMinutes", 60)?,
        };
        // What is replaced before its time is over would pile up.
        let minutes = |every: &Option<ScheduleExpression>| Some(every.as_ref()?.interval()?.as_mins());
        let is_longer = |span: u32, every| minutes(every).is_some_and(|every| i64::from(span) > every);
        if is_longer(rotating.overlap_hours * 60, &rotating.api_keys_every) {
            return Err(self.fault(
                "overlap-hours",
                "is longer than rotate-api-keys-every",
                allowed("OverlapHours"),
            ));
        }
        if is_longer(rotating.cut_over_minutes, &rotating.p2p_keys_every) {
            let allowed = allowed("CutOverMinutes");
            return Err(self.fault("cut-over-minutes", "is longer than rotate-p2p-keys-every", allowed));
        }
        let rotates = rotating.api_keys_every.is_some() || rotating.p2p_keys_every.is_some();
        Ok(rotates.then_some(rotating))
    }

    /// An old owner of the same cluster or chain: the names of its secrets follow from it.
    fn adopt_from(&self, cluster: &ClusterName) -> Result<Option<OwnerId>, DeclarationFault> {
        const NAME: &str = "adopt-from";
        const ALLOWED: &str = "the old owner as an error or `show` names it, keyboot/<namespace>/<name>/<16 hex digits>, of this name";
        let Some(text) = self.text(NAME, ALLOWED)? else { return Ok(None) };
        let id: OwnerId = self.parsed(NAME, text, ALLOWED)?;
        if id.cluster() == cluster {
            Ok(Some(id))
        } else {
            Err(self.fault(NAME, "is of another name", ALLOWED))
        }
    }
}
