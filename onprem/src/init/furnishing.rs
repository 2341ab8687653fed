//! What is on a server before there are keys: engines, the two keys that never leave it, policies and roles.
//! Each is brought to what is declared; what stands already is left as it is.

use std::collections::BTreeSet;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use vault::transit::{KeyFacts, Transit};
use vault::{Connection, RoleName, Server, Settings};

use crate::error::OnpremError;
use crate::grant::Place;
use crate::policies::{Policy, Role};
use crate::terminal::show;

use super::setup::Setup;

/// How many versions the server keeps of each secret and document. Its own ten are soon over, and with the
/// first version goes the mark of its owner.
const VERSIONS: u32 = 100;
/// What the names of keyboot's policies and roles begin with, beside the few that have one word.
const KINDS: [&str; 5] = ["client.", "manager.", "node.", "sequencer.", "signer."];

/// A server that is furnished.
pub(super) struct Furnishing<'a> {
    /// What speaks to it, as an administrator.
    pub(super) connection: &'a Connection,
    /// What its engines are called.
    pub(super) settings: &'a Settings,
    /// What is set for single roles.
    pub(super) setup: &'a Setup,
}

/// What a role's or a policy's name begins with behind its kind: the first part of a namespace.
fn namespace_in(name: &str) -> Option<&str> {
    let rest = KINDS.iter().find_map(|kind| name.strip_prefix(kind))?;
    rest.split_once('.').map(|(namespace, _)| namespace)
}

