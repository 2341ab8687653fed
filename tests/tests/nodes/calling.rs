//! A client that calls a cluster without pause, and waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use stand_in::{Client, NoQuorum};
use tokio::task::JoinHandle;

/// How many nodes have to agree.
pub(crate) const THRESHOLD: usize = 2;

/// Calls without pause, in the background, until it is asked what came of it.
pub(crate) struct Calling {
    stop: Arc<AtomicBool>,
    task: JoinHandle<(usize, Vec<NoQuorum>)>,
}

impl Calling {
    pub(crate) fn start<K: stand_in::ApiKeys + Send + Sync + 'static>(client: Client<K>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let is_over = stop.clone();
        let task = tokio::spawn(async move {
            let (mut calls, mut failed) = (0, Vec::new());
            while !is_over.load(Ordering::Relaxed) {
                calls += 1;
                failed.extend(client.quorum_call(THRESHOLD).await.err());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            (calls, failed)
        });
        Self { stop, task }
    }

    /// Ends the calls: none of them failed.
    pub(crate) async fn end(self) -> Result<usize> {
        self.stop.store(true, Ordering::Relaxed);
        let (calls, failed) = self.task.await?;
        ensure!(failed.is_empty(), "{} of {calls} calls failed, the first: {:?}", failed.len(), failed[0]);
        ensure!(calls > 10, "{calls} calls say nothing");
        Ok(calls)
    }
}

/// Waits until something holds.
pub(crate) async fn until(
    what: &str,
    seconds: u64,
    mut holds: impl AsyncFnMut() -> Result<bool>,
) -> Result<()> {
    let waited = async {
        while !holds().await? {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok::<_, anyhow::Error>(())
    };
    let waited = tokio::time::timeout(Duration::from_secs(seconds), waited).await;
    waited.with_context(|| format!("not within {seconds} s: {what}"))?
}
