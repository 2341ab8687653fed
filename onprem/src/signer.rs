//! What Web3Signer needs to sign with a role's key: a file with a token for that one key, and the server's
//! certificate by its fingerprint.
//!
//! The key itself is never here: Web3Signer fetches it with the token, at its start and at each reload, and
//! has it in its memory only. The token is of the role's own login, reads one path and lives as long as `keep`
//! renews it; it stands in a file in memory, because Web3Signer knows no other way to log in. `keep` holds that
//! file for as long as it runs and revokes the token when it is stopped; `write` does it once, for a short life;
//! `reload` has Web3Signer look and waits until it signs for what it has to; `retire` takes a file away.

pub mod endpoint;
pub mod folder;
pub mod key_file;
pub mod known_servers;
pub mod web3signer;
pub mod which;

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;
use vault::{Connection, Login, Mounts, Session, Settings, VaultError};

use crate::config::Config;
use crate::error::OnpremError;
use crate::terminal::{say, show};
use endpoint::Endpoint;
use folder::Folder;
use key_file::KeyFile;
use known_servers::Fingerprint;
use web3signer::{Address, Wanted, Web3Signer, Where, listed};
use which::RoleKey;

/// How long is waited after a renewal that failed, before the next one.
const AGAIN: Duration = Duration::from_secs(10);

/// What Web3Signer needs to sign with a role's key
#[derive(Args, Clone, Debug)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Write a role's key file and the server's fingerprint once; the token lives as long as its role says
    Write(Write),
    /// Write them and renew the token until this is stopped; then revoke it and take the key file away
    Keep(Keep),
    /// Have Web3Signer read its key files again, and wait until it signs for what it has to
    Reload(Reload),
    /// Take a role's key file away
    Retire(Retire),
}

/// Which key: what is left out is that of the login's name.
#[derive(Args, Clone, Debug)]
struct Key {
    /// The chain's name
    #[arg(long)]
    chain: Option<String>,
    /// The chain's namespace
    #[arg(long, default_value = "keyboot")]
    namespace: String,
    /// The role, such as batcher
    #[arg(long)]
    role: Option<String>,
    /// The number of the key among those of its role
    #[arg(long)]
    number: Option<u32>,
}

#[derive(Args, Clone, Debug)]
struct Place {
    /// Web3Signer's folder of key files: an absolute path on a tmpfs
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Allow a folder on a disk, where a token may outlive its file: for an encrypted disk
    #[arg(long)]
    on_disk: bool,
}

#[derive(Args, Clone, Debug)]
struct Write {
    #[command(flatten)]
    key: Key,
    #[command(flatten)]
    place: Place,
    /// The server as Web3Signer reaches it, <host>:<port>, where that is not the configuration's address
    #[arg(long, value_name = "HOST:PORT")]
    server: Option<Endpoint>,
    /// The folder as Web3Signer sees it, where that is another path than --out, such as in a container
    #[arg(long, value_name = "DIR")]
    seen_as: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
struct Keep {
    #[command(flatten)]
    write: Write,
    /// Where systemd waits to hear that the file is there
    #[arg(long, env = "NOTIFY_SOCKET", hide = true)]
    notify_socket: Option<OsString>,
}

#[derive(Args, Clone, Debug)]
struct Reload {
    #[command(flatten)]
    place: Where,
    /// An address that it has to sign for afterwards; once for each
    #[arg(long, required_unless_present = "gone", value_name = "ADDRESS")]
    expect: Vec<Address>,
    /// An address that it may not sign for afterwards; once for each
    #[arg(long, value_name = "ADDRESS")]
    gone: Vec<Address>,
    /// How long is waited for that, in seconds
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    within: u64,
}

#[derive(Args, Clone, Debug)]
struct Retire {
    #[command(flatten)]
    key: Key,
    #[command(flatten)]
    place: Place,
}

/// Why a signer did not get what it needs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignerError {
    /// The folder is none for key files.
    #[error("{folder} is no folder for key files: {fault}")]
    Folder {
        /// The folder.
        folder: String,
        /// What is wrong with it.
        fault: String,
    },
    /// A file cannot be read, written or removed.
    #[error("{file}: {fault}")]
    File {
        /// The file.
        file: String,
        /// Why not; never what it holds.
        fault: String,
    },
    /// What names the key does not fit together.
    #[error("{0}")]
    Key(String),
    /// Web3Signer does not do what it is asked to.
    #[error("Web3Signer at {address}: {fault}")]
    Web3Signer {
        /// Where it is.
        address: String,
        /// What is wrong.
        fault: String,
    },
    /// Nobody answers there, or nobody that its authority vouches for.
    #[error("Web3Signer at {address}: {fault}")]
    Unreachable {
        /// Where it should be.
        address: String,
        /// What happened instead.
        fault: String,
    },
    /// It did, and signs for other addresses than it has to.
    #[error(
        "Web3Signer at {address} signs for {accounts} (missing: {missing}; still there: {left}): a key file whose \
         server is sealed, whose token has ended or whose fingerprint is another one loads no key, and one that has \
         changed takes the key that was loaded away with it; its log names the file"
    )]
    Accounts {
        /// Where it is.
        address: String,
        /// What it signs for.
        accounts: String,
        /// What it should sign for, and does not.
        missing: String,
        /// What it should not sign for, and does.
        left: String,
    },
    /// The token has come to its end: nobody renewed it in time.
    #[error("the token of {login} has ended ({last}): have a new secret id granted, and start this again")]
    Ended {
        /// Whose token it was.
        login: String,
        /// Why it was not renewed the last time.
        last: VaultError,
    },
    /// The system does not tell this process when it is to stop, or is not told that it has begun.
    #[error("no signal can be waited for, or given: {0}")]
    Signal(io::Error),
}

