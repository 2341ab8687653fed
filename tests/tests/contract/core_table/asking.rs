//! What somebody reads of a thing, asked of the double without a socket: a table has ten thousands of cells.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contract_double::Double;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderValue};
use rig::cloud::REGION;
use serde_json::{Value, json};

/// Something that one may read.
#[derive(Clone, Debug)]
pub(crate) enum Thing {
    /// The version of a secret that counts, by full ARN and id.
    Secret { arn: String, version: String },
    /// A ciphertext, opened by KMS directly.
    Sealed { key: String, ciphertext: Vec<u8>, context: BTreeMap<String, String> },
    /// A public document, by full ARN.
    Document(String),
}

/// A call's answer: its code if it was refused.
pub(crate) async fn call(
    double: &Double,
    access_key: &str,
    target: &str,
    input: &Value,
) -> Result<Result<Value, String>> {
    let mut headers = HeaderMap::new();
    let service = match target.split_once('.') {
        Some(("TrentService", _)) => "kms",
        Some(("AmazonSSM", _)) => "ssm",
        _ => "secretsmanager",
    };
    let credential =
        format!("AWS4-HMAC-SHA256 Credential={access_key}/20260101/{REGION}/{service}/aws4_request");
    headers.insert(AUTHORIZATION, HeaderValue::try_from(credential)?);
    headers.insert("x-amz-target", HeaderValue::try_from(target)?);
    let answer = double.answer(&headers, input.to_string().as_bytes()).await.context("no answer")?;
    let body: Value = serde_json::from_slice(answer.body())?;
    if answer.status().is_success() {
        return Ok(Ok(body));
    }
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    Ok(Err(format!("{}: {}", text("__type"), text("message"))))
}

/// How somebody's read of a thing is taken: `+` is read, `.` is refused, and `?` is neither.
pub(crate) async fn read(double: &Double, access_key: &str, thing: &Thing) -> Result<char> {
    let (target, input) = match thing {
        // As a reader asks: by full ARN, the version that its record names.
        Thing::Secret { arn, version } => {
            ("secretsmanager.GetSecretValue", json!({ "SecretId": arn, "VersionId": version }))
        }
        Thing::Sealed { key, ciphertext, context } => (
            "TrentService.Decrypt",
            json!({
                "KeyId": key,
                "CiphertextBlob": STANDARD.encode(ciphertext),
                "EncryptionContext": context,
            }),
        ),
        Thing::Document(arn) => ("AmazonSSM.GetParameters", json!({ "Names": [arn] })),
    };
    Ok(match call(double, access_key, target, &input).await? {
        Ok(answer) if answer["InvalidParameters"].as_array().is_some_and(|missing| !missing.is_empty()) => {
            '?'
        }
        Ok(_) => '+',
        Err(refusal) if refusal.starts_with("AccessDeniedException:") => '.',
        Err(_) => '?',
    })
}
