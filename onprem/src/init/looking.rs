//! Whether a server will do: what keys are put into has to keep them, closed, and to tell who came.

use std::collections::BTreeSet;

use serde_json::Value;
use vault::server::{AuditDevice, Health};
use vault::{Mount, Server, Session};

use crate::error::OnpremError;
use crate::terminal::{say, show};

use super::setup::Setup;

/// How many audit devices there must be: a server that cannot write its log answers nobody, so that with one
/// its disk's end is the end of signing; and one log is changed more easily than two.
const AUDIT_DEVICES: usize = 2;

/// Refuses a server in development mode, and any other that forgets.
///
/// # Errors
///
/// [`OnpremError::Refused`], with the difference.
pub(super) fn refuse_development(health: &Health) -> Result<(), OnpremError> {
    match health.storage_type.as_str() {
        "raft" => Ok(()),
        storage if storage.starts_with("inmem") => Err(OnpremError::Refused(
            "THIS SERVER IS IN DEVELOPMENT MODE, and no key of anybody belongs into it. It looks like another one and \
             is none: it keeps everything in memory and forgets every key when it ends; it is open from the start, \
             with one unseal key and a root token that it prints on its terminal and that never end; it has no audit \
             device, so that nobody learns who read what; and most of them speak without TLS. A production server is \
             started with -config and without -dev: storage \"raft\", a listener with a certificate, two audit \
             devices. Nothing was changed"
                .into(),
        )),
        storage => Err(OnpremError::Refused(format!(
            "the server keeps its data in {}: it must be raft, which it keeps itself; nothing was changed",
            if storage.is_empty() { "a store that it does not name" } else { storage }
        ))),
    }
}

/// Refuses a server that speaks without TLS, or tells too little of who came.
///
/// # Errors
///
/// [`OnpremError::Refused`], with what has to change.
pub(super) async fn refuse_what_would_not_do(
    server: &Server<'_>,
    setup: &Setup,
    is_new: bool,
) -> Result<(), OnpremError> {
    refuse_plain_listeners(&server.configuration().await?, is_new)?;
    let mut devices: Vec<_> = server.audit_devices().await?.into_iter().collect();
    if logs(&devices).len() < AUDIT_DEVICES && !setup.audit_files.is_empty() {
        enable(server, setup).await?;
        devices = server.audit_devices().await?.into_iter().collect();
    }
    let logs = logs(&devices);
    if logs.len() < AUDIT_DEVICES {
        return Err(OnpremError::Refused(format!(
            "the server has {} audit devices that write to places of their own, and it must have {AUDIT_DEVICES}: a \
             server that cannot write its log answers nobody, and who can change one log can change the only one. \
             They stand in its configuration, as `audit \"file\" \"first\" {{ options {{ file_path = \"…\" }} }}` and \
             another on another disk: put them there{}",
            logs.len(),
            and_then(is_new)
        )));
    }
    show(&format!("Audit devices: {}.", logs.into_iter().collect::<Vec<_>>().join(", ")));
    Ok(())
}

/// Revokes root tokens that somebody left behind, such as one of a run that died: they have no end of their own.
///
/// # Errors
///
/// [`OnpremError`] where one may live on.
pub(super) async fn end_other_administrators(server: &Server<'_>, own: &Session) -> Result<(), OnpremError> {
    let own = own.token_facts().await?.accessor;
    for accessor in server.token_accessors().await?.into_iter().filter(|accessor| *accessor != own) {
        let Some(token) = server.token_by_accessor(&accessor).await? else { continue };
        if token.policies.iter().any(|policy| policy == "root") {
            server.revoke_accessor(&accessor).await?;
            show(&format!("Another root token was still alive, and is revoked: accessor {accessor}."));
        }
    }
    Ok(())
}

/// Where a device writes that writes nothing down.
const NOWHERE: [&str; 2] = ["/dev/null", "discard"];

/// Where the devices write, each place once. One that writes what it sees in plain is as none.
fn logs(devices: &[(String, AuditDevice)]) -> BTreeSet<String> {
    devices
        .iter()
        .filter(|(path, device)| {
            let option = |name: &str| device.options.as_ref().and_then(|options| options.get(name));
            let is_raw = option("log_raw")
                .is_some_and(|raw| matches!(raw.to_lowercase().as_str(), "true" | "1" | "t"));
            if ["file_path", "address"]
                .iter()
                .any(|name| option(name).is_some_and(|to| NOWHERE.contains(&to.as_str())))
            {
                say(&format!("the audit device {path} writes nothing down, and does not count"));
                return false;
            }
            if is_raw {
                say(&format!(
                    "the audit device {path} has log_raw: it writes secrets into its log, and does not count"
                ));
            }
            !is_raw
        })
        .map(|(path, device)| {
            let options = device.options.as_ref();
            let place = ["file_path", "address", "url"]
                .into_iter()
                .find_map(|name| options.and_then(|options| options.get(name)));
            format!("{} to {}", device.kind, place.unwrap_or(path))
        })
        .collect()
}

