//! What is written for whoever runs keyboot-onprem: public facts only.

use std::io::Write as _;

/// Writes what was asked for to standard output; a reader that has gone away wants no more.
pub fn show(text: &str) {
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
}

/// Writes a line to standard error. What others wrote may be in it, and stays on the line.
pub fn say(line: &str) {
    let line: String = line.chars().map(|each| if each.is_control() { ' ' } else { each }).collect();
    let _ = writeln!(std::io::stderr(), "keyboot-onprem: {line}");
}
