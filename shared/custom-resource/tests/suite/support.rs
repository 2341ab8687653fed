//! Events and a provider to test with.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};

use custom_resource::{Deadline, Failure, IdentityScheme, Provider, Request, Success};
use serde_json::{Value, json};

/// The stack of every event here.
pub(crate) const STACK_ID: &str =
    "arn:aws:cloudformation:eu-central-1:123456789012:stack/cluster-a/5b0c9c5e-1f6d-11f0-8f1a-0a1b2c3d4e5f";

/// The first 16 digits of `printf '<STACK_ID>\0NodeKeys' | sha256sum`.
pub(crate) const DECLARATION: &str = "75da44a1a4b9467f";

pub(crate) fn scheme() -> IdentityScheme {
    IdentityScheme::new("keys").property("Namespace", Some("plain")).property("Cluster", None)
}

/// The id that [`scheme`] gives a cluster of the default namespace.
pub(crate) fn id_of(cluster: &str) -> String {
    format!("keys/plain/{cluster}/{DECLARATION}")
}

/// A sound event. Updates and Deletes are about cluster `a`.
pub(crate) fn event(request_type: &str, response_url: &str) -> Value {
    let mut event = json!({
        "RequestType": request_type,
        "ServiceToken": "arn:aws:lambda:eu-central-1:123456789012:function:keys",
        "ResponseURL": response_url,
        "StackId": STACK_ID,
        "RequestId": "0d6e2c1a-64a9-4d51-8e3e-0f6f3d1b9c11",
        "LogicalResourceId": "NodeKeys",
        "ResourceType": "Custom::NodeKeys",
        "ResourceProperties": {
            "ServiceToken": "arn:aws:lambda:eu-central-1:123456789012:function:keys",
            "Cluster": "a",
        },
    });
    if request_type != "Create" {
        event["PhysicalResourceId"] = json!(id_of("a"));
    }
    event
}

/// A provider that does one thing whatever it is asked, and counts.
pub(crate) struct Doing<F> {
    what: F,
    calls: AtomicU32,
}

impl<F> Doing<F> {
    pub(crate) fn new(what: F) -> Self {
        Self { what, calls: AtomicU32::new(0) }
    }

    pub(crate) fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }
}

impl<F, D> Doing<F>
where
    F: Fn(Request) -> D,
    D: Future<Output = Result<Success, Failure>>,
{
    async fn work(&self, request: &Request) -> Result<Success, Failure> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        (self.what)(request.clone()).await
    }
}

impl<F, D> Provider for Doing<F>
where
    F: Fn(Request) -> D,
    D: Future<Output = Result<Success, Failure>>,
{
    async fn create(&self, request: &Request, _: Deadline) -> Result<Success, Failure> {
        self.work(request).await
    }

    async fn update(&self, request: &Request, _: Deadline) -> Result<Success, Failure> {
        self.work(request).await
    }

    async fn delete(&self, request: &Request, _: Deadline) -> Result<Success, Failure> {
        self.work(request).await
    }
}

#[cfg(feature = "local")]
pub(crate) use crate::bucket::{Bucket, Reaction, Received};
