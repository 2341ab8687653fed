//! What the templates of the two shapes give each account's stack: parameters of a stack set, and the account's own.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use policies::template::{Resolved, Stack, Template};
use serde_json::Value;

/// Where stack sets are administered.
const STACK: &str =
    "arn:aws:cloudformation:us-east-1:999988887777:stack/cluster/51af3dc0-da77-11e4-872e-1234567db123";
/// Parameters that a stack set gives and the template does not have before it is packaged.
const OF_PACKAGED: [&str; 2] = ["CodeBucket", "CodePrefix"];

/// The parameters of one stack.
pub(crate) type Parameters = BTreeMap<String, String>;

/// A template of `stacks`, for some accounts with a node each.
pub(crate) struct StackSets {
    resolved: Resolved,
}

impl StackSets {
    /// `accounts` are those of the nodes 0, 1 and so on.
    pub(crate) fn of(file: &str, accounts: &[String], given: &[(&str, &str)]) -> Result<Self> {
        let text = std::fs::read_to_string(rig::repository().join("stacks").join(file))?;
        let list =
            |item: &dyn Fn(usize) -> String| (0..accounts.len()).map(item).collect::<Vec<_>>().join(",");
        let (nodes, domains) =
            (list(&|index| index.to_string()), list(&|index| format!("n{index}.example.com")));
        let (zones, ranges) =
            (list(&|_| "Z0123456789ABC".to_owned()), list(&|index| format!("10.{index}.0.0/16")));
        let accounts = accounts.join(",");
        let ours = [
            ("Accounts", accounts.as_str()),
            ("Nodes", nodes.as_str()),
            ("SdkDomains", domains.as_str()),
            ("HostedZoneIds", zones.as_str()),
            ("VpcCidrs", ranges.as_str()),
            ("CoreTemplateUrl", "https://code.s3.amazonaws.com/core.node.json"),
            ("CodeBucket", "code"),
            ("NodeArchiveKey", "node.tar.gz"),
            ("NodeArchiveSha256", "00"),
        ];
        let stack = Stack::new(STACK).context("no stack's id")?;
        let given = ours.into_iter().chain(given.iter().copied());
        let stack = given.fold(stack, |stack, (name, value)| stack.parameter(name, value));
        Ok(Self { resolved: Template::read(&text)?.resolve(&stack)? })
    }

    /// The value of an output.
    pub(crate) fn output(&self, name: &str) -> Result<String> {
        let value = self.resolved.output(name)?;
        Ok(value.as_str().with_context(|| format!("{name} is no text"))?.to_owned())
    }

    /// What a stack set gives the stacks of each account.
    pub(crate) fn parameters(&self, set: &str) -> Result<BTreeMap<String, Parameters>> {
        let properties = self.resolved.resource(set)?;
        let common = listed(&properties["Parameters"])?;
        let groups = properties["StackInstancesGroup"].as_array().context("no instances")?;
        let group = |group: &Value| {
            let account = group["DeploymentTargets"]["Accounts"][0].as_str().context("no account")?;
            let mut parameters = common.clone();
            parameters.extend(listed(&group["ParameterOverrides"])?);
            if set == "KmsStacks" {
                parameters.retain(|name, _| !OF_PACKAGED.contains(&name.as_str()));
            }
            Ok((account.to_owned(), parameters))
        };
        groups.iter().map(group).collect()
    }
}

fn listed(parameters: &Value) -> Result<Parameters> {
    let parameters = parameters.as_array().context("no parameters")?.iter();
    let text = |value: &Value| Some(value.as_str()?.to_owned());
    let entry = |entry: &Value| Some((text(&entry["ParameterKey"])?, text(&entry["ParameterValue"])?));
    let entry = |given: &Value| entry(given).with_context(|| format!("no parameter: {given}"));
    parameters.map(entry).collect()
}
