//! What is kept between two runs: the highest serial numbers that were seen.

use std::path::{Path, PathBuf};

use reading::Seen;

use crate::error::NodeError;
use crate::files::write_whole;

/// Where the highest serial numbers are kept.
#[derive(Clone, Debug)]
pub struct State {
    path: PathBuf,
}

impl State {
    /// Below a folder.
    #[must_use]
    pub fn below(folder: &Path) -> Self {
        Self { path: folder.join("seen.json") }
    }

    /// What has been seen; nothing at first.
    ///
    /// # Errors
    ///
    /// [`NodeError::State`]: a file that cannot be read is not nothing.
    pub fn load(&self) -> Result<Seen, NodeError> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => serde_json::from_str(&text).map_err(|error| self.fault(&error.to_string())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Seen::default()),
            Err(error) => Err(self.fault(&error.to_string())),
        }
    }

    /// Keeps what has been seen, beside what another process has seen meanwhile.
    ///
    /// # Errors
    ///
    /// As [`State::load`].
    pub fn keep(&self, seen: &Seen) -> Result<(), NodeError> {
        let before = self.load()?;
        let mut after = before.clone();
        after.merge(seen);
        if after == before {
            return Ok(());
        }
        let text = serde_json::to_string(&after).map_err(|error| self.fault(&error.to_string()))?;
        write_whole(&self.path, &text, 0o600).map_err(|error| self.fault(&error.to_string()))
    }

    fn fault(&self, fault: &str) -> NodeError {
        NodeError::State(format!("{}: {fault}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_processes_have_seen_is_kept_of_both() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::below(&folder.path().join("state"));
        let cluster = "keyboot/tsm".parse().unwrap();
        let [mut one, mut other] = [state.load().unwrap(), state.load().unwrap()];
        one.note_record(&cluster, "0".parse().unwrap(), 7);
        other.note_record(&cluster, "0".parse().unwrap(), 5);
        other.note_roster(&cluster, 2);
        state.keep(&one).unwrap();
        state.keep(&other).unwrap();
        let seen = state.load().unwrap();
        assert_eq!((seen.record(&cluster, "0".parse().unwrap()), seen.roster(&cluster)), (7, 2));
        std::fs::write(folder.path().join("state/seen.json"), "{").unwrap();
        assert!(state.load().unwrap_err().to_string().contains("seen.json"));
        assert!(state.keep(&one).is_err());
    }
}
