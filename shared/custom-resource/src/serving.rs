//! The guard around the work: an event comes in, one answer goes out.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_util::FutureExt as _;
use serde_json::Value;
use tokio::time::timeout_at;
use zeroize::Zeroize as _;

use crate::answer::{Composed, Failure, MAX_ANSWER_BYTES, Status, Success};
use crate::deadline::Deadline;
use crate::event::{self, EventFault, Reply};
use crate::identity::IdentityScheme;
use crate::physical_id::PhysicalResourceId;
use crate::request::{LogicalId, Request, RequestId, RequestType};
use crate::responder::{DeliveryFault, Responder, Undelivered};
use crate::stack_id::StackId;

/// The work behind a custom resource.
///
/// Events are delivered again when a function fails, and may be delivered twice anyway, so each
/// operation must be harmless to repeat. The deadline is the moment at which the work is stopped:
/// its future is dropped at the next `await`. Work that never awaits cannot be stopped, and long
/// computations belong elsewhere.
#[expect(async_fn_in_trait, reason = "the caller of `serve` has the concrete type, and with it `Send`")]
pub trait Provider {
    /// Makes the resource.
    async fn create(&self, request: &Request, deadline: Deadline) -> Result<Success, Failure>;

    /// Brings the resource to the request's properties.
    async fn update(&self, request: &Request, deadline: Deadline) -> Result<Success, Failure>;

    /// Removes the resource, or what there is of it. It succeeds when nothing is left to remove.
    async fn delete(&self, request: &Request, deadline: Deadline) -> Result<Success, Failure>;
}

/// How serving an event ended. It is for the log: it holds no URL and no value of `Data`.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Served {
    /// CloudFormation has the answer.
    Answered {
        /// What it was told.
        answer: Answer,
        /// How many tries that took.
        tries: u32,
    },
    /// CloudFormation has no answer, or none that was acknowledged.
    NotDelivered {
        /// What it should have been told.
        answer: Answer,
        /// What came of the last try.
        fault: DeliveryFault,
        /// How many tries there were.
        tries: u32,
    },
    /// CloudFormation was told nothing: the work goes on in another run for the same event.
    Unfinished {
        /// How far it is, in the provider's words.
        reason: String,
        /// The operation.
        request_type: RequestType,
        /// The stack.
        stack_id: StackId,
        /// The operation's id.
        request_id: RequestId,
    },
    /// There is nobody to answer, or nobody who may be. Not a byte was sent.
    Unanswerable {
        /// What is wrong with the event.
        why: EventFault,
    },
}

impl Served {
    /// Whether the function should end with an error, so that Lambda invokes it again and at last
    /// hands the event to the on-failure destination.
    ///
    /// That helps when the work is not finished, and when the answer did not arrive and still could. It does not when the event cannot
    /// be answered at all, or the answer was refused for good.
    #[must_use]
    pub fn deserves_another_invocation(&self) -> bool {
        match self {
            Self::Unfinished { .. } => true,
            Self::NotDelivered { fault, .. } => !fault.is_final(),
            Self::Answered { .. } | Self::Unanswerable { .. } => false,
        }
    }

    /// What CloudFormation was told as the reason, or would have been; none where there was nothing to tell.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Answered { answer, .. } | Self::NotDelivered { answer, .. } => answer.reason.as_deref(),
            Self::Unfinished { reason, .. } => Some(reason),
            Self::Unanswerable { .. } => None,
        }
    }
}

impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered { answer, tries } => write!(f, "answered {answer}; tries: {tries}"),
            Self::NotDelivered { answer, fault, tries } => {
                write!(f, "could not deliver {answer}; tries: {tries}, and the last: {fault}")
            }
            Self::Unfinished { request_type, stack_id, request_id, .. } => {
                write!(f, "left the {request_type} in {stack_id} to the next run, request {request_id}")
            }
            Self::Unanswerable { why } => write!(f, "could not be answered: {why}"),
        }
    }
}

/// What CloudFormation is told about an operation, without its data.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Answer {
    /// How the work ended.
    pub ending: Ending,
    /// The reason, as sent.
    pub reason: Option<String>,
    /// The operation; absent if the event does not name one.
    pub request_type: Option<RequestType>,
    /// The id that the answer names.
    pub physical_id: PhysicalResourceId,
    /// The stack.
    pub stack_id: StackId,
    /// The operation's id.
    pub request_id: RequestId,
    /// The resource's name in the template.
    pub logical_id: LogicalId,
}

