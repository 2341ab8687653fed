//! The key-value engine, version 2: versions of data under paths, and what is told of them.
//!
//! Writing always compares: version 0 stands for what is not there. Reading the *structure* of data is a call
//! of its own, with rights of its own, and gives no value: whoever describes secrets needs no right to read
//! one. So whatever must be known of a version is told in the names of its keys, which are written in one
//! call with the value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::connection::{Call, Connection};
use crate::error::VaultError;
use crate::settings::{Mount, is_path};

/// The key that a secret's value stands under.
pub const VALUE: &str = "value";
/// The key that what describes a version stands under, as names of keys.
pub const FACTS: &str = "keyboot";
/// The key that a document's text stands under.
pub const TEXT: &str = "text";

/// Looks at what others write and delete meanwhile.
const LOOKS: u32 = 5;

/// One key-value engine.
#[derive(Clone, Copy, Debug)]
pub struct Kv<'a> {
    connection: &'a Connection,
    mount: &'a Mount,
}

/// What is told of everything under one path.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Metadata {
    /// The number of the newest version; 0 where none was written yet.
    pub newest: u64,
    /// The versions that are known, by number.
    pub versions: BTreeMap<u64, VersionState>,
    /// What may be changed without a new version.
    pub custom: BTreeMap<String, String>,
}

/// What became of a version.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum VersionState {
    /// It can be read.
    Held,
    /// It cannot be read, and can be brought back.
    Deleted,
    /// It is gone.
    Destroyed,
}

/// The text of a secret or a document, as it was read. Wiped when dropped, never printed.
pub struct Held {
    /// The number of its version.
    pub version: u64,
    fields: BTreeMap<String, Zeroizing<String>>,
}

impl Held {
    /// Reveals a field.
    ///
    /// # Security
    ///
    /// It may be a secret. Whoever calls this says in an `EXPOSE` comment where it goes.
    #[must_use]
    pub fn expose(&self, field: &str) -> Option<&str> {
        self.fields.get(field).map(|text| text.as_str())
    }

    /// The fields that were not taken out.
    pub(crate) fn into_fields(self) -> impl Iterator<Item = (String, Zeroizing<String>)> {
        self.fields.into_iter()
    }

    /// Takes a field out.
    pub fn take(&mut self, field: &str) -> Option<Zeroizing<String>> {
        self.fields.remove(field)
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("version", &self.version).finish_non_exhaustive()
    }
}

impl<'a> Kv<'a> {
    /// The engine at a mount.
    #[must_use]
    pub fn new(connection: &'a Connection, mount: &'a Mount) -> Self {
        Self { connection, mount }
    }

    /// Writes a version if the newest one is `newest`; 0 where there must be none. Gives its number. What is
    /// told of it are names of keys beside the value.
    ///
    /// # Errors
    ///
    /// [`VaultError::Conflict`] where the newest one is another; [`VaultError::Denied`] as well, where the
    /// token may create and not update.
    pub async fn put_secret(
        &self,
        path: &str,
        value: &str,
        facts: &BTreeSet<String>,
        newest: u64,
    ) -> Result<u64, VaultError> {
        let facts = facts.iter().map(|fact| (fact.as_str(), "")).collect();
        // EXPOSE: to the store, over TLS.
        self.put(path, newest, SecretData { value, facts }).await
    }

    /// Writes a version of fields that are no secret, in the same way.
    ///
    /// # Errors
    ///
    /// As [`Self::put_secret`].
    pub async fn put_fields(
        &self,
        path: &str,
        fields: &BTreeMap<&str, &str>,
        newest: u64,
    ) -> Result<u64, VaultError> {
        self.put(path, newest, fields).await
    }

    async fn put(&self, path: &str, newest: u64, data: impl Serialize) -> Result<u64, VaultError> {
        #[derive(Serialize)]
        struct Asked<T> {
            options: Options,
            data: T,
        }
        #[derive(Serialize)]
        struct Options {
            cas: u64,
        }
        #[derive(Deserialize)]
        struct Put {
            version: u64,
        }
        // A second one after a lost answer finds the first: that is told as a conflict.
        let call =
            Call::write(self.at("data", path)?).body(&Asked { options: Options { cas: newest }, data })?;
        let put: Put = self.connection.call(&call).await?.data()?;
        Ok(put.version)
    }

