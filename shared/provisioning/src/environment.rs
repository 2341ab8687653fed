//! The environment of a node: where the node finds what is its own.
//!
//! Names and ARNs only, never a secret, and unsigned: a node trusts the record, which carries its
//! proof; whoever changed an ARN here would send the node to a secret it cannot read, or to one
//! whose private half does not fit its record. No I/O here.

use serde::Serialize;

use crate::names::{ClusterName, NodeIndex};

/// The schema number of the environment.
const SCHEMA: u32 = 1;

/// Where one node finds what is its own.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeEnvironment<'a> {
    /// The cluster.
    pub(crate) cluster: &'a ClusterName,
    /// The node's index.
    pub(crate) index: NodeIndex,
    /// The node's DNS name; absent without a domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) node: Option<String>,
    /// The ARN of the secret that holds the P2P key.
    pub(crate) p2p_key_arn: &'a str,
    /// The records of nodes made elsewhere.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub(crate) peer_record_arns: &'a [String],
    /// The ARN of the parameter that holds the node's record.
    pub(crate) record_arn: String,
    /// The ARN of the secret that holds the share-encryption password, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) share_secret_arn: Option<&'a str>,
}

impl NodeEnvironment<'_> {
    /// The text that is stored, in canonical form.
    ///
    /// # Errors
    ///
    /// When the JSON writer refuses, which it does for no value of this type.
    pub(crate) fn to_text(&self) -> Result<String, serde_json::Error> {
        #[derive(Serialize)]
        struct Stored<'a> {
            #[serde(flatten)]
            environment: &'a NodeEnvironment<'a>,
            /// Peers come from the roster and its records.
            peers: &'static str,
            schema: u32,
        }
        serde_jcs::to_string(&Stored { environment: self, peers: "roster", schema: SCHEMA })
    }
}
