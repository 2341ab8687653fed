//! Which resource an event of `Custom::NodeKeys` is about.
//!
//! Two functions answer such events: node-keys, and `unanswered` for a node-keys that died. Were
//! their ids to differ, CloudFormation would take the second answer for another resource. So the
//! rule is written here, once, and not in the environment of either, where it could be changed
//! without a change of code. The protocol knows no resource by name, and `unanswered` is not to
//! carry what makes keys: hence a crate of its own.

use custom_resource::IdentityScheme;

/// The rule: `keyboot/<namespace>/<cluster>/<16 hex digits>`.
///
/// It is written down in every owner tag. Another rule would make strangers of all secrets that
/// there are.
#[must_use]
pub fn scheme() -> IdentityScheme {
    IdentityScheme::new("keyboot").property("Namespace", Some("keyboot")).property("Cluster", None)
}
