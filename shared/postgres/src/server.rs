//! The server, as `database` asks it.

use database::ports::{Server, ServerError, Session, Tried};
use database::{Login, LoginSecret, MasterSecret, Place, Verifier, statements};

use crate::connection::Connection;
use crate::roots::Roots;

/// PostgreSQL's code for a right that is not there (PostgreSQL documentation, "PostgreSQL Error Codes"):
/// a login that may not connect to the database is answered so.
const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// A PostgreSQL server, in one place.
#[derive(Debug)]
pub struct Postgres {
    place: Place,
    roots: Roots,
}

impl Postgres {
    /// Opens nothing yet.
    #[must_use]
    pub fn new(place: Place, roots: Roots) -> Self {
        Self { place, roots }
    }
}

impl Server for Postgres {
    type Session = MasterConnection;

    fn place(&self) -> &Place {
        &self.place
    }

    async fn try_login(&self, secret: &LoginSecret) -> Result<Tried, ServerError> {
        let opened =
            Connection::open(&self.place, &self.roots, secret.login.as_str(), &secret.password).await;
        let connection = match opened {
            Ok(connection) => connection,
            Err(ServerError::Refused) => return Ok(Tried::Refused),
            Err(ServerError::Failed { code, .. }) if code == INSUFFICIENT_PRIVILEGE => {
                return Ok(Tried::Incomplete);
            }
            Err(error) => return Err(error),
        };
        let proven = connection.value("a look at the login's rights", &statements::proof(secret.login)).await;
        connection.close().await;
        Ok(if proven?.as_deref() == Some("t") { Tried::Works } else { Tried::Incomplete })
    }

    async fn as_master(&self, master: &MasterSecret) -> Result<MasterConnection, ServerError> {
        let connection =
            Connection::open(&self.place, &self.roots, &master.username, &master.password).await?;
        match connection.value("the lock", statements::LOCK).await {
            Ok(_) => Ok(MasterConnection(connection)),
            Err(error) => {
                connection.close().await;
                Err(error)
            }
        }
    }
}

/// A connection of the master user, who alone changes logins as long as it is open.
#[derive(Debug)]
pub struct MasterConnection(Connection);

impl Session for MasterConnection {
    async fn accept(&self, login: Login, verifier: &Verifier) -> Result<(), ServerError> {
        self.0.carry_out("to accept the login", &statements::accept(login, verifier)).await
    }

    async fn close(self) {
        self.0.close().await;
    }
}
