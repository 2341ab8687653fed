//! Whether the stack is as its template says.

use aws::auditing::{Drift, DriftedResource};
use reading::ReadError;

use super::{Auditing, Check, Finding, Row};

pub(super) async fn row(auditing: &impl Auditing, stack: Option<&str>) -> Row {
    let finding = match stack {
        Some(stack) => judge(auditing.drift(stack).await),
        None => Finding::unknown("not asked for: name the stack as `stack` in `[audit]`"),
    };
    finding.row(Check::Drift, &stack.unwrap_or("(no stack)"))
}

fn judge(drift: Result<Drift, ReadError>) -> Finding {
    match drift {
        Err(ReadError::Refused { name, code }) => Finding::unknown(format!(
            "CloudFormation looks for no drift of {name} ({code}): is there a stack of this name, of which \
             nobody else is looking for drift?"
        )),
        Err(error) => Finding::of(&error),
        Ok(Drift { drifted, incomplete: None }) if drifted.is_empty() => Finding::ok(
            "all that CloudFormation can compare is as the template says; custom resources it does not",
        ),
        Ok(Drift { drifted, incomplete: Some(why) }) if drifted.is_empty() => {
            Finding::unknown(format!("CloudFormation could not compare all of it: {why}"))
        }
        Ok(Drift { drifted, incomplete }) => {
            let listed: Vec<String> = drifted.iter().map(told).collect();
            let rest = incomplete.map(|why| format!("; and it could not compare all of it: {why}"));
            Finding::fault(format!(
                "not as the template says: {}{}",
                listed.join(", "),
                rest.unwrap_or_default()
            ))
        }
    }
}

fn told(resource: &DriftedResource) -> String {
    let DriftedResource { name, kind, properties } = resource;
    match properties.as_slice() {
        [] => format!("{name} ({kind}) was deleted"),
        properties => format!("{name} ({kind}) differs in {}", properties.join(" and ")),
    }
}
