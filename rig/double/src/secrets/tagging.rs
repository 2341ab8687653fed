//! `TagResource` and `UntagResource`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use crate::access::Context;
use crate::error::{Answer, ApiError};
use crate::identities::Caller;
use crate::secrets::Secret;
use crate::secrets::finding::{allowed, find_allowed, find_mut, in_use};
use crate::tags::{self, Tag, TagFault};
use crate::world::World;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct TagResource {
    secret_id: String,
    tags: Vec<Tag>,
}

pub(super) fn tag(world: &mut World, caller: &Caller, input: TagResource) -> Answer {
    let (action, context) = ("secretsmanager:TagResource", tags::condition_keys(&input.tags));
    let secret = find_allowed(world, caller, action, &input.secret_id, context.clone())?;
    in_use(secret)?;
    let tags = added(input.tags, &secret.tags)?;
    retag(world, caller, action, &input.secret_id, tags, context)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct UntagResource {
    secret_id: String,
    tag_keys: Vec<String>,
}

pub(super) fn untag(world: &mut World, caller: &Caller, input: &UntagResource) -> Answer {
    let mut context = Context::default();
    context.add("aws:TagKeys", &input.tag_keys);
    let action = "secretsmanager:UntagResource";
    let secret = find_allowed(world, caller, action, &input.secret_id, context.clone())?;
    in_use(secret)?;
    let mut tags = secret.tags.clone();
    tags.retain(|key, _| !input.tag_keys.contains(key));
    retag(world, caller, action, &input.secret_id, tags, context)
}

/// Tags under which the caller could not make this call any more are refused: who would lose the
/// permission is denied (Secrets Manager API Reference, `TagResource` and `UntagResource`).
fn retag(
    world: &mut World,
    caller: &Caller,
    action: &str,
    named: &str,
    tags: BTreeMap<String, String>,
    context: Context,
) -> Answer {
    let secret = find_allowed(world, caller, action, named, context.clone())?;
    let tagged = Secret { tags: tags.clone(), ..secret.clone() };
    allowed(world, caller, action, named, Some(&tagged), context.clone())?;
    let now = world.now();
    let secret = find_mut(world, caller, action, named, context)?;
    secret.tags = tags;
    secret.changed = now;
    Ok(json!({}))
}

/// What tags a secret has with those of a request.
pub(super) fn added(
    tags: Vec<Tag>,
    there: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, ApiError> {
    tags::added(tags, there).map_err(|fault| {
        let said = match fault {
            TagFault::Reserved => "Tag keys that start with aws: are reserved for AWS use.",
            TagFault::Twice => "Duplicate tag keys found. Tag keys are unique on a secret.",
            TagFault::TooMany => "A secret can have at most 50 tags.",
        };
        ApiError::new("InvalidParameterException", said)
    })
}
