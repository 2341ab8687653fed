//! What the guide and the README tell people to type is what there is.
//!
//! AWS cannot be asked here. What can be known of the commands without it is looked at: that the shell takes them,
//! and that templates, parameters, outputs and subcommands are called by names that they have. Those of the three
//! shapes, of stack sets and of the script that replaces instances run against something that plays `aws`.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// The stacks by the names that the guide gives them, and their templates.
const STACKS: [(&str, &str); 5] = [
    ("tsm-keys", "template.yaml"),
    ("tsm-core", "stacks/core.yaml"),
    ("tsm-central", "stacks/central.yaml"),
    ("tsm-accounts", "stacks/per-account.yaml"),
    ("tsm-guardrails", "stacks/guardrails.yaml"),
];

#[expect(clippy::unwrap_used, reason = "a helper of tests")]
fn read(path: &str) -> String {
    std::fs::read_to_string(rig::repository().join(path)).unwrap()
}

/// The blocks of a document in one language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}");
    let mut found = Vec::new();
    let mut block: Option<String> = None;
    for line in text.lines() {
        match &mut block {
            None if line == fence => block = Some(String::new()),
            None => {}
            Some(_) if line == "```" => found.extend(block.take()),
            Some(inside) => {
                inside.push_str(line);
                inside.push('\n');
            }
        }
    }
    found
}

/// The guide's commands, each on one line: what ends in a backslash goes on.
fn commands() -> Vec<String> {
    let text = blocks(&read("docs/guide.md"), "bash").join("\n").replace("\\\n", " ");
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// The names below a template's section.
fn names(template: &str, section: &str) -> BTreeSet<String> {
    let text = read(template);
    let lines = text.lines().skip_while(|line| *line != format!("{section}:")).skip(1);
    let inside = lines.take_while(|line| line.is_empty() || line.starts_with([' ', '#']));
    let inside = inside.filter(|line| !line.trim_start().starts_with('#'));
    // What a loop makes is indented further, behind a dash.
    let keys = inside.filter_map(|line| {
        let depth = line.len() - line.trim_start().len();
        let (name, _) = line.trim_start().trim_start_matches("- ").split_once(':')?;
        let is_looped = name.contains("${Index}");
        (depth == 2 || is_looped).then(|| name.to_owned())
    });
    keys.collect()
}

fn template_of(stack: &str) -> Option<&'static str> {
    STACKS.iter().find(|(name, _)| *name == stack).map(|(_, template)| *template)
}

/// What stands behind an option.
fn behind<'a>(command: &'a str, option: &str) -> Option<&'a str> {
    command.split_once(&format!("{option} "))?.1.split(' ').next().map(|word| word.trim_matches('"'))
}

#[test]
fn the_shell_takes_every_block() {
    let blocks = blocks(&read("docs/guide.md"), "bash");
    assert!(blocks.len() > 25, "{}", blocks.len());
    for block in blocks {
        let mut bash =
            Command::new("bash").arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        bash.stdin.take().unwrap().write_all(block.as_bytes()).unwrap();
        let output = bash.wait_with_output().unwrap();
        assert!(output.status.success(), "{}\n{block}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn every_parameter_that_is_given_is_one_of_its_template() {
    let mut given = BTreeSet::new();
    for command in commands() {
        let Some((before, after)) = command.split_once("--parameter-overrides ") else { continue };
        let stack = behind(before, "--stack-name").unwrap_or_default();
        let template =
            template_of(stack).unwrap_or_else(|| panic!("no template is known of {stack}: {command}"));
        let known = names(template, "Parameters");
        for (name, _) in words(after).iter().filter_map(|word| word.split_once('=')) {
            assert!(known.contains(name), "{template} has no parameter {name}: {command}");
            given.insert(format!("{stack} {name}"));
        }
    }
    for (stack, _) in STACKS {
        let of_it = given.iter().filter(|name| name.starts_with(stack)).count();
        assert!(of_it > 8 || (stack == "tsm-guardrails" && of_it > 1), "{stack}: {given:?}");
    }
}

/// Words as a shell splits them, as far as these commands go: a quoted part is of its word.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut quote) = (vec![String::new()], None);
    for character in text.chars() {
        match (quote, character) {
            (None, ' ') => words.push(String::new()),
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), close) if open == close => quote = None,
            (_, character) => words.iter_mut().last().into_iter().for_each(|word| word.push(character)),
        }
    }
    words.into_iter().filter(|word| !word.starts_with('-')).collect()
}

