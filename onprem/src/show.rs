//! `keyboot-onprem show`: what is public of the clusters and chains that a declaration names, as a table or as JSON.
//!
//! All of it comes from signed documents, checked with the server's own record key, and from what is told of keys
//! without reading them.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table};
use jiff::Timestamp;
use key_material::ethereum::{EthereumAddress, NodeId, enode};
use key_material::libp2p::PeerId;
use key_material::{Curve, P2pPublicKey};
use provisioning::chain::RoleKey;
use provisioning::names::{ClusterName, NodeIndex, ParameterName, Purpose};
use provisioning::ports::{Publisher as _, RecordSigner as _};
use provisioning::record::NodeRecord;
use provisioning::roster::RosterIndex;
use provisioning::signed::{DocumentError, PinnedKeys};
use provisioning::{ProvisionError, ports::PortError};
use serde_json::{Value, json};
use vault::Session;

use crate::audit::Audit;
use crate::chain::guidance::deployment_setting;
use crate::chain::store::{ChainStore as _, Found, KeyId};
use crate::chain::{Role, VaultChainStore};
use crate::cluster::Site;
use crate::config::Config;
use crate::declaration::{ChainDeclaration, ClusterDeclaration, Declaration};
use crate::error::OnpremError;
use crate::provision::leave;
use crate::terminal;

/// The port in an enode URL: of the execution client's P2P network.
const ENODE_PORT: u16 = 30_303;

/// What `show` is called with.
#[derive(Args, Debug)]
pub struct Options {
    /// The declaration, a TOML file
    declaration: PathBuf,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Shows. It writes nothing.
///
/// # Errors
///
/// [`OnpremError`].
pub async fn run(options: &Options, config: &Config) -> Result<ExitCode, OnpremError> {
    let declaration = Declaration::read(&options.declaration)?;
    let audit = Audit::silent();
    let place = config.vault.place();
    let session = Session::open(&config.vault).await?;
    let site = Site { session: &session, place: &place, audit: &audit, owner: &declaration.owner };
    let view = Box::pin(View::read(&site, &declaration, Timestamp::now())).await;
    leave(session, config).await;
    let view = view?;
    terminal::show(&if options.json { format!("{:#}", view.to_json()) } else { view.to_text() });
    Ok(ExitCode::SUCCESS)
}

/// What is public of what a declaration names.
#[derive(Clone, Debug)]
pub struct View {
    /// The key that signs documents: what readers pin.
    pub signer: String,
    /// Its public half: SPKI in base64.
    pub signer_public_key: String,
    clusters: Vec<ClusterView>,
    chains: Vec<ChainView>,
}

#[derive(Clone, Debug)]
struct ClusterView {
    name: ClusterName,
    owner: String,
    roster: Option<RosterIndex>,
    nodes: Vec<NodeView>,
}

/// A node: its record, or that there is none yet.
#[derive(Clone, Debug)]
struct NodeView {
    index: NodeIndex,
    record: Option<NodeRecord>,
    arns: Vec<(&'static str, String)>,
    ethereum: Option<EthereumNode>,
}

/// What an Ethereum network calls a node.
#[derive(Clone, Debug)]
struct EthereumNode {
    node_id: String,
    peer_id: String,
    enode: Option<String>,
    multiaddr: Option<String>,
}

#[derive(Clone, Debug)]
struct ChainView {
    declared: ChainDeclaration,
    owner: String,
    roles: Vec<RoleView>,
    nodes: ClusterView,
}

#[derive(Clone, Debug)]
struct RoleView {
    role: Role,
    current: Option<KeyView>,
    pending: Option<KeyView>,
    leaving: Vec<(u32, String, Option<Timestamp>)>,
}

#[derive(Clone, Debug)]
struct KeyView {
    number: u32,
    address: String,
    fingerprint: Option<String>,
    arn: String,
}

impl View {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// [`OnpremError`]; a document that does not check out is one.
    pub async fn read(
        site: &Site<'_>,
        declaration: &Declaration,
        now: Timestamp,
    ) -> Result<Self, OnpremError> {
        let world = site.world(None);
        let spki = world.verifying_key().await.map_err(of_port)?;
        let keys = PinnedKeys::default()
            .pin(world.signer(), &spki)
            .map_err(|error| OnpremError::CannotLook(format!("{}: {error}", world.signer())))?;
        let reader = Reader { site, keys: &keys, now };
        let mut view = Self {
            signer: world.signer().to_owned(),
            signer_public_key: base64_of(&spki),
            clusters: Vec::new(),
            chains: Vec::new(),
        };
        for cluster in &declaration.clusters {
            view.clusters.push(Box::pin(reader.cluster(cluster, None)).await?);
        }
        for chain in &declaration.chains {
            view.chains.push(Box::pin(reader.chain(chain)).await?);
        }
        Ok(view)
    }