impl SignerError {
    pub(crate) fn file(file: &Path, error: &io::Error) -> Self {
        Self::File { file: file.display().to_string(), fault: error.to_string() }
    }
}

/// Does what was asked for.
///
/// # Errors
///
/// [`OnpremError`], in one sentence.
pub async fn run(options: &Options, config: Result<Config, OnpremError>) -> Result<ExitCode, OnpremError> {
    match &options.command {
        Command::Write(write) => show(&Held::take(write, &config?.vault).await?.told()),
        Command::Keep(keep) => {
            // Asked for first, so that no signal in between leaves a token behind that nobody knows of.
            let mut stop = Stop::new()?;
            let held = Held::take(&keep.write, &config?.vault).await?;
            say(&held.told());
            let ready = keep.notify_socket.as_deref().map_or(Ok(()), notify);
            let ended = match ready {
                Ok(()) => held.keep(&mut stop).await,
                Err(error) => Err(SignerError::Signal(error).into()),
            };
            let gone = held.give_back().await;
            ended.and(gone)?;
        }
        Command::Reload(reload) => {
            let wanted = Wanted {
                there: reload.expect.iter().cloned().collect(),
                gone: reload.gone.iter().cloned().collect(),
            };
            let within = Duration::from_secs(reload.within);
            let accounts = Web3Signer::at(&reload.place)?.reload(&wanted, within).await?;
            show(&format!("Web3Signer signs for {}", listed(&accounts)));
        }
        Command::Retire(retire) => {
            // A file is taken away by whoever may, with or without a login.
            let config = config.ok();
            let key = retire.key.parse(config.as_ref().and_then(|config| login(&config.vault)))?;
            let folder = Folder::open(&retire.place.out, retire.place.on_disk)?;
            let what = if folder.remove(&key.file_name())? { "is gone" } else { "was not there" };
            show(&format!(
                "{} {what}: Web3Signer signs with that key until its next reload",
                folder.path(&key.file_name()).display()
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The name of the configuration's login, where it is one of a role.
fn login(settings: &Settings) -> Option<&str> {
    match &settings.login {
        Login::AppRole(role) => Some(role.role.as_str()),
        _ => None,
    }
}

impl Key {
    /// The key that is meant, which is the one that the configuration's login reads.
    fn parse(&self, login: Option<&str>) -> Result<RoleKey, SignerError> {
        let fault = |error| {
            SignerError::Key(format!("--namespace, --chain, --role and --number name no key: {error}"))
        };
        let (chain, role) = (self.chain.as_deref(), self.role.as_deref());
        let asked = match (chain, role, self.number) {
            (Some(chain), Some(role), Some(number)) => {
                Some(RoleKey::new(&self.namespace, chain, role, number).map_err(fault)?)
            }
            _ => None,
        };
        let read = login.map(|login| RoleKey::of_login(login).ok_or_else(|| {
            SignerError::Key(format!(
                "the configuration logs in as {login}, which is no signer: it must be signer.<namespace>.<chain>.<role>.<number>"
            ))
        }));
        match (asked, read.transpose()?) {
            (Some(asked), None) => Ok(asked),
            (None, None) => {
                Err(SignerError::Key("which key is meant? --chain, --role and --number say it".into()))
            }
            (asked, Some(read)) => {
                let is_it = asked.as_ref().map_or_else(
                    || read.is_of(chain, role) && self.number.is_none_or(|number| number == read.number()),
                    |asked| *asked == read,
                );
                if is_it {
                    return Ok(read);
                }
                Err(SignerError::Key(format!(
                    "the configuration logs in as {}, which reads {read} and no other key: another one takes another login",
                    read.login()
                )))
            }
        }
    }
}

/// A key file that stands, and the login whose token is in it.
struct Held {
    session: Session,
    connection: Connection,
    folder: Folder,
    server: Endpoint,
    key: RoleKey,
    lease: Duration,
}

impl Held {
    /// Logs in and writes both files. The login is spent last of what can fail: a wrong folder, a server that is
    /// not reached, sealed or vouched for by nobody leave the secret id as it is, and every file too.
    async fn take(write: &Write, settings: &Settings) -> Result<Self, OnpremError> {
        let Some(login) = login(settings) else {
            return Err(SignerError::Key(
                "the configuration names a token file: what goes into Web3Signer's file must be the token of the \
                 signer's own role, by `[vault.app-role]`"
                    .into(),
            )
            .into());
        };
        let key = write.key.parse(Some(login))?;
        let folder = Folder::open(&write.place.out, write.place.on_disk)?;
        let server = match &write.server {
            Some(server) => server.clone(),
            None => Endpoint::new(settings.address.host(), settings.address.port()).map_err(|error| {
                SignerError::Key(format!("--server is needed, for of the configuration's address {error}"))
            })?,
        };
        let seen_as = match &write.seen_as {
            Some(path) => path.clone(),
            None => write.place.out.clone(),
        };
        // Looked at as our own folder is: it goes into the same file.
        let known_servers = seen_as.join(known_servers::FILE_NAME);
        let known_servers = known_servers.to_str().filter(|path| is_plain(path)).ok_or_else(|| {
            SignerError::Key(
                "--seen-as must be an absolute path of plain text without quotation marks".into(),
            )
        })?;
        let connection = Connection::to(&settings.address, &settings.ca_file)?;
        let fingerprint = Fingerprint::new(connection.certificate_fingerprint().await?);
        let session = Session::open(settings).await?;
        // A policy of one path does not let the token be looked at, but renewed, which says the same.
        let written = match session.renew().await {
            Ok(lease) => {
                let held = Self { session, connection, folder, server, key, lease };
                match held.write(fingerprint, &settings.mounts, known_servers) {
                    Ok(()) => return Ok(held),
                    Err(error) => (held.session, error.into()),
                }
            }
            Err(error) => (session, error.into()),
        };
        // A token that is in no file is nobody's.
        let (session, error) = written;
        let _ = session.end().await;
        Err(error)
    }

    fn write(
        &self,
        fingerprint: Fingerprint,
        mounts: &Mounts,
        known_servers: &str,
    ) -> Result<(), SignerError> {
        self.know(fingerprint)?;
        let file = KeyFile {
            server: &self.server,
            known_servers,
            mount: mounts.secrets.as_str(),
            key: &self.key,
            token: self.session.token(),
        };
        // EXPOSE: the token, as the key file says.
        self.folder.write(&self.key.file_name(), &file.to_yaml())
    }

    /// Puts the server's fingerprint where Web3Signer looks for it. The same one leaves the file as it is.
    fn know(&self, fingerprint: Fingerprint) -> Result<(), SignerError> {
        let before = self.folder.read(known_servers::FILE_NAME)?;
        let after = known_servers::with(&before, &self.server, fingerprint);
        if after == before { Ok(()) } else { self.folder.write(known_servers::FILE_NAME, &after) }
    }

    /// Renews the token until this is to stop, and keeps the fingerprint as the server shows it.
    async fn keep(&self, stop: &mut Stop) -> Result<(), OnpremError> {
        let mut lease = self.lease;
        let mut renewed = Instant::now();
        let mut pause = lease / 2;
        loop {
            tokio::select! {
                () = stop.wait() => return Ok(()),
                () = sleep(pause) => {}
            }
            // What the authority vouches for is known: a certificate that was renewed is one day another one.
            if let Ok(digest) = self.connection.certificate_fingerprint().await {
                self.know(Fingerprint::new(digest))?;
            }
            match self.session.renew().await {
                Ok(left) => {
                    (lease, renewed) = (left, Instant::now());
                    pause = (lease / 2).max(Duration::from_secs(1));
                }
                Err(last) => {
                    let is_over = matches!(last, VaultError::Denied { .. }) || renewed.elapsed() >= lease;
                    if is_over {
                        return Err(SignerError::Ended { login: self.key.login(), last }.into());
                    }
                    say(&format!("the token of {} was not renewed: {last}", self.key.login()));
                    pause = AGAIN.min(lease / 4).max(Duration::from_secs(1));
                }
            }
        }
    }

    /// Takes the key file away and revokes the token. Both are done, whichever fails.
    async fn give_back(self) -> Result<(), OnpremError> {
        let removed = self.folder.remove(&self.key.file_name());
        let revoked = self.session.end().await;
        removed?;
        Ok(revoked?)
    }

    fn told(&self) -> String {
        format!(
            "{} stands, with a token of {} that reads {} (it lives {} seconds unless it is renewed); the server {} \
             is known by its fingerprint",
            self.folder.path(&self.key.file_name()).display(),
            self.key.login(),
            self.key,
            self.lease.as_secs(),
            self.server,
        )
    }
}

/// Whether a path can stand between quotation marks.
pub(crate) fn is_plain(path: &str) -> bool {
    path.starts_with('/') && !path.chars().any(|each| each.is_control() || matches!(each, '"' | '\\'))
}

/// Tells systemd that the file is there (`sd_notify(3)`).
fn notify(socket: &OsStr) -> io::Result<()> {
    let name = socket.as_encoded_bytes();
    let address = match name.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(b"READY=1", &address)?;
    Ok(())
}

/// That this process is to stop.
pub(crate) struct Stop {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Stop {
    pub(crate) fn new() -> Result<Self, SignerError> {
        let of = |kind| signal(kind).map_err(SignerError::Signal);
        Ok(Self { terminate: of(SignalKind::terminate())?, interrupt: of(SignalKind::interrupt())? })
    }

    pub(crate) async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(chain: Option<&str>, role: Option<&str>, number: Option<u32>) -> Key {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Key { chain: owned(chain), namespace: "keyboot".to_owned(), role: owned(role), number }
    }

    #[test]
    fn the_key_is_the_one_that_the_login_reads() {
        let login = Some("signer.keyboot.l2.batcher.2");
        for asked in [
            key(None, None, None),
            key(Some("l2"), Some("batcher"), None),
            key(Some("l2"), Some("batcher"), Some(2)),
            key(None, None, Some(2)),
        ] {
            assert_eq!(asked.parse(login).unwrap().to_string(), "keyboot/l2/role/batcher/2", "{asked:?}");
        }
        for asked in [
            key(Some("l3"), None, None),
            key(None, Some("proposer"), None),
            key(None, None, Some(1)),
            key(Some("l2"), Some("batcher"), Some(1)),
            Key { namespace: "other".to_owned(), ..key(Some("l2"), Some("batcher"), Some(2)) },
        ] {
            let refused = asked.parse(login).unwrap_err().to_string();
            assert!(refused.contains("reads keyboot/l2/role/batcher/2 and no other key"), "{refused}");
        }
        let refused = key(None, None, None).parse(Some("provisioner")).unwrap_err().to_string();
        assert!(refused.contains("which is no signer"), "{refused}");
    }

    #[test]
    fn without_a_login_of_a_role_the_key_is_named_in_full() {
        let asked = key(Some("l2"), Some("batcher"), Some(1));
        assert_eq!(asked.parse(None).unwrap().login(), "signer.keyboot.l2.batcher.1");
        let refused = key(Some("l2"), Some("batcher"), None).parse(None).unwrap_err().to_string();
        assert!(refused.contains("--chain, --role and --number say it"), "{refused}");
        let refused = key(Some("L2"), Some("batcher"), Some(1)).parse(None).unwrap_err().to_string();
        assert!(refused.contains("name no key") && !refused.contains("L2"), "{refused}");
    }

    #[test]
    fn systemd_hears_once_the_file_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        notify(path.as_os_str()).unwrap();
        let mut heard = [0; 32];
        let length = socket.recv(&mut heard).unwrap();
        assert_eq!(&heard[..length], b"READY=1");

        let name = format!("keyboot-test-{}", std::process::id());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        notify(OsStr::new(&format!("@{name}"))).unwrap();
        assert_eq!(socket.recv(&mut heard).unwrap(), length);
    }
}