impl Answer {
    /// What the answer's status is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.ending.status()
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let request_type = self.request_type.map_or("unknown request", RequestType::as_str);
        write!(
            f,
            "{} ({}) to the {request_type} of {} in {}, request {}",
            self.status(),
            self.ending,
            self.logical_id,
            self.stack_id,
            self.request_id,
        )
    }
}

/// How the work on an event ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Ending {
    /// The provider succeeded.
    Succeeded,
    /// The provider said that it failed.
    Failed,
    /// The event could not be read; the provider was not asked.
    BadEvent,
    /// The provider panicked.
    Panicked,
    /// The provider was stopped for want of time.
    OutOfTime,
    /// The provider succeeded, but with more data than an answer holds.
    TooLarge,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::BadEvent => "bad event",
            Self::Panicked => "panicked",
            Self::OutOfTime => "out of time",
            Self::TooLarge => "too large",
        })
    }
}

impl Ending {
    /// The status that CloudFormation is told.
    #[must_use]
    pub fn status(self) -> Status {
        match self {
            Self::Succeeded => Status::Success,
            Self::Failed | Self::BadEvent | Self::Panicked | Self::OutOfTime | Self::TooLarge => {
                Status::Failed
            }
        }
    }
}

/// Serves one event: reads it, has the provider do the work, and answers.
///
/// If the event has a usable `ResponseURL` and says for which stack, resource and request, it is
/// answered, whatever else is wrong with it and whatever the provider does:
///
/// | what happens | answer |
/// |---|---|
/// | the provider succeeds | SUCCESS |
/// | it fails | FAILED, with its reason |
/// | it is [unfinished](Failure::unfinished) | none: the next run, or the on-failure destination, answers |
/// | it panics | FAILED; the message stays unsaid, as it could hold a value |
/// | it is not done [`ANSWER_RESERVE`](crate::ANSWER_RESERVE) before the deadline | it is dropped, then FAILED |
/// | its data does not fit | FAILED, naming the size |
/// | the event cannot be read | FAILED, naming the field |
///
/// The id answered is the request's `physical_id`, except after an Update that succeeded and
/// replaces: see [`Request::id_after_success`].
///
/// Watchdog and work are one task here, and what either of them has to say goes through one value
/// that sending consumes. So there is one answer at most; a provider that ends in the very moment of
/// its deadline is the one that is heard.
pub async fn serve(
    event: Value,
    deadline: Deadline,
    scheme: &IdentityScheme,
    responder: &Responder,
    provider: &impl Provider,
) -> Served {
    let (reply, request) = match event::read(event, scheme) {
        Ok(read) => read,
        Err(why) => return Served::Unanswerable { why },
    };
    let verdict = match &request {
        Ok(request) => Verdict::of_work(request, deadline, provider).await,
        Err(fault) => Verdict::bad_event(reply.failure_id.clone(), *fault),
    };
    match (&verdict.outcome, request) {
        (Err(failure), Ok(request)) if failure.is_unfinished() => Served::Unfinished {
            reason: failure.reason.clone(),
            request_type: request.request_type,
            stack_id: request.stack_id,
            request_id: request.request_id,
        },
        _ => send(reply, verdict, deadline, responder).await,
    }
}

/// Answers FAILED for an event whose function could not: for an on-failure destination.
///
/// With the same scheme, the answer has the physical id that [`serve`] would have given.
pub async fn refuse(
    event: Value,
    deadline: Deadline,
    scheme: &IdentityScheme,
    responder: &Responder,
    failure: Failure,
) -> Served {
    match event::read(event, scheme) {
        Ok((reply, _)) => {
            let verdict = Verdict::failed(Ending::Failed, reply.failure_id.clone(), failure.reason);
            send(reply, verdict, deadline, responder).await
        }
        Err(why) => Served::Unanswerable { why },
    }
}

/// What there is to answer.
#[derive(Debug)]
struct Verdict {
    ending: Ending,
    physical_id: PhysicalResourceId,
    outcome: Result<Success, Failure>,
}

