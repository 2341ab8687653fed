//! The properties of `Custom::NodeKeys`: which there are, what each may be, and how they are read.
//!
//! CloudFormation hands every scalar over as a string, so they are parsed as strings. A property
//! that is unknown, wrong or missing is a [`PropertyFault`] that names it, what is wrong with it
//! and what is allowed; it never repeats the value, which may be a secret in the wrong place. The
//! [`PROPERTIES`] list is the one source: the parser reads by it, the reference is compared with
//! it, and a table test walks over it. No I/O here.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use key_material::Curve;
use serde_json::{Map, Value};

use crate::names::{
    Application, CLUSTER_ALLOWED, ClusterName, NAMESPACE_ALLOWED, Namespace, NodeIndex, Purpose, Segment,
    Slot,
};
use crate::ownership::OwnerId;
use crate::principals::{Admitted, PRINCIPALS_LIST, PRINCIPALS_MAP};
use crate::rotation_policy::{
    CUT_OVER_ALLOWED, CUT_OVER_DEFAULT, OVERLAP_ALLOWED, OVERLAP_DEFAULT, RotationPolicy, SCHEDULE_ALLOWED,
    ScheduleExpression,
};
use crate::sealing::{KeyOrigin, Protection};
use crate::store::Store;
use crate::version_label::{Form, RegenerateToken, TokenDigest};

/// One property, as its reference describes it.
#[derive(Clone, Copy, Debug)]
pub struct PropertyRule {
    /// Its name, in the exact case.
    pub name: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// What it is when it is not there; empty where it is required or has none.
    pub default: &'static str,
    /// What is allowed, as a phrase that follows "must be".
    pub allowed: &'static str,
}

const fn rule(name: &'static str, default: &'static str, allowed: &'static str) -> PropertyRule {
    PropertyRule { name, required: false, default, allowed }
}

const fn required(name: &'static str, allowed: &'static str) -> PropertyRule {
    PropertyRule { name, required: true, default: "", allowed }
}

const BOOLEAN: &str = "true or false";
/// The properties of rotation.
pub(crate) const API_KEYS_EVERY: &str = "RotateApiKeysEvery";
pub(crate) const P2P_KEYS_EVERY: &str = "RotateP2pKeysEvery";
const OVERLAP: &str = "OverlapHours";
const CUT_OVER: &str = "CutOverMinutes";
/// The most nodes of a cluster.
const NODES_MAX: usize = 1000;
/// The most applications of a cluster.
const APPLICATIONS_MAX: usize = 16;

/// Every property of `Custom::NodeKeys`, in the order of the reference.
pub const PROPERTIES: &[PropertyRule] = &[
    required("Cluster", CLUSTER_ALLOWED),
    rule("Namespace", "keyboot", NAMESPACE_ALLOWED),
    required("Nodes", "a list of 1 to 1000 distinct whole numbers from 0 to 99999 without leading zeros"),
    required(
        "KmsKeyArn",
        "the full key ARN of a customer managed symmetric KMS key, arn:<partition>:kms:<region>:<account>:key/<id>",
    ),
    rule("P2pCurve", "P-256", "P-256, P-384 or secp256k1"),
    rule(
        "Applications",
        "default",
        "a list of 1 to 16 distinct ids, each 1 to 31 characters of a-z, 0-9 and -, starting with a letter, not ending in - and six characters",
    ),
    rule("ManagementKey", "true", BOOLEAN),
    rule("ShareEncryptionPassword", "true", BOOLEAN),
    rule("Store", "SecretsManager", "SecretsManager or ParameterStore"),
    rule("KeyOrigin", "Function", "Function or Kms, and Kms only where Protection is Envelope"),
    rule("Protection", "Envelope", "Envelope or Service"),
    rule("ReaderPrincipals", "", PRINCIPALS_MAP),
    rule("ClientPrincipals", "", PRINCIPALS_MAP),
    rule("ManagementPrincipals", "", PRINCIPALS_LIST),
    rule("AllowAccountReaders", "false", BOOLEAN),
    rule(
        "NodeDomain",
        "",
        "a DNS suffix of at most 200 characters: labels of a-z, 0-9 and -, joined by dots",
    ),
    rule(
        "PeerRecordArns",
        "",
        "a list of at most 16 full parameter ARNs, arn:<partition>:ssm:<region>:<account>:parameter/<name>",
    ),
    rule("OnDelete", "Schedule", "Schedule or Retain"),
    rule("RecoveryWindowDays", "30", "a whole number from 7 to 30"),
    rule("ShareSecretOnDelete", "Retain", "Retain or Schedule"),
    rule("Regenerate", "", "a token of 1 to 64 characters of A-Z, a-z, 0-9, . _ and -"),
    rule(API_KEYS_EVERY, "", SCHEDULE_ALLOWED),
    rule(P2P_KEYS_EVERY, "", SCHEDULE_ALLOWED),
    rule(OVERLAP, OVERLAP_DEFAULT, OVERLAP_ALLOWED),
    rule(CUT_OVER, CUT_OVER_DEFAULT, CUT_OVER_ALLOWED),
    rule(
        "AdoptFrom",
        "",
        "the physical id of the old owner, keyboot/<namespace>/<cluster>/<16 hex digits>, with the Namespace and Cluster of this resource",
    ),
];

