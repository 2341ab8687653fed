//! What `cargo xtask test` builds apart from the workspace shares what it compiles with it: other people's crates
//! are compiled once for each set of their features, and the AWS SDK takes minutes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends that way")]

use std::collections::BTreeSet;
use std::process::Command;

/// Other people's crates with their features, as cargo chooses them for what is built.
fn crates_of(edges: &str, what: &[&str]) -> BTreeSet<String> {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--prefix", "none", "--edges", edges, "--format", "{p} {f}"])
        .args(what)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let text = String::from_utf8(tree.stdout).unwrap();
    let lines = text.lines().map(|line| line.trim_end_matches(" (*)").replace(" (proc-macro)", ""));
    // Ours have their path behind the version.
    lines.filter(|line| !line.is_empty() && !line.contains(" (/")).collect()
}

#[test]
fn what_is_built_apart_needs_no_other_features_than_the_workspace() {
    let all = crates_of("normal,build,dev", &["--workspace"]);
    let apart = [
        ("normal,build", &["--package", "xtask"][..]),
        ("normal,build,dev", &["--package", "aws", "--package", "custom-resource", "--features", "local"]),
    ];
    for (edges, what) in apart {
        let other: Vec<_> = crates_of(edges, what).difference(&all).cloned().collect();
        assert!(
            other.is_empty(),
            "{what:?}: compiled once more for rig/workspace-hack/Cargo.toml: {other:#?}"
        );
    }
}
