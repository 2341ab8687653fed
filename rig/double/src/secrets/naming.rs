//! Names of secrets, and the ARNs that are made of them.

use crate::error::ApiError;
use crate::place::Place;
use crate::random;

/// How many random characters Secrets Manager appends to a name in its ARN.
const SUFFIX: usize = 6;

/// A new secret's ARN: after the name a hyphen and six random characters, so that a later secret of
/// the same name has another one (Secrets Manager API Reference, `CreateSecret`, Name).
pub(super) fn new_arn(place: &Place, name: &str) -> String {
    place.arn("secretsmanager", &format!("secret:{name}-{}", random::letters(SUFFIX)))
}

/// The ARN of a name, without the six characters: what a call on a missing secret is about.
pub(super) fn arn_without_suffix(place: &Place, name: &str) -> String {
    place.arn("secretsmanager", &format!("secret:{name}"))
}

/// What follows `secret:` in an ARN, with the place that the ARN names.
pub(super) fn of_arn(arn: &str) -> Option<(Place, &str)> {
    let (place, resource) = Place::of_arn(arn, "secretsmanager")?;
    Some((place, resource.strip_prefix("secret:")?))
}

/// The name in an ARN, as far as its text tells; a name as it is.
pub(super) fn name_in(named: &str) -> &str {
    match of_arn(named) {
        Some((_, rest)) => without_suffix(rest).unwrap_or(rest),
        None => named,
    }
}

/// Takes a hyphen and six characters from the end, if they look like those of an ARN.
pub(super) fn without_suffix(rest: &str) -> Option<&str> {
    let (name, suffix) = rest.split_at_checked(rest.len().checked_sub(SUFFIX + 1)?)?;
    let suffix = suffix.strip_prefix('-')?;
    suffix.bytes().all(|byte| byte.is_ascii_alphanumeric()).then_some(name)
}

/// Secrets Manager API Reference, `CreateSecret`, Name: of `A-Za-z0-9/_+=.@-`.
pub(super) fn check_name(name: &str) -> Result<(), ApiError> {
    if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_+=.@-".contains(&byte)) {
        return Ok(());
    }
    Err(ApiError::validation(
        "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!",
    ))
}
