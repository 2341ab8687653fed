//! Lines for whoever reads the journal: public facts only.

use std::io::Write as _;

/// Writes a line to standard error.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "keyboot-node: {line}");
}
