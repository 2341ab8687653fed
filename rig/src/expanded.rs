//! The KMS Stack's template without transforms, for certain nodes and archives of code.

use policies::template::{Expansion, Template};

/// What the template says of a function's code that has not been built yet.
#[must_use]
pub fn code_uri(function: &str) -> String {
    format!("target/functions/{function}/bootstrap.zip")
}

/// Expands a template for these nodes. `archives` names for each function the archive with its code,
/// as it is called in the bucket, after the parameter `CodePrefix`.
///
/// # Errors
///
/// When something in it cannot be said without a transform; the message names the place.
pub fn expand<'a>(
    template: &str,
    nodes: &[&str],
    archives: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> anyhow::Result<String> {
    let expansion = Expansion::default().value("Nodes", nodes);
    let with_code =
        |expansion: Expansion, (function, key): (&str, &str)| expansion.code(&code_uri(function), key);
    let expansion = archives.into_iter().fold(expansion, with_code);
    Ok(Template::read(template)?.expand(&expansion)?)
}
