//! The rules of IAM, each in a table of cases that cites the page it is from, and the policies of
//! this repository's own templates.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends that way")]

mod accounts;
mod asking;
mod conditions;
mod event_patterns;
mod expanding;
mod functions;
mod guardrails;
mod refusals;
mod statements;
mod the_core;
mod the_template;
mod variables;
