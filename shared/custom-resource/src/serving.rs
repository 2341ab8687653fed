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
#[expect(
    async_fn_in_trait,
    reason = "the caller of `serve` has the concrete type, and with it `Send`"
)]
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
    /// That helps when the answer did not arrive and still could. It does not when the event cannot
    /// be answered at all, or the answer was refused for good.
    #[must_use]
    pub fn deserves_another_invocation(&self) -> bool {
        matches!(self, Self::NotDelivered { fault, .. } if !fault.is_final())
    }
}

impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered { answer, tries } => {
                write!(f, "answered {} in {tries} tries", answer.status())
            }
            Self::NotDelivered {
                answer,
                fault,
                tries,
            } => {
                write!(
                    f,
                    "could not deliver {} in {tries} tries: {fault}",
                    answer.status()
                )
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
    send(reply, verdict, deadline, responder).await
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
            return failed(
                Ending::OutOfTime,
                "the function had no time left to begin".to_owned(),
            );
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
            Ok(Ok(Err(failure))) => failed(Ending::Failed, failure.reason),
            Ok(Err(payload)) => {
                overwrite(payload);
                let reason = format!(
                    "the function panicked: its log says where, near request id {}",
                    request.request_id
                );
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
        Self::failed(
            Ending::BadEvent,
            physical_id,
            format!("the event cannot be read: {fault}"),
        )
    }

    fn failed(ending: Ending, physical_id: PhysicalResourceId, reason: String) -> Self {
        Self {
            ending,
            physical_id,
            outcome: Err(Failure { reason }),
        }
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
async fn send(
    reply: Reply,
    mut verdict: Verdict,
    deadline: Deadline,
    responder: &Responder,
) -> Served {
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
        Err(Undelivered { fault, tries }) => Served::NotDelivered {
            answer,
            fault,
            tries,
        },
    }
}

/// Drops what a panic carried, which is a text put together from who knows what.
fn overwrite(payload: Box<dyn Any + Send>) {
    if let Ok(mut text) = payload.downcast::<String>() {
        text.zeroize();
    }
}