    /// For programs.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "chains": self.chains.iter().map(ChainView::to_json).collect::<Vec<_>>(),
            "clusters": self.clusters.iter().map(ClusterView::to_json).collect::<Vec<_>>(),
            "schema": 1,
            "signer": {"publicKey": self.signer_public_key, "signer": self.signer},
        })
    }

    /// For people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text =
            format!("documents are signed by {}\n  public key {}\n", self.signer, self.signer_public_key);
        for cluster in &self.clusters {
            let _ = writeln!(text, "\n{}", cluster.to_text());
        }
        for chain in &self.chains {
            let _ = writeln!(text, "\n{}", chain.to_text());
        }
        text
    }
}

struct Reader<'a> {
    site: &'a Site<'a>,
    keys: &'a PinnedKeys,
    now: Timestamp,
}

impl Reader<'_> {
    async fn cluster(
        &self,
        declared: &ClusterDeclaration,
        p2p_port: Option<u16>,
    ) -> Result<ClusterView, OnpremError> {
        let (name, world) = (&declared.name, self.site.world(None));
        let roster = name.roster_index_parameter();
        let index = self.document(&roster).await?;
        let index = index.map(|text| RosterIndex::verify(&text, self.keys, name));
        let index = index.transpose().map_err(|error| refused(&roster, &error))?;
        let mut nodes = Vec::new();
        for &node in &declared.nodes {
            let parameter = name.record_parameter(node);
            let record = self.document(&parameter).await?;
            let record = record.map(|text| NodeRecord::verify(&text, self.keys, name, node, 0));
            let record = record.transpose().map_err(|error| refused(&parameter, &error))?;
            let record = record.map(|record| record.at(self.now));
            let secret =
                |purpose: &Purpose| self.site.place.secret_arn(name.secret_name(node, purpose).as_str());
            let mut arns = vec![
                ("record", world.document_arn(&parameter)),
                ("environment", world.document_arn(&name.environment_parameter(node))),
                ("p2pKey", secret(&Purpose::P2pKey)),
            ];
            if declared.share_password {
                arns.push(("sharePassword", secret(&Purpose::SharePassword)));
            }
            if declared.management_key {
                arns.push(("managementKey", secret(&Purpose::ManagementKey)));
            }
            let key = record.as_ref().map(|record| &record.public_key);
            let ethereum = key.and_then(|key| EthereumNode::of(key, declared, node, p2p_port));
            nodes.push(NodeView { index: node, record, arns, ethereum });
        }
        let owner = self.site.owner_of(name)?.id.to_string();
        Ok(ClusterView { name: name.clone(), owner, roster: index, nodes })
    }

    async fn chain(&self, declared: &ChainDeclaration) -> Result<ChainView, OnpremError> {
        let store = VaultChainStore::new(self.site.session, self.site.place, &declared.name, self.site.audit);
        let found = store.find().await?;
        let roles = Role::ALL.into_iter().filter_map(|role| RoleView::of(role, &found, &store));
        Ok(ChainView {
            declared: declared.clone(),
            owner: self.site.owner_of(&declared.name)?.id.to_string(),
            roles: roles.collect(),
            nodes: self.cluster(&declared.to_cluster(), Some(declared.p2p_port)).await?,
        })
    }

    async fn document(&self, name: &ParameterName) -> Result<Option<String>, OnpremError> {
        let world = self.site.world(None);
        let texts = world.read_documents(std::slice::from_ref(name)).await.map_err(of_port)?;
        Ok(texts.into_iter().flatten().next())
    }
}

