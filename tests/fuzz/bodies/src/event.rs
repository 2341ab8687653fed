//! Events: bytes that somebody hands to the function as CloudFormation's.

use std::cell::RefCell;
use std::sync::LazyLock;
use std::time::Duration;

use custom_resource::{
    Answer, Deadline, DeliveryFault, Ending, Failure, IdentityScheme, PhysicalResourceId, Provider, Request,
    RequestType, Responder, Served, Success, data_budget, refuse, serve,
};
use futures_util::FutureExt as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::Verdict;

/// The time that a function has, on a clock that stands still until it is moved.
const TIME: Duration = Duration::from_mins(1);

/// Without connections, and with the clock in hand.
static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().expect("a runtime without connections")
});

static RESPONDER: LazyLock<Responder> = LazyLock::new(Responder::new);

static SCHEME: LazyLock<IdentityScheme> = LazyLock::new(|| {
    IdentityScheme::new("keyboot").property("Namespace", Some("keyboot")).property("Cluster", None)
});

/// Serves an event as often as deliveries can repeat it, and as the on-failure destination would.
///
/// It is accepted if somebody could be answered. Nobody is: first there is no time at all, which
/// shows what would be answered; and the provider, if it is asked, lets the time for the answer pass.
#[must_use]
pub fn event(bytes: &[u8]) -> Verdict {
    let Ok(event) = serde_json::from_slice::<Value>(bytes) else {
        return Verdict::Refused;
    };
    let refused = RUNTIME.block_on(async {
        let failure = Failure::new("the function died");
        refuse(event.clone(), Deadline::after(Duration::ZERO), &SCHEME, &RESPONDER, failure).await
    });
    let unworked = without_time(&event);
    let Some(answer) = answer_of(&unworked) else {
        assert_eq!(refused, unworked, "what cannot be answered cannot be answered by anybody");
        return Verdict::Refused;
    };
    assert_url_is_allowed(&event);
    assert_nothing_of_the_url_is_told(&event, &unworked);
    assert_eq!(unworked, without_time(&event), "a second delivery is told the same");
    let refused = answer_of(&refused).expect("whom one can answer, the other can");
    assert_eq!(refused.physical_id, answer.physical_id, "both name the same resource");
    assert_id_is_right(&event, answer);
    assert_reason_is_short(answer);
    match answer.ending {
        Ending::BadEvent => {}
        Ending::OutOfTime => assert_work_is_told(&event, answer),
        ending => unreachable!("nothing was worked at, and the ending is {ending}"),
    }
    Verdict::Accepted
}

/// Does nothing, for as long as there is time. It keeps what it was asked.
struct Idle {
    success: Success,
    asked: RefCell<Option<Request>>,
}

impl Idle {
    fn answering(success: Success) -> Self {
        Self { success, asked: RefCell::new(None) }
    }

    fn idle(&self, request: &Request) -> Success {
        self.asked.replace(Some(request.clone()));
        // The clock moves at the first poll; the pause after it is not taken, or the work would be
        // out of time.
        assert_eq!(tokio::time::advance(TIME).now_or_never(), None);
        self.success.clone()
    }
}

impl Provider for Idle {
    async fn create(&self, request: &Request, _: Deadline) -> Result<Success, Failure> {
        assert_eq!(request.request_type, RequestType::Create);
        Ok(self.idle(request))
    }

    async fn update(&self, request: &Request, _: Deadline) -> Result<Success, Failure> {
        assert_eq!(request.request_type, RequestType::Update);
        Ok(self.idle(request))
    }

    async fn delete(&self, request: &Request, _: Deadline) -> Result<Success, Failure> {
        assert_eq!(request.request_type, RequestType::Delete);
        Ok(self.idle(request))
    }
}

fn without_time(event: &Value) -> Served {
    let provider = Idle::answering(Success::default());
    let served = RUNTIME.block_on(async {
        serve(event.clone(), Deadline::after(Duration::ZERO), &SCHEME, &RESPONDER, &provider).await
    });
    assert!(provider.asked.borrow().is_none(), "nobody is asked to work without time");
    served
}

fn worked(event: &Value, success: Success) -> (Answer, Request) {
    let provider = Idle::answering(success);
    let served = RUNTIME.block_on(async {
        serve(event.clone(), Deadline::after(TIME), &SCHEME, &RESPONDER, &provider).await
    });
    let request = provider.asked.take().expect("the provider is asked");
    (answer_of(&served).expect("an answer").clone(), request)
}

fn answer_of(served: &Served) -> Option<&Answer> {
    match served {
        Served::NotDelivered { answer, fault: DeliveryFault::NoTime, tries: 0 } => Some(answer),
        Served::Unanswerable { .. } => None,
        other => unreachable!("nothing can have been sent: {other:?}"),
    }
}

