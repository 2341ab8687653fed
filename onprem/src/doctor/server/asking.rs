//! Asks a server for what it tells of itself. It changes nothing there.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::Duration;

use vault::server::{Health, OtherToken, Role};
use vault::transit::Transit;
use vault::{Connection, Mounts, Server, Session, Settings, Token, VaultError};
use zeroize::Zeroizing;

use super::{InnerFacts, ServerFacts, Told};
use crate::doctor::finding::{Fault, Report};

/// How long is waited for a server without TLS.
const PATIENCE: Duration = Duration::from_secs(3);
/// The longest answer of it that is read, in bytes.
const LONGEST: u64 = 64 * 1024;
/// The most tokens that are looked at, one call each.
const MOST_TOKENS: usize = 5_000;

/// What doctor logs in with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Login {
    /// With the token in a file.
    TokenFile(PathBuf),
    /// As the configuration says; a secret id for one use is then used up.
    AsConfigured,
    /// Not at all: what everybody is told has to do.
    Nobody,
}

/// Looks at the server that the configuration names.
pub async fn look(settings: &Settings, login: &Login, report: &mut Report) {
    let address = settings.address.to_string();
    let connection = match Connection::to(&settings.address, &settings.ca_file) {
        Ok(connection) => connection,
        Err(error) => return report.not_seen(address, error.to_string()),
    };
    let health = match Server::new(&connection).health().await {
        Ok(health) => health,
        Err(error) => return report.not_seen(address, error.to_string()),
    };
    // A login at a server that cannot be used would only use a secret id up.
    let inner = if health.sealed || !health.initialized {
        Err("it cannot be used".to_owned())
    } else {
        match log_in(settings, login).await {
            Ok((session, is_own)) => {
                let facts = ask(&session, &settings.mounts).await;
                if is_own && session.end().await.is_err() {
                    report.not_seen("the login", "its token could not be revoked: it ends by itself");
                }
                Ok(facts)
            }
            Err(why) => Err(why),
        }
    };
    ServerFacts { address, health, inner }.check(report);
}

/// Looks at a server that is spoken to without TLS, and sends it nothing that is secret.
pub fn look_without_tls(address: &str, report: &mut Report) {
    report.found(Fault::TlsOff, address, "it is spoken to by http");
    let inner = Err("no token is sent without TLS".to_owned());
    match health_without_tls(address) {
        Some(health) => ServerFacts { address: address.to_owned(), health, inner }.check(report),
        None => report.not_seen(address, "it does not answer"),
    }
}

fn health_without_tls(address: &str) -> Option<Health> {
    let authority = address.strip_prefix("http://")?.trim_end_matches('/');
    let with_port = |authority: &str| authority.to_socket_addrs().ok()?.next();
    let address = with_port(authority).or_else(|| with_port(&format!("{authority}:80")))?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    // The first version of HTTP, whose answers end with the connection.
    let request = format!("GET /v1/sys/seal-status HTTP/1.0\r\nHost: {authority}\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer);
    let (_, body) = answer.split_once("\r\n\r\n")?;
    serde_json::from_str(body).ok()
}

/// A login, and whether it was made for this.
async fn log_in(settings: &Settings, login: &Login) -> Told<(Session, bool)> {
    let with_file = |file: &PathBuf| {
        let text = std::fs::read_to_string(file).map(Zeroizing::new);
        let text = text.map_err(|error| format!("{}: {error}", file.display()))?;
        let token = Token::new(&text).map_err(|error| format!("the token in {}: {error}", file.display()))?;
        let session = Session::with_token(&settings.address, &settings.ca_file, &token);
        session.map(|session| (session, false)).map_err(in_words)
    };
    match (login, &settings.login) {
        (Login::TokenFile(file), _) | (_, vault::Login::TokenFile(file)) => with_file(file),
        (Login::AsConfigured, _) => {
            Session::open(settings).await.map(|session| (session, true)).map_err(in_words)
        }
        (Login::Nobody, _) => {
            Err("nobody logged in: give an auditor's token with --token-file, or --log-in as configured"
                .into())
        }
    }
}

async fn ask(session: &Session, mounts: &Mounts) -> InnerFacts {
    let server = Server::new(session.connection());
    let logins = server.logins().await.map_err(in_words).map(|logins| {
        let by_role = logins.into_iter().filter(|(_, login)| login.kind == "approle");
        by_role.map(|(mount, _)| mount).collect::<BTreeSet<_>>()
    });
    let roles = match &logins {
        Ok(logins) => roles(&server, logins).await,
        Err(why) => Err(why.clone()),
    };
    let transit = Transit::new(session.connection(), &mounts.transit);
    let mut keys = BTreeMap::new();
    for name in [&mounts.seal_key, &mounts.record_key] {
        match transit.key(name).await {
            Ok(Some(key)) => drop(keys.insert(format!("{}/{name}", mounts.transit), Ok(key))),
            // Without one nothing was provisioned yet.
            Ok(None) => {}
            Err(error) => drop(keys.insert(format!("{}/{name}", mounts.transit), Err(in_words(error)))),
        }
    }
    InnerFacts {
        is_root: session.token_facts().await.map(|facts| facts.is_root).map_err(in_words),
        tokens: tokens(&server).await,
        audit_devices: server.audit_devices().await.map_err(in_words),
        engines: server.engines().await.map_err(in_words),
        logins,
        policies: policies(&server).await,
        roles,
        keys,
        documents: mounts.documents.to_string(),
    }
}

async fn tokens(server: &Server<'_>) -> Told<Vec<OtherToken>> {
    let accessors = server.token_accessors().await.map_err(in_words)?;
    if accessors.len() > MOST_TOKENS {
        return Err(format!(
            "there are {} tokens, and no more than {MOST_TOKENS} are looked at",
            accessors.len()
        ));
    }
    let mut tokens = Vec::new();
    for accessor in accessors {
        tokens.extend(server.token_by_accessor(&accessor).await.map_err(in_words)?);
    }
    Ok(tokens)
}

async fn policies(server: &Server<'_>) -> Told<BTreeMap<String, Told<String>>> {
    /// It has no text: it may do everything.
    const ROOT: &str = "root";
    let names = server.policies().await.map_err(in_words)?;
    let mut policies = BTreeMap::new();
    for name in names.into_iter().filter(|name| name != ROOT) {
        match server.policy(&name).await {
            Ok(Some(text)) => drop(policies.insert(name, Ok(text))),
            // It has gone since.
            Ok(None) => {}
            Err(error) => drop(policies.insert(name, Err(in_words(error)))),
        }
    }
    Ok(policies)
}

async fn roles(server: &Server<'_>, logins: &BTreeSet<String>) -> Told<BTreeMap<String, Told<Role>>> {
    let mut roles = BTreeMap::new();
    for login in logins {
        let mount = login.parse().map_err(|_| format!("the login at {login} has an unusual name"))?;
        for name in server.roles(&mount).await.map_err(in_words)? {
            let place = format!("{login}/{name}");
            let Ok(name) = name.parse() else {
                roles.insert(place, Err("it has an unusual name: read it yourself".into()));
                continue;
            };
            match server.role(&mount, &name).await {
                Ok(Some(role)) => drop(roles.insert(place, Ok(role))),
                Ok(None) => {}
                Err(error) => drop(roles.insert(place, Err(in_words(error)))),
            }
        }
    }
    Ok(roles)
}

#[expect(clippy::needless_pass_by_value, reason = "it stands where errors are mapped")]
fn in_words(error: VaultError) -> String {
    error.to_string()
}
