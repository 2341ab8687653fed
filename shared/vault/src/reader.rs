//! A server behind the ports of `reading`: what a node reads with.
//!
//! It logs in when the first call needs it. A token that has ended is replaced by another login, where the
//! file of the secret id has a new one; before that it is made longer as far as its role lets it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use provisioning::sealing::SealedSecret;
use reading::ReadError;
use reading::ports::{
    CurrentReader, CurrentValue, DocumentReader, Opened, Opener, SecretReader, StoredText, VersionReader,
};
use tokio::sync::Mutex;

use crate::error::VaultError;
use crate::kv::{Kv, TEXT, VALUE};
use crate::role_keys::RoleKeyName;
use crate::session::Session;
use crate::settings::{Login, Place, Settings};
use crate::transit::Transit;
use crate::world::EXPIRES;

/// What to look at where a version is not there that the record names.
const NO_VERSION: &str = "the node's record names a version of it that is not there (any more)";
/// The same of what is no name of this server.
const NO_NAME: &str = "no name of anything on this server";
/// What is not on premises.
const NOT_HERE: &str = "on premises nothing is read without a version that a signed record names";
/// A token that lasts less than this is made longer.
const SOON: Duration = Duration::from_mins(2);

/// A server, as a reader sees it.
#[derive(Debug)]
pub struct VaultReader {
    settings: Settings,
    place: Place,
    session: Mutex<Option<Live>>,
}

/// A login that is used at the moment.
#[derive(Clone, Debug)]
struct Live {
    session: Arc<Session>,
    /// When the token ends; none where it does not.
    ends: Option<Instant>,
    renewable: bool,
}

impl VaultReader {
    /// Takes the settings; opens nothing.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let place = settings.place();
        Self { settings, place, session: Mutex::new(None) }
    }

    /// What names things on the server.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Reads the key of a chain's role, by its exact path: 64 hexadecimal digits.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub async fn role_key(&self, name: &RoleKeyName) -> Result<StoredText, ReadError> {
        let arn = self.place.secret_arn(&name.to_string());
        self.fetch_version(&arn, "1").await
    }

    /// Gives the login back, where there is one: its token is revoked, and the next call logs in anew. A token that
    /// came from a file is somebody else's, and stays.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn end(&self) -> Result<(), VaultError> {
        match (self.session.lock().await.take(), &self.settings.login) {
            (Some(live), Login::AppRole(_)) => live.session.revoke().await,
            _ => Ok(()),
        }
    }

    /// Runs `work` with a login. Where it is denied and the token proves to have ended, once more with a new
    /// one.
    async fn with<T>(&self, work: impl AsyncFn(&Session) -> Result<T, VaultError>) -> Result<T, VaultError> {
        let session = self.session().await?;
        match work(&session).await {
            Err(denied @ VaultError::Denied { .. }) => {
                if !session.connection().is_dead().await? {
                    return Err(denied);
                }
                self.forget(&session).await;
                work(&*self.session().await?).await
            }
            other => other,
        }
    }

    async fn session(&self) -> Result<Arc<Session>, VaultError> {
        let mut held = self.session.lock().await;
        if let Some(live) = &mut *held {
            let lasts = |ends: Instant, time| ends.saturating_duration_since(Instant::now()) > time;
            if live.ends.is_none_or(|ends| lasts(ends, SOON)) {
                return Ok(Arc::clone(&live.session));
            }
            if live.renewable
                && let Ok(longer) = live.session.renew().await
            {
                live.ends = Some(Instant::now() + longer);
                // It may not last longer than this any more: the next login is tried while it still does.
                live.renewable = longer > SOON;
                if longer > Duration::ZERO {
                    return Ok(Arc::clone(&live.session));
                }
            }
        }
        match self.log_in().await {
            Ok(live) => Ok(Arc::clone(&held.insert(live).session)),
            // A token that has not ended yet is better than none.
            Err(error) => match &*held {
                Some(live) if live.ends.is_none_or(|ends| ends > Instant::now()) => {
                    Ok(Arc::clone(&live.session))
                }
                _ => Err(error),
            },
        }
    }

    async fn log_in(&self) -> Result<Live, VaultError> {
        let session = Session::open(&self.settings).await?;
        // Where it may not look at itself, or does not come to it, the login told how long it lasts.
        let facts = session.token_facts().await.ok();
        let lasts = session.lease().or_else(|| facts.as_ref()?.ttl);
        let ends = lasts.map(|lasts| Instant::now() + lasts);
        let renewable = facts.is_none_or(|facts| facts.renewable);
        Ok(Live { session: Arc::new(session), ends, renewable })
    }

    async fn forget(&self, session: &Arc<Session>) {
        let mut held = self.session.lock().await;
        if held.as_ref().is_some_and(|live| Arc::ptr_eq(&live.session, session)) {
            *held = None;
        }
    }
}

