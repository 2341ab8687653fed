//! Which paths the things of clusters and chains have, with `+` for what is counted. No I/O.

use super::subjects::{Chain, Cluster, Subjects};

/// Paths below an engine.
pub(super) struct Paths {
    /// Public documents.
    pub(super) documents: Vec<String>,
    /// Folders with secrets.
    pub(super) listings: Vec<String>,
}

/// The secrets of all of them, as their makers reach them: a path for each kind, declared or not. Whether one is
/// there is asked of every kind, and one that is not declared any more has to be let go of.
pub(super) fn secrets(subjects: &Subjects) -> Vec<String> {
    let of_clusters = subjects.clusters().iter().flat_map(|cluster| {
        ["p2p-key", "share-encryption-password", "management-key", "api-key/+"]
            .map(|purpose| format!("{}/node/+/{purpose}", cluster.name))
    });
    let of_chains = subjects.chains().iter().map(|Chain { name, .. }| format!("{name}/role/+/+"));
    of_clusters.chain(of_chains).collect()
}

/// The documents of all of them, and the folders that are looked through.
pub(super) fn of(subjects: &Subjects) -> Paths {
    let mut documents = Vec::new();
    let mut listings = Vec::new();
    for cluster in subjects.clusters() {
        let name = &cluster.name;
        documents.extend(read_by_everybody(cluster));
        documents.extend(
            ["node/+/env", "node/+/lease", "intent/+", "adoption/+", "operation"]
                .map(|path| format!("{name}/{path}")),
        );
        listings.extend(["node", "node/+", "node/+/api-key"].map(|path| format!("{name}/{path}")));
    }
    for Chain { name, .. } in subjects.chains() {
        documents.push(format!("{name}/chain"));
        listings.extend(["role", "role/+"].map(|path| format!("{name}/{path}")));
    }
    Paths { documents, listings }
}

/// What every node of a cluster reads.
pub(super) fn read_by_everybody(Cluster { name, .. }: &Cluster) -> Vec<String> {
    ["node/+/record", "roster/index", "roster/+/page/+"].map(|path| format!("{name}/{path}")).into()
}
