//! The double itself: a server on loopback, and what a test does to it and sees of it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use hyper::body::Bytes;
use hyper::{HeaderMap, Response};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::record::{Call, Record};
use crate::server;
use crate::twists::{Hold, Pattern, Side, Twist, Twists};
use crate::under_way::UnderWay;
use crate::world::World;

/// AWS on loopback, for as long as this value lives.
#[derive(Debug)]
pub struct Double {
    address: SocketAddr,
    core: Arc<Core>,
    server: JoinHandle<()>,
}

impl Double {
    /// Starts on a port that is free now, with nothing in it.
    ///
    /// # Errors
    ///
    /// When no port is free.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no free port")?;
        let address = listener.local_addr()?;
        let core = Arc::<Core>::default();
        let server = tokio::spawn(server::serve(listener, Arc::clone(&core)));
        Ok(Self { address, core, server })
    }

    /// The URL that every service answers at.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers a request without a socket, as it would one that came over it; `None` where it would
    /// close the connection. For tests that make the time go faster than it does.
    pub async fn answer(&self, headers: &HeaderMap, body: &[u8]) -> Option<Response<Bytes>> {
        server::answer(headers, body, Arc::clone(&self.core)).await
    }

    /// Arranges what there is, or looks at it. No call is carried out meanwhile.
    pub fn with<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        let mut state = self.core.state();
        state.world.settle();
        act(&mut state.world)
    }

    /// All calls so far, in the order of their arrival.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.core.state().record.calls().to_vec()
    }

    /// The calls that have arrived since there were so many: `calls_since(calls().len())` is empty.
    #[must_use]
    pub fn calls_since(&self, count: usize) -> Vec<Call> {
        self.core.state().record.calls().iter().skip(count).cloned().collect()
    }

    /// Lets something befall the calls that match.
    pub fn twist(&self, pattern: impl Into<Pattern>, twist: Twist) {
        self.core.state().twists.twist(pattern.into(), twist);
    }

    /// Stops the calls that match, before they are carried out or after.
    #[must_use]
    pub fn hold(&self, pattern: impl Into<Pattern>, side: Side) -> Hold {
        self.core.state().twists.hold(pattern.into(), side)
    }

    /// Forgets all twists and stops that no call has met. Calls that are held stay so.
    pub fn clear_twists(&self) {
        self.core.state().twists.clear();
    }

    /// Stops the double's clock: from now on only [`Double::advance`] moves it.
    pub fn stop_clock(&self) {
        self.with(|world| world.clock.stop());
    }

    /// Sets the double's clock ahead: recovery windows end, and parameters expire.
    pub fn advance(&self, by: Duration) {
        self.with(|world| {
            world.clock.advance(by);
            world.settle();
        });
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// What the server and the test share.
#[derive(Debug, Default)]
pub(crate) struct Core {
    state: Mutex<State>,
}

/// Everything that changes, behind one lock.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) world: World,
    pub(crate) record: Record,
    pub(crate) twists: Twists,
    pub(crate) under_way: UnderWay,
}

impl Core {
    /// Takes the lock. A test that failed within [`Double::with`] does not make the others fail.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
