//! What the command shows.

use console::{Term, style};

/// Announces a part of the run.
pub(crate) fn headline(text: &str) {
    say(&format!("\n{}", style(text).bold()));
}

/// Writes a line. A terminal that is gone stops nothing.
pub(crate) fn say(line: &str) {
    let _ = Term::stdout().write_line(line);
}

/// Says why a command failed: each cause on a line.
pub(crate) fn complain(error: &anyhow::Error) {
    let term = Term::stderr();
    let _ = term.write_line(&format!("{} {error}", style("error:").red().bold()));
    for cause in error.chain().skip(1) {
        let _ = term.write_line(&format!("  {cause}"));
    }
}
