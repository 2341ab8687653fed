//! The signed documents: whether they are believed, and whether they fit each other.

use std::cmp::Ordering;

use jiff::Timestamp;
use provisioning::names::ClusterName;
use provisioning::record::NodeRecord;
use provisioning::roster::RosterEntry;
use reading::{ClusterView, ReadError, Roster};

use super::{Check, Finding, Row};

/// What part of a name tells that it is of a roster.
const ROSTER: &str = "/roster/";

pub(super) fn rows(view: &ClusterView, now: Timestamp) -> Vec<Row> {
    let name_of = |index| view.cluster.record_parameter(index);
    let believed = view.records.iter().map(|(index, record)| {
        let serial = record.serial;
        let why =
            format!("signed by a key pinned for its node, serial {serial}, and no higher one was seen here");
        Finding::ok(why).row(Check::Record, &name_of(*index))
    });
    let refused = view
        .refused
        .iter()
        .map(|refusal| Finding::of(&refusal.error).row(Check::Record, &name_of(refusal.index)));
    let entries = view.roster.iter().flat_map(|roster| &roster.entries).filter_map(|entry| {
        let record = view.record_at(entry.index, now)?;
        Some(compare(entry, &record).row(Check::RosterEntry, &name_of(entry.index)))
    });
    std::iter::once(roster(view)).chain(believed).chain(refused).chain(entries).collect()
}

/// The rows of a cluster of which a document that all else depends on could not be read.
pub(super) fn unread(cluster: &ClusterName, error: &ReadError) -> Vec<Row> {
    let (ReadError::Denied { name, .. }
    | ReadError::NotFound { name, .. }
    | ReadError::Unavailable { name, .. }
    | ReadError::Refused { name, .. }
    | ReadError::Document { name, .. }
    | ReadError::Mismatch { name, .. }) = error
    else {
        return vec![Finding::of(error).row(Check::Roster, cluster)];
    };
    let check = if name.contains(ROSTER) { Check::Roster } else { Check::Record };
    let rest = Finding::unknown(
        "which secrets there have to be stands in documents that could not be read; where it is the roster, \
         list the `nodes` in the configuration to check their records and secrets without it",
    );
    vec![Finding::of(error).row(check, name), rest.row(Check::SecretPresent, cluster)]
}

fn roster(view: &ClusterView) -> Row {
    let finding = match &view.roster {
        Some(Roster { index, .. }) => Finding::ok(format!(
            "signed by a pinned key, serial {}, no higher one was seen here, and its digest, recomputed, is \
             that of its pages, which list {} node(s)",
            index.serial, index.node_count
        )),
        None => Finding::unknown(
            "it is not read where the configuration lists `nodes`, so owner, key and schedules of the \
             secrets are compared with nothing",
        ),
    };
    finding.row(Check::Roster, &view.cluster.roster_index_parameter())
}

fn compare(entry: &RosterEntry, record: &NodeRecord) -> Finding {
    let (listed, own) = (entry.version, record.version);
    match listed.cmp(&own) {
        Ordering::Greater => Finding::fault(format!(
            "the roster lists P2P key number {listed} and the record number {own}: the record is older, so \
             somebody has put back what was published before"
        )),
        Ordering::Less => Finding::ok(format!(
            "the roster lists P2P key number {listed} and the record number {own}: it was rotated since"
        )),
        Ordering::Equal if entry.fingerprint == record.fingerprint => {
            Finding::ok(format!("roster and record tell of the same P2P key, number {own}"))
        }
        Ordering::Equal => Finding::fault(format!(
            "the roster lists {} as P2P key number {own}, and the record {}",
            entry.fingerprint, record.fingerprint
        )),
    }
}
