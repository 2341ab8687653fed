//! The audit log: one JSON line on standard output for each event, as CloudWatch Logs takes it.

use std::io::Write as _;

use provisioning::audit::AuditEvent;
use provisioning::ports::AuditLog;

use crate::session::AwsWorld;

/// Writes JSON lines to standard output.
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonLines;

impl JsonLines {
    /// Writes one value as one line. A log that cannot be written stops nothing.
    pub fn write(self, value: &impl serde::Serialize) {
        if let Ok(mut line) = serde_json::to_vec(value) {
            line.push(b'\n');
            let _ = std::io::stdout().lock().write_all(&line);
        }
    }
}

impl AuditLog for AwsWorld {
    fn record(&self, event: &AuditEvent<'_>) {
        self.log.write(event);
    }
}
