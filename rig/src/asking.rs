//! Questions to services of the local AWS that are asked too seldom for a client of their own: by Python.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::cloud::{Cloud, REGION};
use crate::python::Venv;

/// Calls an operation of a service as the account's root, both in boto3's words, and gives its answer.
///
/// # Errors
///
/// When the service refuses; the message ends with what it said.
pub fn ask(
    venv: &Venv,
    cloud: &Cloud,
    service: &str,
    operation: &str,
    arguments: &Value,
) -> anyhow::Result<Value> {
    script(venv, cloud, "ask.py", &[service, operation], &arguments.to_string())
        .with_context(|| format!("asking {service} to {operation}"))
}

/// Runs a script of `rig/instance` as the account's root, and gives what it printed.
pub(crate) fn script(
    venv: &Venv,
    cloud: &Cloud,
    name: &str,
    arguments: &[&str],
    input: &str,
) -> anyhow::Result<Value> {
    let mut python = Command::new(venv.program("python"));
    python.arg(crate::repository().join("rig/instance").join(name)).args(arguments).env_clear();
    python.env("AWS_ENDPOINT_URL", cloud.endpoint()).env("AWS_DEFAULT_REGION", REGION);
    python.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    let mut child = python
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting Python")?;
    child.stdin.take().context("no pipe")?.write_all(input.as_bytes())?;
    let answer = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&answer.stderr);
    ensure!(answer.status.success(), "{}", said.lines().last().unwrap_or("it said nothing"));
    Ok(serde_json::from_slice(&answer.stdout)?)
}
