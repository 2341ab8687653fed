//! The Lambda function that makes and rotates the login of a node's database: boots, and hands each event
//! to its handler.
//!
//! Two invoke it, and their events have another shape: CloudFormation, for `Custom::DatabaseLogin`, which
//! waits for an answer at a URL; and Secrets Manager, four times for each rotation, which does so again
//! after a failure.

mod handler;
mod settings;

use std::io::Write as _;
use std::process::ExitCode;

use custom_resource::{Deadline, Responder, Served, serve};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;

use handler::DatabaseLogin;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    surroundings::install_silent_panic_hook();
    let function = match settings::read() {
        Ok((store, server)) => DatabaseLogin { store, server },
        Err(fault) => {
            let _ = writeln!(std::io::stderr(), "keyboot database-login does not start: {fault}");
            return ExitCode::FAILURE;
        }
    };
    let (function, scheme, responder) = (&function, &handler::scheme(), &Responder::new());
    let service = service_fn(async |event: LambdaEvent<Value>| {
        if handler::is_step(&event.payload) {
            let result = function.step(event.payload).await;
            aws::JsonLines.write(&step_line(&result));
            return result.map(drop).map_err(|why| diagnostic("NotRotated", why));
        }
        let deadline = Deadline::from_epoch_millis(event.context.deadline);
        let served = serve(event.payload, deadline, scheme, responder, function).await;
        aws::JsonLines.write(&served_line(&served));
        match served {
            Served::Unfinished { .. } => {
                Err(diagnostic("Unfinished", custom_resource::UNFINISHED.to_owned()))
            }
            served if served.deserves_another_invocation() => {
                Err(diagnostic("NotDelivered", "the answer was not delivered".to_owned()))
            }
            _ => Ok(()),
        }
    });
    match lambda_runtime::run(service).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn diagnostic(error_type: &str, error_message: String) -> Diagnostic {
    Diagnostic { error_type: error_type.to_owned(), error_message }
}

/// The log line that says how a step ended. No token and no value is in it.
fn step_line(result: &Result<String, String>) -> Value {
    let (ending, told) = match result {
        Ok(told) => ("done", told),
        Err(why) => ("failed", why),
    };
    serde_json::json!({
        "schema": 1,
        "event": "keyboot.rotation",
        "asked": "a step of a rotation",
        "ending": ending,
        "told": told,
    })
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
