//! Stands in for a node of a threshold-signing cluster, in tests and demonstrations.
//!
//! **It is no TSM.** It signs nothing, keeps no key shares and opens no database. What it does is use
//! the secrets that a node is started with, each for what it is for, so that a test can see from
//! outside whether they are the right ones:
//!
//! | secret | used for |
//! |---|---|
//! | P2P private key | mutual TLS with the other nodes, which know its public half and nothing else |
//! | hashes of API keys | each request to the SDK and management ports, or 401 |
//! | password of the key shares | nothing: it must be there, and stays in memory as in any node |
//!
//! [`run`] is a node: it reads a `config.toml` as a Builder Vault TSM node does ([`Config`]), with
//! references to environment variables where the secrets are. [`Client`] is who uses it: it calls one
//! node, or as many as a threshold asks for. [`stranger`] and [`misled`] are those who must not get in.
//!
//! Everything listens on 127.0.0.1 and dials nothing else. Log lines go to standard error and hold
//! public facts only.

mod answers;
mod client;
mod config;
mod environment;
mod http;
mod listening;
mod mpc;
mod node;
mod pressure;
mod tls;

pub use answers::{Called, Status};
pub use client::{ApiKeys, CallFault, Client, NoQuorum, Quorum};
pub use config::{ApplicationKey, Config, ConfigError, ManagementKey, Peer, Ports};
pub use environment::{ReferenceFault, Variables};
pub use mpc::{PeerFault, misled, stranger};
pub use node::{NodeError, run};
pub use pressure::press;
