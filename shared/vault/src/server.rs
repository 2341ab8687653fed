//! What whoever sets a server up, or looks at one, asks of it: its state, engines, audit devices, policies,
//! roles and tokens. Nothing here reads a stored secret.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::connection::{Call, Connection, Token};
use crate::error::VaultError;
use crate::settings::{Mount, RoleName};

/// A server, as whoever sets it up sees it.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    connection: &'a Connection,
}

/// Whether a server can be used, which it tells everybody.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// Whether it was initialized.
    pub initialized: bool,
    /// Whether it is sealed.
    pub sealed: bool,
    /// How it is sealed, such as `shamir`.
    #[serde(rename = "type", default)]
    pub seal: String,
    /// How many shares open it.
    #[serde(rename = "t", default)]
    pub threshold: u32,
    /// How many shares there are.
    #[serde(rename = "n", default)]
    pub shares: u32,
    /// How many of them were given by now.
    #[serde(default)]
    pub progress: u32,
    /// Its version.
    #[serde(default)]
    pub version: String,
    /// Where it keeps things, such as `raft`; `inmem` where it forgets them.
    #[serde(default)]
    pub storage_type: String,
    /// The name of its cluster; none while it is sealed.
    #[serde(default)]
    pub cluster_name: Option<String>,
    /// Whether something else opens it, such as a cloud's key.
    #[serde(default)]
    pub recovery_seal: bool,
}

/// How a server is initialized.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Initializing {
    /// How many shares are made.
    pub shares: u32,
    /// How many of them it takes.
    pub threshold: u32,
    /// Public keys in base64 that the shares are encrypted for, one each; none to have them in plain.
    pub pgp_keys: Vec<String>,
    /// Whether something else opens the server: then the shares are for recovery only.
    pub recovery: bool,
}

/// What a server gives once and never again. Wiped when dropped, never printed.
pub struct Initialized {
    /// The shares, each for another person.
    pub shares: Vec<Share>,
    /// The token that may do everything, to be revoked when it has done its work.
    pub root: Token,
}

/// A share of the key that opens a server. Wiped when dropped, never printed.
pub struct Share(Zeroizing<String>);

impl Share {
    /// Takes a share over, in base64 or hexadecimal digits as the server gave it; white space around it is
    /// left out.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.trim().to_owned()))
    }

    /// Reveals the share.
    ///
    /// # Security
    ///
    /// Enough of them open the server. Whoever calls this says in an `EXPOSE` comment where it goes.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share").finish_non_exhaustive()
    }
}

impl fmt::Debug for Initialized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Initialized").field("shares", &self.shares.len()).finish_non_exhaustive()
    }
}

/// An audit device.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct AuditDevice {
    /// Its kind, such as `file`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Its options, such as `file_path` and `log_raw`.
    #[serde(default)]
    pub options: Option<BTreeMap<String, String>>,
}

/// A secrets engine or a way to log in.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Engine {
    /// Its kind, such as `kv`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its options, such as `version`.
    #[serde(default)]
    pub options: Option<BTreeMap<String, String>>,
}

impl Engine {
    /// Whether it is a key-value engine of version 2.
    #[must_use]
    pub fn is_kv2(&self) -> bool {
        self.kind == "kv"
            && self.options.iter().any(|options| options.get("version").is_some_and(|v| v == "2"))
    }
}

/// A role that programs log in as.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Role {
    /// The policies of its tokens.
    pub token_policies: Vec<String>,
    /// Whether its tokens lack the policy `default`.
    pub token_no_default_policy: bool,
    /// How long its tokens last, in seconds.
    pub token_ttl: u64,
    /// How long they last with all renewals, in seconds.
    pub token_max_ttl: u64,
    /// For how long a renewal keeps a token alive that may be renewed for ever, in seconds; 0 for those that
    /// may not.
    pub token_period: u64,
    /// How often a token can be used; 0 for any number of times.
    pub token_num_uses: u64,
    /// Their kind, such as `service`.
    pub token_type: String,
    /// The networks that tokens are used from; empty for all.
    pub token_bound_cidrs: Vec<String>,
    /// Whether a secret id is needed.
    pub bind_secret_id: bool,
    /// How often a secret id can be used; 0 for any number of times.
    pub secret_id_num_uses: u64,
    /// How long a secret id lasts, in seconds; 0 for ever.
    pub secret_id_ttl: u64,
    /// The networks that secret ids are used from; empty for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_id_bound_cidrs: Option<Vec<String>>,
}

