//! A function that stands in for node-keys, and dies in the way that the file `orders` beside it says.
//!
//! The first line of the orders is the way, the second a file to note in what it lived through: a
//! line for each start, one for each event, and one for each 16 MiB where it fills its memory.
//! It speaks Lambda's runtime API by itself, so that nothing stands between it and its end.

use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::io::{Error, Read as _, Result, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

/// How it ends where it ends by itself.
const DEAD: u8 = 7;
/// How it ends where the orders could not be carried out.
const STRANDED: u8 = 99;
/// Where memory ends for a function that has no limit: the test is to fail, not the machine.
const TOO_MUCH: usize = 1024;
/// What is taken at a time, in MiB.
const CHUNK: usize = 16;

fn main() -> ExitCode {
    live().unwrap_or(ExitCode::from(STRANDED))
}

fn live() -> Result<ExitCode> {
    let orders = std::fs::read_to_string(Path::new(&variable("LAMBDA_TASK_ROOT")?).join("orders"))?;
    let mut orders = orders.lines();
    let (way, notes) = (orders.next().unwrap_or_default(), orders.next().unwrap_or_default());
    let mut notes = OpenOptions::new().create(true).append(true).open(notes)?;
    note(&mut notes, "started")?;
    if way == "at-start" {
        return Ok(ExitCode::from(DEAD));
    }
    let event = next_event()?;
    note(&mut notes, &event.to_string())?;
    match way {
        "in-the-handler" => Ok(ExitCode::from(DEAD)),
        "after-an-answer" => answer(&event).map(|()| ExitCode::from(DEAD)),
        "of-memory" => fill_memory(&mut notes),
        "of-time" => loop {
            sleep(Duration::from_mins(1));
        },
        _ => Ok(ExitCode::from(STRANDED)),
    }
}

/// Takes memory until there is none, and uses it.
fn fill_memory(notes: &mut File) -> Result<ExitCode> {
    let mut taken = Vec::new();
    while taken.len() * CHUNK < TOO_MUCH {
        taken.push(black_box(vec![1_u8; CHUNK * 1024 * 1024]));
        note(notes, &format!("{} MiB", taken.len() * CHUNK))?;
    }
    Ok(ExitCode::from(STRANDED))
}

fn answer(event: &Value) -> Result<()> {
    let text = |name: &str| event[name].as_str().unwrap_or_default();
    let body = json!({
        "Status": "FAILED",
        "Reason": "said before the end",
        "PhysicalResourceId": "of-the-first-answer",
        "StackId": text("StackId"),
        "RequestId": text("RequestId"),
        "LogicalResourceId": text("LogicalResourceId"),
    });
    let url = text("ResponseURL").trim_start_matches("http://");
    let (host, path) = url.split_once('/').ok_or_else(|| Error::other("no path"))?;
    exchange(host, &format!("PUT /{path}"), &body.to_string())?;
    Ok(())
}

fn next_event() -> Result<Value> {
    let host = variable("AWS_LAMBDA_RUNTIME_API")?;
    let body = exchange(&host, "GET /2018-06-01/runtime/invocation/next", "")?;
    serde_json::from_str(&body).map_err(Error::other)
}

/// One request of HTTP/1.0, and the body of the response.
fn exchange(host: &str, method_and_path: &str, body: &str) -> Result<String> {
    let mut stream = TcpStream::connect(host)?;
    let length = body.len();
    write!(stream, "{method_and_path} HTTP/1.0\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n{body}")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    response
        .split_once("\r\n\r\n")
        .map(|(_, body)| body.to_owned())
        .ok_or_else(|| Error::other("no response"))
}

fn note(notes: &mut File, line: &str) -> Result<()> {
    notes.write_all(format!("{line}\n").as_bytes())
}

#[expect(clippy::disallowed_methods, reason = "Lambda says by these where the function and its events are")]
fn variable(name: &str) -> Result<String> {
    std::env::var(name).map_err(Error::other)
}
