//! Starts a program, waits for its end, and writes how long that took in nanoseconds and the most memory that
//! it had in use in KiB.
//!
//! A program of its own because it is small: the kernel counts what a process had in use before exec(2) to
//! its peak (`setmax_mm_hiwater_rss`, fs/exec.c), so whoever starts one gives it a peak of his own to begin
//! with. For the same reason the peak is that of all programs which the process becomes.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};

fn main() -> ExitCode {
    match measure(&std::env::args_os().skip(1).collect::<Vec<_>>()) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(words: &[OsString]) -> io::Result<ExitCode> {
    let [program, arguments @ ..] = words else {
        return Err(io::Error::other("no program is named"));
    };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    let started = Instant::now();
    let status = command.spawn()?.wait()?;
    let took = started.elapsed();
    // Of all children that have ended: it was the only one.
    let peak = getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss();
    writeln!(io::stdout(), "{} {peak}", took.as_nanos())?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
