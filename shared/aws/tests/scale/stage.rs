//! The double behind the real SDK without a socket between them, on a clock that does not wait: ten
//! minutes of calls take seconds, and take the same time in every run.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws::{AwsWorld, Credentials, Rates, Settings};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use contract_double::deploy::KmsStack;
use contract_double::{Call, Double, World};
use provisioning::ownership::{Generation, Owner};
use provisioning::ports::RecordSigner as _;
use provisioning::properties::ClusterSpec;
use provisioning::roster::{RosterEntry, RosterIndex};
use provisioning::signed::PinnedKeys;
use provisioning::{Operation, OperationKind, Outcome, ProvisionError, TimeBudget};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// The physical id of the resource.
const OWNER: &str = "keyboot/keyboot/tsm/0123456789abcdef";

/// Hands each request to the double, and keeps its clock with the test's.
#[derive(Clone)]
struct Door {
    double: Arc<Double>,
    seen: Arc<Mutex<Instant>>,
    requests: Arc<AtomicU64>,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").finish_non_exhaustive()
    }
}

impl HttpClient for Door {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Door {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let door = self.clone();
        HttpConnectorFuture::new(async move {
            // On its way for 5 to 35 ms, so that requests overtake each other.
            let number = door.requests.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_millis(5 + number * 7919 % 31)).await;
            door.keep_time();
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let body = request.body().bytes().unwrap_or_default();
            let response = door.double.answer(request.headers(), body).await;
            let response = response.ok_or_else(|| ConnectorError::io("closed".into()))?;
            sleep(Duration::from_millis(10)).await;
            HttpResponse::try_from(response.map(SdkBody::from))
                .map_err(|error| ConnectorError::user(error.into()))
        })
    }
}

impl Door {
    fn keep_time(&self) {
        let mut seen = self.seen.lock().unwrap();
        let now = Instant::now();
        self.double.advance(now - *seen);
        *seen = now;
    }
}

/// A double that keeps the documented rates, with the KMS Stack in it, and the real adapters.
pub(crate) struct Stage {
    pub(crate) double: Arc<Double>,
    stack: KmsStack,
    world: AwsWorld,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let double = Arc::new(Double::start().await.unwrap());
        let stack = KmsStack::deploy(&double, []).unwrap();
        double.stop_clock();
        double.with(World::enforce_rates);
        let door = Door {
            double: Arc::clone(&double),
            seen: Arc::new(Mutex::new(Instant::now())),
            requests: Arc::default(),
        };
        let settings = Settings {
            region: "us-east-1".into(),
            credentials: Credentials::new(&stack.access_key, "of-nobody", None, None, "scale"),
            signing_key: stack.record_key.parse().unwrap(),
            rates: Rates::default(),
            former_signing_keys: Vec::new(),
            role: stack.role.parse().unwrap(),
            rotator: None,
            endpoint: Some(double.endpoint()),
        };
        let world = AwsWorld::over(settings, SharedHttpClient::new(door));
        Self { double, stack, world }
    }

    fn spec(&self, nodes: u32) -> ClusterSpec {
        let Value::Object(mut properties) = self.stack.properties() else { panic!("no properties") };
        let nodes: Vec<_> = (0..nodes).map(|index| index.to_string()).collect();
        properties.insert("Nodes".into(), json!(nodes));
        ClusterSpec::parse(&properties).unwrap()
    }

    /// CloudFormation asks for a cluster of so many nodes.
    pub(crate) async fn create(&self, nodes: u32, time: TimeBudget) -> Result<Outcome, ProvisionError> {
        let operation = Operation {
            kind: OperationKind::Create,
            owner: Owner {
                id: OWNER.parse().unwrap(),
                stack_id: self.stack.stack_id.clone(),
                logical_id: "Keys".into(),
            },
            generation: Generation::new("create-1"),
            delivered_id: OWNER.into(),
            now: "2026-01-02T03:04:05Z".parse().unwrap(),
            time,
        };
        let pinned = self.stack.stack_id.parse().unwrap();
        let spec = self.spec(nodes);
        Box::pin(provisioning::reconcile(&self.world, &pinned, &operation, &spec, None)).await
    }

    /// What the roster lists, checked as a reader checks it.
    pub(crate) async fn roster(&self) -> Vec<RosterEntry> {
        let cluster = self.spec(1).cluster;
        let key = self.world.verifying_key().await.unwrap();
        let keys = PinnedKeys::default().pin(&self.stack.record_key, &key).unwrap();
        let text = |name: &str| {
            let latest = |world: &mut World| {
                world.parameter(&self.stack.place, name).map(|parameter| parameter.latest().value.clone())
            };
            self.double.with(latest).unwrap()
        };
        let index =
            RosterIndex::verify(&text(cluster.roster_index_parameter().as_str()), &keys, &cluster).unwrap();
        let page = |page| text(cluster.roster_page_parameter(index.serial, page).as_str());
        let pages: Vec<_> = (0..index.pages).map(page).collect();
        index.entries(&pages).unwrap()
    }
}

/// The calls of one operation that took effect.
pub(crate) fn done<'a>(calls: &'a [Call], operation: &str) -> Vec<&'a Call> {
    calls.iter().filter(|call| call.took_effect && call.operation == operation).collect()
}
