//! The double keeps AWS's documented word: each rule kept and broken once, over the real SDKs.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends that way")]

mod accounts;
mod core_stack;
mod function;
mod kms;
mod parameter_limits;
mod parameter_lists;
mod parameters;
mod rates;
mod record;
mod secret_keys;
mod secret_lists;
mod secret_policies;
mod secret_removal;
mod secret_rotation;
mod secret_tags;
mod secret_versions;
mod secrets;
mod stacks;
mod support;
mod template;
mod twists;
mod wire;
