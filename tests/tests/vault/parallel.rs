//! Many cases side by side.

use std::future::Future;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Cases under way at once: each waits for its processes a part of the time.
const AT_ONCE: usize = 6;
/// Runs every case, and gives all that failed, each with its name.
pub(crate) async fn every<C, F, Fut>(cases: impl IntoIterator<Item = (String, C)>, run: F) -> Result<()>
where
    C: Send + 'static,
    F: Fn(C) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<()>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for (name, case) in cases {
        let (places, run) = (Arc::clone(&places), run.clone());
        running.spawn(async move {
            let _place = places.acquire_owned().await;
            run(case).await.with_context(|| name)
        });
    }
    anyhow::ensure!(!running.is_empty(), "there is no case");
    let mut faults = Vec::new();
    let mut total = 0;
    while let Some(ended) = running.join_next().await {
        total += 1;
        if let Err(fault) = ended.context("a case panicked").and_then(|result| result) {
            faults.push(format!("{fault:#}"));
        }
    }
    faults.sort();
    let shown = faults.iter().take(12).map(String::as_str).collect::<Vec<_>>().join("\n");
    anyhow::ensure!(faults.is_empty(), "{} of {total} cases failed:\n{shown}", faults.len());
    Ok(())
}
