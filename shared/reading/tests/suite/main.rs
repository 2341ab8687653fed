//! What a reader believes, against a world in memory in which everything can be changed by somebody else.

mod secrets;
mod views;
mod world;
