//! A local AWS with a KMS Stack and a Core Stack, and the instances of its groups.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use provisioning::names::ClusterName;
use rig::asking::ask;
use rig::cloud::Cloud;
use rig::core_stack::{Uploaded, parameters_of_kms_stack};
use rig::instances::Instances;
use rig::ministack::MiniStack;
use rig::nodes::{ApiKeyReader, as_client, role_of_client};
use rig::python::Venv;
use rig::stack::{Deployed, Deployment};
use serde_json::Value;
use stand_in::{Client, Status};

use crate::calling::until;

/// Whose client calls.
const APPLICATION: &str = "default";
pub(crate) const KMS: &str = "kms";
pub(crate) const CORE: &str = "core";

/// Everything of one test; it ends with this value, the instances first.
pub(crate) struct Stage {
    pub(crate) instances: Instances,
    pub(crate) core: Deployed,
    pub(crate) deployment: Deployment,
    pub(crate) kms: Deployed,
    pub(crate) kms_deployment: Deployment,
    pub(crate) root: Cloud,
    pub(crate) client: ApiKeyReader,
    pub(crate) venv: Venv,
    _ministack: MiniStack,
}

pub(crate) fn cluster() -> ClusterName {
    "keyboot/tsm".parse().expect("a cluster's name")
}

/// A KMS Stack whose nodes are a Core Stack's.
pub(crate) async fn kms_stack(root: &Cloud, name: &str, nodes: u32) -> Result<Deployment> {
    let deployment = Deployment::of_kms_stack(root, name, []).await?;
    let deployment = deployment.with("ClientPrincipals", &format!("default={}", role_of_client()));
    Ok(deployment
        .with_all(parameters_of_kms_stack(nodes).iter().map(|(name, value)| (*name, value.as_str()))))
}

impl Stage {
    /// Both stacks of so many nodes; no instance runs yet.
    pub(crate) async fn set(nodes: u32, more: &[(&str, &str)]) -> Result<Self> {
        let venv = Venv::ready()?;
        let ministack = MiniStack::start(&venv, None)?;
        let root = Cloud::as_root(&ministack.endpoint());
        let kms_deployment = kms_stack(&root, KMS, nodes).await?;
        let kms = kms_deployment.create().await?;
        let uploaded = Uploaded::of(&root, &ministack.database_roots()).await?;
        let deployment = uploaded.deployment(CORE, KMS, &kms, nodes).await?;
        let deployment = deployment.with_all(more.iter().copied());
        let core = deployment.create().await?;
        let client = as_client(&root, &cluster(), APPLICATION).await?;
        let instances = Instances::of(&root, &venv, CORE)?;
        Ok(Self {
            instances,
            core,
            deployment,
            kms,
            kms_deployment,
            root,
            client,
            venv,
            _ministack: ministack,
        })
    }

    /// The same with instances whose nodes answer.
    pub(crate) async fn running(nodes: u32, more: &[(&str, &str)]) -> Result<Self> {
        let mut stage = Box::pin(Self::set(nodes, more)).await?;
        stage.instances.follow().await?;
        for index in 0..nodes {
            stage.instances.wait_until_up(index)?;
        }
        let has_row =
            |status: &Status| status.database.as_ref().is_some_and(|database| database.row.is_some());
        until("each node has its row", 30, async || {
            Ok(stage.statuses(nodes).await.is_ok_and(|found| found.iter().all(has_row)))
        })
        .await?;
        Ok(stage)
    }

    /// A client of the nodes with indexes below `count`, with the keys that it is handed now.
    pub(crate) fn caller(&self, count: u32) -> Client<ApiKeyReader> {
        let nodes = self.instances.sdk().into_iter().filter(|(index, _)| *index < count);
        Client::at(nodes, self.client.clone())
    }

    /// What the first `count` nodes tell of themselves.
    pub(crate) async fn statuses(&self, count: u32) -> Result<Vec<Status>> {
        self.caller(count).statuses().await
    }

