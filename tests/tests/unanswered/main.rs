//! A node-keys that dies is answered for: seen from outside, by CloudFormation; and what `unanswered`
//! makes of each record that it is handed.

mod by_hand;
mod deaths;
mod dying_stack;
mod identity;
mod records;
mod template;
