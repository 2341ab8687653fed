//! The values of a condition, as its operator reads them.

use std::cmp::Ordering;

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde_json::Value;

use crate::{
    answers::{all, any},
    arn,
    context::Context,
    error::PolicyError,
    pattern::{Pattern, Syntax, Unresolved, Wildcards},
    place::Place,
};

/// What a value of the request is compared with.
#[derive(Clone, Debug)]
pub(crate) enum Expected {
    Texts { patterns: Vec<Pattern>, ignore_case: bool },
    Arns(Vec<[Pattern; 6]>),
    Booleans(Vec<bool>),
    Numbers(Vec<f64>, Comparison),
    Dates(Vec<Timestamp>, Comparison),
}

/// How a number or a date stands to another.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Expected {
    /// What the values are to this operator, and whether it is negated; none for an operator that is
    /// not known.
    pub(crate) fn read(
        operator: &str,
        values: &[String],
        variables: bool,
        place: &Place<'_>,
    ) -> Result<Option<(bool, Self)>, PolicyError> {
        let reader = Reader { values, variables, place };
        let (negated, expected) = match operator {
            "StringEquals" => (false, reader.texts(Wildcards::None, false)?),
            "StringNotEquals" => (true, reader.texts(Wildcards::None, false)?),
            "StringEqualsIgnoreCase" => (false, reader.texts(Wildcards::None, true)?),
            "StringNotEqualsIgnoreCase" => (true, reader.texts(Wildcards::None, true)?),
            "StringLike" => (false, reader.texts(Wildcards::Any, false)?),
            "StringNotLike" => (true, reader.texts(Wildcards::Any, false)?),
            // "ArnEquals and ArnLike behave identically", and so do their negations.
            "ArnEquals" | "ArnLike" => (false, reader.arns()?),
            "ArnNotEquals" | "ArnNotLike" => (true, reader.arns()?),
            "Bool" => (false, Expected::Booleans(booleans(values, place)?)),
            "NumericEquals" => (false, reader.numbers(Comparison::Equal)?),
            "NumericNotEquals" => (true, reader.numbers(Comparison::Equal)?),
            "NumericLessThan" => (false, reader.numbers(Comparison::Less)?),
            "NumericLessThanEquals" => (false, reader.numbers(Comparison::LessOrEqual)?),
            "NumericGreaterThan" => (false, reader.numbers(Comparison::Greater)?),
            "NumericGreaterThanEquals" => (false, reader.numbers(Comparison::GreaterOrEqual)?),
            "DateEquals" => (false, reader.dates(Comparison::Equal)?),
            "DateNotEquals" => (true, reader.dates(Comparison::Equal)?),
            "DateLessThan" => (false, reader.dates(Comparison::Less)?),
            "DateLessThanEquals" => (false, reader.dates(Comparison::LessOrEqual)?),
            "DateGreaterThan" => (false, reader.dates(Comparison::Greater)?),
            "DateGreaterThanEquals" => (false, reader.dates(Comparison::GreaterOrEqual)?),
            _ => return Ok(None),
        };
        Ok(Some((negated, expected)))
    }

    /// Whether any of the expected values matches this one.
    pub(crate) fn matches(&self, actual: &str, context: &Context) -> Result<bool, Unresolved> {
        match self {
            Self::Texts { patterns, ignore_case: false } => {
                any(patterns.iter().map(|pattern| pattern.matches(actual, context)))
            }
            Self::Texts { patterns, ignore_case: true } => {
                any(patterns.iter().map(|pattern| pattern.matches_ignoring_case(actual, context)))
            }
            Self::Arns(expected) => {
                let Some(actual) = arn::parts(actual) else { return Ok(false) };
                any(expected.iter().map(|parts| {
                    all(parts.iter().zip(actual).map(|(pattern, part)| pattern.matches(part, context)))
                }))
            }
            Self::Booleans(expected) => Ok(boolean(actual).is_some_and(|actual| expected.contains(&actual))),
            Self::Numbers(expected, comparison) => Ok(number(actual).is_some_and(|actual| {
                expected.iter().any(|expected| {
                    actual.partial_cmp(expected).is_some_and(|ordering| comparison.holds(ordering))
                })
            })),
            Self::Dates(expected, comparison) => Ok(date(actual).is_some_and(|actual| {
                expected.iter().any(|expected| comparison.holds(actual.cmp(expected)))
            })),
        }
    }
}

