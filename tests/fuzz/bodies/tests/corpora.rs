//! Every input that is worth keeping, tried again on every run: no nightly compiler, no luck.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends that way")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fuzz_bodies::{TARGETS, Target, Verdict};

fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("corpus")
}

/// The inputs in a folder, with their paths.
fn inputs(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> =
        files.map(|file| file.unwrap().path()).filter(|path| path.is_file()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read(&path).unwrap())).collect()
}

fn replay(name: &str) {
    let Target { body, .. } = TARGETS.iter().find(|target| target.name == name).unwrap();
    let mut verdicts = [0, 0];
    for (path, bytes) in inputs(&corpora().join(name)) {
        // A panic does not say which input it was.
        let verdict = std::panic::catch_unwind(|| body(&bytes))
            .unwrap_or_else(|_| panic!("{}: a rule is broken; what it says is above", path.display()));
        // An input that somebody gave a name says what becomes of it.
        let stem = path.file_name().unwrap().to_string_lossy().into_owned();
        for (word, expected) in [("accepted-", Verdict::Accepted), ("refused-", Verdict::Refused)] {
            assert!(!stem.starts_with(word) || verdict == expected, "{}: {verdict:?}", path.display());
        }
        verdicts[usize::from(verdict == Verdict::Accepted)] += 1;
    }
    // A corpus of which nothing is accepted, or nothing refused, tries little.
    assert!(verdicts.iter().all(|count| *count >= 5), "{name}: refused, accepted: {verdicts:?}");
}

#[test]
fn events() {
    replay("event");
}

#[test]
fn properties() {
    replay("properties");
}

#[test]
fn records() {
    replay("record");
}

#[test]
fn rosters() {
    replay("roster");
}

#[test]
fn rotation_events() {
    replay("rotation");
}

#[test]
fn sealed_values() {
    replay("sealed");
}

/// The events for invocation by hand, under a `ResponseURL` that AWS could have sent.
#[test]
fn the_events_of_the_repository() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../events");
    let mut answered = 0;
    for (path, bytes) in inputs(&folder) {
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = String::from_utf8(bytes).unwrap().replace(
            "http://127.0.0.1:4580",
            "https://cloudformation-custom-resource-response-useast1.s3.us-east-1.amazonaws.com",
        );
        let verdict = fuzz_bodies::event(text.as_bytes());
        let unanswerable = path.file_name().unwrap().to_string_lossy().starts_with("unanswerable-");
        assert_eq!(verdict == Verdict::Refused, unanswerable, "{}", path.display());
        answered += usize::from(!unanswerable);
    }
    assert!(answered > 10);
}

/// No corpus without a target, no target without a corpus, and none that makes a clone slow.
#[test]
fn the_corpora_are_those_of_the_targets_and_small() {
    let names = |paths: Vec<PathBuf>| -> BTreeSet<String> {
        paths.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
    };
    let folders = std::fs::read_dir(corpora()).unwrap().map(|folder| folder.unwrap().path()).collect();
    let targets: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(names(folders), targets);
    let all: Vec<_> = targets.iter().flat_map(|name| inputs(&corpora().join(name))).collect();
    let bytes: usize = all.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(all.len() <= 600 && bytes <= 1_000_000, "{} files, {bytes} bytes", all.len());
}
