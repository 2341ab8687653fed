//! The files for servers of one's own: Compose, systemd and the document that goes with them.
//!
//! Docker and systemd are not run here. What can be known of their files without them is looked at, and what can be
//! run is: the server takes our configuration, the certificates are such as both sides of TLS take, and a signer
//! gets its key by the program that the units start.
#![expect(clippy::unwrap_used, reason = "tests")]

mod compose;
mod document;
mod server;
mod signing;
mod tls;
mod units;
mod yaml;

use std::process::Command;

/// A file of the repository.
fn read(path: &str) -> String {
    std::fs::read_to_string(rig::repository().join(path)).unwrap()
}

/// The blocks of a document behind a marker, `<!-- marker -->`, or in a language.
fn blocks(text: &str, marker: Option<&str>, language: &str) -> Vec<String> {
    let fence = format!("```{language}");
    let mut found = Vec::new();
    let mut block: Option<(String, usize)> = None;
    let mut is_marked = false;
    for line in text.lines() {
        let indented = line.len() - line.trim_start().len();
        match &mut block {
            None if line.trim_start() == fence => {
                block = (marker.is_none() || is_marked).then(|| (String::new(), indented));
                is_marked = false;
            }
            None if marker.is_some_and(|marker| line == format!("<!-- {marker} -->")) => is_marked = true,
            None => {}
            Some(_) if line.trim_start() == "```" => found.extend(block.take().map(|(text, _)| text)),
            Some((inside, indented)) => {
                inside.push_str(line.get(*indented..).unwrap_or_default());
                inside.push('\n');
            }
        }
    }
    found
}

/// Makes the certificates of the document in a folder, by the commands that it gives.
fn certificates(folder: &std::path::Path) {
    let commands = blocks(&read("docs/onprem.md"), Some("certificates"), "bash");
    assert_eq!(commands.len(), 1);
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &commands[0]])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
