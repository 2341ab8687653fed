//! What a command runs with, as far as public documents tell.

use jiff::Timestamp;
use reading::ClusterView;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::error::NodeError;
use crate::files::write_whole;
use crate::formats::{Format, tsm};
use crate::state::State;

/// Where `exec` says what its command was started with.
const FILE: &str = "running.json";

/// What a command runs with. Two that are equal are no reason to start it again.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct RunsWith {
    /// What it gets when it starts, and not again.
    pub own: Vec<String>,
    /// The version of the login at its database, which it gets when it starts as well.
    #[serde(default)]
    pub database_login: Option<String>,
    /// The key of the sequencer, which it gets when it starts as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequencer: Option<String>,
    /// What it reads from a file that keyboot-node writes.
    pub public: Option<String>,
}

/// What a command gets that no record tells of, where it gets that.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Beside {
    /// The version of the login at its database.
    pub database_login: Option<String>,
    /// The key of the sequencer, as [`SequencerKey`](crate::sequencer::SequencerKey) tells it.
    pub sequencer: Option<String>,
}

/// The same of a process.
#[derive(Serialize, Deserialize)]
struct Running {
    pid: u32,
    with: RunsWith,
}

impl RunsWith {
    /// What it has to be at a time, with this beside what records tell of.
    ///
    /// # Errors
    ///
    /// [`NodeError`] when the configuration lacks something, or the cluster cannot be described so.
    pub fn of(
        config: &Config,
        view: &ClusterView,
        beside: Beside,
        now: Timestamp,
    ) -> Result<Self, NodeError> {
        let record = view.record_at(config.index()?, now);
        let mut own: Vec<String> = record.iter().map(|record| record.version_id.clone()).collect();
        own.extend(record.and_then(|record| record.share_version_id));
        if config.format()? == Format::Horcrux {
            // Its peers' keys are in the same document as its own.
            let peers = view.records.keys().filter_map(|peer| view.record_at(*peer, now));
            own.extend(peers.map(|peer| format!("{} {}", peer.index, peer.fingerprint)));
        }
        let public = match &config.tsm {
            Some(tsm) if config.public_file().is_some() => {
                Some(tsm::render(view, config.index()?, now, &tsm.layout)?)
            }
            _ => None,
        };
        let Beside { database_login, sequencer } = beside;
        Ok(Self { own, database_login, sequencer, public })
    }

    /// Whether a process that runs with another one has nothing new but what it reads from a file.
    pub(crate) fn differs_in_public_only(&self, other: &Self) -> bool {
        (&self.own, &self.database_login, &self.sequencer)
            == (&other.own, &other.database_login, &other.sequencer)
    }

    /// Writes what is public of it to where the command reads it, if that is keyboot-node's to write.
    ///
    /// # Errors
    ///
    /// [`NodeError::Write`].
    pub(crate) fn write_public(&self, config: &Config) -> Result<(), NodeError> {
        let (Some(text), Some(path)) = (&self.public, config.public_file()) else { return Ok(()) };
        let written = write_whole(path, text, 0o644);
        written.map_err(|error| NodeError::Write { path: path.display().to_string(), error })
    }

    /// Says that this process runs with it.
    pub(crate) fn say(&self, state: &State) -> Result<(), NodeError> {
        state.write(FILE, &Running { pid: std::process::id(), with: self.clone() })
    }

    /// What a process was started with, if it has said so.
    pub(crate) fn said_by(pid: u32, state: &State) -> Option<Self> {
        let running: Running = state.read(FILE).ok()??;
        (running.pid == pid).then_some(running.with)
    }
}
