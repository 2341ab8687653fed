//! The Condition element: operators, and what they say of a request.
//!
//! IAM User Guide, "IAM JSON policy elements: Condition operators".

use serde_json::Value;

use crate::{
    answers::{all, any},
    context::Context,
    error::PolicyError,
    expected::{Expected, booleans, texts},
    keys,
    pattern::Unresolved,
    place::Place,
};

/// One key under one operator.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    key: String,
    test: Test,
}

/// Why a condition has no answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum NoAnswer {
    SeveralValues(String),
    Unresolved(String),
}

#[derive(Clone, Debug)]
enum Test {
    /// `Null`: whether the key is absent.
    Absent(bool),
    Values {
        set: Option<Set>,
        if_exists: bool,
        negated: bool,
        expected: Expected,
    },
}

#[derive(Clone, Copy, Debug)]
enum Set {
    All,
    Any,
}

/// Reads a Condition element.
pub(crate) fn parse(
    value: &Value,
    variables: bool,
    place: &Place<'_>,
) -> Result<Vec<Condition>, PolicyError> {
    let operators = value.as_object().ok_or_else(|| place.malformed("an object is needed"))?;
    let mut conditions = Vec::new();
    for (operator, keys) in operators {
        let place = place.key(operator);
        let keys = keys.as_object().ok_or_else(|| place.malformed("an object is needed"))?;
        for (key, values) in keys {
            conditions.push(Condition::parse(operator, key, values, variables, &place)?);
        }
    }
    Ok(conditions)
}

impl Condition {
    /// The key it asks for.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Whether the request fulfils it.
    pub(crate) fn holds(&self, context: &Context) -> Result<bool, NoAnswer> {
        let actual = context.values(&self.key);
        let (set, if_exists, negated, expected) = match &self.test {
            Test::Absent(absent) => return Ok(actual.is_empty() == *absent),
            Test::Values { set, if_exists, negated, expected } => (*set, *if_exists, *negated, expected),
        };
        if actual.is_empty() && if_exists {
            return Ok(true);
        }
        // "Set operators for multivalued context keys": without a value, of which an empty string is
        // none, ForAllValues is true and ForAnyValue false. Else an absent key does not match, which
        // is what a negated operator asks for.
        let is_empty = set.is_some() && actual.iter().all(String::is_empty);
        let Some(first) = actual.first().filter(|_| !is_empty) else {
            return Ok(match set {
                Some(Set::All) => true,
                Some(Set::Any) => false,
                None => negated,
            });
        };
        // Several values of the policy: any may match, and for a negated operator none may.
        let fits = |actual: &String| {
            let matches = expected.matches(actual, context);
            matches.map(|matches| matches != negated).map_err(|Unresolved(key)| NoAnswer::Unresolved(key))
        };
        match set {
            None if actual.len() > 1 => Err(NoAnswer::SeveralValues(self.key.clone())),
            None => fits(first),
            Some(Set::All) => all(actual.iter().map(fits)),
            Some(Set::Any) => any(actual.iter().map(fits)),
        }
    }

    fn parse(
        operator: &str,
        key: &str,
        values: &Value,
        variables: bool,
        place: &Place<'_>,
    ) -> Result<Self, PolicyError> {
        let here = place.key(key);
        if !keys::is_key(key) {
            return Err(here.unsupported("this condition key"));
        }
        let values = texts(values, &here)?;
        let (set, plain) = match operator.split_once(':') {
            None => (None, operator),
            Some(("ForAllValues", plain)) => (Some(Set::All), plain),
            Some(("ForAnyValue", plain)) => (Some(Set::Any), plain),
            Some(_) => return Err(place.unsupported("this condition operator")),
        };
        let key = key.to_owned();
        if plain == "Null" && set.is_none() {
            let [absent] = booleans(&values, &here)?[..] else {
                return Err(here.malformed("Null takes one value"));
            };
            return Ok(Self { key, test: Test::Absent(absent) });
        }
        let (plain, if_exists) = match plain.strip_suffix("IfExists") {
            Some(plain) => (plain, true),
            None => (plain, false),
        };
        if set.is_none() && keys::has_several_values(&key) {
            return Err(
                here.malformed("this key has several values: ForAllValues: or ForAnyValue: is needed")
            );
        }
        let expected = Expected::read(plain, &values, variables, &here)?;
        let (negated, expected) = expected.ok_or_else(|| place.unsupported("this condition operator"))?;
        Ok(Self { key, test: Test::Values { set, if_exists, negated, expected } })
    }
}
