//! `PutParameter`.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;

use crate::error::{Answer, ApiError};
use crate::identities::Caller;
use crate::parameters::finding::{allowed, find_mut};
use crate::parameters::naming::{arn, check_name};
use crate::parameters::tagging::added;
use crate::parameters::{Parameter, ParameterKind, ParameterVersion, Tier, policies, values};
use crate::random;
use crate::tags::{Tag, condition_keys};
use crate::world::World;

/// Systems Manager API Reference, `PutParameter`, `ParameterMaxVersionLimitExceeded`.
const VERSIONS: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct PutParameter {
    name: String,
    value: String,
    r#type: Option<ParameterKind>,
    #[serde(default)]
    overwrite: bool,
    tier: Option<String>,
    key_id: Option<String>,
    description: Option<String>,
    allowed_pattern: Option<String>,
    policies: Option<String>,
    data_type: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

pub(super) fn put(world: &mut World, caller: &Caller, input: PutParameter) -> Answer {
    check_name(&caller.place, &input.name)?;
    let known = world.parameters.get(&caller.place).and_then(|there| there.get(&input.name)).cloned();
    ask(world, caller, &input)?;
    let tags = added(input.tags.clone(), &BTreeMap::new())?;
    if input.overwrite && !tags.is_empty() {
        return Err(ApiError::validation(
            "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please \
             remove overwrite flag. To update tags for an existing parameter, please use AddTagsToResource or \
             RemoveTagsFromResource.",
        ));
    }
    if known.is_some() && !input.overwrite {
        return Err(ApiError::new(
            "ParameterAlreadyExists",
            "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.",
        ));
    }
    let version = next_version(world, caller, &input, known.as_ref())?;
    match &known {
        Some(known) => has_room_for_a_version(known)?,
        None => has_room_for_a_parameter(world, caller, version.tier)?,
    }
    let answer = json!({ "Version": version.version, "Tier": version.tier.name() });
    if let Some(expires) = version.expires {
        world.is_due(expires);
    }
    if known.is_some() {
        let parameter = find_mut(world, &caller.place, &input.name)?;
        if parameter.versions.len() >= VERSIONS {
            parameter.versions.remove(0);
        }
        // Policies are the parameter's, not a version's.
        parameter.latest_mut().policies.clear();
        parameter.latest_mut().expires = None;
        parameter.versions.push(version);
    } else {
        let arn = arn(&caller.place, &input.name);
        let place = caller.place.clone();
        let parameter = Parameter { place, arn, name: input.name.clone(), tags, versions: vec![version] };
        world.parameters.entry(caller.place.clone()).or_default().insert(input.name, parameter);
    }
    Ok(answer)
}

/// The oldest of too many versions goes, unless it has a label (Systems Manager API Reference,
/// `PutParameter`, `ParameterMaxVersionLimitExceeded`).
fn has_room_for_a_version(known: &Parameter) -> Result<(), ApiError> {
    let oldest = &known.versions[0];
    if known.versions.len() < VERSIONS || oldest.labels.is_empty() {
        return Ok(());
    }
    Err(ApiError::new(
        "ParameterMaxVersionLimitExceeded",
        format!(
            "You attempted to create a new version of {} by calling the PutParameter API with the overwrite flag. \
             Version {}, the oldest version, can't be deleted because it has a label associated with it. Move the \
             label to another version of the parameter, and try again.",
            known.name, oldest.version
        ),
    ))
}

/// 10,000 Standard and 100,000 Advanced parameters (Systems Manager API Reference, `PutParameter`, Tier).
fn has_room_for_a_parameter(world: &World, caller: &Caller, tier: Tier) -> Result<(), ApiError> {
    let room = if tier == Tier::Standard { 10_000 } else { 100_000 };
    let there = world.parameters(&caller.place).filter(|parameter| parameter.latest().tier == tier).count();
    if there < room {
        return Ok(());
    }
    Err(ApiError::new(
        "ParameterLimitExceeded",
        "You have exceeded the number of parameters for this AWS account. Delete one or more parameters and try again.",
    ))
}

/// Tags need the permission to tag besides (Systems Manager API Reference, `PutParameter`, Tags).
fn ask(world: &World, caller: &Caller, input: &PutParameter) -> Result<(), ApiError> {
    let mut context = condition_keys(&input.tags);
    context.add("ssm:Overwrite", [input.overwrite.to_string()]);
    context.add("ssm:Policies", &input.policies);
    allowed(world, caller, "ssm:PutParameter", &input.name, context.clone())?;
    if input.tags.is_empty() {
        Ok(())
    } else {
        allowed(world, caller, "ssm:AddTagsToResource", &input.name, context)
    }
}

fn next_version(
    world: &World,
    caller: &Caller,
    input: &PutParameter,
    known: Option<&Parameter>,
) -> Result<ParameterVersion, ApiError> {
    let before = known.map(Parameter::latest);
    let kind = kind(input.r#type, before)?;
    let tier = tier(input, before)?;
    if input.value.is_empty() {
        return Err(ApiError::validation("A parameter has a value."));
    }
    if input.value.len() > tier.bytes() {
        return Err(ApiError::validation(format!(
            "{} tier parameters support a maximum parameter value of {} characters.",
            tier.name(),
            tier.bytes()
        )));
    }
    if input.value.split_once("{{").is_some_and(|(_, rest)| rest.contains("}}")) {
        return Err(ApiError::validation(
            "Parameter value can't nest another parameter. Do not use \"{{}}\" in the value.",
        ));
    }
    for (unknown, member) in [
        (input.allowed_pattern.is_some(), "AllowedPattern"),
        (input.data_type.as_deref().is_some_and(|it| it != "text"), "DataType"),
    ] {
        if unknown {
            return Err(ApiError::not_in_the_double(format!("this {member} of PutParameter")));
        }
    }
    let policies = policies::read(input.policies.as_deref(), tier, before)?;
    let expires = policies::expiration(&policies)?;
    let key = match (kind, &input.key_id) {
        (ParameterKind::SecureString, key) => {
            Some(key.clone().unwrap_or_else(|| values::DEFAULT_KEY.to_owned()))
        }
        (_, None) => None,
        (_, Some(_)) => {
            return Err(ApiError::validation("KeyId is required for SecureString type parameter only."));
        }
    };
    let key_arn = match &key {
        Some(key) => values::ask_to_encrypt(world, caller, &arn(&caller.place, &input.name), tier, key)?,
        None => None,
    };
    Ok(ParameterVersion {
        version: before.map_or(1, |before| before.version + 1),
        value: input.value.clone(),
        kind,
        tier,
        ciphertext: key.as_ref().map(|_| STANDARD.encode(random::vector(input.value.len() + 148))),
        key,
        key_arn,
        labels: BTreeSet::new(),
        policies,
        expires,
        description: input
            .description
            .clone()
            .or_else(|| before.and_then(|before| before.description.clone())),
        modified: world.now(),
        modified_by: caller.arn.clone(),
        created_by: caller.call,
    })
}

/// A new parameter needs a type, and a known one keeps its own (Systems Manager API Reference,
/// `PutParameter`, Type, and `HierarchyTypeMismatchException`).
fn kind(named: Option<ParameterKind>, before: Option<&ParameterVersion>) -> Result<ParameterKind, ApiError> {
    match (named, before) {
        (Some(named), Some(before)) if named != before.kind => Err(ApiError::new(
            "HierarchyTypeMismatchException",
            format!("You can't change a {} parameter to another type.", before.kind.name()),
        )),
        (Some(kind), _) => Ok(kind),
        (None, Some(before)) => Ok(before.kind),
        (None, None) => {
            Err(ApiError::validation("A parameter type is required when you create a parameter."))
        }
    }
}

/// An Advanced parameter does not become Standard again. Left out, a tier is the default one, Standard;
/// a known parameter keeps its own. Intelligent-Tiering is Advanced where that is needed (Systems
/// Manager API Reference, `PutParameter`, Tier).
fn tier(input: &PutParameter, before: Option<&ParameterVersion>) -> Result<Tier, ApiError> {
    let before = before.map(|before| before.tier);
    let needs_advanced = input.value.len() > Tier::Standard.bytes() || input.policies.is_some();
    match input.tier.as_deref() {
        None => Ok(before.unwrap_or(Tier::Standard)),
        Some("Advanced") => Ok(Tier::Advanced),
        Some("Intelligent-Tiering") if before == Some(Tier::Advanced) || needs_advanced => Ok(Tier::Advanced),
        Some("Standard") if before == Some(Tier::Advanced) => Err(ApiError::validation(
            "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the \
             advanced-parameter tier to the standard-parameter tier. If necessary, you can delete the advanced \
             parameter and recreate it as a standard parameter.",
        )),
        Some(_) => Ok(Tier::Standard),
    }
}