impl DocumentReader for VaultReader {
    async fn read_documents(&self, names: &[String]) -> Result<Vec<Option<String>>, ReadError> {
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            let path = self.place.document_path(name).ok_or_else(|| no_name(name))?;
            let read = self
                .with(async |session| {
                    let kv = Kv::new(session.connection(), &self.place.mounts.documents);
                    kv.read(path, None).await
                })
                .await;
            let read = read.map_err(|error| error.into_read_error("read", name, NO_VERSION))?;
            let is_over = |at: &str| at.parse::<Timestamp>().is_ok_and(|at| at <= Timestamp::now());
            let read = read.filter(|held| !held.expose(EXPIRES).is_some_and(is_over));
            // EXPOSE: a document is public.
            found.push(read.and_then(|held| held.expose(TEXT).map(str::to_owned)));
        }
        Ok(found)
    }
}

impl SecretReader for VaultReader {
    async fn fetch_version(&self, arn: &str, version_id: &str) -> Result<StoredText, ReadError> {
        let path = self.place.secret_path(arn).ok_or_else(|| no_name(arn))?;
        let number = version_id.parse::<u64>().ok().filter(|number| *number > 0);
        let number = number.ok_or_else(|| ReadError::Refused {
            name: arn.to_owned(),
            code: "a version's number is what it is named by".into(),
        })?;
        let held = self
            .with(async |session| {
                let kv = Kv::new(session.connection(), &self.place.mounts.secrets);
                kv.read(path, Some(number)).await
            })
            .await
            .map_err(|error| error.into_read_error("read", arn, NO_VERSION))?;
        let missing = || ReadError::NotFound { name: arn.to_owned(), hint: NO_VERSION };
        let mut held = held.filter(|held| held.version == number).ok_or_else(missing)?;
        let mut text = held
            .take(VALUE)
            .ok_or_else(|| ReadError::Refused { name: arn.to_owned(), code: "it has no value".into() })?;
        Ok(StoredText::new(std::mem::take(&mut *text)))
    }
}

impl CurrentReader for VaultReader {
    async fn fetch_current(&self, arn: &str) -> Result<CurrentValue, ReadError> {
        Err(ReadError::Refused { name: arn.to_owned(), code: NOT_HERE.into() })
    }
}

impl VersionReader for VaultReader {
    async fn current_version(&self, arn: &str) -> Result<String, ReadError> {
        Err(ReadError::Refused { name: arn.to_owned(), code: NOT_HERE.into() })
    }
}

impl Opener for VaultReader {
    async fn open(&self, sealed: &SealedSecret) -> Result<Opened, ReadError> {
        let arn = sealed.key_arn();
        let key = self.place.transit_key(arn).ok_or_else(|| no_name(arn))?;
        let opened = self
            .with(async |session| {
                let transit = Transit::new(session.connection(), &self.place.mounts.transit);
                transit.open(&key, sealed.context(), sealed.ciphertext()).await
            })
            .await;
        let opened = opened.map_err(|error| error.into_read_error("decrypt", arn, NO_NAME))?;
        Ok(Opened::new(std::mem::take(&mut *opened.into_inner())))
    }
}

fn no_name(name: &str) -> ReadError {
    ReadError::Refused { name: name.to_owned(), code: NO_NAME.into() }
}