/// Properties that are CloudFormation's own.
const PROTOCOL_PROPERTIES: &[&str] = &["ServiceToken", "ServiceTimeout"];

/// A property is missing, wrong or unknown.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("property {property} {fault}: it must be {allowed}")]
pub struct PropertyFault {
    /// The property.
    pub property: String,
    /// What is wrong.
    pub fault: &'static str,
    /// What is allowed.
    pub allowed: String,
}

/// The name of a key that seals: the full ARN of a symmetric customer managed KMS key or, on premises, of
/// a key of Vault's transit engine, in the same form.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SealingKeyArn(String);

impl SealingKeyArn {
    /// The ARN as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SealingKeyArn {
    /// A key of the transit engine of a server: `arn:vault:transit:<server>:root:key/<key>`.
    #[must_use]
    pub fn of_transit(server: &Segment, key: &Segment) -> Self {
        Self(format!("arn:vault:transit:{server}:root:key/{key}"))
    }

    /// The key of a secret that is there, as its store tells it.
    pub(crate) fn of_a_secret(text: &str) -> Option<Self> {
        let is_of = |service| text.starts_with("arn:") && text.contains(service) && text.contains(":key/");
        let is_key = is_of(":kms:") || is_of(":transit:");
        is_key.then(|| Self(text.to_owned()))
    }

    /// `aws`, `aws-cn` or `aws-us-gov`.
    fn partition(&self) -> &str {
        self.0.split(':').nth(1).unwrap_or_default()
    }
}

impl fmt::Display for SealingKeyArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What happens to secrets that are no longer asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OnDelete {
    /// They go into a recovery window of this many days.
    Schedule {
        /// 7 to 30 days.
        days: u8,
    },
    /// They stay.
    Retain,
}

/// What happens when a resource or a part of it goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DeletionRules {
    /// To everything but the share-encryption password.
    pub others: OnDelete,
    /// To the share-encryption password.
    pub share_password: OnDelete,
}

impl DeletionRules {
    /// The rule for one purpose.
    #[must_use]
    pub fn of(&self, purpose: &Purpose) -> OnDelete {
        if *purpose == Purpose::SharePassword { self.share_password } else { self.others }
    }
}

/// A cluster's keys as the stack asks for them: the parsed properties.
#[derive(Clone, Debug)]
pub struct ClusterSpec {
    /// The cluster.
    pub cluster: ClusterName,
    /// Its nodes, ascending.
    pub nodes: BTreeSet<NodeIndex>,
    /// The customer's key.
    pub kms_key: SealingKeyArn,
    /// The curve of P2P keys.
    pub curve: Curve,
    /// The applications, in the order given: answers number them by it.
    pub applications: Vec<Application>,
    /// Whether each node has a management key.
    pub management_key: bool,
    /// Whether each node has a share-encryption password.
    pub share_password: bool,
    /// Where secrets are kept.
    pub store: Store,
    /// How node secrets are protected.
    pub protection: Protection,
    /// What makes P2P key pairs.
    pub key_origin: KeyOrigin,
    /// The token that keys are made under: another one makes new keys.
    pub regenerate: Option<RegenerateToken>,
    /// What is rotated and how; none where nothing is.
    pub rotation: Option<RotationPolicy>,
    /// Who may read which secret.
    pub admitted: Admitted,
    /// The DNS suffix of the nodes.
    pub node_domain: Option<String>,
    /// The records of nodes made elsewhere.
    pub peer_record_arns: Vec<String>,
    /// What happens to what is no longer asked for.
    pub deletion: DeletionRules,
    /// The old owner whose secrets are taken over.
    pub adopt_from: Option<OwnerId>,
}

