//! Faults and stops that a test puts at a call.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::error::ApiError;
use crate::record::CallKey;
use crate::service::Service;

/// Which calls are meant. What is left out matches every call.
///
/// Matching calls are counted from the moment the pattern is set; the first one is meant unless
/// [`Pattern::nth`], [`Pattern::times`], [`Pattern::since`] or [`Pattern::every`] says otherwise.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pattern {
    session: Option<String>,
    service: Option<Service>,
    operation: Option<String>,
    subject: Option<String>,
    first: u64,
    last: u64,
}

impl Pattern {
    /// Any call.
    #[must_use]
    pub fn any() -> Self {
        Self { session: None, service: None, operation: None, subject: None, first: 1, last: 1 }
    }

    /// A call of an operation.
    pub fn operation(name: impl Into<String>) -> Self {
        Self { operation: Some(name.into()), ..Self::any() }
    }

    /// A call to a service.
    #[must_use]
    pub fn service(service: Service) -> Self {
        Self { service: Some(service), ..Self::any() }
    }

    /// Only with this subject. A `*` stands for any characters.
    #[must_use]
    pub fn on(self, subject: impl Into<String>) -> Self {
        Self { subject: Some(subject.into()), ..self }
    }

    /// Only by the process with this session token.
    #[must_use]
    pub fn by(self, session: impl Into<String>) -> Self {
        Self { session: Some(session.into()), ..self }
    }

    /// The `n`th of the matching calls, from 1.
    #[must_use]
    pub fn nth(self, n: u64) -> Self {
        Self { first: n, last: n, ..self }
    }

    /// The first `n` of the matching calls.
    #[must_use]
    pub fn times(self, n: u64) -> Self {
        Self { first: 1, last: n, ..self }
    }

    /// The `n`th of the matching calls, and all after it.
    #[must_use]
    pub fn since(self, n: u64) -> Self {
        Self { first: n, last: u64::MAX, ..self }
    }

    /// All matching calls.
    #[must_use]
    pub fn every(self) -> Self {
        self.since(1)
    }

    fn matches(&self, call: &Described<'_>) -> bool {
        let is = |wanted: &Option<String>, given: &str| wanted.as_ref().is_none_or(|wanted| wanted == given);
        is(&self.operation, call.operation)
            && self.service.is_none_or(|service| Some(service) == call.service)
            && self.session.as_deref().is_none_or(|session| Some(session) == call.session)
            && self.subject.as_ref().is_none_or(|subject| glob(subject, call.subject))
    }
}

impl From<CallKey> for Pattern {
    fn from(key: CallKey) -> Self {
        Self::operation(key.operation).on(key.subject).nth(key.occurrence)
    }
}

impl From<&CallKey> for Pattern {
    fn from(key: &CallKey) -> Self {
        key.clone().into()
    }
}

/// What befalls a call.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Twist {
    /// It is refused as one too many. Nothing is done.
    Throttle,
    /// It is refused with a code, under HTTP status 400. Nothing is done.
    Refuse(String),
    /// The service fails with HTTP status 500 or 503. Nothing is done.
    ServerError(u16),
    /// The connection is closed. Nothing is done.
    Reset,
    /// It waits so long, is carried out and answered.
    Slow(Duration),
    /// It is carried out, and the connection is closed without an answer.
    AnswerLost,
}

impl Twist {
    /// A refusal with a code.
    pub fn refuse(code: impl Into<String>) -> Self {
        Self::Refuse(code.into())
    }
}

/// Where a call is held.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// It has arrived, and nothing is done yet.
    Before,
    /// It has been carried out, and its caller does not know.
    After,
}

/// A stop that a test has put at a call.
///
/// A call that is held stays so until [`Hold::release`]; dropping this value releases nothing. A
/// caller that goes away meanwhile changes nothing either: what is released is carried out.
#[derive(Clone, Debug)]
pub struct Hold(Arc<Gate>);

impl Hold {
    /// Waits until a call stands here, and gives its number in the record.
    pub async fn reached(&self) -> u64 {
        let mut reached = self.0.reached.subscribe();
        let number = reached.wait_for(Option::is_some).await.ok().and_then(|number| *number);
        // The sender is this value's own, so there is a number.
        number.unwrap_or_default()
    }

