//! The HTTP server: what happens to a call from its arrival to its answer.

use std::sync::Arc;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming as Body};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::double::{Core, State};
use crate::error::{Answer, ApiError};
use crate::identities::{Caller, unknown_access_key};
use crate::limits;
use crate::parameters;
use crate::record::{Call, Outcome, as_written};
use crate::service::Service;
use crate::twists::{Described, Fate, Fault};
use crate::wire::{self, Incoming};

/// Serves until the task ends, and every connection and call with it.
pub(crate) async fn serve(listener: TcpListener, core: Arc<Core>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let core = Arc::clone(&core);
        connections.spawn(async move {
            // Answers are small, and a caller may wait for one before it sends the next.
            let _ = stream.set_nodelay(true);
            let service = service_fn(move |request| handle(request, Arc::clone(&core)));
            // A caller that goes away is no fault of the server.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// The connection is to be closed without an answer.
#[derive(Debug)]
struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("closed on purpose")
    }
}

impl std::error::Error for Closed {}

async fn handle(request: Request<Body>, core: Arc<Core>) -> Result<Response<Full<Bytes>>, Closed> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Closed)?.to_bytes();
    answer(&head.headers, &body, core).await.map(|response| response.map(Full::new)).ok_or(Closed)
}

/// Answers a request, or leaves it unanswered.
pub(crate) async fn answer(headers: &HeaderMap, body: &[u8], core: Arc<Core>) -> Option<Response<Bytes>> {
    let incoming = Incoming::read(headers, body);
    let (query, operation) = (incoming.is_query(), incoming.operation.clone());
    let (number, fate) = arrive(&core, &incoming);
    let _presence = Presence { core: Arc::clone(&core), number };
    // What has arrived goes on, even when its caller goes away.
    let answer = tokio::spawn(go_on(core, incoming, number, fate)).await.ok().flatten();
    answer.map(|answer| wire::response(query, &operation, &answer))
}

/// A caller that waits. Once it is gone, no put of its waits any more as far as others can see.
struct Presence {
    core: Arc<Core>,
    number: u64,
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.core.state().under_way.ends(self.number);
    }
}

/// Writes the arrival down and looks up what befalls the call.
fn arrive(core: &Core, incoming: &Incoming) -> (u64, Fate) {
    let mut state = core.state();
    state.world.settle();
    let number = state.record.next_number();
    let caller = state.world.identities.caller(&incoming.access_key, &incoming.region, number);
    let nothing = Value::Null;
    let input = incoming.input.as_ref().unwrap_or(&nothing);
    let subject = match (&caller, incoming.service) {
        (Some(caller), Some(service)) => service.subject(&state.world, caller, input),
        _ => String::new(),
    };
    let fate = state.twists.fate(Described {
        session: incoming.session.as_deref(),
        service: incoming.service,
        operation: &incoming.operation,
        subject: &subject,
    });
    // What stands at a stop is still on its way, for all that the service knows.
    let works_on_it = !fate.delay.is_zero();
    if let Some(caller) = caller.as_ref().filter(|_| works_on_it)
        && incoming.service == Some(Service::ParameterStore)
        && let Some(name) = parameters::name_of_put(&incoming.operation, input)
    {
        state.under_way.begins(number, caller.place.clone(), name);
    }
    state.record.arrives(Call {
        number,
        session: incoming.session.clone(),
        principal: caller.map_or_else(|| incoming.access_key.clone(), |caller| caller.arn),
        service: incoming.service,
        operation: incoming.operation.clone(),
        subject,
        request: as_written(input),
        outcome: Outcome::Unanswered,
        took_effect: false,
        arrived: 0,
        answered: None,
    });
    (number, fate)
}

/// Goes through what befalls the call. `None` closes the connection.
async fn go_on(core: Arc<Core>, incoming: Incoming, number: u64, fate: Fate) -> Option<Answer> {
    for gate in &fate.before {
        gate.pass(number).await;
    }
    if !fate.delay.is_zero() {
        tokio::time::sleep(fate.delay).await;
    }
    let answer = match fate.fault {
        Some(Fault::Reset) => None,
        Some(Fault::Refusal(refusal)) => Some(Err(refusal)),
        None => Some(carry_out(&mut core.state(), incoming, number)),
    };
    for gate in &fate.after {
        gate.pass(number).await;
    }
    let answer = answer.filter(|_| !fate.answer_lost);
    let outcome = match &answer {
        None => Outcome::Lost,
        Some(Ok(answer)) => Outcome::Answer(answer.clone()),
        Some(Err(error)) => Outcome::Error(error.clone()),
    };
    core.state().record.is_answered(number, outcome);
    answer
}

fn carry_out(state: &mut State, incoming: Incoming, number: u64) -> Answer {
    state.under_way.ends(number);
    state.world.settle();
    let service = incoming.service.ok_or_else(|| ApiError::not_in_the_double("this service"))?;
    let caller = state.world.identities.caller(&incoming.access_key, &incoming.region, number);
    let caller = caller.ok_or_else(|| unknown_access_key(incoming.is_query()))?;
    let input = incoming.input?;
    let (now, pair_spec) = (state.world.now(), input["KeyPairSpec"].as_str());
    if !state.world.rates.admit(&caller.place, service, &incoming.operation, pair_spec, now) {
        return Err(service.throttled());
    }
    limits::check(service, &input)?;
    refuse_while_another_waits(state, service, &caller, &incoming.operation, &input)?;
    let answer = service.carry_out(&mut state.world, &caller, &incoming.operation, input);
    if answer.is_ok() {
        state.record.takes_effect(number);
    }
    answer
}

/// Two updates of one parameter at a time are one too many (Systems Manager API Reference,
/// `PutParameter`, `TooManyUpdates`).
fn refuse_while_another_waits(
    state: &State,
    service: Service,
    caller: &Caller,
    operation: &str,
    input: &Value,
) -> Result<(), ApiError> {
    let name = parameters::name_of_put(operation, input).filter(|_| service == Service::ParameterStore);
    match name {
        Some(name) if state.under_way.holds(&caller.place, &name) => Err(ApiError::new(
            "TooManyUpdates",
            "There are concurrent updates for a resource that supports one update at a time.",
        )),
        _ => Ok(()),
    }
}
