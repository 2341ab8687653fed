//! The secrets that a record tells of: whether they are there, whose they are, which version counts, and who
//! reads them.

use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use provisioning::names::{Purpose, SecretName, Slot};
use provisioning::ownership::{CLUSTER_TAG, NODE_TAG, OWNER_TAG, PURPOSE_TAG, Tags};
use provisioning::ports::{CURRENT, RotationSchedule, SecretFacts, StoredReaders};
use provisioning::principals::{Readers, RoleArn};
use provisioning::record::{AcceptedKey, KeyState, NodeRecord};
use provisioning::roster::RosterIndex;
use provisioning::store::Store;
use provisioning::version_label::VersionLabel;
use reading::{ClusterView, ReadError};

use super::{Auditing, Check, Finding, Row};
use crate::config::{Audit, Config};
use crate::error::NodeError;

/// Secrets that are asked about at once.
const AT_ONCE: usize = 8;
/// Where no roster was read to compare with.
const NO_ROSTER: &str = "there is no roster to compare it with";

pub(super) async fn rows(
    auditing: &impl Auditing,
    view: &ClusterView,
    config: &Config,
    now: Timestamp,
) -> Result<Vec<Row>, NodeError> {
    let imported = config.whose()?.imported;
    let index = view.roster.as_ref().map(|roster| &roster.index);
    let is_listed = |node| view.roster.iter().flat_map(|roster| &roster.entries).any(|it| it.index == node);
    let (mut elsewhere, mut secrets) = (Vec::new(), Vec::new());
    for (node, record) in &view.records {
        let is_elsewhere =
            config.source.account().is_some() || imported.contains_key(node) && !is_listed(*node);
        if is_elsewhere {
            let why = "its secrets are in another account: whoever audits that one verifies them there";
            let node = format!("{}/node/{node}", view.cluster);
            elsewhere.push(Finding::unknown(why).row(Check::SecretPresent, &node));
            continue;
        }
        let record = record.clone().at(now);
        secrets.extend(record.purposes().into_iter().map(|purpose| Secret {
            name: view.cluster.secret_name(*node, &purpose),
            slot: Slot { index: *node, purpose },
            record: record.clone(),
            index,
            audit: &config.audit,
            now,
        }));
    }
    let checked = stream::iter(&secrets).map(|secret| secret.check(auditing)).buffered(AT_ONCE);
    let checked: Vec<Vec<Row>> = checked.collect().await;
    Ok(checked.into_iter().flatten().chain(elsewhere).collect())
}

/// A secret that there has to be, and what it is compared with.
struct Secret<'a> {
    slot: Slot,
    name: SecretName,
    /// As it reads now.
    record: NodeRecord,
    index: Option<&'a RosterIndex>,
    audit: &'a Audit,
    now: Timestamp,
}

