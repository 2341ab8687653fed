//! The stacks' templates without transforms, for certain nodes and archives of code.

use anyhow::Context as _;
use policies::template::{Expansion, Stack, Template};
use serde_json::Value;

/// What the template says of a function's code that has not been built yet.
#[must_use]
pub fn code_uri(function: &str) -> String {
    format!("target/functions/{function}/bootstrap.zip")
}

/// Expands a template for these nodes. `archives` names for each function the archive with its code,
/// as it is called in the bucket, after the parameter `CodePrefix`.
///
/// # Errors
///
/// When something in it cannot be said without a transform; the message names the place.
pub fn expand<'a>(
    template: &str,
    nodes: &[&str],
    archives: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> anyhow::Result<String> {
    expanded(template, Expansion::default().value("Nodes", nodes), archives)
}

/// Expands a template for one node, whose index stays the parameter `Nodes`: one text for a set of stacks that run a
/// node each.
///
/// # Errors
///
/// As [`expand`].
pub fn expand_for_one<'a>(
    template: &str,
    archives: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> anyhow::Result<String> {
    expanded(template, Expansion::default().one("Nodes"), archives)
}

fn expanded<'a>(
    template: &str,
    expansion: Expansion,
    archives: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> anyhow::Result<String> {
    let with_code =
        |expansion: Expansion, (function, key): (&str, &str)| expansion.code(&code_uri(function), key);
    let expansion = archives.into_iter().fold(expansion, with_code);
    Ok(Template::read(template)?.expand(&expansion)?)
}

/// A stack of the expanded template that stands for others, for what looks at policies only.
const EXAMPLE: &str =
    "arn:aws:cloudformation:eu-central-1:111122223333:stack/keyboot/0f2c1c2e-9f0e-4f9a-8a53-000000000001";

/// The expanded template with every key policy that is written as text as a document, for checkers that cannot see into
/// one. The text is evaluated with these parameters, as CloudFormation would.
///
/// # Errors
///
/// When a policy cannot be evaluated, or is no JSON.
pub fn with_key_policies_read<'a>(
    expanded: &str,
    parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> anyhow::Result<String> {
    let mut document: Value = serde_json::from_str(expanded)?;
    let resources = document["Resources"].as_object_mut().context("a template without resources")?;
    let stack = Stack::new(EXAMPLE).context("not a stack's id")?.parameter("CodeBucket", "code");
    let stack = parameters.into_iter().fold(stack, |stack, (name, value)| stack.parameter(name, value));
    let stack = resources.keys().fold(stack, |stack, id| {
        let arn = format!("arn:aws:iam::111122223333:role/{id}");
        stack.physical_id(id, id).attribute(id, "Arn", arn)
    });
    let resolved = Template::read(expanded)?.resolve(&stack)?;
    for (id, resource) in resources.iter_mut().filter(|(_, resource)| resource["Type"] == "AWS::KMS::Key") {
        resource["Properties"]["KeyPolicy"] = resolved.policy(id, "KeyPolicy")?;
    }
    Ok(serde_json::to_string_pretty(&document)?)
}
