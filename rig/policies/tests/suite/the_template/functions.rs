//! How the functions run, and what is there before the keys are asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use policies::template::{Expansion, Stack, Template};
use serde_json::{Value, json};

use super::{STACK, resolve, stack};
use crate::asking::HERE;

const FUNCTIONS: [&str; 3] = ["NodeKeysFunction", "UnansweredFunction", "KeyRotationFunction"];

#[test]
fn concurrency_and_code_signing_are_asked_for_or_left_out() {
    let config = "arn:aws:lambda:eu-central-1:111122223333:code-signing-config:csc-0f6c334abcdea4d8b";
    let plain = resolve(stack());
    let asked =
        resolve(stack().parameter("ReservedConcurrency", "2").parameter("CodeSigningConfigArn", config));
    for function in FUNCTIONS {
        let (plain, asked) = (plain.resource(function).unwrap(), asked.resource(function).unwrap());
        for name in ["ReservedConcurrentExecutions", "CodeSigningConfigArn"] {
            assert_eq!(plain.get(name), None, "{function}: {name}");
        }
        assert_eq!(
            (&asked["ReservedConcurrentExecutions"], &asked["CodeSigningConfigArn"]),
            (&json!("2"), &json!(config))
        );
    }
}

/// No code of others beside ours, and no payload goes to a tracer or another log.
#[test]
fn the_functions_run_nothing_else_and_are_traced_by_nothing() {
    let resolved = resolve(stack());
    for function in FUNCTIONS {
        let properties = resolved.resource(function).unwrap();
        for name in
            ["Layers", "Tracing", "TracingConfig", "VpcConfig", "FileSystemConfigs", "Policies", "Events"]
        {
            assert_eq!(properties.get(name), None, "{function}: {name}");
        }
        let log = properties["LoggingConfig"]["LogGroup"].as_str().unwrap();
        assert!(resolved.resource(log).unwrap()["RetentionInDays"].is_string(), "{function}");
    }
}

/// CloudFormation invokes a custom resource's function with the rights of whoever runs the stack, Lambda a
/// destination with the function's role, and EventBridge Scheduler a target with a role of its own. Secrets
/// Manager alone is let in by the function, and for this account's secrets only.
#[test]
fn no_functions_policy_lets_anybody_invoke_it_but_secrets_manager_key_rotation() {
    let rotating = stack().parameter("RotateApiKeysEvery", "rate(30 days)");
    let in_parameters = rotating.clone().parameter("Store", "ParameterStore");
    for stack in [stack().parameter("ClientStackIds", STACK), rotating, in_parameters] {
        let resolved = resolve(stack);
        let kinds = ["AWS::Lambda::Permission", "AWS::Lambda::Url", "AWS::Lambda::LayerVersionPermission"];
        let letting_in: Vec<_> =
            resolved.resources().filter(|(_, kind)| kinds.contains(kind)).map(|(id, _)| id).collect();
        assert_eq!(letting_in, ["KeyRotationPermission"]);
        assert_eq!(
            resolved.resource("KeyRotationPermission").unwrap(),
            json!({
                "Action": "lambda:InvokeFunction",
                "FunctionName": "KeyRotationFunction",
                "Principal": "secretsmanager.amazonaws.com",
                "SourceAccount": HERE,
            })
        );
    }
}

/// Whatever the functions need is there before `Keys` is made, and goes after it: Secrets Manager tries
/// key-rotation as soon as a secret is to be rotated.
#[test]
fn the_keys_wait_for_all_that_making_and_answering_takes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../template.yaml");
    let template = Template::read(&fs::read_to_string(path).unwrap()).unwrap();
    let expansion = Expansion::default()
        .value("Nodes", &["0"])
        .code("target/functions/key-rotation/bootstrap.zip", "k")
        .code("target/functions/node-keys/bootstrap.zip", "n")
        .code("target/functions/unanswered/bootstrap.zip", "u");
    let expanded: Value = serde_json::from_str(&template.expand(&expansion).unwrap()).unwrap();
    let resources = expanded["Resources"].as_object().unwrap();
    let needs: BTreeMap<&str, BTreeSet<String>> =
        resources.iter().map(|(id, resource)| (id.as_str(), named(resource))).collect();
    let mut waited = BTreeSet::from(["Keys".to_owned()]);
    let mut open = vec!["Keys".to_owned()];
    while let Some(id) = open.pop() {
        for need in needs.get(id.as_str()).into_iter().flatten() {
            if resources.contains_key(need) && waited.insert(need.clone()) {
                open.push(need.clone());
            }
        }
    }
    let resolved = resolve(Stack::new(STACK).unwrap());
    let of_the_roles = resolved.resources().filter(|(id, kind)| {
        let properties = resolved.resource(id).unwrap();
        let roles = properties["Roles"].as_array().cloned().unwrap_or_default();
        let of_functions = ["NodeKeysRole", "UnansweredRole", "KeyRotationRole"].map(|role| json!(role));
        ["AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"].contains(kind)
            && roles.iter().any(|role| of_functions.contains(role))
    });
    let policies: Vec<_> = of_the_roles.map(|(id, _)| id.to_owned()).collect();
    assert!(policies.len() >= 6, "{policies:?}");
    let others = [
        "NodeKeysInvocation",
        "UnansweredInvocation",
        "KeyRotationInvocation",
        "KeyRotationPermission",
        "SecretsKey",
        "RecordKey",
        "NodeKeysLogGroup",
        "KeyRotationLogGroup",
    ];
    for id in policies.iter().map(String::as_str).chain(others).chain(FUNCTIONS) {
        assert!(waited.contains(id), "Keys does not wait for {id}");
    }
}

/// What a part of a template names: by `Ref`, `Fn::GetAtt`, `Fn::Sub` and `DependsOn`.
fn named(part: &Value) -> BTreeSet<String> {
    match part {
        Value::Array(list) => list.iter().flat_map(named).collect(),
        Value::Object(map) => map.iter().flat_map(|(key, value)| of_function(key, value)).collect(),
        _ => BTreeSet::new(),
    }
}

fn of_function(key: &str, value: &Value) -> BTreeSet<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match (key, value) {
        ("Ref" | "DependsOn", Value::String(id)) => BTreeSet::from([id.clone()]),
        ("DependsOn", Value::Array(ids)) => ids.iter().filter_map(text).collect(),
        ("Fn::GetAtt", Value::Array(parts)) => parts.first().and_then(text).into_iter().collect(),
        ("Fn::Sub", Value::String(sub)) => {
            let names = sub.split("${").skip(1).filter_map(|rest| rest.split(['}', '.']).next());
            names.map(str::to_owned).collect()
        }
        _ => named(value),
    }
}
