//! A stack on the double, and the real function that serves it: one process for each delivery.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use aws_credential_types::Credentials;
use contract_double::deploy::KmsStack;
use contract_double::{
    Call, CallKey, Double, Parameter, ParameterKind, Pattern, Resource, Rotation, SecretValue, Side,
    call_keys,
};
use provisioning::names::ClusterName;
use provisioning::ownership::{DELETE_AFTER_TAG, KEY_TAG};
use provisioning::signed::PinnedKeys;
use provisioning::version_label::SignedLabel;
use rig::calls::NODE_KEYS_READS;
use rig::cloud::Cloud;
use rig::cluster;
use rig::functions::{Build, bootstrap};
use rig::receiver::Receiver;
use rig::runtime::{self, Function, Outcome};
use sha2::{Digest as _, Sha256};

use crate::cloudformation::{Answer, LOGICAL_ID, Properties, Request, Sent};

/// How long Lambda lets the function run, as template.yaml says.
pub(crate) const TIME: Duration = Duration::from_mins(5);
/// How long anything may take that goes over loopback.
pub(crate) const SOON: Duration = Duration::from_mins(1);

/// A secret as it is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct StoredSecret {
    pub(crate) arn: String,
    pub(crate) tags: BTreeMap<String, String>,
    /// Values by version id.
    pub(crate) versions: BTreeMap<String, String>,
    /// Version ids by label.
    pub(crate) labels: BTreeMap<String, String>,
    /// The key that further versions are encrypted with.
    pub(crate) key: Option<String>,
    pub(crate) scheduled: bool,
    /// Its resource policy.
    pub(crate) policy: Option<String>,
    /// The schedule by which it is rotated, if it is.
    pub(crate) rotated: Option<String>,
}

impl StoredSecret {
    /// The version that is handed out to who names none, and its value.
    pub(crate) fn current(&self) -> Option<(&String, &String)> {
        self.versions.get_key_value(self.labels.get("AWSCURRENT")?)
    }
}

/// A public document as it is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct StoredDocument {
    pub(crate) text: String,
    pub(crate) expires: bool,
}

/// Everything that is stored, by name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Stored {
    pub(crate) secrets: BTreeMap<String, StoredSecret>,
    pub(crate) documents: BTreeMap<String, StoredDocument>,
}

impl Stored {
    /// What is stored of one cluster in the default namespace.
    pub(crate) fn of(&self, cluster: &str) -> Self {
        let (secrets, documents) = (format!("keyboot/{cluster}/"), format!("/keyboot/{cluster}/"));
        let mut stored = self.clone();
        stored.secrets.retain(|name, _| name.starts_with(&secrets));
        stored.documents.retain(|name, _| name.starts_with(&documents));
        stored
    }

    /// What there is, by name, and whether it goes.
    pub(crate) fn outline(&self) -> BTreeMap<String, bool> {
        let secrets = self.secrets.iter().map(|(name, secret)| (name.clone(), secret.scheduled));
        let documents = self.documents.iter().map(|(name, document)| (name.clone(), document.expires));
        secrets.chain(documents).collect()
    }

    pub(crate) fn secrets_of(&self, cluster: &ClusterName) -> impl Iterator<Item = (&String, &StoredSecret)> {
        let prefix = format!("{cluster}/");
        self.secrets.iter().filter(move |(name, _)| name.starts_with(&prefix))
    }

    pub(crate) fn documents_of(
        &self,
        cluster: &ClusterName,
    ) -> impl Iterator<Item = (&String, &StoredDocument)> {
        let prefix = format!("/{cluster}/");
        self.documents.iter().filter(move |(name, _)| name.starts_with(&prefix))
    }
}

/// A rotation's schedule, and the function that keeps it.
fn schedule(rotation: &Rotation) -> String {
    let rules = rotation.rules.as_ref().and_then(|rules| rules.schedule_expression.as_deref());
    format!("{} by {}", rules.unwrap_or("no schedule"), rotation.function)
}

