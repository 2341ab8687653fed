//! What the tests share: a local AWS of their own, its secrets, and programs that share no code
//! with this project.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use provisioning::names::{Purpose, SecretName};
use provisioning::record::{AcceptedKey, KeyState, NodeRecord};
use rig::calls;
use rig::cloud::Cloud;
use rig::cluster::{self, Published};
use rig::ministack::MiniStack;
use rig::python::Venv;
use rig::stack::{Deployed, Deployment};
use serde_json::Value;

/// The cluster of the template's defaults.
pub(crate) const CLUSTER: &str = "keyboot/tsm";
/// The name of the KMS Stack.
pub(crate) const KMS_STACK: &str = "kms";

/// A local AWS that ends with this value.
pub(crate) struct Aws {
    pub(crate) ministack: MiniStack,
    pub(crate) root: Cloud,
    pub(crate) venv: Venv,
}

impl Aws {
    pub(crate) fn start() -> Result<Self> {
        let venv = Venv::ready()?;
        let ministack = MiniStack::start(&venv, None)?;
        let root = Cloud::as_root(&ministack.endpoint());
        Ok(Self { ministack, root, venv })
    }

    /// Deploys the KMS Stack with parameters other than the template's defaults.
    pub(crate) async fn deploy<const N: usize>(
        &self,
        parameters: [(&str, &str); N],
    ) -> Result<(Deployment, Deployed)> {
        let stack = Deployment::of_kms_stack(&self.root, KMS_STACK, parameters).await?;
        let deployed = stack.create().await?;
        Ok((stack, deployed))
    }

    /// What the cluster of the KMS Stack has published, every signature checked.
    pub(crate) async fn published(&self, stack: &Deployed) -> Result<Published> {
        cluster::read(&self.root, &CLUSTER.parse()?, stack.output("RecordKeyArn")?).await
    }

    /// The physical id of a resource of a stack.
    pub(crate) async fn physical_id(&self, stack: &str, resource: &str) -> Result<String> {
        let call = self.root.cloudformation().describe_stack_resource();
        let shown = call.stack_name(stack).logical_resource_id(resource).send().await?;
        let id = shown.stack_resource_detail.and_then(|detail| detail.physical_resource_id);
        id.with_context(|| format!("{resource} of {stack} has no physical id"))
    }

    /// The present end of the record of calls.
    pub(crate) fn mark(&self) -> Result<u64> {
        let calls = calls::read(&self.ministack.calls())?;
        Ok(calls.iter().map(|call| call.sequence).max().unwrap_or_default())
    }

    /// The operations that a role called since a mark, but for what Lambda itself does for it.
    pub(crate) fn calls_since(&self, mark: u64, role: &Role) -> Result<Vec<String>> {
        let calls = calls::read(&self.ministack.calls())?;
        let ours = calls.into_iter().filter(|call| call.sequence > mark && call.is_by_role(&role.0));
        Ok(ours.filter_map(|call| call.operation).collect())
    }

    /// Those of them that are not known to change nothing.
    pub(crate) fn writes_since(&self, mark: u64, role: &Role) -> Result<Vec<String>> {
        let mut calls = self.calls_since(mark, role)?;
        calls.retain(|operation| !calls::NODE_KEYS_READS.contains(&operation.as_str()));
        Ok(calls)
    }

    /// The answers that CloudFormation got since a mark.
    pub(crate) fn answers_since(&self, mark: u64) -> Result<Vec<Value>> {
        let calls = calls::read(&self.ministack.calls())?;
        let answers = calls
            .into_iter()
            .filter(|call| call.sequence > mark && call.operation.as_deref() == Some("Answer"));
        answers.map(|call| Ok(serde_json::from_str(call.request.as_deref().unwrap_or_default())?)).collect()
    }

