//! Who may log in to a node's database: which login, which password, in which order.
//!
//! A node's key shares are in a PostgreSQL database of its own. It logs in as `node_a` or as `node_b`,
//! in turn: a rotation gives a new password to the one that is not in use and makes it current, and the
//! one that was in use works until the next rotation. Both are members of the role `node`, which owns the
//! schema and can log in nowhere, and both act as it, so that what one made is the other's as well.
//!
//! | module | what |
//! |---|---|
//! | [`Login`], [`Password`], [`Verifier`], [`Place`], [`LoginSecret`] | what a login is, and how it is stored |
//! | [`statements`] | the SQL that makes it so, as text |
//! | [`ports`] | what Secrets Manager and PostgreSQL are asked for |
//! | [`ensure`] | for a stack: there is a login that works |
//! | [`Rotation`] | for a rotation: the four steps |
//!
//! # The rules
//!
//! - A password is stored before the server knows it. So whoever dies between the two leaves a stored
//!   password that the server can be told, and never a server whose password nobody has.
//! - The server is told a verifier and no password, so that none is in its statement log.
//! - A login that works is left alone.
//! - What could not be read is never taken for absent.
//!
//! # What it never does
//!
//! It opens no connection and reads no environment variable. No value of an event reaches SQL: names are
//! constants, and what a verifier is made of needs no quoting.

mod ensuring;
mod login;
mod login_secret;
mod password;
mod place;
pub mod ports;
mod rotating;
pub mod statements;

pub use ensuring::{EnsureError, Ensured, ensure};
pub use login::{Login, OWNER, SCHEMA};
pub use login_secret::{LoginSecret, MasterSecret, NoSecret};
pub use password::{NoRandomness, Password, Verifier};
pub use place::{NoPlace, Part, Place};
pub use rotating::{Rotation, RotationError};
