//! When secrets are rotated: what a schedule may say (Secrets Manager User Guide, "Rotation schedules").

use crate::error::ApiError;
use crate::secrets::RotationRules;

/// The hours of a day, in which a window has to end.
const DAY: u32 = 24;
/// The hours between two rotations: at least four, at most 999 days.
const RATE: std::ops::RangeInclusive<u32> = 4..=999 * DAY;

/// Refuses rules that cannot be followed. Days or an expression can be given, not both (Secrets Manager
/// API Reference, `RotationRulesType`); what the expression says is checked as far as it is read here.
pub(super) fn check(rules: &RotationRules) -> Result<(), ApiError> {
    if rules.automatically_after_days.is_some() && rules.schedule_expression.is_some() {
        return Err(invalid(
            "You can't specify both AutomaticallyAfterDays and ScheduleExpression.".to_owned(),
        ));
    }
    let window = rules.duration.as_deref().map(hours).transpose()?;
    let Some(expression) = &rules.schedule_expression else { return Ok(()) };
    if !expression.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"()#?*-/, ".contains(&byte)) {
        return Err(pattern("scheduleExpression", r"[0-9A-Za-z\(\)#\?\*\-\/, ]+"));
    }
    let longest = longest_window(expression)
        .ok_or_else(|| invalid(format!("The rotation schedule {expression} isn't valid.")))?;
    match window {
        Some(window) if !(1..=longest).contains(&window) => Err(invalid(format!(
            "A rotation window of {window}h doesn't fit into the schedule {expression}."
        ))),
        _ => Ok(()),
    }
}

/// The length of a window (Secrets Manager API Reference, `RotationRulesType`, `Duration`).
fn hours(duration: &str) -> Result<u32, ApiError> {
    let digits = duration.strip_suffix('h').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| pattern("duration", "[0-9]+h"))
}

/// How many hours a window can have before the next one or the next day begins; `None` for what is no
/// schedule. A window of a rate in days begins at midnight, and one of a cron expression at its hour.
fn longest_window(expression: &str) -> Option<u32> {
    let (kind, said) = expression.strip_suffix(')')?.split_once('(')?;
    let fields: Vec<&str> = said.split(' ').collect();
    match (kind, fields.as_slice()) {
        ("rate", [value, "hour" | "hours"]) => {
            value.parse::<u32>().ok().filter(|hours| RATE.contains(hours)).map(|hours| hours.min(DAY))
        }
        ("rate", [value, "day" | "days"]) => {
            let hours = value.parse::<u32>().ok()?.checked_mul(DAY)?;
            RATE.contains(&hours).then_some(DAY)
        }
        // Windows open on the hour, and no schedule is more than a year long.
        ("cron", ["0", hour, day, month, weekday, "*"]) => {
            let is_said = [hour, day, month, weekday].into_iter().all(|field| !field.is_empty());
            let hour = hour.parse().unwrap_or_default();
            DAY.checked_sub(hour).filter(|left| is_said && *left > 0)
        }
        _ => None,
    }
}

fn invalid(said: String) -> ApiError {
    ApiError::new("InvalidParameterException", said)
}

fn pattern(member: &str, pattern: &str) -> ApiError {
    ApiError::validation(format!(
        "1 validation error detected: Value at 'rotationRules.{member}' failed to satisfy constraint: Member must \
         satisfy regular expression pattern: {pattern}"
    ))
}
