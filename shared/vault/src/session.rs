//! A login: a token that its owner holds for as long as his work takes, and revokes at the end.
//!
//! A secret id comes wrapped: the file holds a token that gives it once, so that who finds it used knows that
//! somebody else was here. What it was made for is looked up before it is used.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::connection::{Call, Connection, Token};
use crate::error::VaultError;
use crate::settings::{Address, AppRole, Login, Settings};

/// Logged in.
pub struct Session {
    connection: Connection,
    token: Token,
    lease: Option<Duration>,
}

/// What a server tells of the token that asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TokenFacts {
    /// Its policies, those of its identity included.
    pub policies: Vec<String>,
    /// Whether it is a root token.
    pub is_root: bool,
    /// How long it lasts from now on; none where it does not end.
    pub ttl: Option<Duration>,
    /// Whether it can be renewed.
    pub renewable: bool,
    /// What it is called where it must not be told.
    pub accessor: String,
    /// How many calls it can still be used for; none where they are not counted.
    pub uses: Option<u64>,
    /// When it was made.
    pub made: Option<Timestamp>,
    /// Whether it is a batch token, which nobody can revoke.
    pub is_batch: bool,
}

impl Session {
    /// Logs in.
    ///
    /// # Errors
    ///
    /// [`VaultError::NoLogin`] where the file, or what is in it, cannot be used.
    pub async fn open(settings: &Settings) -> Result<Self, VaultError> {
        let connection = Connection::to(&settings.address, &settings.ca_file)?;
        match &settings.login {
            Login::TokenFile(file) => {
                let token = read_token(file)?;
                Ok(Self { connection: connection.with(&token), token, lease: None })
            }
            Login::AppRole(role) => {
                let mount = &settings.mounts.app_role;
                let (token, lease) = log_in(&connection, mount.as_str(), role).await?;
                Ok(Self { connection: connection.with(&token), token, lease: Some(lease) })
            }
        }
    }

    /// Takes a token that is there: for whoever sets a server up.
    ///
    /// # Errors
    ///
    /// [`VaultError::NoAuthorities`].
    pub fn with_token(address: &Address, ca_file: &Path, token: &Token) -> Result<Self, VaultError> {
        let connection = Connection::to(address, ca_file)?.with(token);
        Ok(Self { connection, token: token.clone(), lease: None })
    }

    /// Its token, for a program such as Web3Signer that cannot log in itself.
    #[must_use]
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// How long the token was to last when it was given; none of one that was there before.
    #[must_use]
    pub fn lease(&self) -> Option<Duration> {
        self.lease
    }

    /// What it speaks through.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Revokes its token, and whatever was made with it. Of a token that has ended already it is fine.
    ///
    /// # Errors
    ///
    /// [`VaultError`] where it may live on.
    pub async fn end(self) -> Result<(), VaultError> {
        self.revoke().await
    }

    /// The same, for whoever wants to see afterwards that it is dead.
    ///
    /// # Errors
    ///
    /// As [`Self::end`].
    pub async fn revoke(&self) -> Result<(), VaultError> {
        match self.connection.call(&Call::write("auth/token/revoke-self")).await {
            Err(denied @ VaultError::Denied { .. }) => {
                if self.connection.is_dead().await? {
                    Ok(())
                } else {
                    Err(denied)
                }
            }
            other => other.map(drop),
        }
    }

    /// What the server tells of the token.
    ///
    /// # Errors
    ///
    /// [`VaultError::Denied`] where it has ended, or may not look at itself.
    pub async fn token_facts(&self) -> Result<TokenFacts, VaultError> {
        #[derive(Deserialize)]
        struct Told {
            #[serde(default)]
            policies: Option<Vec<String>>,
            #[serde(default)]
            identity_policies: Option<Vec<String>>,
            #[serde(default)]
            accessor: String,
            #[serde(default)]
            ttl: u64,
            #[serde(default)]
            renewable: bool,
            #[serde(default)]
            num_uses: u64,
            #[serde(default)]
            creation_time: i64,
            #[serde(default, rename = "type")]
            kind: String,
        }
        let told: Told = self.connection.call(&Call::read("auth/token/lookup-self")).await?.data()?;
        let mut policies = told.policies.unwrap_or_default();
        policies.extend(told.identity_policies.unwrap_or_default());
        policies.sort();
        policies.dedup();
        Ok(TokenFacts {
            is_root: policies.iter().any(|policy| policy == "root"),
            policies,
            ttl: Some(told.ttl).filter(|ttl| *ttl > 0).map(Duration::from_secs),
            renewable: told.renewable,
            accessor: told.accessor,
            uses: Some(told.num_uses).filter(|uses| *uses > 0),
            made: Timestamp::from_second(told.creation_time).ok(),
            is_batch: told.kind == "batch",
        })
    }

