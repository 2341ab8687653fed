//! The two names that a node logs in by.

use std::fmt;
use std::str::FromStr;

/// The role that owns what a node stores. It can log in nowhere.
pub const OWNER: &str = "node";
/// The schema that a node stores it in.
pub const SCHEMA: &str = "node";

/// One of the two logins that take turns.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Login {
    /// The first one that a database gets.
    A,
    /// The other one.
    B,
}

impl Login {
    /// The name of the role.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::A => "node_a",
            Self::B => "node_b",
        }
    }

    /// The one whose turn comes next.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

impl fmt::Display for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Login {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::A, Self::B].into_iter().find(|login| login.as_str() == text).ok_or(())
    }
}
