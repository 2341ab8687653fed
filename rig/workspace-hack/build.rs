//! Nothing: it is there for the build dependencies, which procedural macros share.

fn main() {}
