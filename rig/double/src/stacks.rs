//! CloudFormation, as far as a function asks it: how a stack and a resource of it are doing. The
//! test plays CloudFormation.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::access::{self, Context, Owner, Question};
use crate::error::{Answer, ApiError};
use crate::identities::Caller;
use crate::place::Place;
use crate::service::read;
use crate::world::World;

/// A stack.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stack {
    /// Its id, a full ARN.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its status, such as `CREATE_IN_PROGRESS`.
    pub status: String,
    /// Its resources, by logical id.
    pub resources: BTreeMap<String, Resource>,
}

/// A resource of a stack.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Resource {
    /// Its type, such as `Custom::NodeKeys`.
    pub kind: String,
    /// Its status, such as `CREATE_IN_PROGRESS`.
    pub status: String,
    /// Its physical id; none until the first Create has been answered.
    pub physical_id: Option<String>,
}

impl Stack {
    /// A stack without resources.
    #[must_use]
    pub fn new(id: impl Into<String>, status: impl Into<String>) -> Self {
        let id = id.into();
        let name = name_in(&id).to_owned();
        Self { id, name, status: status.into(), resources: BTreeMap::new() }
    }
}

impl Resource {
    /// A resource without a physical id.
    pub fn new(kind: impl Into<String>, status: impl Into<String>) -> Self {
        Self { kind: kind.into(), status: status.into(), physical_id: None }
    }

    /// The same with a physical id.
    #[must_use]
    pub fn with_physical_id(self, id: impl Into<String>) -> Self {
        Self { physical_id: Some(id.into()), ..self }
    }
}

/// Carries a call out.
pub(crate) fn carry_out(world: &mut World, caller: &Caller, operation: &str, input: Value) -> Answer {
    match operation {
        "DescribeStackResource" => describe_resource(world, caller, read(input)?),
        "DescribeStacks" => describe_stacks(world, caller, read(input)?),
        _ => Err(ApiError::not_in_the_double(format!("the operation cloudformation:{operation}"))),
    }
}

/// The stack's name, and the resource's logical id after a slash.
pub(crate) fn subject(input: &Value) -> String {
    let stack = name_in(input["StackName"].as_str().unwrap_or_default());
    match input["LogicalResourceId"].as_str() {
        Some(resource) => format!("{stack}/{resource}"),
        None => stack.to_owned(),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DescribeStackResource {
    stack_name: String,
    logical_resource_id: String,
}

fn describe_resource(world: &mut World, caller: &Caller, input: DescribeStackResource) -> Answer {
    let (asked, logical_id) = (input.stack_name, input.logical_resource_id);
    let stack = find(world, caller, "cloudformation:DescribeStackResource", &asked)?;
    let stack = stack.ok_or_else(|| unknown(format!("Stack '{asked}' does not exist")))?;
    let resource = stack.resources.get(&logical_id);
    let resource = resource
        .ok_or_else(|| unknown(format!("Resource {logical_id} does not exist for stack {}", stack.name)))?;
    Ok(json!({
        "StackResourceDetail": {
            "StackId": stack.id,
            "StackName": stack.name,
            "LogicalResourceId": logical_id,
            "PhysicalResourceId": resource.physical_id,
            "ResourceType": resource.kind,
            "ResourceStatus": resource.status,
            "LastUpdatedTimestamp": world.now().to_string(),
        }
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DescribeStacks {
    stack_name: String,
}

fn describe_stacks(world: &mut World, caller: &Caller, input: DescribeStacks) -> Answer {
    let asked = input.stack_name;
    let stack = find(world, caller, "cloudformation:DescribeStacks", &asked)?;
    let stack = stack.ok_or_else(|| unknown(format!("Stack with id {asked} does not exist")))?;
    Ok(json!({
        "Stacks": [{
            "StackId": stack.id,
            "StackName": stack.name,
            "StackStatus": stack.status,
            "CreationTime": world.now().to_string(),
        }]
    }))
}

/// Finds a stack of the caller's account and Region by its name or its id. One that is deleted is found
/// by its id only (CloudFormation API Reference, `DescribeStacks`, `StackName`).
fn find<'a>(
    world: &'a World,
    caller: &Caller,
    action: &str,
    named: &str,
) -> Result<Option<&'a Stack>, ApiError> {
    let of_id = Place::of_arn(named, "cloudformation");
    let place = of_id.as_ref().map_or(&caller.place, |(place, _)| place);
    let there = world.stacks.get(place).filter(|_| *place == caller.place);
    let there = there.map(Vec::as_slice).unwrap_or_default();
    let stack = match of_id {
        Some(_) => there.iter().find(|stack| stack.id == named),
        None => there.iter().find(|stack| stack.name == named && stack.status != "DELETE_COMPLETE"),
    };
    let resource = match stack {
        Some(stack) => stack.id.clone(),
        None if of_id.is_some() => named.to_owned(),
        None => caller.place.arn("cloudformation", &format!("stack/{named}/*")),
    };
    let question =
        Question { action, resource, owner: Owner::Account(&place.account), context: Context::default() };
    // The query protocol has its own name for a right that is missing (CloudFormation API
    // Reference, "Common Errors", AccessDeniedException; the service sends AccessDenied).
    access::require(world, caller, question)
        .map_err(|denied| ApiError { code: "AccessDenied".to_owned(), ..denied }.with_status(403))?;
    Ok(stack)
}

/// The name in a stack's id; a name as it is.
pub(crate) fn name_in(id: &str) -> &str {
    id.split_once(":stack/").map_or(id, |(_, rest)| rest.split('/').next().unwrap_or(rest))
}

fn unknown(said: String) -> ApiError {
    ApiError::new("ValidationError", said)
}
