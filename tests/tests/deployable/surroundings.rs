//! The function's program and what it is started with.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rig::functions::{Build, bootstrap};
use rig::runtime::{self, Ended, Environment, Function};
use serde_json::{Value, json};

/// A Region that does not exist, so that no name of it can be resolved anywhere.
pub(crate) const REGION: &str = "xx-none-1";
/// The stack that the function's configuration names.
pub(crate) const STACK: &str = "arn:aws:cloudformation:xx-none-1:123456789012:stack/canary/5b0c1a2e";
/// More than a start takes on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The program as it is deployed, but for the optimizer.
pub(crate) fn deployable() -> PathBuf {
    bootstrap("node-keys", Build::Deployable).unwrap()
}

/// What Lambda and the template set.
pub(crate) fn environment() -> Environment {
    let mut environment = runtime::environment("node-keys");
    for (name, value) in [
        ("AWS_REGION", REGION),
        ("AWS_DEFAULT_REGION", REGION),
        (
            "KEYBOOT_SIGNING_KEY_ARN",
            "arn:aws:kms:xx-none-1:123456789012:key/7c0a5d3e-1f2b-4c6d-8e9f-0a1b2c3d4e5f",
        ),
        ("KEYBOOT_ROLE_ARN", "arn:aws:iam::123456789012:role/canary-NodeKeysRole"),
        (
            "KEYBOOT_ROTATION_FUNCTION_ARN",
            "arn:aws:lambda:xx-none-1:123456789012:function:canary-KeyRotationFunction",
        ),
        ("KEYBOOT_ROTATION_ROLE_ARN", "arn:aws:iam::123456789012:role/canary-KeyRotationRole"),
        ("KEYBOOT_STACK_IDS", STACK),
    ] {
        environment.insert(name.to_owned(), value.to_owned());
    }
    environment
}

/// The same with one variable set.
pub(crate) fn environment_with(name: &str, value: &str) -> Environment {
    let mut environment = environment();
    environment.insert(name.to_owned(), value.to_owned());
    environment
}

/// A Create whose answer would go to CloudFormation, were there such a Region.
pub(crate) fn event(response_url: &str, properties: &Value) -> Value {
    json!({
        "RequestType": "Create",
        "ResponseURL": response_url,
        "StackId": STACK,
        "RequestId": "5d478078-13e9-baf0-464a-7ef285ecc786",
        "LogicalResourceId": "Keys",
        "ResourceType": "Custom::NodeKeys",
        "ResourceProperties": properties,
    })
}

/// Properties with which nothing is wrong.
pub(crate) fn properties() -> Value {
    json!({
        "ServiceToken": "arn:aws:lambda:xx-none-1:123456789012:function:node-keys",
        "Cluster": "tsm",
        "Nodes": ["0", "1", "2"],
        "KmsKeyArn": "arn:aws:kms:xx-none-1:123456789012:key/0d1e2f3a-4b5c-4d6e-8f90-a1b2c3d4e5f6",
    })
}

/// Starts the function where it must refuse to start, and gives what is left of it.
pub(crate) async fn refused(environment: &Environment) -> Ended {
    refused_by(&deployable(), environment).await
}

/// The same, for another function's program.
pub(crate) async fn refused_by(program: &Path, environment: &Environment) -> Ended {
    let mut function = Function::start(program, environment).await.unwrap();
    let asked = function.ready(PATIENCE).await;
    assert_eq!(asked, None, "it asked for an event");
    function.ended(PATIENCE).await.unwrap()
}
