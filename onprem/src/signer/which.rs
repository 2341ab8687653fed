//! Which key a signer signs with: chain, role and number, as paths, logins and files name it.

use std::fmt;

use provisioning::names::{ClusterName, NameError, Namespace, Segment};

/// What the name of a signer's login begins with.
const SIGNER: &str = "signer";

/// One key of a role: `<namespace>/<chain>/role/<role>/<number>`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RoleKey {
    chain: ClusterName,
    role: Segment,
    number: u32,
}

impl RoleKey {
    /// The key of that number of a chain's role.
    ///
    /// # Errors
    ///
    /// [`NameError`] where one of them is no name, or the number is 0: numbers count from 1.
    pub fn new(namespace: &str, chain: &str, role: &str, number: u32) -> Result<Self, NameError> {
        if number == 0 {
            return Err(NameError { allowed: "a number from 1 on: the first key of a role is number 1" });
        }
        let chain = ClusterName::new(&namespace.parse::<Namespace>()?, chain)?;
        Ok(Self { chain, role: role.parse()?, number })
    }

    /// The key that a login of this name reads; `None` where it is no signer's. No part of a name has a dot in
    /// it, so there is one way to read it.
    #[must_use]
    pub fn of_login(login: &str) -> Option<Self> {
        let mut parts: Vec<_> = login.strip_prefix(SIGNER)?.strip_prefix('.')?.split('.').collect();
        let (number, role, chain) = (parts.pop()?, parts.pop()?, parts.pop()?);
        let key = Self::new(&parts.join("/"), chain, role, number.parse().ok()?).ok()?;
        // The one way to write it: no number as +1 or 01.
        (key.login() == login).then_some(key)
    }

    /// Whether it is of this chain and this role, where they are given.
    #[must_use]
    pub fn is_of(&self, chain: Option<&str>, role: Option<&str>) -> bool {
        let own = self.chain.as_str().rsplit('/').next();
        chain.is_none_or(|chain| own == Some(chain)) && role.is_none_or(|role| self.role.as_str() == role)
    }

    /// The number of this key among those of its role.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The `AppRole` that may read this key and nothing else, and the policy of the same name.
    #[must_use]
    pub fn login(&self) -> String {
        format!("{SIGNER}.{}.{}.{}", self.chain.as_str().replace('/', "."), self.role, self.number)
    }

    /// The name of the file that Web3Signer reads.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}.yaml", self.login())
    }
}

impl fmt::Display for RoleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/role/{}/{}", self.chain, self.role, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_key_is_named_the_same_everywhere() {
        let key = RoleKey::new("keyboot/prod", "l2", "batcher", 2).unwrap();
        assert_eq!(key.to_string(), "keyboot/prod/l2/role/batcher/2");
        assert_eq!(key.login(), "signer.keyboot.prod.l2.batcher.2");
        assert_eq!(key.file_name(), "signer.keyboot.prod.l2.batcher.2.yaml");
        assert_eq!(RoleKey::of_login(&key.login()), Some(key.clone()));
        assert!(key.is_of(Some("l2"), Some("batcher")) && key.is_of(None, None));
        assert!(!key.is_of(Some("l3"), Some("batcher")) && !key.is_of(Some("l2"), Some("proposer")));
    }

    #[test]
    fn a_login_that_is_no_signers_names_no_key() {
        for login in [
            "provisioner",
            "signer",
            "signer.l2.batcher.1",
            "signer.keyboot.l2.batcher",
            "signer.keyboot.l2.batcher.01",
            "signer.keyboot.l2.batcher.+1",
            "signer.keyboot.l2.batcher.0",
            "signer.keyboot..batcher.1",
            "node.keyboot.l2.0",
        ] {
            assert_eq!(RoleKey::of_login(login), None, "{login}");
        }
        for (namespace, chain, role) in
            [("keyboot", "L2", "batcher"), ("keyboot", "l2", "../x"), ("", "l2", "batcher")]
        {
            assert!(RoleKey::new(namespace, chain, role, 1).is_err(), "{namespace} {chain} {role}");
        }
    }
}
