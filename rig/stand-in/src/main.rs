//! Stands in for a node.
fn main() {}
