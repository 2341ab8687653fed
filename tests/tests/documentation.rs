//! The README's reference says what the parser does.

use std::collections::BTreeMap;
use std::path::Path;

use key_material::Curve;
use policies::template::{Resolved, Stack, Template};
use policies::{IdentityPolicy, ResourcePolicy};
use provisioning::properties::{ClusterSpec, PROPERTIES};
use serde_json::Value;

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
    let resource = between(&template, "Type: Custom::NodeKeys", "Fn::ForEach::NodeShares");
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

const STACK: &str =
    "arn:aws:cloudformation:eu-central-1:111122223333:stack/keyboot/0f2c1c2e-9f0e-4f9a-8a53-000000000001";
const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/mrk-0a1b2c3d4e5f60718293a4b5c6d7e8f9";

/// The properties that an example's resources come to: its own, or those of the KMS Stack nested in it.
#[expect(clippy::unwrap_used, reason = "a helper of tests")]
fn properties_of(example: &Resolved, id: &str, kind: &str) -> Option<Value> {
    let properties = example.resource(id).unwrap();
    if kind != "AWS::CloudFormation::Stack" {
        return (kind == "Custom::NodeKeys").then_some(properties);
    }
    let function = "arn:aws:lambda:eu-central-1:111122223333:function:node-keys";
    let stack = Stack::new(STACK).unwrap().attribute("SecretsKey", "Arn", KEY);
    let stack = stack.attribute("NodeKeysFunction", "Arn", function);
    let roles = ["NodeKeysRole", "KeyRotationRole"].into_iter();
    let stack = roles.fold(stack, |stack, role| {
        stack.attribute(role, "Arn", format!("arn:aws:iam::111122223333:role/{role}"))
    });
    let given = properties["Parameters"].as_object().unwrap().iter();
    let stack = given.fold(stack, |stack, (name, value)| stack.parameter(name, value.as_str().unwrap()));
    let template = Template::read(&std::fs::read_to_string(rig::template()).unwrap()).unwrap();
    let nested = template.resolve(&stack).unwrap();
    // Whoever is named is let in by the key too, which is a policy that KMS takes.
    let policy = nested.policy("SecretsKey", "KeyPolicy").unwrap();
    ResourcePolicy::parse(id, &policy).unwrap();
    assert!(policy.to_string().len() <= 32_768);
    Some(nested.resource("Keys").unwrap())
}

/// CloudFormation takes 200 outputs and 500 resources (CloudFormation User Guide, "Understand CloudFormation
/// quotas").
#[test]
fn the_kms_stack_ends_at_as_many_nodes_as_the_readme_says() {
    let template = Template::read(&std::fs::read_to_string(rig::template()).unwrap()).unwrap();
    let stack = || {
        let stack = Stack::new(STACK).unwrap().parameter("Store", "ParameterStore");
        let stack = stack.parameter("ReaderAccounts", "444455556666").parameter("ShareDocuments", "true");
        let every = "cron(0 8 1 * ? *)";
        stack.parameter("RotateApiKeysEvery", every).parameter("RotateP2pKeysEvery", every)
    };
    let fits = |nodes: &usize| {
        let nodes: Vec<_> = (0..*nodes).map(|index| index.to_string()).collect();
        let resolved = template.resolve(&stack().parameter("Nodes", &nodes.join(","))).unwrap();
        resolved.outputs().count() <= 200 && resolved.resources().count() <= 500
    };
    let most = (1..200).take_while(fits).last().unwrap();
    let readme = readme();
    assert!(
        readme.contains(&format!("(the KMS Stack itself ends at {most} nodes,")),
        "{most} nodes fit, and the README says another number"
    );
}

/// Each example is a template, whose resources node-keys accepts (cfn-lint looks at them as templates:
/// `cargo xtask test --templates`).
#[test]
fn every_example_is_a_template_that_node_keys_accepts() {
    let mut found = BTreeMap::new();
    let examples = rig::examples::of_the_readme().unwrap();
    for example in &examples {
        let template = Template::read(example).unwrap_or_else(|error| panic!("{error}: {example}"));
        let mut stack = Stack::new(STACK).unwrap();
        for (name, value) in [("NodeKeysFunctionArn", "arn:aws:lambda:::function"), ("KmsKeyArn", KEY)] {
            if example.contains(&format!("\n  {name}:\n    Type: String")) {
                stack = stack.parameter(name, value);
            }
        }
        stack = stack.physical_id("NodeRole", "tsm-node-1");
        let resolved = template.resolve(&stack).unwrap_or_else(|error| panic!("{error}: {example}"));
        for (id, kind) in resolved.resources() {
            if kind == "AWS::IAM::Policy" {
                let policy = &resolved.resource(id).unwrap()["PolicyDocument"];
                IdentityPolicy::parse(id, policy).unwrap();
                // The one that the text gives, for whoever writes no template.
                let readme = readme();
                let given = between(&readme, "<!-- policy of a node's role -->\n```json\n", "```\n");
                assert_eq!(*policy, serde_json::from_str::<Value>(given).unwrap());
            }
            if let Some(Value::Object(properties)) = properties_of(&resolved, id, kind) {
                let spec = ClusterSpec::parse(&properties).unwrap_or_else(|fault| panic!("{id}: {fault}"));
                let slots = spec.slots().into_iter();
                let read = slots.filter(|slot| !spec.admitted.to(slot).is_empty()).count();
                assert!(read >= spec.nodes.len(), "{id}: nodes that nobody reads");
                found.insert(id.to_owned(), (spec.nodes.len(), spec.curve, spec.adopt_from.is_some()));
            }
        }
    }
    let wanted = [
        ("TsmKeys", (3, Curve::P256, false)),
        ("EthereumKeys", (4, Curve::Secp256k1, false)),
        ("PaymentsKeys", (2, Curve::P256, true)),
    ];
    assert_eq!(found, wanted.map(|(id, of)| (id.to_owned(), of)).into());
    assert_eq!(examples.len(), 4);
}

/// What checkers are shown: every key policy as a document, and the one that is text says there what it
/// says deployed.
#[test]
fn checkers_are_shown_every_key_policy_as_a_document() {
    let template = std::fs::read_to_string(rig::template()).unwrap();
    let archives = rig::functions::ALL.map(|name| (name, "bootstrap.zip"));
    let expanded = rig::expanded::expand(&template, &["0", "1"], archives).unwrap();
    let reader = "0=arn:aws:iam::111122223333:role/node-0";
    let read = rig::expanded::with_key_policies_read(&expanded, [("ReaderPrincipals", reader)]).unwrap();
    let read: Value = serde_json::from_str(&read).unwrap();
    let resources = read["Resources"].as_object().unwrap();
    let keys: Vec<_> = resources.iter().filter(|(_, resource)| resource["Type"] == "AWS::KMS::Key").collect();
    assert_eq!(keys.len(), 3);
    for (id, key) in keys {
        let policy = &key["Properties"]["KeyPolicy"];
        ResourcePolicy::parse(id, policy).unwrap();
        assert!(policy["Statement"].as_array().is_some_and(|list| list.len() >= 2), "{id}: {policy}");
    }
    let names_the_reader = resources["SecretsKey"]["Properties"]["KeyPolicy"].to_string();
    assert!(names_the_reader.contains("arn:aws:iam::111122223333:role/node-0"));
    // What is not a key policy stays as it is deployed.
    let deployed: Value = serde_json::from_str(&expanded).unwrap();
    assert_eq!(resources["Keys"], deployed["Resources"]["Keys"]);
}
