//! The vendor's `config.toml`, under the names that it has since v73.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::num::NonZeroU16;

use jiff::Timestamp;
use provisioning::names::{Application, NodeIndex};
use provisioning::record::NodeRecord;
use reading::ClusterView;
use serde::Serialize;

use super::layout::{self, Address, Driver, Layout, Lifetime, Permission, Sections};
use super::{Accepted, CURVES, PRIVATE_KEY, PROGRAM, SHARE_PASSWORD, accepted_at, fault};
use crate::formats::{FormatError, refuse_other_curves};

/// What is in the file.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Config<'a> {
    player: Player,
    players: BTreeMap<NodeIndex, Peer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<Database>,
    #[serde(rename = "MPCDirectServer")]
    mpc_direct_server: DirectServer,
    #[serde(rename = "SDKServer")]
    sdk_server: SdkServer,
    #[serde(skip_serializing_if = "Option::is_none")]
    management_server: Option<ManagementServer>,
    authentication: Authentication<'a>,
    /// The peers that are not in it, and why: told at the top.
    #[serde(skip)]
    left_out: Vec<(NodeIndex, String)>,
    #[serde(flatten, skip_serializing_if = "Sections::is_empty")]
    sections: &'a Sections,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Player {
    index: NodeIndex,
    private_key: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Peer {
    address: Address,
    public_key: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Database {
    driver_name: Driver,
    data_source_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryptor_master_password: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_open_conns: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_idle_conns: Option<u32>,
}

/// Port 0 is none, with the vendor.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DirectServer {
    port: u16,
    #[serde(rename = "WSPort", skip_serializing_if = "Option::is_none")]
    ws_port: Option<NonZeroU16>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SdkServer {
    port: NonZeroU16,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ManagementServer {
    port: NonZeroU16,
    metrics: Metrics,
    #[serde(rename = "APIKeys", skip_serializing_if = "Vec::is_empty")]
    api_keys: Vec<ManagementKey>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metrics {
    prometheus: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ManagementKey {
    #[serde(rename = "APIKey")]
    api_key: String,
    permissions: Vec<Permission>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Authentication<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    token_lifetime: Option<&'a Lifetime>,
    #[serde(rename = "APIKeys", skip_serializing_if = "Vec::is_empty")]
    api_keys: Vec<ApplicationKey>,
}

#[derive(Serialize)]
struct ApplicationKey {
    #[serde(rename = "ApplicationID")]
    application_id: Application,
    #[serde(rename = "APIKey")]
    api_key: String,
}

impl<'a> Config<'a> {
    pub(super) fn new(
        view: &ClusterView,
        index: NodeIndex,
        now: Timestamp,
        layout: &'a Layout,
    ) -> Result<Self, FormatError> {
        let own = view.record_at(index, now);
        let own = own.ok_or_else(|| fault(format!("there is no record of node {index} in this view")))?;
        refuse_other_curves(PROGRAM, index, own.curve, &CURVES)?;
        let peers = view.records.iter().filter(|(peer, _)| **peer != index);
        // One that this program cannot reach or know keeps nobody from the others.
        let mut left_out: Vec<(NodeIndex, String)> = view
            .refused
            .iter()
            .map(|refusal| (refusal.index, "its record is not believed".to_owned()))
            .collect();
        let mut players = BTreeMap::new();
        for (peer, record) in peers {
            match Peer::new(view, *peer, &record.clone().at(now), layout) {
                Ok(player) => {
                    players.insert(*peer, player);
                }
                Err(error) => left_out.push((*peer, error.fault)),
            }
        }
        if players.is_empty() {
            let why: Vec<_> = left_out.iter().map(|(peer, why)| format!("node {peer}: {why}")).collect();
            return Err(fault(format!(
                "it is alone: a TSM has two nodes at least, and there is no peer ({})",
                why.join("; ")
            )));
        }
        let Accepted { applications, management } = accepted_at(&own, now);
        let database = layout.database.as_ref();
        Ok(Self {
            player: Player { index, private_key: reference(PRIVATE_KEY) },
            players,
            left_out,
            database: database.map(|database| Database::new(database, own.share_version_id.is_some())),
            mpc_direct_server: DirectServer::new(layout),
            sdk_server: SdkServer { port: layout.sdk_port },
            management_server: layout.management_port.map(|port| ManagementServer {
                port,
                metrics: Metrics { prometheus: layout.prometheus },
                api_keys: management_keys(management, &layout.management_permissions),
            }),
            authentication: Authentication {
                token_lifetime: layout.token_lifetime.as_ref(),
                api_keys: applications.into_iter().flat_map(application_keys).collect(),
            },
            sections: &layout.sections,
        })
    }

    pub(super) fn to_text(&self, view: &ClusterView, index: NodeIndex) -> Result<String, FormatError> {
        let mut text = format!(
            "# Written by keyboot-node for node {index} of {}; it is written anew when the cluster changes.\n\
             # There is no secret in here: references name the environment variables that hold them.\n",
            view.cluster
        );
        for (peer, why) in &self.left_out {
            // Writing to a string does not fail.
            let _ = writeln!(text, "# Node {peer} is left out: {why}.");
        }
        text.push('\n');
        text.push_str(&toml::to_string(self).map_err(|error| fault(error.to_string()))?);
        Ok(text)
    }
}

impl Peer {
    fn new(
        view: &ClusterView,
        index: NodeIndex,
        record: &NodeRecord,
        layout: &Layout,
    ) -> Result<Self, FormatError> {
        refuse_other_curves(PROGRAM, index, record.curve, &CURVES)?;
        let named = || {
            let name = view.environment.as_ref()?.name_of(index)?;
            Address::new(layout.scheme, &name, layout.mpc_port)
        };
        let address = layout.addresses.get(&index).cloned().or_else(named).ok_or_else(|| {
            fault(format!(
                "node {index} has no address: set the NodeDomain of the cluster to a domain, or give its \
                 address in tsm.addresses"
            ))
        })?;
        Ok(Self { address, public_key: record.public_key.to_spki_base64() })
    }
}

impl Database {
    fn new(database: &layout::Database, has_password: bool) -> Self {
        Self {
            driver_name: database.driver,
            data_source_name: reference(database.data_source_variable.as_str()),
            encryptor_master_password: has_password.then(|| reference(SHARE_PASSWORD)),
            max_open_conns: database.max_open_conns,
            max_idle_conns: database.max_idle_conns,
        }
    }
}

impl DirectServer {
    fn new(layout: &Layout) -> Self {
        if layout.scheme.is_web_socket() {
            Self { port: 0, ws_port: Some(layout.mpc_port) }
        } else {
            Self { port: layout.mpc_port.get(), ws_port: None }
        }
    }
}

fn management_keys(hashes: BTreeSet<String>, permissions: &[Permission]) -> Vec<ManagementKey> {
    let keys = hashes.into_iter().map(|api_key| ManagementKey { api_key, permissions: permissions.to_vec() });
    keys.collect()
}

fn application_keys((application, hashes): (Application, BTreeSet<String>)) -> Vec<ApplicationKey> {
    let keys =
        hashes.into_iter().map(|api_key| ApplicationKey { application_id: application.clone(), api_key });
    keys.collect()
}

/// What the vendor's reader replaces by the value of an environment variable.
fn reference(variable: &str) -> String {
    format!("{{{{ env `{variable}` }}}}")
}
