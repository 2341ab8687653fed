//! The least that a Lambda function in Rust can be: the runtime client, and no AWS SDK.
//!
//! It gives every event back. No Lambda function in Rust starts much faster, so it is what the
//! start of node-keys is measured against: it is built by the same command in the same profile.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Value>| Ok::<_, Error>(event.payload))).await
}
