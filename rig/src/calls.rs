//! The record of the calls that reached the local AWS: who called what, and what came of it.

use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;

/// All that node-keys ever has to call. None of them gives a secret back.
pub const NODE_KEYS_OPERATIONS: &[&str] = &[
    "AddTagsToResource",
    "CancelRotateSecret",
    "CreateSecret",
    "DeleteParameters",
    "DeleteResourcePolicy",
    "DeleteSecret",
    "DescribeParameters",
    "DescribeSecret",
    "DescribeStackResource",
    "DescribeStacks",
    "Encrypt",
    "GenerateDataKeyPairWithoutPlaintext",
    "GetParameterHistory",
    "GetParameters",
    "GetPublicKey",
    "GetResourcePolicy",
    "LabelParameterVersion",
    "ListTagsForResource",
    "PutParameter",
    "PutResourcePolicy",
    "PutSecretValue",
    "RemoveTagsFromResource",
    "RestoreSecret",
    "RotateSecret",
    "Sign",
    "TagResource",
    "UntagResource",
    "UpdateSecret",
    "UpdateSecretVersionStage",
];

/// What of it changes nothing.
pub const NODE_KEYS_READS: &[&str] = &[
    "DescribeParameters",
    "DescribeSecret",
    "DescribeStackResource",
    "DescribeStacks",
    "GetParameterHistory",
    "GetParameters",
    "GetPublicKey",
    "GetResourcePolicy",
    "ListTagsForResource",
];

/// All that key-rotation ever has to call. None of them gives a secret back.
pub const KEY_ROTATION_OPERATIONS: &[&str] = &[
    "AddTagsToResource",
    "DescribeSecret",
    "Encrypt",
    "GenerateDataKeyPairWithoutPlaintext",
    "GetParameterHistory",
    "GetParameters",
    "GetPublicKey",
    "LabelParameterVersion",
    "ListTagsForResource",
    "PutParameter",
    "PutSecretValue",
    "Sign",
    "UpdateSecretVersionStage",
];

/// One call, as the recorder wrote it down.
#[derive(Clone, Debug, Deserialize)]
pub struct Call {
    /// Its place in the order of arrival.
    pub sequence: u64,
    /// The service, such as `secretsmanager`; absent where it could not be told.
    pub service: Option<String>,
    /// The operation, such as `CreateSecret`; absent where it could not be told.
    pub operation: Option<String>,
    /// The ARN of the caller; absent where it could not be told.
    pub principal: Option<String>,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The body of the request, unless it is too long.
    pub request: Option<String>,
    /// The body of the answer, unless it is too long.
    pub response: Option<String>,
}

impl Call {
    /// Whether it was made under an IAM role, by whatever session.
    #[must_use]
    pub fn is_by_role(&self, role: &str) -> bool {
        self.principal.as_deref().is_some_and(|arn| arn.contains(&format!(":assumed-role/{role}/")))
    }
}

/// Reads the calls that are answered by now, in the order of their answers.
///
/// # Errors
///
/// When the record cannot be read or holds something else.
pub fn read(record: &Path) -> anyhow::Result<Vec<Call>> {
    let text = std::fs::read_to_string(record).with_context(|| format!("reading {}", record.display()))?;
    // A line that is being written has no end yet.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).context("a line of the record")).collect()
}
