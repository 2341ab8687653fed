//! What the commands show: steps with a spinner, lines, complaints.

use std::time::{Duration, Instant};

use console::{Term, style};
use indicatif::{ProgressBar, ProgressStyle};

/// Runs a step under a spinner, and says how long it took.
pub(crate) fn step<T>(what: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let started = Instant::now();
    let spinner = ProgressBar::new_spinner();
    if let Ok(look) = ProgressStyle::with_template("{spinner:.cyan} {msg} {elapsed:.dim}") {
        spinner.set_style(look);
    }
    spinner.set_message(what.to_owned());
    spinner.enable_steady_tick(Duration::from_millis(120));
    let result = work();
    spinner.finish_and_clear();
    let took = style(format!("({:.1} s)", started.elapsed().as_secs_f32())).dim();
    match &result {
        Ok(_) => say(&format!("{} {what} {took}", style("✓").green())),
        Err(_) => say(&format!("{} {what} {took}", style("✗").red())),
    }
    result
}

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
