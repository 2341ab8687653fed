//! What every token may do with itself: without the server's default policy nothing goes without saying.

use super::policy::Capability::{Read, Update};
use super::policy::Rule;

/// Look at itself, live on within its limits, and end.
pub(super) fn token() -> Vec<Rule> {
    let mut rules =
        vec![Rule::at("auth/token/lookup-self", &[Read]).because(
            "The token looks at itself, lives on within its limits, and ends when its work is done.",
        )];
    rules.extend(lasting());
    rules
}

/// Live on within its limits, and end.
pub(super) fn lasting() -> [Rule; 2] {
    [Rule::at("auth/token/renew-self", &[Update]), Rule::at("auth/token/revoke-self", &[Update])]
}
