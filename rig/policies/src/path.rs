//! Where in a document a reader stands.

use std::fmt;

/// A place in a document, as `Statement[0].Action`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Path(String);

impl Path {
    /// The whole document.
    pub(crate) fn start() -> Self {
        Self::default()
    }

    /// The element of this name, here.
    pub(crate) fn key(&self, key: &str) -> Self {
        if self.0.is_empty() { Self(key.to_owned()) } else { Self(format!("{}.{key}", self.0)) }
    }

    /// The element at this position, here.
    pub(crate) fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// Here, with what helps to find it.
    pub(crate) fn called(&self, name: &str) -> Self {
        Self(format!("{} ({name})", self.0))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_empty() { "the document" } else { &self.0 })
    }
}
