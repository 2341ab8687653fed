//! The Lambda function behind `Custom::NodeKeys`: boots, and hands each event to its handler.

mod handler;
mod settings;

use std::process::ExitCode;

use custom_resource::{Deadline, Responder, Served, serve};
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;

use handler::NodeKeys;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    surroundings::install_silent_panic_hook();
    let (world, pinned) = match settings::read() {
        Ok(settings) => settings,
        Err(fault) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "keyboot node-keys does not start: {fault}");
            return ExitCode::FAILURE;
        }
    };
    let provider = &NodeKeys { world, pinned };
    let (scheme, responder) = (&identity::scheme(), &Responder::new());
    let service = service_fn(async |event: LambdaEvent<Value>| {
        let deadline = Deadline::from_epoch_millis(event.context.deadline);
        let served = serve(event.payload, deadline, scheme, responder, provider).await;
        aws::JsonLines.write(&served_line(&served));
        match served {
            Served::Unfinished { .. } => Err(custom_resource::UNFINISHED),
            served if served.deserves_another_invocation() => Err("the answer was not delivered"),
            _ => Ok(()),
        }
    });
    match lambda_runtime::run(service).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The log line that says how an event ended. No URL and no value is in it.
fn served_line(served: &Served) -> Value {
    serde_json::json!({
        "schema": 1,
        "event": "keyboot.served",
        "ending": served.to_string(),
        "reason": served.reason(),
    })
}
