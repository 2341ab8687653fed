//! CloudFormation's side of a story: what it sends, when, and what it shows meanwhile.

use serde_json::{Map, Value, json};

/// The logical id of the resource in the KMS Stack.
pub(crate) const LOGICAL_ID: &str = "Keys";

/// The properties of a resource.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Properties(pub(crate) Map<String, Value>);

impl Properties {
    /// Of the cluster `keyboot/tsm` with these nodes; the key's ARN is filled in when it is sent.
    pub(crate) fn nodes(nodes: &[u32]) -> Self {
        Self(Map::new()).with("Cluster", "tsm").with_nodes(nodes)
    }

    pub(crate) fn with_nodes(self, nodes: &[u32]) -> Self {
        self.with("Nodes", nodes.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }
}

/// What CloudFormation asks for.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Create(Properties),
    Update { old: Properties, new: Properties },
    Delete(Properties),
}

impl Request {
    /// The Update that takes this one back, as CloudFormation sends it.
    pub(crate) fn rolled_back(&self) -> Option<Self> {
        match self {
            Self::Update { old, new } => Some(Self::Update { old: new.clone(), new: old.clone() }),
            _ => None,
        }
    }

    /// The properties that hold when it has succeeded.
    pub(crate) fn declared(&self) -> &Properties {
        match self {
            Self::Create(properties) | Self::Delete(properties) | Self::Update { new: properties, .. } => {
                properties
            }
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Create(_) => "Create",
            Self::Update { .. } => "Update",
            Self::Delete(_) => "Delete",
        }
    }

    /// What `DescribeStackResource` and `DescribeStacks` show while it is in progress.
    pub(crate) fn statuses(&self) -> (&'static str, &'static str) {
        match self {
            Self::Create(_) => ("CREATE_IN_PROGRESS", "CREATE_IN_PROGRESS"),
            Self::Update { .. } => ("UPDATE_IN_PROGRESS", "UPDATE_IN_PROGRESS"),
            Self::Delete(_) => ("DELETE_IN_PROGRESS", "DELETE_IN_PROGRESS"),
        }
    }
}

/// A request as it is sent: with an id of its own, for a physical id.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) request: Request,
    /// The same in every delivery.
    pub(crate) id: String,
    /// The physical id that it speaks of; none in a Create.
    pub(crate) physical_id: Option<String>,
}

impl Sent {
    pub(crate) fn create(id: &str, properties: &Properties) -> Self {
        Self { request: Request::Create(properties.clone()), id: id.into(), physical_id: None }
    }

    pub(crate) fn update(id: &str, old: &Properties, new: &Properties, physical_id: &str) -> Self {
        let request = Request::Update { old: old.clone(), new: new.clone() };
        Self { request, id: id.into(), physical_id: Some(physical_id.into()) }
    }

    pub(crate) fn delete(id: &str, properties: &Properties, physical_id: &str) -> Self {
        Self {
            request: Request::Delete(properties.clone()),
            id: id.into(),
            physical_id: Some(physical_id.into()),
        }
    }

    /// The event of one delivery.
    pub(crate) fn event(&self, stack_id: &str, key: &str, response_url: &str) -> Value {
        let filled = |properties: &Properties| {
            let properties = properties
                .clone()
                .with("ServiceToken", "arn:aws:lambda:us-east-1:000000000000:function:kms-NodeKeysFunction");
            let properties = properties.with("ServiceTimeout", "1800");
            let needs_key = !properties.0.contains_key("KmsKeyArn");
            if needs_key { properties.with("KmsKeyArn", key).0 } else { properties.0 }
        };
        let mut event = json!({
            "RequestType": self.request.name(),
            "RequestId": self.id,
            "StackId": stack_id,
            "ResponseURL": response_url,
            "ResourceType": "Custom::NodeKeys",
            "LogicalResourceId": LOGICAL_ID,
            "ResourceProperties": filled(self.request.declared()),
        });
        if let Some(physical_id) = &self.physical_id {
            event["PhysicalResourceId"] = physical_id.as_str().into();
        }
        if let Request::Update { old, .. } = &self.request {
            event["OldResourceProperties"] = filled(old).into();
        }
        event
    }
}

/// What CloudFormation is answered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Answer(pub(crate) Value);

impl Answer {
    pub(crate) fn succeeded(&self) -> bool {
        self.0["Status"] == "SUCCESS"
    }

    pub(crate) fn reason(&self) -> &str {
        self.0["Reason"].as_str().unwrap_or_default()
    }

    pub(crate) fn physical_id(&self) -> &str {
        self.0["PhysicalResourceId"].as_str().unwrap_or_default()
    }

    /// What must be the same in every answer to one request.
    pub(crate) fn lasting(&self) -> Value {
        json!({
            "Status": self.0["Status"],
            "PhysicalResourceId": self.0["PhysicalResourceId"],
            "Data": self.0["Data"],
        })
    }
}
