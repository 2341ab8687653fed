//! What can be wrong with a template.

use crate::path::Path;

/// A template that cannot be read or resolved.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// It is not YAML.
    #[error("not YAML: {0}")]
    Yaml(String),
    /// It is not what CloudFormation takes.
    #[error("{place}: {fault}")]
    Malformed {
        /// Where, as `Resources.Key.Properties`.
        place: String,
        /// What is wrong there.
        fault: String,
    },
    /// CloudFormation knows it and this crate does not.
    #[error("{place}: {what} is not supported here")]
    Unsupported {
        /// Where, as `Resources.Key.Properties`.
        place: String,
        /// What is not supported.
        what: String,
    },
    /// A name stands for nothing that is known.
    #[error("{place}: nothing is known of {name}")]
    Unresolved {
        /// Where, as `Resources.Key.Properties`.
        place: String,
        /// The name, as `Key.Arn`.
        name: String,
    },
}

impl Path {
    pub(crate) fn malformed(&self, fault: impl Into<String>) -> TemplateError {
        TemplateError::Malformed { place: self.to_string(), fault: fault.into() }
    }

    pub(crate) fn unsupported(&self, what: impl Into<String>) -> TemplateError {
        TemplateError::Unsupported { place: self.to_string(), what: what.into() }
    }

    pub(crate) fn unresolved(&self, name: impl Into<String>) -> TemplateError {
        TemplateError::Unresolved { place: self.to_string(), name: name.into() }
    }
}
