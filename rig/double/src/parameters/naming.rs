//! Names of parameters, and the ARNs that are made of them.

use crate::error::ApiError;
use crate::place::Place;

/// A parameter's ARN: a name that is a path keeps its slash, another one gets one (Systems Manager
/// User Guide, "Creating parameters in Parameter Store").
pub(super) fn arn(place: &Place, name: &str) -> String {
    place.arn("ssm", &format!("parameter/{}", name.strip_prefix('/').unwrap_or(name)))
}

/// The place and the possible names of an ARN: with the slash, and without.
pub(super) fn of_arn(arn: &str) -> Option<(Place, String, String)> {
    let (place, resource) = Place::of_arn(arn, "ssm")?;
    let path = resource.strip_prefix("parameter")?;
    Some((place, path.to_owned(), path.strip_prefix('/')?.to_owned()))
}

/// Splits a name from a version or a label after a colon (Systems Manager API Reference,
/// `GetParameter`, Name). An ARN has six colons of its own, the last before the name's.
pub(super) fn selector(named: &str) -> (&str, Option<&str>) {
    let own = if named.starts_with("arn:") {
        named.match_indices(':').nth(4).map_or(0, |(at, _)| at + 1)
    } else {
        0
    };
    match named[own..].split_once(':') {
        Some((name, selector)) => (&named[..own + name.len()], Some(selector)),
        None => (named, None),
    }
}

/// The rules for a new parameter's name (Systems Manager API Reference, `PutParameter`, Name):
/// letters, digits and `_.-/`, at most 15 levels, no start with `aws` or `ssm`, a full path if it has
/// a slash. The whole ARN counts towards 1,011 characters.
pub(super) fn check_name(place: &Place, name: &str) -> Result<(), ApiError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/".contains(&byte);
    if name.is_empty() || !name.bytes().all(allowed) || name.ends_with('/') || name.contains("//") {
        return Err(malformed());
    }
    let first = name.strip_prefix('/').unwrap_or(name).to_ascii_lowercase();
    if first.starts_with("aws") || first.starts_with("ssm") {
        return Err(malformed());
    }
    if name.contains('/') && !name.starts_with('/') {
        return Err(ApiError::validation("Parameter name must be a fully qualified name."));
    }
    if arn(place, name).len() > 1011 {
        return Err(ApiError::validation(
            "Parameter name must not be longer than 1011 characters, its ARN included.",
        ));
    }
    if name.matches('/').count() > 15 {
        return Err(ApiError::new(
            "HierarchyLevelLimitExceededException",
            "A hierarchy can have a maximum of 15 levels.",
        ));
    }
    Ok(())
}

fn malformed() -> ApiError {
    ApiError::validation(
        "Parameter name: can't be prefixed with \"aws\" or \"ssm\" (case-insensitive). If formed as a path, it \
         can consist of sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, \
         numbers and the following 3 symbols .-_",
    )
}
