//! What keyboot-node is told: a TOML file, and beside it the few variables that differ between nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use provisioning::names::{ClusterName, NodeIndex};
use provisioning::principals::RoleArn;
use reading::{Imported, Pin, Pins, Whose};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::delivery::Delivery;
use crate::error::NodeError;
use crate::formats::Format;
use crate::formats::tsm::{Layout, Login, Variable};
use crate::host;
use crate::sequencer::{self, Sequencer};
use crate::source::{self, Source};

/// What keyboot-node is told.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// The cluster, `<namespace>/<cluster>`.
    pub cluster: ClusterName,
    /// The node's index; none for an auditor.
    #[serde(default)]
    pub index: Option<NodeIndex>,
    /// Where the cluster's documents and secrets are.
    pub source: Source,
    /// The nodes of the cluster, where its roster cannot be read: from another account it never can.
    #[serde(default)]
    pub nodes: Option<BTreeSet<NodeIndex>>,
    /// The keys that records are signed with.
    #[serde(rename = "pin")]
    pins: Vec<PinnedKey>,
    /// The keys that the node's secrets are sealed under: output `KmsKeyArn`. None where the cluster has
    /// `Protection: Service`. Only what runs a node has to know.
    #[serde(default)]
    pub sealed_under: Option<Vec<String>>,
    /// Where the highest serial numbers and imported records are kept.
    #[serde(default = "state")]
    pub state: PathBuf,
    /// The program that runs with the node's secrets.
    #[serde(default)]
    pub format: Option<Format>,
    /// How it gets them.
    #[serde(default)]
    pub delivery: Delivery,
    /// The user that it runs as; the one that keyboot-node runs as where there is none.
    #[serde(default)]
    pub user: Option<String>,
    /// What of the host is known to be missing, by the names that are shown.
    #[serde(default)]
    pub accepted_findings: Vec<String>,
    /// How a TSM node is configured, and where.
    #[serde(default)]
    pub tsm: Option<Tsm>,
    /// Which key of the sequencer op-node gets beside its own; none where it gets none.
    #[serde(default)]
    pub sequencer: Option<Sequencer>,
    /// When the command is started again.
    #[serde(default)]
    pub watch: Watch,
    /// What an auditor compares the stack with.
    #[serde(default)]
    pub audit: Audit,
    /// The shares of other organizations that are accepted.
    #[serde(default, rename = "share")]
    pub shares: Vec<PinnedShare>,
}

/// A key that is pinned, as it is written.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct PinnedKey {
    signer: String,
    public_key: String,
    #[serde(default)]
    home: Option<String>,
    #[serde(default)]
    nodes: Option<BTreeSet<NodeIndex>>,
}

impl fmt::Debug for PinnedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinnedKey").field("signer", &self.signer).finish_non_exhaustive()
    }
}

/// How a TSM node is configured, and where.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Tsm {
    /// Where its `config.toml` is written to before it starts; not at all where there is none.
    #[serde(default)]
    pub config: Option<PathBuf>,
    /// Whether the program takes the path in a variable that ends in `_FILE`, where the one that its
    /// configuration refers to is not set. A TSM node does not.
    #[serde(default)]
    pub takes_files: bool,
    /// What stands in it.
    #[serde(default)]
    pub layout: Layout,
}

/// When the command is started again.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Watch {
    /// How often the public documents are looked at.
    pub poll_seconds: u64,
    /// How long each node has for starting again before the next one does.
    pub stagger_seconds: u64,
    /// How long the command has for ending itself before it is killed.
    pub stop_seconds: u64,
    /// Whether the command reads its configuration again on SIGHUP: then it is not started again for what is
    /// public.
    pub reloads: bool,
}

impl Default for Watch {
    fn default() -> Self {
        Self { poll_seconds: 30, stagger_seconds: 60, stop_seconds: 30, reloads: false }
    }
}

impl Watch {
    /// As durations: poll, stagger, stop.
    #[must_use]
    pub fn durations(&self) -> [Duration; 3] {
        [self.poll_seconds.max(1), self.stagger_seconds, self.stop_seconds].map(Duration::from_secs)
    }
}

