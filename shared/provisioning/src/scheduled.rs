//! What a schedule asks for: to rotate secrets whose store does not rotate them itself, and to end the
//! overlap of keys that were replaced.
//!
//! An event of a schedule is a text that anyone with the right to invoke the function can write, so it
//! decides nothing: whether there is something to rotate, and how, is told by the signed documents of the
//! cluster that it names. What it asks for may come twice, late, or again after a death.
//!
//! - `{"Rotate":"<what>","Cluster":"<namespace>/<cluster>","Node":"<index>","At":"<time>"}`, of which `<what>`
//!   is `api-keys` (each API key of the node, and its management key), `api-key/<application>`,
//!   `management-key` or `p2p-key`. The same time is the same rotation.
//! - `{"Retire":"<namespace>/<cluster>"}`

use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use crate::authority::PinnedStacks;
use crate::error::ProvisionError;
use crate::names::{ClusterName, NodeIndex, Purpose, Slot};
use crate::observing::{pin, read_one, read_pages};
use crate::ownership::scheduled_version_token;
use crate::parallel::both;
use crate::planning::incomplete;
use crate::ports::World;
use crate::publishing::refused;
use crate::record::NodeRecord;
use crate::roster::RosterIndex;
use crate::rotating::{Progress, Rotation};
use crate::signed::PinnedKeys;
use crate::store::Store;

/// What a schedule asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Scheduled {
    /// To rotate secrets of a node.
    Rotate {
        /// Which.
        what: What,
        /// Its cluster.
        cluster: ClusterName,
        /// The node.
        index: NodeIndex,
        /// For when it was scheduled: this alone tells one rotation from the next.
        at: Timestamp,
    },
    /// To have what was replaced accepted no more, where its time is over.
    Retire {
        /// The cluster.
        cluster: ClusterName,
    },
}

/// Which secrets of a node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum What {
    /// Each API key, and the management key.
    ApiKeys,
    /// The one for this purpose.
    One(Purpose),
}

/// An event is nothing that a schedule asks for. It never holds what the event says.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduledFault {
    /// It asks for nothing that is known.
    #[error(
        "the event is none: it must be a JSON object with Step (of Secrets Manager), or with Rotate or Retire \
         (of a schedule)"
    )]
    Unknown,
    /// A field is not there, or not what it must be.
    #[error("{name} is missing or wrong: it must be {allowed}")]
    Field {
        /// Its name.
        name: &'static str,
        /// What would be right.
        allowed: &'static str,
    },
}

impl Scheduled {
    /// Reads an event that may be anything.
    ///
    /// # Errors
    ///
    /// A [`ScheduledFault`] that names the first field that is wrong.
    pub fn parse(event: &Value) -> Result<Self, ScheduledFault> {
        const CLUSTER: &str = "<namespace>/<cluster>";
        let Value::Object(fields) = event else { return Err(ScheduledFault::Unknown) };
        match (fields.contains_key("Rotate"), fields.contains_key("Retire")) {
            (true, false) => Ok(Self::Rotate {
                what: field(fields, "Rotate", "api-keys, api-key/<application>, management-key or p2p-key")?,
                cluster: field(fields, "Cluster", CLUSTER)?,
                index: field(fields, "Node", "a node's index, as text")?,
                at: field(fields, "At", "a time as in 2026-01-02T03:04:05Z")?,
            }),
            (false, true) => Ok(Self::Retire { cluster: field(fields, "Retire", CLUSTER)? }),
            _ => Err(ScheduledFault::Unknown),
        }
    }
}

impl FromStr for What {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "api-keys" => Ok(Self::ApiKeys),
            text => match text.parse().map_err(drop)? {
                Purpose::SharePassword => Err(()),
                purpose => Ok(Self::One(purpose)),
            },
        }
    }
}

fn field<T: FromStr>(
    fields: &Map<String, Value>,
    name: &'static str,
    allowed: &'static str,
) -> Result<T, ScheduledFault> {
    let text = fields.get(name).and_then(Value::as_str);
    text.and_then(|text| text.parse().ok()).ok_or(ScheduledFault::Field { name, allowed })
}

