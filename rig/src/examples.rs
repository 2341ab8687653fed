//! The templates that the README gives as examples.

use anyhow::{Context as _, ensure};

/// The templates of the README's section "Examples", in order.
///
/// # Errors
///
/// When there is no such section, or no template in it.
pub fn of_the_readme() -> anyhow::Result<Vec<String>> {
    let readme = std::fs::read_to_string(crate::repository().join("README.md"))?;
    let (_, rest) = readme.split_once("\n### Examples\n").context("the README has no examples")?;
    let section = rest.split_once("\n## ").map_or(rest, |(section, _)| section);
    let blocks = section.split("\n```yaml\n").skip(1);
    let examples: Vec<String> = blocks
        .map(|block| Some(block.split_once("\n```")?.0.to_owned() + "\n"))
        .collect::<Option<_>>()
        .context("an example without an end")?;
    ensure!(!examples.is_empty(), "no example is a template");
    Ok(examples)
}
