//! Looking a parameter up, and asking whether the caller may act on it.

use crate::access::{self, Context, Owner, Question};
use crate::error::ApiError;
use crate::identities::Caller;
use crate::parameters::{Parameter, ParameterVersion, naming};
use crate::place::Place;
use crate::world::World;

/// Finds a parameter by its name or its ARN. Those of other accounts are named by ARN only (Systems
/// Manager User Guide, "Working with shared parameters in Parameter Store").
pub(super) fn find<'a>(world: &'a World, caller: &Caller, named: &str) -> Option<&'a Parameter> {
    let Some((place, path, plain)) = naming::of_arn(named) else {
        return world.parameters.get(&caller.place)?.get(named);
    };
    if place.region != caller.place.region {
        return None;
    }
    let there = world.parameters.get(&place)?;
    there.get(&path).or_else(|| there.get(&plain))
}

/// The same, to be changed. Nothing of another account can be.
pub(super) fn find_mut<'a>(
    world: &'a mut World,
    place: &Place,
    name: &str,
) -> Result<&'a mut Parameter, ApiError> {
    world.parameters.get_mut(place).and_then(|there| there.get_mut(name)).ok_or_else(not_found)
}

/// The version that a selector names: a number, a label, or nothing for the latest.
pub(super) fn version<'a>(
    parameter: &'a Parameter,
    selector: Option<&str>,
) -> Result<&'a ParameterVersion, ApiError> {
    let Some(selector) = selector else { return Ok(parameter.latest()) };
    let found = match selector.parse::<i64>() {
        Ok(number) => parameter.versions.iter().find(|version| version.version == number),
        Err(_) => parameter.versions.iter().find(|version| version.labels.contains(selector)),
    };
    found.ok_or_else(|| {
        ApiError::new(
            "ParameterVersionNotFound",
            format!("Systems Manager could not find version {selector} of {}.", parameter.name),
        )
    })
}

/// Asks the caller's own policies, and the shares of the parameter's owner.
pub(super) fn allowed(
    world: &World,
    caller: &Caller,
    action: &str,
    named: &str,
    mut context: Context,
) -> Result<(), ApiError> {
    let (named, _) = naming::selector(named);
    let resource = match naming::of_arn(named) {
        Some(_) => named.to_owned(),
        None => naming::arn(&caller.place, named),
    };
    let owner =
        naming::of_arn(named).map_or_else(|| caller.place.account.clone(), |(place, ..)| place.account);
    if let Some(parameter) = find(world, caller, named) {
        for (name, value) in &parameter.tags {
            context.add(&format!("aws:ResourceTag/{name}"), [value]);
            context.add(&format!("ssm:resourceTag/{name}"), [value]);
        }
    }
    access::require(world, caller, Question { action, resource, owner: Owner::Account(&owner), context })
}

pub(super) fn not_found() -> ApiError {
    ApiError::new("ParameterNotFound", "The parameter couldn't be found. Verify the name and try again.")
}