/// Does what a schedule asks for, and gives what was done, a sentence each. One secret that cannot be
/// rotated keeps no other one from it.
///
/// # Errors
///
/// [`ProvisionError`], the first one where there are more; all of it may be asked for again.
pub async fn carry_out(
    world: &impl World,
    pinned: &PinnedStacks,
    scheduled: &Scheduled,
) -> Result<Vec<String>, ProvisionError> {
    match scheduled {
        Scheduled::Rotate { what, cluster, index, at } => {
            // What was rotated longer ago has been replaced since, and is not known any more.
            if at.duration_until(world.now()).abs() > FRESH {
                return Err(incomplete("At", "is not within a day of now: a rotation that old is over"));
            }
            let documents = Documents::read(world, cluster).await?;
            // Secrets Manager rotates itself what it keeps, and is refused below.
            let store = match documents.index.store {
                Store::Vault => Store::Vault,
                Store::SecretsManager | Store::ParameterStore => Store::ParameterStore,
            };
            let purposes = match what {
                What::One(purpose) => vec![purpose.clone()],
                What::ApiKeys => documents.purposes(world, cluster, *index).await?,
            };
            let (mut told, mut failed) = (Vec::new(), None);
            for purpose in purposes {
                let name = cluster.secret_name(*index, &purpose);
                let rotation = Rotation {
                    store,
                    cluster: cluster.clone(),
                    token: scheduled_version_token(&name, *at),
                    slot: Slot { index: *index, purpose },
                    now: world.now(),
                };
                match rotate(world, pinned, &rotation).await {
                    Ok(()) => told.push(format!("{name} is rotated")),
                    Err(error) => failed = Some(worth_telling(failed, error)),
                }
            }
            failed.map_or(Ok(told), Err)
        }
        Scheduled::Retire { cluster } => retire(world, pinned, cluster).await,
    }
}

/// All steps of one rotation.
async fn rotate(
    world: &impl World,
    pinned: &PinnedStacks,
    rotation: &Rotation,
) -> Result<(), ProvisionError> {
    rotation.make(world, pinned).await?;
    rotation.publish(world, pinned).await?;
    match rotation.finish(world, pinned).await? {
        Progress::Finished => Ok(()),
        Progress::Ready | Progress::Nothing => {
            let name = rotation.cluster.secret_name(rotation.slot.index, &rotation.slot.purpose);
            Err(incomplete(name.as_str(), "lost the version that this rotation made: start another one"))
        }
    }
}

/// Looks through a cluster's records, and writes those of which something has to go.
async fn retire(
    world: &impl World,
    pinned: &PinnedStacks,
    cluster: &ClusterName,
) -> Result<Vec<String>, ProvisionError> {
    let documents = Documents::read(world, cluster).await?;
    let (_, entries) = read_pages(world, cluster, Some(&documents.index)).await?;
    let entries = entries.map_err(|error| refused(&cluster.roster_index_parameter(), error))?;
    let (mut told, mut failed) = (Vec::new(), None);
    for nodes in entries.chunks(NODES_A_READ) {
        let names: Vec<_> = nodes.iter().map(|node| cluster.record_parameter(node.index)).collect();
        let records = world.read_documents(&names).await?;
        for (node, text) in nodes.iter().zip(records) {
            let record = text
                .and_then(|text| NodeRecord::verify(&text, &documents.keys, cluster, node.index, 0).ok())
                .filter(|record| record.has_overdue(world.now()));
            if record.is_none() {
                continue;
            }
            let rotation = Rotation {
                store: documents.index.store,
                cluster: cluster.clone(),
                token: "retirement".to_owned(),
                slot: Slot { index: node.index, purpose: Purpose::P2pKey },
                now: world.now(),
            };
            match rotation.retire(world, pinned).await {
                Ok(()) => told.push(format!("node {} accepts replaced keys no more", node.index)),
                Err(error) => failed = Some(worth_telling(failed, error)),
            }
        }
    }
    failed.map_or(Ok(told), Err)
}

/// Of two failures the one that is got over by waiting, or else the first.
fn worth_telling(failed: Option<ProvisionError>, error: ProvisionError) -> ProvisionError {
    match failed {
        Some(failed) if !matches!(error, ProvisionError::Busy { .. }) => failed,
        _ => error,
    }
}

/// How far from now a rotation may have been scheduled for.
const FRESH: SignedDuration = SignedDuration::from_hours(25);

