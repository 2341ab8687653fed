//! Statements: whom they are about, which actions, which resources.

use std::iter::once_with;

use serde_json::{Map, Value};

use crate::{
    answers, arn,
    condition::{self, Condition, NoAnswer},
    context::Context,
    error::PolicyError,
    pattern::{Pattern, Syntax, Unresolved, Wildcards},
    place::{Place, strings},
    policy::only,
    principal::Principal,
    principals::{Match, Principals},
};

/// What kind of policy a statement stands in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    /// Attached to who asks: no Principal.
    Identity,
    /// Attached to what is asked for: a Principal, and a Resource.
    Resource,
    /// Attached to a role, to say who takes it: a Principal, and no Resource.
    Trust,
}

/// One statement.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    sid: Option<String>,
    index: usize,
    allows: bool,
    principals: Option<Principals>,
    actions: Listed,
    resources: Option<Listed>,
    conditions: Vec<Condition>,
}

/// An element and its negation: `Action` and `NotAction`, `Resource` and `NotResource`.
#[derive(Clone, Debug)]
struct Listed {
    patterns: Vec<Pattern>,
    negated: bool,
}

impl Statement {
    pub(crate) fn parse(
        value: &Value,
        form: Form,
        index: usize,
        variables: bool,
        place: &Place<'_>,
    ) -> Result<Self, PolicyError> {
        let object = value.as_object().ok_or_else(|| place.malformed("an object is needed"))?;
        let sid = sid(object, form, place)?;
        let place = &sid.as_ref().map_or_else(|| place.clone(), |sid| place.called(sid));
        let known = [
            "Sid",
            "Effect",
            "Principal",
            "NotPrincipal",
            "Action",
            "NotAction",
            "Resource",
            "NotResource",
            "Condition",
        ];
        only(object, &known, place)?;
        Ok(Self {
            allows: allows(object, place)?,
            principals: principals(object, form, place)?,
            actions: listed(object, "Action", place, action)?
                .ok_or_else(|| place.malformed("neither Action nor NotAction"))?,
            resources: resources(object, form, variables, place)?,
            conditions: match object.get("Condition") {
                Some(value) => condition::parse(value, variables, &place.key("Condition"))?,
                None => Vec::new(),
            },
            sid,
            index,
        })
    }

    pub(crate) fn sid(&self) -> Option<&str> {
        self.sid.as_deref()
    }

    /// The Sid, or the position for want of one.
    pub(crate) fn name(&self) -> String {
        self.sid.clone().unwrap_or_else(|| format!("Statement[{}]", self.index))
    }

    /// Whether the effect is Allow, and not Deny.
    pub(crate) fn allows(&self) -> bool {
        self.allows
    }

    pub(crate) fn condition_keys(&self) -> impl Iterator<Item = &str> {
        self.conditions.iter().map(Condition::key)
    }

    pub(crate) fn named_principals(&self) -> impl Iterator<Item = String> {
        self.principals.iter().flat_map(Principals::arns)
    }

    /// How it names this principal. A statement without Principal is about whom its policy is
    /// attached to.
    pub(crate) fn names(&self, principal: &Principal) -> Option<Match> {
        match &self.principals {
            Some(principals) => principals.matches(principal),
            None => Some(Match::Itself),
        }
    }

    /// Whether it is about this action on this resource, in this context.
    pub(crate) fn applies(&self, action: &str, resource: &str, context: &Context) -> Result<bool, NoAnswer> {
        let unresolved = |Unresolved(key)| NoAnswer::Unresolved(key);
        // One after the other: most statements are about another action, and no more is asked of them.
        let action =
            once_with(|| self.actions.matches(|pattern| pattern.matches_ignoring_case(action, context)));
        let resource = once_with(|| match &self.resources {
            Some(resources) => resources.matches(|pattern| pattern.matches(resource, context)),
            None => Ok(true),
        });
        let mentioned = action.chain(resource).map(|matches| matches.map_err(unresolved));
        answers::all(mentioned.chain(self.conditions.iter().map(|condition| condition.holds(context))))
    }
}

impl Listed {
    fn matches(&self, matches: impl Fn(&Pattern) -> Result<bool, Unresolved>) -> Result<bool, Unresolved> {
        answers::any(self.patterns.iter().map(matches)).map(|listed| listed != self.negated)
    }
}

/// IAM User Guide, "IAM JSON policy elements: Sid": letters and digits. Services that keep policies
/// of resources take more.
fn sid(object: &Map<String, Value>, form: Form, place: &Place<'_>) -> Result<Option<String>, PolicyError> {
    let Some(sid) = object.get("Sid") else { return Ok(None) };
    let place = place.key("Sid");
    let sid = sid.as_str().ok_or_else(|| place.malformed("a string is needed"))?;
    if form == Form::Identity && !sid.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(place.malformed("letters and digits only"));
    }
    Ok(Some(sid.to_owned()))
}

