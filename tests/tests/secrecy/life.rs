//! The life of some clusters, with every log switched on: made, extended, failed, rotated, deleted.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_lambda::types::Environment;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rig::cloud::Cloud;
use rig::ministack::MiniStack;
use rig::python::Venv;
use rig::rotating;
use rig::stack::{Deployed, Deployment};
use serde_json::{Value, json};

use crate::places::{self, processes};
use crate::record;
use crate::secret::Secret;

/// Clusters of each curve and each protection: name, `P2pCurve`, `Protection`.
pub(crate) const CLUSTERS: &[(&str, &str, &str)] = &[
    ("p256-envelope", "P-256", "Envelope"),
    ("p256-plain", "P-256", "Service"),
    ("k256-envelope", "secp256k1", "Envelope"),
    ("k256-plain", "secp256k1", "Service"),
];
/// The nodes of each, of which the last is added by an Update.
pub(crate) const NODES: &[&str] = &["0", "1", "2"];
/// Of each node: `p2p-key`, `share-encryption-password`, `management-key` and two of `api-key`.
pub(crate) const PURPOSES: usize = 5;

/// What turns on logs in programs of any kind.
const LOUD: &[(&str, &str)] = &[
    ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
    ("AWS_LAMBDA_LOG_LEVEL", "TRACE"),
    ("AWS_LOG_LEVEL", "trace"),
    ("DEBUG", "*"),
    ("KEYBOOT_LOG", "trace"),
    ("LOG_LEVEL", "trace"),
    // The AWS SDK's own switches for bodies, which count at its finest level.
    ("LOG_SENSITIVE_BODIES", "true"),
    ("LOG_SIGNABLE_BODY", "true"),
    ("RUST_BACKTRACE", "full"),
    ("RUST_LIB_BACKTRACE", "full"),
    ("RUST_LOG", "trace"),
    ("SMITHY_LOG", "trace"),
    ("TRACING_LEVEL", "trace"),
];
/// Errors that come at different moments, and the cluster that then gets a node more: nothing is
/// made yet, some is made, all is made. Of what is not sealed the plaintext itself is under way.
const DENIALS: &[(&str, &str)] = &[
    ("kms:Encrypt", "p256-envelope"),
    ("secretsmanager:CreateSecret", "k256-envelope"),
    ("secretsmanager:CreateSecret", "p256-plain"),
    ("secretsmanager:CreateSecret", "k256-plain"),
    ("kms:Sign", "p256-plain"),
    ("ssm:PutParameter", "k256-plain"),
];
/// What a rotation ends with: by then it has made and stored everything.
const LAST_CALL: &str = "UpdateSecretVersionStage";
/// The policy that denies one action for a while.
const DENIAL: &str = "denied-for-a-while";
/// The stack whose resources the function serves beside its own.
const CLIENT: &str = "clients";

/// A local AWS on which a KMS Stack is deployed.
pub(crate) struct Life {
    pub(crate) ministack: MiniStack,
    pub(crate) venv: Venv,
    pub(crate) root: Cloud,
    /// The role of the function.
    pub(crate) role: String,
    /// The role of the function that rotates.
    pub(crate) rotating_role: String,
    /// The function's `TMPDIR`.
    pub(crate) temporary: PathBuf,
    kms: Deployment,
    kms_id: String,
    key: String,
    function: String,
    client_id: String,
}

impl Life {
    /// Deploys the KMS Stack and an empty stack that it serves, and switches every log on.
    pub(crate) async fn begin() -> Result<Self> {
        let venv = Venv::ready()?;
        let ministack = MiniStack::start(&venv, None)?;
        let root = Cloud::as_root(&ministack.endpoint());
        let kms = Deployment::of_kms_stack(&root, "kms", [("Nodes", "0")]).await?;
        let deployed = kms.create().await?;
        let empty = json!({ "Resources": { "Anchor": anchor() } });
        let client_id = Deployment::new(&root, CLIENT, &empty.to_string()).create().await?.id;
        let kms = kms.with("ClientStackIds", &client_id);
        kms.update().await?;

        let function = deployed.output("NodeKeysFunctionArn")?.to_owned();
        let temporary = ministack.log().with_file_name("functions-tmp");
        std::fs::create_dir(&temporary)?;
        let role = switch_logs_on(&root, &function, &temporary).await?;
        let rotating_role =
            switch_logs_on(&root, deployed.output("KeyRotationFunctionArn")?, &temporary).await?;
        Ok(Self {
            role,
            rotating_role,
            key: deployed.output("KmsKeyArn")?.to_owned(),
            kms_id: deployed.id,
            ministack,
            venv,
            root,
            temporary,
            kms,
            function,
            client_id,
        })
    }

