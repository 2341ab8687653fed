//! The audit log: one JSON line for each event, in the file that the configuration names or on standard error.
//!
//! The events are provisioning's, of its fixed schema: they name things, versions and public halves, and have no
//! field that could hold a value.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::{Arc, Mutex};

use serde::Serialize;

use crate::config::Config;
use crate::error::OnpremError;

/// Where events are written down.
#[derive(Clone, Debug)]
pub struct Audit(Log);

#[derive(Clone, Debug)]
enum Log {
    Nowhere,
    StandardError,
    File(Arc<Mutex<File>>),
}

impl Audit {
    /// One that nothing is written to: for what changes nothing.
    #[must_use]
    pub fn silent() -> Self {
        Self(Log::Nowhere)
    }

    /// Opens the log that the configuration names. What was written before stays.
    ///
    /// # Errors
    ///
    /// [`OnpremError::Write`] when the file cannot be opened: nothing is done that could not be written down.
    pub fn open(config: &Config) -> Result<Self, OnpremError> {
        let Some(path) = &config.audit_log else { return Ok(Self(Log::StandardError)) };
        // Its group may read it; what is in it is public, and who did what is for few to know.
        let file = OpenOptions::new().create(true).append(true).mode(0o640).open(path);
        let file = file.map_err(|error| OnpremError::Write { path: path.display().to_string(), error })?;
        Ok(Self(Log::File(Arc::new(Mutex::new(file)))))
    }

    /// Writes one event as one line. A log that cannot be written any more stops nothing.
    pub fn write(&self, event: &impl Serialize) {
        let Ok(mut line) = serde_json::to_vec(event) else { return };
        line.push(b'\n');
        match &self.0 {
            Log::File(file) => {
                if let Ok(mut file) = file.lock() {
                    // One call for the whole line: others may append to the same file.
                    let _ = file.write_all(&line);
                }
            }
            Log::Nowhere => {}
            Log::StandardError => {
                let _ = std::io::stderr().lock().write_all(&line);
            }
        }
    }
}
