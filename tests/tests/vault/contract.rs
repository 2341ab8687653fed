//! What keyboot promises of keys, told to the program and asked of the server: the same as in AWS.

mod adopting;
mod changing;
mod making;
mod renewing;
pub(crate) mod rules;