impl Furnishing<'_> {
    fn server(&self) -> Server<'_> {
        Server::new(self.connection)
    }

    /// The engines, and the login by role.
    pub(super) async fn engines(&self) -> Result<(), OnpremError> {
        let (server, mounts) = (self.server(), &self.settings.mounts);
        server
            .ensure_kv(&mounts.secrets, "keyboot: secrets, which their makers cannot read", VERSIONS)
            .await?;
        server.ensure_kv(&mounts.documents, "keyboot: public documents", VERSIONS).await?;
        server.ensure_transit(&mounts.transit, "keyboot: a key that seals and one that signs").await?;
        server.ensure_app_role(&mounts.app_role).await?;
        show(&format!(
            "Engines: {} and {} (KV 2, compare-and-set required, {VERSIONS} versions), {} (transit); login at auth/{}.",
            mounts.secrets, mounts.documents, mounts.transit, mounts.app_role
        ));
        Ok(())
    }

    /// The two keys.
    pub(super) async fn keys(&self) -> Result<(), OnpremError> {
        let mounts = &self.settings.mounts;
        let transit = Transit::new(self.connection, &mounts.transit);
        if transit.key(&mounts.seal_key).await?.is_none() {
            transit.make_seal_key(&mounts.seal_key).await?;
        }
        if transit.key(&mounts.record_key).await?.is_none() {
            transit.make_record_key(&mounts.record_key).await?;
        }
        // Also of one that somebody else made.
        for (name, kind, derived) in
            [(&mounts.seal_key, "aes256-gcm96", true), (&mounts.record_key, "ecdsa-p256", false)]
        {
            let faults = transit
                .key(name)
                .await?
                .map_or_else(|| vec!["is not there"], |facts| faults(&facts, kind, derived));
            if !faults.is_empty() {
                return Err(OnpremError::Refused(format!(
                    "the key {name} of {} {}: it must be {kind}, {}neither to be exported nor backed up in plain, and \
                     not to be deleted",
                    mounts.transit,
                    faults.join(", "),
                    if derived { "derived by context, " } else { "" }
                )));
            }
        }
        Ok(())
    }

    /// The policies.
    pub(super) async fn policies(&self, policies: &[Policy]) -> Result<(), OnpremError> {
        let mut written = 0_usize;
        for policy in policies {
            let text = policy.text();
            if self.server().policy(policy.name()).await?.as_deref() != Some(text.as_str()) {
                self.server().write_policy(policy.name(), &text).await?;
                written += 1;
            }
        }
        show(&format!("Policies: {}, of which {written} were written now.", policies.len()));
        Ok(())
    }

    /// The roles.
    pub(super) async fn roles(&self, roles: &[Role]) -> Result<(), OnpremError> {
        for role in roles {
            let login = role.login(&self.setup.limits(role));
            self.server().write_role(&self.settings.mounts.app_role, &named(role)?, &login).await?;
        }
        show(&format!("Roles: {}. Nobody has a login for one until it is granted.", roles.len()));
        Ok(())
    }

    /// What stands from an earlier declaration: it is told, and removed on request.
    pub(super) async fn undeclared(
        &self,
        roles: &[Role],
        policies: &[Policy],
        remove: bool,
    ) -> Result<(), OnpremError> {
        let (server, mount) = (self.server(), &self.settings.mounts.app_role);
        let declared: BTreeSet<String> = roles.iter().map(Role::to_string).collect();
        let stale = |names: Vec<String>, declared: &BTreeSet<String>| -> Vec<String> {
            // Others may have such names too: those of the namespaces that are declared are keyboot's.
            let ours: BTreeSet<&str> = declared.iter().filter_map(|name| namespace_in(name)).collect();
            let is_ours =
                |name: &String| namespace_in(name).is_some_and(|namespace| ours.contains(namespace));
            names.into_iter().filter(is_ours).filter(|name| !declared.contains(name)).collect()
        };
        let old_roles = stale(server.roles(mount).await?, &declared);
        let declared = policies.iter().map(|policy| policy.name().to_owned()).collect();
        let old_policies = stale(server.policies().await?, &declared);
        for name in &old_roles {
            if remove {
                server.remove_role(mount, &role_name(name)?).await?;
            }
            show(&format!("Role {name} is in no declaration: {}.", done(remove)));
        }
        for name in &old_policies {
            if remove {
                server.remove_policy(name).await?;
            }
            show(&format!("Policy {name} is in no declaration: {}.", done(remove)));
        }
        Ok(())
    }

    /// A login for a role, into a file.
    pub(super) async fn log_in_later(
        &self,
        role: &Role,
        place: Place,
        path: &Path,
    ) -> Result<(), OnpremError> {
        let (server, mount, name) = (self.server(), &self.settings.mounts.app_role, named(role)?);
        let role_id = server.role_id(mount, &name).await?;
        let wrapped = server.wrapped_secret_id(mount, &name, role.longest_wrapping()).await?;
        place.put(&wrapped)?;
        show(&format!(
            "The {name}'s login, which `grant` uses and replaces:\n\n[vault.app-role]\nrole = \"{name}\"\n\
             role-id = \"{role_id}\"\nsecret-id-file = \"{}\"\n",
            path.display()
        ));
        Ok(())
    }

    /// What nodes and auditors pin: the names of the two keys, and the public half of the one that signs.
    pub(super) async fn tell_what_readers_pin(&self) -> Result<(), OnpremError> {
        let mounts = &self.settings.mounts;
        let public = Transit::new(self.connection, &mounts.transit).public_key(&mounts.record_key).await?;
        let place = self.settings.place();
        show(&format!(
            "For readers' configurations:\n\nsealed-under = [\"{}\"]\n\n[[pin]]\nsigner = \"{}\"\n\
             public-key = \"{}\"\n",
            place.seal_key(),
            place.signer(),
            STANDARD.encode(public)
        ));
        Ok(())
    }
}

fn done(remove: bool) -> &'static str {
    if remove { "removed" } else { "it stands, and --remove-undeclared removes it" }
}

/// What is wrong with a key.
fn faults(facts: &KeyFacts, kind: &str, derived: bool) -> Vec<&'static str> {
    [
        (facts.kind != kind, "is of another kind"),
        (facts.derived != derived, if derived { "is not derived" } else { "is derived" }),
        (facts.exportable, "can be exported"),
        (facts.plaintext_backup, "can be backed up in plain"),
        (facts.deletion_allowed, "can be deleted"),
    ]
    .into_iter()
    .filter_map(|(is_so, fault)| is_so.then_some(fault))
    .collect()
}

fn named(role: &Role) -> Result<RoleName, OnpremError> {
    role_name(&role.to_string())
}

fn role_name(name: &str) -> Result<RoleName, OnpremError> {
    name.parse()
        .map_err(|fault| OnpremError::Config(format!("the role {name} has no name for a server: {fault}")))
}
