//! One connection: opened within a limit, asked within a limit, closed in order.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use database::ports::ServerError;
use database::{Password, Place};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::roots::Roots;

/// How long connecting may take: looking up the host, TCP, TLS and the login together.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the answer to a statement may take. The server gives up before, see [`LIMITS`].
const ANSWER: Duration = Duration::from_secs(25);
/// How long the end of a connection is waited for.
const CLOSE: Duration = Duration::from_secs(2);

/// What the server holds against a connection that does nothing more, in milliseconds: statements and waits
/// for locks end, and so does a session whose other side was ended in the middle. Its lock goes with it.
const LIMITS: &str = "-c statement_timeout=20000 -c lock_timeout=15000 \
     -c idle_in_transaction_session_timeout=20000 -c idle_session_timeout=60000";

/// A connection that is open.
#[derive(Debug)]
pub(crate) struct Connection {
    client: Client,
    driver: JoinHandle<()>,
}

impl Connection {
    /// Opens one as a user.
    pub(crate) async fn open(
        place: &Place,
        roots: &Roots,
        user: &str,
        password: &Password,
    ) -> Result<Self, ServerError> {
        let mut config = Config::new();
        config
            .host(place.host())
            .port(place.port())
            .dbname(place.name())
            .user(user)
            // EXPOSE: to the client, which proves with it to the server that we have it.
            .password(password.expose())
            .ssl_mode(SslMode::Require)
            .connect_timeout(CONNECT)
            .options(LIMITS)
            .application_name("keyboot database-login");
        let opening = config.connect(MakeRustlsConnect::new(roots.config()));
        let (client, connection) = match timeout(CONNECT, opening).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => return Err(why_not_opened(&error)),
            Err(_) => return Err(late(CONNECT)),
        };
        // How it ends is told by what is asked of it.
        let driver = tokio::spawn(async move { drop(connection.await) });
        Ok(Self { client, driver })
    }

    /// Asks for the one value of one row.
    pub(crate) async fn value(
        &self,
        what: &'static str,
        statement: &str,
    ) -> Result<Option<String>, ServerError> {
        let messages = within_time(what, self.client.simple_query(statement)).await?;
        Ok(messages.into_iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        }))
    }

    /// Has statements carried out.
    pub(crate) async fn carry_out(&self, what: &'static str, statements: &str) -> Result<(), ServerError> {
        within_time(what, self.client.batch_execute(statements)).await
    }

    /// Says goodbye, and waits until it is said.
    pub(crate) async fn close(self) {
        drop(self.client);
        let _ = timeout(CLOSE, self.driver).await;
    }
}

async fn within_time<T>(
    what: &'static str,
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, ServerError> {
    match timeout(ANSWER, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(match error.code() {
            Some(code) if *code == SqlState::LOCK_NOT_AVAILABLE => ServerError::Busy,
            Some(code) => ServerError::Failed { what, code: code.code().to_owned() },
            None => ServerError::Unreachable { why: "the connection broke off".to_owned() },
        }),
        Err(_) => Err(late(ANSWER)),
    }
}

fn late(limit: Duration) -> ServerError {
    ServerError::Unreachable { why: format!("no answer within {} seconds", limit.as_secs()) }
}

/// Whether the server was the wrong one, did not want us, or was not there.
fn why_not_opened(error: &tokio_postgres::Error) -> ServerError {
    match error.code() {
        Some(code)
            if [SqlState::INVALID_PASSWORD, SqlState::INVALID_AUTHORIZATION_SPECIFICATION].contains(code) =>
        {
            return ServerError::Refused;
        }
        Some(code) => {
            return ServerError::Failed { what: "the connection", code: code.code().to_owned() };
        }
        None => {}
    }
    if let Some(why) = among_causes(error, of_tls) {
        return ServerError::Unproven { why };
    }
    match among_causes(error, |cause| cause.downcast_ref().map(std::io::Error::kind)) {
        Some(kind) => ServerError::Unreachable { why: kind.to_string() },
        None => ServerError::Unproven { why: error.to_string() },
    }
}

/// What TLS says of it, if it does.
fn of_tls(error: &(dyn Error + 'static)) -> Option<String> {
    // An error of I/O does not count what is in it among its sources.
    let within = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    let of_tls = within.and_then(|within| within.downcast_ref::<rustls::Error>());
    of_tls.or_else(|| error.downcast_ref()).map(ToString::to_string)
}

/// What is looked for in an error, or in the first of its causes that has it.
fn among_causes<T>(
    error: &(dyn Error + 'static),
    look: impl Fn(&(dyn Error + 'static)) -> Option<T>,
) -> Option<T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = look(error) {
            return Some(found);
        }
        next = error.source();
    }
    None
}