    /// Creates every cluster, adds a node to each, and has operations fail.
    pub(crate) async fn serve_clusters_and_fail(&self) -> Result<()> {
        let (first, all) = (&NODES[..NODES.len() - 1], NODES);
        self.bring(&self.clients(first, None, None), "UPDATE_COMPLETE").await?;
        let processes = processes(&self.ministack)?;
        let loud = processes
            .iter()
            .any(|process| process.variable("RUST_LOG").is_ok_and(|level| level.as_deref() == Some("trace")));
        ensure!(loud, "the function runs without its logs switched on");
        self.bring(&self.clients(all, None, None), "UPDATE_COMPLETE").await?;
        self.fail_for_bad_properties(all).await?;
        for (action, cluster) in DENIALS {
            self.deny(action).await?;
            let stack = self.clients(all, Some(cluster), None);
            let failed = self.bring(&stack, "UPDATE_ROLLBACK_COMPLETE").await;
            self.allow_again().await?;
            let reasons = failed?.reasons().join("\n");
            ensure!(reasons.contains("AccessDenied"), "{action} was not what failed: {reasons}");
        }
        Ok(())
    }

    /// Has secrets of each kind rotated, once where that is denied at first.
    pub(crate) async fn rotate(&self) -> Result<()> {
        let cluster = |name: &str, purpose: &str| format!("keyboot/{name}/node/0/{purpose}");
        let secrets = [
            cluster("p256-envelope", "p2p-key"),
            cluster("p256-plain", "p2p-key"),
            cluster("k256-plain", "api-key/default"),
            cluster("k256-envelope", "management-key"),
        ];
        for secret in &secrets {
            let before = record::read(&self.ministack)?.count();
            self.deny_to(&self.rotating_role, &format!("secretsmanager:{LAST_CALL}")).await?;
            let version = rotating::begin(&self.root, secret).await?;
            // Secrets Manager tries again, and by then it may.
            let denied = self.wait_for_a_denial(before).await;
            self.allow_again_to(&self.rotating_role).await?;
            denied.with_context(|| format!("rotating {secret}"))?;
            rotating::wait(&self.root, &[(secret, &version)], async || Ok(())).await?;
        }
        Ok(())
    }