/// The labels of a parameter's versions, and what the versions with one say of themselves, as the other
/// store has it all in labels. A version without a label is one that was given up.
fn staged(parameter: &Parameter) -> BTreeMap<String, String> {
    let stages = [("current", "AWSCURRENT"), ("previous", "AWSPREVIOUS")];
    let labels = stages.into_iter().flat_map(|(label, stage)| {
        let version = parameter.versions.iter().find(|version| version.labels.contains(label));
        let names = version.into_iter().flat_map(move |version| {
            let described = version.description.as_deref().and_then(SignedLabel::in_description);
            let described =
                described.and_then(|(label, signature)| Some([label.to_text().ok()?, signature?]));
            let number = version.version.to_string();
            let names = described.into_iter().flatten().chain([stage.to_owned()]);
            names.map(move |name| (name, number.clone()))
        });
        names.collect::<Vec<_>>()
    });
    labels.collect()
}

/// The double with a KMS Stack in it.
pub(crate) struct Stage {
    pub(crate) double: Double,
    pub(crate) stack: KmsStack,
    /// The key that records are signed with, pinned as a reader pins it.
    pub(crate) keys: PinnedKeys,
    /// The logical id of the resource that events speak of.
    pub(crate) logical_id: String,
    program: PathBuf,
}

impl Stage {
    /// A stage on which nothing has happened yet.
    pub(crate) async fn new() -> Result<Self> {
        Self::with([]).await
    }

