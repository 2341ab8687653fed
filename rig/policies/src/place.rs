//! Where in a policy the reader stands, to be named by its errors.

use serde_json::Value;

use crate::{error::PolicyError, path::Path};

/// A place in a policy.
#[derive(Clone, Debug)]
pub(crate) struct Place<'a> {
    policy: &'a str,
    path: Path,
}

impl<'a> Place<'a> {
    pub(crate) fn start(policy: &'a str) -> Self {
        Self { policy, path: Path::start() }
    }

    /// The element of this name, here.
    pub(crate) fn key(&self, key: &str) -> Self {
        Self { path: self.path.key(key), ..*self }
    }

    /// The element at this position, here.
    pub(crate) fn index(&self, index: usize) -> Self {
        Self { path: self.path.index(index), ..*self }
    }

    /// Here, with what helps to find it.
    pub(crate) fn called(&self, name: &str) -> Self {
        Self { path: self.path.called(name), ..*self }
    }

    pub(crate) fn malformed(&self, fault: impl Into<String>) -> PolicyError {
        let (policy, place) = (self.policy.to_owned(), self.path.to_string());
        PolicyError::Malformed { policy, place, fault: fault.into() }
    }

    pub(crate) fn unsupported(&self, what: impl Into<String>) -> PolicyError {
        let (policy, place) = (self.policy.to_owned(), self.path.to_string());
        PolicyError::Unsupported { policy, place, what: what.into() }
    }
}

/// One string, or a list of at least one.
pub(crate) fn strings<'v>(value: &'v Value, place: &Place<'_>) -> Result<Vec<&'v str>, PolicyError> {
    let text = |value: &'v Value, place: &Place<'_>| {
        value.as_str().ok_or_else(|| place.malformed("a string is needed"))
    };
    match value {
        Value::Array(list) if list.is_empty() => Err(place.malformed("an empty list")),
        Value::Array(list) => {
            list.iter().enumerate().map(|(index, item)| text(item, &place.index(index))).collect()
        }
        single => Ok(vec![text(single, place)?]),
    }
}
