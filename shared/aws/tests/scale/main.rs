//! A thousand nodes at the rates that AWS documents, on the real adapters and the real SDK.

mod stage;

use std::collections::BTreeMap;
use std::time::Duration;

use provisioning::{ProvisionError, TimeBudget};
use tokio::time::Instant;

use stage::{Stage, done};

/// What the double's pages say, calls a second.
const RATES: [(&str, u32); 6] = [
    ("PutParameter", 3),
    ("GetParameters", 40),
    ("CreateSecret", 50),
    ("DescribeSecret", 40_000),
    ("Sign", 1000),
    ("Encrypt", 100_000),
];

#[tokio::test(start_paused = true)]
async fn a_create_of_1000_nodes_takes_little_longer_than_the_rates_ask() {
    let stage = Stage::new().await;
    let start = Instant::now();
    let outcome = stage.create(1000, TimeBudget::unlimited()).await.unwrap();
    let took = start.elapsed();
    assert_eq!(outcome.nodes.len(), 1000);
    let calls = stage.double.calls();
    // One kind of call after the other: a private half is stored before its public half is published.
    let ask = RATES.iter().map(|(name, rate)| {
        let made = u32::try_from(calls.iter().filter(|call| call.operation == *name).count()).unwrap();
        Duration::from_secs(1) * made / *rate
    });
    let ask: Duration = ask.sum();
    assert!(took <= ask * 11 / 10, "{took:?}, and the rates ask for {ask:?}");
    let throttled = calls.iter().filter(|call| call.error_code() == Some("ThrottlingException")).count();
    assert!(throttled * 100 < calls.len(), "{throttled} of {} calls", calls.len());
    assert_eq!(done(&calls, "CreateSecret").len(), 4000);
    assert_eq!(done(&calls, "PutParameter").len(), 2000 + 16 + 2);
    let listed: Vec<_> = stage.roster().await.iter().map(|entry| entry.index.get()).collect();
    assert_eq!(listed, (0..1000).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_create_that_the_time_cut_twice_is_finished_by_the_third_run_and_repeats_nothing() {
    const NODES: u32 = 300;
    let stage = Stage::new().await;
    let mut runs = 0;
    loop {
        runs += 1;
        let end = Instant::now() + Duration::from_secs(100);
        let time = TimeBudget::of(move || end.saturating_duration_since(Instant::now()));
        let ended = stage.create(NODES, time).await;
        assert!(Instant::now() < end, "run {runs} overran its time");
        match ended {
            Ok(_) => break,
            Err(ProvisionError::OutOfTime) => tokio::time::sleep(Duration::from_mins(1)).await,
            Err(error) => panic!("run {runs}: {error}"),
        }
    }
    assert_eq!(runs, 3);
    assert_eq!(stage.roster().await.len(), 300);
    let calls = stage.double.calls();
    assert_eq!(done(&calls, "CreateSecret").len(), 1200);
    assert_eq!(calls.iter().filter(|call| call.operation == "CreateSecret").count(), 1200);
    let mut puts: BTreeMap<&str, usize> = BTreeMap::new();
    for call in done(&calls, "PutParameter") {
        *puts.entry(&call.subject).or_default() += 1;
    }
    let again: Vec<_> = puts.iter().filter(|(_, times)| **times > 1).collect();
    // The note, at the beginning of each run.
    assert!(again.iter().all(|(name, times)| name.contains("/intent/") && **times <= 3), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_fit_into_all_runs_is_refused_before_the_first_write() {
    let stage = Stage::new().await;
    let refused = stage.create(1000, TimeBudget::of(|| Duration::from_secs(100))).await.unwrap_err();
    let ProvisionError::TakesTooLong { nodes, takes, .. } = refused else { panic!("{refused}") };
    assert!((330..345).contains(&nodes) && (770..785).contains(&takes.as_secs()), "{nodes}, {takes:?}");
    let calls = stage.double.calls();
    for call in ["PutParameter", "CreateSecret", "Encrypt", "Sign"] {
        assert!(calls.iter().all(|made| made.operation != call), "{call}");
    }
}