/// A secret id in its wrapping.
pub struct WrappedSecretId {
    /// The token that gives it once.
    pub token: Token,
    /// What the secret id's wrapping is called where it must not be told.
    pub accessor: String,
    /// How long the wrapping lasts.
    pub ttl: Duration,
}

impl fmt::Debug for WrappedSecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WrappedSecretId").field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

/// What a token of somebody else is like.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OtherToken {
    /// What it is called where it must not be told.
    pub accessor: String,
    /// Its policies.
    pub policies: Vec<String>,
    /// What it was made by, such as `auth/approle/login`.
    pub made_by: String,
    /// When it was made.
    pub made: Option<Timestamp>,
    /// How long it lasts from now on; none where it does not end.
    pub ttl: Option<Duration>,
}

impl<'a> Server<'a> {
    /// What is behind a connection. Only [`Self::health`], [`Self::initialize`] and [`Self::unseal`] need no
    /// token.
    #[must_use]
    pub fn new(connection: &'a Connection) -> Self {
        Self { connection }
    }

    /// Whether it can be used.
    ///
    /// # Errors
    ///
    /// [`VaultError::Unavailable`].
    pub async fn health(&self) -> Result<Health, VaultError> {
        self.connection.call(&Call::read("sys/seal-status")).await?.parse()
    }

    /// Whether it, or another of its cluster, works: one that was just opened chooses its leader first, and until
    /// then may read and not write.
    ///
    /// # Errors
    ///
    /// [`VaultError`], which it is while it is sealed.
    pub async fn has_leader(&self) -> Result<bool, VaultError> {
        #[derive(Deserialize)]
        struct Leader {
            #[serde(default)]
            is_self: bool,
            #[serde(default)]
            leader_address: String,
        }
        let leader: Leader = self.connection.call(&Call::read("sys/leader")).await?.parse()?;
        Ok(leader.is_self || !leader.leader_address.is_empty())
    }