impl ClusterSpec {
    /// Parses the properties of a Create or an Update.
    ///
    /// # Errors
    ///
    /// [`PropertyFault`] for the first property that is unknown, missing or wrong.
    pub fn parse(properties: &Map<String, Value>) -> Result<Self, PropertyFault> {
        let reader = Reader { properties };
        reader.refuse_unknown()?;
        let namespace: Namespace = reader.parsed("Namespace")?;
        let cluster = ClusterName::new(&namespace, reader.text("Cluster")?.unwrap_or_default())
            .map_err(|_| fault("Cluster", "is not a valid name"))?;
        let protection = match reader.choice("Protection", &["Envelope", "Service"])? {
            "Service" => Protection::Service,
            _ => Protection::Envelope,
        };
        let store: Store = reader.parsed("Store")?;
        let (nodes, applications, kms_key) = (reader.nodes()?, reader.applications()?, reader.kms_key()?);
        let accounts = reader.boolean("AllowAccountReaders")?;
        let key_origin = reader.key_origin(protection)?;
        let form = Form { protection, origin: key_origin };
        let rotation = reader.rotation(store, &kms_key, form)?;
        let admitted = Admitted::parse(properties, accounts, kms_key.partition(), &nodes, &applications)?;
        Ok(Self {
            adopt_from: reader.adopt_from(&cluster)?,
            cluster,
            nodes,
            kms_key,
            curve: reader.parsed("P2pCurve")?,
            applications,
            admitted,
            management_key: reader.boolean("ManagementKey")?,
            share_password: reader.boolean("ShareEncryptionPassword")?,
            protection,
            key_origin,
            regenerate: reader.regenerate()?,
            rotation,
            store,
            node_domain: reader.node_domain()?,
            peer_record_arns: reader.peer_record_arns()?,
            deletion: reader.deletion_rules()?,
        })
    }

    /// What keys that these properties ask for have to be labelled with.
    #[must_use]
    pub fn token(&self) -> TokenDigest {
        TokenDigest::of(self.regenerate.as_ref())
    }

    /// Every purpose that a node of this cluster has a secret for.
    #[must_use]
    pub fn purposes(&self) -> Vec<Purpose> {
        let mut purposes = vec![Purpose::P2pKey];
        purposes.extend(self.share_password.then_some(Purpose::SharePassword));
        purposes.extend(self.management_key.then_some(Purpose::ManagementKey));
        purposes.extend(self.applications.iter().cloned().map(Purpose::ApiKey));
        purposes
    }

    /// Every secret of this cluster, node by node.
    #[must_use]
    pub fn slots(&self) -> BTreeSet<Slot> {
        let purposes = self.purposes();
        self.nodes
            .iter()
            .flat_map(|&index| purposes.iter().map(move |purpose| Slot { index, purpose: purpose.clone() }))
            .collect()
    }
}

/// What a Delete reads of the properties, as far as they can be read: a failed Create is followed
/// by a Delete with the same bad values.
#[derive(Clone, Debug)]
pub struct LenientSpec {
    /// The nodes that can be read.
    pub nodes: BTreeSet<NodeIndex>,
    /// The applications that can be read.
    pub applications: BTreeSet<Application>,
    /// The store, where it can be read.
    pub store: Option<Store>,
    /// The deletion rules; where unreadable, the default, which is to lose nothing.
    pub deletion: DeletionRules,
    /// The old owner whose secrets were to be taken over, where it can be read.
    pub adopt_from: Option<OwnerId>,
    /// Whether each node has a management key, as far as can be read.
    pub management_key: bool,
    /// Whether each node has a share-encryption password, as far as can be read.
    pub share_password: bool,
    /// Who may read which secret, as far as can be read.
    pub admitted: Admitted,
}

