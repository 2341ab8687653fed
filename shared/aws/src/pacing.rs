//! Keeps calls at the rates that AWS takes: every attempt of every call passes here, the SDK's own
//! retries too, since what passes is the request on its way to the connection.
//!
//! Whoever comes first goes first. A caller that goes away gives its place to the next one. Nobody
//! spins: the first in line sleeps until its time has come, the others wait for it. The time of an
//! attempt begins when it leaves here.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout};

use crate::rates::{Rates, TABLE, line_of};

/// How long one attempt may take, once it has left.
const ATTEMPT: Duration = Duration::from_secs(10);
/// The header that names the call.
const TARGET: &str = "x-amz-target";

/// The way out, with a gate for each line of the table.
#[derive(Clone)]
pub(crate) struct Pacer {
    gates: Arc<[Gate]>,
}

/// Lets calls through one at a time, so long apart; after a quiet while some at once.
struct Gate {
    interval: Duration,
    /// How far the calls may be ahead of their times.
    ahead: Duration,
    /// The time of the next call, if they were evenly spaced.
    next: Mutex<Instant>,
}

impl Gate {
    fn new(interval: Duration, burst: u32) -> Self {
        Self { interval, ahead: interval * burst.saturating_sub(1), next: Mutex::new(Instant::now()) }
    }

    async fn pass(&self) {
        // Fair: places are given in the order in which they were asked for.
        let mut next = self.next.lock().await;
        let now = Instant::now();
        // What was not used before does not add up for ever.
        let time = (*next).max(now);
        sleep_until(time.checked_sub(self.ahead).unwrap_or(now)).await;
        // Only now: whoever goes away while it sleeps has used nothing.
        *next = time + self.interval;
    }
}

impl Pacer {
    pub(crate) fn new(rates: Rates) -> Self {
        let gate = |line| Gate::new(rates.interval(line), rates.burst(line));
        Self { gates: (0..TABLE.len()).map(gate).collect() }
    }

    /// Waits until the call that a target names may leave.
    async fn pass(&self, target: Option<&str>) {
        if let Some(line) = target.and_then(line_of) {
            self.gates[line].pass().await;
        }
    }

    /// Puts the gates before a client.
    pub(crate) fn before(self, client: SharedHttpClient) -> SharedHttpClient {
        SharedHttpClient::new(Paced { pacer: self, client })
    }
}

impl fmt::Debug for Pacer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(TABLE.iter().map(|quota| quota.name)).finish()
    }
}

/// A client whose requests wait for their turn.
#[derive(Debug)]
struct Paced {
    pacer: Pacer,
    client: SharedHttpClient,
}

impl HttpClient for Paced {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let connector = self.client.http_connector(settings, components);
        SharedHttpConnector::new(PacedConnector { pacer: self.pacer.clone(), connector })
    }
}

#[derive(Debug)]
struct PacedConnector {
    pacer: Pacer,
    connector: SharedHttpConnector,
}

impl HttpConnector for PacedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (pacer, connector) = (self.pacer.clone(), self.connector.clone());
        HttpConnectorFuture::new(async move {
            pacer.pass(request.headers().get(TARGET)).await;
            let late = |late| ConnectorError::timeout(Box::new(late));
            timeout(ATTEMPT, connector.call(request)).await.map_err(late)?
        })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use futures_util::future::{join, join_all};

    use super::*;

    const PUT: Option<&str> = Some("AmazonSSM.PutParameter");
    const CREATE: Option<&str> = Some("secretsmanager.CreateSecret");

    /// When each of so many calls left, in milliseconds.
    async fn times_of(pacer: &Pacer, target: Option<&str>, calls: usize) -> Vec<u128> {
        let start = Instant::now();
        let passed = (0..calls).map(|_| async {
            pacer.pass(target).await;
            start.elapsed().as_millis()
        });
        join_all(passed).await
    }

    /// The most calls within any second.
    fn most_in_a_second(times: &[u128]) -> usize {
        times
            .iter()
            .map(|from| times.iter().filter(|at| (*from..from + 1000).contains(at)).count())
            .max()
            .unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn many_calls_take_as_long_as_the_rate_asks_and_no_longer() {
        let times = times_of(&Pacer::new(Rates::default()), PUT, 302).await;
        // 300 intervals of a third of a second and 3 %.
        let last = *times.last().unwrap();
        assert!((103_000..103_500).contains(&last), "{last}");
        // A service that holds one second's worth refuses none of them. In thousandths of a call:
        let (mut left, mut before) = (3000, 0);
        for at in times {
            left = (left + (at - before) * 3).min(3000);
            assert!(left >= 1000, "at {at}");
            (left, before) = (left - 1000, at);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_number_goes_at_once_and_after_a_quiet_second_again() {
        let pacer = Pacer::new(Rates::default());
        assert_eq!(times_of(&pacer, PUT, 2).await, [0, 0]);
        assert_eq!(times_of(&pacer, CREATE, 33).await, [0; 33]);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(times_of(&pacer, PUT, 2).await, [0, 0]);
        // However long it was quiet, no more than that.
        tokio::time::sleep(Duration::from_hours(1)).await;
        let times = times_of(&pacer, CREATE, 200).await;
        assert!(most_in_a_second(&times) <= 33 + 50, "{times:?}");
        assert_eq!(times.iter().filter(|at| **at == 0).count(), 33);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_leave_in_the_order_in_which_they_came() {
        let pacer = Pacer::new(Rates::default());
        let order = RefCell::new(Vec::new());
        join_all((0..20).map(|number| {
            let (pacer, order) = (&pacer, &order);
            async move {
                pacer.pass(PUT).await;
                order.borrow_mut().push(number);
            }
        }))
        .await;
        assert_eq!(order.into_inner(), (0..20).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_away_uses_nothing() {
        let (pacer, start) = (Pacer::new(Rates::default()), Instant::now());
        times_of(&pacer, PUT, 2).await;
        for _ in 0..100 {
            assert!(timeout(Duration::from_millis(1), pacer.pass(PUT)).await.is_err());
        }
        pacer.pass(PUT).await;
        assert!(start.elapsed() < Duration::from_millis(400), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn one_rate_does_not_hold_up_another_and_unknown_calls_do_not_wait() {
        let pacer = Pacer::new(Rates::default());
        let (puts, creations) = join(times_of(&pacer, PUT, 30), times_of(&pacer, CREATE, 60)).await;
        assert!(*puts.last().unwrap() > 9_000 && *creations.last().unwrap() < 1_000);
        assert_eq!(times_of(&pacer, None, 1000).await, [0; 1000]);
        assert_eq!(times_of(&pacer, Some("Elsewhere.Call"), 1000).await, [0; 1000]);
    }
}
