//! `keyboot-node`: see the library.

fn main() {}
