//! The Principal element.
//!
//! IAM User Guide, "AWS JSON policy elements: Principal".

use serde_json::Value;

use crate::{
    arn,
    error::PolicyError,
    place::{Place, strings},
    principal::{Principal, PrincipalKind, is_name, is_session},
};

/// Whom a statement of a resource's policy is about.
#[derive(Clone, Debug)]
pub(crate) struct Principals(Vec<Named>);

/// How a statement names a principal.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Match {
    /// By its account: an Allow leaves the rest to the policies of that account.
    ItsAccount,
    /// As itself, or as one of all.
    Itself,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Named {
    Everyone,
    Account(String),
    /// A role's ARN, which stands for every session of it, or a user's.
    Identity(String),
    /// `arn:aws:sts::…:assumed-role/<name>/<session>`
    Session(String),
    Service(String),
}

impl Principals {
    pub(crate) fn parse(value: &Value, place: &Place<'_>) -> Result<Self, PolicyError> {
        if value.as_str() == Some("*") {
            return Ok(Self(vec![Named::Everyone]));
        }
        let kinds = value.as_object().ok_or_else(|| place.malformed("neither an object nor *"))?;
        if kinds.is_empty() {
            return Err(place.malformed("an empty object"));
        }
        let mut named = Vec::new();
        for (kind, value) in kinds {
            let place = place.key(kind);
            let read = match kind.as_str() {
                "AWS" => Named::aws,
                "Service" => Named::service,
                _ => return Err(place.unsupported("this kind of principal")),
            };
            for text in strings(value, &place)? {
                named.push(read(text, &place)?);
            }
        }
        Ok(Self(named))
    }

    /// How they name this principal, by the closest of those that do.
    pub(crate) fn matches(&self, principal: &Principal) -> Option<Match> {
        self.0.iter().filter_map(|named| named.matches(principal)).max()
    }

    /// The ARNs of the roles and users among them.
    pub(crate) fn arns(&self) -> impl Iterator<Item = String> {
        self.0.iter().filter_map(|named| match named {
            Named::Identity(arn) => Some(arn.clone()),
            Named::Everyone | Named::Account(_) | Named::Session(_) | Named::Service(_) => None,
        })
    }
}

impl Named {
    fn aws(text: &str, place: &Place<'_>) -> Result<Self, PolicyError> {
        if text == "*" {
            return Ok(Self::Everyone);
        }
        if arn::is_account(text) {
            return Ok(Self::Account(text.to_owned()));
        }
        // "You cannot use a wildcard to match part of a principal name or ARN."
        let Some(["arn", partition, service, "", account, resource]) = arn::parts(text) else {
            return Err(place.malformed(format!("{text} is no principal")));
        };
        if !arn::is_partition(partition) || !arn::is_account(account) {
            return Err(place.malformed(format!("{text} is no principal")));
        }
        match (service, resource.split_once('/')) {
            ("iam", None) if resource == "root" => Ok(Self::Account(account.to_owned())),
            ("iam", Some(("role" | "user", name))) if is_name(name) => Ok(Self::Identity(text.to_owned())),
            ("sts", Some(("assumed-role", session))) if is_role_session(session) => {
                Ok(Self::Session(text.to_owned()))
            }
            ("sts", Some(("federated-user", _))) => {
                Err(place.unsupported(format!("{text}, a federated user,")))
            }
            _ => Err(place.malformed(format!("{text} is no principal"))),
        }
    }

    fn service(text: &str, place: &Place<'_>) -> Result<Self, PolicyError> {
        let is_name = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
        if text.contains('.') && is_name(text) {
            return Ok(Self::Service(text.to_owned()));
        }
        Err(place.malformed(format!("{text} is no service principal")))
    }

    fn matches(&self, principal: &Principal) -> Option<Match> {
        let is = |holds: bool, how: Match| holds.then_some(how);
        match self {
            Self::Everyone => Some(Match::Itself),
            Self::Account(account) => is(principal.account() == Some(account), Match::ItsAccount),
            Self::Identity(arn) => is(principal.arn().as_ref() == Some(arn), Match::Itself),
            Self::Session(arn) => is(principal.caller_arn() == *arn, Match::Itself),
            Self::Service(name) => {
                let service = matches!(principal.kind(), PrincipalKind::Service(service) if service == name);
                is(service, Match::Itself)
            }
        }
    }
}

fn is_role_session(text: &str) -> bool {
    text.split_once('/').is_some_and(|(role, session)| is_name(role) && is_session(session))
}
