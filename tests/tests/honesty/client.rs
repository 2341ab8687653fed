//! Calls in AWS JSON 1.1, written by hand: an SDK would retry, validate or fill in, and so hide what
//! is to be compared.

use anyhow::{Context as _, Result};
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

/// An operation of a service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Operation {
    /// The service's name in a credential's scope.
    service: &'static str,
    /// Its prefix in `X-Amz-Target`.
    target: &'static str,
    name: &'static str,
}

/// An operation of KMS.
pub(crate) const fn kms(name: &'static str) -> Operation {
    Operation { service: "kms", target: "TrentService", name }
}

/// An operation of Secrets Manager.
pub(crate) const fn secrets(name: &'static str) -> Operation {
    Operation { service: "secretsmanager", target: "secretsmanager", name }
}

/// An operation of Parameter Store.
pub(crate) const fn parameters(name: &'static str) -> Operation {
    Operation { service: "ssm", target: "AmazonSSM", name }
}

/// What came of a call.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Status 200, with what was answered.
    Done(Value),
    /// A status from 400 to 499, with the error's code.
    Refused(String),
    /// Any other status, with the error's code where there is one.
    Failed(u16, String),
}

/// A client that speaks to one endpoint as the root of the account.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: Http<HttpConnector, Full<Bytes>>,
    endpoint: String,
}

impl Client {
    pub(crate) fn new(endpoint: &str) -> Self {
        Self { http: Http::builder(TokioExecutor::new()).build_http(), endpoint: endpoint.to_owned() }
    }

    pub(crate) async fn call(&self, operation: Operation, input: &Value) -> Result<Answer> {
        let Operation { service, target, name } = operation;
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=test/20260101/{region}/{service}/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature={nothing:0>64}",
            region = rig::cloud::REGION,
            nothing = 0,
        );
        let request = Request::post(&self.endpoint)
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("{target}.{name}"))
            .header("x-amz-date", "20260101T000000Z")
            .header("authorization", authorization)
            .body(Full::new(Bytes::from(input.to_string())))?;
        let answer = self.http.request(request).await.with_context(|| format!("calling {name}"))?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.with_context(|| format!("reading the answer to {name}"))?.to_bytes();
        let answered = serde_json::from_slice(&body).unwrap_or_else(|_| json!({}));
        let status = head.status.as_u16();
        let header = head.headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok());
        Ok(match status {
            200 => Answer::Done(answered),
            400..=499 => Answer::Refused(code(header, &answered)),
            _ => Answer::Failed(status, code(header, &answered)),
        })
    }
}

/// An error's code as an SDK reads it: from the header, or from the body, without namespace and URL
/// (Smithy, AWS JSON 1.1 protocol, Operation error serialization).
fn code(header: Option<&str>, body: &Value) -> String {
    let code = header.or_else(|| body["__type"].as_str()).or_else(|| body["code"].as_str());
    let code = code.unwrap_or_default();
    let code = code.split(':').next().unwrap_or_default();
    code.rsplit('#').next().unwrap_or_default().to_owned()
}
