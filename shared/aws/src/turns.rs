//! Waiting for those who are at work on the same node.

use std::time::Duration;

use provisioning::ProvisionError;

/// The wait before the second attempt; each next one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The last of them: half a minute in all, for which whoever died over a record holds it up, and as long
/// again for whoever comes next.
const LAST_PAUSE: Duration = Duration::from_secs(32);

/// Does work again as long as somebody else is at work on the same node, and as long as `left` tells that
/// there is time for it.
///
/// # Errors
///
/// What the last attempt ended with.
pub async fn in_turn<T>(
    left: impl Fn() -> Duration,
    work: impl AsyncFn() -> Result<T, ProvisionError>,
) -> Result<T, ProvisionError> {
    let mut pause = FIRST_PAUSE;
    loop {
        match work().await {
            // An attempt needs time as well.
            Err(ProvisionError::Busy { .. }) if pause <= LAST_PAUSE && left() > 2 * pause => {
                tokio::time::sleep(pause).await;
            }
            done => return done,
        }
        pause *= 2;
    }
}
