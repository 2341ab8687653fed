//! Waiting for a parameter that somebody else is writing.

use std::time::Duration;

use aws_sdk_kms::error::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::failure::code;

/// The answer while another write of the same parameter is under way; the SDK does not retry it.
pub(crate) const BUSY: &str = "TooManyUpdates";
/// Writes of a busy parameter.
const TRIES: u32 = 6;
/// The wait before the second write; each next one is twice as long, 3 seconds in all.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Sends a write until the parameter is free for it, and gives the last answer.
pub(crate) async fn while_busy<T, E, R, Fut>(send: impl Fn() -> Fut) -> Result<T, SdkError<E, R>>
where
    E: ProvideErrorMetadata,
    Fut: Future<Output = Result<T, SdkError<E, R>>>,
{
    let mut pause = FIRST_PAUSE;
    for _ in 1..TRIES {
        match send().await {
            Err(error) if code(&error) == Some(BUSY) => tokio::time::sleep(pause).await,
            other => return other,
        }
        pause *= 2;
    }
    send().await
}
