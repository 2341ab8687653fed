//! What a request tells of itself beside its action and its resource.

use std::collections::BTreeMap;

/// The values of the condition keys of a request.
///
/// Names of keys are not case-sensitive, the part after the slash of `aws:RequestTag/…` included
/// (IAM User Guide, "IAM JSON policy elements: Condition"); values are.
#[derive(Clone, Debug, Default)]
pub struct Context {
    values: BTreeMap<String, Vec<String>>,
}

impl Context {
    /// A request that tells nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value to a key.
    #[must_use]
    pub fn with(self, key: &str, value: impl Into<String>) -> Self {
        self.with_all(key, [value])
    }

    /// Adds values to a key. None at all leaves the key absent, as in a request without tags.
    #[must_use]
    pub fn with_all<V: Into<String>>(mut self, key: &str, values: impl IntoIterator<Item = V>) -> Self {
        self.add(key, values);
        self
    }

    /// Adds values to a key, in place. None at all leaves the key absent.
    pub fn add<V: Into<String>>(&mut self, key: &str, values: impl IntoIterator<Item = V>) {
        let values = values.into_iter().map(Into::into);
        self.values.entry(key.to_lowercase()).or_default().extend(values);
    }

    /// The values of a key; none when it is absent.
    #[must_use]
    pub fn values(&self, key: &str) -> &[String] {
        self.values.get(&key.to_lowercase()).map_or(&[], Vec::as_slice)
    }

    /// Puts this in the place of whatever the key had.
    pub(crate) fn set(&mut self, key: &str, value: String) {
        self.values.insert(key.to_lowercase(), vec![value]);
    }
}