fn of_port(error: PortError) -> OnpremError {
    ProvisionError::from(error).into()
}

fn refused(name: &ParameterName, error: &DocumentError) -> OnpremError {
    ProvisionError::Document { subject: name.to_string(), error: error.clone() }.into()
}

impl RoleView {
    /// What the document says of a role; none where it never had a key.
    fn of(role: Role, found: &Found, store: &VaultChainStore<'_>) -> Option<Self> {
        let keys = found.document.as_ref()?.roles.get(&role.as_segment())?;
        let view = |key: &RoleKey| {
            let id = KeyId { role, number: key.number };
            let public = found.key(id).and_then(|found| P2pPublicKey::from_spki_base64(&found.public).ok());
            KeyView {
                number: key.number,
                address: key.address.to_string(),
                fingerprint: public.map(|public| public.fingerprint().to_string()),
                arn: store.key_arn(id),
            }
        };
        Some(Self {
            role,
            current: keys.current.as_ref().map(view),
            pending: keys.pending.as_ref().map(view),
            leaving: keys
                .leaving
                .iter()
                .map(|key| (key.number, key.address.to_string(), key.until))
                .collect(),
        })
    }

    fn to_json(&self) -> Value {
        let leaving = self.leaving.iter().map(|(number, address, until)| {
            json!({"address": address, "number": number, "until": until.map(|until| until.to_string())})
        });
        json!({
            "current": self.current.as_ref().map(KeyView::to_json),
            "leaving": leaving.collect::<Vec<_>>(),
            "pending": self.pending.as_ref().map(KeyView::to_json),
            "role": self.role,
            "setting": deployment_setting(self.role),
        })
    }
}

impl KeyView {
    fn to_json(&self) -> Value {
        json!({
            "address": self.address,
            "fingerprint": self.fingerprint,
            "number": self.number,
            "secretArn": self.arn,
        })
    }
}

impl EthereumNode {
    /// None where the key is on another curve.
    fn of(
        key: &P2pPublicKey,
        declared: &ClusterDeclaration,
        node: NodeIndex,
        p2p_port: Option<u16>,
    ) -> Option<Self> {
        if key.curve() != Curve::Secp256k1 {
            return None;
        }
        let peer_id = PeerId::of(key).ok()?.to_string();
        let host = declared.node_domain.as_ref().map(|domain| format!("node-{node}.{domain}"));
        let multiaddr = host.as_ref().zip(p2p_port);
        Some(Self {
            node_id: NodeId::of(key).ok()?.to_string(),
            multiaddr: multiaddr.map(|(host, port)| format!("/dns4/{host}/tcp/{port}/p2p/{peer_id}")),
            enode: host.and_then(|host| enode(key, &host, ENODE_PORT).ok()),
            peer_id,
        })
    }
}

impl NodeView {
    fn to_json(&self) -> Value {
        let record = self.record.as_ref().map(|record| {
            json!({
                "apiKeys": record.api_keys,
                "curve": record.curve.name(),
                "fingerprint": record.fingerprint.to_string(),
                "managementKeys": record.management_keys,
                "pending": record.pending,
                "publicKey": record.public_key.to_spki_base64(),
                "serial": record.serial,
                "version": record.version,
                "versionId": record.version_id,
            })
        });
        let ethereum = self.ethereum.as_ref().map(|node| {
            json!({
                "address": self.record.as_ref().and_then(|record| EthereumAddress::of(&record.public_key).ok())
                    .map(|address| address.to_string()),
                "enode": node.enode,
                "multiaddr": node.multiaddr,
                "nodeId": node.node_id,
                "peerId": node.peer_id,
            })
        });
        let arns: serde_json::Map<String, Value> =
            self.arns.iter().map(|(name, arn)| ((*name).to_owned(), arn.clone().into())).collect();
        json!({"arns": arns, "ethereum": ethereum, "index": self.index, "record": record})
    }
}

