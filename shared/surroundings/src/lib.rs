//! How a process begins that handles secrets: what it refuses in its environment, and what it tells
//! of a panic.
//!
//! Every function of this project begins with both, whatever protocol it speaks afterwards: hence a
//! crate of its own, which depends on nothing. It reads no environment variable (it is handed them,
//! to refuse some) and writes nothing but the place of a panic.

mod environment;
mod panics;

pub use environment::{TamperedEnvironment, refuse_tampered_environment};
pub use panics::{install_silent_panic_hook, install_silent_panic_hook_into};
