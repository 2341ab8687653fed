//! A server for production, once in its life: initialised, opened, furnished, and its root token revoked.
//!
//! The server itself comes from its own configuration: raft, TLS, two audit devices. What is there is looked at
//! before anything is stored, and what would not do is refused by name: above all development mode, which looks
//! the same from outside and keeps every key in memory, open. The shares of the unseal key go to a file for each
//! holder. Afterwards nobody is an administrator: `init --again` makes one for as long as it runs, out of the
//! holders' shares. Run twice, it changes nothing.

mod furnishing;
mod looking;
mod setup;
mod shares;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use vault::ceremony::{root_by_shares, root_by_shares_alone};
use vault::server::{Initializing, Share};
use vault::{Connection, Server, Session, Token, VaultError};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::error::OnpremError;
use crate::grant::Place;
use crate::policies::{Role, Subjects};
use crate::signer::Stop;
use crate::terminal::{say, show};

use self::furnishing::Furnishing;
use self::setup::Setup;
use self::shares::{Remark, Reserved};

/// How long it may take until an opened server answers, and how long between two looks.
const OPENING: Duration = Duration::from_mins(1);
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// What `init` is called with.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag on the command line")]
pub struct Options {
    /// Who holds the shares of the unseal key, and what is set for single roles: a TOML file
    setup: PathBuf,
    /// The declarations of all that the server serves
    #[arg(required = true)]
    declarations: Vec<PathBuf>,
    /// The file that the operator's login goes to, wrapped: the one who hands out all others
    #[arg(long, value_name = "FILE")]
    operator: Option<PathBuf>,
    /// Go on with a server that is initialised: the holders' shares are read from their files, and the
    /// configuration's login is that of the role custodian
    #[arg(long)]
    again: bool,
    /// With --again: go on with the root token in this file, made in another way. It is revoked at the end
    #[arg(long, value_name = "FILE", requires = "again")]
    token_file: Option<PathBuf>,
    /// With --again: nobody can log in, and the server's listener lets everybody begin the ceremony
    /// (`disable_unauthed_generate_root_endpoints = false`), until it is taken back
    #[arg(long, requires = "again", conflicts_with = "token_file")]
    without_login: bool,
    /// With --again: remove roles and policies of keyboot's that no declaration asks for
    #[arg(long, requires = "again")]
    remove_undeclared: bool,
    /// Put all shares into one folder, which makes them worthless as shares
    #[arg(long, hide = true)]
    shares_together_for_a_test: bool,
}

/// Sets a server up.
///
/// # Errors
///
/// [`OnpremError`], with what is in the way.
pub async fn run(options: &Options, config: &Config) -> Result<ExitCode, OnpremError> {
    let setup = Setup::read(&options.setup)?;
    let subjects = Subjects::read(&options.declarations)?.with_role_numbers(setup.role_numbers);
    setup.refuse_unknown_roles(&subjects.roles())?;
    let policies = subjects.policies(&config.vault.mounts)?;
    let connection = Connection::to(&config.vault.address, &config.vault.ca_file)?;
    let health = Server::new(&connection).health().await?;
    looking::refuse_development(&health)?;
    if !options.again && options.operator.is_none() {
        return Err(OnpremError::Config(
            "--operator must name the file for the operator's login: without it nobody could hand out any"
                .into(),
        ));
    }
    // What cannot be written at the end must be known now.
    let operator = options.operator.as_deref().map(Place::beside).transpose()?;
    // Asked for first, so that no signal leaves a root token behind.
    let mut stop = Stop::new()?;
    let root = match (health.initialized, options.again) {
        (false, false) => initialize(options, &setup, &connection, health.recovery_seal).await?,
        (true, true) => again(options, &setup, config, &connection).await?,
        (true, false) => {
            return Err(OnpremError::Refused(format!(
                "{} is initialised already: to bring it to what is declared now, the holders come together and \
                 `init --again` makes a root token of their shares for as long as that takes",
                config.vault.address
            )));
        }
        (false, true) => {
            return Err(OnpremError::Refused("the server is not initialised: leave --again out".into()));
        }
    };
    let session = Session::with_token(&config.vault.address, &config.vault.ca_file, &root)?;
    let furnished = tokio::select! {
        done = furnish(options, &setup, config, &session, (&subjects, &policies), operator) => done,
        () = stop.wait() => Err(OnpremError::Refused("it was stopped: `init --again` goes on from there".into())),
    };
    // Whatever came of it: nobody goes on being an administrator.
    let ended = end(&session).await;
    if let Err(error) = &ended {
        say(&format!("THE ROOT TOKEN MAY LIVE: {error}; `init --again` revokes what is left of it"));
    }
    furnished?;
    ended?;
    Ok(ExitCode::SUCCESS)
}

