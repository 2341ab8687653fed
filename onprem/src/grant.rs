//! A login for somebody: a secret id that is good once and for an hour, in a wrapping that opens once.
//!
//! The operator's own login is such a one too. Each use of it makes the next, which takes its place in the same
//! file: a copy that somebody has made is worth nothing after the next grant, and shows itself at it if it was
//! used before.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tempfile::NamedTempFile;
use vault::server::WrappedSecretId;
use vault::{AppRole, Login, Mounts, RoleName, Server, Session};

use crate::config::Config;
use crate::error::OnpremError;
use crate::policies;
use crate::terminal::{say, show};

/// How long a wrapping waits for its program where nothing is said.
const TTL: &str = "10m";
/// What a duration may be.
const TTL_ALLOWED: &str = "a whole number of seconds, minutes or hours, such as 90s, 10m or 1h";

/// What `grant` is called with.
#[derive(Args, Debug)]
pub struct Options {
    /// The role, such as signer.keyboot.l2.batcher.1: `policies` shows them all
    role: RoleName,
    /// How long the wrapping waits for its program
    #[arg(long, default_value = TTL, value_parser = duration)]
    ttl: Duration,
    /// The file that the wrapping token goes to, with mode 0600; standard output where there is none
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Show the result as JSON
    #[arg(long)]
    json: bool,
}

/// Makes a login for a role.
///
/// # Errors
///
/// [`OnpremError`] where the operator is not let in, may not hand out the role, or the file cannot be written.
pub async fn run(options: &Options, config: &Config) -> Result<ExitCode, OnpremError> {
    let mounts = &config.vault.mounts;
    // What cannot be written afterwards must not be used up before.
    let successor = successor_of(&config.vault.login)?;
    let place = options.out.as_deref().map(Place::beside).transpose()?;
    let session = Session::open(&config.vault).await?;
    let granted = granted(options, &session, mounts, successor, place).await;
    // Whatever came of it, the token has done its work.
    let ended = if matches!(config.vault.login, Login::TokenFile(_)) { Ok(()) } else { session.end().await };
    granted?;
    ended?;
    Ok(ExitCode::SUCCESS)
}

async fn granted(
    options: &Options,
    session: &Session,
    mounts: &Mounts,
    successor: Option<(&AppRole, Place)>,
    place: Option<Place>,
) -> Result<(), OnpremError> {
    let server = Server::new(session.connection());
    if let Some((login, place)) = successor {
        let longest = policies::Role::Operator.longest_wrapping();
        let next = server.wrapped_secret_id(&mounts.app_role, &login.role, longest).await?;
        place.put(&next)?;
    }
    let role_id = server.role_id(&mounts.app_role, &options.role).await?;
    let wrapped = server.wrapped_secret_id(&mounts.app_role, &options.role, options.ttl).await?;
    match place {
        Some(place) => place.put(&wrapped)?,
        // EXPOSE: to the operator who asked for it, who carries it to its program.
        None if !options.json => show(wrapped.token.expose()),
        None => {}
    }
    tell(options, &role_id, &wrapped);
    Ok(())
}

/// Says what goes into the configuration of the program, and what to call the login back by.
fn tell(options: &Options, role_id: &str, wrapped: &WrappedSecretId) {
    let Options { role, out, .. } = options;
    let seconds = wrapped.ttl.as_secs();
    if options.json {
        let file = out.as_ref().map(|path| path.display().to_string());
        // EXPOSE: as above, where no file was named.
        let token = file.is_none().then(|| wrapped.token.expose().to_owned());
        let mut told = json!({
            "accessor": wrapped.accessor,
            "file": file,
            "role": role.as_str(),
            "roleId": role_id,
            "seconds": seconds,
        });
        if let Some(token) = token {
            told["wrappingToken"] = json!(token);
        }
        show(&told.to_string());
        return;
    }
    let file = out
        .as_ref()
        .map_or_else(|| "<the file that it is put into>".to_owned(), |it| it.display().to_string());
    let text = format!(
        "[vault.app-role]\nrole = \"{role}\"\nrole-id = \"{role_id}\"\nsecret-id-file = \"{file}\"\n\
         # good for {seconds} seconds, and once; to call it back: secret id accessor {}",
        wrapped.accessor
    );
    if out.is_some() {
        show(&text);
    } else {
        // The token alone is what a pipe takes on.
        for line in text.lines() {
            say(line);
        }
    }
}

/// Where the operator's next login goes: there where this one is.
fn successor_of(login: &Login) -> Result<Option<(&AppRole, Place)>, OnpremError> {
    match login {
        Login::AppRole(role) if role.wrapped => Ok(Some((role, Place::beside(&role.secret_id_file)?))),
        _ => Ok(None),
    }
}

/// A file that nobody else reads, beside the one that it takes the place of.
#[derive(Debug)]
pub(crate) struct Place {
    file: NamedTempFile,
    path: PathBuf,
}

impl Place {
    /// Makes room for what is to stand at a path.
    ///
    /// # Errors
    ///
    /// [`OnpremError::Write`].
    pub(crate) fn beside(path: &Path) -> Result<Self, OnpremError> {
        let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
        // A new file of this kind has mode 0600.
        let file = NamedTempFile::new_in(folder).map_err(|error| refused(path, error))?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Puts a wrapping token there, at once or not at all.
    ///
    /// # Errors
    ///
    /// [`OnpremError::Write`].
    pub(crate) fn put(self, wrapped: &WrappedSecretId) -> Result<(), OnpremError> {
        let Self { mut file, path } = self;
        // EXPOSE: into the file that the program which it is for reads and removes.
        writeln!(file, "{}", wrapped.token.expose()).map_err(|error| refused(&path, error))?;
        file.as_file().sync_all().map_err(|error| refused(&path, error))?;
        file.persist(&path).map_err(|error| refused(&path, error.error))?;
        Ok(())
    }
}

fn refused(path: &Path, error: std::io::Error) -> OnpremError {
    OnpremError::Write { path: path.display().to_string(), error }
}

/// Reads a duration.
fn duration(text: &str) -> Result<Duration, String> {
    let refused = || format!("it must be {TTL_ALLOWED}");
    let unit = text.find(|each: char| !each.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit);
    let number: u64 = number.parse().map_err(|_| refused())?;
    let seconds = match unit {
        "s" => Some(number),
        "m" => number.checked_mul(60),
        "h" => number.checked_mul(3600),
        _ => None,
    };
    seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_its_unit() {
        for (text, seconds) in [("90s", 90), ("10m", 600), ("1h", 3600)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in
            ["", "10", "m", "0s", "1d", "-1s", "1 m", "1.5h", "99999999999999999999s", "9999999999999999999h"]
        {
            assert!(duration(text).unwrap_err().contains(TTL_ALLOWED), "{text}");
        }
    }
}
