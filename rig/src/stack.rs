//! Deploying stacks through the local CloudFormation, as a user would through the real one.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail};
use aws_sdk_cloudformation::types::{Capability, Parameter, Stack};
pub use aws_sdk_cloudformation::types::{ResourceStatus, StackEvent};
use aws_sdk_s3::primitives::ByteStream;
use sha2::{Digest as _, Sha256};

use crate::cloud::Cloud;
use crate::expanded::{code_uri, expand};
use crate::functions::{self, Build, archive};

/// Where the functions' code is uploaded to.
pub(crate) const BUCKET: &str = "keyboot-code";
/// The longest template that a request holds itself (CloudFormation User Guide, "CloudFormation quotas").
const LONGEST_BODY: usize = 51_200;
/// How often a stack is asked for its state.
const POLL: Duration = Duration::from_millis(100);

/// A stack that is deployed, or about to be.
#[derive(Clone, Debug)]
pub struct Deployment {
    cloud: Cloud,
    name: String,
    template: String,
    parameters: BTreeMap<String, String>,
    keeps_failures: bool,
}

impl Deployment {
    /// The KMS Stack under a name, with parameters other than the template's defaults.
    ///
    /// The functions' code is uploaded and the template told where, which is all that
    /// `aws cloudformation package` does.
    ///
    /// # Errors
    ///
    /// When a function has not been built or cannot be uploaded.
    pub async fn of_kms_stack<'a>(
        cloud: &Cloud,
        name: &str,
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> anyhow::Result<Self> {
        let template = std::fs::read_to_string(crate::template())?;
        Self::of_template(cloud, name, &template, BTreeMap::new(), parameters).await
    }

    /// The KMS Stack of a template other than ours, or with other code in place of some functions'.
    ///
    /// # Errors
    ///
    /// As [`of_kms_stack`](Self::of_kms_stack), and when the template lacks one of the functions.
    pub async fn of_template<'a>(
        cloud: &Cloud,
        name: &str,
        template: &str,
        mut code: BTreeMap<&str, Vec<u8>>,
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> anyhow::Result<Self> {
        let mut template = template.to_owned();
        make_bucket(cloud).await?;
        for function in functions::ALL {
            let archive = match code.remove(function) {
                Some(archive) => archive,
                None => std::fs::read(archive(function, Build::Local)?)?,
            };
            // What the template says of code that has not been uploaded yet.
            let local = format!("CodeUri: {}", code_uri(function));
            if template.matches(&local).count() != 1 {
                bail!("the template does not say `{local}` exactly once");
            }
            let uploaded =
                format!("CodeUri: {{ Bucket: {BUCKET}, Key: {} }}", upload(cloud, archive, "zip").await?);
            template = template.replace(&local, &uploaded);
        }
        let deployment = Self::new(cloud, name, &template);
        // Functions run natively here.
        Ok(deployment.with("Architecture", "x86_64").with_all(parameters))
    }

    /// The KMS Stack without transforms, for certain nodes, as `cargo xtask package` writes it.
    ///
    /// # Errors
    ///
    /// As [`of_kms_stack`](Self::of_kms_stack), and when the template cannot be expanded.
    pub async fn of_expanded(cloud: &Cloud, name: &str, nodes: &[&str]) -> anyhow::Result<Self> {
        make_bucket(cloud).await?;
        let mut archives = Vec::new();
        for function in functions::ALL {
            let code = std::fs::read(archive(function, Build::Local)?)?;
            archives.push((function, upload(cloud, code, "zip").await?));
        }
        let archives = archives.iter().map(|(function, key)| (*function, key.as_str()));
        let template = expand(&std::fs::read_to_string(crate::template())?, nodes, archives)?;
        Ok(Self::new(cloud, name, &template).with("Architecture", "x86_64").with("CodeBucket", BUCKET))
    }