    /// Has the token last longer, as far as its role lets it. Gives how long it lasts now.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn renew(&self) -> Result<Duration, VaultError> {
        #[derive(Deserialize)]
        struct Answered {
            auth: Auth,
        }
        #[derive(Deserialize)]
        struct Auth {
            lease_duration: u64,
        }
        let answered: Answered =
            self.connection.call(&Call::write("auth/token/renew-self")).await?.parse()?;
        Ok(Duration::from_secs(answered.auth.lease_duration))
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("connection", &self.connection).finish_non_exhaustive()
    }
}

/// A file that a login is made with is no such one.
fn no_login(file: &Path, fault: impl Into<String>) -> VaultError {
    VaultError::NoLogin { file: file.display().to_string(), fault: fault.into() }
}

fn read_token(file: &Path) -> Result<Token, VaultError> {
    let text = std::fs::read_to_string(file).map(Zeroizing::new);
    let text = text.map_err(|error| no_login(file, error.kind().to_string()))?;
    Token::new(&text).map_err(|error| no_login(file, error.to_string()))
}

/// Logs in with a role. The file of a wrapped secret id is removed when that is used up: it gives nothing any
/// more.
async fn log_in(
    connection: &Connection,
    mount: &str,
    role: &AppRole,
) -> Result<(Token, Duration), VaultError> {
    #[derive(Serialize)]
    struct Asked<'a> {
        role_id: &'a str,
        secret_id: &'a str,
    }
    #[derive(Deserialize)]
    struct Answered {
        auth: Auth,
    }
    #[derive(Deserialize)]
    struct Auth {
        client_token: String,
        lease_duration: u64,
    }
    let file = &role.secret_id_file;
    let held = read_token(file)?;
    let secret_id = if role.wrapped {
        let secret_id = unwrap(connection, mount, role, &held).await?;
        // What cannot be removed is worthless all the same.
        let _ = std::fs::remove_file(file);
        secret_id
    } else {
        held
    };
    // EXPOSE: to the server, over TLS.
    let asked = Asked { role_id: &role.role_id, secret_id: secret_id.expose() };
    let call = Call::write_once(format!("auth/{mount}/login")).body(&asked)?;
    let answer = connection.call(&call).await.map_err(|error| refused_login(role, error))?;
    let Answered { auth } = answer.parse()?;
    let token = Zeroizing::new(auth.client_token);
    let token = Token::new(&token).map_err(|_| no_login(file, "the server gave no token"))?;
    Ok((token, Duration::from_secs(auth.lease_duration)))
}

fn refused_login(role: &AppRole, error: VaultError) -> VaultError {
    match error {
        VaultError::Refused { code, .. } => {
            no_login(&role.secret_id_file, format!("role {} was not let in ({code})", role.role))
        }
        VaultError::Denied { .. } => {
            no_login(&role.secret_id_file, format!("role {} may not log in from here", role.role))
        }
        other => other,
    }
}

/// Takes a secret id out of its wrapping, once its wrapping says that it is one of this role.
async fn unwrap(
    connection: &Connection,
    mount: &str,
    role: &AppRole,
    wrapping: &Token,
) -> Result<Token, VaultError> {
    #[derive(Serialize)]
    struct Asked<'a> {
        token: &'a str,
    }
    #[derive(Deserialize)]
    struct Wrapping {
        creation_path: String,
    }
    #[derive(Deserialize)]
    struct Unwrapped {
        secret_id: String,
    }
    const USED: &str = "its wrapping token is none, or was used already, or its time is over: if nobody of yours \
                        has used it, somebody else holds the secret id: find out in the audit log who, and have \
                        it destroyed; then have a new one made";
    let file = &role.secret_id_file;
    let used = |error| match error {
        VaultError::Refused { .. } | VaultError::Denied { .. } => no_login(file, USED),
        other => other,
    };
    // EXPOSE: to the server, over TLS.
    let lookup = Call::write("sys/wrapping/lookup").body(&Asked { token: wrapping.expose() })?;
    let found: Wrapping = connection.call(&lookup).await.map_err(used)?.data()?;
    let expected = format!("auth/{mount}/role/{}/secret-id", role.role);
    if found.creation_path != expected {
        let made_at: String = found.creation_path.chars().filter(char::is_ascii_graphic).take(120).collect();
        let fault = format!(
            "what its wrapping token holds was made by {made_at} and not by {expected}: it is not used, for \
             somebody may have put it in the place of yours"
        );
        return Err(no_login(file, fault));
    }
    let unwrapped: Unwrapped = connection
        .call(&Call::write_once("sys/wrapping/unwrap").token(wrapping))
        .await
        .map_err(used)?
        .data()?;
    let secret_id = Zeroizing::new(unwrapped.secret_id);
    Token::new(&secret_id).map_err(|_| no_login(file, "what was wrapped is no secret id"))
}
