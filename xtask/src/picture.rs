//! `cargo xtask picture`: the picture in the README, from its text.
//!
//! `docs/architecture.d2` says what is in it and `docs/architecture.svg` is what D2 draws of that. The
//! drawing says which text it was drawn from, so that a test without D2 notices when one was changed alone.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use rig::functions::digest;
use rig::python::Venv;

use crate::terminal::{say, step};

/// What is drawn.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Change nothing: fail where the picture is not what its text draws
    #[arg(long)]
    check: bool,
}

/// What the drawing begins with, before the digest of its text and that of the rest.
const DRAWN_FROM: &str = "<!-- drawn by `cargo xtask picture` from architecture.d2, SHA-256 ";

/// Draws the picture, or looks whether it is as it would be drawn.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let venv = step("Python environment with D2", Venv::drawing)?;
    let (source, picture) = (source(), picture());
    let drawn = step("picture", || drawn(&venv, &source))?;
    if options.check {
        let kept =
            std::fs::read_to_string(&picture).with_context(|| format!("reading {}", picture.display()))?;
        ensure!(kept == drawn, "{} is not what its text draws: run `cargo xtask picture`", picture.display());
        say("the picture is what its text draws");
        return Ok(());
    }
    std::fs::write(&picture, drawn).with_context(|| format!("writing {}", picture.display()))?;
    say(&format!("{}", picture.display()));
    Ok(())
}

fn source() -> PathBuf {
    rig::repository().join("docs/architecture.d2")
}

fn picture() -> PathBuf {
    rig::repository().join("docs/architecture.svg")
}

/// What D2 draws, behind a note of what it was drawn from. Layout and colours are in the text.
fn drawn(venv: &Venv, source: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(source).with_context(|| format!("reading {}", source.display()))?;
    let mut d2 = Command::new(venv.program("d2"));
    // Without variables of whoever draws: D2 takes themes and layouts from some.
    d2.env_clear().arg("--no-xml-tag").args([source, Path::new("-")]);
    let output = d2.stdin(Stdio::null()).output().context("starting d2")?;
    if !output.status.success() {
        bail!("d2 cannot draw {}:\n{}", source.display(), String::from_utf8_lossy(&output.stderr));
    }
    let drawing = String::from_utf8(output.stdout).context("what d2 draws is not UTF-8")?;
    Ok(format!("{}\n{}\n", note(&text, drawing.trim_end()), drawing.trim_end()))
}

fn note(text: &str, drawing: &str) -> String {
    format!("{DRAWN_FROM}{}, itself {} -->", digest(text.as_bytes()), digest(drawing.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without D2, which is installed when it is asked for: `cargo xtask picture --check` draws it again.
    #[test]
    fn the_picture_was_drawn_from_its_text_and_not_changed_since() {
        let text = std::fs::read_to_string(source()).unwrap();
        let picture = std::fs::read_to_string(picture()).unwrap();
        let (first, drawing) = picture.split_once('\n').unwrap();
        assert_eq!(first, note(&text, drawing.trim_end()), "run `cargo xtask picture`");
        assert!(drawing.starts_with("<svg") && drawing.ends_with("</svg>\n"));
    }

    /// GitHub shows a picture of a README as an image: no script runs in it and nothing is fetched, so what
    /// it needs has to be in it.
    #[test]
    fn the_picture_needs_nothing_from_elsewhere_and_has_colours_for_dark_backgrounds() {
        let picture = std::fs::read_to_string(picture()).unwrap();
        for part in ["<script", "href=\"http", "url(http", "@import"] {
            assert!(!picture.contains(part), "{part}");
        }
        assert!(
            picture.contains("prefers-color-scheme:dark") || picture.contains("prefers-color-scheme: dark")
        );
        assert!(picture.contains("@font-face"));
    }
}
