//! `RotateSecret` and `CancelRotateSecret`, and what Secrets Manager does by itself in a rotation.
//!
//! The double invokes no function. The test does, with the events of Secrets Manager (Secrets Manager
//! User Guide, "Lambda rotation functions"), and says here what Secrets Manager does before and after.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::access::{self, Context, Owner, Question};
use crate::error::{Answer, ApiError};
use crate::identities::Caller;
use crate::place::Place;
use crate::secrets::creating::token;
use crate::secrets::finding::{find_allowed, find_mut, in_use, secret_mut};
use crate::secrets::putting::{empty_version, make_room};
use crate::secrets::secret::{CURRENT, PENDING};
use crate::secrets::{Rotation, RotationRules, Secret, SecretVersion, schedules, staging};
use crate::world::World;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct RotateSecret {
    secret_id: String,
    client_request_token: Option<String>,
    #[serde(rename = "RotationLambdaARN")]
    rotation_lambda_arn: Option<String>,
    rotation_rules: Option<RotationRules>,
    rotate_immediately: Option<bool>,
}

/// Switches rotation on, with what the request says and for the rest with what was said before, and
/// begins one unless it is told not to (Secrets Manager API Reference, `RotateSecret`). What it then
/// makes is a version without a value (the same reference, `DescribeSecret`, `VersionIdsToStages`).
///
/// The token keeps a request that comes twice from making two versions (`ClientRequestToken`): with the
/// id of a version that is there nothing is done.
pub(super) fn rotate(world: &mut World, caller: &Caller, input: RotateSecret) -> Answer {
    let at_once = input.rotate_immediately.unwrap_or(true);
    let token = token(input.client_request_token, true)?;
    let mut context = Context::default();
    context.add("secretsmanager:RotationLambdaARN", &input.rotation_lambda_arn);
    context.add("secretsmanager:RotateImmediately", [at_once.to_string()]);
    context.add("secretsmanager:ModifyRotationRules", [input.rotation_rules.is_some().to_string()]);
    let secret = find_allowed(world, caller, "secretsmanager:RotateSecret", &input.secret_id, context)?;
    in_use(secret)?;
    let before = secret.rotation.clone();
    let function = input.rotation_lambda_arn.or_else(|| Some(before.as_ref()?.function.clone()));
    let function = function.ok_or_else(|| {
        ApiError::new(
            "InvalidRequestException",
            "No Lambda rotation function ARN is associated with this secret.",
        )
    })?;
    ask_to_invoke(world, caller, &function)?;
    if let Some(rules) = &input.rotation_rules {
        schedules::check(rules)?;
    }
    if secret.versions.contains_key(&token) {
        return Ok(answer(secret, Some(&token)));
    }
    check_nothing_under_way(secret)?;

    let (place, name) = (secret.place.clone(), secret.name.clone());
    let now = world.now();
    let secret = secret_mut(world, &place, &name)?;
    if at_once {
        make_pending(secret, &token, now, caller.call)?;
    }
    let (rules, last_rotated) = before.map_or((None, None), |before| (before.rules, before.last_rotated));
    let rules = input.rotation_rules.or(rules);
    secret.rotation = Some(Rotation { enabled: true, function, rules, last_rotated });
    secret.changed = now;
    Ok(answer(secret, at_once.then_some(token.as_str())))
}

