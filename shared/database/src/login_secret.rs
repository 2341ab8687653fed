//! A login as it is stored.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::login::Login;
use crate::password::Password;
use crate::place::Place;

/// A login, with all that it takes to use it.
#[derive(Debug)]
pub struct LoginSecret {
    /// Where it is one.
    pub place: Place,
    /// Which one it is.
    pub login: Login,
    /// Its password.
    pub password: Password,
}

/// A stored text is no login of a node's database. It is not repeated.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the stored value is none of a database login")]
pub struct NoSecret;

/// In the fields that AWS gives a database's secret (Secrets Manager user guide, "JSON structure of AWS
/// Secrets Manager secrets"), which its own drivers read.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Stored<T> {
    engine: T,
    host: T,
    port: u16,
    dbname: T,
    username: T,
    password: T,
}

const ENGINE: &str = "postgres";

impl LoginSecret {
    /// The text that is stored: JSON, the same for the same login.
    ///
    /// # Security
    ///
    /// It has the password in it. Give it to the store, and nowhere else.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let Self { place, login, password } = self;
        let stored = Stored {
            engine: ENGINE,
            host: place.host(),
            port: place.port(),
            dbname: place.name(),
            username: login.as_str(),
            // EXPOSE: to the text, which is overwritten and goes to the store.
            password: password.expose(),
        };
        // As long as it can get, so that writing it never moves it and leaves a copy behind.
        let mut text = Vec::with_capacity(512 + 6 * Password::MAX_BYTES);
        // Writing numbers and texts into memory cannot fail.
        let _ = serde_json::to_writer(&mut text, &stored);
        Zeroizing::new(String::from_utf8(text).unwrap_or_default())
    }

    /// Reads what [`to_text`](Self::to_text) has written.
    ///
    /// # Errors
    ///
    /// [`NoSecret`] for everything else.
    pub fn parse(text: &str) -> Result<Self, NoSecret> {
        let Stored { engine, host, port, dbname, username, mut password }: Stored<String> =
            serde_json::from_str(text).map_err(|_| NoSecret)?;
        let read = || {
            let place = Place::parse(&host, &port.to_string(), &dbname).ok()?;
            let login = username.parse().ok()?;
            (engine == ENGINE).then_some((place, login))
        };
        let Some((place, login)) = read() else {
            password.zeroize();
            return Err(NoSecret);
        };
        let password = Password::from_text(password).ok_or(NoSecret)?;
        Ok(Self { place, login, password })
    }
}

/// The master user's login, as RDS stores it (Amazon RDS user guide, "Password management with Amazon RDS
/// and AWS Secrets Manager"): a name and a password.
pub struct MasterSecret {
    /// The user's name.
    pub username: String,
    /// The user's password.
    pub password: Password,
}

#[derive(Deserialize)]
struct StoredMaster {
    username: String,
    password: String,
}

impl MasterSecret {
    /// Reads what RDS has written. Fields beyond those are left alone.
    ///
    /// # Errors
    ///
    /// [`NoSecret`] when the name or the password is not there.
    pub fn parse(text: &str) -> Result<Self, NoSecret> {
        let StoredMaster { username, password } = serde_json::from_str(text).map_err(|_| NoSecret)?;
        let password = Password::from_text(password).ok_or(NoSecret)?;
        if username.is_empty() || username.chars().any(char::is_control) {
            return Err(NoSecret);
        }
        Ok(Self { username, password })
    }

    /// Whether it is the same login, in the same words.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        // EXPOSE: to a comparison of two passwords that are both ours.
        self.username == other.username && self.password.expose() == other.password.expose()
    }
}

impl fmt::Debug for MasterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterSecret").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"engine":"postgres","host":"db.example","port":5432,"dbname":"tsm","username":"node_b","password":"canary"}"#;

    #[test]
    fn a_login_is_read_back_as_it_was_written() {
        let secret = LoginSecret::parse(TEXT).unwrap();
        assert_eq!((secret.login, secret.place.host(), secret.place.port()), (Login::B, "db.example", 5432));
        assert_eq!(secret.to_text().as_str(), TEXT);
        assert!(!format!("{secret:?}").contains("canary"));
    }

    #[test]
    fn what_is_no_login_is_refused_and_not_repeated() {
        let others = [
            ("node_b", "node_c"),
            ("node_b", "postgres"),
            ("postgres", "mysql"),
            ("db.example", "/tmp"),
            ("canary", ""),
            ("5432", "0"),
            ("5432", "\"5432\""),
            ("}", r#","sslmode":"disable"}"#),
            ("\"engine\":\"postgres\",", ""),
        ];
        for (from, to) in others {
            let fault = LoginSecret::parse(&TEXT.replacen(from, to, 1)).unwrap_err();
            assert!(!format!("{fault} {fault:?}").contains("canary"), "{from} {to}");
        }
        for text in ["", "{}", "null", "canary"] {
            assert_eq!(LoginSecret::parse(text).unwrap_err(), NoSecret);
        }
    }

    #[test]
    fn the_master_user_is_read_as_rds_writes_him() {
        let text = r#"{"username":"postgres","password":"it's 'one'","engine":"postgres"}"#;
        let master = MasterSecret::parse(text).unwrap();
        assert_eq!((master.username.as_str(), master.password.expose()), ("postgres", "it's 'one'"));
        assert!(master.is_same_as(&MasterSecret::parse(text).unwrap()));
        assert!(!master.is_same_as(&MasterSecret::parse(&text.replace("it's", "is it")).unwrap()));
        assert!(!format!("{master:?}").contains("one"));
        for bad in ["{}", r#"{"username":"x"}"#, r#"{"username":"","password":"x"}"#] {
            assert!(MasterSecret::parse(bad).is_err(), "{bad}");
        }
    }
}
