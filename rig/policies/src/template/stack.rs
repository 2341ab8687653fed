//! What a template is resolved for.

use std::collections::BTreeMap;

use serde_json::Value;

/// A stack: where it is, the values of its parameters, and what its resources turned out to be.
#[derive(Clone, Debug)]
pub struct Stack {
    region: String,
    account: String,
    name: String,
    id: String,
    parameters: BTreeMap<String, String>,
    physical_ids: BTreeMap<String, String>,
    attributes: BTreeMap<(String, String), Value>,
    exports: BTreeMap<String, String>,
}

impl Stack {
    /// A stack by its id:
    /// `arn:aws:cloudformation:eu-central-1:111122223333:stack/keyboot/<uuid>`.
    ///
    /// None when this is no id of a stack.
    #[must_use]
    pub fn new(id: &str) -> Option<Self> {
        let [_, _, "cloudformation", region, account, resource] = crate::arn::parts(id)? else { return None };
        let name = resource.strip_prefix("stack/")?.split_once('/')?.0;
        Some(Self {
            region: region.to_owned(),
            account: account.to_owned(),
            name: name.to_owned(),
            id: id.to_owned(),
            parameters: BTreeMap::new(),
            physical_ids: BTreeMap::new(),
            attributes: BTreeMap::new(),
            exports: BTreeMap::new(),
        })
    }

    /// Gives a parameter a value; a list is given as text, separated by commas.
    #[must_use]
    pub fn parameter(mut self, name: &str, value: &str) -> Self {
        self.parameters.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Says what `Ref` of a resource gives.
    #[must_use]
    pub fn physical_id(mut self, logical_id: &str, id: &str) -> Self {
        self.physical_ids.insert(logical_id.to_owned(), id.to_owned());
        self
    }

    /// Says what `Fn::GetAtt` of a resource gives.
    #[must_use]
    pub fn attribute(mut self, logical_id: &str, attribute: &str, value: impl Into<Value>) -> Self {
        self.attributes.insert((logical_id.to_owned(), attribute.to_owned()), value.into());
        self
    }

    /// Says what `Fn::ImportValue` of another stack's export gives.
    #[must_use]
    pub fn export(mut self, name: &str, value: &str) -> Self {
        self.exports.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn imported(&self, name: &str) -> Option<&str> {
        self.exports.get(name).map(String::as_str)
    }

    pub(crate) fn parameters(&self) -> &BTreeMap<String, String> {
        &self.parameters
    }

    pub(crate) fn physical_id_of(&self, logical_id: &str) -> Option<&str> {
        self.physical_ids.get(logical_id).map(String::as_str)
    }

    pub(crate) fn attribute_of(&self, logical_id: &str, attribute: &str) -> Option<&Value> {
        self.attributes.get(&(logical_id.to_owned(), attribute.to_owned()))
    }

    /// CloudFormation Template Reference Guide, "Pseudo parameters"; all but `AWS::NoValue`, which
    /// has no value, and `AWS::NotificationARNs`.
    pub(crate) fn pseudo_parameter(&self, name: &str) -> Option<&str> {
        match name {
            "AWS::AccountId" => Some(&self.account),
            "AWS::Partition" => self.id.split(':').nth(1),
            "AWS::Region" => Some(&self.region),
            "AWS::StackId" => Some(&self.id),
            "AWS::StackName" => Some(&self.name),
            "AWS::URLSuffix" if self.region.starts_with("cn-") => Some("amazonaws.com.cn"),
            "AWS::URLSuffix" => Some("amazonaws.com"),
            _ => None,
        }
    }
}
