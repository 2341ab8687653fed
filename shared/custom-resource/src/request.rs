//! What CloudFormation asks for, parsed.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::physical_id::PhysicalResourceId;
use crate::stack_id::{Malformed, StackId, consists_of};

/// What is to be done to the resource.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum RequestType {
    /// Make it.
    Create,
    /// Bring it to new properties; also sent, with old and new swapped, to undo an Update.
    Update,
    /// Remove it; also sent to clean up after a failed Create and after a replacement.
    Delete,
}

impl RequestType {
    /// The word that events use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "Create",
            Self::Update => "Update",
            Self::Delete => "Delete",
        }
    }
}

impl FromStr for RequestType {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Create, Self::Update, Self::Delete]
            .into_iter()
            .find(|known| known.as_str() == text)
            .ok_or(Malformed { expected: "Create, Update or Delete" })
    }
}

impl fmt::Display for RequestType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One operation on one resource, as CloudFormation asked for it.
///
/// The fields are those of the page "CloudFormation custom resource request and response
/// reference" in the CloudFormation user guide, except the `ResponseURL`: that is a credential, and whoever does the work has no use for it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// What is to be done.
    pub request_type: RequestType,
    /// What tells this operation from every other; the same in every delivery of it.
    pub request_id: RequestId,
    /// The stack that declares the resource.
    pub stack_id: StackId,
    /// The name that the stack's template gives the resource.
    pub logical_id: LogicalId,
    /// The type that the template gives it, for example `Custom::Something`.
    pub resource_type: String,
    /// The id that this operation concerns: derived on Create, as delivered on Update and Delete.
    pub physical_id: PhysicalResourceId,
    /// What the identity scheme derives from this event. It differs from `physical_id` on an Update
    /// that replaces, and on the Delete of a resource whose id CloudFormation made up.
    pub derived_id: PhysicalResourceId,
    /// What the template says about the resource.
    pub properties: Properties,
    /// What it said before: on an Update, where CloudFormation sends it.
    pub old_properties: Option<Properties>,
}

impl Request {
    /// Whether this is an Update after which the resource has another id, because a property that
    /// identifies it changed. CloudFormation then deletes the resource under the old id.
    #[must_use]
    pub fn is_replacement(&self) -> bool {
        self.request_type == RequestType::Update && self.physical_id.identity() != self.derived_id.identity()
    }

    /// The id that a success is answered with.
    ///
    /// A failure is always answered with `physical_id`: a failed Update that told a new id would
    /// make CloudFormation delete the resource that is still in use.
    #[must_use]
    pub fn id_after_success(&self) -> &PhysicalResourceId {
        if self.is_replacement() { &self.derived_id } else { &self.physical_id }
    }
}

/// The properties of a resource, exactly as they were delivered, `ServiceToken` included.
///
/// CloudFormation sends numbers and booleans as strings. `Debug` shows the names of the properties
/// and no value, since a template may pass a `NoEcho` parameter.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Properties(Map<String, Value>);

impl Properties {
    /// The value of a property.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The value of a property, if it is a text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    /// All of them.
    #[must_use]
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }
}

impl From<Map<String, Value>> for Properties {
    fn from(map: Map<String, Value>) -> Self {
        Self(map)
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Makes a newtype of a short name that is echoed in answers: 1 to 255 printable ASCII characters.
macro_rules! short_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(String);

        impl $name {
            /// The text, exactly as it was delivered.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Malformed;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                if consists_of(text, 1..=255, |byte| byte.is_ascii_graphic()) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(Malformed { expected: "1 to 255 printable characters" })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

short_name! {
    /// What tells one operation on a resource from every other.
    RequestId
}

short_name! {
    /// The name of a resource in its template.
    LogicalId
}