/// The most names that one read asks for (Systems Manager API Reference, `GetParameters`).
const NODES_A_READ: usize = 10;

/// What a cluster says of itself.
struct Documents {
    keys: PinnedKeys,
    index: RosterIndex,
}

impl Documents {
    async fn read(world: &impl World, cluster: &ClusterName) -> Result<Self, ProvisionError> {
        let name = cluster.roster_index_parameter();
        let asked = [name.clone()];
        let (spki, documents) = both(world.verifying_key(), world.read_documents(&asked)).await?;
        let keys = pin(world, &spki)?;
        let text = documents.into_iter().next().flatten();
        let text =
            text.ok_or_else(|| incomplete(name.as_str(), "is not there: no such cluster is in service"))?;
        let index = RosterIndex::verify(&text, &keys, cluster).map_err(|error| refused(&name, error))?;
        Ok(Self { keys, index })
    }

    /// What the API and management keys of a node are for, as its record tells.
    async fn purposes(
        &self,
        world: &impl World,
        cluster: &ClusterName,
        index: NodeIndex,
    ) -> Result<Vec<Purpose>, ProvisionError> {
        let name = cluster.record_parameter(index);
        let text = read_one(world, &name).await?;
        let text =
            text.ok_or_else(|| incomplete(name.as_str(), "is not there: no such node is in service"))?;
        let record = NodeRecord::verify(&text, &self.keys, cluster, index, 0);
        let record = record.map_err(|error| refused(&name, error))?;
        let mut purposes: Vec<_> = record.api_keys.into_keys().map(Purpose::ApiKey).collect();
        purposes.extend((!record.management_keys.is_empty()).then_some(Purpose::ManagementKey));
        Ok(purposes)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(event: &Value) -> Result<Scheduled, String> {
        Scheduled::parse(event).map_err(|fault| fault.to_string())
    }

    #[test]
    fn an_event_of_a_schedule_is_read() {
        let event = json!({"Rotate": "api-keys", "Cluster": "keyboot/tsm", "Node": "2", "At": "2026-01-02T03:04:05Z"});
        let Ok(Scheduled::Rotate { what, cluster, index, at }) = parse(&event) else { panic!("{event}") };
        assert_eq!((what, cluster.as_str(), index.get()), (What::ApiKeys, "keyboot/tsm", 2));
        assert_eq!(at.to_string(), "2026-01-02T03:04:05Z");
        for one in ["p2p-key", "management-key", "api-key/default"] {
            let mut event = event.clone();
            event["Rotate"] = one.into();
            let Ok(Scheduled::Rotate { what, .. }) = parse(&event) else { panic!("{event}") };
            assert_eq!(what, What::One(one.parse().unwrap()));
        }
        let event = json!({"Retire": "keyboot/prod/tsm"});
        assert_eq!(parse(&event), Ok(Scheduled::Retire { cluster: "keyboot/prod/tsm".parse().unwrap() }));
    }

    #[test]
    fn what_is_wrong_with_an_event_is_named_without_its_value() {
        let good = json!({"Rotate": "api-keys", "Cluster": "keyboot/tsm", "Node": "2", "At": "2026-01-02T03:04:05Z"});
        for (name, value) in [
            ("Rotate", json!("share-encryption-password")),
            ("Rotate", json!("canary")),
            ("Rotate", json!(null)),
            ("Cluster", json!("canary")),
            ("Cluster", json!("keyboot/*")),
            ("Node", json!(2)),
            ("Node", json!("02")),
            ("At", json!("canary")),
            ("At", json!("<aws.scheduler.scheduled-time>")),
        ] {
            let mut event = good.clone();
            event[name] = value;
            let fault = parse(&event).unwrap_err();
            assert!(fault.starts_with(name) && !fault.contains("canary"), "{fault}");
            let mut event = good.clone();
            event.as_object_mut().unwrap().remove(name);
            assert!(parse(&event).is_err(), "{event}");
        }
        for event in
            [json!(null), json!([]), json!("x"), json!({}), json!({"Retire": "a/b", "Rotate": "p2p-key"})]
        {
            assert_eq!(Scheduled::parse(&event), Err(ScheduledFault::Unknown), "{event}");
        }
        assert!(parse(&json!({"Retire": 7})).unwrap_err().starts_with("Retire"));
    }
}
