//! The Lambda function that rotates the keys of clusters: boots, and hands each event to its handler.
//!
//! Secrets Manager invokes it four times for each rotation of a secret, and EventBridge Scheduler where
//! secrets are in Parameter Store. Whoever has invoked it does so again after a failure, so every failure
//! is one of the invocation.

mod handler;
mod settings;

use std::io::Write as _;
use std::process::ExitCode;

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;

use handler::{Ended, KeyRotation};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    surroundings::install_silent_panic_hook();
    let rotation = match settings::read() {
        Ok((world, pinned)) => &KeyRotation { world, pinned },
        Err(fault) => {
            let _ = writeln!(std::io::stderr(), "keyboot key-rotation does not start: {fault}");
            return ExitCode::FAILURE;
        }
    };
    let service = service_fn(async |event: LambdaEvent<Value>| {
        let ended = rotation.handle(event.payload).await;
        aws::JsonLines.write(&line(&ended));
        ended
            .result
            .map_err(|error_message| Diagnostic { error_type: "NotRotated".to_owned(), error_message })
    });
    match lambda_runtime::run(service).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The log line that says how an event ended. No token and no value is in it.
fn line(ended: &Ended) -> Value {
    let (ending, told) = match &ended.result {
        Ok(told) => ("done", told),
        Err(why) => ("failed", why),
    };
    serde_json::json!({
        "schema": 1,
        "event": "keyboot.rotation",
        "asked": ended.asked,
        "ending": ending,
        "told": told,
    })
}