impl ClusterView {
    fn to_json(&self) -> Value {
        let roster = self.roster.as_ref().map(|index| {
            json!({
                "generation": index.generation,
                "nodeCount": index.node_count,
                "owner": index.owner,
                "serial": index.serial,
                "sha256": index.sha256,
            })
        });
        json!({
            "cluster": self.name,
            "nodes": self.nodes.iter().map(NodeView::to_json).collect::<Vec<_>>(),
            "owner": self.owner,
            "roster": roster,
        })
    }

    fn to_text(&self) -> String {
        let mut text = format!("cluster {}, owner {}\n", self.name, self.owner);
        match &self.roster {
            Some(index) => {
                let (serial, count, digest) = (index.serial, index.node_count, &index.sha256);
                let _ = writeln!(text, "roster: serial {serial}, {count} nodes, digest {digest}");
                if index.owner != self.owner {
                    let _ = writeln!(text, "it belongs to {}", index.owner);
                }
            }
            None => text.push_str("roster: none, it was not provisioned\n"),
        }
        let _ = writeln!(text, "{}", self.table());
        text
    }

    fn table(&self) -> Table {
        let mut table = table(["node", "what", "value"]);
        for node in &self.nodes {
            let mut row = |what: &str, value: String| {
                table.add_row([node.index.to_string(), what.to_owned(), value]);
            };
            let Some(record) = &node.record else {
                row("record", "none yet".into());
                continue;
            };
            row("fingerprint", format!("{} (number {})", record.fingerprint, record.version));
            if let Some(pending) = &record.pending {
                row("pending", format!("{} (counts from {})", pending.fingerprint, pending.counts_from));
            }
            row("public key", record.public_key.to_spki_base64());
            if let Some(ethereum) = &node.ethereum {
                row("peer id", ethereum.peer_id.clone());
                if let Some(multiaddr) = &ethereum.multiaddr {
                    row("multiaddr", multiaddr.clone());
                }
                if let Some(enode) = &ethereum.enode {
                    row("enode", enode.clone());
                }
            }
            for (application, keys) in &record.api_keys {
                for key in keys {
                    row(&format!("API key {application}, SHA-256"), key.hash.to_string());
                }
            }
            for key in &record.management_keys {
                row("management key, SHA-256", key.hash.to_string());
            }
        }
        table
    }
}

impl ChainView {
    fn to_json(&self) -> Value {
        json!({
            "chain": self.declared.name,
            "chainId": self.declared.chain_id,
            "l1ChainId": self.declared.l1_chain_id,
            "nodes": self.nodes.to_json(),
            "owner": self.owner,
            "roles": self.roles.iter().map(RoleView::to_json).collect::<Vec<_>>(),
        })
    }

    fn to_text(&self) -> String {
        let ChainDeclaration { name, chain_id, l1_chain_id, .. } = &self.declared;
        let mut text = format!("chain {name}, id {chain_id} on {l1_chain_id}, owner {}\n", self.owner);
        let mut keys = table(["role", "number", "address", "it", "where a deployment names it"]);
        for role in &self.roles {
            let mut row = |number: u32, address: &str, it: String| {
                let setting = deployment_setting(role.role).to_owned();
                keys.add_row([role.role.to_string(), number.to_string(), address.to_owned(), it, setting]);
            };
            if let Some(key) = &role.current {
                row(key.number, &key.address, "counts".into());
            }
            if let Some(key) = &role.pending {
                row(key.number, &key.address, "is prepared".into());
            }
            for (number, address, until) in &role.leaving {
                let it =
                    until.map_or_else(|| "is kept".into(), |until| format!("can be restored until {until}"));
                row(*number, address, it);
            }
        }
        if self.roles.is_empty() {
            text.push_str("roles: none, it was not provisioned\n");
        } else {
            let _ = writeln!(text, "{keys}");
        }
        if !self.nodes.nodes.is_empty() {
            text.push_str(&self.nodes.to_text());
        }
        text
    }
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header);
    table
}

fn base64_of(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