#[test]
fn every_output_that_is_asked_for_is_one_of_its_stack() {
    let mut asked = 0;
    for command in commands() {
        for call in command.split("output ").skip(1) {
            let mut words = call.split([' ', ')', '"']).filter(|word| !word.is_empty());
            let (Some(stack), Some(name)) = (words.next(), words.next()) else { continue };
            let stack = if stack == "$stack" { "tsm-core" } else { stack };
            let Some(template) = template_of(stack) else { continue };
            let name = general(name);
            let known = names(template, "Outputs");
            assert!(known.contains(&name), "{template} has no output {name}: {command}");
            asked += 1;
        }
    }
    assert!(asked > 15, "{asked}");
}

/// A stack set is one account's: `remove_stack` puts the account behind a prefix, as the templates do.
#[test]
fn every_stack_set_whose_stack_is_removed_is_one_of_its_template() {
    let mut removed = 0;
    for command in commands() {
        let Some(rest) = command.strip_prefix("remove_stack ") else { continue };
        let prefix = rest.split(' ').next().unwrap_or_default();
        let (stack, kind) = prefix.rsplit_once('-').unwrap_or_default();
        let template = template_of(stack).unwrap_or_else(|| panic!("no template is known of {prefix}"));
        let name = format!("StackSetName: !Sub [\"${{AWS::StackName}}-{kind}-${{Account}}\"");
        assert!(read(template).contains(&name), "{template} has no sets {prefix}-<account>");
        removed += 1;
    }
    assert!(removed > 0);
    let asked = commands().join("\n");
    assert_eq!(
        asked.matches("--stack-set-name \"$1-$2\"").count(),
        asked.matches("--stack-set-name").count()
    );
}

/// The name of a node's output, whichever node it is of: `Node${node}GroupName`, `Node$1GroupName` and
/// `Node3GroupName` are the template's `Node${Index}GroupName`.
fn general(name: &str) -> String {
    let Some(rest) = name.strip_prefix("Node") else { return name.to_owned() };
    let rest = rest.strip_prefix("${node}").or_else(|| rest.strip_prefix("$1")).unwrap_or(rest);
    let rest = rest.trim_start_matches(|character: char| character.is_ascii_digit());
    let known = format!("Node${{Index}}{rest}");
    if name == format!("Node{rest}") { name.to_owned() } else { known }
}

#[test]
fn every_file_of_the_repository_that_is_named_is_there() {
    let made = ["target/", "http", "#"];
    for document in ["docs/guide.md", "README.md", "SECURITY.md", "node/README.md"] {
        let text = read(document);
        let folder = rig::repository().join(document);
        let links = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        for link in links.filter(|link| !link.is_empty() && !made.iter().any(|start| link.starts_with(start)))
        {
            let path = folder.with_file_name(link);
            assert!(path.exists(), "{document} links to {link}");
        }
    }
}

#[test]
fn every_heading_that_is_linked_to_is_there() {
    let guide = read("docs/guide.md");
    let headings: BTreeSet<String> = guide
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| anchor(line.trim_start_matches('#').trim()))
        .collect();
    for link in guide.split("](#").skip(1).filter_map(|rest| rest.split(')').next()) {
        assert!(headings.contains(link), "{link} is no heading: {headings:?}");
    }
}

/// What GitHub makes of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c))
        .collect::<String>();
    kept.replace(' ', "-")
}

/// SECURITY.md names the alarms of the Core Stack, each without the `Rule` or `Alarm` at the end of its name, and marks
/// those that see the whole account.
#[test]
fn every_alarm_that_is_named_is_one_of_the_core_stack_and_the_other_way_round() {
    let (security, template) = (read("SECURITY.md"), read("stacks/core.yaml"));
    let text = between(&security, "## Who could still get at a key share in the Core Stack", "\n## ");
    let rows =
        text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.rsplit_once(" | "));
    let mut named = BTreeSet::new();
    for (_, shows) in rows {
        for (number, word) in shows.split('`').enumerate().filter(|(number, _)| number % 2 == 1) {
            // Events that no alarm of ours is about are named as CloudTrail does.
            if !word.starts_with("Change") && !word.starts_with("Request") {
                let is_marked = shows.split('`').nth(number + 1).is_some_and(|rest| rest.starts_with('°'));
                named.insert((word.to_owned(), is_marked));
            }
        }
    }
    let resources = names("stacks/core.yaml", "Resources");
    let rules = resources.iter().filter_map(|id| {
        let name = id
            .strip_suffix("Rule")
            .or_else(|| id.replace("${Index}", "").strip_suffix("Alarm").map(|_| id.as_str()))?;
        let body = between(&template, &format!("  {id}:\n"), "\n\n");
        let name = name.replace("Alarm${Index}", "");
        Some((name, body.contains("Condition: HasAccountAlarms")))
    });
    let there: BTreeSet<_> = rules.collect();
    for alarm in &named {
        assert!(there.contains(alarm), "{alarm:?} is none of {there:?}");
    }
    // Those about what is full or busy are about no road.
    let not_about_roads = ["DatabaseCpu", "DatabaseStorage", "LoginRotationFailed", "StorageKeyDeleted"];
    let unnamed: Vec<_> = there.difference(&named).map(|(name, _)| name.as_str()).collect();
    assert_eq!(unnamed, not_about_roads);
}