/// What an auditor compares the stack with: its outputs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Audit {
    /// The stack's name or ARN, where `CloudFormation` is to look for drift.
    #[serde(default)]
    pub stack: Option<String>,
    /// The role of node-keys: output `NodeKeysRoleArn`.
    #[serde(default, deserialize_with = "role")]
    pub node_keys_role: Option<RoleArn>,
    /// The role of key-rotation: output `KeyRotationRoleArn`.
    #[serde(default, deserialize_with = "role")]
    pub key_rotation_role: Option<RoleArn>,
    /// The function key-rotation: output `KeyRotationFunctionArn`.
    #[serde(default)]
    pub key_rotation_function: Option<String>,
}

impl Audit {
    /// The roles that put versions of secrets.
    pub fn writers(&self) -> impl Iterator<Item = &RoleArn> {
        self.node_keys_role.iter().chain(&self.key_rotation_role)
    }

    /// Whether it says nothing.
    fn is_empty(&self) -> bool {
        let Self { stack, node_keys_role, key_rotation_role, key_rotation_function } = self;
        stack.is_none()
            && node_keys_role.is_none()
            && key_rotation_role.is_none()
            && key_rotation_function.is_none()
    }
}

fn role<'de, D: Deserializer<'de>>(from: D) -> Result<Option<RoleArn>, D::Error> {
    String::deserialize(from)?.parse().map(Some).map_err(D::Error::custom)
}

/// A share of another organization that is accepted.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PinnedShare {
    /// The account that shares: twelve digits.
    #[serde(deserialize_with = "source::account")]
    pub account: String,
    /// The share's name.
    pub name: String,
}

fn state() -> PathBuf {
    "/var/lib/keyboot-node".into()
}

