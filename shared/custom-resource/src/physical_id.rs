//! The name under which CloudFormation knows a resource.

use std::fmt;
use std::str::FromStr;

use crate::stack_id::Malformed;

/// The id of a resource: at most 1,024 bytes, not empty, without control characters.
///
/// The limit is that of the page "Custom resource response objects" in the CloudFormation user
/// guide. An id is echoed in answers and stands in logs and tags, so it is checked when it arrives.
/// One that an [`IdentityScheme`](crate::IdentityScheme) made has parts between slashes; one that
/// CloudFormation made up, for a resource whose Create was never answered, may have none.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PhysicalResourceId(String);

impl PhysicalResourceId {
    /// The longest id, in bytes.
    pub const MAX_BYTES: usize = 1024;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the id says about the resource itself: everything before the last slash.
    ///
    /// What follows it is where the resource is declared, and that may change while the resource
    /// stays: CloudFormation can move a resource to another stack or give it another logical id. An
    /// id without a slash is all identity, and no derived id's.
    #[must_use]
    pub fn identity(&self) -> &str {
        self.0.rsplit_once('/').map_or(self.0.as_str(), |(identity, _)| identity)
    }

    /// For ids that are sound by the way they were put together.
    pub(crate) fn from_sound(text: String) -> Self {
        debug_assert!(is_sound(&text));
        Self(text)
    }
}

impl FromStr for PhysicalResourceId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if is_sound(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Malformed { expected: "1 to 1,024 bytes without control characters" })
        }
    }
}

impl fmt::Display for PhysicalResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_sound(text: &str) -> bool {
    (1..=PhysicalResourceId::MAX_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
}