    /// Waits until the last call of a rotation was denied, after the first `skipped` of all calls.
    async fn wait_for_a_denial(&self, skipped: usize) -> Result<()> {
        for _ in 0..600 {
            if record::read(&self.ministack)?.has_denied(&self.rotating_role, LAST_CALL, skipped) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("{LAST_CALL} was not denied within a minute")
    }

    /// A Create with bad properties is refused before the function calls anything.
    async fn fail_for_bad_properties(&self, nodes: &[&str]) -> Result<()> {
        let bad = [
            ("P2pCurve", json!("Curve25519")),
            ("Password", json!("of the user")),
            ("Nodes", json!("0")),
            ("KmsKeyArn", json!("alias/aws/secretsmanager")),
        ];
        for (property, value) in bad {
            let before = record::read(&self.ministack)?.count();
            let mut resource = self.cluster("bad", "P-256", "Envelope", nodes);
            resource["Properties"][property] = value;
            let stack = self.clients(nodes, None, Some(resource));
            let failed = self.bring(&stack, "UPDATE_ROLLBACK_COMPLETE").await?;
            let reasons = failed.reasons().join("\n");
            ensure!(reasons.contains(property), "{property} was not what failed: {reasons}");
            let calls = record::read(&self.ministack)?;
            let until_refused = calls.before_the_first_failure(before).context("no answer said FAILED")?;
            let made: Vec<_> = calls
                .of_role(&self.role, before)
                .filter(|call| call["sequence"].as_u64() < Some(until_refused))
                .map(|call| call["operation"].to_string())
                .collect();
            ensure!(made.is_empty(), "with a bad {property} the function called {made:?}");
        }
        Ok(())
    }

    /// Deletes the client stack: first it may not, then it may.
    pub(crate) async fn delete_clusters(&self) -> Result<()> {
        self.deny("secretsmanager:DeleteSecret").await?;
        let stack = self.clients(NODES, None, None);
        stack.begin_delete().await?;
        let failed = stack.wait(&self.client_id, |_| ()).await;
        self.allow_again().await?;
        let failed = failed?;
        ensure!(failed.status == "DELETE_FAILED", "{}: {:?}", failed.status, failed.reasons());
        stack.delete(&self.client_id).await?;
        Ok(())
    }

    /// Deletes the KMS Stack, and with it the function.
    pub(crate) async fn delete_the_kms_stack(&self) -> Result<()> {
        self.kms.delete(&self.kms_id).await.map(drop)
    }

    /// Waits until what the function printed of each event is in its log: it answers before it ends.
    pub(crate) async fn wait_for_the_logs(&self) -> Result<()> {
        let answers = record::read(&self.ministack)?.answer_count();
        for _ in 0..100 {
            if places::function_logs(&self.root).await?.matches("keyboot.served").count() >= answers {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("the log has not told of all {answers} answers after ten seconds")
    }

    /// Every secret that is in the store now, as whoever may read it reads it.
    pub(crate) async fn read_the_store(&self) -> Result<Vec<Secret>> {
        let mut secrets = Vec::new();
        let mut pages = self.root.secrets().list_secrets().into_paginator().send();
        let mut listed = Vec::new();
        while let Some(page) = pages.next().await {
            listed.extend(page?.secret_list.unwrap_or_default());
        }
        for entry in listed {
            let name = entry.name.context("a secret without a name")?;
            secrets.push(stored(&self.root, &name).await?);
        }
        Ok(secrets)
    }

    /// Updates the client stack, which must end so; gives only the events of this update.
    async fn bring(&self, stack: &Deployment, wanted: &str) -> Result<Deployed> {
        let mut known = HashSet::new();
        stack.wait(&self.client_id, |event| known.extend([event.event_id.clone()])).await?;
        stack.begin_update().await?;
        let mut deployed = stack.wait(&self.client_id, |_| ()).await?;
        deployed.events.retain(|event| !known.contains(&event.event_id));
        ensure!(deployed.status == wanted, "{}, not {wanted}: {:?}", deployed.status, deployed.reasons());
        Ok(deployed)
    }

    /// The client stack with these nodes in each cluster, with one more in one of them, and with
    /// one more resource.
    fn clients(&self, nodes: &[&str], growing: Option<&str>, extra: Option<Value>) -> Deployment {
        let mut resources = json!({ "Anchor": anchor() });
        for (name, curve, protection) in CLUSTERS {
            let more: &[&str] = if growing == Some(name) { &["3"] } else { &[] };
            let nodes = [nodes, more].concat();
            resources[name.replace('-', "")] = self.cluster(name, curve, protection, &nodes);
        }
        if let Some(extra) = extra {
            resources["Bad"] = extra;
        }
        Deployment::new(&self.root, CLIENT, &json!({ "Resources": resources }).to_string())
    }

    fn cluster(&self, name: &str, curve: &str, protection: &str, nodes: &[&str]) -> Value {
        json!({
            "Type": "Custom::NodeKeys",
            "Properties": {
                "ServiceToken": self.function,
                "ServiceTimeout": "120",
                "Cluster": name,
                "Nodes": nodes,
                "Applications": ["default", "signing"],
                "KmsKeyArn": self.key,
                "P2pCurve": curve,
                "Protection": protection,
                "RotateApiKeysEvery": "rate(30 days)",
                "RotateP2pKeysEvery": "rate(90 days)",
            },
        })
    }

    async fn deny(&self, action: &str) -> Result<()> {
        self.deny_to(&self.role, action).await
    }

    async fn allow_again(&self) -> Result<()> {
        self.allow_again_to(&self.role).await
    }

    async fn deny_to(&self, role: &str, action: &str) -> Result<()> {
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [{ "Effect": "Deny", "Action": action, "Resource": "*" }],
        });
        let call = self.root.iam().put_role_policy().role_name(role).policy_name(DENIAL);
        call.policy_document(policy.to_string()).send().await?;
        Ok(())
    }

    async fn allow_again_to(&self, role: &str) -> Result<()> {
        let call = self.root.iam().delete_role_policy().role_name(role).policy_name(DENIAL);
        call.send().await?;
        Ok(())
    }
}

/// Switches every log of a function on, and gives its role.
async fn switch_logs_on(root: &Cloud, function: &str, temporary: &Path) -> Result<String> {
    let configuration = root.lambda().get_function_configuration().function_name(function).send().await?;
    let role = configuration.role.as_deref().and_then(|arn| arn.rsplit('/').next());
    let mut variables =
        configuration.environment.and_then(|environment| environment.variables).unwrap_or_default();
    variables.extend(LOUD.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    variables.insert("SSLKEYLOGFILE".into(), temporary.join("session-keys").display().to_string());
    variables.insert("TMPDIR".into(), temporary.display().to_string());
    let environment = Environment::builder().set_variables(Some(variables)).build();
    let call = root.lambda().update_function_configuration().function_name(function);
    call.environment(environment).send().await?;
    role.context("the function has no role").map(str::to_owned)
}

/// A resource that is there for the stack not to be empty.
fn anchor() -> Value {
    json!({ "Type": "AWS::SSM::Parameter", "Properties": { "Name": "/anchor", "Type": "String", "Value": "x" } })
}

/// A secret that is in the store now, as whoever may read it reads it.
pub(crate) async fn stored(root: &Cloud, name: &str) -> Result<Secret> {
    let value = root.secrets().get_secret_value().secret_id(name).send().await?;
    let text = value.secret_string.with_context(|| format!("{name} is no text"))?;
    let envelope = serde_json::from_str::<Value>(&text).ok().filter(|json| json["sealed"].is_string());
    let plaintext = match envelope {
        Some(envelope) => open(root, &envelope).await.with_context(|| format!("opening {name}"))?,
        None => text.into_bytes(),
    };
    Secret::read(name, &plaintext)
}

async fn open(root: &Cloud, envelope: &Value) -> Result<Vec<u8>> {
    let context: HashMap<String, String> = serde_json::from_value(envelope["context"].clone())?;
    let ciphertext = STANDARD.decode(envelope["sealed"].as_str().unwrap_or_default())?;
    let call = root.kms().decrypt().key_id(envelope["keyArn"].as_str().unwrap_or_default());
    let call = call.set_encryption_context(Some(context)).ciphertext_blob(Blob::new(ciphertext));
    Ok(call.send().await?.plaintext.context("KMS gave no plaintext")?.into_inner())
}
