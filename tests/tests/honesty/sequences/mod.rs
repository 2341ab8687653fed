//! The sequences: every rule that the contract double claims to keep, asked from outside.
//!
//! Where a page says that a call fails but not how, all the codes that the page would bear are
//! allowed. AWS answers a broken length or pattern with `ValidationException`, which is listed under
//! Common Errors of each API Reference and not with the operations.

mod data_keys;
mod encryption;
mod key_states;
mod listing_parameters;
mod listing_secrets;
mod parameter_labels;
mod parameter_policies;
mod parameter_tags;
mod parameters;
mod reading_parameters;
mod reading_secrets;
mod secret_deletion;
mod secret_encryption;
mod secret_limits;
mod secret_policies;
mod secret_tags;
mod secret_versions;
mod secrets;
mod signing;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::sequence::Sequence;

/// Version ids, which are the tokens of the calls that make them.
pub(crate) const VERSION_IDS: [&str; 4] = [FIRST, SECOND, THIRD, FOURTH];
const FIRST: &str = "11111111-1111-4111-8111-111111111111";
const SECOND: &str = "22222222-2222-4222-8222-222222222222";
const THIRD: &str = "33333333-3333-4333-8333-333333333333";
const FOURTH: &str = "44444444-4444-4444-8444-444444444444";

/// A broken length, pattern or enumeration.
const MALFORMED: &[&str] = &["ValidationException"];

pub(crate) fn all() -> Vec<Sequence> {
    [
        // What lists whatever is there comes first: some services cannot list what later calls make.
        listing_secrets::all(),
        listing_parameters::all(),
        parameter_policies::all(),
        secrets::all(),
        secret_limits::all(),
        secret_versions::all(),
        reading_secrets::all(),
        secret_deletion::all(),
        secret_tags::all(),
        secret_policies::all(),
        secret_encryption::all(),
        parameters::all(),
        reading_parameters::all(),
        parameter_labels::all(),
        parameter_tags::all(),
        encryption::all(),
        data_keys::all(),
        signing::all(),
        key_states::all(),
    ]
    .concat()
}

/// A text of a length.
fn text(length: usize) -> String {
    "x".repeat(length)
}

/// Bytes of a length, in Base64.
fn bytes(length: usize) -> String {
    STANDARD.encode(vec![7; length])
}

/// Tags, each with a key of its own.
fn tags(count: usize) -> Value {
    (0..count).map(|index| json!({ "Key": format!("key-{index}"), "Value": "" })).collect()
}

/// One tag.
fn tag(key: &str, value: &str) -> Value {
    json!([{ "Key": key, "Value": value }])
}

#[test]
fn no_name_is_given_twice() {
    use std::collections::BTreeSet;

    use crate::sequence::Step;

    let mut names = BTreeSet::new();
    for sequence in all() {
        for step in &sequence.steps {
            if let Step::Call(call) = step {
                assert!(names.insert((sequence.name, call.name)), "{}, {}", sequence.name, call.name);
            }
        }
    }
}