impl Verdict {
    async fn of_work(request: &Request, deadline: Deadline, provider: &impl Provider) -> Self {
        let stop = deadline.for_work();
        let failed = |ending, reason| Self::failed(ending, request.physical_id.clone(), reason);
        if stop.has_passed() {
            return failed(Ending::OutOfTime, "the function had no time left to begin".to_owned());
        }
        let work = async {
            match request.request_type {
                RequestType::Create => provider.create(request, stop).await,
                RequestType::Update => provider.update(request, stop).await,
                RequestType::Delete => provider.delete(request, stop).await,
            }
        };
        let mut work = Box::pin(AssertUnwindSafe(work).catch_unwind());
        let ended = timeout_at(stop.instant(), &mut work).await;
        // What the work held may panic as it goes. Its end is decided by now.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(work))).map_err(overwrite);
        match ended {
            Ok(Ok(Ok(success))) => Self {
                ending: Ending::Succeeded,
                physical_id: request.id_after_success().clone(),
                outcome: Ok(success),
            },
            Ok(Ok(Err(failure))) => Self {
                ending: Ending::Failed,
                physical_id: request.physical_id.clone(),
                outcome: Err(failure),
            },
            Ok(Err(payload)) => {
                overwrite(payload);
                let reason =
                    format!("the function panicked; its log says where (request id {})", request.request_id);
                failed(Ending::Panicked, reason)
            }
            Err(_) => {
                let reason = format!(
                    "the function ran out of time: the {} was stopped so that this answer could leave",
                    request.request_type
                );
                failed(Ending::OutOfTime, reason)
            }
        }
    }

    fn bad_event(physical_id: PhysicalResourceId, fault: EventFault) -> Self {
        Self::failed(Ending::BadEvent, physical_id, format!("the event cannot be read: {fault}"))
    }

    fn failed(ending: Ending, physical_id: PhysicalResourceId, reason: String) -> Self {
        Self { ending, physical_id, outcome: Err(Failure::new(reason)) }
    }

    fn compose(&mut self, reply: &Reply) -> Composed {
        let heading = reply.heading(&self.physical_id);
        match &self.outcome {
            Err(failure) => heading.failure(&failure.reason),
            Ok(success) => heading.success(success).unwrap_or_else(|size| {
                self.ending = Ending::TooLarge;
                self.physical_id = reply.failure_id.clone();
                reply.heading(&self.physical_id).failure(&format!(
                    "the operation is done, but its answer would be {size} bytes, and CloudFormation \
                     takes at most {MAX_ANSWER_BYTES}"
                ))
            }),
        }
    }
}

/// The one place where an answer leaves.
async fn send(reply: Reply, mut verdict: Verdict, deadline: Deadline, responder: &Responder) -> Served {
    let Composed { body, reason } = verdict.compose(&reply);
    let answer = Answer {
        ending: verdict.ending,
        reason,
        request_type: reply.request_type,
        physical_id: verdict.physical_id,
        stack_id: reply.stack_id,
        request_id: reply.request_id,
        logical_id: reply.logical_id,
    };
    match responder.deliver(reply.url, body, deadline).await {
        Ok(tries) => Served::Answered { answer, tries },
        Err(Undelivered { fault, tries }) => Served::NotDelivered { answer, fault, tries },
    }
}