async fn enable(server: &Server<'_>, setup: &Setup) -> Result<(), OnpremError> {
    for (number, file) in setup.audit_files.iter().enumerate() {
        let name = format!("keyboot-{}", number + 1);
        let name: Mount = name.parse().map_err(|_| OnpremError::Config(format!("{name} is no name")))?;
        let file = file.to_str().ok_or_else(|| OnpremError::Config("`audit-files` must be UTF-8".into()))?;
        if let Err(error) = server.enable_audit_file(&name, file).await {
            say(&format!("the server takes no audit device by its API ({error}): it is configured"));
            return Ok(());
        }
    }
    Ok(())
}

/// What is done once the configuration is right: only a server that holds nothing yet begins anew.
fn and_then(is_new: bool) -> &'static str {
    if is_new {
        ". It was initialised just now and holds nothing: remove its data and the files with the shares as well, and \
         begin again"
    } else {
        ", start it again, and then run this again. Nothing was changed, and its data stay as they are"
    }
}

/// Every listener has TLS: what one says to a server without it, everybody on the way hears.
fn refuse_plain_listeners(configuration: &Value, is_new: bool) -> Result<(), OnpremError> {
    let listeners = configuration["listeners"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_plain = |listener: &&Value| {
        let flag = &listener["config"]["tls_disable"];
        let is_off = match flag {
            Value::Null | Value::Bool(false) => true,
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::String(text) => matches!(text.to_lowercase().as_str(), "" | "0" | "f" | "false"),
            _ => false,
        };
        listener["type"] == "tcp" && !is_off
    };
    match listeners.iter().find(is_plain) {
        None => Ok(()),
        Some(listener) => Err(OnpremError::Refused(format!(
            "the server also listens without TLS, at {}: every token and every key that goes there is read on the \
             way: take that listener away{}",
            listener["config"]["address"].as_str().unwrap_or("an address that it does not tell"),
            and_then(is_new)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn device(options: &Value) -> AuditDevice {
        serde_json::from_value(json!({ "type": "file", "options": options })).unwrap()
    }

    fn health(storage: &str) -> Health {
        serde_json::from_value(json!({ "initialized": true, "sealed": false, "storage_type": storage }))
            .unwrap()
    }

    #[test]
    fn development_mode_is_refused_loudly() {
        for storage in ["inmem", "inmem_ha", "inmem_transactional_ha"] {
            let said = refuse_development(&health(storage)).unwrap_err().to_string();
            assert!(said.contains("DEVELOPMENT MODE"), "{said}");
            for difference in ["memory", "root token", "audit", "TLS", "-dev", "raft"] {
                assert!(said.contains(difference), "{difference}: {said}");
            }
        }
        assert!(refuse_development(&health("file")).unwrap_err().to_string().contains("must be raft"));
        assert!(refuse_development(&health("")).is_err());
        refuse_development(&health("raft")).unwrap();
    }

    #[test]
    fn two_devices_on_one_file_are_one_and_one_in_plain_is_none() {
        let one = ("one/".to_owned(), device(&json!({ "file_path": "/var/log/a" })));
        let same = ("two/".to_owned(), device(&json!({ "file_path": "/var/log/a" })));
        let other = ("three/".to_owned(), device(&json!({ "file_path": "/var/log/b" })));
        let raw = ("raw/".to_owned(), device(&json!({ "file_path": "/var/log/c", "log_raw": "true" })));
        let nowhere = ("null/".to_owned(), device(&json!({ "file_path": "/dev/null" })));
        assert_eq!(logs(&[one.clone(), same, raw, nowhere]).len(), 1);
        assert_eq!(logs(&[one, other]).len(), 2);
    }

    #[test]
    fn a_listener_without_tls_is_refused_by_its_address() {
        let listening = |flag: Value| {
            json!({ "listeners": [
                { "type": "tcp", "config": { "address": "127.0.0.1:8200" } },
                { "type": "tcp", "config": { "address": "127.0.0.1:8300", "tls_disable": flag } },
            ] })
        };
        for plain in [json!(true), json!("true"), json!("1")] {
            let said = refuse_plain_listeners(&listening(plain.clone()), true).unwrap_err().to_string();
            assert!(said.contains("127.0.0.1:8300") && said.contains("remove its data"), "{said}");
            // One that holds keys is never told to be emptied.
            let said = refuse_plain_listeners(&listening(plain), false).unwrap_err().to_string();
            assert!(said.contains("127.0.0.1:8300") && !said.contains("remove"), "{said}");
        }
        for with_tls in [json!(false), json!("false"), json!(null)] {
            refuse_plain_listeners(&listening(with_tls), true).unwrap();
        }
    }
}
