//! PostgreSQL behind the ports of `database`: the only crate that names a PostgreSQL client.
//!
//! Every connection is over TLS, and the server's certificate and its name in it are verified before
//! anything else is said: what `sslmode=verify-full` does elsewhere. Which authorities are trusted is said
//! by a file beside the program; no variable and no file of the system adds one. A connection is ended,
//! and the server told so, before what it was for is over: a function may be frozen at any moment after
//! that, and a server that had not been told would hold its locks until it noticed.

mod connection;
mod roots;
mod server;

pub use roots::{NoRoots, Roots};
pub use server::{MasterConnection, Postgres};