impl Secret<'_> {
    async fn check(&self, auditing: &impl Auditing) -> Vec<Row> {
        let described = auditing.describe(self.store(), &self.name).await;
        let mut findings = vec![(Check::SecretPresent, present(&described))];
        let mut readers_of = None;
        match &described {
            Ok(Some(facts)) => {
                findings.extend([
                    (Check::SecretOwner, self.owner(&facts.tags)),
                    (Check::SecretVersion, self.version(facts)),
                    (Check::SecretCurrent, self.current(facts)),
                    (Check::SecretKey, self.key(facts.key.as_deref())),
                    (Check::SecretRotation, self.rotation(facts.rotation.as_ref())),
                ]);
                // The policy of one in its recovery window is told to nobody.
                readers_of = (!facts.scheduled_for_deletion).then_some(facts.arn.as_str());
            }
            // Its policy is told by its name as well.
            Err(_) if self.store() == Store::SecretsManager => readers_of = Some(self.name.as_str()),
            _ => {}
        }
        if let Some(id) = readers_of {
            findings.push((Check::SecretReaders, self.readers(auditing, id).await));
        }
        findings.into_iter().map(|(check, finding)| finding.row(check, &self.name.as_str())).collect()
    }

    /// As the roster says; without it by the form of a version's id, which is a number in one of them.
    fn store(&self) -> Store {
        let is_number = self.record.version_id.bytes().all(|byte| byte.is_ascii_digit());
        let by_id = if is_number { Store::ParameterStore } else { Store::SecretsManager };
        self.index.map_or(by_id, |index| index.store)
    }

    fn owner(&self, tags: &Tags) -> Finding {
        let owner = self.index.map(|index| (OWNER_TAG, index.owner.clone()));
        let others = [
            (CLUSTER_TAG, self.record.cluster.to_string()),
            (NODE_TAG, self.slot.index.to_string()),
            (PURPOSE_TAG, self.slot.purpose.to_string()),
        ];
        let wrong: Vec<String> = (owner.into_iter().chain(others))
            .filter(|(tag, expected)| tags.get(*tag) != Some(expected))
            .map(|(tag, expected)| {
                let found = tags.get(tag).map_or("missing", String::as_str);
                format!("{tag} is {found} and not {expected}")
            })
            .collect();
        match self.index {
            _ if !wrong.is_empty() => {
                Finding::fault(format!("its tags are not those of this cluster: {}", wrong.join(", ")))
            }
            Some(index) => Finding::ok(format!("its tags name {}, the owner in the roster", index.owner)),
            None => Finding::unknown(format!(
                "its tags name cluster, node and purpose; of the owner, {NO_ROSTER}"
            )),
        }
    }

    fn version(&self, facts: &SecretFacts) -> Finding {
        let counting = self.counting();
        let missing: Vec<&str> =
            counting.iter().copied().filter(|id| !facts.versions.contains_key(*id)).collect();
        if counting.is_empty() {
            return Finding::unknown("the node's record names no version of it that counts");
        }
        if missing.is_empty() {
            return Finding::ok(format!("it holds {}, as the node's record says", counting.join(" and ")));
        }
        Finding::fault(format!("it does not hold {}, which the node's record names", missing.join(" and ")))
    }

    /// The versions that count, or wait for their time.
    fn counting(&self) -> Vec<&str> {
        match &self.slot.purpose {
            Purpose::P2pKey => {
                let pending = self.record.pending.iter().map(|pending| pending.version_id.as_str());
                std::iter::once(self.record.version_id.as_str()).chain(pending).collect()
            }
            Purpose::SharePassword => self.record.share_version_id.as_deref().into_iter().collect(),
            _ => {
                let current = self.accepted().iter().filter(|key| key.state == KeyState::Current);
                current.filter_map(|key| key.version_id.as_deref()).collect()
            }
        }
    }

    /// The hashes that the node accepts for it.
    fn accepted(&self) -> &[AcceptedKey] {
        match &self.slot.purpose {
            Purpose::ManagementKey => &self.record.management_keys,
            Purpose::ApiKey(application) => self.record.api_keys.get(application).map_or(&[], Vec::as_slice),
            Purpose::P2pKey | Purpose::SharePassword => &[],
        }
    }

    fn current(&self, facts: &SecretFacts) -> Finding {
        let Some(current) = facts.staged(CURRENT) else {
            return Finding::fault(format!("no version of it is {CURRENT}: its readers are handed none"));
        };
        if self.record.names(&self.slot.purpose, current) {
            return self.named(current);
        }
        let number = |id: &str| {
            let mut labels = facts.versions.get(id).into_iter().flatten();
            // The first version has no label.
            labels.find_map(|label| label.parse::<VersionLabel>().ok()).map_or(1, |label| label.number)
        };
        let named = facts.versions.keys().filter(|id| self.record.names(&self.slot.purpose, id));
        let latest = named.map(|id| number(id)).max().unwrap_or(1);
        Finding::fault(if number(current) > latest {
            format!(
                "{CURRENT} is {current}, which is newer than all that the node's record names: somebody has \
                 put an older record back"
            )
        } else {
            format!(
                "{CURRENT} is {current}, which the node's record does not name: keyboot has not handed it out"
            )
        })
    }

    /// A version that is handed out and named by the record.
    fn named(&self, current: &str) -> Finding {
        let mut keys = self.accepted().iter();
        let key = keys.find(|key| key.version_id.as_deref() == Some(current));
        let until = key.filter(|key| key.state == KeyState::Retiring).and_then(|key| key.until);
        match until {
            Some(until) if until <= self.now => Finding::fault(format!(
                "{CURRENT} is {current}, whose key the node accepts no more since {until}: somebody has moved \
                 the stage back"
            )),
            Some(until) => {
                Finding::ok(format!("{CURRENT} is {current}, whose key the node accepts until {until}"))
            }
            None => Finding::ok(format!("{CURRENT} is {current}, which the node's record names")),
        }
    }

    fn key(&self, key: Option<&str>) -> Finding {
        let Some(key) = key else {
            return Finding::fault("it is encrypted with the account's own key, which keyboot never uses");
        };
        let declared = self.index.and_then(|index| index.rotation.as_ref());
        match declared.map(|policy| policy.kms_key_arn.as_str()) {
            Some(declared) if declared == key || declared.ends_with(&format!(":key/{key}")) => {
                Finding::ok(format!("it is encrypted with {declared}, as the roster says"))
            }
            Some(declared) => {
                Finding::fault(format!("it is encrypted with {key}, and the roster says {declared}"))
            }
            None if self.index.is_some() => Finding::unknown(format!(
                "it is encrypted with {key}; the roster has no policy of rotation, and so no key to compare \
                 it with"
            )),
            None => Finding::unknown(format!("it is encrypted with {key}; {NO_ROSTER}")),
        }
    }

    async fn readers(&self, auditing: &impl Auditing, id: &str) -> Finding {
        if self.audit.node_keys_role.is_none() {
            return Finding::unknown(
                "not asked for: give the stack's outputs NodeKeysRoleArn and KeyRotationRoleArn as \
                 `node-keys-role` and `key-rotation-role` in `[audit]`",
            );
        }
        match auditing.readers(id).await {
            Err(error) => Finding::unknown(error.to_string()),
            Ok(StoredReaders::None) => {
                Finding::ok("it has no resource policy: the account's own policies decide who reads it")
            }
            Ok(StoredReaders::Admitted(readers)) => Finding::ok(in_words(&readers)),
            Ok(StoredReaders::Otherwise) => Finding::fault(
                "its resource policy is not one that keyboot writes for the roles in `[audit]`: somebody has \
                 changed it, and who reads it is not known",
            ),
        }
    }

    fn rotation(&self, found: Option<&RotationSchedule>) -> Finding {
        let Some(index) = self.index else { return Finding::unknown(NO_ROSTER) };
        let declared = index.rotation.as_ref().and_then(|policy| policy.every(&self.slot.purpose));
        let differs = |what: String| match &index.adopted_from {
            None => Finding::fault(what),
            Some(former) => Finding::unknown(format!(
                "{what}; what was taken over from {} keeps its schedule until that is confirmed",
                former.owner
            )),
        };
        match (declared, found) {
            (None, None) => Finding::ok("it is not rotated, as the roster says"),
            (Some(every), _) if index.store == Store::ParameterStore => Finding::unknown(format!(
                "the roster says {every}; Parameter Store rotates nothing: the schedules of the template do, \
                 and they show as drift where somebody has changed them"
            )),
            (Some(every), None) => differs(format!("it is not rotated, and the roster says {every}")),
            (None, Some(found)) => {
                differs(format!("it is rotated ({}), and the roster says that it is not", found.every))
            }
            (Some(every), Some(found)) if every.as_str() != found.every => {
                differs(format!("it is rotated by {}, and the roster says {every}", found.every))
            }
            (Some(every), Some(found)) => match &self.audit.key_rotation_function {
                Some(function) if *function == found.function => {
                    Finding::ok(format!("it is rotated by {every}, as the roster says, by {function}"))
                }
                Some(function) => differs(format!(
                    "it is rotated by {every}, but by {} and not by {function}",
                    found.function
                )),
                None => Finding::unknown(format!(
                    "it is rotated by {every}, as the roster says, by {}: give the stack's output \
                     KeyRotationFunctionArn as `key-rotation-function` in `[audit]`",
                    found.function
                )),
            },
        }
    }
}

fn present(described: &Result<Option<SecretFacts>, ReadError>) -> Finding {
    match described {
        Err(error) => Finding::unknown(error.to_string()),
        Ok(None) => Finding::fault("there is no such secret, and the node's record tells of it"),
        Ok(Some(facts)) if facts.scheduled_for_deletion => {
            Finding::fault("it is scheduled for deletion, and the node's record tells of it")
        }
        Ok(Some(_)) => Finding::ok("it is there, and in no recovery window"),
    }
}

fn in_words(readers: &Readers) -> String {
    let roles: Vec<&str> = readers.roles.iter().map(RoleArn::as_str).collect();
    let accounts: Vec<&str> = readers.accounts.iter().map(String::as_str).collect();
    let roles = (!roles.is_empty()).then(|| roles.join(", "));
    let accounts = (!accounts.is_empty())
        .then(|| format!("everybody whom the administrators of {} let", accounts.join(", ")));
    let all: Vec<String> = roles.into_iter().chain(accounts).collect();
    format!("its resource policy lets {} read it, and nobody else", all.join(", and "))
}
