//! Who calls: accounts' root users and roles, known by access key.

use std::collections::BTreeMap;

use policies::{IdentityPolicy, Principal};

use crate::access::identity_policy;
use crate::error::ApiError;
use crate::place::{Place, partition_of};

/// The account of access key `test`.
const TEST_ACCOUNT: &str = "000000000000";
/// The name of every session.
const SESSION: &str = "session";

/// A role that a test has made.
#[derive(Clone, Debug)]
pub struct Role {
    /// The account it belongs to.
    pub account: String,
    /// Its ARN.
    pub arn: String,
    /// The access key that acts as it.
    pub access_key: String,
    /// Its tags, which every session of it has.
    pub tags: BTreeMap<String, String>,
    pub(crate) policies: Vec<IdentityPolicy>,
}

/// Who makes a call.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Caller {
    /// The account that is charged, and in which names without an ARN are looked up.
    pub(crate) place: Place,
    /// The ARN of the account's root user, or of the role.
    pub(crate) arn: String,
    /// The same, as policies see it.
    pub(crate) principal: Principal,
    /// What else its session tells of every call.
    pub(crate) context: BTreeMap<String, String>,
    /// The number of the call in the record.
    pub(crate) call: u64,
}

/// The identities of all accounts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identities {
    /// By ARN.
    roles: BTreeMap<String, Role>,
    /// By access key: the role's ARN, and what a session of it tells beside its role.
    sessions: BTreeMap<String, (String, BTreeMap<String, String>)>,
    keys_given: u32,
    /// By account.
    organizations: BTreeMap<String, String>,
}

impl Identities {
    /// Adds a role, or gives the role of this ARN other policies.
    pub(crate) fn add_role(&mut self, arn: &str, policies: &[String]) -> Result<&Role, ApiError> {
        let account = match Principal::role(arn, SESSION) {
            Ok(principal) => principal.account().unwrap_or_default().to_owned(),
            Err(error) => return Err(ApiError::validation(error.to_string())),
        };
        let name = arn.rsplit('/').next().unwrap_or(arn);
        let numbered = policies.iter().enumerate();
        let read = numbered.map(|(index, text)| identity_policy(&format!("{name}[{index}]"), text));
        let policies = read.collect::<Result<Vec<_>, _>>()?;
        let (known, tags) = self.role(arn).map(|role| (role.access_key.clone(), role.tags.clone())).unzip();
        let access_key = known.unwrap_or_else(|| self.new_key());
        let role = Role {
            account,
            arn: arn.to_owned(),
            access_key: access_key.clone(),
            tags: tags.unwrap_or_default(),
            policies,
        };
        self.sessions.insert(access_key, (arn.to_owned(), BTreeMap::new()));
        Ok(self.roles.entry(arn.to_owned()).insert_entry(role).into_mut())
    }

    /// Another session of a role, whose every call tells these condition keys; gives its access key.
    pub(crate) fn add_session(
        &mut self,
        role: &str,
        context: BTreeMap<String, String>,
    ) -> Result<String, ApiError> {
        if self.role(role).is_none() {
            return Err(ApiError::validation(format!("there is no role {role}")));
        }
        let key = self.new_key();
        self.sessions.insert(key.clone(), (role.to_owned(), context));
        Ok(key)
    }

    /// As long as a real one, and nobody's.
    fn new_key(&mut self) -> String {
        self.keys_given += 1;
        format!("ASIADOUBLE{:010}", self.keys_given)
    }

    /// The role of an ARN.
    pub(crate) fn role(&self, arn: &str) -> Option<&Role> {
        self.roles.get(arn)
    }

    /// Gives a role a tag, as whoever administers its account can.
    pub(crate) fn tag_role(&mut self, arn: &str, key: &str, value: &str) {
        if let Some(role) = self.roles.get_mut(arn) {
            role.tags.insert(key.to_owned(), value.to_owned());
        }
    }

    /// Takes a role away, with its policies and its access keys.
    pub(crate) fn remove_role(&mut self, arn: &str) {
        self.roles.remove(arn);
        self.sessions.retain(|_, (role, _)| role != arn);
    }

    /// Puts an account into an organization.
    pub(crate) fn join(&mut self, account: &str, organization: &str) {
        self.organizations.insert(account.to_owned(), organization.to_owned());
    }

    /// Who an access key stands for. `None` for one that nobody has.
    pub(crate) fn caller(&self, access_key: &str, region: &str, call: u64) -> Option<Caller> {
        let is_account = access_key.len() == 12 && access_key.bytes().all(|byte| byte.is_ascii_digit());
        let session = self.sessions.get(access_key);
        let context = session.map(|(_, context)| context.clone()).unwrap_or_default();
        let (account, arn, principal) = match session.and_then(|(arn, _)| self.role(arn)) {
            Some(role) => {
                let session = Principal::role(&role.arn, SESSION).ok()?;
                let session =
                    role.tags.iter().fold(session, |session, (key, value)| session.tagged(key, value));
                (role.account.as_str(), role.arn.clone(), session)
            }
            None if is_account || access_key == "test" => {
                let account = if is_account { access_key } else { TEST_ACCOUNT };
                let arn = format!("arn:{}:iam::{account}:root", partition_of(region));
                (account, arn.clone(), Principal::root(&arn).ok()?)
            }
            None => return None,
        };
        let principal = match self.organizations.get(account) {
            Some(organization) => principal.in_organization(organization),
            None => principal,
        };
        Some(Caller { place: Place::new(account, region), arn, principal, context, call })
    }
}

/// The refusal of an access key that nobody has (each API Reference, "Common Errors").
pub(crate) fn unknown_access_key(query_protocol: bool) -> ApiError {
    if query_protocol {
        let said = "The X.509 certificate or AWS access key ID provided does not exist in our records.";
        return ApiError::new("InvalidClientTokenId", said).with_status(403);
    }
    ApiError::new("UnrecognizedClientException", "The security token included in the request is invalid.")
}
