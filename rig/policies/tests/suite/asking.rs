//! Short ways to ask.

use policies::{
    Context, Decision, EvaluationError, IdentityPolicy, Principal, Request, ResourcePolicy, Target, decide,
};
use serde_json::{Value, json};

pub(crate) const HERE: &str = "111122223333";
pub(crate) const ELSEWHERE: &str = "444455556666";

/// A session of role `reader` in an account.
pub(crate) fn reader(account: &str) -> Principal {
    Principal::role(&format!("arn:aws:iam::{account}:role/reader"), "morning").unwrap()
}

/// The root user of an account.
pub(crate) fn root(account: &str) -> Principal {
    Principal::root(&format!("arn:aws:iam::{account}:root")).unwrap()
}

/// A policy of one statement that allows everything, but for what `statement` says: null takes an element away.
pub(crate) fn allowing(statement: Value) -> Value {
    let mut whole = json!({"Effect": "Allow", "Action": "*", "Resource": "*"});
    let (Value::Object(elements), Some(all)) = (statement, whole.as_object_mut()) else {
        panic!("no object")
    };
    for (name, value) in elements {
        match value {
            Value::Null => all.remove(&name),
            value => all.insert(name, value),
        };
    }
    json!({"Version": "2012-10-17", "Statement": [whole]})
}

pub(crate) fn identity(statement: Value) -> IdentityPolicy {
    IdentityPolicy::parse("identity", &allowing(statement)).unwrap()
}

pub(crate) fn resource(statement: Value) -> ResourcePolicy {
    ResourcePolicy::parse("resource", &allowing(statement)).unwrap()
}

/// Whether the statement, as the reader's only policy, allows a request in its own account.
pub(crate) fn allows(statement: &Value, action: &str, resource: &str, context: Context) -> bool {
    let request = Request::new(reader(HERE), action, resource).with(context);
    answer(&request, &[identity(statement.clone())], &Target::in_account(HERE)).is_allowed()
}

pub(crate) fn answer(request: &Request, identity: &[IdentityPolicy], target: &Target<'_>) -> Decision {
    try_answer(request, identity, target).unwrap()
}

pub(crate) fn try_answer(
    request: &Request,
    identity: &[IdentityPolicy],
    target: &Target<'_>,
) -> Result<Decision, EvaluationError> {
    decide(request, identity, target)
}
