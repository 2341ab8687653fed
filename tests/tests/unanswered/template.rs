//! The template's numbers: what waits for what, and for how long.

use anyhow::{Context as _, Result, ensure};

/// The longest that CloudFormation waits for a custom resource, in seconds (CloudFormation Template
/// Reference, `AWS::CloudFormation::CustomResource`, `ServiceTimeout`).
const LONGEST: u64 = 3600;
/// What Lambda waits before the retries of an asynchronous event, in seconds (Lambda Developer
/// Guide, "How Lambda handles errors and retries with asynchronous invocation").
const PAUSES: [u64; 2] = [60, 120];
/// What is kept for those and for what else takes time, in seconds.
const RESERVE: u64 = 300;

/// The template.
pub(crate) fn text() -> Result<String> {
    Ok(std::fs::read_to_string(rig::template())?)
}

/// A template without one of its resources, and with nothing that depends on it.
pub(crate) fn without(template: &str, resource: &str) -> Result<String> {
    let block = block(template, resource)?;
    let template = template.replace(&block, "").replace(&format!("{resource}, "), "");
    ensure!(!template.contains(resource), "something still names {resource}");
    Ok(template)
}

/// A number in one of the template's resources; of those that a condition chooses from, the last, which
/// the template's defaults lead to.
pub(crate) fn number(resource: &str, name: &str) -> Result<u64> {
    let block = block(&text()?, resource)?;
    let mut lines = block.lines().filter_map(|line| line.trim_start().strip_prefix(&format!("{name}: ")));
    let number = lines.next().with_context(|| format!("{resource} has no {name}"))?;
    ensure!(lines.next().is_none(), "{resource} has more than one {name}");
    let last = number.trim_end_matches(']').rsplit(' ').next().unwrap_or(number);
    Ok(last.parse()?)
}

/// A resource as it stands in a template: its name, and what is indented under it.
fn block(template: &str, resource: &str) -> Result<String> {
    let name = format!("  {resource}:");
    let lines = template.lines().skip_while(|line| **line != name);
    let body = lines.clone().skip(1).take_while(|line| line.is_empty() || line.starts_with("   "));
    let block: Vec<_> = lines.take(1).chain(body).collect();
    ensure!(block.len() > 1, "the template has no {resource}");
    Ok(block.join("\n"))
}

/// A function and its asynchronous invocation, in the template's numbers.
struct Asynchronous {
    timeout: u64,
    retries: u64,
    age: u64,
}

impl Asynchronous {
    fn read(function: &str, invocation: &str) -> Result<Self> {
        Ok(Self {
            timeout: number(function, "Timeout")?,
            retries: number(invocation, "MaximumRetryAttempts")?,
            age: number(invocation, "MaximumEventAgeInSeconds")?,
        })
    }

    /// How long it may take until every run has failed.
    fn until_exhausted(&self) -> u64 {
        (self.retries + 1) * self.timeout + RESERVE
    }

    /// How long it may take until its event is too old: it is not looked at while a run lasts.
    fn until_too_old(&self) -> u64 {
        self.age + self.timeout
    }

    /// When its last retry begins at the latest.
    fn last_retry(&self) -> u64 {
        self.retries * self.timeout + PAUSES.iter().sum::<u64>()
    }
}

#[test]
fn cloudformation_waits_for_every_run_of_node_keys_and_then_of_unanswered() -> Result<()> {
    let node_keys = Asynchronous::read("NodeKeysFunction", "NodeKeysInvocation")?;
    let unanswered = Asynchronous::read("UnansweredFunction", "UnansweredInvocation")?;
    let waits = number("Keys", "ServiceTimeout")?;
    assert!(waits <= LONGEST);
    assert!(node_keys.until_exhausted() <= waits);
    for given_up in [node_keys.until_exhausted(), node_keys.until_too_old()] {
        for answered in [unanswered.until_exhausted(), unanswered.until_too_old()] {
            assert!(given_up + answered <= waits, "{given_up} + {answered} > {waits}");
        }
    }
    for function in [node_keys, unanswered] {
        assert!(function.retries <= 2, "Lambda has no more");
        assert!(function.last_retry() <= function.age, "an event that is too old for its last retry");
    }
    Ok(())
}
