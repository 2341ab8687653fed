//! `keyboot-node import`: takes a peer's signed record that came as a file.
//!
//! Where accounts of different organizations cannot share parameters, a record travels by any way there is:
//! it carries its own proof.

use std::path::{Path, PathBuf};

use provisioning::names::NodeIndex;
use provisioning::record::NodeRecord;
use provisioning::signed::{self, DocumentError};
use reading::ReadError;

use crate::config::Config;
use crate::error::NodeError;
use crate::files::write_whole;
use crate::state::State;

/// The longest file that is read: a record fits a parameter.
const LONGEST: u64 = signed::DOCUMENT_MAX as u64;

/// Takes a record over, and gives where it is kept.
///
/// # Errors
///
/// [`NodeError::Read`] when it is not believed: signed by no key that is pinned for its node, of another
/// cluster, or older than one that was seen. Then nothing is changed.
pub fn import(config: &Config, file: &Path) -> Result<(NodeIndex, PathBuf), NodeError> {
    let name = file.display().to_string();
    let unreadable = |fault: String| NodeError::Read(ReadError::Refused { name: name.clone(), code: fault });
    let length = std::fs::metadata(file).map_err(|error| unreadable(error.to_string()))?.len();
    if length > LONGEST + 1 {
        return Err(unreadable(format!("it has {length} bytes, and a record at most {LONGEST}")));
    }
    let text = std::fs::read_to_string(file).map_err(|error| unreadable(error.to_string()))?;
    // An editor or a shell has put a newline behind it.
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let refused = |error| NodeError::Read(ReadError::Document { name: name.clone(), error });
    let (pins, state) = (config.pins()?, State::below(&config.state));
    let index = signed::verify::<NodeRecord>(text, &pins.of_any_node()).map_err(refused)?.index;
    if config.index == Some(index) {
        return Err(refused(DocumentError::Inconsistent(
            "it is this node's own, which is read from its store",
        )));
    }
    let mut seen = state.load()?;
    let serial = seen.record(&config.cluster, index);
    let record = NodeRecord::verify(text, &pins.of_node(index), &config.cluster, index, serial);
    let record = record.map_err(refused)?;
    let path = config.imports().join(format!("{index}.json"));
    let written = std::fs::create_dir_all(config.imports()).and_then(|()| write_whole(&path, text, 0o644));
    written.map_err(|error| NodeError::Write { path: path.display().to_string(), error })?;
    seen.note_record(&config.cluster, index, record.serial);
    state.keep(&seen)?;
    Ok((index, path))
}
