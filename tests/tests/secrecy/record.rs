//! The record of all calls: what the function sent, to whom.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rig::ministack::MiniStack;
use serde_json::Value;
use spelling::Search;

use crate::secret::Secret;

/// The operations that take a secret, and the field that it is in.
const SINKS: &[(&str, &str)] =
    &[("CreateSecret", "SecretString"), ("Encrypt", "Plaintext"), ("PutSecretValue", "SecretString")];
/// Where the path of a response URL ends and its secret begins.
const ANSWERS: &str = "/_ministack/cfn-response/";

/// The calls that were answered by now.
pub(crate) struct Calls(Vec<Value>);

/// Reads the record.
pub(crate) fn read(ministack: &MiniStack) -> Result<Calls> {
    let text = std::fs::read_to_string(ministack.calls())?;
    // A line that is being written has no end yet.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let calls: Result<Vec<Value>, _> = whole.lines().map(serde_json::from_str).collect();
    Ok(Calls(calls?))
}

impl Calls {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The calls of the function, after the first `skipped` of all.
    pub(crate) fn of_role<'a>(&'a self, role: &str, skipped: usize) -> impl Iterator<Item = &'a Value> {
        let session = format!(":assumed-role/{role}/");
        self.0[skipped..]
            .iter()
            .filter(move |call| call["principal"].as_str().is_some_and(|arn| arn.contains(&session)))
    }

    /// When the first answer said FAILED, after the first `skipped` of all: its place in the order of
    /// arrival.
    pub(crate) fn before_the_first_failure(&self, skipped: usize) -> Option<u64> {
        let failed = |call: &&Value| {
            call["operation"] == "Answer" && request_of(call).is_some_and(|body| body["Status"] == "FAILED")
        };
        self.0[skipped..].iter().find(failed)?["sequence"].as_u64()
    }

    /// Whether an operation was denied to a function, after the first `skipped` of all.
    pub(crate) fn has_denied(&self, role: &str, operation: &str, skipped: usize) -> bool {
        let denied = |call: &Value| {
            call["operation"] == operation
                && call["response"].as_str().is_some_and(|body| body.contains("AccessDenied"))
        };
        self.of_role(role, skipped).any(denied)
    }

    /// Every secret that the function sent to a store or to a key, those of failed operations too.
    pub(crate) fn secrets(&self, role: &str) -> Result<Vec<Secret>> {
        let mut secrets = Vec::new();
        for call in self.of_role(role, 0) {
            let Some(secret) = secret_of(call)? else { continue };
            secrets.push(secret);
        }
        Ok(secrets)
    }

    /// The credentials that Secrets Manager hands to whoever rotates, as far as the function sent any.
    pub(crate) fn rotation_tokens(&self) -> usize {
        let sent = self.0.iter().filter_map(request_of);
        sent.filter(|request| request["RotationToken"].is_string()).count()
    }

    /// The secret parts of all response URLs that were answered.
    pub(crate) fn tokens(&self) -> Vec<Secret> {
        let paths = self.0.iter().filter_map(|call| call["path"].as_str()?.strip_prefix(ANSWERS));
        let distinct: BTreeSet<_> = paths.collect();
        distinct.into_iter().map(|token| Secret::text("the response URL", token)).collect()
    }

    /// How many events were answered.
    pub(crate) fn answer_count(&self) -> usize {
        self.0.iter().filter(|call| call["operation"] == "Answer").count()
    }

    /// The bodies of all answers to CloudFormation.
    pub(crate) fn answers(&self) -> Vec<u8> {
        let answers = self.0.iter().filter(|call| call["operation"] == "Answer");
        let bodies = answers.filter_map(|call| call["request"].as_str());
        bodies.collect::<Vec<_>>().join("\n").into_bytes()
    }

    /// What a function should not have called, and secrets elsewhere than in their field.
    pub(crate) fn faults(&self, role: &str, known: &[&str], search: &Search) -> Vec<String> {
        let mut faults = Vec::new();
        for call in self.of_role(role, 0) {
            let operation = call["operation"].as_str().unwrap_or("an unknown operation");
            if !known.contains(&operation) {
                faults.push(format!("the function under {role} called {operation}"));
            }
            let mut rest = call.clone();
            if let (Some((_, sink)), Some(mut request)) = (sink(operation), request_of(call)) {
                request[sink].take();
                rest["request"] = request;
            }
            let found = search.in_bytes(rest.to_string().as_bytes());
            faults
                .extend(found.into_iter().map(|secret| format!("{secret} beside its field in {operation}")));
        }
        faults
    }
}

fn sink(operation: &str) -> Option<&'static (&'static str, &'static str)> {
    SINKS.iter().find(|(known, _)| *known == operation)
}

/// The name in a secret's ARN, which has six characters more.
fn name_in(arn: &Value) -> String {
    let name = arn.as_str().and_then(|arn| arn.rsplit(':').next()).unwrap_or_default();
    name.rsplit_once('-').map_or(name, |(name, _)| name).to_owned()
}

fn request_of(call: &Value) -> Option<Value> {
    serde_json::from_str(call["request"].as_str()?).ok()
}

fn secret_of(call: &Value) -> Result<Option<Secret>> {
    let Some((operation, field)) = call["operation"].as_str().and_then(sink) else { return Ok(None) };
    let request = request_of(call).with_context(|| format!("a {operation} that is no JSON"))?;
    let text = request[*field].as_str().with_context(|| format!("{operation} without {field}"))?;
    if *operation == "Encrypt" {
        let context = |name: &str| request["EncryptionContext"][name].as_str().unwrap_or_default();
        let (cluster, node) = (context("keyboot:cluster"), context("keyboot:node"));
        let name = format!("{cluster}/node/{node}/{}", context("keyboot:purpose"));
        return Secret::read(&name, &STANDARD.decode(text)?).map(Some);
    }
    // What is sealed already is no secret.
    if text.contains(r#""sealed":"#) {
        return Ok(None);
    }
    let name = request["Name"].as_str().map_or_else(|| name_in(&request["SecretId"]), str::to_owned);
    Secret::read(&name, text.as_bytes()).map(Some)
}
