//! The SQL, as text. Every name in it is a constant, and so is every statement but for a verifier, which
//! is made of letters, digits and `$ : + / = -`.
//!
//! Each may be carried out again: what is so already stays so. The master user of RDS is no superuser;
//! what is asked of it here, a role with CREATEROLE that owns the database may do (PostgreSQL
//! documentation, "Role Attributes" and "Role Membership").

use zeroize::Zeroizing;

use crate::login::{Login, OWNER, SCHEMA};
use crate::password::Verifier;

/// Takes the lock that whoever changes logins holds, until the connection ends. Its number is nobody
/// else's: `keyboot` in ASCII.
pub const LOCK: &str = "SELECT pg_catalog.pg_advisory_lock(30229394524958580)";

/// Makes a login's role and everything that it needs, and gives it the password that a verifier is of: all
/// of it or nothing.
///
/// The master user is a member of the owner meanwhile, since only who can act as a role may give it a
/// schema or have others act as it. Afterwards it is none: it does not see by mistake what a node stores.
#[must_use]
pub fn accept(login: Login, verifier: &Verifier) -> Zeroizing<String> {
    let make_roles = make_role(OWNER, "NOLOGIN") + &make_role(login.as_str(), "LOGIN");
    // EXPOSE: to the server, over TLS: it is what the server stores.
    let verifier = verifier.expose();
    Zeroizing::new(format!(
        "BEGIN; \
         {make_roles}\
         GRANT {OWNER} TO CURRENT_USER; \
         {OWN_SCHEMA}{NOTHING_FOR_PUBLIC}\
         GRANT {OWNER} TO {login}; \
         ALTER ROLE {login} LOGIN INHERIT NOCREATEDB NOCREATEROLE CONNECTION LIMIT -1 VALID UNTIL 'infinity'; \
         ALTER ROLE {login} SET role TO {OWNER}; \
         ALTER ROLE {login} SET search_path TO {SCHEMA}; \
         ALTER ROLE {login} PASSWORD '{verifier}'; \
         REVOKE {OWNER} FROM CURRENT_USER GRANTED BY CURRENT_USER; \
         COMMIT"
    ))
}

/// Says `t` if whoever asks is this login, acts as the owner, owns the schema and stands in it, is allowed
/// nothing beyond, and the world is allowed nothing.
#[must_use]
pub fn proof(login: Login) -> String {
    format!(
        "SELECT session_user = '{login}' AND current_user = '{OWNER}' \
         AND pg_catalog.current_schema() IS NOT DISTINCT FROM '{SCHEMA}' \
         AND EXISTS (SELECT FROM pg_catalog.pg_namespace \
             WHERE nspname = '{SCHEMA}' AND pg_catalog.pg_get_userbyid(nspowner) = '{OWNER}') \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname IN ('{OWNER}', '{login}') \
             AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls \
                 OR rolcanlogin AND rolname = '{OWNER}')) \
         AND NOT pg_catalog.has_database_privilege('public', pg_catalog.current_database(), \
             'CONNECT, TEMPORARY, CREATE') \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname IN ('public', '{SCHEMA}') \
             AND pg_catalog.has_schema_privilege('public', oid, 'USAGE, CREATE'))"
    )
}

fn make_role(name: &str, kind: &str) -> String {
    format!(
        "DO $$ BEGIN \
         IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = '{name}') \
         THEN CREATE ROLE {name} {kind}; END IF; \
         END $$; "
    )
}

/// The owner's schema, whoever has made it.
const OWN_SCHEMA: &str = "DO $$ BEGIN \
     IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'node') \
     THEN CREATE SCHEMA node AUTHORIZATION node; \
     ELSE ALTER SCHEMA node OWNER TO node; END IF; \
     REVOKE ALL ON SCHEMA node FROM PUBLIC; \
     EXECUTE pg_catalog.format('GRANT CONNECT ON DATABASE %I TO node', pg_catalog.current_database()); \
     END $$; ";

/// Every role may connect to every database and use its schema `public`, unless that is taken back
/// (PostgreSQL documentation, "Privileges"). It is, in each database that the master user owns.
const NOTHING_FOR_PUBLIC: &str = "DO $$ DECLARE other pg_catalog.name; BEGIN \
     FOR other IN SELECT datname FROM pg_catalog.pg_database \
         WHERE pg_catalog.pg_get_userbyid(datdba) = current_user \
         AND pg_catalog.has_database_privilege('public', oid, 'CONNECT, TEMPORARY, CREATE') \
     LOOP EXECUTE pg_catalog.format('REVOKE ALL ON DATABASE %I FROM PUBLIC', other); END LOOP; \
     IF EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'public') \
     THEN REVOKE ALL ON SCHEMA public FROM PUBLIC; END IF; \
     END $$; ";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::password::Password;

    #[test]
    fn no_statement_has_a_password_in_it() {
        for login in [Login::A, Login::B] {
            let password = Password::make().unwrap();
            let statement = accept(login, &password.verifier());
            assert!(!statement.contains(password.expose()));
            assert!(statement.contains(&format!("ALTER ROLE {login} PASSWORD 'SCRAM-SHA-256$")));
            assert!(!statement.contains(login.other().as_str()), "the other login is touched");
            assert!(!proof(login).contains(login.other().as_str()));
        }
    }

    /// The constants are written out in the longer texts.
    #[test]
    fn the_texts_speak_of_the_names_there_are() {
        assert_eq!((OWNER, SCHEMA), ("node", "node"));
        let number = u64::from_be_bytes(*b"\0keyboot");
        assert!(LOCK.ends_with(&format!("({number})")), "{number}");
    }
}
