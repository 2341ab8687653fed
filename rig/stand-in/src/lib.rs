//! Stands in for a node of a threshold-signing cluster, in tests and demonstrations.
//!
//! **It is no TSM.** It signs nothing and keeps no key shares: what it writes to a database is a mark
//! that stands for them. What it does is use the secrets that a node is started with, each for what it is for, so that a test can see from
//! outside whether they are the right ones:
//!
//! | secret | used for |
//! |---|---|
//! | P2P private key | mutual TLS with the other nodes, which know its public half and nothing else |
//! | hashes of API keys | each request to the SDK and management ports, or 401 |
//! | password of the key shares | the mark in its database, which takes it to make; it stays in memory as in any node |
//! | login at its database | a connection to `PostgreSQL`, verified as `sslmode=verify-full` says, for as long as it runs |
//!
//! [`run`] is a node: it reads a `config.toml` as a Builder Vault TSM node does ([`Config`]), with
//! references to environment variables where the secrets are. [`Client`] is who uses it: it calls one
//! node, or as many as a threshold asks for. [`stranger`] and [`misled`] are those who must not get in.
//!
//! Everything listens on loopback and dials nothing else: on 127.0.0.1, or on the address in the variable
//! `STAND_IN_ADDRESS`, so that several nodes of one machine can have the same ports. Log lines go to standard error and hold
//! public facts only.

mod address;
mod answers;
mod client;
mod config;
mod data_source;
mod database;
mod environment;
mod http;
mod listening;
mod mpc;
mod node;
mod pressure;
mod tls;

pub use address::PeerAddress;
pub use answers::{Called, DatabaseStatus, Row, Status};
pub use client::{ApiKeys, CallFault, Client, NoQuorum, Quorum};
pub use config::{ApplicationKey, Config, ConfigError, ManagementKey, Peer, Ports};
pub use data_source::DataSource;
pub use environment::{ReferenceFault, Variables};
pub use mpc::{PeerFault, misled, stranger};
pub use node::{ADDRESS, NodeError, run};
pub use pressure::press;