/// Drops what a panic carried, which is a text put together from who knows what.
fn overwrite(payload: Box<dyn Any + Send>) {
    if let Ok(mut text) = payload.downcast::<String>() {
        text.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use serde_json::json;
    use tokio::time::{Instant, sleep, sleep_until};

    use super::*;
    use crate::deadline::ANSWER_RESERVE;

    const TIME: Duration = Duration::from_mins(1);

    /// What of it is for work.
    const WORK: Duration = TIME.saturating_sub(ANSWER_RESERVE);

    /// By how much a timer may be late.
    const TICK: Duration = Duration::from_millis(2);

    /// What a provider does when it is asked for anything.
    enum Script {
        /// Succeeds after a while.
        Take(Duration),
        /// Succeeds at the very moment of the deadline that it is given.
        TakeAllThereIs,
        PanicAtOnce,
        PanicAfterAwait,
        /// Waits for ever, and panics when it is dropped.
        PanicWhenDropped,
    }

    struct Scripted {
        script: Script,
        calls: Cell<u32>,
    }

    struct Grenade;

    impl Drop for Grenade {
        fn drop(&mut self) {
            panic!("{SECRET}");
        }
    }

    const SECRET: &str = "the value 8f14e45f";

    impl Scripted {
        fn new(script: Script) -> Self {
            Self { script, calls: Cell::new(0) }
        }

        async fn play(&self, deadline: Deadline) -> Result<Success, Failure> {
            self.calls.set(self.calls.get() + 1);
            match self.script {
                Script::Take(time) => sleep(time).await,
                Script::TakeAllThereIs => sleep_until(deadline.instant()).await,
                Script::PanicAtOnce => panic!("{SECRET}"),
                Script::PanicAfterAwait => {
                    sleep(Duration::from_secs(1)).await;
                    panic!("{SECRET}");
                }
                Script::PanicWhenDropped => {
                    let _grenade = Grenade;
                    std::future::pending::<()>().await;
                }
            }
            Ok(Success::default().with("Done", "yes"))
        }
    }

    impl Provider for Scripted {
        async fn create(&self, _: &Request, deadline: Deadline) -> Result<Success, Failure> {
            self.play(deadline).await
        }

        async fn update(&self, _: &Request, deadline: Deadline) -> Result<Success, Failure> {
            self.play(deadline).await
        }

        async fn delete(&self, _: &Request, deadline: Deadline) -> Result<Success, Failure> {
            self.play(deadline).await
        }
    }

    fn request() -> Request {
        let event = json!({
            "RequestType": "Create",
            "ResponseURL":
                "https://cloudformation-custom-resource-response-useast1.s3.us-east-1.amazonaws.com/x",
            "StackId": "arn:aws:cloudformation:us-east-1:123456789012:stack/shop/5b0c",
            "RequestId": "request-1",
            "LogicalResourceId": "Thing",
            "ResourceType": "Custom::Thing",
            "ResourceProperties": {},
        });
        let (_, request) = event::read(event, &IdentityScheme::new("things")).unwrap();
        request.unwrap()
    }

    async fn verdict_on(script: Script, time: Duration) -> (Verdict, Duration, u32) {
        let provider = Scripted::new(script);
        let start = Instant::now();
        let verdict = Verdict::of_work(&request(), Deadline::after(time), &provider).await;
        (verdict, start.elapsed(), provider.calls.get())
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_ends_in_time_is_heard() {
        let (verdict, took, _) = verdict_on(Script::Take(Duration::from_secs(54)), TIME).await;
        assert_eq!(verdict.ending, Ending::Succeeded);
        assert_eq!(took, Duration::from_secs(54));
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_ends_at_the_very_deadline_is_heard_and_the_watchdog_is_not() {
        let (verdict, took, _) = verdict_on(Script::TakeAllThereIs, TIME).await;
        assert_eq!(verdict.ending, Ending::Succeeded);
        assert!((WORK..=WORK + TICK).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_overruns_is_stopped_with_the_reserve_left() {
        let (verdict, took, _) = verdict_on(Script::Take(Duration::from_secs(56)), TIME).await;
        assert_eq!(verdict.ending, Ending::OutOfTime);
        assert!((WORK..=WORK + TICK).contains(&took), "{took:?}");
        assert!(verdict.outcome.unwrap_err().reason.contains("ran out of time"));
    }

    #[tokio::test(start_paused = true)]
    async fn where_time_is_short_three_quarters_of_it_are_for_the_work() {
        let (verdict, took, _) = verdict_on(Script::Take(TIME), Duration::from_secs(4)).await;
        assert_eq!(verdict.ending, Ending::OutOfTime);
        assert!(took <= Duration::from_millis(3002), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn work_without_any_time_is_not_begun() {
        let (verdict, _, calls) = verdict_on(Script::Take(Duration::ZERO), Duration::ZERO).await;
        assert_eq!(verdict.ending, Ending::OutOfTime);
        assert_eq!(calls, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_a_failure_that_does_not_tell_its_message() {
        for script in [Script::PanicAtOnce, Script::PanicAfterAwait] {
            let (verdict, ..) = verdict_on(script, TIME).await;
            assert_eq!(verdict.ending, Ending::Panicked);
            assert_eq!(verdict.physical_id, request().derived_id);
            let reason = verdict.outcome.unwrap_err().reason;
            assert!(reason.contains("panicked") && reason.contains("request-1"), "{reason}");
            assert!(!reason.contains(SECRET), "{reason}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_while_the_work_is_dropped_is_caught_too() {
        let (verdict, ..) = verdict_on(Script::PanicWhenDropped, TIME).await;
        assert_eq!(verdict.ending, Ending::OutOfTime);
    }
}
