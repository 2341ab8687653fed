//! A node's database: one table, in it one row, which is the node's for good.
//!
//! **It stands for key shares and is none.** The row has the node's index, an id that it got when it was made,
//! and a digest that takes the password of the key shares to make. So a test sees from outside whether a node
//! that was started anew, with another login or on another machine, has its own database and its own password.

use std::error::Error as _;
use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_postgres::Client;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::answers::{DatabaseStatus, Row};
use crate::data_source::DataSource;

/// How long logging in and looking at the row may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long an answer of the server may take afterwards.
const ANSWER: Duration = Duration::from_secs(5);
/// How often it is asked whether it is still there.
const LOOK: Duration = Duration::from_secs(2);
/// The wait before the next attempt to log in.
const PAUSE: Duration = Duration::from_secs(1);

const MAKE: &str = "CREATE TABLE IF NOT EXISTS key_shares (node bigint PRIMARY KEY, \
                    id text NOT NULL DEFAULT gen_random_uuid()::text, digest text NOT NULL)";
const ROWS: &str = "SELECT node, id, digest FROM key_shares";
const WRITE: &str = "INSERT INTO key_shares (node, digest) VALUES ($1, $2)";
/// Who logged in, whomever it acts as.
const WHO: &str = "SELECT session_user::text";

/// A node's database, and what is known of it.
pub(crate) struct Database {
    source: DataSource,
    index: u32,
    /// What the row has of the password.
    digest: String,
    state: watch::Sender<DatabaseStatus>,
}

/// Why a database is not there. It holds no value.
type Fault = String;

impl Database {
    pub(crate) fn new(source: DataSource, index: u32, share_password: Option<&str>) -> Self {
        let digest = Sha256::new()
            .chain_update("stand-in: what the password of the key shares opens")
            .chain_update(index.to_be_bytes())
            .chain_update(share_password.unwrap_or_default())
            .finalize();
        let digest = STANDARD.encode(digest);
        Self { source, index, digest, state: watch::Sender::new(DatabaseStatus::default()) }
    }

    pub(crate) fn source(&self) -> &DataSource {
        &self.source
    }

    pub(crate) fn status(&self) -> DatabaseStatus {
        self.state.borrow().clone()
    }

    /// Logs in, and again whenever the connection breaks, always with the same login. It never ends.
    pub(crate) async fn keep(&self, note: impl Fn(&dyn Display)) {
        let mut noted = Fault::new();
        loop {
            let fault = match self.connected(&note).await {
                Ok(never) => match never {},
                Err(fault) => fault,
            };
            self.state.send_modify(|state| state.is_connected = false);
            // Once, however often it is met in a row.
            if fault != noted {
                note(&format_args!("is without its database: {fault}"));
            }
            noted = fault;
            sleep(PAUSE).await;
        }
    }

    /// One connection, for as long as it lasts.
    async fn connected(&self, note: &impl Fn(&dyn Display)) -> Result<std::convert::Infallible, Fault> {
        let tls = MakeRustlsConnect::new(tls(&self.source.roots)?);
        let address = self.source.address.resolve().await.map_err(|fault| fault.to_string())?;
        let mut config = tokio_postgres::Config::new();
        // EXPOSE: to the client, which proves to the server that it knows it.
        config
            .host(&self.source.host)
            .hostaddr(address.ip())
            .port(address.port())
            .dbname(&self.source.database)
            .user(&self.source.user)
            .password(self.source.password.as_bytes())
            .application_name("stand-in")
            .ssl_mode(SslMode::Require);
        let late = |_| "it does not answer in time".to_owned();
        let (client, connection) =
            timeout(PATIENCE, config.connect(tls)).await.map_err(late)?.map_err(|fault| told(&fault))?;
        let use_it = async {
            let (user, row) = timeout(PATIENCE, self.look(&client)).await.map_err(late)??;
            note(&format_args!("is logged in at its database as {user}, its row is {}", row.id));
            self.state.send_modify(|state| {
                *state = DatabaseStatus { user: Some(user), row: Some(row), is_connected: true };
            });
            loop {
                sleep(LOOK).await;
                timeout(ANSWER, client.simple_query("SELECT 1"))
                    .await
                    .map_err(late)?
                    .map_err(|fault| told(&fault))?;
            }
        };
        tokio::select! {
            ended = connection => Err(match ended {
                Ok(()) => "the server has hung up".to_owned(),
                Err(fault) => told(&fault),
            }),
            fault = use_it => fault,
        }
    }

    /// Who is logged in, and the node's row, which is made where there is none.
    async fn look(&self, client: &Client) -> Result<(String, Row), Fault> {
        client.batch_execute(MAKE).await.map_err(|fault| told(&fault))?;
        if client.query(ROWS, &[]).await.map_err(|fault| told(&fault))?.is_empty() {
            client
                .execute(WRITE, &[&i64::from(self.index), &self.digest])
                .await
                .map_err(|fault| told(&fault))?;
        }
        let user =
            client.query_one(WHO, &[]).await.and_then(|row| row.try_get(0)).map_err(|fault| told(&fault))?;
        let rows = client.query(ROWS, &[]).await.map_err(|fault| told(&fault))?;
        let [row] = &rows[..] else { return Err("other nodes have rows in it, too".into()) };
        let columns = || Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
        let (node, id, digest): (i64, String, String) = columns().map_err(|fault| told(&fault))?;
        if node != i64::from(self.index) {
            return Err(format!("it is the database of node {node}"));
        }
        if digest != self.digest {
            return Err("what is in it was written with another password of the key shares".into());
        }
        Ok((user, Row { node: self.index, id }))
    }
}

/// A client that knows a server by these roots alone, and by its name.
fn tls(roots: &Path) -> Result<ClientConfig, Fault> {
    let unreadable = || format!("its roots cannot be read: {}", roots.display());
    let certificates: Vec<_> =
        CertificateDer::pem_file_iter(roots).map_err(|_| unreadable())?.filter_map(Result::ok).collect();
    let mut store = RootCertStore::empty();
    if store.add_parsable_certificates(certificates).0 == 0 {
        return Err(unreadable());
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|fault| fault.to_string())?;
    Ok(config.with_root_certificates(store).with_no_client_auth())
}

/// A client's fault, with what it goes back to: its own words leave that out.
fn told(fault: &tokio_postgres::Error) -> Fault {
    if let Some(answer) = fault.as_db_error() {
        return format!("{} ({})", answer.message(), answer.code().code());
    }
    fault.source().map_or_else(|| fault.to_string(), |source| format!("{fault}: {source}"))
}
