//! What a user gets, seen from outside: stacks deployed through the local AWS, its IAM on, and what
//! nodes, clients, strangers and CloudFormation then find.

mod authority;
mod delivery;
mod duplicates;
mod ethereum_names;
mod events;
mod expanded;
mod half_made;
mod lifecycle;
mod permissions;
mod secure_strings;
mod snapshot;
mod strangers;
mod support;
mod tsm_configuration;
