//! What became of a failed call, by what the caller does next.
//!
//! Only error codes are taken over: a service's message may repeat what was sent.

use aws_sdk_kms::config::http::HttpResponse;
use aws_sdk_kms::error::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use provisioning::ports::PortError;

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