impl Comparison {
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

/// The values of a condition, read as what their operator needs.
struct Reader<'a> {
    values: &'a [String],
    variables: bool,
    place: &'a Place<'a>,
}

impl Reader<'_> {
    fn texts(&self, wildcards: Wildcards, ignore_case: bool) -> Result<Expected, PolicyError> {
        let patterns =
            self.values.iter().map(|value| self.pattern(value, wildcards)).collect::<Result<_, _>>()?;
        Ok(Expected::Texts { patterns, ignore_case })
    }

    /// "Each of the six colon-delimited components of the ARN is checked separately".
    fn arns(&self) -> Result<Expected, PolicyError> {
        let arns = self.values.iter().map(|value| {
            let parts = if self.variables { arn::pattern_parts(value) } else { arn::parts(value) };
            let parts = parts.ok_or_else(|| self.place.malformed(format!("{value} is not an ARN")))?;
            let [arn, partition, service, region, account, resource] =
                parts.map(|part| self.pattern(part, Wildcards::Any));
            Ok([arn?, partition?, service?, region?, account?, resource?])
        });
        Ok(Expected::Arns(arns.collect::<Result<_, _>>()?))
    }

    fn numbers(&self, comparison: Comparison) -> Result<Expected, PolicyError> {
        let numbers = self.values.iter().map(|value| {
            number(value).ok_or_else(|| self.place.malformed(format!("{value} is not a number")))
        });
        Ok(Expected::Numbers(numbers.collect::<Result<_, _>>()?, comparison))
    }

    fn dates(&self, comparison: Comparison) -> Result<Expected, PolicyError> {
        let dates = self
            .values
            .iter()
            .map(|value| date(value).ok_or_else(|| self.place.malformed(format!("{value} is not a date"))));
        Ok(Expected::Dates(dates.collect::<Result<_, _>>()?, comparison))
    }

    fn pattern(&self, text: &str, wildcards: Wildcards) -> Result<Pattern, PolicyError> {
        Pattern::parse(text, Syntax { wildcards, variables: self.variables }, self.place)
    }
}

/// IAM User Guide, "Grammar of the IAM JSON policy language": a value is a string, a number or a
/// boolean, and so is each of a list.
pub(crate) fn texts(value: &Value, place: &Place<'_>) -> Result<Vec<String>, PolicyError> {
    let text = |value: &Value, place: &Place<'_>| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(boolean) => Ok(boolean.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(place.malformed("a string, a number or a boolean is needed"))
        }
    };
    match value {
        Value::Array(list) if list.is_empty() => Err(place.malformed("an empty list")),
        Value::Array(list) => {
            list.iter().enumerate().map(|(index, item)| text(item, &place.index(index))).collect()
        }
        single => Ok(vec![text(single, place)?]),
    }
}

/// Values that are each true or false.
pub(crate) fn booleans(values: &[String], place: &Place<'_>) -> Result<Vec<bool>, PolicyError> {
    let booleans = values.iter().map(|value| {
        boolean(value).ok_or_else(|| place.malformed(format!("{value} is neither true nor false")))
    });
    booleans.collect()
}

fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        return Some(true);
    }
    text.eq_ignore_ascii_case("false").then_some(false)
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// "Date condition operators": ISO 8601 as the W3C profiles it, or seconds since 1970.
fn date(text: &str) -> Option<Timestamp> {
    if let Ok(seconds) = text.parse() {
        return Timestamp::from_second(seconds).ok();
    }
    let day = |text: &str| Some(text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp());
    if text.contains('T') { text.parse().ok() } else { day(text) }
}
