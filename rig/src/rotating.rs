//! Secrets that are rotated now, by Secrets Manager's own word.

use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::cloud::Cloud;

/// How long a rotation may take in all, its retries included.
const TIME: Duration = Duration::from_mins(2);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Has Secrets Manager rotate a secret, and gives the id of the version to come. It refuses as long as it
/// tries out that the secret can be rotated.
///
/// # Errors
///
/// When it does not begin.
pub async fn begin(cloud: &Cloud, secret: &str) -> anyhow::Result<String> {
    let begun = async {
        loop {
            match cloud.secrets().rotate_secret().secret_id(secret).send().await {
                Ok(begun) => return begun.version_id.context("a rotation without a version"),
                Err(error) => {
                    let error = error.into_service_error();
                    if !error.is_invalid_request_exception() {
                        return Err(error).with_context(|| format!("rotating {secret}"));
                    }
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(TIME, begun).await.with_context(|| format!("no rotation of {secret} begins"))?
}

/// Whether a rotation has come to its end: its version is handed out, and Secrets Manager says when.
///
/// # Errors
///
/// When the secret cannot be described.
pub async fn is_over(cloud: &Cloud, secret: &str, version: &str) -> anyhow::Result<bool> {
    let described = cloud.secrets().describe_secret().secret_id(secret).send().await;
    let described = described.with_context(|| format!("describing {secret}"))?;
    let labels = described.version_ids_to_stages.unwrap_or_default();
    let has =
        |label: &str| labels.get(version).is_some_and(|labels| labels.iter().any(|known| known == label));
    Ok(has("AWSCURRENT") && !has("AWSPENDING") && described.last_rotated_date.is_some())
}

/// Waits for the end of a rotation; `look` is called meanwhile.
///
/// # Errors
///
/// When it does not end, or `look` fails.
pub async fn wait(
    cloud: &Cloud,
    rotations: &[(&str, &str)],
    mut look: impl AsyncFnMut() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let began = tokio::time::Instant::now();
    loop {
        look().await?;
        let mut left = Vec::new();
        for (secret, version) in rotations {
            if !is_over(cloud, secret, version).await? {
                left.push(*secret);
            }
        }
        if left.is_empty() {
            return look().await;
        }
        if began.elapsed() > TIME {
            bail!("not rotated in {} s: {}", TIME.as_secs(), left.join(", "));
        }
        tokio::time::sleep(PAUSE).await;
    }
}
