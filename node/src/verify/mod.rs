//! `keyboot-node verify`: whether a cluster is as its signed documents say, for operators and auditors.
//!
//! Public facts only: no call here reads a secret. What the auditor's role may not see is `unknown`, with the
//! permission that is missing, and everything else is checked all the same. While an operation of the stack
//! is under way its documents and secrets differ for a moment: a fault that is seen then is looked at again.

mod documents;
mod drift;
mod ports;
mod secrets;
mod shown;

use futures_util::future::join;
use jiff::Timestamp;
use provisioning::names::ClusterName;
use reading::ReadError;
use reading::ports::DocumentReader;

use crate::config::Config;
use crate::error::NodeError;
use crate::reader::Reader;

pub use ports::Auditing;
pub use shown::{to_json, to_text};

/// What has been looked at, and what was found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    /// The cluster.
    pub cluster: ClusterName,
    /// A row for each check.
    pub rows: Vec<Row>,
}

/// What one check has found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Row {
    /// Which one it was.
    pub check: Check,
    /// What was looked at: a document, a secret, a node or a stack.
    pub subject: String,
    /// What came of it.
    pub verdict: Verdict,
    /// Why, in one sentence.
    pub explanation: String,
}

/// What came of a check.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Verdict {
    /// It is as it has to be.
    Ok,
    /// It could not be looked at, or there is nothing to compare it with.
    Unknown,
    /// It is not as it has to be.
    Fault,
}

/// What is checked.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Check {
    /// The roster: its signature, its serial number and its digest.
    Roster,
    /// A node's record: its signature and its serial number.
    Record,
    /// What the roster says of a node, against the node's record.
    RosterEntry,
    /// Whether a secret is there, and stays.
    SecretPresent,
    /// Whose a secret is, by its tags.
    SecretOwner,
    /// Whether the version that counts is held.
    SecretVersion,
    /// Which version is handed out to who names none.
    SecretCurrent,
    /// Which key a secret is encrypted with.
    SecretKey,
    /// Who may read a secret.
    SecretReaders,
    /// By which schedule a secret is rotated.
    SecretRotation,
    /// Whether the stack is as its template says.
    Drift,
}

impl Verdict {
    /// The name, as in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Fault => "fault",
        }
    }
}

impl Check {
    /// The name, as in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Roster => "roster",
            Self::Record => "record",
            Self::RosterEntry => "roster-entry",
            Self::SecretPresent => "secret-present",
            Self::SecretOwner => "secret-owner",
            Self::SecretVersion => "secret-version",
            Self::SecretCurrent => "secret-current",
            Self::SecretKey => "secret-key",
            Self::SecretReaders => "secret-readers",
            Self::SecretRotation => "secret-rotation",
            Self::Drift => "drift",
        }
    }
}

impl Report {
    /// How many checks have come to a verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.rows.iter().filter(|row| row.verdict == verdict).count()
    }

    /// Whether nothing was found that is not as it has to be.
    #[must_use]
    pub fn is_without_fault(&self) -> bool {
        self.count(Verdict::Fault) == 0
    }
}

/// Checks everything of a cluster that can be checked without reading a secret.
///
/// # Errors
///
/// [`NodeError`] when the configuration or what is kept of earlier runs cannot be read. What is wrong with
/// the cluster, or cannot be seen of it, stands in the report.
pub async fn verify<W: DocumentReader, A: Auditing>(
    reader: &Reader<'_, W>,
    auditing: &A,
    config: &Config,
    now: Timestamp,
) -> Result<Report, NodeError> {
    let cluster = async {
        match reader.view_without_keeping().await {
            Ok(view) => {
                let mut rows = documents::rows(&view, now);
                rows.extend(secrets::rows(auditing, &view, config, now).await?);
                Ok(rows)
            }
            Err(NodeError::Read(error)) => Ok(documents::unread(&config.cluster, &error)),
            Err(error) => Err(error),
        }
    };
    let (rows, drift) = join(cluster, drift::row(auditing, config.audit.stack.as_deref())).await;
    let mut rows = rows?;
    rows.push(drift);
    Ok(Report { cluster: config.cluster.clone(), rows })
}

/// Checks what is signed of a cluster that is on a server. What is told of its secrets there is not asked for: that
/// is what `keyboot-onprem show` and `doctor` are for, with an auditor's login.
///
/// # Errors
///
/// As [`verify`].
pub async fn verify_documents<W: DocumentReader>(
    reader: &Reader<'_, W>,
    config: &Config,
    now: Timestamp,
) -> Result<Report, NodeError> {
    let rows = match reader.view_without_keeping().await {
        Ok(view) => {
            let secrets = Finding::unknown(format!(
                "not asked for on {}: `keyboot-onprem show` tells what it holds, and `keyboot-onprem doctor` who may \
                 read it",
                config.source
            ));
            let mut rows = documents::rows(&view, now);
            rows.push(secrets.row(Check::SecretPresent, &config.cluster));
            rows
        }
        Err(NodeError::Read(error)) => documents::unread(&config.cluster, &error),
        Err(error) => return Err(error),
    };
    Ok(Report { cluster: config.cluster.clone(), rows })
}

/// What came of a check, and why.
#[derive(Debug)]
struct Finding(Verdict, String);

impl Finding {
    fn ok(why: impl Into<String>) -> Self {
        Self(Verdict::Ok, why.into())
    }

    fn unknown(why: impl Into<String>) -> Self {
        Self(Verdict::Unknown, why.into())
    }

    fn fault(why: impl Into<String>) -> Self {
        Self(Verdict::Fault, why.into())
    }

    /// What was read and is not believed, or is not there, is a fault; what could not be read is unknown.
    fn of(error: &ReadError) -> Self {
        match error {
            ReadError::Document { .. } | ReadError::NotFound { .. } | ReadError::Mismatch { .. } => {
                Self::fault(error.to_string())
            }
            _ => Self::unknown(error.to_string()),
        }
    }

    fn row(self, check: Check, subject: &impl ToString) -> Row {
        Row { check, subject: subject.to_string(), verdict: self.0, explanation: self.1 }
    }
}
