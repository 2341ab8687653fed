//! Every place that somebody may read who may read no secret.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use aws_sdk_ssm::types::{ParameterStringFilter, ResourceTypeForTagging};
use rig::cloud::Cloud;
use rig::functions::{Build, bootstrap};
use rig::ministack::MiniStack;

use crate::record;

pub(crate) const FUNCTION_LOGS: &str = "the functions' logs in CloudWatch";
pub(crate) const EMULATOR_LOG: &str = "the log of the emulator";
pub(crate) const ANSWERS: &str = "the answers to CloudFormation";
pub(crate) const REASONS: &str = "the stack events' reasons";
pub(crate) const OUTPUTS: &str = "the stacks' outputs";
pub(crate) const EXPORTS: &str = "the exports";
pub(crate) const PARAMETER_VALUES: &str = "the parameters' values";
pub(crate) const PARAMETER_DESCRIPTIONS: &str = "the parameters' descriptions";
pub(crate) const PARAMETER_TAGS: &str = "the parameters' tags";
pub(crate) const SECRET_DESCRIPTIONS: &str = "the secrets' descriptions";
pub(crate) const SECRET_TAGS: &str = "the secrets' tags";
pub(crate) const KEYS: &str = "the KMS keys' descriptions, policies and tags";
pub(crate) const INLINE_POLICIES: &str = "the roles' trust and inline policies";
pub(crate) const MANAGED_POLICIES: &str = "the managed policies";
pub(crate) const CONFIGURATIONS: &str = "the functions' configurations";
pub(crate) const WORKING_FOLDER: &str = "the functions' working folder";
pub(crate) const TEMPORARY_FOLDER: &str = "the functions' temporary folder";
pub(crate) const ENVIRONMENT: &str = "the environment of the functions' processes";
pub(crate) const COMMAND_LINE: &str = "the command line of the functions' processes";

/// All of them.
pub(crate) const PLACES: &[&str] = &[
    FUNCTION_LOGS,
    EMULATOR_LOG,
    ANSWERS,
    REASONS,
    OUTPUTS,
    EXPORTS,
    PARAMETER_VALUES,
    PARAMETER_DESCRIPTIONS,
    PARAMETER_TAGS,
    SECRET_DESCRIPTIONS,
    SECRET_TAGS,
    KEYS,
    INLINE_POLICIES,
    MANAGED_POLICIES,
    CONFIGURATIONS,
    WORKING_FOLDER,
    TEMPORARY_FOLDER,
    ENVIRONMENT,
    COMMAND_LINE,
];

/// Where nothing stands if all is well.
pub(crate) const MAY_BE_EMPTY: &[&str] = &[WORKING_FOLDER, TEMPORARY_FOLDER, PARAMETER_DESCRIPTIONS];

/// What stands in each place.
pub(crate) type Found = BTreeMap<&'static str, Vec<u8>>;

/// Reads every place as it is now.
pub(crate) async fn look(ministack: &MiniStack, root: &Cloud) -> Result<Found> {
    let mut found: Found = PLACES.iter().map(|place| (*place, Vec::new())).collect();
    let mut add = |place, text: &dyn AsRef<[u8]>| {
        let place: &mut Vec<u8> = found.entry(place).or_default();
        place.extend_from_slice(text.as_ref());
        place.push(b'\n');
    };
    logs(root, &mut add).await.context("the logs")?;
    add(EMULATOR_LOG, &std::fs::read(ministack.log())?);
    add(ANSWERS, &record::read(ministack)?.answers());
    stacks(root, &mut add).await.context("the stacks")?;
    parameters(root, &mut add).await.context("the parameters")?;
    secrets(root, &mut add).await.context("the secrets")?;
    keys(root, &mut add).await.context("the keys")?;
    policies(root, &mut add).await.context("the policies")?;
    configurations(root, &mut add).await.context("the functions")?;
    for process in processes(ministack)? {
        process.look(&mut add)?;
    }
    Ok(found)
}

