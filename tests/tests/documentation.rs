//! The README's reference says what the parser does.

use std::collections::BTreeMap;
use std::path::Path;

use provisioning::properties::PROPERTIES;

#[expect(clippy::unwrap_used, reason = "a helper of tests")]
fn readme() -> String {
    std::fs::read_to_string(rig::repository().join("README.md")).unwrap()
}

/// The part of a text between two headings.
#[expect(clippy::unwrap_used, reason = "a helper of tests")]
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    text.split(from).nth(1).and_then(|rest| rest.split(to).next()).unwrap()
}

#[test]
fn the_reference_lists_every_property_with_its_default_and_no_other() {
    let readme = readme();
    let rows = between(&readme, "### Properties", "### Return values")
        .lines()
        .filter(|line| line.starts_with("| `"));
    let documented: BTreeMap<_, _> = rows
        .map(|row| {
            let cells: Vec<_> = row.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect();
            (cells[1].clone(), (cells[2] == "yes", cells[3].clone()))
        })
        .collect();
    let parser: BTreeMap<_, _> = PROPERTIES
        .iter()
        .map(|rule| (rule.name.to_owned(), (rule.required, rule.default.to_owned())))
        .collect();
    assert_eq!(documented, parser);
}

#[test]
fn the_syntax_lists_every_property_in_the_order_of_the_parser() {
    let readme = readme();
    let names: Vec<_> = between(&readme, "### Syntax", "### Properties")
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_once(':'))
        .map(|(name, _)| name)
        .filter(|name| !name.starts_with("Service"))
        .collect();
    assert_eq!(names, PROPERTIES.iter().map(|rule| rule.name).collect::<Vec<_>>());
}

#[test]
fn the_templates_resource_sets_only_properties_that_there_are() {
    let template = std::fs::read_to_string(rig::template()).unwrap();
    let resource = between(&template, "Type: Custom::NodeKeys", "Fn::ForEach::NodeReaders");
    let names: Vec<_> = resource
        .lines()
        .filter_map(|line| line.strip_prefix("      ")?.split_once(':'))
        .map(|(name, _)| name)
        .collect();
    assert!(names.contains(&"Cluster") && names.contains(&"ShareSecretOnDelete"), "{names:?}");
    for name in names {
        let known = PROPERTIES.iter().any(|rule| rule.name == name) || name.starts_with("Service");
        assert!(known, "{name}");
    }
}

#[test]
fn every_test_that_the_table_of_rules_names_is_there() {
    let readme = readme();
    let section = between(&readme, "## The rules that never break", "\n## ");
    let names: Vec<&str> = section.split('`').skip(1).step_by(2).filter(|name| is_test(name)).collect();
    assert!(names.len() > 30, "{names:?}");
    let mut sources = String::new();
    for folder in ["functions", "rig", "shared", "tests/tests"] {
        gather(&rig::repository().join(folder), &mut sources);
    }
    for name in names {
        assert!(sources.contains(&format!("fn {name}(")), "there is no test {name}");
    }
    for rule in 1..=13 {
        assert!(section.contains(&format!("\n| {rule}. ")), "rule {rule} has no row");
    }
}

fn is_test(name: &str) -> bool {
    name.matches('_').count() > 2 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[expect(clippy::unwrap_used, reason = "a helper of tests")]
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
