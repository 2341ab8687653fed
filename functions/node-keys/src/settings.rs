//! What the function is told by its environment: the one place where it is read.

use aws::{AwsWorld, Settings};
use provisioning::authority::PinnedStacks;

/// Reads the environment; what is wrong with it is told without its values. Opens no connection.
pub(crate) fn read() -> Result<(AwsWorld, PinnedStacks), String> {
    #[cfg(not(feature = "local"))]
    surroundings::refuse_tampered_environment(std::env::vars_os()).map_err(|fault| fault.to_string())?;
    let (settings, pinned) = Settings::read(variable).map_err(|fault| fault.to_string())?;
    Ok((AwsWorld::new(settings), pinned))
}

#[expect(clippy::disallowed_methods, reason = "this is where configuration is read")]
fn variable(name: &'static str) -> Option<String> {
    std::env::var(name).ok()
}
