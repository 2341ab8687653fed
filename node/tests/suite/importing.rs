//! `import`: a record that came as a file is kept if it is believed, and nothing is changed if not.

use std::path::{Path, PathBuf};

use keyboot_node::config::Config;
use keyboot_node::error::NodeError;
use keyboot_node::import::import;
use keyboot_node::reader::Reader;
use keyboot_node::state::State;
use provisioning::names::NodeIndex;
use provisioning::record::NodeRecord;
use tempfile::TempDir;

use crate::world::{SIGNER, World, cluster, config, node, record, rotated, run, sign, verifying_key};

const OTHER: &str = "arn:aws:kms:eu-west-1:444455556666:key/records";

struct Desk {
    folder: TempDir,
    config: Config,
}

impl Desk {
    /// The keys of two accounts are pinned, the second one's for node 7 alone.
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let other =
            format!("[[pin]]\nsigner = \"{OTHER}\"\npublic-key = \"{}\"\nnodes = [7]\n", verifying_key(2));
        let config = config(folder.path(), "", &other);
        Self { folder, config }
    }

    fn import(&self, text: &str) -> Result<(NodeIndex, PathBuf), NodeError> {
        let file = self.folder.path().join("record.json");
        std::fs::write(&file, text).unwrap();
        import(&self.config, &file)
    }

    /// What is kept: the files below the state's folder, and their texts.
    fn kept(&self) -> Vec<(PathBuf, String)> {
        fn files(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    files(&path, found);
                } else {
                    let text = std::fs::read_to_string(&path).unwrap();
                    found.push((path, text));
                }
            }
        }
        let mut found = Vec::new();
        files(&self.config.state, &mut found);
        found.sort();
        found
    }

    fn refuses(&self, text: &str, why: &str) {
        let before = self.kept();
        let error = self.import(text).unwrap_err().to_string();
        assert!(error.contains(why) && error.contains("record.json"), "{why}: {error}");
        assert_eq!(self.kept(), before, "{why}");
    }
}

fn of_another_account(record: &NodeRecord) -> String {
    sign(record, OTHER, 2)
}

#[test]
fn a_record_of_its_own_account_is_kept_as_it_came_and_read_from_then_on() {
    for end in ["", "\n"] {
        let desk = Desk::new();
        let text = of_another_account(&record(7));
        let (index, path) = desk.import(&format!("{text}{end}")).unwrap();
        assert_eq!(index, node(7));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        let seen = State::below(&desk.config.state).load().unwrap();
        assert_eq!(seen.record(&cluster(), node(7)), 3);
        let world = World::new();
        let view = run(Reader::new(&world, &desk.config).unwrap().view_without_keeping()).unwrap();
        assert_eq!(view.records.keys().map(|index| index.get()).collect::<Vec<_>>(), [0, 1, 2, 7]);
    }
}

#[test]
fn a_newer_one_takes_its_place_and_an_older_one_is_refused() {
    let desk = Desk::new();
    desk.import(&of_another_account(&record(7))).unwrap();
    let newer = of_another_account(&rotated(7, "2026-03-01T00:00:00Z"));
    let (_, path) = desk.import(&newer).unwrap();
    assert_eq!(std::fs::read_to_string(path).unwrap(), newer);
    desk.refuses(&of_another_account(&record(7)), "older (serial 3)");
    // The same again is fine.
    desk.import(&newer).unwrap();
}

#[test]
fn what_is_not_signed_for_its_node_is_refused_and_nothing_written() {
    let desk = Desk::new();
    let foreign = NodeRecord { cluster: "keyboot/other".parse().unwrap(), ..record(7) };
    desk.refuses(&serde_json::to_string(&record(7)).unwrap(), "malformed");
    desk.refuses("", "malformed");
    desk.refuses(&sign(&record(7), OTHER, 1), "signature does not fit");
    desk.refuses(&sign(&record(7), "arn:aws:kms:eu-west-1:444455556666:key/unknown", 3), "not pinned");
    desk.refuses(&of_another_account(&foreign), "of keyboot/tsm");
    // The other account speaks for node 7 and for no other.
    desk.refuses(&of_another_account(&record(1)), "not pinned");
    desk.refuses(&format!("{}\n\n", of_another_account(&record(7))), "canonical");
    desk.refuses(&" ".repeat(9000), "9000 bytes");
    assert_eq!(desk.kept(), []);
    // The first account is pinned for every node.
    assert!(desk.import(&sign(&record(7), SIGNER, 1)).is_ok());
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let desk = Desk::new();
    let error = import(&desk.config, Path::new("/nowhere/record.json")).unwrap_err().to_string();
    assert!(error.contains("/nowhere/record.json"), "{error}");
    assert_eq!(desk.kept(), []);
}
