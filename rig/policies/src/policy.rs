//! Policy documents: read once, and refused where anything in them is not understood.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::{
    error::PolicyError,
    json,
    place::Place,
    statement::{Form, Statement},
};

/// A policy attached to a role or a user. It says nothing of principals.
#[derive(Clone, Debug)]
pub struct IdentityPolicy(Document);

/// A policy attached to a resource: a key policy, a secret's policy, the trust policy of a role.
#[derive(Clone, Debug)]
pub struct ResourcePolicy(Document);

/// What both are.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) name: String,
    pub(crate) statements: Vec<Statement>,
}

impl IdentityPolicy {
    /// Reads a policy; `name` is what errors and decisions call it.
    ///
    /// # Errors
    ///
    /// [`PolicyError`], which names the place.
    pub fn parse(name: &str, document: &Value) -> Result<Self, PolicyError> {
        Document::parse(name, document, Form::Identity).map(Self)
    }

    /// Reads a policy from its text, in which no name stands twice.
    ///
    /// # Errors
    ///
    /// [`PolicyError`], which names the place.
    pub fn from_json(name: &str, text: &str) -> Result<Self, PolicyError> {
        Self::parse(name, &json::parse(name, text)?)
    }

    /// The condition keys it asks for, as written: a double that never gives a value for one of
    /// them would answer as if it were absent.
    #[must_use]
    pub fn condition_keys(&self) -> BTreeSet<&str> {
        self.0.condition_keys()
    }

    pub(crate) fn document(&self) -> &Document {
        &self.0
    }
}

impl ResourcePolicy {
    /// Reads a policy; `name` is what errors and decisions call it.
    ///
    /// # Errors
    ///
    /// [`PolicyError`], which names the place.
    pub fn parse(name: &str, document: &Value) -> Result<Self, PolicyError> {
        Document::parse(name, document, Form::Resource).map(Self)
    }

    /// Reads a policy from its text, in which no name stands twice.
    ///
    /// # Errors
    ///
    /// [`PolicyError`], which names the place.
    pub fn from_json(name: &str, text: &str) -> Result<Self, PolicyError> {
        Self::parse(name, &json::parse(name, text)?)
    }

    /// Reads the trust policy of a role, which is about that role and names no resource.
    ///
    /// # Errors
    ///
    /// [`PolicyError`], which names the place.
    pub fn trust(name: &str, document: &Value) -> Result<Self, PolicyError> {
        Document::parse(name, document, Form::Trust).map(Self)
    }

    /// The condition keys it asks for, as written: a double that never gives a value for one of
    /// them would answer as if it were absent.
    #[must_use]
    pub fn condition_keys(&self) -> BTreeSet<&str> {
        self.0.condition_keys()
    }

    /// The ARNs of roles and users that it names as principals, for a service that refuses a
    /// policy naming one that is not there.
    #[must_use]
    pub fn named_principals(&self) -> BTreeSet<String> {
        self.0.statements.iter().flat_map(Statement::named_principals).collect()
    }

    pub(crate) fn document(&self) -> &Document {
        &self.0
    }
}

impl Document {
    fn parse(name: &str, document: &Value, form: Form) -> Result<Self, PolicyError> {
        let place = Place::start(name);
        let document = document.as_object().ok_or_else(|| place.malformed("an object is needed"))?;
        only(document, &["Version", "Id", "Statement"], &place)?;
        if let Some(id) = document.get("Id")
            && !id.is_string()
        {
            return Err(place.key("Id").malformed("a string is needed"));
        }
        let variables = has_variables(document, &place)?;
        let list = document.get("Statement").ok_or_else(|| place.malformed("Statement is missing"))?;
        let place = place.key("Statement");
        let one = std::slice::from_ref(list);
        let list = list.as_array().map_or(one, Vec::as_slice);
        if list.is_empty() {
            return Err(place.malformed("an empty list"));
        }
        let mut sids = BTreeSet::new();
        let mut statements = Vec::new();
        for (index, statement) in list.iter().enumerate() {
            let place = place.index(index);
            let statement = Statement::parse(statement, form, index, variables, &place)?;
            // IAM User Guide, "IAM JSON policy elements: Sid": unique within a policy.
            if statement.sid().is_some_and(|sid| !sids.insert(sid.to_owned())) {
                return Err(place.key("Sid").malformed("another statement has the same"));
            }
            statements.push(statement);
        }
        Ok(Self { name: name.to_owned(), statements })
    }

    fn condition_keys(&self) -> BTreeSet<&str> {
        self.statements.iter().flat_map(Statement::condition_keys).collect()
    }
}

/// Refuses what is not among `known`: an element that is passed over could be one that denies.
pub(crate) fn only(
    object: &Map<String, Value>,
    known: &[&str],
    place: &Place<'_>,
) -> Result<(), PolicyError> {
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(place.key(key).unsupported("this element")),
        None => Ok(()),
    }
}

/// IAM User Guide, "IAM JSON policy elements: Version": without one, a policy is of 2008-10-17, in
/// which `${` is text as any other.
fn has_variables(document: &Map<String, Value>, place: &Place<'_>) -> Result<bool, PolicyError> {
    match document.get("Version").map(Value::as_str) {
        None | Some(Some("2008-10-17")) => Ok(false),
        Some(Some("2012-10-17")) => Ok(true),
        Some(_) => Err(place.key("Version").malformed("neither 2012-10-17 nor 2008-10-17")),
    }
}
