//! What docs/onprem.md tells people is what there is.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use clap::Parser as _;
use keyboot_onprem::cli::Arguments;
use keyboot_onprem::config::Config;
use keyboot_onprem::declaration::Declaration;

use crate::{blocks, read};

const DOCUMENT: &str = "docs/onprem.md";

/// The rows of the tables of corrected settings: their cells.
fn corrections() -> Vec<Vec<String>> {
    let text = read(DOCUMENT);
    let section =
        text.split("\n## Settings that were corrected").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| it said |"));
    let rows = rows.filter(|line| !line.starts_with("| left out |"));
    rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()).collect()
}

fn gather(folder: &Path, sources: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            gather(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// Each line says what was said, what is right, why, and what shows it; and what shows it is there, as a test.
#[test]
fn every_correction_has_its_reason_and_its_test() {
    let mut sources = String::new();
    for folder in ["node", "onprem", "rig", "shared", "tests/tests"] {
        gather(&rig::repository().join(folder), &mut sources);
    }
    let lines: Vec<_> = sources.lines().map(str::trim).collect();
    let is_test = |name: &str| {
        let function = format!("fn {name}(");
        let found = lines.iter().position(|line| {
            line.strip_prefix("async ").unwrap_or(line).starts_with(&function) && !line.starts_with("//")
        });
        let before = found.map(|at| &lines[at.saturating_sub(4)..at]).unwrap_or_default();
        before.iter().any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
    };
    let rows = corrections();
    assert!(rows.len() >= 20, "{}", rows.len());
    for row in &rows {
        assert_eq!(row.len(), 4, "{row:?}");
        assert!(row.iter().all(|cell| !cell.is_empty()), "{row:?}");
        let tests: Vec<_> = row[3].split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "{row:?}");
        for name in tests {
            assert!(is_test(name), "there is no test {name}");
        }
    }
    // Each setting of the document that was given has its row.
    let said = rows.iter().map(|row| row[0].as_str()).collect::<Vec<_>>().join("\n");
    for setting in ["hashicorp-vault", "transit", "ecdsa-p256", "eth2", "--signer.enabled"] {
        assert!(said.contains(setting), "no row says {setting}");
    }
}

#[test]
fn the_shell_takes_every_block() {
    let blocks = blocks(&read(DOCUMENT), None, "bash");
    assert!(blocks.len() > 15, "{}", blocks.len());
    for block in blocks {
        let mut bash =
            Command::new("bash").arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        bash.stdin.take().unwrap().write_all(block.as_bytes()).unwrap();
        let output = bash.wait_with_output().unwrap();
        assert!(output.status.success(), "{}\n{block}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The commands of a block or of a unit, each on one line.
fn commands(text: &str) -> Vec<String> {
    let text = text.replace("\\\n", " ");
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn every_command_of_keyboot_onprem_is_one_that_it_takes() {
    let document = read(DOCUMENT);
    let mut told =
        blocks(&document, None, "bash").iter().flat_map(|block| commands(block)).collect::<Vec<_>>();
    for unit in ["keyboot-signer@.service", "web3signer.service"] {
        told.extend(commands(&read(&format!("onprem/systemd/{unit}"))));
    }
    let mut modes = std::collections::BTreeSet::new();
    for line in told {
        let is_run = line.split_once("keyboot-onprem ").filter(|(before, _)| {
            before.is_empty()
                || before.ends_with("sudo ")
                || before.ends_with("web3signer ")
                || before.ends_with("/bin/")
        });
        let Some((_, words)) = is_run else { continue };
        let words = words.replace("$SIGNER_ADDRESSES", "--expect 0x8b805bF52e9cE863375c5105E1158d519537F5B3");
        let words = words.replace("\"$signer\"", "signer.keyboot.l2.batcher.1").replace(['"', '\''], "");
        let words: Vec<_> = std::iter::once("keyboot-onprem")
            .chain(words.split(' ').filter(|word| !word.is_empty()))
            .collect();
        Arguments::try_parse_from(&words).unwrap_or_else(|error| panic!("{line}: {error}"));
        modes.extend(
            words
                .iter()
                .skip(1)
                .filter(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()))
                .map(ToString::to_string),
        );
    }
    for mode in [
        "init",
        "grant",
        "provision",
        "show",
        "signer",
        "keep",
        "write",
        "reload",
        "rotate",
        "prepare",
        "finish",
        "doctor",
    ] {
        assert!(modes.contains(mode), "{mode} is in no block: {modes:?}");
    }
}

#[test]
fn every_configuration_and_declaration_is_one_that_is_taken() {
    let text = read(DOCUMENT);
    let configurations = blocks(&text, Some("configuration"), "toml");
    assert_eq!(configurations.len(), 2);
    for configuration in configurations {
        Config::parse(&configuration).unwrap_or_else(|fault| panic!("{fault}: {configuration}"));
    }
    let declarations = blocks(&text, Some("declaration"), "toml");
    assert_eq!(declarations.len(), 1);
    let declaration = Declaration::parse(&declarations[0]).unwrap();
    assert_eq!((declaration.chains.len(), declaration.clusters.len()), (1, 1));
    let setups = blocks(&text, Some("setup"), "toml");
    let setup: toml::Table = setups[0].parse().unwrap();
    assert!(setup["threshold"].as_integer().unwrap() >= 2 && setup["shares"].as_array().unwrap().len() >= 3);
}

#[test]
fn every_file_and_heading_that_is_linked_to_is_there() {
    let text = read(DOCUMENT);
    let folder = rig::repository().join(DOCUMENT);
    let headings: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .replace(['\'', ',', ':', '.'], "")
                .replace(' ', "-")
        })
        .collect();
    for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        match link.strip_prefix('#') {
            Some(heading) => assert!(headings.iter().any(|found| found == heading), "{link}"),
            None => assert!(folder.with_file_name(link).exists(), "{link}"),
        }
    }
    for path in
        text.split(['`', ' ', '\n']).filter(|word| word.starts_with("onprem/") && !word.contains(['*', ',']))
    {
        let path = path.trim_end_matches(['.', ':', ')']);
        let is_made = path == "onprem/compose/.env" || path.ends_with("/.env");
        assert!(is_made || rig::repository().join(path).exists(), "{path}");
    }
}

/// The variables, options and paths that the document tells are those of the files.
#[test]
fn what_is_typed_by_hand_is_what_the_files_ask_for() {
    let text = read(DOCUMENT);
    let unit = read("onprem/systemd/web3signer.service");
    let told = blocks(&text, None, "ini");
    assert_eq!(told.len(), 2);
    for line in told[0].lines() {
        let (name, _) = line.split_once('=').unwrap();
        assert!(unit.contains(name), "web3signer.service does not say {name}");
    }
    let batcher = read("onprem/systemd/op-batcher.service");
    for line in told[1].lines() {
        let (name, _) = line.split_once('=').unwrap();
        assert!(batcher.contains(&format!("{name}=")), "op-batcher.service does not say {name}");
        assert!(!batcher.contains(&format!("Environment={name}=")), "{name} would be set twice");
    }
    // Flags and variables are two spellings of one setting.
    let flags = text.split("op-batcher --signer.endpoint").nth(1).unwrap().split("```").next().unwrap();
    let flags = format!("--signer.endpoint{flags}").replace("\\\n", " ");
    for flag in flags.split_whitespace() {
        let (name, value) = flag.trim_start_matches("--").split_once('=').unwrap();
        let variable = format!("OP_BATCHER_{}", name.replace('.', "_").to_uppercase());
        let is_said = batcher.contains(&format!("{variable}={value}"))
            || told[1].contains(&format!("{variable}={value}"));
        assert!(is_said, "{variable}={value} is nowhere");
    }
}
