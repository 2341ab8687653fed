//! keyboot-node: keys reach the node process without touching a disk.
//!
//! Two modes run a command: `exec` fetches what is the node's own, hands it over and becomes the command;
//! `watch` stays, reads public documents only, and starts `exec` again when what the node runs with has
//! changed. The others show public facts.

pub mod accept;
pub mod clock;
pub mod config;
pub mod delivery;
pub mod error;
pub mod exec;
pub mod files;
pub mod formats;
pub mod hardening;
pub mod host;
pub mod import;
pub mod log;
pub mod reader;
pub mod runs_with;
pub mod sequencer;
pub mod source;
pub mod state;
pub mod status;
pub mod timing;
pub mod verify;
pub mod watch;
pub mod world;
