//! Tags of parameters.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::access::Context;
use crate::error::{Answer, ApiError};
use crate::identities::Caller;
use crate::parameters::Parameter;
use crate::parameters::finding::{allowed, find_mut};
use crate::tags::{self, Tag, TagFault};
use crate::world::World;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct AddTags {
    resource_type: String,
    resource_id: String,
    tags: Vec<Tag>,
}

pub(super) fn add(world: &mut World, caller: &Caller, input: AddTags) -> Answer {
    check_type(&input.resource_type)?;
    let context = tags::condition_keys(&input.tags);
    allowed(world, caller, "ssm:AddTagsToResource", &input.resource_id, context)?;
    let parameter = tagged(world, caller, &input.resource_id)?;
    parameter.tags = added(input.tags, &parameter.tags)?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct RemoveTags {
    resource_type: String,
    resource_id: String,
    tag_keys: Vec<String>,
}

pub(super) fn remove(world: &mut World, caller: &Caller, input: &RemoveTags) -> Answer {
    check_type(&input.resource_type)?;
    let mut context = Context::default();
    context.add("aws:TagKeys", &input.tag_keys);
    allowed(world, caller, "ssm:RemoveTagsFromResource", &input.resource_id, context)?;
    let parameter = tagged(world, caller, &input.resource_id)?;
    parameter.tags.retain(|key, _| !input.tag_keys.contains(key));
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ListTags {
    resource_type: String,
    resource_id: String,
}

pub(super) fn list(world: &mut World, caller: &Caller, input: &ListTags) -> Answer {
    check_type(&input.resource_type)?;
    allowed(world, caller, "ssm:ListTagsForResource", &input.resource_id, Context::default())?;
    let tags = &tagged(world, caller, &input.resource_id)?.tags;
    let tags: Vec<Value> = tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    Ok(json!({ "TagList": tags }))
}

/// What tags a parameter has with those of a request (Systems Manager API Reference,
/// `AddTagsToResource`, `TooManyTagsError`; Tag, the patterns of Key and Value).
pub(super) fn added(
    tags: Vec<Tag>,
    there: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, ApiError> {
    let allowed = |text: &str| text.chars().all(is_allowed);
    if tags.iter().any(|tag| !allowed(&tag.key) || !allowed(&tag.value)) {
        return Err(ApiError::validation(
            "1 validation error detected: Value at 'tags' failed to satisfy constraint: Member must satisfy regular \
             expression pattern: ^([\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*)$",
        ));
    }
    tags::added(tags, there).map_err(|fault| match fault {
        TagFault::Reserved => ApiError::validation("Tag keys that start with aws: are reserved for AWS use."),
        TagFault::Twice => ApiError::validation("Duplicate tag keys are not allowed."),
        TagFault::TooMany => ApiError::new("TooManyTagsError", "A parameter can have at most 50 tags."),
    })
}

/// Letters, numbers, separators and `_.:/=+-@`.
fn is_allowed(character: char) -> bool {
    let separates = character.is_whitespace() && !character.is_control();
    character.is_alphanumeric() || separates || "_.:/=+-@".contains(character)
}

/// The parameter that is tagged (`InvalidResourceId`).
fn tagged<'a>(world: &'a mut World, caller: &Caller, id: &str) -> Result<&'a mut Parameter, ApiError> {
    find_mut(world, &caller.place, id).map_err(|_| {
        ApiError::new("InvalidResourceId", format!("{id} is no parameter. Verify the name and try again."))
    })
}

fn check_type(kind: &str) -> Result<(), ApiError> {
    if kind == "Parameter" {
        return Ok(());
    }
    Err(ApiError::not_in_the_double(format!("the resource type {kind}")))
}
