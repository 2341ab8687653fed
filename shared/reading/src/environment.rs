//! The environment of a node, as the node reads it.
//!
//! It is not signed: what it says is where to look. What is found there has to fit the node's record,
//! which is.

use provisioning::names::{ClusterName, NodeIndex};
use provisioning::signed::DocumentError;
use serde::Deserialize;

/// Where a node finds what is its own.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeEnvironment {
    /// The cluster.
    pub cluster: ClusterName,
    /// The node's index.
    pub index: NodeIndex,
    /// The node's DNS name; none where the cluster has no domain.
    #[serde(default)]
    pub node: Option<String>,
    /// The ARN of the secret that holds the P2P key.
    pub p2p_key_arn: String,
    /// The records of nodes made elsewhere.
    #[serde(default)]
    pub peer_record_arns: Vec<String>,
    /// The ARN of the parameter that holds the node's record.
    pub record_arn: String,
    /// The ARN of the secret that holds the share-encryption password, where there is one.
    #[serde(default)]
    pub share_secret_arn: Option<String>,
    /// Where peers come from: always `roster`.
    peers: String,
    schema: u32,
}

impl NodeEnvironment {
    /// Reads the environment of node `index` of `cluster`.
    ///
    /// # Errors
    ///
    /// [`DocumentError`]: it is of another form, or of another node.
    pub fn read(text: &str, cluster: &ClusterName, index: NodeIndex) -> Result<Self, DocumentError> {
        let environment: Self =
            serde_json::from_str(text).map_err(|error| DocumentError::Malformed(error.to_string()))?;
        if environment.schema != 1 || environment.peers != "roster" {
            return Err(DocumentError::Inconsistent("its schema is not 1"));
        }
        if environment.cluster != *cluster || environment.index != index {
            return Err(DocumentError::Foreign {
                found: format!("node {} of {}", environment.index, environment.cluster),
                expected: format!("node {index} of {cluster}"),
            });
        }
        Ok(environment)
    }

    /// The DNS name of another node of the cluster: `node-<index>` in the same domain.
    #[must_use]
    pub fn name_of(&self, other: NodeIndex) -> Option<String> {
        let (_, domain) = self.node.as_deref()?.split_once('.')?;
        Some(format!("node-{other}.{domain}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = concat!(
        r#"{"cluster":"keyboot/tsm","index":1,"node":"node-1.nodes.internal","p2pKeyArn":"arn:p","#,
        r#""peers":"roster","recordArn":"arn:r","schema":1}"#
    );

    fn read(text: &str) -> Result<NodeEnvironment, DocumentError> {
        NodeEnvironment::read(text, &"keyboot/tsm".parse().unwrap(), "1".parse().unwrap())
    }

    #[test]
    fn what_node_keys_writes_is_read_and_names_follow_from_it() {
        let environment = read(TEXT).unwrap();
        assert_eq!(environment.p2p_key_arn, "arn:p");
        assert_eq!(environment.share_secret_arn, None);
        assert_eq!(environment.name_of("2".parse().unwrap()).unwrap(), "node-2.nodes.internal");
        let without = read(&TEXT.replace(r#""node":"node-1.nodes.internal","#, "")).unwrap();
        assert_eq!(without.name_of("2".parse().unwrap()), None);
    }

    #[test]
    fn that_of_another_node_or_form_is_refused() {
        for (from, to) in [
            ("\"index\":1", "\"index\":0"),
            ("keyboot/tsm", "keyboot/other"),
            ("\"schema\":1", "\"schema\":2"),
        ] {
            assert!(read(&TEXT.replace(from, to)).is_err(), "{to}");
        }
        assert!(matches!(read("{}"), Err(DocumentError::Malformed(_))));
        assert!(matches!(read(&TEXT.replace('{', "{\"more\":1,")), Err(DocumentError::Malformed(_))));
    }
}
