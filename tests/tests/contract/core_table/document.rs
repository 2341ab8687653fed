//! The table as `docs/who-reads.md` has it.

use std::fmt::Write as _;

use anyhow::{Result, ensure};

use super::shapes::Where;
use super::wanted::{COLUMNS, Row, Rule, WANTED, joined};

/// The columns of the document, and the cells that each stands for, which are the same in every row.
const SHOWN: [(&str, &[usize]); 10] = [
    ("P2P key, share-encryption password", &[0, 1]),
    ("their envelopes, opened directly", &[4, 5]),
    ("API key", &[2]),
    ("management key", &[3]),
    ("environment", &[6]),
    ("record", &[7]),
    ("roster", &[8]),
    ("database login", &[9]),
    ("master login", &[10]),
    ("data under the storage key", &[11]),
];

fn places(places: &[Where]) -> String {
    let named = places.iter().map(|place| match place {
        Where::One => "one account",
        Where::Central => "central",
        Where::Keys => "central, in the keys' account",
        Where::PerAccount => "per-account",
    });
    if places.len() == 4 { "any".to_owned() } else { named.collect::<Vec<_>>().join("; ") }
}

/// What is read of one's own node and of others, in a word.
fn word(own: char, others: char) -> Result<&'static str> {
    match (own, others) {
        ('+', '+') => Ok("all"),
        ('+', '.') => Ok("own"),
        ('.', '.') => Ok("–"),
        _ => anyhow::bail!("others', and not one's own"),
    }
}

fn name(rule: &Rule) -> String {
    match rule {
        Rule::Kms(name) => format!("`{name}` (keys)"),
        Rule::Core(name) => format!("`{name}`"),
    }
}

/// What shows it: what, and the rules that tell it.
fn shown(row: &Row) -> String {
    let part = |(what, rules): &(&str, &[Rule])| {
        format!("{what}: {}", rules.iter().map(name).collect::<Vec<_>>().join(", "))
    };
    row.shown.iter().map(part).collect::<Vec<_>>().join("; ")
}

/// The whole table in Markdown. Those who read the same, and are stopped and shown by the same, have one row.
fn table() -> Result<String> {
    let mut table = String::from("| Who | Where |");
    for (column, _) in SHOWN {
        write!(table, " {column} |")?;
    }
    table.push_str(" What stops him | What shows it |\n|");
    table.push_str(&"---|".repeat(SHOWN.len() + 4));
    table.push('\n');
    let alike = |one: &Row, other: &Row| {
        (one.cells, one.stopped, one.shown) == (other.cells, other.stopped, other.shown)
    };
    for rows in WANTED.chunk_by(alike) {
        let who: Vec<_> = rows.iter().map(|row| row.who).collect();
        lines(&who.join("; "), &rows[0], &mut table)?;
    }
    Ok(table)
}

fn lines(who: &str, row: &Row, table: &mut String) -> Result<()> {
    for (index, (here, own, others)) in row.cells.iter().enumerate() {
        let who = if index == 0 { who } else { "" };
        write!(table, "| {who} | {} |", places(here))?;
        let (own, others): (Vec<_>, Vec<_>) =
            (joined(own).chars().collect(), joined(others).chars().collect());
        ensure!(own.len() == COLUMNS.len() && others.len() == COLUMNS.len(), "{}", row.who);
        for (column, cells) in SHOWN {
            let words = cells.iter().map(|cell| word(own[*cell], others[*cell]));
            let words = words.collect::<Result<Vec<_>>>()?;
            ensure!(words.iter().all(|word| *word == words[0]), "{}: {column} differ", row.who);
            write!(table, " {} |", words[0])?;
        }
        match index {
            0 => writeln!(table, " {} | {} |", row.stopped, shown(row))?,
            _ => writeln!(table, " | |")?,
        }
    }
    Ok(())
}

/// The document has this table, and no other one.
#[test]
fn the_document_has_the_table_that_is_tested() -> Result<()> {
    let path = rig::repository().join("docs/who-reads.md");
    let document = std::fs::read_to_string(&path)?;
    let rows = document.lines().filter(|line| line.starts_with('|'));
    let found: String = rows.flat_map(|line| [line, "\n"]).collect();
    let table = table()?;
    ensure!(found == table, "{} has another table than this one:\n{table}", path.display());
    Ok(())
}
