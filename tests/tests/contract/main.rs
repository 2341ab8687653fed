//! The rules that never break, tried on the real function and the contract double: a death and a
//! fault at every call, deliveries that meet, and what the record of calls proves.

mod adopting;
mod cloudformation;
mod core_table;
mod crash;
mod faults;
mod kms_keys;
mod meeting;
mod parallel;
mod proofs;
mod rotating;
mod rules;
mod stage;
mod stories;
mod table;