/// The part of a text between two others.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    text.split(from).nth(1).and_then(|rest| rest.split(to).next()).unwrap_or_default()
}

/// Options of `cargo xtask` are fields of its subcommands.
#[test]
fn every_option_of_the_projects_own_commands_is_one() {
    let mut sources = String::new();
    for name in ["checks", "demo", "fuzz", "mutants", "package", "picture"] {
        sources.push_str(&read(&format!("xtask/src/{name}.rs")));
    }
    let (guide, readme) = (commands(), read("README.md"));
    let named = guide.iter().map(String::as_str).chain(readme.split('`')).flat_map(str::lines);
    let calls = named.filter_map(|line| line.trim_start_matches("$ ").strip_prefix("cargo xtask "));
    let mut options = 0;
    for call in calls {
        let said = call.split_once(" #").map_or(call, |(call, _)| call);
        for option in said.split(' ').filter_map(|word| word.trim_start_matches('[').strip_prefix("--")) {
            let field = format!("    {}: ", option.trim_end_matches(']').replace('-', "_"));
            assert!(sources.contains(&field), "cargo xtask {call}: there is no --{option}");
            options += 1;
        }
    }
    assert!(options > 5, "{options}");
}

/// The subcommands of the project's own programs, as their sources declare them.
#[test]
fn every_subcommand_that_is_named_is_one() {
    let declared = |path: &str, kind: &str| -> BTreeSet<String> {
        let text = read(path);
        let body =
            text.split(kind).nth(1).and_then(|rest| rest.split("\n}").next()).unwrap_or_default().to_owned();
        let variants =
            body.lines().map(str::trim).filter_map(|line| line.split_once('(').map(|(name, _)| name));
        variants.filter(|name| name.chars().all(char::is_alphanumeric)).map(str::to_lowercase).collect()
    };
    let programs = [
        ("cargo xtask ", declared("xtask/src/main.rs", "enum Command {")),
        ("keyboot-node ", declared("node/src/main.rs", "enum Mode {")),
    ];
    for (program, known) in &programs {
        assert!(known.len() > 5, "{program}: {known:?}");
        let mut named = 0;
        for text in commands().into_iter().chain(blocks(&read("README.md"), "console")) {
            // Behind a separator a program is handed on; in a path it is a file.
            let calls = text.lines().filter_map(|line| line.trim_start_matches("$ ").strip_prefix(program));
            for word in calls.filter_map(|rest| rest.split(' ').next()) {
                assert!(known.contains(word), "{program}has no {word}: {text}");
                named += 1;
            }
        }
        assert!(named > 1, "{program}");
    }
}

/// What plays AWS for the commands of a section: it notes how it was called, and answers what the next command needs.
const AWS: &str = r#"#!/usr/bin/env bash
printf '%s\037' "$@" >> "$CALLS"
echo >> "$CALLS"
case "$1 $2" in
  "sts get-caller-identity") echo 111122223333 ;;
  "kms get-public-key") echo MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE0AyIB0e0A00Z+ovqDQ5mjffEqVabU/eEOwOOrkElnSX1qPkg== ;;
  "cloudformation describe-stacks") echo arn:aws:kms:eu-central-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab ;;
esac
"#;

