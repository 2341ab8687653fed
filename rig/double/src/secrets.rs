//! Secrets Manager: secrets, their versions and stages, their recovery windows, their policies, their
//! rotation.

mod creating;
mod finding;
mod keys;
mod listing;
mod naming;
mod policies;
mod putting;
mod reading;
mod removing;
mod rotating;
mod schedules;
mod secret;
mod staging;
mod tagging;
mod updating;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::{Answer, ApiError};
use crate::identities::Caller;
use crate::place::Place;
use crate::service::read;
use crate::world::World;

pub(crate) use creating::made_by_rds;
pub(crate) use listing::Lag;
pub use secret::{Deletion, Rotation, RotationRules, Secret, SecretValue, SecretVersion};

/// The secrets of all accounts: by place, then by name.
pub(crate) type Secrets = BTreeMap<Place, BTreeMap<String, Secret>>;

/// Carries a call out.
pub(crate) fn carry_out(world: &mut World, caller: &Caller, operation: &str, input: Value) -> Answer {
    let answer = match operation {
        "CancelRotateSecret" => rotating::cancel(world, caller, &read(input)?),
        "CreateSecret" => creating::create(world, caller, read(input)?),
        "DeleteResourcePolicy" => policies::delete(world, caller, &read(input)?),
        "DeleteSecret" => removing::delete(world, caller, &read(input)?),
        "DescribeSecret" => reading::describe(world, caller, &read(input)?),
        "GetResourcePolicy" => policies::get(world, caller, &read(input)?),
        "GetSecretValue" => reading::value(world, caller, &read(input)?),
        "ListSecretVersionIds" => listing::versions(world, caller, &read(input)?),
        "ListSecrets" => listing::secrets(world, caller, &read(input)?),
        "PutResourcePolicy" => policies::put(world, caller, &read(input)?),
        "PutSecretValue" => putting::put(world, caller, read(input)?),
        "RestoreSecret" => removing::restore(world, caller, &read(input)?),
        "RotateSecret" => rotating::rotate(world, caller, read(input)?),
        "TagResource" => tagging::tag(world, caller, read(input)?),
        "UntagResource" => tagging::untag(world, caller, &read(input)?),
        "UpdateSecret" => updating::update(world, caller, read(input)?),
        "UpdateSecretVersionStage" => staging::update(world, caller, &read(input)?),
        _ => Err(ApiError::not_in_the_double(format!("the operation secretsmanager:{operation}"))),
    };
    world.note_for_lists();
    answer
}

/// The secret's name, without the six characters of its ARN.
pub(crate) fn subject(world: &World, caller: &Caller, input: &Value) -> String {
    let named = input["SecretId"].as_str().or_else(|| input["Name"].as_str()).unwrap_or_default();
    match finding::find(world, caller, named) {
        Some(secret) => secret.name.clone(),
        None => naming::name_in(named).to_owned(),
    }
}
