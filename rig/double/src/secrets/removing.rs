//! `DeleteSecret` and `RestoreSecret`.

use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::json;

use crate::access::Context;
use crate::clock::seconds;
use crate::error::{Answer, ApiError};
use crate::identities::Caller;
use crate::secrets::finding::{allowed, find, find_mut, in_use, not_found, secret_mut};
use crate::secrets::naming;
use crate::secrets::secret::Deletion;
use crate::world::World;

/// Secrets Manager API Reference, `DeleteSecret`, `RecoveryWindowInDays`: 7 to 30, by default 30.
const WINDOW: std::ops::RangeInclusive<i64> = 7..=30;
const DEFAULT_WINDOW: i64 = 30;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct DeleteSecret {
    secret_id: String,
    recovery_window_in_days: Option<i64>,
    force_delete_without_recovery: Option<bool>,
}

/// With force a secret goes at once, scheduled ones too, and one that is not there is no error
/// (`ForceDeleteWithoutRecovery`); the name may stay taken for a while. Without, it can be restored
/// until the window ends.
pub(super) fn delete(world: &mut World, caller: &Caller, input: &DeleteSecret) -> Answer {
    let force = input.force_delete_without_recovery == Some(true);
    let days = window(input.recovery_window_in_days, force)?;
    let mut context = Context::default();
    let named = input.recovery_window_in_days.map(|days| days.to_string());
    context.add("secretsmanager:RecoveryWindowInDays", named);
    let named = input.force_delete_without_recovery.map(|force| force.to_string());
    context.add("secretsmanager:ForceDeleteWithoutRecovery", named);
    let found = find(world, caller, &input.secret_id);
    allowed(world, caller, "secretsmanager:DeleteSecret", &input.secret_id, found, context)?;

    let now = world.now();
    let Some(secret) = found else {
        if !force {
            return Err(not_found());
        }
        let name = naming::name_in(&input.secret_id);
        return Ok(json!({ "ARN": input.secret_id, "Name": name, "DeletionDate": seconds(now) }));
    };
    let (place, name, arn) = (secret.place.clone(), secret.name.clone(), secret.arn.clone());
    if force {
        world.secrets.get_mut(&place).and_then(|there| there.remove(&name));
        world.lingers_from_now(place, name.clone());
        return Ok(json!({ "ARN": arn, "Name": name, "DeletionDate": seconds(now) }));
    }
    in_use(secret)?;
    let due = now + SignedDuration::from_hours(24 * days);
    secret_mut(world, &place, &name)?.deletion = Some(Deletion { asked: now, due });
    world.is_due(due);
    Ok(json!({ "ARN": arn, "Name": name, "DeletionDate": seconds(due) }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct RestoreSecret {
    secret_id: String,
}

/// Takes the deletion date away (Secrets Manager API Reference, `RestoreSecret`). Of a secret
/// without one the page says nothing: it stays as it is.
pub(super) fn restore(world: &mut World, caller: &Caller, input: &RestoreSecret) -> Answer {
    let action = "secretsmanager:RestoreSecret";
    let secret = find_mut(world, caller, action, &input.secret_id, Context::default())?;
    secret.deletion = None;
    Ok(json!({ "ARN": secret.arn, "Name": secret.name }))
}

fn window(days: Option<i64>, force: bool) -> Result<i64, ApiError> {
    match days {
        Some(_) if force => Err(ApiError::new(
            "InvalidParameterException",
            "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.",
        )),
        Some(days) if !WINDOW.contains(&days) => Err(ApiError::new(
            "InvalidParameterException",
            "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).",
        )),
        days => Ok(days.unwrap_or(DEFAULT_WINDOW)),
    }
}
