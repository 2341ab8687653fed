//! What the function is told by its environment, and by the file beside it: the one place where both are
//! read.

use std::path::Path;

use aws::{LoginSettings, Logins};
use database::Place;
use postgres::{Postgres, Roots};

/// The authorities that certificates of databases come from: AWS's own list ("Using SSL/TLS to encrypt a
/// connection to a DB instance or cluster" in the Amazon RDS user guide), packed with the program.
const ROOTS: &str = "rds-roots.pem";

/// Reads the environment; what is wrong with it is told without its values. Opens no connection.
pub(crate) fn read() -> Result<(Logins, Postgres), String> {
    #[cfg(not(feature = "local"))]
    surroundings::refuse_tampered_environment(std::env::vars_os()).map_err(|fault| fault.to_string())?;
    let settings = LoginSettings::read(variable).map_err(|fault| fault.to_string())?;
    let place = place()?;
    let folder = required("LAMBDA_TASK_ROOT")?;
    let roots = std::fs::read(Path::new(&folder).join(ROOTS))
        .map_err(|error| format!("{ROOTS} beside the program cannot be read: {}", error.kind()))?;
    let roots = Roots::parse(&roots).map_err(|fault| format!("{ROOTS} is of no use: {fault}"))?;
    Ok((Logins::new(settings), Postgres::new(place, roots)))
}

fn place() -> Result<Place, String> {
    let [host, port, name] = ["DATABASE_HOST", "DATABASE_PORT", "DATABASE_NAME"];
    Place::parse(&required(host)?, &required(port)?, &required(name)?).map_err(|wrong| {
        let variable = match wrong.part {
            database::Part::Host => host,
            database::Part::Port => port,
            database::Part::Name => name,
        };
        format!("the environment variable {variable} is wrong: {wrong}")
    })
}

fn required(name: &'static str) -> Result<String, String> {
    let value = variable(name).filter(|value| !value.is_empty());
    value.ok_or_else(|| format!("the environment variable {name} is not set"))
}

#[expect(clippy::disallowed_methods, reason = "this is where configuration is read")]
fn variable(name: &'static str) -> Option<String> {
    std::env::var(name).ok()
}
