//! User data that is not what was meant: nothing of it is installed.

use anyhow::{Result, ensure};

use crate::calling::until;
use crate::stage::Stage;

/// What of an archive, and for it, is on a node's disk.
const INSTALLED: [&str; 6] = [
    "usr/local/bin/keyboot-node",
    "usr/local/bin/tsm-node",
    "etc/keyboot/tsm.toml",
    "etc/keyboot/rds-roots.pem",
    "etc/nftables/keyboot-node.nft",
    "etc/systemd/system/keyboot-node@.service",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_with_another_checksum_is_not_installed() -> Result<()> {
    let other = "0".repeat(64);
    let mut stage = Stage::set(2, &[]).await?;
    let right = stage.deployment.clone();
    stage.core = right.clone().with("NodeArchiveSha256", &other).update().await?;
    // The group's next instance is launched with it.
    stage.instances.follow().await?;
    stage.instances.terminate(0)?;
    stage.instances.follow().await?;
    let instance = stage.instances.instance(0)?;
    ensure!(!instance.booted().await?, "user data ended well:\n{}", instance.console());
    ensure!(instance.console().contains("not the one that the stack names"), "{}", instance.console());
    for place in INSTALLED {
        ensure!(!instance.disk().join(place).exists(), "{place} is there");
    }
    ensure!(stage.instances.status(0).is_err(), "a node runs");

    // With the right one the next instance is a node.
    stage.core = right.update().await?;
    stage.instances.terminate(0)?;
    stage.instances.follow().await?;
    stage.instances.wait_until_up(0)?;
    until("user data ended", 10, async || Ok(stage.instances.instance(0)?.has_booted() == Some(true)))
        .await?;
    for place in INSTALLED {
        ensure!(stage.instances.instance(0)?.disk().join(place).exists(), "{place} is not there");
    }
    Ok(())
}