    /// Whether a call stands, or stood, here.
    #[must_use]
    pub fn is_reached(&self) -> bool {
        self.0.reached.borrow().is_some()
    }

    /// Lets the call go on, and all that come to this stop later.
    pub fn release(&self) {
        self.0.released.send_replace(true);
    }
}

/// The stop itself.
#[derive(Debug)]
pub(crate) struct Gate {
    reached: watch::Sender<Option<u64>>,
    released: watch::Sender<bool>,
}

impl Gate {
    /// Waits here until the hold is released.
    pub(crate) async fn pass(&self, number: u64) {
        self.reached.send_replace(Some(number));
        // The sender is this value's own, so this ends with the release only.
        let _ = self.released.subscribe().wait_for(|released| *released).await;
    }
}

/// What a pattern is matched with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Described<'a> {
    pub(crate) session: Option<&'a str>,
    pub(crate) service: Option<Service>,
    pub(crate) operation: &'a str,
    pub(crate) subject: &'a str,
}

/// What befalls one call, all twists together.
#[derive(Debug, Default)]
pub(crate) struct Fate {
    /// Where it stops before it is carried out.
    pub(crate) before: Vec<Arc<Gate>>,
    /// Where it stops afterwards.
    pub(crate) after: Vec<Arc<Gate>>,
    /// How much later it is answered.
    pub(crate) delay: Duration,
    /// What happens in its stead.
    pub(crate) fault: Option<Fault>,
    /// Whether its answer is lost.
    pub(crate) answer_lost: bool,
}

/// What happens in the stead of an operation.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    Refusal(ApiError),
    Reset,
}

/// All that tests have set and that may still match.
#[derive(Debug, Default)]
pub(crate) struct Twists(Vec<Armed>);

#[derive(Debug)]
struct Armed {
    pattern: Pattern,
    seen: u64,
    effect: Effect,
}

#[derive(Debug)]
enum Effect {
    Twist(Twist),
    Hold(Side, Arc<Gate>),
}

impl Twists {
    /// Sets a fault.
    pub(crate) fn twist(&mut self, pattern: Pattern, twist: Twist) {
        self.0.push(Armed { pattern, seen: 0, effect: Effect::Twist(twist) });
    }

    /// Sets a stop.
    pub(crate) fn hold(&mut self, pattern: Pattern, side: Side) -> Hold {
        let gate = Arc::new(Gate { reached: watch::Sender::default(), released: watch::Sender::default() });
        self.0.push(Armed { pattern, seen: 0, effect: Effect::Hold(side, Arc::clone(&gate)) });
        Hold(gate)
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// What befalls a call that arrives now.
    pub(crate) fn fate(&mut self, call: Described<'_>) -> Fate {
        let mut fate = Fate::default();
        for armed in &mut self.0 {
            if !armed.pattern.matches(&call) {
                continue;
            }
            armed.seen += 1;
            if (armed.pattern.first..=armed.pattern.last).contains(&armed.seen) {
                armed.effect.add_to(&mut fate, call.service);
            }
        }
        self.0.retain(|armed| armed.seen < armed.pattern.last);
        fate
    }
}

impl Effect {
    /// Of several faults the one that was set first happens.
    fn add_to(&self, fate: &mut Fate, service: Option<Service>) {
        let service = service.unwrap_or(Service::Kms);
        let fault = match self {
            Self::Hold(Side::Before, gate) => return fate.before.push(Arc::clone(gate)),
            Self::Hold(Side::After, gate) => return fate.after.push(Arc::clone(gate)),
            Self::Twist(Twist::Slow(delay)) => return fate.delay += *delay,
            Self::Twist(Twist::AnswerLost) => {
                fate.answer_lost = true;
                return;
            }
            Self::Twist(Twist::Throttle) => Fault::Refusal(service.throttled()),
            Self::Twist(Twist::Refuse(code)) => {
                Fault::Refusal(ApiError::new(code, "The contract double was told to refuse this call."))
            }
            Self::Twist(Twist::ServerError(status)) => Fault::Refusal(service.failed(*status)),
            Self::Twist(Twist::Reset) => Fault::Reset,
        };
        fate.fault.get_or_insert(fault);
    }
}

/// Whether a text matches a pattern in which `*` stands for any characters.
fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(head) else { return false };
    (0..=text.len()).filter(|at| text.is_char_boundary(*at)).any(|at| glob(rest, &text[at..]))
}
