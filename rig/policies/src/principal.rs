//! Who asks.

use crate::{arn, context::Context, error::PrincipalError};

/// Somebody who makes requests.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Principal {
    kind: PrincipalKind,
    organization: Option<String>,
    tags: Vec<(String, String)>,
}

/// What a principal is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PrincipalKind {
    /// The root user of an account.
    Root {
        /// `aws`, `aws-cn`, …
        partition: String,
        /// Twelve digits.
        account: String,
    },
    /// A session of a role.
    Role {
        /// `aws`, `aws-cn`, …
        partition: String,
        /// Twelve digits.
        account: String,
        /// The role's name with its path, as in its ARN: `service-role/node-keys`.
        role: String,
        /// The name of the session.
        session: String,
    },
    /// A user of an account.
    User {
        /// `aws`, `aws-cn`, …
        partition: String,
        /// Twelve digits.
        account: String,
        /// The user's name with its path, as in its ARN.
        user: String,
    },
    /// An AWS service that acts for itself, as `lambda.amazonaws.com`.
    Service(String),
}

impl Principal {
    /// The root user of an account, from the account's ARN: `arn:aws:iam::111122223333:root`.
    ///
    /// # Errors
    ///
    /// When this is another ARN, or none.
    pub fn root(arn: &str) -> Result<Self, PrincipalError> {
        let expected = "the ARN of an account's root";
        match iam_arn(arn, expected)? {
            (partition, account, "root") => Ok(Self::of(PrincipalKind::Root { partition, account })),
            _ => Err(PrincipalError { text: arn.to_owned(), expected }),
        }
    }

    /// A session of a role, from the role's ARN: `arn:aws:iam::111122223333:role/node-keys`.
    ///
    /// # Errors
    ///
    /// When this is another ARN, or none, or when a session cannot have this name.
    pub fn role(arn: &str, session: &str) -> Result<Self, PrincipalError> {
        let expected = "the ARN of a role";
        let (partition, account, resource) = iam_arn(arn, expected)?;
        let Some(role) = resource.strip_prefix("role/").filter(|role| is_name(role)) else {
            return Err(PrincipalError { text: arn.to_owned(), expected });
        };
        if !is_session(session) {
            return Err(PrincipalError { text: session.to_owned(), expected: "the name of a session" });
        }
        let (role, session) = (role.to_owned(), session.to_owned());
        Ok(Self::of(PrincipalKind::Role { partition, account, role, session }))
    }

    /// A user, from its ARN: `arn:aws:iam::111122223333:user/alice`.
    ///
    /// # Errors
    ///
    /// When this is another ARN, or none.
    pub fn user(arn: &str) -> Result<Self, PrincipalError> {
        let expected = "the ARN of a user";
        let (partition, account, resource) = iam_arn(arn, expected)?;
        match resource.strip_prefix("user/").filter(|user| is_name(user)) {
            Some(user) => Ok(Self::of(PrincipalKind::User { partition, account, user: user.to_owned() })),
            None => Err(PrincipalError { text: arn.to_owned(), expected }),
        }
    }

    /// An AWS service that acts for itself, as `lambda.amazonaws.com`.
    #[must_use]
    pub fn service(name: &str) -> Self {
        Self::of(PrincipalKind::Service(name.to_owned()))
    }

    /// The same principal, in an account of this organization (`o-…`).
    #[must_use]
    pub fn in_organization(mut self, id: &str) -> Self {
        self.organization = Some(id.to_owned());
        self
    }