fn allows(object: &Map<String, Value>, place: &Place<'_>) -> Result<bool, PolicyError> {
    match object.get("Effect").and_then(Value::as_str) {
        Some("Allow") => Ok(true),
        Some("Deny") => Ok(false),
        _ => Err(place.key("Effect").malformed("neither Allow nor Deny")),
    }
}

fn principals(
    object: &Map<String, Value>,
    form: Form,
    place: &Place<'_>,
) -> Result<Option<Principals>, PolicyError> {
    if object.contains_key("NotPrincipal") {
        return Err(place.unsupported("NotPrincipal"));
    }
    match (form, object.get("Principal")) {
        (Form::Identity, None) => Ok(None),
        (Form::Identity, Some(_)) => Err(place.malformed("a policy of a role or user has no Principal")),
        (Form::Resource | Form::Trust, None) => Err(place.malformed("Principal is missing")),
        (Form::Resource | Form::Trust, Some(value)) => {
            Principals::parse(value, &place.key("Principal")).map(Some)
        }
    }
}

fn resources(
    object: &Map<String, Value>,
    form: Form,
    variables: bool,
    place: &Place<'_>,
) -> Result<Option<Listed>, PolicyError> {
    let listed = listed(object, "Resource", place, |text, place| resource(text, variables, place))?;
    match (form, &listed) {
        (Form::Trust, Some(_)) => Err(place.malformed("a trust policy has no Resource")),
        (Form::Identity | Form::Resource, None) => Err(place.malformed("neither Resource nor NotResource")),
        (Form::Trust, None) | (Form::Identity | Form::Resource, Some(_)) => Ok(listed),
    }
}

/// Reads `X`, or `NotX`; both at once is malformed.
fn listed(
    object: &Map<String, Value>,
    name: &str,
    place: &Place<'_>,
    read: impl Fn(&str, &Place<'_>) -> Result<Pattern, PolicyError>,
) -> Result<Option<Listed>, PolicyError> {
    let not = format!("Not{name}");
    let (value, place, negated) = match (object.get(name), object.get(&not)) {
        (Some(_), Some(_)) => return Err(place.malformed(format!("both {name} and {not}"))),
        (Some(value), None) => (value, place.key(name), false),
        (None, Some(value)) => (value, place.key(&not), true),
        (None, None) => return Ok(None),
    };
    let patterns =
        strings(value, &place)?.into_iter().map(|text| read(text, &place)).collect::<Result<_, _>>()?;
    Ok(Some(Listed { patterns, negated }))
}

/// IAM User Guide, "IAM JSON policy elements: Action": `service:Action`, or `*` for every action of
/// every service. Wildcards stand in the action, not in the service.
fn action(text: &str, place: &Place<'_>) -> Result<Pattern, PolicyError> {
    let is_well_formed = text == "*"
        || text.split_once(':').is_some_and(|(service, action)| {
            let word = |text: &str, more: &[u8]| {
                !text.is_empty()
                    && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
            };
            word(service, b"-") && word(action, b"*?")
        });
    if !is_well_formed {
        return Err(place.malformed(format!("{text} is no action")));
    }
    Pattern::parse(text, Syntax { wildcards: Wildcards::Any, variables: false }, place)
}

/// IAM User Guide, "IAM JSON policy elements: Resource" and "Identify AWS resources with ARNs": `*`,
/// or an ARN whose partition and service stand for themselves; "Variables and tags": variables only
/// after the fifth colon.
fn resource(text: &str, variables: bool, place: &Place<'_>) -> Result<Pattern, PolicyError> {
    if text == "*" {
        return Pattern::parse(text, Syntax { wildcards: Wildcards::Any, variables: false }, place);
    }
    let Some([_, partition, service, region, account, _]) = arn::parts(text) else {
        // In a policy of a role or user, AWS puts wildcards for the parts that are missing.
        return Err(match text.strip_prefix("arn:") {
            Some(_) => place.unsupported(format!("the incomplete ARN {text}")),
            None => place.malformed(format!("{text} is neither * nor an ARN")),
        });
    };
    let is_service = !service.is_empty() && service.bytes().all(|b| b == b'-' || b.is_ascii_alphanumeric());
    if !arn::is_partition(partition) || !is_service {
        return Err(place.malformed(format!("{text}: partition and service stand for themselves")));
    }
    if variables && [region, account].iter().any(|part| part.contains("${")) {
        return Err(place.malformed(format!("{text}: a variable before the fifth colon")));
    }
    Pattern::parse(text, Syntax { wildcards: Wildcards::Parts, variables }, place)
}
