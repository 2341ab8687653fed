//! Variables that a file sets for a program: of a shell, of systemd (`Environment=`) or of Compose.

use super::Seen;
use super::content::is_token_value;
use crate::doctor::finding::{Fault, Report};
use crate::doctor::settings::{From, Values, look_at_senders};

/// The variables that hold a token of a server's.
const TOKENS: [&str; 2] = ["VAULT_TOKEN", "BAO_TOKEN"];

pub(super) fn look(file: &Seen<'_>, report: &mut Report) {
    if !is_of_variables(file) {
        return;
    }
    let mut values = Values::default();
    let mut has_token = false;
    for line in file.text.lines() {
        for (name, value) in assignments(line) {
            has_token |= TOKENS.contains(&name) && is_token_value(value);
            values.set(name, value);
        }
    }
    if has_token {
        file.exposes(Fault::TokenExposed, "a token of a Vault server as a variable", report);
    }
    // The rest of them may be in the file that a unit names, or in the unit that names this one.
    let is_part = file.text.contains("EnvironmentFile=") || file.is_one_of(&["env"]);
    let from = if is_part { From::Part } else { From::File };
    look_at_senders(&values, from, &file.place(), report);
}

/// Whether it is a file that sets variables, by its name: others speak of some.
fn is_of_variables(file: &Seen<'_>) -> bool {
    file.name().starts_with(".env")
        || file.path.extension().is_none()
        || file.is_one_of(&["conf", "env", "service", "sh"])
}

/// What a line sets, without quotation marks.
fn assignments(line: &str) -> Vec<(&str, &str)> {
    let line = line.trim();
    let assignments = match line.strip_prefix("Environment=") {
        Some(list) => words(list),
        None => vec![line.strip_prefix("export ").unwrap_or(line)],
    };
    assignments.into_iter().filter_map(assignment).collect()
}

fn assignment(text: &str) -> Option<(&str, &str)> {
    let (name, value) = unquoted(text.trim()).split_once('=')?;
    let is_name = name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    is_name.then(|| (name, unquoted(value.trim())))
}

fn unquoted(text: &str) -> &str {
    let inner = ['"', '\''].iter().find_map(|mark| text.strip_prefix(*mark)?.strip_suffix(*mark));
    inner.unwrap_or(text)
}

/// The words of a list, each in quotation marks or without a space (systemd.exec(5), `Environment=`).
fn words(list: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = list.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '"' | '\'' => rest[1..].find(first).map(|end| end + 2),
            _ => rest.find(char::is_whitespace),
        };
        let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
        words.push(word);
        rest = after.trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_all_three_are_read() {
        assert_eq!(assignments("A_B=c d"), [("A_B", "c d")]);
        assert_eq!(assignments("  export A1=\"c\""), [("A1", "c")]);
        assert_eq!(assignments("Environment=A=b 'C=d e' \"F=g\""), [("A", "b"), ("C", "d e"), ("F", "g")]);
        assert_eq!(assignments("# A=b"), []);
        assert_eq!(assignments("a=b"), []);
        assert_eq!(assignments("A"), []);
        assert_eq!(words("'a"), ["'a"]);
    }
}
