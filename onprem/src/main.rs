//! `keyboot-onprem`: see the library.

use std::process::ExitCode;

use clap::Parser as _;
use keyboot_onprem::cli::{Arguments, run};
use keyboot_onprem::hardening;
use keyboot_onprem::terminal::say;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    surroundings::install_silent_panic_hook();
    hardening::protect();
    let arguments = Arguments::parse();
    if let Err(fault) = surroundings::refuse_tampered_environment(std::env::vars_os()) {
        say(&fault.to_string());
        return ExitCode::from(78);
    }
    match Box::pin(run(arguments)).await {
        Ok(status) => status,
        Err(error) => {
            say(&error.to_string());
            error.exit_code()
        }
    }
}
