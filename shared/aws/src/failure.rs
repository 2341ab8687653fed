//! What became of a failed call, by what the caller does next.
//!
//! Only error codes are taken over: a service's message may repeat what was sent.

use aws_sdk_kms::config::http::HttpResponse;
use aws_sdk_kms::error::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use provisioning::ports::PortError;
#[cfg(feature = "reading")]
use reading::ReadError;

/// The code of a service's answer, where there was one.
pub(crate) fn code<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> Option<&str> {
    error.as_service_error().and_then(ProvideErrorMetadata::code)
}

/// Translates a failure of `call` on `object`.
pub(crate) fn failure<E: ProvideErrorMetadata>(call: &str, object: &str, error: &SdkError<E>) -> PortError {
    let what = format!("{call} {object}");
    let status = error.raw_response().map(HttpResponse::status);
    match (code(error), status) {
        (Some(code), _) if code.contains("AccessDenied") || code == "UnauthorizedOperation" => {
            PortError::Denied { what, code: printable(code) }
        }
        (Some(code), _) if is_passing(code) => PortError::Unavailable { what, code: printable(code) },
        (code, Some(status)) if status.is_server_error() => {
            PortError::Unavailable { what, code: code.map_or_else(|| status.as_u16().to_string(), printable) }
        }
        (Some(code), _) => PortError::Refused { what, code: printable(code) },
        (None, Some(status)) => PortError::Refused { what, code: status.as_u16().to_string() },
        (None, None) => PortError::Unavailable { what, code: "no answer".into() },
    }
}

/// Whose something is where its name does not tell.
#[cfg(feature = "reading")]
pub(crate) const THIS_ACCOUNT: &str = "this account";

/// The same in a reader's words: what failed is the use of `permission` on `name`, which is `account`'s.
#[cfg(feature = "reading")]
pub(crate) fn read_failure(
    error: PortError,
    account: String,
    permission: &'static str,
    name: &str,
) -> ReadError {
    let name = name.to_owned();
    match error {
        PortError::Denied { code, .. } => ReadError::Denied { account, permission, name, code },
        PortError::Unavailable { code, .. } => ReadError::Unavailable { name, code },
        PortError::Refused { code, .. } => ReadError::Refused { name, code },
        _ => ReadError::Refused { name, code: "unexpected".into() },
    }
}

fn is_passing(code: &str) -> bool {
    code.contains("Throttl")
        || code.contains("TooManyRequests")
        || code.contains("TooManyUpdates")
        || code.contains("LimitExceeded") && code.starts_with("Request")
        || matches!(
            code,
            "InternalServiceError"
                | "KMSInternalException"
                | "DependencyTimeoutException"
                | "InternalServerError"
        )
}

/// An error code as far as it may stand in a message.
fn printable(code: &str) -> String {
    code.chars().filter(char::is_ascii_alphanumeric).take(80).collect()
}
