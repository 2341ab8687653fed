//! Looking a secret up, and asking whether the caller may act on it.

use crate::access::{self, Context, Owner, Question};
use crate::error::ApiError;
use crate::identities::Caller;
use crate::place::Place;
use crate::secrets::{Secret, naming};
use crate::world::World;

/// Finds a secret by its name, its ARN, or its ARN without the last seven characters.
///
/// What ends like a full ARN is taken for one, so that a name which itself ends in a hyphen and six
/// characters is not found by a partial ARN (Secrets Manager User Guide, "Finding a secret from a
/// partial ARN"). Secrets of other accounts are named by ARN only.
pub(super) fn find<'a>(world: &'a World, caller: &Caller, named: &str) -> Option<&'a Secret> {
    let Some((place, rest)) = naming::of_arn(named) else {
        return world.secrets.get(&caller.place)?.get(named);
    };
    if place.region != caller.place.region {
        return None;
    }
    let there = world.secrets.get(&place)?;
    match naming::without_suffix(rest) {
        Some(name) => there.get(name).filter(|secret| secret.arn == named),
        None => there.get(rest),
    }
}

/// Finds a secret that the caller may act on.
///
/// Whether it may is asked first: a secret that is gone has no tags, so that a policy which asks
/// for them denies what otherwise would not be found.
pub(super) fn find_allowed<'a>(
    world: &'a World,
    caller: &Caller,
    action: &str,
    named: &str,
    context: Context,
) -> Result<&'a Secret, ApiError> {
    let found = find(world, caller, named);
    allowed(world, caller, action, named, found, context)?;
    found.ok_or_else(not_found)
}

/// The same, of a secret that is then changed.
pub(super) fn find_mut<'a>(
    world: &'a mut World,
    caller: &Caller,
    action: &str,
    named: &str,
    context: Context,
) -> Result<&'a mut Secret, ApiError> {
    let secret = find_allowed(world, caller, action, named, context)?;
    let (place, name) = (secret.place.clone(), secret.name.clone());
    secret_mut(world, &place, &name)
}

/// A secret by its place and name.
pub(super) fn secret_mut<'a>(
    world: &'a mut World,
    place: &Place,
    name: &str,
) -> Result<&'a mut Secret, ApiError> {
    world.secrets.get_mut(place).and_then(|there| there.get_mut(name)).ok_or_else(not_found)
}

/// Asks the secret's policy and the caller's own policies.
pub(super) fn allowed(
    world: &World,
    caller: &Caller,
    action: &str,
    named: &str,
    secret: Option<&Secret>,
    mut context: Context,
) -> Result<(), ApiError> {
    context.add("secretsmanager:SecretId", [named]);
    let Some(secret) = secret else {
        let resource = match naming::of_arn(named) {
            Some(_) => named.to_owned(),
            None => naming::arn_without_suffix(&caller.place, named),
        };
        let owner =
            naming::of_arn(named).map_or_else(|| caller.place.account.clone(), |(place, _)| place.account);
        return access::require(
            world,
            caller,
            Question { action, resource, owner: Owner::Account(&owner), context },
        );
    };
    for (name, value) in &secret.tags {
        context.add(&format!("aws:ResourceTag/{name}"), [value]);
        context.add(&format!("secretsmanager:ResourceTag/{name}"), [value]);
    }
    context.add("secretsmanager:SecretPrimaryRegion", [&secret.place.region]);
    let function = secret.rotation.as_ref().map(|rotation| &rotation.function);
    context.add("secretsmanager:resource/AllowRotationLambdaArn", function);
    let account = &secret.place.account;
    let owner = match &secret.policy {
        Some(policy) => Owner::WithPolicy(account, policy),
        None => Owner::Account(account),
    };
    access::require(world, caller, Question { action, resource: secret.arn.clone(), owner, context })
}

/// Refuses a secret in its recovery window (Secrets Manager API Reference, `InvalidRequestException`).
pub(super) fn in_use(secret: &Secret) -> Result<(), ApiError> {
    if secret.deletion.is_none() {
        return Ok(());
    }
    Err(ApiError::new(
        "InvalidRequestException",
        "You can't perform this operation on the secret because it was marked for deletion.",
    ))
}

pub(super) fn not_found() -> ApiError {
    ApiError::new("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
}
