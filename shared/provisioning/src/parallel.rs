//! Independent calls side by side, a bounded number at a time.
//!
//! After the first failure nothing new is started, but what is under way is waited for: a call
//! that was dropped could still take effect after the failure has been answered, and the clean-up
//! that follows would miss it.

use std::future::Future;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

/// How many calls are under way at once. Well below every documented rate of the services for
/// calls of some tens of milliseconds, and enough for a cluster of common size to go in one wave.
pub(crate) const AT_ONCE: usize = 24;

/// Runs `work` on every item, and gives the results in the order of the items.
pub(crate) async fn each<I, T, E, F, Fut>(items: I, work: F) -> Result<Vec<T>, E>
where
    I: IntoIterator,
    F: Fn(I::Item) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    at_most(AT_ONCE, items, work).await
}

/// The same with another bound.
pub(crate) async fn at_most<I, T, E, F, Fut>(bound: usize, items: I, work: F) -> Result<Vec<T>, E>
where
    I: IntoIterator,
    F: Fn(I::Item) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let mut waiting = items.into_iter().enumerate();
    let mut running = FuturesUnordered::new();
    let mut done = Vec::new();
    let mut failed = None;
    let start = |(position, item)| {
        let work = work(item);
        async move { (position, work.await) }
    };
    running.extend(waiting.by_ref().take(bound).map(start));
    while let Some((position, result)) = running.next().await {
        match result {
            Ok(value) => done.push((position, value)),
            Err(error) => failed = failed.or(Some(error)),
        }
        if failed.is_none() {
            running.extend(waiting.next().map(start));
        }
    }
    if let Some(error) = failed {
        return Err(error);
    }
    done.sort_unstable_by_key(|(position, _)| *position);
    Ok(done.into_iter().map(|(_, value)| value).collect())
}

/// Runs both to their end, whatever the other one does, and gives the first failure.
pub(crate) async fn both<A, B, E>(
    a: impl Future<Output = Result<A, E>>,
    b: impl Future<Output = Result<B, E>>,
) -> Result<(A, B), E> {
    let (a, b) = futures_util::future::join(a, b).await;
    Ok((a?, b?))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn results_come_in_order_and_no_more_than_the_bound_run_at_once() {
        let (now, most) = (Cell::new(0), Cell::new(0));
        let results = each(0..100_u32, |n| {
            let (now, most) = (&now, &most);
            async move {
                now.set(now.get() + 1);
                most.set(most.get().max(now.get()));
                tokio::task::yield_now().await;
                now.set(now.get() - 1);
                Ok::<_, ()>(n)
            }
        })
        .await;
        assert_eq!(results.unwrap(), (0..100).collect::<Vec<_>>());
        assert_eq!(most.get(), AT_ONCE);
    }

    #[tokio::test]
    async fn what_is_under_way_is_finished_after_a_failure_and_nothing_is_started() {
        let (started, finished) = (Cell::new(0), Cell::new(0));
        let result = each(0..100_usize, |n| {
            let (started, finished) = (&started, &finished);
            async move {
                started.set(started.get() + 1);
                if n == 0 {
                    return Err(());
                }
                tokio::task::yield_now().await;
                finished.set(finished.get() + 1);
                Ok(())
            }
        })
        .await;
        assert!(result.is_err());
        assert_eq!((started.get(), finished.get()), (AT_ONCE, AT_ONCE - 1));
    }
}