impl LenientSpec {
    /// Reads what can be read.
    #[must_use]
    pub fn read(properties: &Map<String, Value>) -> Self {
        let reader = Reader { properties };
        let texts = |name| match properties.get(name) {
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let mut applications: BTreeSet<Application> =
            texts("Applications").into_iter().filter_map(|text| text.parse().ok()).collect();
        if !properties.contains_key("Applications") {
            applications.extend(DEFAULT_APPLICATION.parse());
        }
        let careful = DeletionRules { others: OnDelete::Retain, share_password: OnDelete::Retain };
        Self {
            nodes: texts("Nodes").into_iter().filter_map(|text| text.parse().ok()).collect(),
            applications,
            store: reader.parsed("Store").ok(),
            deletion: reader.deletion_rules().unwrap_or(careful),
            adopt_from: properties.get(ADOPT_FROM).and_then(Value::as_str).and_then(|id| id.parse().ok()),
            management_key: reader.boolean("ManagementKey").unwrap_or(true),
            share_password: reader.boolean("ShareEncryptionPassword").unwrap_or(true),
            admitted: Admitted::read(properties),
        }
    }

    /// Whether these properties ask for the secret of this slot.
    #[must_use]
    pub fn declares(&self, slot: &Slot) -> bool {
        self.nodes.contains(&slot.index)
            && match &slot.purpose {
                Purpose::P2pKey => true,
                Purpose::SharePassword => self.share_password,
                Purpose::ManagementKey => self.management_key,
                Purpose::ApiKey(application) => self.applications.contains(application),
            }
    }
}

const DEFAULT_APPLICATION: &str = "default";
const ADOPT_FROM: &str = "AdoptFrom";

fn rule_of(name: &str) -> Option<&'static PropertyRule> {
    PROPERTIES.iter().find(|rule| rule.name == name)
}

pub(crate) fn fault(property: &str, fault: &'static str) -> PropertyFault {
    PropertyFault {
        property: property.to_owned(),
        fault,
        allowed: rule_of(property).map_or_else(String::new, |rule| rule.allowed.to_owned()),
    }
}

struct Reader<'a> {
    properties: &'a Map<String, Value>,
}

impl<'a> Reader<'a> {
    fn refuse_unknown(&self) -> Result<(), PropertyFault> {
        let known = |name: &str| rule_of(name).is_some() || PROTOCOL_PROPERTIES.contains(&name);
        let Some(name) = self.properties.keys().find(|name| !known(name)) else {
            return Ok(());
        };
        // A character that no name has is shown as one that is wrong, not left out.
        let shown = |c: char| if c.is_ascii_alphanumeric() { c } else { '?' };
        let printable: String = name.chars().map(shown).take(64).collect();
        let names: Vec<_> = PROPERTIES.iter().map(|rule| rule.name).collect();
        Err(PropertyFault {
            property: printable,
            fault: "is unknown (names are exact, upper and lower case count)",
            allowed: format!("one of {}", names.join(", ")),
        })
    }