/// Initialises the server and opens it.
async fn initialize(
    options: &Options,
    setup: &Setup,
    connection: &Connection,
    opens_itself: bool,
) -> Result<Token, OnpremError> {
    let server = Server::new(connection);
    let reserved = Reserved::make(&setup.shares, options.shares_together_for_a_test)?;
    for remark in reserved.remarks() {
        say(match remark {
            Remark::OneFileSystem => {
                "all shares are on one file system: whoever reads it has all of them until the holders take theirs away"
            }
            Remark::OneOwner => {
                "all shares belong to one user: they are shares only when each holder has taken his and no copy stays"
            }
        });
    }
    let how = Initializing {
        shares: u32::try_from(setup.shares.len()).unwrap_or(u32::MAX),
        threshold: u32::try_from(setup.threshold).unwrap_or(u32::MAX),
        recovery: opens_itself,
        ..Initializing::default()
    };
    let initialized = server.initialize(&how).await?;
    if initialized.shares.len() != setup.shares.len() {
        return Err(OnpremError::Refused(format!(
            "the server gave {} shares and not {}: nothing was stored in it; remove its data and begin again",
            initialized.shares.len(),
            setup.shares.len()
        )));
    }
    let texts: Vec<Zeroizing<String>> = initialized
        .shares
        .iter()
        // EXPOSE: into the holders' files, one each.
        .map(|share| Zeroizing::new(share.expose().to_owned()))
        .collect();
    reserved.write(&texts).map_err(|error| {
        OnpremError::Refused(format!(
            "{error}: the server is initialised and not all of its shares are kept. Nothing was stored in it: \
             remove its data and the files with the shares, and begin again"
        ))
    })?;
    show(&format!(
        "Initialised. The unseal key is cut into {} shares of which {} are needed, one in each file:",
        setup.shares.len(),
        setup.threshold
    ));
    for path in &setup.shares {
        show(&format!("  {}", path.display()));
    }
    if opens_itself {
        show("The server opens itself; the shares are for making a root token, and for recovery.");
    } else {
        open(&server, initialized.shares.iter().take(setup.threshold)).await?;
    }
    works(&server).await?;
    Ok(initialized.root)
}

/// Has a root token once more, out of the holders' shares or out of a file.
async fn again(
    options: &Options,
    setup: &Setup,
    config: &Config,
    connection: &Connection,
) -> Result<Token, OnpremError> {
    if let Some(file) = &options.token_file {
        let read = |error| OnpremError::Read { path: file.display().to_string(), error };
        let text = Zeroizing::new(std::fs::read_to_string(file).map_err(read)?);
        return Token::new(&text)
            .map_err(|fault| OnpremError::Config(format!("{} holds no token: {fault}", file.display())));
    }
    let texts = shares::read(&setup.shares, setup.threshold)?;
    let shares: Vec<Share> = texts.iter().map(|text| Share::new(text)).collect();
    let health = Server::new(connection).health().await?;
    if health.sealed && !health.recovery_seal {
        open(&Server::new(connection), shares.iter()).await?;
    }
    works(&Server::new(connection)).await?;
    let root = if options.without_login {
        root_by_shares_alone(connection, &shares).await?
    } else {
        let custodian = Session::open(&config.vault).await?;
        let root = root_by_shares(custodian.connection(), &shares).await;
        // The root token is what must not be lost over this: it ends by itself within the hour.
        if let Err(error) = custodian.end().await {
            say(&format!("the custodian's token lives until its time is over: {error}"));
        }
        root?
    };
    show("A root token was made of the holders' shares; it is revoked at the end of this.");
    Ok(root)
}

async fn open(server: &Server<'_>, shares: impl Iterator<Item = &Share>) -> Result<(), OnpremError> {
    for share in shares {
        if !server.unseal(share).await?.sealed {
            return Ok(());
        }
    }
    Err(OnpremError::Refused(
        "the server is sealed still: the shares are too few, or another server's".into(),
    ))
}

/// Waits until the server works: one that was just opened chooses its leader first.
async fn works(server: &Server<'_>) -> Result<(), OnpremError> {
    let mut waited = Duration::ZERO;
    loop {
        match server.has_leader().await {
            Ok(true) => return Ok(()),
            Ok(false) | Err(VaultError::Unavailable { .. } | VaultError::Sealed) if waited < OPENING => {}
            Ok(false) => return Err(OnpremError::Refused("the server is open and has no leader".into())),
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(LOOK_AGAIN).await;
        waited += LOOK_AGAIN;
    }
}

/// Looks whether the server will do, and brings it to what is declared.
async fn furnish(
    options: &Options,
    setup: &Setup,
    config: &Config,
    session: &Session,
    (subjects, policies): (&Subjects, &[crate::policies::Policy]),
    operator: Option<Place>,
) -> Result<(), OnpremError> {
    let server = Server::new(session.connection());
    looking::refuse_what_would_not_do(&server, setup, !options.again).await?;
    looking::end_other_administrators(&server, session).await?;
    let furnishing = Furnishing { connection: session.connection(), settings: &config.vault, setup };
    furnishing.engines().await?;
    furnishing.keys().await?;
    furnishing.policies(policies).await?;
    furnishing.roles(&subjects.roles()).await?;
    furnishing.undeclared(&subjects.roles(), policies, options.remove_undeclared).await?;
    if let (Some(place), Some(path)) = (operator, &options.operator) {
        furnishing.log_in_later(&Role::Operator, place, path).await?;
    }
    furnishing.tell_what_readers_pin().await
}

/// Revokes the root token, and sees that it is dead.
async fn end(session: &Session) -> Result<(), OnpremError> {
    session.revoke().await?;
    match session.token_facts().await {
        Err(VaultError::Denied { .. }) => {
            show("The root token is revoked: the server answers 403 to it. Nobody is an administrator now.");
            Ok(())
        }
        Ok(_) => Err(OnpremError::Refused(
            "THE ROOT TOKEN LIVES: the server said that it is revoked, and still takes it; seal the server and find \
             out why before anything is stored in it"
                .into(),
        )),
        Err(error) => Err(error.into()),
    }
}
