//! What was done to which secret or document, as a structured event of a fixed schema.
//!
//! Every making, restoring, publishing and removal passes here. An event names things and
//! versions and fingerprints, and has no field that could hold a value.

use serde::Serialize;

use crate::names::Slot;
use crate::ownership::{Generation, OwnerId};

/// What was done.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Action {
    /// A secret was made and stored.
    Made,
    /// A further version of a secret was made and stored.
    Renewed,
    /// A version of a secret is now the one that is handed out unasked.
    MadeCurrent,
    /// A version of a secret is not held any more: the store may remove it.
    Released,
    /// Further versions of a secret are encrypted with another key.
    Rekeyed,
    /// A secret was taken out of its recovery window.
    Restored,
    /// A signed document was published.
    Published,
    /// The roster index was written: the operation counts from here.
    Committed,
    /// A secret was put into its recovery window.
    Scheduled,
    /// A secret that nobody can have used was removed.
    Removed,
    /// A public document was withdrawn.
    Withdrawn,
    /// A secret's policy was written: who may read it, and nobody else.
    Admitted,
    /// A secret is rotated by a schedule from now on, or by none any more.
    Rescheduled,
    /// A secret of another owner was taken over.
    Adopted,
    /// A secret that was taken over was handed back.
    HandedBack,
    /// Something was left as it is, by rule.
    Kept,
}

/// One line of the audit log.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEvent<'a> {
    /// The schema number of the line.
    schema: u32,
    /// Always `keyboot.audit`, to find the lines by.
    event: &'static str,
    /// What was done.
    action: Action,
    /// On whose behalf.
    owner: &'a str,
    /// In which operation.
    generation: &'a str,
    /// To what: an ARN or a parameter's name.
    subject: &'a str,
    /// Of which node.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<u32>,
    /// For what purpose.
    #[serde(skip_serializing_if = "Option::is_none")]
    purpose: Option<String>,
    /// Which version.
    #[serde(skip_serializing_if = "Option::is_none")]
    version_id: Option<&'a str>,
    /// The public half: a fingerprint, or the hash of an API key.
    #[serde(skip_serializing_if = "Option::is_none")]
    public: Option<&'a str>,
    /// Why, where a rule decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<&'a str>,
}

impl<'a> AuditEvent<'a> {
    /// An event about `subject`.
    #[must_use]
    pub fn new(action: Action, owner: &'a OwnerId, generation: &'a Generation, subject: &'a str) -> Self {
        Self {
            schema: 1,
            event: "keyboot.audit",
            action,
            owner: owner.as_str(),
            generation: generation.as_str(),
            subject,
            node: None,
            purpose: None,
            version_id: None,
            public: None,
            because: None,
        }
    }

    /// Names the node and the purpose.
    #[must_use]
    pub fn of(mut self, slot: &Slot) -> Self {
        self.node = Some(slot.index.get());
        self.purpose = Some(slot.purpose.to_string());
        self
    }

    /// Names the version.
    #[must_use]
    pub fn version(mut self, version_id: &'a str) -> Self {
        self.version_id = Some(version_id);
        self
    }

    /// Names the public half.
    #[must_use]
    pub fn public(mut self, public: Option<&'a str>) -> Self {
        self.public = public;
        self
    }

    /// Names the rule that decided.
    #[must_use]
    pub fn because(mut self, reason: &'a str) -> Self {
        self.because = Some(reason);
        self
    }
}
