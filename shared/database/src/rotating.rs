//! The four steps of a rotation.

use rotation::{CURRENT, PENDING, RotationToken, SecretVersions, Tested};

use crate::ensuring::{NotWorking, master_session, works};
use crate::login_secret::LoginSecret;
use crate::password::{NoRandomness, Password};
use crate::ports::{Held, LoginStore, NewVersion, Put, Server, ServerError, Session, StoreError};

/// Why a step was not done.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RotationError {
    /// Nothing is handed out yet that could be rotated.
    #[error("no login is handed out yet: the stack makes the first one")]
    NothingCurrent,
    /// The version was not made here.
    #[error("the version was not made by this function: start another rotation")]
    NotMade,
    /// The version was made, and cannot be rotated to any more.
    #[error(
        "the version is of the login that is handed out, or of a database in another place: it is no longer \
         pending; start another rotation"
    )]
    Outdated,
    /// Another run was faster.
    #[error("the version is not pending any more: another run was faster")]
    NotPending,
    /// The login does not work.
    #[error("the version's login does not work: it {0}")]
    NotWorking(NotWorking),
    /// The store says why.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server says why.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// There is no password to be had.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// Rotates from one login to the other.
#[derive(Clone, Copy, Debug)]
pub struct Rotation<'a, S, P> {
    /// Where logins are stored.
    pub store: &'a S,
    /// The database.
    pub server: &'a P,
}

impl<S: LoginStore, P: Server> Rotation<'_, S, P> {
    /// Stores the login that is not handed out, with a new password, unless the version has one. The
    /// database does not know it yet.
    ///
    /// # Errors
    ///
    /// [`RotationError`].
    pub async fn create(&self, version: &str, token: Option<&RotationToken>) -> Result<(), RotationError> {
        let current = self.current().await?;
        match self.store.read(version).await? {
            Held::Nothing => {}
            held => return self.usable_or_taken_back(version, held, &current).await,
        }
        let (place, login) = (self.server.place().clone(), current.login.other());
        let secret = LoginSecret { place, login, password: Password::make()? };
        let new = NewVersion { id: version, label: PENDING, secret: &secret, rotation_token: token };
        match self.store.put(new).await? {
            Put::Done => Ok(()),
            // A duplicate was faster: it has another password.
            Put::Taken => {
                let held = self.store.read(version).await?;
                self.usable_or_taken_back(version, held, &current).await
            }
        }
    }

    /// Has the database accept the version's login. Whoever still used that login, from before the last
    /// rotation, cannot log in by it any more.
    ///
    /// # Errors
    ///
    /// [`RotationError`].
    pub async fn set(&self, version: &str) -> Result<(), RotationError> {
        let session = master_session::<P, RotationError>(self.store, self.server).await?;
        let set = self.set_alone(&session, version).await;
        session.close().await;
        set
    }

    /// Under the lock: what was checked before it may have changed.
    async fn set_alone(&self, session: &P::Session, version: &str) -> Result<(), RotationError> {
        let described = self.store.describe().await?.ok_or(RotationError::NothingCurrent)?;
        if !described.is_staged(version, PENDING) || described.is_staged(version, CURRENT) {
            return Err(RotationError::NotPending);
        }
        let current = self.current_of(&described).await?;
        let secret = self.made(version).await?;
        if !self.is_usable(&secret, &current) {
            return Err(RotationError::Outdated);
        }
        Ok(session.accept(secret.login, &secret.password.verifier()).await?)
    }

    /// Logs in by the version. Nothing is changed.
    ///
    /// # Errors
    ///
    /// [`RotationError`].
    pub async fn test(&self, version: &str) -> Result<Tested, RotationError> {
        let Held::Login(secret) = self.store.read(version).await? else { return Ok(Tested::NotOurs) };
        let described = self.store.describe().await?.ok_or(RotationError::NothingCurrent)?;
        let current = self.current_of(&described).await?;
        // What is made for a rotation is always of the other login: this is somebody's copy.
        if secret.login == current.login && !described.is_staged(version, CURRENT) {
            return Ok(Tested::NotOurs);
        }
        self.prove(&secret).await?;
        Ok(Tested::Passed)
    }

    /// Makes the version current, if it works, and ends the rotation.
    ///
    /// # Errors
    ///
    /// [`RotationError`].
    pub async fn finish(&self, version: &str, described: &SecretVersions) -> Result<(), RotationError> {
        if !described.is_staged(version, CURRENT) {
            let from = described.staged(CURRENT).ok_or(RotationError::NothingCurrent)?;
            self.prove(&self.made(version).await?).await?;
            self.store.make_current(from, version).await?;
        }
        Ok(self.store.take_label(version, PENDING).await?)
    }

    /// Takes back what another rotation has left pending: its label. Its password, should the database
    /// know it, goes with the next one that is set.
    ///
    /// # Errors
    ///
    /// [`RotationError`].
    pub async fn discard(&self, version: &str) -> Result<(), RotationError> {
        Ok(self.store.take_label(version, PENDING).await?)
    }

    async fn current(&self) -> Result<LoginSecret, RotationError> {
        let described = self.store.describe().await?.ok_or(RotationError::NothingCurrent)?;
        self.current_of(&described).await
    }

    async fn current_of(&self, described: &SecretVersions) -> Result<LoginSecret, RotationError> {
        let current = described.staged(CURRENT).ok_or(RotationError::NothingCurrent)?;
        match self.store.read(current).await? {
            Held::Login(secret) => Ok(secret),
            Held::Nothing | Held::SomethingElse => Err(RotationError::NothingCurrent),
        }
    }

    async fn made(&self, version: &str) -> Result<LoginSecret, RotationError> {
        match self.store.read(version).await? {
            Held::Login(secret) => Ok(secret),
            Held::Nothing | Held::SomethingElse => Err(RotationError::NotMade),
        }
    }

    async fn prove(&self, secret: &LoginSecret) -> Result<(), RotationError> {
        if secret.place != *self.server.place() {
            return Err(RotationError::Outdated);
        }
        works(self.server.try_login(secret).await?).map_err(RotationError::NotWorking)
    }

    fn is_usable(&self, secret: &LoginSecret, current: &LoginSecret) -> bool {
        secret.login != current.login && secret.place == *self.server.place()
    }

    /// A version has one value for ever. Where a stack has made another login since it got its own, it is
    /// of no use any more, and pending it would be in the way of every other rotation.
    async fn usable_or_taken_back(
        &self,
        version: &str,
        held: Held,
        current: &LoginSecret,
    ) -> Result<(), RotationError> {
        match held {
            Held::Login(secret) if self.is_usable(&secret, current) => Ok(()),
            Held::Login(_) | Held::SomethingElse => {
                self.store.take_label(version, PENDING).await?;
                Err(RotationError::Outdated)
            }
            Held::Nothing => Err(RotationError::NotPending),
        }
    }
}