    /// The text of a property; its default where it is absent, `None` where there is no default.
    fn text(&self, name: &'static str) -> Result<Option<&'a str>, PropertyFault> {
        match self.properties.get(name) {
            Some(Value::String(text)) if text.is_empty() => Err(fault(name, "is empty")),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(fault(name, "is not a string")),
            None => match rule_of(name) {
                Some(rule) if rule.required => Err(fault(name, "is missing")),
                Some(rule) if !rule.default.is_empty() => Ok(Some(rule.default)),
                _ => Ok(None),
            },
        }
    }

    fn parsed<T: FromStr>(&self, name: &'static str) -> Result<T, PropertyFault> {
        self.text(name)?.unwrap_or_default().parse().map_err(|_| fault(name, "is not a valid value"))
    }

    fn choice(&self, name: &'static str, choices: &[&'static str]) -> Result<&'static str, PropertyFault> {
        let text = self.text(name)?.unwrap_or_default();
        choices
            .iter()
            .copied()
            .find(|choice| *choice == text)
            .ok_or_else(|| fault(name, "is not one of the values"))
    }

    fn boolean(&self, name: &'static str) -> Result<bool, PropertyFault> {
        Ok(self.choice(name, &["true", "false"])? == "true")
    }

    /// The strings of a list property; `None` where it is absent.
    fn list(&self, name: &'static str) -> Result<Option<Vec<&'a str>>, PropertyFault> {
        match self.properties.get(name) {
            None => match rule_of(name) {
                Some(rule) if rule.required => Err(fault(name, "is missing")),
                _ => Ok(None),
            },
            Some(value) => strings(value).map(Some).ok_or_else(|| fault(name, "is not a list of strings")),
        }
    }

    fn nodes(&self) -> Result<BTreeSet<NodeIndex>, PropertyFault> {
        const NAME: &str = "Nodes";
        let texts = self.list(NAME)?.unwrap_or_default();
        if texts.is_empty() {
            return Err(fault(NAME, "is empty"));
        }
        if texts.len() > NODES_MAX {
            return Err(fault(NAME, "has too many entries"));
        }
        distinct(NAME, &texts).map(|nodes| nodes.into_iter().collect())
    }

    fn applications(&self) -> Result<Vec<Application>, PropertyFault> {
        const NAME: &str = "Applications";
        let texts = self.list(NAME)?.unwrap_or_else(|| vec![DEFAULT_APPLICATION]);
        if texts.is_empty() {
            return Err(fault(NAME, "is empty"));
        }
        if texts.len() > APPLICATIONS_MAX {
            return Err(fault(NAME, "has too many entries"));
        }
        distinct(NAME, &texts)
    }

    fn kms_key(&self) -> Result<SealingKeyArn, PropertyFault> {
        const NAME: &str = "KmsKeyArn";
        let text = self.text(NAME)?.unwrap_or_default();
        if text.contains(":alias/") || text.starts_with("alias/") {
            return Err(fault(
                NAME,
                "is an alias, which can be pointed at another key later (and alias/aws/… is AWS's own key, \
                 which no other account can ever read under)",
            ));
        }
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let well_formed = matches!(parts.as_slice(), [arn, partition, service, region, account, resource]
            if *arn == "arn" && is_partition(partition) && *service == "kms" && is_region(region) && is_account(account)
                && resource.strip_prefix("key/").is_some_and(is_key_id));
        if well_formed { Ok(SealingKeyArn(text.to_owned())) } else { Err(fault(NAME, "is not a key ARN")) }
    }

    /// KMS gives what it makes sealed, and sealed only.
    fn key_origin(&self, protection: Protection) -> Result<KeyOrigin, PropertyFault> {
        const NAME: &str = "KeyOrigin";
        match (self.choice(NAME, &["Function", "Kms"])?, protection) {
            ("Kms", Protection::Service) => Err(fault(NAME, "is Kms, but Protection is Service")),
            ("Kms", Protection::Envelope) => Ok(KeyOrigin::Kms),
            _ => Ok(KeyOrigin::Function),
        }
    }

    fn regenerate(&self) -> Result<Option<RegenerateToken>, PropertyFault> {
        const NAME: &str = "Regenerate";
        let token = self.text(NAME)?.map(str::parse).transpose();
        token.map_err(|_| fault(NAME, "is not a token"))
    }

    fn rotation(
        &self,
        store: Store,
        kms_key: &SealingKeyArn,
        form: Form,
    ) -> Result<Option<RotationPolicy>, PropertyFault> {
        let every = |name| {
            let expression = self.text(name)?.map(str::parse::<ScheduleExpression>).transpose();
            let expression = expression.map_err(|_| fault(name, "is not a schedule expression"))?;
            // EventBridge Scheduler User Guide, "Schedule types": a rate begins when its schedule is made.
            if store == Store::ParameterStore
                && expression.as_ref().is_some_and(|every| every.interval().is_some())
            {
                return Err(fault(
                    name,
                    "is a rate, by which keys in Parameter Store would be rotated at once",
                ));
            }
            Ok(expression)
        };
        let policy = RotationPolicy {
            api_keys_every: every(API_KEYS_EVERY)?,
            cut_over_minutes: self.whole(CUT_OVER, 5..=10_080)?,
            key_origin: form.origin.as_str().to_owned(),
            kms_key_arn: kms_key.to_string(),
            overlap_hours: self.whole(OVERLAP, 2..=720)?,
            p2p_keys_every: every(P2P_KEYS_EVERY)?,
            protection: form.protection.as_str().to_owned(),
        };
        // What is replaced before its time is over would pile up.
        let is_longer = |span, every: &Option<ScheduleExpression>| {
            every.as_ref().and_then(ScheduleExpression::interval).is_some_and(|interval| span > interval)
        };
        if is_longer(policy.overlap(), &policy.api_keys_every) {
            return Err(fault(OVERLAP, "is longer than RotateApiKeysEvery"));
        }
        if is_longer(policy.cut_over(), &policy.p2p_keys_every) {
            return Err(fault(CUT_OVER, "is longer than RotateP2pKeysEvery"));
        }
        Ok((policy.api_keys_every.is_some() || policy.p2p_keys_every.is_some()).then_some(policy))
    }

    fn whole<T>(&self, name: &'static str, range: RangeInclusive<T>) -> Result<T, PropertyFault>
    where
        T: FromStr + PartialOrd,
    {
        let text = self.text(name)?.unwrap_or_default();
        let number =
            text.parse().ok().filter(|number| range.contains(number) && !text.starts_with(['0', '+']));
        number.ok_or_else(|| fault(name, "is not a number in this range"))
    }

    fn node_domain(&self) -> Result<Option<String>, PropertyFault> {
        const NAME: &str = "NodeDomain";
        let Some(text) = self.text(NAME)? else { return Ok(None) };
        if is_node_domain(text) { Ok(Some(text.to_owned())) } else { Err(fault(NAME, "is not a DNS suffix")) }
    }

    fn peer_record_arns(&self) -> Result<Vec<String>, PropertyFault> {
        const NAME: &str = "PeerRecordArns";
        let texts = self.list(NAME)?.unwrap_or_default();
        if texts.len() > 16 {
            return Err(fault(NAME, "has too many entries"));
        }
        let is_parameter_arn = |text: &&str| {
            let parts: Vec<&str> = text.splitn(6, ':').collect();
            matches!(parts.as_slice(), [arn, partition, service, region, account, resource]
            if *arn == "arn" && is_partition(partition) && *service == "ssm" && is_region(region) && is_account(account)
                && resource.len() <= 200
                && resource.strip_prefix("parameter/").is_some_and(|name| {
                    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_.-".contains(&b))
                }))
        };
        if !texts.iter().all(is_parameter_arn) {
            return Err(fault(NAME, "has an entry that is not a parameter ARN"));
        }
        Ok(texts.into_iter().map(str::to_owned).collect())
    }

    fn deletion_rules(&self) -> Result<DeletionRules, PropertyFault> {
        let days = self.whole("RecoveryWindowDays", 7..=30)?;
        let on_delete = |name| {
            Ok(match self.choice(name, &["Schedule", "Retain"])? {
                "Schedule" => OnDelete::Schedule { days },
                _ => OnDelete::Retain,
            })
        };
        Ok(DeletionRules {
            others: on_delete("OnDelete")?,
            share_password: on_delete("ShareSecretOnDelete")?,
        })
    }

    /// An old owner of the same cluster: the names of secrets follow from it.
    fn adopt_from(&self, cluster: &ClusterName) -> Result<Option<OwnerId>, PropertyFault> {
        let Some(text) = self.text(ADOPT_FROM)? else { return Ok(None) };
        let id: OwnerId = text.parse().map_err(|_| fault(ADOPT_FROM, "is not a physical id"))?;
        if id.cluster() == cluster {
            Ok(Some(id))
        } else {
            Err(fault(ADOPT_FROM, "is of another Namespace or Cluster than this resource"))
        }
    }
}

/// Whether a text can be the DNS suffix of nodes.
#[must_use]
pub fn is_node_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 200 && text.split('.').all(is_label)
}

pub(crate) fn strings(value: &Value) -> Option<Vec<&str>> {
    value.as_array()?.iter().map(Value::as_str).collect()
}

fn distinct<T: FromStr + Ord + Clone>(name: &'static str, texts: &[&str]) -> Result<Vec<T>, PropertyFault> {
    let parsed: Vec<T> = texts
        .iter()
        .map(|text| text.parse())
        .collect::<Result<_, _>>()
        .map_err(|_| fault(name, "has an entry that is not a valid value"))?;
    if parsed.iter().collect::<BTreeSet<_>>().len() == parsed.len() {
        Ok(parsed)
    } else {
        Err(fault(name, "names one entry twice"))
    }
}

pub(crate) fn is_partition(text: &str) -> bool {
    matches!(text, "aws" | "aws-cn" | "aws-us-gov")
}

fn is_region(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

pub(crate) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// A key id: a UUID, or `mrk-` and 32 hex digits for a multi-Region key (KMS Developer Guide,
/// "Key identifiers").
fn is_key_id(text: &str) -> bool {
    let is_hex = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    match text.strip_prefix("mrk-") {
        Some(digits) => digits.len() == 32 && is_hex(digits),
        None => text.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && text.split('-').all(is_hex),
    }
}
