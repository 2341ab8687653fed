//! Lines for whoever reads the journal: public facts only.

use std::io::Write as _;

/// Writes a line to standard error. What others wrote may be in it, and stays on the line.
pub fn say(line: &str) {
    let line: String = line.chars().map(|each| if each.is_control() { ' ' } else { each }).collect();
    let _ = writeln!(std::io::stderr(), "keyboot-node: {line}");
}
