//! Tags of secrets, and what the API allows of them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use crate::access::Context;
use crate::error::{Answer, ApiError};
use crate::identities::Caller;
use crate::secrets::Secret;
use crate::secrets::finding::{allowed, find_allowed, find_mut, in_use};
use crate::world::World;

/// A tag as requests have it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct TagResource {
    secret_id: String,
    tags: Vec<Tag>,
}

pub(super) fn tag(world: &mut World, caller: &Caller, input: TagResource) -> Answer {
    let asked: BTreeMap<_, _> = input.tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect();
    let (action, context) = ("secretsmanager:TagResource", condition_keys(&asked));
    let secret = find_allowed(world, caller, action, &input.secret_id, context.clone())?;
    in_use(secret)?;
    let mut tags = secret.tags.clone();
    tags.extend(check_tags(input.tags, &secret.tags)?);
    keeps_permission(world, caller, action, secret, &tags, context.clone())?;
    let now = world.now();
    let secret = find_mut(world, caller, action, &input.secret_id, context)?;
    secret.tags = tags;
    secret.changed = now;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct UntagResource {
    secret_id: String,
    tag_keys: Vec<String>,
}

pub(super) fn untag(world: &mut World, caller: &Caller, input: UntagResource) -> Answer {
    let mut context = Context::default();
    context.add("aws:TagKeys", &input.tag_keys);
    let action = "secretsmanager:UntagResource";
    let secret = find_allowed(world, caller, action, &input.secret_id, context.clone())?;
    in_use(secret)?;
    let mut tags = secret.tags.clone();
    tags.retain(|key, _| !input.tag_keys.contains(key));
    keeps_permission(world, caller, action, secret, &tags, context.clone())?;
    let now = world.now();
    let secret = find_mut(world, caller, action, &input.secret_id, context)?;
    secret.tags = tags;
    secret.changed = now;
    Ok(json!({}))
}

/// Refuses tags under which the caller could not make this call any more (Secrets Manager API
/// Reference, `TagResource` and `UntagResource`: who would lose the permission is denied).
fn keeps_permission(
    world: &World,
    caller: &Caller,
    action: &str,
    secret: &Secret,
    tags: &BTreeMap<String, String>,
    context: Context,
) -> Result<(), ApiError> {
    let tagged = Secret { tags: tags.clone(), ..secret.clone() };
    allowed(world, caller, action, &secret.arn, Some(&tagged), context)
}

/// The restrictions on tags (Secrets Manager API Reference, `TagResource` and Tag): at most 50 on a
/// secret; keys of 1 to 128 and values of up to 256 characters; no key starts with `aws:`.
pub(super) fn check_tags(
    tags: Vec<Tag>,
    there: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, ApiError> {
    let mut checked = BTreeMap::new();
    for tag in tags {
        if !(1..=128).contains(&tag.key.chars().count()) {
            return Err(ApiError::length("tags.key", "less than or equal to 128, and at least 1"));
        }
        if tag.value.chars().count() > 256 {
            return Err(ApiError::length("tags.value", "less than or equal to 256"));
        }
        if tag.key.to_ascii_lowercase().starts_with("aws:") {
            return Err(invalid("Tag keys that start with aws: are reserved for AWS use."));
        }
        if checked.insert(tag.key, tag.value).is_some() {
            return Err(invalid("Duplicate tag keys found. Tag keys are unique on a secret."));
        }
    }
    let new = checked.keys().filter(|key| !there.contains_key(*key)).count();
    if there.len() + new > 50 {
        return Err(invalid("A secret can have at most 50 tags."));
    }
    Ok(checked)
}

/// The condition keys that tell of tags in a request (IAM User Guide, "AWS global condition context
/// keys", aws:RequestTag and aws:TagKeys).
pub(super) fn condition_keys(tags: &BTreeMap<String, String>) -> Context {
    let mut context = Context::default();
    for (key, value) in tags {
        context.add(&format!("aws:RequestTag/{key}"), [value]);
    }
    context.add("aws:TagKeys", tags.keys());
    context
}

fn invalid(said: &str) -> ApiError {
    ApiError::new("InvalidParameterException", said)
}
