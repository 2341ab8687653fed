//! The Lambda function that answers CloudFormation for a node-keys that died.
//!
//! node-keys answers whatever it lives through. What it does not live through (it is killed, runs
//! out of memory or time, does not start at all) leaves a stack that waits for its `ServiceTimeout`.
//! So this is node-keys' on-failure destination: once Lambda has given an event up, it sends its
//! record here, and FAILED is answered under the id that node-keys would have given.
//!
//! Whoever died may have answered before: then this is the second answer to the event, which the
//! pre-signed URL takes and CloudFormation ignores. A record that comes twice is answered alike.

mod handler;
mod record;
mod settings;

use std::io::Write as _;
use std::process::ExitCode;

use custom_resource::{Deadline, Served};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::{Value, json};

use handler::Unanswered;
use record::RecordFault;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    surroundings::install_silent_panic_hook();
    let unanswered = match settings::read() {
        Ok(settings) => &Unanswered::new(settings),
        Err(fault) => {
            let _ = writeln!(std::io::stderr(), "keyboot unanswered does not start: {fault}");
            return ExitCode::FAILURE;
        }
    };
    let service = service_fn(async |event: LambdaEvent<Value>| {
        let deadline = Deadline::from_epoch_millis(event.context.deadline);
        let ended = unanswered.answer(event.payload, deadline).await;
        let _ = writeln!(std::io::stdout(), "{}", line(&ended));
        // Whatever else came of it: a stack may still be waiting, and the function's metric of
        // errors is where that is seen.
        match ended {
            Ok(Served::Answered { .. }) => Ok(()),
            Ok(served) => Err(not_answered(served.to_string())),
            Err(fault) => Err(not_answered(fault.to_string())),
        }
    });
    match lambda_runtime::run(service).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// What Lambda is told where CloudFormation was not.
fn not_answered(error_message: String) -> Diagnostic {
    Diagnostic { error_type: "NotAnswered".to_owned(), error_message }
}

/// The log line that says how a record ended. No URL and no value is in it.
fn line(ended: &Result<Served, RecordFault>) -> Value {
    let reason = ended.as_ref().ok().and_then(Served::reason);
    let ending = match ended {
        Ok(served) => served.to_string(),
        Err(fault) => fault.to_string(),
    };
    json!({ "schema": 1, "event": "keyboot.unanswered", "ending": ending, "reason": reason })
}