    /// The template that is deployed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.template
    }

    /// Any stack.
    #[must_use]
    pub fn new(cloud: &Cloud, name: &str, template: &str) -> Self {
        Self {
            cloud: cloud.clone(),
            name: name.to_owned(),
            template: template.to_owned(),
            parameters: BTreeMap::new(),
            keeps_failures: false,
        }
    }

    /// The same stack, which is to stay as it is where its creation fails.
    #[must_use]
    pub fn keeping_failures(self) -> Self {
        Self { keeps_failures: true, ..self }
    }

    /// The same stack with one parameter set.
    #[must_use]
    pub fn with(mut self, parameter: &str, value: &str) -> Self {
        self.parameters.insert(parameter.to_owned(), value.to_owned());
        self
    }

    /// What a parameter is set to.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// The same stack with parameters set.
    #[must_use]
    pub fn with_all<'a>(self, parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        parameters.into_iter().fold(self, |deployment, (name, value)| deployment.with(name, value))
    }

    /// Asks for the stack's creation, and gives its id.
    ///
    /// # Errors
    ///
    /// When CloudFormation refuses the template or the parameters.
    pub async fn begin_create(&self) -> anyhow::Result<String> {
        let (body, url) = self.template().await?;
        let call = self.cloud.cloudformation().create_stack().stack_name(&self.name);
        let call = call.set_template_body(body).set_template_url(url);
        let call = call.set_parameters(Some(self.parameters())).set_capabilities(Some(capabilities()));
        let call = call.disable_rollback(self.keeps_failures);
        let created = call.send().await.with_context(|| format!("creating stack {}", self.name))?;
        created.stack_id.context("CloudFormation gave no stack id")
    }

    /// Asks for the stack's update to the present template and parameters.
    ///
    /// # Errors
    ///
    /// When CloudFormation refuses the template or the parameters.
    pub async fn begin_update(&self) -> anyhow::Result<()> {
        let (body, url) = self.template().await?;
        let call = self.cloud.cloudformation().update_stack().stack_name(&self.name);
        let call = call.set_template_body(body).set_template_url(url);
        let call = call.set_parameters(Some(self.parameters())).set_capabilities(Some(capabilities()));
        call.send().await.with_context(|| format!("updating stack {}", self.name))?;
        Ok(())
    }

    /// Asks for the stack's deletion.
    ///
    /// # Errors
    ///
    /// When CloudFormation refuses.
    pub async fn begin_delete(&self) -> anyhow::Result<()> {
        let call = self.cloud.cloudformation().delete_stack().stack_name(&self.name);
        call.send().await.with_context(|| format!("deleting stack {}", self.name))?;
        Ok(())
    }

    /// Creates the stack and waits for it.
    ///
    /// # Errors
    ///
    /// When it does not end in `CREATE_COMPLETE`; the message names the reasons from its events.
    pub async fn create(&self) -> anyhow::Result<Deployed> {
        let id = self.begin_create().await?;
        self.settle(&id, "CREATE_COMPLETE").await
    }

    /// Updates the stack and waits for it.
    ///
    /// # Errors
    ///
    /// When it does not end in `UPDATE_COMPLETE`.
    pub async fn update(&self) -> anyhow::Result<Deployed> {
        self.begin_update().await?;
        self.settle(&self.name, "UPDATE_COMPLETE").await
    }

    /// Deletes the stack and waits for it.
    ///
    /// # Errors
    ///
    /// When it does not end in `DELETE_COMPLETE`.
    pub async fn delete(&self, id: &str) -> anyhow::Result<Deployed> {
        self.begin_delete().await?;
        self.settle(id, "DELETE_COMPLETE").await
    }

    /// Waits until nothing is in progress any more, and gives the stack as it then is. Each new
    /// event is handed to `watch`, the oldest first.
    ///
    /// # Errors
    ///
    /// When the stack cannot be described, or more than five minutes pass.
    pub async fn wait(&self, id: &str, mut watch: impl FnMut(&StackEvent)) -> anyhow::Result<Deployed> {
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..3000 {
            let stacks = self.cloud.cloudformation().describe_stacks().stack_name(id).send().await;
            let stack = stacks.context("describing the stack")?.stacks.unwrap_or_default().pop();
            let stack = stack.context("CloudFormation does not know the stack")?;
            let events = self.events(id).await?;
            for event in &events {
                if seen.insert(event.event_id.clone()) {
                    watch(event);
                }
            }
            let status =
                stack.stack_status.as_ref().map(|status| status.as_str().to_owned()).unwrap_or_default();
            if !status.ends_with("_IN_PROGRESS") {
                return Ok(Deployed {
                    id: stack.stack_id.clone().unwrap_or_default(),
                    status,
                    stack,
                    events,
                });
            }
            tokio::time::sleep(POLL).await;
        }
        bail!("stack {} is still in progress after five minutes", self.name)
    }

    async fn settle(&self, id: &str, wanted: &str) -> anyhow::Result<Deployed> {
        let deployed = self.wait(id, |_| ()).await?;
        if deployed.status != wanted {
            bail!(
                "stack {} is {}, not {wanted}:\n{}",
                self.name,
                deployed.status,
                deployed.reasons().join("\n")
            );
        }
        Ok(deployed)
    }

    /// The stack's events, the oldest first.
    async fn events(&self, id: &str) -> anyhow::Result<Vec<StackEvent>> {
        let mut pages =
            self.cloud.cloudformation().describe_stack_events().stack_name(id).into_paginator().send();
        let mut events = Vec::new();
        while let Some(page) = pages.next().await {
            events.extend(page.context("describing the stack's events")?.stack_events.unwrap_or_default());
        }
        events.reverse();
        Ok(events)
    }

    /// The template for a request: itself, or where it was uploaded to if a request cannot hold it, as
    /// `aws cloudformation deploy --s3-bucket` does.
    async fn template(&self) -> anyhow::Result<(Option<String>, Option<String>)> {
        if self.template.len() <= LONGEST_BODY {
            return Ok((Some(self.template.clone()), None));
        }
        make_bucket(&self.cloud).await?;
        let key = upload(&self.cloud, self.template.clone().into_bytes(), "yaml").await?;
        Ok((None, Some(format!("{}/{BUCKET}/{key}", self.cloud.endpoint()))))
    }

    fn parameters(&self) -> Vec<Parameter> {
        let parameter = |(name, value): (&String, &String)| {
            Parameter::builder().parameter_key(name).parameter_value(value).build()
        };
        self.parameters.iter().map(parameter).collect()
    }
}

