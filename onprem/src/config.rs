//! What keyboot-onprem is told of its surroundings: a TOML file. What there has to be is told elsewhere, in a
//! declaration.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::OnpremError;

/// What keyboot-onprem is told of its surroundings.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// The server, and how to log in to it.
    pub vault: vault::Settings,
    /// The file that the audit log is appended to, a JSON line for each event; standard error where there is
    /// none.
    #[serde(default)]
    pub audit_log: Option<PathBuf>,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`OnpremError::Config`], with what is wrong and where, and never with a value.
    pub fn read(path: &Path) -> Result<Self, OnpremError> {
        let fault = |fault: String| OnpremError::Config(format!("{}: {fault}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
        Self::parse(&text).map_err(fault)
    }

    /// Reads a text.
    ///
    /// # Errors
    ///
    /// What is wrong, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        // A message of the parser may show the line that is wrong, and so a value.
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| no_toml(text, &error))?;
        serde_path_to_error::deserialize(toml::Value::Table(table)).map_err(|error| {
            let path = error.path().to_string();
            without_values(&path, error.inner().message())
        })
    }
}

/// Where a text is no TOML, by line; the parser's own words have no value in them, its display would.
pub(crate) fn no_toml(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().map(|span| text[..span.start.min(text.len())].lines().count().max(1));
    let at = line.map(|line| format!(" in line {line}")).unwrap_or_default();
    format!("it is no TOML{at}: {}", without_quoted(error.message()))
}

/// What serde says of a field, with what it quotes left out: that may be a value in the wrong place.
fn without_values(path: &str, message: &str) -> String {
    let at = if path == "." { String::new() } else { format!("`{path}` is wrong: ") };
    let is_about_names = message.starts_with("unknown field") || message.starts_with("missing field");
    let message = if is_about_names { message.to_owned() } else { without_quoted(message) };
    format!("{at}{message}")
}

/// A message without what stands in it between quotation marks, and without numbers.
fn without_quoted(message: &str) -> String {
    let mut text = String::new();
    let mut parts = message.split('"');
    if let Some(first) = parts.next() {
        text.push_str(first);
    }
    for (position, part) in parts.enumerate() {
        if position % 2 == 0 {
            text.push('…');
        } else {
            text.push_str(part);
        }
    }
    text.replace('\n', " ")
}