    /// Initializes it: once in its life.
    ///
    /// # Errors
    ///
    /// [`VaultError::Refused`] where it was before.
    pub async fn initialize(&self, how: &Initializing) -> Result<Initialized, VaultError> {
        #[derive(Serialize, Default)]
        struct Asked<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            secret_shares: Option<u32>,
            #[serde(skip_serializing_if = "Option::is_none")]
            secret_threshold: Option<u32>,
            #[serde(skip_serializing_if = "Option::is_none")]
            pgp_keys: Option<&'a [String]>,
            #[serde(skip_serializing_if = "Option::is_none")]
            recovery_shares: Option<u32>,
            #[serde(skip_serializing_if = "Option::is_none")]
            recovery_threshold: Option<u32>,
            #[serde(skip_serializing_if = "Option::is_none")]
            recovery_pgp_keys: Option<&'a [String]>,
        }
        #[derive(Deserialize)]
        struct Answered {
            #[serde(default)]
            keys_base64: Option<Vec<String>>,
            #[serde(default)]
            recovery_keys_base64: Option<Vec<String>>,
            root_token: String,
        }
        let pgp = Some(how.pgp_keys.as_slice()).filter(|keys| !keys.is_empty());
        let asked = if how.recovery {
            Asked {
                recovery_shares: Some(how.shares),
                recovery_threshold: Some(how.threshold),
                recovery_pgp_keys: pgp,
                ..Asked::default()
            }
        } else {
            Asked {
                secret_shares: Some(how.shares),
                secret_threshold: Some(how.threshold),
                pgp_keys: pgp,
                ..Asked::default()
            }
        };
        let answer = self.connection.call(&Call::write_once("sys/init").body(&asked)?).await?;
        let answered: Answered = answer.parse()?;
        let root = Zeroizing::new(answered.root_token);
        let root = Token::new(&root).map_err(|_| VaultError::refused("initializing", "it gave no token"))?;
        let keys = if how.recovery { answered.recovery_keys_base64 } else { answered.keys_base64 };
        let shares = keys.unwrap_or_default().into_iter().map(|key| Share(Zeroizing::new(key)));
        Ok(Initialized { shares: shares.collect(), root })
    }

    /// Gives one share.
    ///
    /// # Errors
    ///
    /// [`VaultError::Refused`] where the share, or all of them together, do not fit.
    pub async fn unseal(&self, share: &Share) -> Result<Health, VaultError> {
        #[derive(Serialize)]
        struct Asked<'a> {
            key: &'a str,
        }
        // EXPOSE: to the server that it opens, over TLS.
        let call = Call::write("sys/unseal").body(&Asked { key: share.expose() })?;
        self.connection.call(&call).await?.parse()
    }

    /// The audit devices, by path.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn audit_devices(&self) -> Result<BTreeMap<String, AuditDevice>, VaultError> {
        self.connection.call(&Call::read("sys/audit")).await?.data()
    }

    /// Enables an audit device that writes into a file. `OpenBao` refuses this unless its configuration
    /// lets it: there the devices stand in the configuration.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn enable_audit_file(&self, path: &Mount, file: &str) -> Result<(), VaultError> {
        #[derive(Serialize)]
        struct Asked<'a> {
            r#type: &'a str,
            options: BTreeMap<&'a str, &'a str>,
        }
        let options = BTreeMap::from([("file_path", file), ("mode", "0600")]);
        let asked = Asked { r#type: "file", options };
        self.send(Call::write(format!("sys/audit/{path}")), &asked).await
    }

    /// The secrets engines, by mount.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn engines(&self) -> Result<BTreeMap<String, Engine>, VaultError> {
        self.named_engines("sys/mounts").await
    }

    /// The ways to log in, by mount.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn logins(&self) -> Result<BTreeMap<String, Engine>, VaultError> {
        self.named_engines("sys/auth").await
    }

    async fn named_engines(&self, path: &str) -> Result<BTreeMap<String, Engine>, VaultError> {
        let engines: BTreeMap<String, Engine> = self.connection.call(&Call::read(path)).await?.data()?;
        Ok(engines
            .into_iter()
            .map(|(mount, engine)| (mount.trim_end_matches('/').to_owned(), engine))
            .collect())
    }

    /// Mounts a key-value engine of version 2 that keeps so many versions and takes no write without a
    /// comparison. One that is there is told the same again.
    ///
    /// # Errors
    ///
    /// [`VaultError::Refused`] where something else is mounted there.
    pub async fn ensure_kv(&self, mount: &Mount, description: &str, versions: u32) -> Result<(), VaultError> {
        #[derive(Serialize)]
        struct Asked<'a> {
            r#type: &'a str,
            description: &'a str,
            options: BTreeMap<&'a str, &'a str>,
        }
        #[derive(Serialize)]
        struct Config {
            max_versions: u32,
            cas_required: bool,
            /// What is stored does not end by itself.
            delete_version_after: &'static str,
        }
        match self.engines().await?.get(mount.as_str()) {
            Some(engine) if engine.is_kv2() => {}
            Some(_) => return Err(elsewise(mount, "a key-value engine of version 2")),
            None => {
                let options = BTreeMap::from([("version", "2")]);
                let asked = Asked { r#type: "kv", description, options };
                self.send(Call::write(format!("sys/mounts/{mount}")), &asked).await?;
            }
        }
        let config = Config { max_versions: versions, cas_required: true, delete_version_after: "0s" };
        let call = Call::write(format!("{mount}/config")).body(&config)?;
        // A new engine of version 2 takes a moment until it is ready.
        let mut pause = Duration::from_millis(100);
        for _ in 0..6 {
            match self.connection.call(&call).await {
                Err(VaultError::Refused { .. } | VaultError::Unavailable { .. }) => {}
                other => return other.map(drop),
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        self.connection.call(&call).await.map(drop)
    }

    /// Mounts a transit engine. One that is there is fine.
    ///
    /// # Errors
    ///
    /// [`VaultError::Refused`] where something else is mounted there.
    pub async fn ensure_transit(&self, mount: &Mount, description: &str) -> Result<(), VaultError> {
        #[derive(Serialize)]
        struct Asked<'a> {
            r#type: &'a str,
            description: &'a str,
        }
        match self.engines().await?.get(mount.as_str()) {
            Some(engine) if engine.kind == "transit" => Ok(()),
            Some(_) => Err(elsewise(mount, "a transit engine")),
            None => {
                let asked = Asked { r#type: "transit", description };
                self.send(Call::write(format!("sys/mounts/{mount}")), &asked).await
            }
        }
    }

    /// Lets programs log in with roles and secret ids. Where they can already, it is fine.
    ///
    /// # Errors
    ///
    /// [`VaultError::Refused`] where something else is mounted there.
    pub async fn ensure_app_role(&self, mount: &Mount) -> Result<(), VaultError> {
        #[derive(Serialize)]
        struct Asked<'a> {
            r#type: &'a str,
        }
        match self.logins().await?.get(mount.as_str()) {
            Some(login) if login.kind == "approle" => Ok(()),
            Some(_) => Err(elsewise(mount, "a login by role")),
            None => self.send(Call::write(format!("sys/auth/{mount}")), &Asked { r#type: "approle" }).await,
        }
    }

    /// The names of all policies.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn policies(&self) -> Result<Vec<String>, VaultError> {
        self.listed(Call::list("sys/policies/acl")).await
    }

    /// A policy's text; none where there is none of the name.
    ///
    /// # Errors
    ///
    /// [`VaultError`]; what is not there is none.
    pub async fn policy(&self, name: &str) -> Result<Option<String>, VaultError> {
        #[derive(Deserialize)]
        struct Read {
            policy: String,
        }
        match self.connection.call(&Call::read(policy_path(name)?)).await {
            Ok(answer) => Ok(Some(answer.data::<Read>()?.policy)),
            Err(VaultError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a policy, whatever stood there.
    ///
    /// # Errors
    ///
    /// [`VaultError::Refused`] where the server finds it malformed.
    pub async fn write_policy(&self, name: &str, text: &str) -> Result<(), VaultError> {
        #[derive(Serialize)]
        struct Asked<'a> {
            policy: &'a str,
        }
        self.send(Call::write(policy_path(name)?), &Asked { policy: text }).await
    }

    /// Removes a policy. One that is gone is fine.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn remove_policy(&self, name: &str) -> Result<(), VaultError> {
        self.connection.call(&Call::delete(policy_path(name)?)).await.map(drop)
    }

    /// The names of all roles of a login.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn roles(&self, mount: &Mount) -> Result<Vec<String>, VaultError> {
        self.listed(Call::list(format!("auth/{mount}/role"))).await
    }

    /// A role; none where there is none of the name.
    ///
    /// # Errors
    ///
    /// [`VaultError`]; what is not there is none.
    pub async fn role(&self, mount: &Mount, role: &RoleName) -> Result<Option<Role>, VaultError> {
        match self.connection.call(&Call::read(format!("auth/{mount}/role/{role}"))).await {
            Ok(answer) => answer.data().map(Some),
            Err(VaultError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a role, whatever stood there.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn write_role(&self, mount: &Mount, role: &RoleName, what: &Role) -> Result<(), VaultError> {
        self.send(Call::write(format!("auth/{mount}/role/{role}")), what).await
    }

    /// Removes a role, with its secret ids. One that is gone is fine.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn remove_role(&self, mount: &Mount, role: &RoleName) -> Result<(), VaultError> {
        self.connection.call(&Call::delete(format!("auth/{mount}/role/{role}"))).await.map(drop)
    }

    /// The id of a role, which is no secret.
    ///
    /// # Errors
    ///
    /// [`VaultError::NotFound`].
    pub async fn role_id(&self, mount: &Mount, role: &RoleName) -> Result<String, VaultError> {
        #[derive(Deserialize)]
        struct Read {
            role_id: String,
        }
        let path = format!("auth/{mount}/role/{role}/role-id");
        Ok(self.connection.call(&Call::read(path)).await?.data::<Read>()?.role_id)
    }

    /// Makes a secret id, and gives it wrapped: nobody sees it until its program unwraps it.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn wrapped_secret_id(
        &self,
        mount: &Mount,
        role: &RoleName,
        ttl: Duration,
    ) -> Result<WrappedSecretId, VaultError> {
        #[derive(Deserialize)]
        struct Answered {
            wrap_info: Wrapped,
        }
        #[derive(Deserialize)]
        struct Wrapped {
            token: String,
            #[serde(default, rename = "wrapped_accessor")]
            accessor: String,
            ttl: u64,
        }
        let path = format!("auth/{mount}/role/{role}/secret-id");
        let answer = self.connection.call(&Call::write_once(path).wrapped(ttl)).await?;
        let Answered { wrap_info } = answer.parse()?;
        let token = Zeroizing::new(wrap_info.token);
        let token =
            Token::new(&token).map_err(|_| VaultError::refused("a secret id", "it came unwrapped"))?;
        let (accessor, ttl) = (wrap_info.accessor, Duration::from_secs(wrap_info.ttl));
        Ok(WrappedSecretId { token, accessor, ttl })
    }

    /// What the secret ids of a role are called where they must not be told.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn secret_id_accessors(
        &self,
        mount: &Mount,
        role: &RoleName,
    ) -> Result<Vec<String>, VaultError> {
        self.listed(Call::list(format!("auth/{mount}/role/{role}/secret-id"))).await
    }

    /// Makes a secret id worthless, by what it is called.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn destroy_secret_id(
        &self,
        mount: &Mount,
        role: &RoleName,
        accessor: &str,
    ) -> Result<(), VaultError> {
        #[derive(Serialize)]
        struct Asked<'a> {
            secret_id_accessor: &'a str,
        }
        let path = format!("auth/{mount}/role/{role}/secret-id-accessor/destroy");
        self.send(Call::write(path), &Asked { secret_id_accessor: accessor }).await
    }

    /// Makes a token with these policies and without `default`, for so long.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn make_token(&self, policies: &[&str], ttl: Duration) -> Result<Token, VaultError> {
        #[derive(Serialize)]
        struct Asked<'a> {
            policies: &'a [&'a str],
            ttl: String,
            explicit_max_ttl: String,
            no_default_policy: bool,
            no_parent: bool,
        }
        #[derive(Deserialize)]
        struct Answered {
            auth: Auth,
        }
        #[derive(Deserialize)]
        struct Auth {
            client_token: String,
        }
        let ttl = format!("{}s", ttl.as_secs());
        let asked =
            Asked { policies, explicit_max_ttl: ttl.clone(), ttl, no_default_policy: true, no_parent: true };
        let answer = self.connection.call(&Call::write_once("auth/token/create").body(&asked)?).await?;
        let Answered { auth } = answer.parse()?;
        let token = Zeroizing::new(auth.client_token);
        Token::new(&token).map_err(|_| VaultError::refused("a token", "the server gave none"))
    }

    /// What all tokens are called where they must not be told.
    ///
    /// # Errors
    ///
    /// [`VaultError::Denied`] without the right of an operator.
    pub async fn token_accessors(&self) -> Result<Vec<String>, VaultError> {
        self.listed(Call::list("auth/token/accessors")).await
    }

    /// What is told of a token by what it is called; none where it has ended.
    ///
    /// # Errors
    ///
    /// [`VaultError`]; what is not there is none.
    pub async fn token_by_accessor(&self, accessor: &str) -> Result<Option<OtherToken>, VaultError> {
        #[derive(Serialize)]
        struct Asked<'a> {
            accessor: &'a str,
        }
        #[derive(Deserialize)]
        struct Read {
            #[serde(default)]
            policies: Option<Vec<String>>,
            #[serde(default)]
            path: String,
            #[serde(default)]
            creation_time: i64,
            #[serde(default)]
            ttl: u64,
        }
        let call = Call::write("auth/token/lookup-accessor").body(&Asked { accessor })?;
        let read: Read = match self.connection.call(&call).await {
            Ok(answer) => answer.data()?,
            Err(VaultError::NotFound { .. } | VaultError::Refused { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Some(OtherToken {
            accessor: accessor.to_owned(),
            policies: read.policies.unwrap_or_default(),
            made_by: read.path,
            made: Timestamp::from_second(read.creation_time).ok(),
            ttl: Some(read.ttl).filter(|ttl| *ttl > 0).map(Duration::from_secs),
        }))
    }

    /// Revokes a token by what it is called. One that has ended is fine.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn revoke_accessor(&self, accessor: &str) -> Result<(), VaultError> {
        #[derive(Serialize)]
        struct Asked<'a> {
            accessor: &'a str,
        }
        match self.send(Call::write("auth/token/revoke-accessor"), &Asked { accessor }).await {
            Err(VaultError::NotFound { .. } | VaultError::Refused { .. }) => Ok(()),
            other => other,
        }
    }

    /// What this token may do at some paths, such as `read` or `root`; `deny` where nothing.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn capabilities(
        &self,
        paths: &[&str],
    ) -> Result<BTreeMap<String, BTreeSet<String>>, VaultError> {
        #[derive(Serialize)]
        struct Asked<'a> {
            paths: &'a [&'a str],
        }
        let call = Call::write("sys/capabilities-self").body(&Asked { paths })?;
        let told: BTreeMap<String, Value> = self.connection.call(&call).await?.data()?;
        let texts = |value: &Value| {
            let texts = value.as_array().into_iter().flatten().filter_map(Value::as_str);
            texts.map(str::to_owned).collect::<BTreeSet<_>>()
        };
        let asked = |path: &str| paths.contains(&path);
        Ok(told
            .iter()
            .filter(|(path, _)| asked(path))
            .map(|(path, told)| (path.clone(), texts(told)))
            .collect())
    }

    /// The server's own configuration, without what is secret in it.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn configuration(&self) -> Result<Value, VaultError> {
        self.connection.call(&Call::read("sys/config/state/sanitized")).await?.data()
    }

    /// Who is in the cluster that keeps the data.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub async fn raft(&self) -> Result<Value, VaultError> {
        self.connection.call(&Call::read("sys/storage/raft/configuration")).await?.data()
    }

    async fn send(&self, call: Call<'_>, body: &impl Serialize) -> Result<(), VaultError> {
        self.connection.call(&call.body(body)?).await.map(drop)
    }

    async fn listed(&self, call: Call<'_>) -> Result<Vec<String>, VaultError> {
        #[derive(Deserialize)]
        struct Listed {
            keys: Vec<String>,
        }
        match self.connection.call(&call).await {
            Ok(answer) => Ok(answer.data::<Listed>()?.keys),
            Err(VaultError::NotFound { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

fn elsewise(mount: &Mount, wanted: &str) -> VaultError {
    VaultError::refused(format!("mounting {wanted} at {mount}"), "something else is mounted there")
}

fn policy_path(name: &str) -> Result<String, VaultError> {
    let is_known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
    if (1..=128).contains(&name.len()) && name.bytes().all(is_known) && name.bytes().any(|b| b != b'.') {
        Ok(format!("sys/policies/acl/{name}"))
    } else {
        Err(VaultError::refused("a policy", "its name is not 1 to 128 characters of a-z, 0-9, -, _ and ."))
    }
}