    /// Waits until the first `count` nodes reach each other, and each has opened its database.
    pub(crate) async fn wait_until_whole(&self, count: u32) -> Result<()> {
        let has_row = |status: &Status| {
            status.database.as_ref().is_some_and(|database| database.is_connected && database.row.is_some())
        };
        until("all reach each other, and their databases", 60, async || {
            let have_rows = self.statuses(count).await.is_ok_and(|found| found.iter().all(has_row));
            Ok(have_rows && self.reach_each_other(count).await?)
        })
        .await
    }

    /// Whether each of the first `count` nodes reaches all others of them, and knows no more.
    pub(crate) async fn reach_each_other(&self, count: u32) -> Result<bool> {
        let client = self.caller(count);
        for index in 0..count {
            let Ok(called) = client.call(index).await else { return Ok(false) };
            let reached = (0..count).filter(|peer| called.reaches(*peer)).count();
            if reached + 1 != usize::try_from(count)? || called.peers.len() != reached {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Asks a service as root.
    pub(crate) fn ask(&self, service: &str, operation: &str, arguments: &Value) -> Result<Value> {
        ask(&self.venv, &self.root, service, operation, arguments)
    }

    /// The ARN of the secret with a node's database login.
    pub(crate) fn login_secret(&self, index: u32) -> Result<String> {
        self.core.output(&format!("Node{index}LoginSecretArn")).map(str::to_owned)
    }

    /// The current value of a secret, as root reads it.
    pub(crate) async fn value(&self, secret: &str) -> Result<String> {
        let read = self.root.secrets().get_secret_value().secret_id(secret).send().await;
        read.with_context(|| format!("reading {secret}"))?.secret_string.context("no text")
    }

    /// What is secret in each secret that there is, with its name: the value itself, or the parts of JSON that
    /// nobody else is told.
    pub(crate) async fn all_secrets(&self) -> Result<Vec<(String, String)>> {
        let listed = self.root.secrets().list_secrets().max_results(100).send().await?;
        let mut all = Vec::new();
        for secret in listed.secret_list() {
            let name = secret.name().unwrap_or_default().to_owned();
            let value = self.value(&name).await?;
            let parts: Vec<String> = match serde_json::from_str::<Value>(&value) {
                Ok(Value::Object(fields)) => {
                    let secret = fields
                        .iter()
                        .filter(|(field, _)| ["password", "sealed", "pkcs8"].contains(&field.as_str()));
                    secret.filter_map(|(_, value)| value.as_str().map(str::to_owned)).collect()
                }
                _ => vec![value],
            };
            ensure!(!parts.is_empty(), "nothing of {name} is known to be secret");
            all.extend(parts.into_iter().map(|part| (name.clone(), part)));
        }
        Ok(all)
    }

    /// The physical ids of the Core Stack's resources of a type, by logical ids.
    pub(crate) async fn resources(&self, kind: &str) -> Result<BTreeMap<String, String>> {
        resources(&self.root, &self.core.id, kind).await
    }

    /// The physical id of a resource of the Core Stack, by a type and the index at the end of its logical id.
    pub(crate) async fn of_node(&self, kind: &str, index: u32) -> Result<String> {
        let found = self.resources(kind).await?;
        let end = index.to_string();
        let mut found = found.into_iter().filter(|(logical, _)| logical.ends_with(&end));
        let (_, id) = found.next().with_context(|| format!("no {kind} of node {index}"))?;
        ensure!(found.next().is_none(), "more than one {kind} of node {index}");
        Ok(id)
    }
}

/// The physical ids of a stack's resources of a type, by logical ids.
pub(crate) async fn resources(root: &Cloud, stack: &str, kind: &str) -> Result<BTreeMap<String, String>> {
    let mut pages = root.cloudformation().list_stack_resources().stack_name(stack).into_paginator().send();
    let mut found = BTreeMap::new();
    while let Some(page) = pages.next().await {
        for resource in page?.stack_resource_summaries() {
            if resource.resource_type() == Some(kind) {
                let logical = resource.logical_resource_id().unwrap_or_default().to_owned();
                found.insert(logical, resource.physical_resource_id().unwrap_or_default().to_owned());
            }
        }
    }
    Ok(found)
}
