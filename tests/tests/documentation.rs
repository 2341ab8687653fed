//! The README's reference says what the parser does.

use std::collections::BTreeMap;

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
