//! What Secrets Manager and PostgreSQL are asked for.

use rotation::{RotationToken, SecretVersions};

use crate::login::Login;
use crate::login_secret::{LoginSecret, MasterSecret};
use crate::password::Verifier;
use crate::place::Place;

/// Why a call to the store failed. No value is in it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The caller may not do this: a policy has to change first.
    #[error("{what} was denied ({code}): check the function's role and the key policy")]
    Denied {
        /// The call and its object.
        what: String,
        /// The service's error code.
        code: String,
    },
    /// The service refuses the request itself: repeating it does not help.
    #[error("{what} was refused ({code})")]
    Refused {
        /// The call and its object.
        what: String,
        /// The service's error code.
        code: String,
    },
    /// The service could not be reached, or not in time, or it throttled us to the end.
    #[error("{what} did not succeed ({code}), although it was retried: try the operation again")]
    Unavailable {
        /// The call and its object.
        what: String,
        /// The service's error code, or what happened instead of an answer.
        code: String,
    },
    /// What is stored is not what belongs there. It is not repeated.
    #[error("the value of {what} is none that belongs there")]
    Malformed {
        /// The secret.
        what: String,
    },
}

/// A version that is about to be put.
#[derive(Debug)]
pub struct NewVersion<'a> {
    /// Its id, which makes the call one that may be made again.
    pub id: &'a str,
    /// The label that it gets.
    pub label: &'static str,
    /// Its value.
    pub secret: &'a LoginSecret,
    /// What the event of a rotation brought, if it did.
    pub rotation_token: Option<&'a RotationToken>,
}

/// What came of putting a version.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Put {
    /// It is there now, or was with this value.
    Done,
    /// There is a version of this id with another value, which stays.
    Taken,
}

/// What a version of the login's secret holds.
#[derive(Debug)]
pub enum Held {
    /// There is no such version, or it has no value.
    Nothing,
    /// A value that is no login of ours.
    SomethingElse,
    /// A login.
    Login(LoginSecret),
}

/// Secrets Manager, as far as it keeps one login and the master user's.
///
/// A reading that failed is an error, never an absence.
#[expect(async_fn_in_trait, reason = "whoever calls has the concrete types, and with them `Send`")]
pub trait LoginStore {
    /// The versions of the login's secret; `None` when there is no such secret.
    async fn describe(&self) -> Result<Option<SecretVersions>, StoreError>;

    /// What a version of it holds.
    async fn read(&self, version: &str) -> Result<Held, StoreError>;

    /// Puts a version of it.
    async fn put(&self, version: NewVersion<'_>) -> Result<Put, StoreError>;

    /// Makes version `to` current if `from` is, or if `to` is already.
    async fn make_current(&self, from: &str, to: &str) -> Result<(), StoreError>;

    /// Takes a label from a version, if it has it.
    async fn take_label(&self, version: &str, label: &str) -> Result<(), StoreError>;

    /// The master user's login, as it is now.
    async fn master(&self) -> Result<MasterSecret, StoreError>;
}

/// Why something could not be had of the server. Of what the server says, only the code is taken over: its
/// message could repeat a statement.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// It does not know the user, or not with this password.
    #[error("the database does not accept the login")]
    Refused,
    /// It could not be reached, or not in time.
    #[error("the database could not be reached: {why}")]
    Unreachable {
        /// What happened instead.
        why: String,
    },
    /// It is not the server that it should be, or speaks no TLS. No password was sent.
    #[error("the database did not prove that it is the right one, so no password was sent: {why}")]
    Unproven {
        /// What is wrong.
        why: String,
    },
    /// Somebody else has been changing logins for too long.
    #[error("another run is changing the database's logins: try again")]
    Busy,
    /// It does not do what it is asked to.
    #[error("the database refused {what} (SQLSTATE {code})")]
    Failed {
        /// What it was asked for.
        what: &'static str,
        /// The code, five letters and digits (PostgreSQL documentation, "PostgreSQL Error Codes").
        code: String,
    },
}

/// What came of trying a login.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tried {
    /// It works: it may do what it has to, and nothing beyond.
    Works,
    /// The server does not accept it.
    Refused,
    /// The server accepts it, and it may do too little or too much.
    Incomplete,
}

/// PostgreSQL, over TLS that is verified before anything is said.
#[expect(async_fn_in_trait, reason = "whoever calls has the concrete types, and with them `Send`")]
pub trait Server {
    /// A connection of the master user.
    type Session: Session;

    /// Where it is.
    fn place(&self) -> &Place;

    /// Logs in, and looks at what the login may do. It changes nothing. The login has to be one at
    /// [`place`](Self::place).
    async fn try_login(&self, secret: &LoginSecret) -> Result<Tried, ServerError>;

    /// Logs in as the master user, and waits until nobody else changes logins. Nobody does until the
    /// session is closed.
    async fn as_master(&self, master: &MasterSecret) -> Result<Self::Session, ServerError>;
}

/// A connection of the master user, which alone changes logins.
#[expect(async_fn_in_trait, reason = "whoever calls has the concrete types, and with them `Send`")]
pub trait Session {
    /// Has the server accept a login by this verifier, with all that it needs.
    async fn accept(&self, login: Login, verifier: &Verifier) -> Result<(), ServerError>;

    /// Ends it, and waits until the server has been told.
    async fn close(self);
}
