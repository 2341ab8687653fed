//! What the templates of the two shapes give each account's stack: parameters of a stack set, and the account's own.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use policies::template::{Resolved, Stack, Template};
use serde_json::Value;

/// Where stack sets are administered.
const STACK: &str =
    "arn:aws:cloudformation:us-east-1:999988887777:stack/cluster/51af3dc0-da77-11e4-872e-1234567db123";
/// Parameters that a stack set gives and the template does not have before it is packaged.
const OF_PACKAGED: [&str; 2] = ["CodeBucket", "CodePrefix"];

/// What the templates call the sets of each place.
const KINDS: [&str; 2] = ["KmsStacks", "CoreStacks"];

/// The parameters of one stack.
pub(crate) type Parameters = BTreeMap<String, String>;

/// A template of `stacks`, for some accounts with a node each.
pub(crate) struct StackSets {
    text: String,
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
        let places = 0..accounts.len();
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
        let ids = places.flat_map(|place| KINDS.map(|kind| format!("{kind}{place}")));
        let stack = ids.fold(stack, |stack, id| stack.physical_id(&id, &id));
        let sets = Self { resolved: Template::read(&text)?.resolve(&stack)?, text };
        sets.go_one_after_the_other()?;
        Ok(sets)
    }

    /// Each account's sets wait for those of the account before it.
    fn go_one_after_the_other(&self) -> Result<()> {
        let ids: Vec<&str> = self.resolved.resources().map(|(id, _)| id).collect();
        let mut before = "";
        // The keys of an account come before its node, and the template has the accounts in their order.
        for id in ids {
            let waits = format!("\n    DependsOn: {before}\n");
            let description = self.resolved.resource(id)?["Description"].take();
            let refers =
                description.as_str().is_some_and(|text| text.ends_with(&format!(", after {before}")));
            let (_, declared) = self.text.split_once(&format!("\n  {id}:\n")).context("no such set")?;
            let (head, _) = declared.split_once("    Properties:\n").context("no properties")?;
            ensure!(
                before.is_empty() || refers || format!("\n{head}").contains(&waits),
                "{id} does not wait for {before}"
            );
            before = id;
        }
        Ok(())
    }

    /// The value of an output.
    pub(crate) fn output(&self, name: &str) -> Result<String> {
        let value = self.resolved.output(name)?;
        Ok(value.as_str().with_context(|| format!("{name} is no text"))?.to_owned())
    }

    /// What the stack sets of one kind give each account's stack. Each has one account and no parameters but its own:
    /// within an organizational unit the handler of stack sets gives all accounts of a set the same.
    pub(crate) fn parameters(&self, kind: &str) -> Result<BTreeMap<String, Parameters>> {
        let of_kind = |id: &str| {
            let place = id.strip_prefix(kind);
            place.is_some_and(|place| place.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let sets = self.resolved.resources().map(|(id, _)| id).filter(|id| of_kind(id));
        let parameters = sets.map(|id| {
            let properties = self.resolved.resource(id)?;
            let groups = properties["StackInstancesGroup"].as_array().context("no instances")?;
            let [group] = &groups[..] else { bail!("{id} has {} groups of instances", groups.len()) };
            ensure!(group["ParameterOverrides"].is_null(), "{id} gives an account other parameters");
            let targets = group["DeploymentTargets"]["Accounts"].as_array().context("no accounts")?;
            let [account] = &targets[..] else { bail!("{id} has {} accounts", targets.len()) };
            let account = account.as_str().context("no account")?;
            let name = properties["StackSetName"].as_str().context("no name")?;
            ensure!(name.ends_with(&format!("-{account}")), "{name} is not named after {account}");
            let mut parameters = listed(&properties["Parameters"])?;
            if let (Some(own), Some(others)) = (parameters.get("Pins"), parameters.get("MorePins")) {
                ensure!(!others.split(',').any(|pin| pin == own), "{id} gives {own} twice");
            }
            if kind == "KmsStacks" {
                parameters.retain(|name, _| !OF_PACKAGED.contains(&name.as_str()));
            }
            Ok((account.to_owned(), parameters))
        });
        parameters.collect()
    }
}

fn listed(parameters: &Value) -> Result<Parameters> {
    let parameters = parameters.as_array().context("no parameters")?.iter();
    let text = |value: &Value| Some(value.as_str()?.to_owned());
    let entry = |entry: &Value| Some((text(&entry["ParameterKey"])?, text(&entry["ParameterValue"])?));
    let entry = |given: &Value| entry(given).with_context(|| format!("no parameter: {given}"));
    parameters.map(entry).collect()
}