/// What is told of an event that can be worked at: the id, and the data to the last byte.
fn assert_work_is_told(event: &Value, failed: &Answer) {
    let (answer, request) = worked(event, Success::default());
    assert_eq!(answer.ending, Ending::Succeeded);
    assert_eq!(answer.physical_id, *request.id_after_success());
    assert_eq!(failed.physical_id, request.physical_id, "a failure keeps the given id");
    if request.is_replacement() {
        assert_eq!(answer.physical_id, request.derived_id);
        assert_ne!(answer.physical_id.identity(), request.physical_id.identity());
    } else {
        assert_eq!(answer.physical_id, request.physical_id);
    }
    assert_eq!((answer.clone(), request.derived_id.clone()), {
        let (again, request) = worked(event, Success::default());
        (again, request.derived_id)
    });

    let around = r#"{"k":""}"#.len();
    let Some(room) = data_budget(&request).checked_sub(around) else { return };
    let full = Success::default().with("k", "v".repeat(room)).because("there is no room for a reason");
    assert_eq!(worked(event, full).0.ending, Ending::Succeeded, "{room} bytes are promised");
    let (answer, _) = worked(event, Success::default().with("k", "v".repeat(room + 1)));
    assert_eq!(answer.ending, Ending::TooLarge, "{room} bytes and one more");
    assert_eq!(answer.physical_id, request.physical_id, "a failure keeps the given id");
    assert_reason_is_short(&answer);
}

/// The derived id, put together a second time; or the one that was delivered.
fn assert_id_is_right(event: &Value, answer: &Answer) {
    assert!((1..=PhysicalResourceId::MAX_BYTES).contains(&answer.physical_id.as_str().len()));
    let delivered = event["PhysicalResourceId"].as_str();
    if event["RequestType"] != "Create" && delivered == Some(answer.physical_id.as_str()) {
        return;
    }
    let part = |name: &str, default: &str| match event["ResourceProperties"].get(name) {
        None => default.to_owned(),
        Some(value) => match value.as_str() {
            Some(text)
                if (1..=64).contains(&text.len())
                    && text.chars().all(|c| c.is_ascii_alphanumeric() || "/_.-".contains(c)) =>
            {
                text.to_owned()
            }
            _ => "-".to_owned(),
        },
    };
    let digest = Sha256::digest(format!("{}\0{}", answer.stack_id, answer.logical_id));
    let derived = format!(
        "keyboot/{}/{}/{}",
        part("Namespace", "keyboot"),
        part("Cluster", "-"),
        hex::encode(&digest[..8])
    );
    assert_eq!(answer.physical_id.as_str(), derived);
}

fn assert_reason_is_short(answer: &Answer) {
    let reason = answer.reason.as_deref().expect("a failure has a reason");
    assert!(!reason.is_empty() && reason.len() < custom_resource::MAX_ANSWER_BYTES);
}

/// The rule for a `ResponseURL`, by another parser and with every allowed host written out.
fn assert_url_is_allowed(event: &Value) {
    let text = event["ResponseURL"].as_str().expect("it is a text");
    let url = Url::parse(text).expect("what one parser takes for a URL, another does too");
    let stack: Vec<&str> = event["StackId"].as_str().expect("it is a text").split(':').collect();
    let (partition, region) = (stack[1], stack[3]);
    assert_eq!(url.scheme(), "https", "{text}");
    assert_eq!(
        (url.username(), url.password(), url.port(), url.fragment()),
        ("", None, None, None),
        "{text}"
    );
    let bucket = format!("cloudformation-custom-resource-response-{}", region.replace('-', ""));
    let suffix = match partition {
        "aws-cn" => "amazonaws.com.cn",
        "aws" | "aws-us-gov" => "amazonaws.com",
        other => unreachable!("there is no partition {other}"),
    };
    let mut allowed = vec![
        format!("{bucket}.s3.{region}.{suffix}"),
        format!("{bucket}.s3-{region}.{suffix}"),
        format!("{bucket}.s3.dualstack.{region}.{suffix}"),
        format!("{bucket}.s3-fips.{region}.{suffix}"),
        format!("{bucket}.s3-fips.dualstack.{region}.{suffix}"),
    ];
    if region == "us-east-1" {
        allowed.extend([format!("{bucket}.s3.{suffix}"), format!("{bucket}.s3-external-1.{suffix}")]);
    }
    let host = url.host_str().expect("it has a host").to_owned();
    assert!(allowed.contains(&host), "{text}");
    // In the very spelling: not one that a parser makes the same.
    let rest = text.get("https://".len()..).and_then(|rest| rest.strip_prefix(&host));
    let ends = |rest: &str| rest.is_empty() || rest.starts_with(['/', '?']);
    assert!(rest.is_some_and(ends), "{text}");
}

/// What goes to the log has nothing of the credential, unless the event says it elsewhere too.
fn assert_nothing_of_the_url_is_told(event: &Value, served: &Served) {
    const LONG_ENOUGH: usize = 12;
    let mut rest = event.clone();
    let url = rest.as_object_mut().and_then(|fields| fields.remove("ResponseURL")).unwrap_or_default();
    let secret = url.as_str().and_then(|url| url.split_once(".com")).map_or("", |(_, secret)| secret);
    if secret.len() >= LONG_ENOUGH && !rest.to_string().contains(secret) {
        assert!(!served.to_string().contains(secret) && !format!("{served:?}").contains(secret));
    }
}
