//! Who sent an Ethereum transaction, as a library says that has no code in common with what signed it.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use crate::python::Venv;

/// What is in a signed transaction, and who sent it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// The address that the signature is of: `0x` and 40 hex digits in lower case.
    pub sender: String,
    /// The chain that it is for.
    pub chain_id: u64,
    /// Its type: 2 is EIP-1559's, 3 is EIP-4844's with blobs.
    pub kind: u8,
    /// Its number among the sender's.
    pub nonce: u64,
    /// The most gas that it may use.
    pub gas: u64,
    /// Where it goes, as an address like the sender's.
    pub to: String,
    /// What it brings, in wei.
    pub value: String,
    /// Its data, with `0x` before.
    pub input: String,
    /// Its blobs' hashes, if it has any.
    pub blob_versioned_hashes: Vec<String>,
}

/// Reads a raw signed transaction of a type that EIP-2718 made room for.
///
/// # Errors
///
/// When it is none, or its signature is nobody's.
pub fn sender_of(venv: &Venv, raw: &[u8]) -> anyhow::Result<Signed> {
    let mut asked = Command::new(venv.program("python"))
        .arg(crate::repository().join("rig/web3signer/sender.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting Python")?;
    asked.stdin.take().context("no way to say what is asked")?.write_all(hex::encode(raw).as_bytes())?;
    let told = asked.wait_with_output()?;
    let faults = String::from_utf8_lossy(&told.stderr);
    ensure!(told.status.success(), "no transaction: {}", faults.lines().last().unwrap_or_default());
    Ok(serde_json::from_slice(&told.stdout)?)
}