    /// The same principal with one more tag.
    #[must_use]
    pub fn tagged(mut self, key: &str, value: &str) -> Self {
        self.tags.push((key.to_owned(), value.to_owned()));
        self
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> &PrincipalKind {
        &self.kind
    }

    /// The account it belongs to; none for a service.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        match &self.kind {
            PrincipalKind::Root { account, .. }
            | PrincipalKind::Role { account, .. }
            | PrincipalKind::User { account, .. } => Some(account),
            PrincipalKind::Service(_) => None,
        }
    }

    /// The organization of its account, if it has one.
    #[must_use]
    pub fn organization(&self) -> Option<&str> {
        self.organization.as_deref()
    }

    /// The ARN that `aws:PrincipalArn` holds: for a session the ARN of its *role*. None for a
    /// service.
    ///
    /// IAM User Guide, "AWS global condition context keys", aws:PrincipalArn.
    #[must_use]
    pub fn arn(&self) -> Option<String> {
        match &self.kind {
            PrincipalKind::Root { partition, account } => {
                Some(format!("arn:{partition}:iam::{account}:root"))
            }
            PrincipalKind::Role { partition, account, role, .. } => {
                Some(format!("arn:{partition}:iam::{account}:role/{role}"))
            }
            PrincipalKind::User { partition, account, user } => {
                Some(format!("arn:{partition}:iam::{account}:user/{user}"))
            }
            PrincipalKind::Service(_) => None,
        }
    }

    /// Who STS `GetCallerIdentity` says it is: for a session `assumed-role/<name>/<session>`, and
    /// the role's path is not in it. A service's name for a service.
    #[must_use]
    pub fn caller_arn(&self) -> String {
        match &self.kind {
            PrincipalKind::Role { partition, account, role, session } => {
                let name = role.rsplit('/').next().unwrap_or(role);
                format!("arn:{partition}:sts::{account}:assumed-role/{name}/{session}")
            }
            PrincipalKind::Service(name) => name.clone(),
            PrincipalKind::Root { .. } | PrincipalKind::User { .. } => self.arn().unwrap_or_default(),
        }
    }

    /// Writes the condition keys that tell of the principal, over any that are there.
    ///
    /// IAM User Guide, "AWS global condition context keys", "Properties of the principal".
    pub(crate) fn describe(&self, context: &mut Context) {
        if let Some(arn) = self.arn() {
            context.set("aws:PrincipalArn", arn);
        }
        if let Some(account) = self.account() {
            context.set("aws:PrincipalAccount", account.to_owned());
        }
        if let Some(organization) = &self.organization {
            context.set("aws:PrincipalOrgID", organization.clone());
        }
        for (key, value) in &self.tags {
            context.set(&format!("aws:PrincipalTag/{key}"), value.clone());
        }
        let is_service = matches!(self.kind, PrincipalKind::Service(_));
        context.set("aws:PrincipalIsAWSService", is_service.to_string());
        match &self.kind {
            PrincipalKind::Root { .. } => context.set("aws:PrincipalType", "Account".to_owned()),
            PrincipalKind::Role { .. } => context.set("aws:PrincipalType", "AssumedRole".to_owned()),
            PrincipalKind::User { user, .. } => {
                context.set("aws:PrincipalType", "User".to_owned());
                let name = user.rsplit('/').next().unwrap_or(user);
                context.set("aws:username", name.to_owned());
            }
            PrincipalKind::Service(name) => context.set("aws:PrincipalServiceName", name.clone()),
        }
    }

    fn of(kind: PrincipalKind) -> Self {
        Self { kind, organization: None, tags: Vec::new() }
    }
}

fn iam_arn<'a>(text: &'a str, expected: &'static str) -> Result<(String, String, &'a str), PrincipalError> {
    match arn::parts(text) {
        Some(["arn", partition, "iam", "", account, resource])
            if arn::is_partition(partition) && arn::is_account(account) =>
        {
            Ok((partition.to_owned(), account.to_owned(), resource))
        }
        _ => Err(PrincipalError { text: text.to_owned(), expected }),
    }
}

/// IAM API Reference, `CreateRole`: `RoleName` `[\w+=,.@-]+`, and a path of printable characters.
pub(crate) fn is_name(text: &str) -> bool {
    let (path, name) = text.rsplit_once('/').unwrap_or(("", text));
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte))
        && path.bytes().all(|byte| byte.is_ascii_graphic() && !b"*?".contains(&byte))
}

/// STS API Reference, `AssumeRole`, `RoleSessionName`: 2 to 64 of `[\w+=,.@-]`.
pub(crate) fn is_session(text: &str) -> bool {
    (2..=64).contains(&text.len()) && !text.contains('/') && is_name(text)
}