pub(crate) async fn make_bucket(cloud: &Cloud) -> anyhow::Result<()> {
    cloud.s3().create_bucket().bucket(BUCKET).send().await.context("making a bucket for the code")?;
    Ok(())
}

/// Uploads code or a template, and gives its key.
pub(crate) async fn upload(cloud: &Cloud, content: Vec<u8>, extension: &str) -> anyhow::Result<String> {
    let key = format!("{}.{extension}", hex::encode(Sha256::digest(&content)));
    put(cloud, &key, content).await?;
    Ok(key)
}

/// Uploads something under a key.
pub(crate) async fn put(cloud: &Cloud, key: &str, content: Vec<u8>) -> anyhow::Result<()> {
    let object = cloud.s3().put_object().bucket(BUCKET).key(key).body(ByteStream::from(content));
    object.send().await.with_context(|| format!("uploading {key}"))?;
    Ok(())
}

fn capabilities() -> Vec<Capability> {
    vec![Capability::CapabilityIam, Capability::CapabilityNamedIam, Capability::CapabilityAutoExpand]
}

/// A stack as CloudFormation left it.
#[derive(Clone, Debug)]
pub struct Deployed {
    /// Its id, a full ARN.
    pub id: String,
    /// Its status.
    pub status: String,
    /// Its description.
    pub stack: Stack,
    /// Its events, the oldest first.
    pub events: Vec<StackEvent>,
}

impl Deployed {
    /// An output.
    ///
    /// # Errors
    ///
    /// When the stack has none of this name.
    pub fn output(&self, name: &str) -> anyhow::Result<&str> {
        let outputs = self.stack.outputs();
        let output = outputs.iter().find(|output| output.output_key() == Some(name));
        output
            .and_then(|output| output.output_value())
            .with_context(|| format!("the stack has no output {name}"))
    }

    /// The reasons that its failed events name, the oldest first.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        let failed = self.events.iter().filter(|event| {
            event.resource_status().is_some_and(|status| status.as_str().ends_with("_FAILED"))
        });
        failed
            .map(|event| {
                let resource = event.logical_resource_id().unwrap_or("?");
                format!("{resource}: {}", event.resource_status_reason().unwrap_or("no reason"))
            })
            .collect()
    }
}
