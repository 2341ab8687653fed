//! What a service refuses with.

/// A refusal: its HTTP status, the service's code, and a sentence.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// The code that the SDKs know it by.
    pub code: String,
    /// What it says.
    pub message: String,
}

/// What came of an operation: the answer, or the refusal.
pub(crate) type Answer = Result<serde_json::Value, ApiError>;

impl ApiError {
    /// The code of everything that this double does not know.
    pub const NOT_IN_THE_DOUBLE: &str = "NotInTheDouble";

    /// A refusal with HTTP status 400, as nearly all are.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status: 400, code: code.into(), message: message.into() }
    }

    /// The same refusal under another HTTP status.
    #[must_use]
    pub fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// The refusal of what AWS knows and this double does not: no test may pass by it.
    pub(crate) fn not_in_the_double(what: impl std::fmt::Display) -> Self {
        Self::new(Self::NOT_IN_THE_DOUBLE, format!("the contract double does not know {what}"))
            .with_status(501)
    }

    /// A member of the request that breaks a constraint of the API's own model (each API Reference,
    /// "Common Errors", `ValidationException`).
    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationException", message)
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}): {}", self.code, self.status, self.message)
    }
}

impl std::error::Error for ApiError {}