    /// The same with parameters other than the template's defaults.
    pub(crate) async fn with<'a>(parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let double = Double::start().await?;
        let stack = KmsStack::deploy(&double, parameters)?;
        let root = Credentials::new(&stack.place.account, "of-nobody", None, None, "contract");
        let keys = cluster::pin(&Cloud::with(&double.endpoint(), root), &stack.record_key).await?;
        let program = bootstrap("node-keys", Build::Local)?;
        Ok(Self { double, stack, keys, logical_id: LOGICAL_ID.to_owned(), program })
    }

    /// From now on events speak of this resource.
    pub(crate) fn speak_of(&mut self, logical_id: &str) {
        logical_id.clone_into(&mut self.logical_id);
    }

    /// From now on events are another KMS Stack's, and its function serves them.
    pub(crate) async fn move_to(&mut self, stack: KmsStack) -> Result<()> {
        let root = Credentials::new(&stack.place.account, "of-nobody", None, None, "contract");
        self.keys = cluster::pin(&Cloud::with(&self.double.endpoint(), root), &stack.record_key).await?;
        self.stack = stack;
        Ok(())
    }

    /// A stage on which these requests have been carried out.
    pub(crate) async fn after(requests: &[Sent]) -> Result<Self> {
        let stage = Self::new().await?;
        for sent in requests {
            let answer = stage.carry_out(sent).await?;
            ensure!(answer.succeeded(), "{}: {}", sent.id, answer.reason());
        }
        Ok(stage)
    }

    /// Another stage on which the same has happened, with an empty record of calls.
    pub(crate) async fn copy(&self) -> Result<Self> {
        let double = Double::start().await?;
        let world = self.double.with(|world| world.clone());
        double.with(|other| *other = world);
        let (stack, keys, program) = (self.stack.clone(), self.keys.clone(), self.program.clone());
        Ok(Self { double, stack, keys, logical_id: self.logical_id.clone(), program })
    }

    /// The physical id of the resource's cluster.
    pub(crate) fn physical_id(&self, cluster: &str) -> String {
        let declaration = Sha256::new()
            .chain_update(&self.stack.stack_id)
            .chain_update([0])
            .chain_update(&self.logical_id)
            .finalize();
        format!("keyboot/keyboot/{cluster}/{}", hex::encode(&declaration[..8]))
    }

    /// The properties as they are sent.
    pub(crate) fn with_key(&self, properties: &Properties) -> Properties {
        if properties.0.contains_key("KmsKeyArn") {
            properties.clone()
        } else {
            properties.clone().with("KmsKeyArn", self.stack.secrets_key.as_str())
        }
    }

    /// Everything that is stored.
    pub(crate) fn stored(&self) -> Stored {
        let place = &self.stack.place;
        self.double.with(|world| {
            let secrets = world.secrets(place).map(|secret| {
                let versions = secret.versions.values().map(|version| {
                    let Some(SecretValue::Text(text)) = &version.value else {
                        return (version.id.clone(), String::new());
                    };
                    (version.id.clone(), text.clone())
                });
                let stored = StoredSecret {
                    arn: secret.arn.clone(),
                    tags: secret.tags.clone(),
                    versions: versions.collect(),
                    labels: secret
                        .versions
                        .values()
                        .flat_map(|version| {
                            version.stages.iter().map(|label| (label.clone(), version.id.clone()))
                        })
                        .collect(),
                    key: secret.key.clone(),
                    scheduled: secret.deletion.is_some(),
                    policy: secret.policy.as_ref().map(|policy| policy.text().to_owned()),
                    rotated: secret.rotation.as_ref().filter(|rotation| rotation.enabled).map(schedule),
                };
                (secret.name.clone(), stored)
            });
            let (of_parameters, documents): (Vec<_>, Vec<_>) = world
                .parameters(place)
                .partition(|parameter| parameter.latest().kind == ParameterKind::SecureString);
            let of_parameters = of_parameters.into_iter().map(|parameter| {
                let versions = parameter.versions.iter();
                let stored = StoredSecret {
                    arn: parameter.arn.clone(),
                    tags: parameter.tags.clone(),
                    versions: versions.map(|one| (one.version.to_string(), one.value.clone())).collect(),
                    labels: staged(parameter),
                    key: parameter.tags.get(KEY_TAG).cloned(),
                    scheduled: parameter.tags.contains_key(DELETE_AFTER_TAG),
                    policy: None,
                    rotated: None,
                };
                (parameter.name.trim_start_matches('/').to_owned(), stored)
            });
            let secrets = secrets.chain(of_parameters).collect();
            let documents = documents.into_iter().map(|parameter| {
                let latest = parameter.latest();
                let stored = StoredDocument { text: latest.value.clone(), expires: latest.expires.is_some() };
                (parameter.name.clone(), stored)
            });
            Stored { secrets, documents: documents.collect() }
        })
    }

    /// Opens an envelope, whoever may.
    pub(crate) fn decrypt(&self, sealed: &[u8], context: &BTreeMap<String, String>) -> Result<Vec<u8>> {
        self.double.with(|world| world.decrypt_for_test(sealed, context)).context("KMS opens nothing")
    }

    /// CloudFormation shows from now on that this request is in progress.
    pub(crate) fn begins(&self, sent: &Sent) {
        let (resource, stack) = sent.request.statuses();
        // Before a Create is answered there is no id.
        let physical_id = sent.physical_id.as_deref();
        self.shows(resource, physical_id, stack);
    }

    /// What CloudFormation shows from now on.
    pub(crate) fn shows(&self, resource: &str, physical_id: Option<&str>, stack: &str) {
        self.double.with(|world| {
            let Some(shown) = world.stack_mut(&self.stack.stack_id) else { return };
            stack.clone_into(&mut shown.status);
            let mut keys = Resource::new("Custom::NodeKeys", resource);
            keys.physical_id = physical_id.map(str::to_owned);
            shown.resources.insert(self.logical_id.clone(), keys);
        });
    }

    /// Begins a delivery, by a process of its own under this session.
    pub(crate) async fn start(&self, sent: &Sent, session: &str) -> Result<Delivery> {
        let receiver = Receiver::start().await?;
        let url = receiver.url(&format!("/answer?signature=of-{session}"));
        let mut event = sent.event(&self.stack.stack_id, &self.stack.secrets_key, &url);
        event["LogicalResourceId"] = self.logical_id.as_str().into();
        let mut environment = runtime::environment("node-keys");
        environment.extend(self.stack.environment_of(session));
        environment.insert("AWS_ENDPOINT_URL".to_owned(), self.double.endpoint());
        let function = Function::start(&self.program, &environment).await?;
        Ok(Delivery { function, receiver, event: event.to_string() })
    }

    /// Delivers a request once more, whatever CloudFormation shows, and gives the answer.
    pub(crate) async fn deliver(&self, sent: &Sent) -> Result<Answer> {
        self.start(sent, "again").await?.carried_out().await
    }

    /// CloudFormation begins a request, and it is carried out undisturbed.
    pub(crate) async fn carry_out(&self, sent: &Sent) -> Result<Answer> {
        self.begins(sent);
        self.deliver(sent).await
    }

    /// CloudFormation takes an Update back, and the one that does is carried out undisturbed.
    pub(crate) async fn roll_back(&self, sent: &Sent) -> Result<Answer> {
        self.shows("UPDATE_IN_PROGRESS", sent.physical_id.as_deref(), "UPDATE_ROLLBACK_IN_PROGRESS");
        self.deliver(sent).await
    }

    /// A request is carried out up to a call, where its process dies.
    pub(crate) async fn die(&self, sent: &Sent, at: &CallKey, side: Side) -> Result<()> {
        self.begins(sent);
        let hold = self.double.hold(Pattern::from(at), side);
        let mut delivery = self.start(sent, "dies").await?;
        tokio::select! {
            reached = tokio::time::timeout(SOON, hold.reached()) => {
                reached.context("the call was not made")?;
            }
            ended = delivery.invocation() => bail!("it ended before the call was made: {:?}", ended?),
        }
        delivery.function.end().await?;
        Ok(())
    }

    /// The calls that a request makes undisturbed, by name, and its answer.
    pub(crate) async fn rehearse(&self, sent: &Sent) -> Result<(Vec<CallKey>, Answer)> {
        let stage = self.copy().await?;
        let answer = stage.carry_out(sent).await?;
        Ok((call_keys(&stage.double.calls()), answer))
    }

    /// The calls that changed something.
    pub(crate) fn writes(&self) -> Vec<Call> {
        let calls = self.double.calls().into_iter();
        calls.filter(|call| call.took_effect && !NODE_KEYS_READS.contains(&call.operation.as_str())).collect()
    }
}