    /// Reads a version, or the newest one; none where it is not there or was deleted.
    ///
    /// # Errors
    ///
    /// [`VaultError`]; what is not there is none.
    pub async fn read(&self, path: &str, version: Option<u64>) -> Result<Option<Held>, VaultError> {
        #[derive(Deserialize)]
        struct Read {
            data: Option<BTreeMap<String, Value>>,
            metadata: Told,
        }
        #[derive(Deserialize)]
        struct Told {
            version: u64,
        }
        let call = Call::read(self.at("data", path)?).version(version);
        let read: Read = match self.connection.call(&call).await {
            Ok(answer) => answer.data()?,
            Err(VaultError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(data) = read.data else { return Ok(None) };
        let texts = data.into_iter().filter_map(|(key, value)| match value {
            Value::String(text) => Some((key, Zeroizing::new(text))),
            _ => None,
        });
        Ok(Some(Held { version: read.metadata.version, fields: texts.collect() }))
    }

    /// Reads the newest version, and tells its number: what is written next has to follow it. 0 where none was
    /// written; none is read where the newest one was deleted.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn read_numbered(&self, path: &str) -> Result<(u64, Option<Held>), VaultError> {
        for _ in 0..LOOKS {
            if let Some(held) = self.read(path, None).await? {
                return Ok((held.version, Some(held)));
            }
            let Some(metadata) = self.metadata(path).await? else { return Ok((0, None)) };
            // One that can be read came in between: whoever took it for none would write over it.
            if metadata.versions.get(&metadata.newest) != Some(&VersionState::Held) {
                return Ok((metadata.newest, None));
            }
        }
        Err(VaultError::Unavailable {
            what: format!("what is at {path} in {}", self.mount),
            code: "others write and delete it all the time".into(),
        })
    }

    /// What describes a version, or the newest one: the names of its keys, never a value. None where it is
    /// not there or was deleted.
    ///
    /// # Errors
    ///
    /// [`VaultError`]; what is not there is none.
    pub async fn facts(
        &self,
        path: &str,
        version: Option<u64>,
    ) -> Result<Option<BTreeSet<String>>, VaultError> {
        #[derive(Deserialize)]
        struct Read {
            subkeys: Option<BTreeMap<String, Value>>,
        }
        let call = Call::read(self.at("subkeys", path)?).version(version);
        let read: Read = match self.connection.call(&call).await {
            Ok(answer) => answer.data()?,
            Err(VaultError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(subkeys) = read.subkeys else { return Ok(None) };
        let facts = subkeys.get(FACTS).and_then(Value::as_object);
        Ok(Some(facts.into_iter().flat_map(|facts| facts.keys().cloned()).collect()))
    }

    /// What is told of everything under a path; none where there is nothing.
    ///
    /// # Errors
    ///
    /// [`VaultError`]; what is not there is none.
    pub async fn metadata(&self, path: &str) -> Result<Option<Metadata>, VaultError> {
        #[derive(Deserialize)]
        struct Read {
            current_version: u64,
            #[serde(default)]
            versions: Option<BTreeMap<String, Version>>,
            #[serde(default)]
            custom_metadata: Option<BTreeMap<String, String>>,
        }
        #[derive(Deserialize)]
        struct Version {
            #[serde(default)]
            deletion_time: String,
            #[serde(default)]
            destroyed: bool,
        }
        let read: Read = match self.connection.call(&Call::read(self.at("metadata", path)?)).await {
            Ok(answer) => answer.data()?,
            Err(VaultError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let now = Timestamp::now();
        let state = |version: &Version| {
            let is_over = |at: &str| at.parse::<Timestamp>().map_or(true, |at| at <= now);
            if version.destroyed {
                VersionState::Destroyed
            } else if !version.deletion_time.is_empty() && is_over(&version.deletion_time) {
                VersionState::Deleted
            } else {
                VersionState::Held
            }
        };
        let versions = read.versions.unwrap_or_default();
        Ok(Some(Metadata {
            newest: read.current_version,
            versions: versions
                .iter()
                .filter_map(|(number, told)| Some((number.parse().ok()?, state(told))))
                .collect(),
            custom: read.custom_metadata.unwrap_or_default(),
        }))
    }

    /// Sets the whole of what may be changed without a version, also where nothing is stored yet.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn set_custom(&self, path: &str, custom: &BTreeMap<String, String>) -> Result<(), VaultError> {
        #[derive(Serialize)]
        struct Asked<'a> {
            custom_metadata: &'a BTreeMap<String, String>,
        }
        let call = Call::write(self.at("metadata", path)?).body(&Asked { custom_metadata: custom })?;
        self.connection.call(&call).await.map(drop)
    }

    /// Changes some of it in one call, and removes those without a value.
    ///
    /// # Errors
    ///
    /// [`VaultError::NotFound`] where nothing is under the path.
    pub async fn merge_custom(
        &self,
        path: &str,
        changes: &BTreeMap<&str, Option<&str>>,
    ) -> Result<(), VaultError> {
        #[derive(Serialize)]
        struct Asked<'a> {
            custom_metadata: &'a BTreeMap<&'a str, Option<&'a str>>,
        }
        let call = Call::merge(self.at("metadata", path)?).body(&Asked { custom_metadata: changes })?;
        self.connection.call(&call).await.map(drop)
    }

    /// What is right below a path; a folder ends in a slash. Empty where there is nothing.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn list(&self, path: &str) -> Result<Vec<String>, VaultError> {
        #[derive(Deserialize)]
        struct Listed {
            keys: Vec<String>,
        }
        match self.connection.call(&Call::list(self.at("metadata", path)?)).await {
            Ok(answer) => Ok(answer.data::<Listed>()?.keys),
            Err(VaultError::NotFound { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Everything below a path, with its whole path.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn list_all(&self, path: &str) -> Result<Vec<String>, VaultError> {
        let (mut found, mut folders) = (Vec::new(), vec![path.trim_end_matches('/').to_owned()]);
        while let Some(folder) = folders.pop() {
            for name in self.list(&folder).await? {
                let (is_folder, name) = (name.ends_with('/'), name.trim_end_matches('/'));
                let whole = format!("{folder}/{name}");
                // What has a name of another form is nobody's here.
                if is_path(&whole) {
                    if is_folder { folders.push(whole) } else { found.push(whole) }
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// Lets nobody read these versions until they are brought back.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn delete(&self, path: &str, versions: &[u64]) -> Result<(), VaultError> {
        self.change("delete", path, versions).await
    }

    /// Brings versions back.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn undelete(&self, path: &str, versions: &[u64]) -> Result<(), VaultError> {
        self.change("undelete", path, versions).await
    }

    async fn change(&self, how: &str, path: &str, versions: &[u64]) -> Result<(), VaultError> {
        #[derive(Serialize)]
        struct Asked<'a> {
            versions: &'a [u64],
        }
        let call = Call::write(self.at(how, path)?).body(&Asked { versions })?;
        self.connection.call(&call).await.map(drop)
    }

    /// Removes everything under a path for good. What is gone is fine.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn remove(&self, path: &str) -> Result<(), VaultError> {
        match self.connection.call(&Call::delete(self.at("metadata", path)?)).await {
            Ok(_) | Err(VaultError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn at(&self, part: &str, path: &str) -> Result<String, VaultError> {
        if is_path(path) {
            Ok(format!("{}/{part}/{path}", self.mount))
        } else {
            Err(VaultError::refused(
                format!("{part} of a path in {}", self.mount),
                "it is no path of one thing",
            ))
        }
    }
}

/// The data of a secret, as it is written.
#[derive(Serialize)]
struct SecretData<'a> {
    value: &'a str,
    #[serde(rename = "keyboot")]
    facts: BTreeMap<&'a str, &'a str>,
}
