//! The CloudFormation custom-resource protocol: parse, guard, answer once.
//!
//! A stack that waits for an answer waits for up to an hour, and nobody can hurry it. So whatever
//! happens to the function (an event that does not parse, a panic, a dependency that hangs), this
//! crate sees to it that CloudFormation hears of it, once, within the time that the function has.
//! What cannot be answered from inside, because the process is gone, is the business of Lambda's
//! on-failure destination, which answers with [`refuse`] and arrives at the same physical id.
//!
//! ```no_run
//! use custom_resource::{
//!     Deadline, Failure, IdentityScheme, Provider, Request, Responder, Served, Success, serve,
//! };
//!
//! struct Greeter;
//!
//! impl Provider for Greeter {
//!     async fn create(&self, request: &Request, _: Deadline) -> Result<Success, Failure> {
//!         let name = request.properties.text("Name").ok_or_else(|| Failure::new("Name is missing"))?;
//!         Ok(Success::default().with("Greeting", format!("Hello, {name}")))
//!     }
//!
//!     async fn update(&self, request: &Request, deadline: Deadline) -> Result<Success, Failure> {
//!         self.create(request, deadline).await
//!     }
//!
//!     async fn delete(&self, _: &Request, _: Deadline) -> Result<Success, Failure> {
//!         Ok(Success::default())
//!     }
//! }
//!
//! # async fn handle(event: serde_json::Value, lambda_deadline: u64) -> Served {
//! let scheme = IdentityScheme::new("greeting").property("Name", None);
//! let responder = Responder::new();
//! serve(event, Deadline::from_epoch_millis(lambda_deadline), &scheme, &responder, &Greeter).await
//! # }
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`Request`], [`StackId`], [`Properties`] | an event, parsed |
//! | [`PhysicalResourceId`], [`IdentityScheme`] | which resource it is about, computed from the event alone |
//! | [`Provider`], [`Success`], [`Failure`] | the work, which this crate knows nothing of |
//! | [`serve`], [`refuse`], [`Deadline`], [`Served`] | the guard around the work |
//! | [`ResponseUrl`], [`Responder`] | the answer's way out |
//!
//! # What it never does
//!
//! It reads no environment variable, writes no log line and keeps no state between events. It sends
//! nothing but the answer, and that to nobody but CloudFormation's own bucket in the Region of the
//! event's stack. It never answers twice: the [`ResponseUrl`] is a value that answering consumes.
//!
//! # Features
//!
//! `local` lets a `ResponseURL` be plain http on a loopback address, as emulators send it. It is for
//! builds that run beside an emulator, and no deployed build has it.

mod answer;
mod deadline;
mod event;
mod identity;
mod physical_id;
mod request;
mod responder;
mod response_url;
mod retrying;
mod serving;
mod stack_id;

pub use answer::{Failure, MAX_ANSWER_BYTES, Status, Success, UNFINISHED, data_budget};
pub use deadline::{ANSWER_RESERVE, Deadline};
pub use event::{EventFault, FieldFault};
pub use identity::IdentityScheme;
pub use physical_id::PhysicalResourceId;
pub use request::{LogicalId, Properties, Request, RequestId, RequestType};
pub use responder::{DeliveryFault, Responder};
pub use response_url::{ResponseUrl, UrlFault};
pub use serving::{Answer, Ending, Provider, Served, refuse, serve};
pub use stack_id::{Malformed, Partition, StackId};
