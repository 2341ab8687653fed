//! What S3 says to a request that comes with a pre-signed URL.

use std::net::SocketAddr;

use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

/// Why a request is refused: the status and the code that S3 gives it.
pub(crate) struct Fault {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
}

/// Whether S3 at this address takes a request whose URL was signed for one PUT, and for no header but
/// `Host`.
///
/// The codes and their statuses are those of the page "Error responses" in the S3 API Reference. That
/// a content type is part of what is signed, and none the same as an empty one, is on the page
/// "Signing and authenticating REST requests (AWS signature version 2)" in the S3 user guide; that
/// every `x-amz-` header has to be signed, on "Authenticating requests: using query parameters (AWS
/// Signature Version 4)". The signature itself is not computed: it is there or it is not.
pub(crate) fn verdict(request: &Parts, host: SocketAddr) -> Result<(), Fault> {
    let refuse = |status, code| Err(Fault { status, code });
    let headers = &request.headers;
    if request.method != Method::PUT {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed");
    }
    if headers.contains_key(TRANSFER_ENCODING) {
        return refuse(StatusCode::NOT_IMPLEMENTED, "NotImplemented");
    }
    if !headers.contains_key(CONTENT_LENGTH) {
        return refuse(StatusCode::LENGTH_REQUIRED, "MissingContentLength");
    }
    if headers.contains_key(AUTHORIZATION) {
        return refuse(StatusCode::BAD_REQUEST, "InvalidArgument");
    }
    if !has_signature(request) || headers.keys().any(|name| name.as_str().starts_with("x-amz-")) {
        return refuse(StatusCode::FORBIDDEN, "AccessDenied");
    }
    let is_untyped = headers.get(CONTENT_TYPE).is_none_or(HeaderValue::is_empty);
    let is_meant = headers.get(HOST).is_some_and(|value| value.as_bytes() == host.to_string().as_bytes());
    if !is_untyped || !is_meant {
        return refuse(StatusCode::FORBIDDEN, "SignatureDoesNotMatch");
    }
    Ok(())
}

fn has_signature(request: &Parts) -> bool {
    let parts = request.uri.query().unwrap_or_default().split('&');
    parts
        .filter_map(|part| part.split_once('='))
        .any(|(name, value)| matches!(name, "Signature" | "X-Amz-Signature") && !value.is_empty())
}
