//! For a stack: there is a login that works.

use std::fmt;
use std::time::Duration;

use rotation::CURRENT;

use crate::login::Login;
use crate::login_secret::LoginSecret;
use crate::password::{NoRandomness, Password};
use crate::ports::{Held, LoginStore, NewVersion, Put, Server, ServerError, Session, StoreError, Tried};

/// How long RDS may take between telling the server a new password and storing it: it does both when it
/// rotates the master user's.
const BETWEEN: Duration = Duration::from_secs(2);

/// What was done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Ensured {
    /// Nothing: the login that is handed out works.
    AsItWas,
    /// The database was told the login that is handed out.
    ToldAgain,
    /// The login that is handed out says now where the database is.
    Moved,
    /// A login was made.
    Made,
}

impl fmt::Display for Ensured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AsItWas => "the login works: nothing was changed",
            Self::ToldAgain => "the database did not know the login, and was told it",
            Self::Moved => "the login is stored with the place where the database is now",
            Self::Made => "a login was made",
        })
    }
}

/// Why there is no login that works.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EnsureError {
    /// The secret is not there.
    #[error("the secret of the login does not exist")]
    NoSecret,
    /// The version that this request would make was made, and something else was put over it since.
    #[error("what this request has stored was replaced by something that is no login: start another update")]
    Replaced,
    /// The server was told the login, and it does not work.
    #[error("the login does not work although the database was told it: it {0}")]
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

/// What is wrong with a login.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotWorking {
    /// The server does not accept it.
    Refused,
    /// It may do too little or too much.
    Incomplete,
}

impl fmt::Display for NotWorking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "is not accepted",
            Self::Incomplete => "may do too little, or more than it should",
        })
    }
}

/// Sees to it that the login which is handed out works. `version` is the id of the version that this
/// request puts, should it have to; the same request names the same one.
///
/// A login that is stored and that the database does not know is told to it, as it is stored: so a run
/// that died after storing it is completed, and a database that was restored from a snapshot gets its login
/// back. Nothing is looked at with the master user's rights before it is known to be needed.
///
/// # Errors
///
/// [`EnsureError`].
pub async fn ensure<P: Server>(
    store: &impl LoginStore,
    server: &P,
    version: &str,
) -> Result<Ensured, EnsureError> {
    if matches!(handed_out(store, server).await?, HandedOut::Working) {
        return Ok(Ensured::AsItWas);
    }
    let session = master_session::<P, EnsureError>(store, server).await?;
    let ensured = mend(store, server, &session, version).await;
    session.close().await;
    ensured
}

/// The same under the lock, with another look at what there is.
async fn mend<P: Server>(
    store: &impl LoginStore,
    server: &P,
    session: &P::Session,
    version: &str,
) -> Result<Ensured, EnsureError> {
    let (secret, ensured) = match handed_out(store, server).await? {
        HandedOut::Working => return Ok(Ensured::AsItWas),
        HandedOut::Unknown(secret) => (secret, Ensured::ToldAgain),
        HandedOut::Elsewhere(LoginSecret { login, password, .. }) => {
            let secret = LoginSecret { place: server.place().clone(), login, password };
            (put(store, version, secret).await?, Ensured::Moved)
        }
        HandedOut::Nothing => {
            let (login, password) = (Login::A, Password::make()?);
            let secret = LoginSecret { place: server.place().clone(), login, password };
            (put(store, version, secret).await?, Ensured::Made)
        }
    };
    // A database that only has another address knows the login.
    if server.try_login(&secret).await? != Tried::Works {
        session.accept(secret.login, &secret.password.verifier()).await?;
        works(server.try_login(&secret).await?).map_err(EnsureError::NotWorking)?;
    }
    Ok(ensured)
}

/// What is handed out to who asks for a login now.
enum HandedOut {
    /// Nothing, or nothing that is a login.
    Nothing,
    /// A login of a database in another place.
    Elsewhere(LoginSecret),
    /// A login that the database does not know, or not as it should be.
    Unknown(LoginSecret),
    /// A login that works.
    Working,
}

async fn handed_out(store: &impl LoginStore, server: &impl Server) -> Result<HandedOut, EnsureError> {
    let described = store.describe().await?.ok_or(EnsureError::NoSecret)?;
    let Some(current) = described.staged(CURRENT) else { return Ok(HandedOut::Nothing) };
    Ok(match store.read(current).await? {
        Held::Nothing | Held::SomethingElse => HandedOut::Nothing,
        Held::Login(secret) if secret.place != *server.place() => HandedOut::Elsewhere(secret),
        Held::Login(secret) => match server.try_login(&secret).await? {
            Tried::Works => HandedOut::Working,
            Tried::Refused | Tried::Incomplete => HandedOut::Unknown(secret),
        },
    })
}

/// Stores a login as the one that is handed out, before the database is told.
async fn put(
    store: &impl LoginStore,
    version: &str,
    secret: LoginSecret,
) -> Result<LoginSecret, EnsureError> {
    let new = NewVersion { id: version, label: CURRENT, secret: &secret, rotation_token: None };
    match store.put(new).await? {
        Put::Done => Ok(secret),
        Put::Taken => Err(EnsureError::Replaced),
    }
}

pub(crate) fn works(tried: Tried) -> Result<(), NotWorking> {
    match tried {
        Tried::Works => Ok(()),
        Tried::Refused => Err(NotWorking::Refused),
        Tried::Incomplete => Err(NotWorking::Incomplete),
    }
}

/// Logs in as the master user. RDS gives him another password whenever it likes, so one that is not
/// accepted is read again, once.
pub(crate) async fn master_session<P: Server, E>(store: &impl LoginStore, server: &P) -> Result<P::Session, E>
where
    E: From<StoreError> + From<ServerError>,
{
    let master = store.master().await?;
    match server.as_master(&master).await {
        Err(ServerError::Refused) => {
            let mut again = store.master().await?;
            if again.is_same_as(&master) {
                tokio::time::sleep(BETWEEN).await;
                again = store.master().await?;
            }
            Ok(server.as_master(&again).await?)
        }
        session => Ok(session?),
    }
}