/// How a text is added to its place.
type Add<'a> = &'a mut dyn FnMut(&'static str, &dyn AsRef<[u8]>);

/// What all functions wrote until now.
pub(crate) async fn function_logs(root: &Cloud) -> Result<String> {
    let mut text = String::new();
    let mut add = |_, line: &dyn AsRef<[u8]>| text.push_str(&String::from_utf8_lossy(line.as_ref()));
    logs(root, &mut add).await?;
    Ok(text)
}

async fn logs(root: &Cloud, add: Add<'_>) -> Result<()> {
    let client = root.logs();
    for group in client.describe_log_groups().send().await?.log_groups.unwrap_or_default() {
        let name = group.log_group_name.unwrap_or_default();
        let mut streams = client.describe_log_streams().log_group_name(&name).into_paginator().items().send();
        while let Some(stream) = streams.next().await {
            let stream = stream?.log_stream_name.unwrap_or_default();
            let call = client.get_log_events().log_group_name(&name).log_stream_name(stream);
            let mut pages = call.start_from_head(true).into_paginator().send();
            while let Some(page) = pages.next().await {
                for event in page?.events.unwrap_or_default() {
                    add(FUNCTION_LOGS, &event.message.unwrap_or_default());
                }
            }
        }
    }
    Ok(())
}

async fn stacks(root: &Cloud, add: Add<'_>) -> Result<()> {
    let client = root.cloudformation();
    // With the deleted ones.
    for stack in client.list_stacks().send().await?.stack_summaries.unwrap_or_default() {
        let id = stack.stack_id.unwrap_or_default();
        let mut pages = client.describe_stack_events().stack_name(&id).into_paginator().send();
        while let Some(page) = pages.next().await {
            for event in page?.stack_events.unwrap_or_default() {
                add(REASONS, &event.resource_status_reason.unwrap_or_default());
            }
        }
        let described = client.describe_stacks().stack_name(&id).send().await?;
        for output in
            described.stacks.unwrap_or_default().into_iter().flat_map(|s| s.outputs.unwrap_or_default())
        {
            add(OUTPUTS, &output.output_value.unwrap_or_default());
        }
    }
    for export in client.list_exports().send().await?.exports.unwrap_or_default() {
        add(EXPORTS, &export.value.unwrap_or_default());
    }
    Ok(())
}

async fn parameters(root: &Cloud, add: Add<'_>) -> Result<()> {
    let client = root.parameters();
    let mut pages = client.get_parameters_by_path().path("/").recursive(true).into_paginator().send();
    let mut parameters = Vec::new();
    while let Some(page) = pages.next().await {
        parameters.extend(page?.parameters.unwrap_or_default());
    }
    for parameter in parameters {
        let name = parameter.name.unwrap_or_default();
        add(PARAMETER_VALUES, &parameter.value.unwrap_or_default());
        let only = ParameterStringFilter::builder().key("Name").values(&name).build()?;
        match client.describe_parameters().parameter_filters(only).send().await {
            Ok(described) => {
                for description in
                    described.parameters.unwrap_or_default().into_iter().filter_map(|p| p.description)
                {
                    add(PARAMETER_DESCRIPTIONS, &description);
                }
            }
            // The emulator gives a parameter's policies in a form that the SDK does not take: then
            // all that it gave is searched.
            Err(error) => {
                let body = error.raw_response().and_then(|response| response.body().bytes());
                add(PARAMETER_DESCRIPTIONS, &body.context("no description came back")?);
            }
        }
        let call = client.list_tags_for_resource().resource_type(ResourceTypeForTagging::Parameter);
        for tag in call.resource_id(&name).send().await?.tag_list.unwrap_or_default() {
            add(PARAMETER_TAGS, &format!("{}={}", tag.key, tag.value));
        }
    }
    Ok(())
}

async fn secrets(root: &Cloud, add: Add<'_>) -> Result<()> {
    let call = root.secrets().list_secrets().include_planned_deletion(true);
    let mut pages = call.into_paginator().send();
    let mut secrets = Vec::new();
    while let Some(page) = pages.next().await {
        secrets.extend(page?.secret_list.unwrap_or_default());
    }
    for secret in secrets {
        add(SECRET_DESCRIPTIONS, &secret.description.unwrap_or_default());
        for tag in secret.tags.unwrap_or_default() {
            add(SECRET_TAGS, &format!("{}={}", tag.key.unwrap_or_default(), tag.value.unwrap_or_default()));
        }
    }
    Ok(())
}

async fn keys(root: &Cloud, add: Add<'_>) -> Result<()> {
    let client = root.kms();
    for key in client.list_keys().send().await?.keys.unwrap_or_default() {
        let id = key.key_id.unwrap_or_default();
        let described = client.describe_key().key_id(&id).send().await?.key_metadata;
        add(KEYS, &described.and_then(|key| key.description).unwrap_or_default());
        add(KEYS, &client.get_key_policy().key_id(&id).send().await?.policy.unwrap_or_default());
        for tag in client.list_resource_tags().key_id(&id).send().await?.tags.unwrap_or_default() {
            add(KEYS, &format!("{}={}", tag.tag_key, tag.tag_value));
        }
    }
    Ok(())
}

async fn policies(root: &Cloud, add: Add<'_>) -> Result<()> {
    let client = root.iam();
    for role in client.list_roles().send().await?.roles {
        add(INLINE_POLICIES, &role.assume_role_policy_document.unwrap_or_default());
        add(INLINE_POLICIES, &role.description.unwrap_or_default());
        for name in client.list_role_policies().role_name(&role.role_name).send().await?.policy_names {
            let call = client.get_role_policy().role_name(&role.role_name).policy_name(name);
            add(INLINE_POLICIES, &call.send().await?.policy_document);
        }
    }
    let local = client.list_policies().scope(aws_sdk_iam::types::PolicyScopeType::Local);
    for policy in local.send().await?.policies.unwrap_or_default() {
        let arn = policy.arn.unwrap_or_default();
        let versions =
            client.list_policy_versions().policy_arn(&arn).send().await?.versions.unwrap_or_default();
        for version in versions {
            let call = client.get_policy_version().policy_arn(&arn);
            let version =
                call.version_id(version.version_id.unwrap_or_default()).send().await?.policy_version;
            add(MANAGED_POLICIES, &version.and_then(|version| version.document).unwrap_or_default());
        }
    }
    Ok(())
}

async fn configurations(root: &Cloud, add: Add<'_>) -> Result<()> {
    for function in root.lambda().list_functions().send().await?.functions.unwrap_or_default() {
        // What an SDK's `Debug` hides must be seen here.
        let variables = function.environment.as_ref().and_then(|environment| environment.variables.as_ref());
        for (name, value) in variables.into_iter().flatten() {
            add(CONFIGURATIONS, &format!("{name}={value}"));
        }
        add(CONFIGURATIONS, &function.description.unwrap_or_default());
    }
    Ok(())
}

/// A function's process that is running now.
pub(crate) struct Process(PathBuf);

/// The processes whose working folder is where the emulator unpacks functions.
pub(crate) fn processes(ministack: &MiniStack) -> Result<Vec<Process>> {
    let home = ministack.log().parent().map(Path::to_owned).unwrap_or_default();
    let mut processes = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let path = entry?.path();
        // What is no process, or not ours, or has just ended, has none.
        if std::fs::read_link(path.join("cwd")).is_ok_and(|folder| folder.starts_with(&home)) {
            processes.push(Process(path));
        }
    }
    Ok(processes)
}

