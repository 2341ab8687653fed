//! Requests and answers as they travel: AWS JSON 1.1, and the query protocol with XML.

use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::error::{Answer, ApiError};
use crate::random;
use crate::service::Service;
use crate::xml;

const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// A request that has been read.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// The session token.
    pub(crate) session: Option<String>,
    /// The access key that signed.
    pub(crate) access_key: String,
    /// The Region that the signature is for.
    pub(crate) region: String,
    /// The service; `None` for one that the double does not know.
    pub(crate) service: Option<Service>,
    /// The operation.
    pub(crate) operation: String,
    /// The input, or why it cannot be read.
    pub(crate) input: Result<Value, ApiError>,
}

impl Incoming {
    /// Reads a request.
    pub(crate) fn read(headers: &HeaderMap, body: &[u8]) -> Self {
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let scope = text(&AUTHORIZATION).and_then(credential_scope);
        let (access_key, region, signed_for) = scope.unwrap_or_default();
        let (service, operation, input) = if let Some(target) = text(&TARGET) {
            let (prefix, operation) = target.split_once('.').unwrap_or((target, ""));
            (Service::of_target(prefix), operation.to_owned(), json_input(body))
        } else {
            let mut form = form(body);
            let operation = match form.remove("Action") {
                Some(Value::String(action)) => action,
                _ => String::new(),
            };
            form.remove("Version");
            let service = (signed_for == "cloudformation").then_some(Service::CloudFormation);
            (service, operation, Ok(Value::Object(form)))
        };
        let session = text(&TOKEN).map(str::to_owned);
        Self { session, access_key, region, service, operation, input }
    }

    /// Whether the caller speaks the query protocol.
    pub(crate) fn is_query(&self) -> bool {
        self.service == Some(Service::CloudFormation)
    }
}

/// Writes an answer or a refusal as the protocol has it.
pub(crate) fn response(query: bool, operation: &str, answer: &Answer) -> Response<Bytes> {
    let request_id = random::uuid();
    let status = answer.as_ref().map_or_else(|error| error.status, |_| 200);
    let (kind, body) = if query {
        ("text/xml", xml_body(operation, answer, &request_id))
    } else {
        let body = match answer {
            Ok(answer) => answer.to_string(),
            Err(error) => json!({ "__type": error.code, "message": error.message }).to_string(),
        };
        ("application/x-amz-json-1.1", body)
    };
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(id) = HeaderValue::try_from(request_id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// Access key, Region and service of `Credential=<key>/<date>/<region>/<service>/aws4_request`
/// (IAM User Guide, "Elements of an AWS API request signature").
fn credential_scope(authorization: &str) -> Option<(String, String, String)> {
    let credential = authorization.split_once("Credential=")?.1.split(',').next()?;
    match credential.split('/').collect::<Vec<_>>().as_slice() {
        [key, _, region, service, _] => Some(((*key).into(), (*region).into(), (*service).into())),
        _ => None,
    }
}

fn json_input(body: &[u8]) -> Result<Value, ApiError> {
    match serde_json::from_slice(body) {
        Ok(input @ Value::Object(_)) => Ok(input),
        Ok(_) => Err(ApiError::new("SerializationException", "The input is no JSON object.")),
        Err(error) => Err(ApiError::new("SerializationException", error.to_string())),
    }
}

fn form(body: &[u8]) -> Map<String, Value> {
    url::form_urlencoded::parse(body)
        .map(|(name, value)| (name.into_owned(), value.into_owned().into()))
        .collect()
}

fn xml_body(operation: &str, answer: &Answer, request_id: &str) -> String {
    match answer {
        Ok(answer) => xml::document(
            &format!("{operation}Response"),
            &json!({
                (format!("{operation}Result")): answer,
                "ResponseMetadata": { "RequestId": request_id },
            }),
        ),
        Err(error) => {
            let side = if error.status < 500 { "Sender" } else { "Receiver" };
            let told = json!({ "Type": side, "Code": error.code, "Message": error.message });
            xml::document("ErrorResponse", &json!({ "Error": told, "RequestId": request_id }))
        }
    }
}
