//! The credential that some events bring.

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

use crate::names::{Malformed, consists_of};

/// By what Secrets Manager knows a call as part of a rotation, where the caller's identity does not
/// say so: when the function assumes a role, in another account above all.
///
/// The page `PutSecretValue` in the Secrets Manager API reference calls it sensitive and asks that it
/// be kept out of logs. So it cannot be shown, cloned or written as JSON, and its text is overwritten
/// when it is dropped. What it consists of is for Secrets Manager to judge; here it has a bound and
/// no blanks.
///
/// ```compile_fail
/// fn needs_clone<T: Clone>() {}
/// needs_clone::<rotation::RotationToken>();
/// ```
///
/// ```compile_fail
/// fn needs_display<T: std::fmt::Display>() {}
/// needs_display::<rotation::RotationToken>();
/// ```
///
/// ```compile_fail
/// fn needs_serialize<T: serde::Serialize>() {}
/// needs_serialize::<rotation::RotationToken>();
/// ```
///
/// What each of these asks for, another type has:
///
/// ```
/// fn needs_all<T: Clone + std::fmt::Display + serde::Serialize>() {}
/// needs_all::<String>();
/// let _: Option<rotation::RotationToken> = None;
/// ```
pub struct RotationToken(Zeroizing<String>);

impl RotationToken {
    pub(crate) const ALLOWED: &str = "1 to 1,024 visible ASCII characters, or left out";

    /// The text of the token.
    ///
    /// # Security
    ///
    /// The result is no longer redacted. It goes into the request that needs it and nowhere else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for RotationToken {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if consists_of(text, 1..=1024, |byte| byte.is_ascii_graphic()) {
            Ok(Self(Zeroizing::new(text.to_owned())))
        } else {
            Err(Malformed { allowed: Self::ALLOWED })
        }
    }
}

impl fmt::Debug for RotationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RotationToken").finish_non_exhaustive()
    }
}