/// One delivery of a request.
pub(crate) struct Delivery {
    pub(crate) function: Function,
    receiver: Receiver,
    event: String,
}

impl Delivery {
    /// Hands the event over, and waits until the invocation is over.
    pub(crate) async fn invocation(&mut self) -> Result<Outcome> {
        self.invocation_within(TIME).await
    }

    /// The same, with another time for the function.
    pub(crate) async fn invocation_within(&mut self, time: Duration) -> Result<Outcome> {
        self.function.invoke(self.event.clone(), time).await
    }

    /// The answer that CloudFormation has got, if it has.
    pub(crate) async fn answer(&self) -> Result<Option<Answer>> {
        match self.receiver.next(Duration::ZERO).await {
            Ok(received) => {
                ensure!(received.body.len() <= 4096, "an answer of {} bytes", received.body.len());
                Ok(Some(Answer(received.json()?)))
            }
            Err(_) => Ok(None),
        }
    }

    /// Carries it out to its end, which has to be an answer.
    pub(crate) async fn carried_out(mut self) -> Result<Answer> {
        let ended = tokio::time::timeout(SOON, self.invocation()).await.context("no end in a minute")??;
        let answer = self.answer().await?;
        match answer {
            Some(answer) => Ok(answer),
            None => bail!("{ended:?} without an answer: {}", self.function.end().await?.printed()),
        }
    }
}

/// Whether two requests are of one kind that may both be answered.
pub(crate) fn is_delete(sent: &Sent) -> bool {
    matches!(sent.request, Request::Delete(_))
}