/// What the environment or the command line says instead of the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// The cluster.
    pub cluster: Option<String>,
    /// The node's index.
    pub index: Option<u32>,
    /// The Region; of a cluster that is on a server it says nothing.
    pub region: Option<String>,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`NodeError::Config`], with what is wrong and where.
    pub fn read(path: &Path, overrides: &Overrides) -> Result<Self, NodeError> {
        let fault = |fault: String| NodeError::Config(format!("{}: {fault}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
        Self::parse(&text, overrides).map_err(fault)
    }

    fn parse(text: &str, overrides: &Overrides) -> Result<Self, String> {
        let mut table: toml::Table =
            text.parse().map_err(|error: toml::de::Error| format!("no TOML: {}", error.message()))?;
        // A Region in the environment is of whoever else uses AWS on this host.
        let region = overrides.region.clone().filter(|_| !table.contains_key("vault"));
        let mut set = |name: &str, value: Option<toml::Value>| {
            table.extend(value.map(|value| (name.to_owned(), value)));
        };
        set("cluster", overrides.cluster.clone().map(toml::Value::String));
        set("index", overrides.index.map(|index| toml::Value::Integer(index.into())));
        set("region", region.map(toml::Value::String));
        Source::gather(&mut table)?;
        let config: Self = serde_path_to_error::deserialize(toml::Value::Table(table))
            .map_err(|error| without_values(&error.path().to_string(), error.inner().message()))?;
        config.pins().map_err(|error| error.to_string())?;
        host::refuse(Vec::new(), &config.accepted_findings).map_err(|error| error.to_string())?;
        config.refuse_what_nothing_reads()?;
        config.refuse_what_is_of_aws()?;
        if config.source.account().is_some() && config.nodes.is_none() {
            return Err("with `account` the roster cannot be read (Resource Access Manager does not share \
                        it): list the cluster's `nodes`"
                .into());
        }
        Ok(config)
    }

    /// A secret where the program does not look for it is of no use to it, and may be of use to others.
    fn refuse_what_nothing_reads(&self) -> Result<(), String> {
        let is_by_variables = self.delivery == Delivery::Environment;
        let takes_files = self.tsm.as_ref().is_some_and(|tsm| tsm.takes_files);
        match self.format {
            Some(Format::Horcrux) if is_by_variables => Err("horcrux reads its keys from a file: choose \
                                                             memory-file or private-file as `delivery.how`"
                .into()),
            Some(Format::Tsm) if !is_by_variables && !takes_files => Err(
                "a TSM node's configuration refers to variables: choose environment as `delivery.how`, or \
                     say `tsm.takes-files = true` of a program that reads the paths in variables that end in \
                     _FILE"
                    .into(),
            ),
            Some(Format::Tsm) | None => self.refuse_a_login_elsewhere(),
            Some(_) if self.database_login().is_some() => Err(
                "`tsm.layout.database.secret` is for `format = \"tsm\"`: another program would get a login that it \
                 has no use for"
                    .into(),
            ),
            _ => Ok(()),
        }
    }

    /// One client asks for everything, in one Region.
    fn refuse_a_login_elsewhere(&self) -> Result<(), String> {
        match (&self.source, self.database_login()) {
            (Source::Aws { region, .. }, Some((_, login))) if login.secret.region() != region => {
                Err(format!(
                    "`tsm.layout.database.secret` is in the Region {}, and `region` is {region}: the login of a node's \
                 database has to be in the same one",
                    login.secret.region(),
                ))
            }
            _ => Ok(()),
        }
    }

    /// What a server does not have is not passed over, and neither is what a stack does not have.
    fn refuse_what_is_of_aws(&self) -> Result<(), String> {
        if let Source::Aws { .. } = self.source {
            return match &self.sequencer {
                Some(_) => {
                    Err("`sequencer`: a chain's role keys are made by keyboot-onprem and are on its server: \
                                say `[vault]` in place of `region`"
                        .into())
                }
                None => Ok(()),
            };
        }
        let (field, why) = if !self.audit.is_empty() {
            ("audit", "there is no stack to compare the cluster with")
        } else if !self.shares.is_empty() {
            ("share", "it is of Resource Access Manager; on a server policies say who reads what")
        } else if self.database_login().is_some() {
            (
                "tsm.layout.database.secret",
                "it is a secret of Secrets Manager: set the variable that says where the database is yourself",
            )
        } else {
            return self.refuse_a_sequencer_elsewhere();
        };
        Err(format!("`{field}` is of AWS, and `[vault]` says that the cluster is on a server: {why}"))
    }

    /// op-node alone knows the key of a sequencer, and takes it in one way.
    fn refuse_a_sequencer_elsewhere(&self) -> Result<(), String> {
        match &self.sequencer {
            Some(_) if self.format != Some(Format::OpNode) => {
                Err("`sequencer` is for `format = \"op-node\"`: another program has no use for the key".into())
            }
            Some(_) if self.delivery != Delivery::Environment => Err(
                "`sequencer`: op-node takes this key from its environment alone, and no file: choose environment as \
                 `delivery.how`"
                    .into(),
            ),
            _ => Ok(()),
        }
    }

    /// The login at the node's database that the command is handed, and the variable that it is handed in; none
    /// where keyboot-node has nothing to do with it.
    pub(crate) fn database_login(&self) -> Option<(&Variable, &Login)> {
        let database = self.tsm.as_ref()?.layout.database.as_ref()?;
        Some((&database.data_source_variable, database.login.as_ref()?))
    }

    /// Refuses to start a command that is told twice what it gets from keyboot-node, by its environment or by its
    /// arguments.
    ///
    /// # Errors
    ///
    /// [`NodeError::Config`], which names the variable or the option.
    pub(crate) fn refuse_what_is_said_twice(&self, arguments: &[OsString]) -> Result<(), NodeError> {
        self.refuse_another_data_source(std::env::vars_os())?;
        match &self.sequencer {
            Some(_) => sequencer::refuse_another_signer(std::env::vars_os(), arguments),
            None => Ok(()),
        }
    }

    /// Refuses to start where somebody else says as well where the database is: one of the two would be passed
    /// over, and nobody would see which.
    ///
    /// # Errors
    ///
    /// [`NodeError::Config`], which names the variable.
    fn refuse_another_data_source(
        &self,
        environment: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<(), NodeError> {
        let Some((variable, _)) = self.database_login() else { return Ok(()) };
        let taken = [variable.as_str().to_owned(), format!("{}_FILE", variable.as_str())];
        let mut names = environment.filter_map(|(name, _)| name.into_string().ok());
        match names.find(|name| taken.contains(name)) {
            Some(name) => Err(NodeError::Config(format!(
                "{name} is set in the environment, and `tsm.layout.database.secret` says where the database's login \
                 is as well: leave one of them out"
            ))),
            None => Ok(()),
        }
    }

    /// Refuses to keep a command running with a login that is good for once.
    ///
    /// # Errors
    ///
    /// [`NodeError::Config`], with what else there is.
    pub(crate) fn refuse_a_login_for_once(&self) -> Result<(), NodeError> {
        match &self.source {
            Source::Vault(settings) if settings.login.is_for_once() => Err(NodeError::Config(
                "`watch` logs in for itself, and for each start of the command, and a wrapped secret id is good for \
                 one login: give it a secret id of many uses (`vault.app-role.wrapped = false`, bound to this host's \
                 address) or a token that something else renews (`vault.token-file`)"
                    .into(),
            )),
            Source::Aws { .. } | Source::Vault(_) => Ok(()),
        }
    }

    /// Refuses to start a command that could not know its database again. To be asked as the command's user.
    ///
    /// # Errors
    ///
    /// [`NodeError::Config`], which names the file.
    pub(crate) fn refuse_unreadable_roots(&self) -> Result<(), NodeError> {
        let Some((_, login)) = self.database_login() else { return Ok(()) };
        let roots = login.roots.as_str();
        std::fs::File::open(roots).map(drop).map_err(|error| {
            NodeError::Config(format!(
                "`tsm.layout.database.roots`: {roots} cannot be read by the command: {error}"
            ))
        })
    }

    /// The keys that are believed.
    ///
    /// # Errors
    ///
    /// [`NodeError::Config`] when there is none, or one is no P-256 key in base64.
    pub fn pins(&self) -> Result<Pins, NodeError> {
        let fault = |pin: &PinnedKey, fault: &str| {
            NodeError::Config(format!("the pinned key of {} {fault}", pin.signer))
        };
        let pins = self.pins.iter().map(|pin| {
            let public_key = STANDARD.decode(&pin.public_key).map_err(|_| {
                fault(pin, "is no base64: give the SubjectPublicKeyInfo that KMS, or keyboot-onprem, shows")
            })?;
            let (signer, home, nodes) = (pin.signer.clone(), pin.home.clone(), pin.nodes.clone());
            Ok(Pin { signer, public_key, home, nodes })
        });
        let pins = pins.collect::<Result<_, NodeError>>()?;
        Pins::new(pins).map_err(|error| NodeError::Config(format!("`pin`: {error}")))
    }

    /// The node's index.
    ///
    /// # Errors
    ///
    /// [`NodeError::Config`] when none is given.
    pub fn index(&self) -> Result<NodeIndex, NodeError> {
        let missing = || NodeError::Config("`index` is missing: which node of the cluster is this?".into());
        self.index.ok_or_else(missing)
    }

    /// The program that runs with the node's secrets.
    ///
    /// # Errors
    ///
    /// [`NodeError::Config`] when none is named.
    pub fn format(&self) -> Result<Format, NodeError> {
        let missing = || {
            NodeError::Config("`format` is missing: for which program? tsm, geth, op-node or horcrux".into())
        };
        self.format.ok_or_else(missing)
    }

    /// Where keyboot-node writes what is public of the command's configuration; none where it does not.
    #[must_use]
    pub fn public_file(&self) -> Option<&Path> {
        self.tsm.as_ref()?.config.as_deref()
    }

    /// The keys that the node's secrets are sealed under.
    ///
    /// # Errors
    ///
    /// [`NodeError::Config`] when it is not said.
    pub fn sealed_under(&self) -> Result<&[String], NodeError> {
        let missing = || {
            NodeError::Config(
                "`sealed-under` is missing: the keys that the node's secrets are sealed under (output KmsKeyArn), \
                 or [] where the cluster has Protection Service"
                    .into(),
            )
        };
        self.sealed_under.as_deref().ok_or_else(missing)
    }

    /// The ARN of the key that signs the cluster's records: the one that is pinned first.
    #[must_use]
    pub fn signer(&self) -> &str {
        self.pins.first().map_or("", |pin| pin.signer.as_str())
    }

    /// Whose documents are read, and how they are asked for.
    ///
    /// # Errors
    ///
    /// [`NodeError::Imports`] when imported records cannot be read.
    pub fn whose(&self) -> Result<Whose, NodeError> {
        let partition = self.signer().split(':').nth(1).unwrap_or("aws");
        let documents = match &self.source {
            Source::Aws { region, account: Some(account) } => {
                Some(format!("arn:{partition}:ssm:{region}:{account}"))
            }
            Source::Aws { account: None, .. } | Source::Vault(_) => None,
        };
        Ok(Whose {
            cluster: self.cluster.clone(),
            index: self.index,
            documents,
            nodes: self.nodes.clone(),
            imported: self.imported()?,
        })
    }

    /// Where the records of this cluster are kept that came as files.
    #[must_use]
    pub fn imports(&self) -> PathBuf {
        self.state.join("records").join(self.cluster.as_str())
    }

    fn imported(&self) -> Result<BTreeMap<NodeIndex, Imported>, NodeError> {
        let folder = self.imports();
        let fault = |error: std::io::Error| NodeError::Imports(format!("{}: {error}", folder.display()));
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(fault(error)),
        };
        let mut imported = BTreeMap::new();
        for entry in entries {
            let path = entry.map_err(fault)?.path();
            // What is being written has another name.
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Some(Ok(index)) = name.strip_suffix(".json").map(str::parse) else { continue };
            let text = std::fs::read_to_string(&path).map_err(fault)?;
            imported.insert(index, Imported { from: path.display().to_string(), text });
        }
        Ok(imported)
    }
}

/// What is wrong, and where, without the value that is there: a URL in the wrong place has a password in it.
fn without_values(path: &str, message: &str) -> String {
    let fault = match message.split_once(", expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None => message.to_owned(),
    };
    // The fields of the source stand beside the others.
    match path.strip_prefix(source::TOGETHER) {
        Some("") => fault,
        Some(inside) => format!("`{}`: {fault}", inside.trim_start_matches('.')),
        None => format!("`{path}`: {fault}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin() -> String {
        use p256::pkcs8::EncodePublicKey as _;
        let key = p256::SecretKey::from_slice(&[7; 32]).unwrap().public_key();
        STANDARD.encode(key.to_public_key_der().unwrap())
    }

    fn text() -> String {
        format!(
            "cluster = \"keyboot/tsm\"\nsealed-under = []\nindex = 1\nregion = \"eu-central-1\"\nformat = \"tsm\"\n\n[[pin]]\n\
             signer = \"arn:aws-cn:kms:cn-north-1:111122223333:key/k\"\npublic-key = \"{}\"\n",
            pin()
        )
    }

    fn refused(text: &str) -> String {
        Config::parse(text, &Overrides::default()).unwrap_err()
    }

    #[test]
    fn a_file_is_read_and_what_the_environment_says_goes_first() {
        let config = Config::parse(&text(), &Overrides::default()).unwrap();
        assert_eq!((config.index().unwrap().get(), config.format), (1, Some(Format::Tsm)));
        assert_eq!(config.state, Path::new("/var/lib/keyboot-node"));
        let whose = config.whose().unwrap();
        assert_eq!(whose.documents, None);
        let overrides = Overrides {
            index: Some(2),
            cluster: Some("keyboot/other".into()),
            region: Some("cn-north-1".into()),
        };
        let config = Config::parse(&text(), &overrides).unwrap();
        assert_eq!(config.index().unwrap().get(), 2);
        assert!(matches!(&config.source, Source::Aws { region, .. } if region == "cn-north-1"));
        assert_eq!(config.cluster.as_str(), "keyboot/other");
    }

    #[test]
    fn documents_of_another_account_are_asked_for_by_their_arns() {
        let text = text().replacen("index", "account = \"444455556666\"\nnodes = [0, 1, 2]\nindex", 1);
        let whose = Config::parse(&text, &Overrides::default()).unwrap().whose().unwrap();
        assert_eq!(
            whose.address(&whose.cluster.record_parameter("2".parse().unwrap())),
            "arn:aws-cn:ssm:eu-central-1:444455556666:parameter/keyboot/tsm/node/2/record"
        );
        assert!(refused(&text.replace("nodes = [0, 1, 2]\n", "")).contains("nodes"));
    }

    #[test]
    fn what_an_auditor_compares_with_is_read_and_left_out_is_fine() {
        let config = Config::parse(&text(), &Overrides::default()).unwrap();
        assert_eq!((config.audit.writers().count(), config.shares.len()), (0, 0));
        let text = text()
            + "[audit]\nstack = \"kms\"\nnode-keys-role = \"arn:aws:iam::111122223333:role/kms/keys\"\n\n\
               [[share]]\naccount = \"444455556666\"\nname = \"kms-node-1\"\n";
        let config = Config::parse(&text, &Overrides::default()).unwrap();
        assert_eq!(config.audit.stack.as_deref(), Some("kms"));
        let writers: Vec<_> = config.audit.writers().map(RoleArn::as_str).collect();
        assert_eq!(writers, ["arn:aws:iam::111122223333:role/kms/keys"]);
        assert_eq!(config.shares[0].name, "kms-node-1");
        for (from, to, why) in [
            ("role/kms", "user/kms", "full ARN of a role"),
            ("\"444455556666\"", "\"44445555666\"", "twelve digits"),
            ("stack =", "stak =", "stak"),
        ] {
            let error = refused(&text.replacen(from, to, 1));
            assert!(error.contains(why), "{to}: {error}");
        }
    }

    #[test]
    fn a_data_source_of_somebody_elses_is_not_passed_over() {
        let parse = |database: &str| {
            let text =
                text().replacen("index = 1", &format!("index = 1\ntsm.layout.database = {database}"), 1);
            Config::parse(&text, &Overrides::default()).unwrap()
        };
        let login = "roots = \"/none/r.pem\", secret = \"arn:aws:secretsmanager:eu-central-1:111122223333:secret:l-AbCdEf\"";
        let config =
            parse(&format!("{{ driver = \"postgres\", data-source-variable = \"TSM_URL\", {login} }}"));
        let refusal = |config: &Config, name: &str| {
            let set = [("PATH".into(), "/bin".into()), (OsString::from(name), OsString::from("canary"))];
            config.refuse_another_data_source(set.into_iter()).err().map(|error| error.to_string())
        };
        for name in ["TSM_URL", "TSM_URL_FILE"] {
            let said = refusal(&config, name).unwrap();
            assert!(
                said.contains(&format!("{name} is set in the environment")) && !said.contains("canary"),
                "{said}"
            );
        }
        assert_eq!(refusal(&config, "KEYBOOT_DATABASE_URL"), None);
        assert!(
            config.refuse_unreadable_roots().unwrap_err().to_string().contains("/none/r.pem cannot be read")
        );
        // Without a secret the variable is whoever's who starts it.
        let config = parse("{ driver = \"postgres\", data-source-variable = \"TSM_URL\" }");
        assert_eq!(refusal(&config, "TSM_URL"), None);
        assert!(config.refuse_unreadable_roots().is_ok());
    }

    const SERVER: &str = "[vault]\naddress = \"https://vault.example:8200\"\nname = \"ops\"\nca-file = \"/etc/ca.pem\"\n\
                          token-file = \"/run/token\"\n";

    /// The same cluster on a server, with more in it before and behind the tables.
    fn on_a_server(before: &str, after: &str) -> String {
        let text = text().replace("region = \"eu-central-1\"\n", "").replacen(
            "index",
            &format!("{before}\nindex"),
            1,
        );
        format!("{text}\n{SERVER}{after}")
    }

    fn refused_on_a_server(before: &str, after: &str) -> String {
        refused(&on_a_server(before, after))
    }

    #[test]
    fn a_cluster_is_on_a_server_or_in_aws_and_one_of_them_has_to_be_said() {
        let config = Config::parse(&on_a_server("", ""), &Overrides::default()).unwrap();
        assert!(matches!(&config.source, Source::Vault(settings) if settings.name.as_str() == "ops"));
        assert_eq!(config.whose().unwrap().documents, None);
        // What else uses AWS on this host says nothing about this cluster.
        let region = Overrides { region: Some("eu-central-1".into()), ..Overrides::default() };
        let config = Config::parse(&on_a_server("", ""), &region).unwrap();
        assert!(matches!(config.source, Source::Vault(_)));
        let neither = refused(&text().replace("region = \"eu-central-1\"\n", ""));
        assert!(neither.contains("`region` for a stack in AWS, or the table `[vault]`"), "{neither}");
        for (field, said) in [
            ("region = \"eu-central-1\"", "`region` is of a stack in AWS"),
            ("account = \"444455556666\"", "`account` is of a stack in AWS"),
            ("source = 1", "unknown field `source`"),
        ] {
            let error = refused_on_a_server(field, "");
            assert!(error.contains(said), "{field}: {error}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_server_is_named_where_it_stands_and_without_the_value() {
        for (from, to, place) in [
            ("https://vault.example:8200", "http://canary:8200", "`vault.address`: it must be https://"),
            ("\"ops\"", "\"Canary\"", "`vault.name`: it must be"),
            ("token-file", "tokenfile", "`vault"),
            ("token-file = \"/run/token\"\n", "", "`vault`: it must have either"),
        ] {
            let error = refused(&on_a_server("", "").replacen(from, to, 1));
            assert!(error.contains(place) && !error.to_lowercase().contains("canary"), "{to}: {error}");
            assert!(!error.contains("source"), "{error}");
        }
    }

    #[test]
    fn what_is_of_aws_is_not_passed_over_on_a_server() {
        let login = "[tsm.layout.database]\ndriver = \"postgres\"\nroots = \"/r.pem\"\nsecret = \
                     \"arn:aws:secretsmanager:eu-central-1:111122223333:secret:kms/login-AbCdEf\"\n";
        for (table, field) in [
            ("[audit]\nstack = \"kms\"\n", "`audit` is of AWS"),
            ("[[share]]\naccount = \"444455556666\"\nname = \"kms\"\n", "`share` is of AWS"),
            (login, "`tsm.layout.database.secret` is of AWS"),
        ] {
            let error = refused_on_a_server("", table);
            assert!(error.contains(field), "{table}: {error}");
        }
    }

    #[test]
    fn the_key_of_a_sequencer_is_for_op_node_on_a_server_by_its_environment() {
        let op_node = on_a_server("", "[sequencer]\n").replace("\"tsm\"\n", "\"op-node\"\n");
        let config = Config::parse(&op_node, &Overrides::default()).unwrap();
        assert_eq!(config.sequencer.unwrap().chain(&config.cluster), &config.cluster);
        for (text, said) in [
            (on_a_server("", "[sequencer]\n"), "is for `format = \"op-node\"`"),
            (
                op_node.replacen("index", "delivery.how = \"memory-file\"\nindex", 1),
                "from its environment alone",
            ),
            (
                op_node.replacen("[sequencer]", "[sequencer]\nnumber = 1", 1),
                "`sequencer`: `number` and `address`",
            ),
            (text() + "[sequencer]\n", "say `[vault]` in place of `region`"),
        ] {
            let error = refused(&text);
            assert!(error.contains(said), "{said}: {error}");
        }
    }

    #[test]
    fn a_login_for_once_keeps_no_command_running() {
        let parse = |login: &str| {
            let text = on_a_server("", "").replacen("token-file = \"/run/token\"\n", login, 1);
            Config::parse(&text, &Overrides::default()).unwrap().refuse_a_login_for_once()
        };
        let role =
            "[vault.app-role]\nrole = \"node.keyboot.tsm.1\"\nrole-id = \"r\"\nsecret-id-file = \"/run/s\"\n";
        let refused = parse(role).unwrap_err().to_string();
        assert!(refused.contains("`vault.app-role.wrapped = false`"), "{refused}");
        assert!(parse(&format!("{role}wrapped = false\n")).is_ok());
        assert!(parse("token-file = \"/run/token\"\n").is_ok());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (from, to, why) in [
            ("index", "indx", "indx"),
            ("\"tsm\"", "\"tms\"", "`op-node`"),
            ("keyboot/tsm", "Keyboot/tsm", "must be"),
            ("public-key = \"M", "public-key = \"!", "base64"),
            ("public-key = \"MF", "public-key = \"MG", "P-256"),
            ("[[pin]]", "[[pins]]", "pin"),
        ] {
            let text = text().replacen(from, to, 1);
            let error = refused(&text);
            assert!(error.contains(why), "{to}: {error}");
        }
        // With its place, and without what is there.
        for (to, place) in [
            ("tsm.layout.database = \"postgres://tsm:canary@db/tsm\"", "tsm.layout.database"),
            ("tsm.layout.database.driver = \"postgres://tsm:canary@db/tsm\"", "tsm.layout.database.driver"),
            ("tsm.layout.database.data-source-variable = \"postgres://t:canary@db\"", "tsm.layout.database"),
            ("watch.poll-seconds = \"canary\"", "watch.poll-seconds"),
            ("delivery.how = \"canary\"", "delivery"),
            ("account = \"canary\"", "account"),
        ] {
            let error = refused(&text().replacen("index = 1", &format!("index = 1\n{to}"), 1));
            assert!(error.contains(place) && !error.contains("canary"), "{to}: {error}");
        }
        let login = "tsm.layout.database = { driver = \"postgres\", roots = \"/r.pem\", secret = \"\
                     arn:aws:secretsmanager:eu-central-1:111122223333:secret:kms/login-AbCdEf\" }";
        assert!(
            Config::parse(
                &text().replacen("index = 1", &format!("index = 1\n{login}"), 1),
                &Overrides::default()
            )
            .is_ok()
        );
        for (from, to, why) in [
            ("eu-central-1", "us-east-1", "in the Region us-east-1, and `region` is eu-central-1"),
            ("arn:aws:", "canary:", "full ARN of a secret"),
            ("arn:aws:secretsmanager", "arn:aws:ssm", "full ARN of a secret"),
            ("postgres", "mysql", "the driver postgres only"),
            ("\"/r.pem\"", "\"r.pem\"", "absolute path"),
            ("roots = \"/r.pem\", ", "", "with `secret` belongs `roots`"),
        ] {
            let login = login.replacen(from, to, 1);
            let error = refused(&text().replacen("index = 1", &format!("index = 1\n{login}"), 1));
            assert!(error.contains(why) && !error.contains("canary"), "{to}: {error}");
        }
        let other = text().replacen("\"tsm\"", "\"geth\"", 1);
        let error = refused(&other.replacen("index = 1", &format!("index = 1\n{login}"), 1));
        assert!(error.contains("is for `format = \"tsm\"`"), "{error}");
        for (to, why) in
            [("delivery.how = \"memory-file\"", "takes-files"), ("accepted-findings = [\"swop\"]", "swop")]
        {
            assert!(refused(&text().replacen("index = 1", &format!("index = 1\n{to}"), 1)).contains(why));
        }
        assert!(refused(&text().replacen("\"tsm\"", "\"horcrux\"", 1)).contains("memory-file"));
        assert!(
            refused(&text().split("[[pin]]").next().unwrap().replace("index", "pin = []\nindex"))
                .contains("pin")
        );
    }
}
