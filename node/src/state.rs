//! What is kept between two runs: the highest serial numbers that were seen, the records that were believed,
//! and what a command was started with. Public facts.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use provisioning::names::{ClusterName, NodeIndex};
use reading::{ClusterView, Seen};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::NodeError;
use crate::files::write_whole;

/// Where it is kept.
#[derive(Clone, Debug)]
pub struct State {
    folder: PathBuf,
}

impl State {
    /// Below a folder.
    #[must_use]
    pub fn below(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// What has been seen; nothing at first.
    ///
    /// # Errors
    ///
    /// [`NodeError::State`]: a file that cannot be read is not nothing.
    pub fn load(&self) -> Result<Seen, NodeError> {
        Ok(self.read(SEEN)?.unwrap_or_default())
    }

    /// Keeps what has been seen, beside what another process has seen meanwhile.
    ///
    /// # Errors
    ///
    /// As [`State::load`].
    pub fn keep(&self, seen: &Seen) -> Result<(), NodeError> {
        let fault = |error: &dyn std::fmt::Display| self.fault(SEEN, error);
        fs::create_dir_all(&self.folder).map_err(|error| fault(&error))?;
        let lock = File::create(self.folder.join("lock")).map_err(|error| fault(&error))?;
        let _lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| fault(&error))?;
        let before = self.load()?;
        let mut after = before.clone();
        after.merge(seen);
        if after == before { Ok(()) } else { self.write(SEEN, &after) }
    }

    /// Keeps the records that are believed now, for when what is there is not.
    ///
    /// # Errors
    ///
    /// [`NodeError::State`] when they cannot be written.
    pub fn keep_records(&self, view: &ClusterView) -> Result<(), NodeError> {
        let folder = self.known(&view.cluster);
        let name = folder.display().to_string();
        fs::create_dir_all(&folder).map_err(|error| self.fault(&name, &error))?;
        for (index, text) in &view.texts {
            let path = folder.join(format!("{index}.json"));
            if fs::read_to_string(&path).is_ok_and(|known| known == *text) {
                continue;
            }
            write_whole(&path, text, 0o600).map_err(|error| self.fault(&name, &error))?;
        }
        Ok(())
    }

    /// The record of a node that was believed last.
    #[must_use]
    pub fn known_record(&self, cluster: &ClusterName, index: NodeIndex) -> Option<String> {
        fs::read_to_string(self.known(cluster).join(format!("{index}.json"))).ok()
    }

    /// Reads a file; nothing where there is none.
    pub(crate) fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, NodeError> {
        match fs::read_to_string(self.folder.join(name)) {
            Ok(text) => serde_json::from_str(&text).map(Some).map_err(|error| self.fault(name, &error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.fault(name, &error)),
        }
    }

    pub(crate) fn write<T: Serialize>(&self, name: &str, what: &T) -> Result<(), NodeError> {
        let text = serde_json::to_string(what).map_err(|error| self.fault(name, &error))?;
        write_whole(&self.folder.join(name), &text, 0o600).map_err(|error| self.fault(name, &error))
    }

    fn known(&self, cluster: &ClusterName) -> PathBuf {
        self.folder.join("known").join(cluster.as_str())
    }

    fn fault(&self, name: &str, fault: &dyn std::fmt::Display) -> NodeError {
        NodeError::State(format!("{}: {fault}", self.folder.join(name).display()))
    }
}

/// The highest serial numbers.
const SEEN: &str = "seen.json";

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
