//! Tags of parameters.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::access::Context;
use crate::error::{Answer, ApiError};
use crate::identities::Caller;
use crate::parameters::finding::{allowed, find_mut};
use crate::world::World;

/// A tag as requests have it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Tag {
    key: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct AddTags {
    resource_type: String,
    resource_id: String,
    tags: Vec<Tag>,
}

pub(super) fn add(world: &mut World, caller: &Caller, input: AddTags) -> Answer {
    check_type(&input.resource_type)?;
    let asked: BTreeMap<_, _> = input.tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect();
    allowed(world, caller, "ssm:AddTagsToResource", &input.resource_id, condition_keys(&asked))?;
    let parameter =
        find_mut(world, &caller.place, &input.resource_id).map_err(|_| unknown(&input.resource_id))?;
    let tags = check_tags(input.tags, &parameter.tags)?;
    parameter.tags.extend(tags);
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct RemoveTags {
    resource_type: String,
    resource_id: String,
    tag_keys: Vec<String>,
}

pub(super) fn remove(world: &mut World, caller: &Caller, input: RemoveTags) -> Answer {
    check_type(&input.resource_type)?;
    let mut context = Context::default();
    context.add("aws:TagKeys", &input.tag_keys);
    allowed(world, caller, "ssm:RemoveTagsFromResource", &input.resource_id, context)?;
    let parameter =
        find_mut(world, &caller.place, &input.resource_id).map_err(|_| unknown(&input.resource_id))?;
    parameter.tags.retain(|key, _| !input.tag_keys.contains(key));
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ListTags {
    resource_type: String,
    resource_id: String,
}

pub(super) fn list(world: &mut World, caller: &Caller, input: ListTags) -> Answer {
    check_type(&input.resource_type)?;
    allowed(world, caller, "ssm:ListTagsForResource", &input.resource_id, Context::default())?;
    let parameter =
        find_mut(world, &caller.place, &input.resource_id).map_err(|_| unknown(&input.resource_id))?;
    let tags: Vec<Value> =
        parameter.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    Ok(json!({ "TagList": tags }))
}

/// The restrictions on tags (Systems Manager API Reference, Tag and `AddTagsToResource`): at most 50 on
/// a parameter; keys of 1 to 128 and values of up to 256 characters; no key starts with `aws:`.
pub(super) fn check_tags(
    tags: Vec<Tag>,
    there: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, ApiError> {
    let mut checked = BTreeMap::new();
    for tag in tags {
        if !(1..=128).contains(&tag.key.chars().count()) || tag.key.to_ascii_lowercase().starts_with("aws:") {
            return Err(ApiError::validation(
                "Tag keys have 1 to 128 characters and do not start with aws:.",
            ));
        }
        if tag.value.chars().count() > 256 {
            return Err(ApiError::length("tags.value", "less than or equal to 256"));
        }
        if checked.insert(tag.key, tag.value).is_some() {
            return Err(ApiError::validation("Duplicate tag keys are not allowed."));
        }
    }
    let new = checked.keys().filter(|key| !there.contains_key(*key)).count();
    if there.len() + new > 50 {
        return Err(ApiError::new("TooManyTagsError", "A parameter can have at most 50 tags."));
    }
    Ok(checked)
}

/// The condition keys that tell of tags in a request.
pub(super) fn condition_keys(tags: &BTreeMap<String, String>) -> Context {
    let mut context = Context::default();
    for (key, value) in tags {
        context.add(&format!("aws:RequestTag/{key}"), [value]);
    }
    context.add("aws:TagKeys", tags.keys());
    context
}

fn check_type(kind: &str) -> Result<(), ApiError> {
    if kind == "Parameter" {
        Ok(())
    } else {
        Err(ApiError::not_in_the_double(format!("the resource type {kind}")))
    }
}

/// Systems Manager API Reference, `AddTagsToResource`, `InvalidResourceId`.
fn unknown(id: &str) -> ApiError {
    ApiError::new("InvalidResourceId", format!("{id} is no parameter. Verify the name and try again."))
}