impl Process {
    /// Its variables, each as `name=value`.
    pub(crate) fn variables(&self) -> Result<Vec<String>> {
        let all = std::fs::read(self.0.join("environ"))?;
        Ok(all.split(|byte| *byte == 0).map(|one| String::from_utf8_lossy(one).into_owned()).collect())
    }

    /// The value of one variable.
    pub(crate) fn variable(&self, name: &str) -> Result<Option<String>> {
        let prefix = format!("{name}=");
        Ok(self.variables()?.iter().find_map(|one| one.strip_prefix(&prefix).map(str::to_owned)))
    }

    fn look(&self, add: Add<'_>) -> Result<()> {
        add(ENVIRONMENT, &self.variables()?.join("\n"));
        add(COMMAND_LINE, &std::fs::read(self.0.join("cmdline"))?);
        files(&std::fs::read_link(self.0.join("cwd"))?, WORKING_FOLDER, add)?;
        if let Some(folder) = self.variable("TMPDIR")? {
            files(Path::new(&folder), TEMPORARY_FOLDER, add)?;
        }
        Ok(())
    }
}

/// Every file below a folder, with its name; our own program, which was built before, is none.
fn files(folder: &Path, place: &'static str, add: Add<'_>) -> Result<()> {
    let program = std::fs::read(bootstrap("node-keys", Build::Local)?)?;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files(&path, place, add)?;
        } else {
            let content = std::fs::read(&path)?;
            if content != program {
                add(place, &path.to_string_lossy().as_bytes());
                add(place, &content);
            }
        }
    }
    Ok(())
}
