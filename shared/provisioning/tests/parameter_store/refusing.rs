//! What is not offered for secrets in Parameter Store, refused by property before any call.

use provisioning::properties::{ClusterSpec, PropertyFault};
use serde_json::json;

use crate::fixtures::Declared;

fn refused(declared: &Declared) -> PropertyFault {
    ClusterSpec::parse(&declared.0).expect_err("it was to be refused")
}

#[test]
fn readers_of_another_account_are_refused() {
    let other = "arn:aws:iam::444455556666:role/node";
    for (name, value) in [
        ("ReaderPrincipals", json!({"0": [other]})),
        ("ClientPrincipals", json!({"default": [other]})),
        ("ManagementPrincipals", json!([other])),
    ] {
        assert_eq!(refused(&Declared::nodes(&[0]).with(name, value)).property, name);
    }
}

/// Its versions have no labels that could be moved with the value: a new key would be what every
/// client reads before the record accepts it.
#[test]
fn regeneration_is_refused() {
    assert_eq!(refused(&Declared::nodes(&[0]).with("Regenerate", "2026-01")).property, "Regenerate");
}
