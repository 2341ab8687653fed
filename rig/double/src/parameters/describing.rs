//! `DescribeParameters`.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::access::{self, Context, Owner, Question};
use crate::clock::seconds;
use crate::error::{Answer, ApiError};
use crate::identities::Caller;
use crate::paging::page;
use crate::parameters::{Parameter, paths};
use crate::world::World;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct DescribeParameters {
    #[serde(default)]
    parameter_filters: Vec<Filter>,
    #[serde(default)]
    shared: bool,
    max_results: Option<usize>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Filter {
    key: String,
    option: Option<String>,
    #[serde(default)]
    values: Vec<String>,
}

/// Parameters of the caller's account, or those that other accounts share with it. The call is on
/// no resource (Service Authorization Reference, "Actions, resources, and condition keys for AWS
/// Systems Manager").
pub(super) fn describe(world: &mut World, caller: &Caller, input: &DescribeParameters) -> Answer {
    let action = "ssm:DescribeParameters";
    let question = |resource: &str, account: &str| {
        let (resource, owner) = (resource.to_owned(), Owner::Account(account));
        access::require(world, caller, Question { action, resource, owner, context: Context::default() })
    };
    question("*", &caller.place.account)?;
    let mut found: Vec<&Parameter> = if input.shared {
        let others = world.parameters.iter().filter(|(place, _)| {
            place.account != caller.place.account && place.region == caller.place.region
        });
        let theirs = others.flat_map(|(_, there)| there.values());
        theirs.filter(|parameter| question(&parameter.arn, &parameter.place.account).is_ok()).collect()
    } else {
        world.parameters(&caller.place).collect()
    };
    for filter in &input.parameter_filters {
        let mut kept = Vec::new();
        for parameter in found {
            if filter.matches(parameter)? {
                kept.push(parameter);
            }
        }
        found = kept;
    }
    let (page, next) = page(found, input.max_results, 1..=50, input.next_token.as_deref())?;
    let mut answer = json!({ "Parameters": page.into_iter().map(described).collect::<Vec<_>>() });
    if let Some(next) = next {
        answer["NextToken"] = json!(next);
    }
    Ok(answer)
}

/// Systems Manager API Reference, `ParameterMetadata` and `ParameterInlinePolicy`: policies are a list.
fn described(parameter: &Parameter) -> Value {
    let latest = parameter.latest();
    let policies = latest.policies.iter().map(|policy| {
        json!({ "PolicyText": policy.to_string(), "PolicyType": policy["Type"], "PolicyStatus": "Pending" })
    });
    let mut described = json!({
        "Name": parameter.name,
        "ARN": parameter.arn,
        "Type": latest.kind.name(),
        "LastModifiedDate": seconds(latest.modified),
        "LastModifiedUser": latest.modified_by,
        "Version": latest.version,
        "Tier": latest.tier.name(),
        "Policies": policies.collect::<Vec<_>>(),
        "DataType": "text",
    });
    for (name, value) in [("KeyId", &latest.key), ("Description", &latest.description)] {
        if let Some(value) = value {
            described[name] = json!(value);
        }
    }
    described
}

impl Filter {
    /// Systems Manager API Reference, `ParameterStringFilter`.
    fn matches(&self, parameter: &Parameter) -> Result<bool, ApiError> {
        let option = self.option.as_deref();
        let one_of = |text: &str| self.values.iter().any(|value| value == text);
        Ok(match (self.key.as_str(), option) {
            ("Name", None | Some("Equals")) => one_of(&parameter.name),
            ("Name", Some("BeginsWith")) => {
                self.values.iter().any(|value| parameter.name.starts_with(value.as_str()))
            }
            ("Name", Some("Contains")) => {
                self.values.iter().any(|value| parameter.name.contains(value.as_str()))
            }
            ("Path", Some("Recursive" | "OneLevel") | None) => self.values.iter().any(|path| {
                paths::is_below(&parameter.name, path.trim_end_matches('/'), option == Some("Recursive"))
            }),
            ("Type", None | Some("Equals")) => one_of(parameter.latest().kind.name()),
            ("Tier", None | Some("Equals")) => one_of(parameter.latest().tier.name()),
            (key, None | Some("Equals")) if key.starts_with("tag:") => {
                let value = parameter.tags.get(&key["tag:".len()..]);
                value.is_some_and(|value| self.values.is_empty() || one_of(value))
            }
            (key, option) => {
                let option = option.unwrap_or("Equals");
                return Err(ApiError::not_in_the_double(format!("the filter {key} {option}")));
            }
        })
    }
}
