//! The Core Stack, deployed beside a KMS Stack: its instances run user data as it is, with what their profiles
//! may, and their nodes are stand-ins. They are no TSM.

mod booting;
#[path = "../nodes/calling.rs"]
mod calling;
mod deleting;
mod living;
mod optional;
mod reading;
mod stage;