/// Who has a secret rotated needs the right to invoke the function (Secrets Manager API Reference,
/// `RotateSecret`: "You also need `lambda:InvokeFunction` permissions on the rotation function").
fn ask_to_invoke(world: &World, caller: &Caller, function: &str) -> Result<(), ApiError> {
    let (place, _) = Place::of_arn(function, "lambda").ok_or_else(|| {
        ApiError::new("InvalidParameterException", format!("{function} is no ARN of a Lambda function."))
    })?;
    let owner = Owner::Account(&place.account);
    let (action, resource) = ("lambda:InvokeFunction", function.to_owned());
    access::require(world, caller, Question { action, resource, owner, context: Context::default() })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct CancelRotateSecret {
    secret_id: String,
}

/// Switches rotation off and tells which version was being made. The labels stay where they are, and so
/// does what was said of function and schedule (Secrets Manager API Reference, `CancelRotateSecret`, and
/// `DescribeSecret`, `RotationRules`). Where there is no function there is nothing to switch
/// (`CancelRotateSecret`, `InvalidRequestException`).
pub(super) fn cancel(world: &mut World, caller: &Caller, input: &CancelRotateSecret) -> Answer {
    let now = world.now();
    let action = "secretsmanager:CancelRotateSecret";
    let secret = find_mut(world, caller, action, &input.secret_id, Context::default())?;
    in_use(secret)?;
    let rotation = secret.rotation.as_mut().ok_or_else(|| {
        ApiError::new(
            "InvalidRequestException",
            "You tried to cancel the rotation of a secret without a Lambda rotation function ARN.",
        )
    })?;
    rotation.enabled = false;
    secret.changed = now;
    Ok(answer(secret, under_way(secret).map(|version| version.id.as_str())))
}

fn answer(secret: &Secret, version: Option<&str>) -> Value {
    let mut answer = json!({ "ARN": secret.arn, "Name": secret.name });
    if let Some(version) = version {
        answer["VersionId"] = json!(version);
    }
    answer
}

/// The version of a rotation that is not complete: AWSPENDING is on it, and AWSCURRENT is not (Secrets
/// Manager API Reference, `RotateSecret`).
fn under_way(secret: &Secret) -> Option<&SecretVersion> {
    secret.staged(PENDING).filter(|version| !version.stages.contains(CURRENT))
}

/// While a rotation is not complete, "any later invocation of `RotateSecret` assumes that a previous
/// rotation request is still in progress and returns an error" (the same page).
fn check_nothing_under_way(secret: &Secret) -> Result<(), ApiError> {
    match under_way(secret) {
        None => Ok(()),
        Some(_) => Err(ApiError::new(
            "InvalidRequestException",
            "A previous rotation isn't complete. That rotation will be reattempted.",
        )),
    }
}

/// Makes a version without a value and labels it AWSPENDING.
fn make_pending(secret: &mut Secret, token: &str, now: Timestamp, call: u64) -> Result<(), ApiError> {
    if secret.versions.get(token).is_some_and(|version| version.value.is_some()) {
        return Err(ApiError::new(
            "InvalidRequestException",
            format!("{token} is already in use for a version of secret {}.", secret.arn),
        ));
    }
    if !secret.versions.contains_key(token) {
        make_room(secret, now)?;
    }
    staging::make_room_for(secret, &[PENDING])?;
    let version = secret.versions.entry(token.to_owned()).or_insert_with(|| empty_version(token, now));
    version.created_by = call;
    staging::attach(secret, PENDING, token);
    secret.changed = now;
    Ok(())
}

/// What Secrets Manager does by itself. The ids of versions are the tokens of its events.
impl World {
    /// Secrets Manager begins a rotation, as its schedule says: before it invokes the function with
    /// `createSecret`, there is a version without a value that is labelled AWSPENDING. For the one that
    /// is under way nothing is done: a rotation that failed is tried again as a whole (Secrets Manager
    /// API Reference, `DescribeSecret`, `VersionIdsToStages` and `NextRotationDate`).
    ///
    /// # Errors
    ///
    /// When there is no such secret, when it is scheduled for deletion or not to be rotated, or while
    /// another rotation of it is not complete.
    pub fn begin_rotation(&mut self, place: &Place, name: &str, token: &str) -> Result<(), ApiError> {
        let now = self.now();
        let secret = secret_mut(self, place, name)?;
        in_use(secret)?;
        if secret.rotation.as_ref().is_none_or(|rotation| !rotation.enabled) {
            return Err(ApiError::new("InvalidRequestException", "Rotation is not enabled for the secret."));
        }
        if under_way(secret).is_some_and(|version| version.id == token) {
            return Ok(());
        }
        check_nothing_under_way(secret)?;
        make_pending(secret, token, now, 0)?;
        self.note_for_lists();
        Ok(())
    }

    /// A rotation is over, after the function has done `finishSecret`: that is the secret's last one
    /// (Secrets Manager API Reference, `DescribeSecret`, `LastRotatedDate`). No version and no label is
    /// touched.
    ///
    /// # Errors
    ///
    /// When there is no such secret, when rotation was never set up, or when AWSPENDING is on another
    /// version than AWSCURRENT: then it was not successful (the same reference, `RotateSecret`).
    pub fn end_rotation(&mut self, place: &Place, name: &str) -> Result<(), ApiError> {
        let now = self.now();
        let secret = secret_mut(self, place, name)?;
        check_nothing_under_way(secret)?;
        let rotation = secret.rotation.as_mut().ok_or_else(|| {
            ApiError::new("InvalidRequestException", "Rotation was never set up for the secret.")
        })?;
        rotation.last_rotated = Some(now);
        secret.changed = now;
        self.note_for_lists();
        Ok(())
    }

    /// When rotation is switched on and nothing is rotated at once, Secrets Manager tries the function
    /// with a lone `testSecret`. "This test creates an AWSPENDING version of the secret and then removes
    /// it" (Secrets Manager API Reference, `RotateSecret`, `RotateImmediately`): this makes it, and
    /// [`World::end_trial`] removes it. Whether rotation counts as enabled meanwhile is not said there, so
    /// that this is done whether or not it does.
    ///
    /// # Errors
    ///
    /// When there is no such secret, when it is scheduled for deletion, while a rotation of it is not
    /// complete, or when the token is a version's that has a value.
    pub fn begin_trial(&mut self, place: &Place, name: &str, token: &str) -> Result<(), ApiError> {
        let now = self.now();
        let secret = secret_mut(self, place, name)?;
        in_use(secret)?;
        check_nothing_under_way(secret)?;
        make_pending(secret, token, now, 0)?;
        self.note_for_lists();
        Ok(())
    }

    /// Secrets Manager takes AWSPENDING from the version that it made for a trial, and removes it; a
    /// version that has got other labels meanwhile stays.
    ///
    /// # Errors
    ///
    /// When there is no such secret, or no such version of it.
    pub fn end_trial(&mut self, place: &Place, name: &str, token: &str) -> Result<(), ApiError> {
        let now = self.now();
        let secret = secret_mut(self, place, name)?;
        let version = secret.versions.get_mut(token).ok_or_else(|| {
            ApiError::new("ResourceNotFoundException", format!("The secret has no version {token}."))
        })?;
        version.stages.remove(PENDING);
        if version.stages.is_empty() {
            secret.versions.remove(token);
        }
        secret.changed = now;
        self.note_for_lists();
        Ok(())
    }
}