    /// A stored value as it is stored, of the version that counts.
    pub(crate) async fn stored(&self, name: &SecretName, version_id: &str) -> Result<String> {
        let call = self.root.secrets().get_secret_value().secret_id(name.as_str()).version_id(version_id);
        let answer = call.send().await.with_context(|| format!("reading version {version_id} of {name}"))?;
        answer.secret_string.with_context(|| format!("{name} is no text"))
    }

    /// What a node finds in its secret: the JSON of `Service`, or what KMS opens of an `Envelope`.
    pub(crate) async fn node_secret(&self, record: &NodeRecord, purpose: &Purpose) -> Result<NodeSecret> {
        let version_id = match purpose {
            Purpose::P2pKey => Some(&record.version_id),
            _ => record.share_version_id.as_ref(),
        };
        let version_id = version_id.context("the record names no version")?;
        let text = self.stored(&record.cluster.secret_name(record.index, purpose), version_id).await?;
        let stored: Value = serde_json::from_str(&text)?;
        ensure!(stored["schema"] == 1 && stored["kind"] == purpose.to_string().as_str(), "a foreign value");
        let Some(sealed) = stored["sealed"].as_str() else { return Ok(NodeSecret::Plain(stored)) };
        let context = stored["context"].as_object().context("the envelope has no context")?;
        let context =
            context.iter().map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()));
        let call = self.root.kms().decrypt().set_encryption_context(Some(context.collect()));
        let call = call.ciphertext_blob(STANDARD.decode(sealed)?.into());
        let call = call.key_id(stored["keyArn"].as_str().context("the envelope names no key")?);
        let opened = call.send().await.context("opening the envelope")?.plaintext;
        Ok(NodeSecret::Opened(opened.context("KMS opened nothing")?.into_inner()))
    }
}

/// The role that node-keys of the KMS Stack runs under, by name.
pub(crate) struct Role(pub(crate) String);

impl Role {
    pub(crate) async fn of_node_keys(aws: &Aws) -> Result<Self> {
        Ok(Self(aws.physical_id(KMS_STACK, "NodeKeysRole").await?))
    }
}

/// What a node finds in a secret of its own.
pub(crate) enum NodeSecret {
    /// The JSON that Secrets Manager keeps.
    Plain(Value),
    /// The bytes that KMS opened.
    Opened(Vec<u8>),
}

/// The accepted keys of a record, each with the purpose of its secret.
pub(crate) fn accepted_keys(record: &NodeRecord) -> Vec<(Purpose, &AcceptedKey)> {
    let management = record.management_keys.iter().map(|key| (Purpose::ManagementKey, key));
    let api = record
        .api_keys
        .iter()
        .flat_map(|(application, keys)| keys.iter().map(|key| (Purpose::ApiKey(application.clone()), key)));
    management.chain(api).collect()
}

/// The accepted keys that are in use.
pub(crate) fn current_keys(record: &NodeRecord) -> Vec<(Purpose, &AcceptedKey)> {
    accepted_keys(record).into_iter().filter(|(_, key)| key.state == KeyState::Current).collect()
}

/// Every secret that a record says counts: its purpose and its version.
pub(crate) fn counting(record: &NodeRecord) -> BTreeMap<Purpose, String> {
    let mut counting = BTreeMap::from([(Purpose::P2pKey, record.version_id.clone())]);
    counting.extend(record.share_version_id.clone().map(|version| (Purpose::SharePassword, version)));
    let keys = current_keys(record).into_iter();
    counting.extend(keys.filter_map(|(purpose, key)| Some((purpose, key.version_id.clone()?))));
    counting
}

/// Runs a program to its end on some input and gives its output. What it reads may be a secret, so
/// it travels by pipe.
pub(crate) fn piped(program: impl AsRef<Path>, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>> {
    let program = program.as_ref();
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(rig::repository())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {}", program.display()))?;
    let mut stdin = child.stdin.take().context("no pipe")?;
    stdin.write_all(input)?;
    drop(stdin);
    let output = child.wait_with_output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} {arguments:?}: {errors}", program.display());
    Ok(output.stdout)
}