/// Runs the commands of some sections, in order, against what plays AWS, and gives how that was called.
#[expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a helper of tests, whose programs go before the others"
)]
fn calls_of(sections: &[&str]) -> Vec<Vec<String>> {
    use std::os::unix::fs::PermissionsExt as _;
    let name = sections.concat().replace([' ', ','], "-");
    let folder = std::env::temp_dir().join(format!("keyboot-guide-{}-{name}", std::process::id()));
    let (programs, calls) = (folder.join("programs"), folder.join("calls"));
    std::fs::create_dir_all(&programs).unwrap();
    std::fs::create_dir_all(folder.join("target/package")).unwrap();
    std::fs::write(folder.join("target/package/node-0123456789abcdef.tar.gz"), "archive").unwrap();
    for node in [0, 2] {
        let pin = format!(
            "{node}@arn:aws:kms:eu-central-1:444455556666:key/mrk-0a1b2c3d4e5f60718293a4b5c6d7e8f9=MFkw"
        );
        std::fs::write(folder.join(format!("pin-{node}")), pin).unwrap();
    }
    let others = ["cargo", "curl", "keyboot-node", "rustup"].map(|name| (name, "#!/bin/sh\n"));
    for (name, text) in others.into_iter().chain([("aws", AWS)]) {
        std::fs::write(programs.join(name), text).unwrap();
        std::fs::set_permissions(programs.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let guide = read("docs/guide.md");
    let text: Vec<_> = sections
        .iter()
        .flat_map(|section| blocks(between(&guide, &format!("\n## {section}\n"), "\n## "), "bash"))
        .collect();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut bash = Command::new("bash");
    bash.current_dir(&folder).env_clear().env("PATH", path).env("CALLS", &calls);
    let output =
        bash.args(["-euo", "pipefail", "-c", &text.join("\n")]).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{sections:?}: {}", String::from_utf8_lossy(&output.stderr));
    let calls = std::fs::read_to_string(calls).unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    calls.lines().map(|line| line.split_terminator('\u{1f}').map(str::to_owned).collect()).collect()
}

#[test]
fn the_commands_of_each_shape_run_and_leave_nothing_out_that_a_template_needs() {
    let central = "Three accounts, central";
    let shapes = [
        (&["One account"][..], 2),
        (&[central], 4),
        (&["Three accounts, per-account"], 2),
        (&[central, "StackSets"], 6),
    ];
    for (sections, stacks) in shapes {
        let mut made = BTreeSet::new();
        let shape = sections.join(", ");
        for call in calls_of(&[&["Before you begin"], sections].concat()) {
            let Some(at) = call.iter().position(|word| word == "--parameter-overrides") else { continue };
            let stack = call[1 + call.iter().position(|word| word == "--stack-name").unwrap()].clone();
            let template = template_of(&stack).unwrap();
            let given: BTreeSet<_> = call[at + 1..].iter().filter_map(|word| word.split_once('=')).collect();
            assert!(given.iter().all(|(_, value)| !value.is_empty()), "{shape}: {call:?}");
            // What is deployed a second time keeps what it was given.
            let Some((_, nodes)) = given.iter().find(|(name, _)| *name == "Nodes") else { continue };
            let missing: Vec<_> = needed(template)
                .into_iter()
                .filter(|needed| !given.iter().any(|(name, _)| name == needed))
                .collect();
            assert!(missing.is_empty(), "{shape}: {stack} is not given {missing:?}");
            made.insert((stack, (*nodes).to_owned()));
        }
        assert_eq!(made.len(), stacks, "{shape}: {made:?}");
    }
}

/// The parameters of a template that have no default.
fn needed(template: &str) -> BTreeSet<String> {
    let text = read(template);
    let section = between(&text, "\nParameters:\n", "\nConditions:\n").to_owned();
    let mut needed = names(template, "Parameters");
    needed.retain(|name| {
        let body = section.split_once(&format!("  {name}:\n")).map_or("", |(_, body)| body);
        !body
            .lines()
            .take_while(|line| line.starts_with("    ") || line.is_empty())
            .any(|line| line.starts_with("    Default:"))
    });
    needed
}

/// The script that replaces instances, on nodes that come back, and on one that does not.
#[test]
#[expect(clippy::disallowed_methods, reason = "its programs go before the others")]
fn instances_are_replaced_one_after_the_other_and_no_further_once_one_does_not_come_back() {
    use std::os::unix::fs::PermissionsExt as _;
    const NODES: &str = r#"#!/usr/bin/env bash
        last=${!#}
        for word in "$@"; do case $word in Node?GroupName | Node?SdkTargetGroupArn) node=${word:4:1} ;; esac; done
        case $2 in
          describe-stacks) word=${last#*OutputKey==\'}; echo "${word%%\'*}" ;;
          describe-auto-scaling-groups) cat "$STATE/$node" ;;
          describe-target-health) [ -e "$STATE/dead-$node" ] || cat "$STATE/$node" ;;
          terminate-instance-in-auto-scaling-group)
            node=${4##*-}; echo "$node" >> "$STATE/order"
            if [ "$node" = "$FAILS" ]; then touch "$STATE/dead-$node"; fi
            echo "i-new-$node" > "$STATE/$node" ;;
        esac
    "#;
    let guide = blocks(&read("docs/guide.md"), "bash");
    let script = guide.iter().find(|block| block.contains("# replace-nodes.sh STACK")).unwrap();
    for (fails, order) in [("none", "0\n1\n2\n"), ("1", "0\n1\n")] {
        let folder = std::env::temp_dir().join(format!("keyboot-replace-{}-{fails}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for (name, text) in [("aws", NODES), ("sleep", "#!/bin/sh\n")] {
            std::fs::write(folder.join(name), text).unwrap();
            std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        for node in 0..3 {
            std::fs::write(folder.join(node.to_string()), format!("i-old-{node}\n")).unwrap();
        }
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
        let mut bash = Command::new("bash");
        bash.env("PATH", path).env("STATE", &folder).env("FAILS", fails).args([
            "-c",
            script,
            "replace-nodes.sh",
        ]);
        let output = bash.args(["tsm-core", "0", "1", "2"]).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.success(), fails == "none", "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(std::fs::read_to_string(folder.join("order")).unwrap(), order);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
