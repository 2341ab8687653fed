//! How a physical id is computed from an event.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::physical_id::PhysicalResourceId;
use crate::request::{LogicalId, Properties};
use crate::stack_id::{StackId, consists_of};

/// A rule that turns an event into the id of its resource, with nothing else to go by.
///
/// The id is `<prefix>/<value of each property, in order>/<declaration>`, where the declaration is
/// the first 16 hexadecimal digits of SHA-256 over the stack id, a zero byte and the logical id.
/// Since it depends on the event alone, every delivery of the event gives the same id: a retry, a
/// duplicate, and an on-failure destination that answers for a process that died. It holds for bad
/// events too: a value that is absent, no string, empty, longer than 64 bytes, or has a character
/// outside `A-Z a-z 0-9 / _ . -`, becomes `-`.
///
/// A property that may hold a slash should not stand beside another that may, or two resources
/// could have one identity.
#[derive(Clone, Debug)]
pub struct IdentityScheme {
    prefix: &'static str,
    properties: Vec<IdentityProperty>,
}

#[derive(Clone, Debug)]
struct IdentityProperty {
    name: &'static str,
    default: Option<&'static str>,
}

/// What stands for a value that cannot stand in an id.
const UNUSABLE: &str = "-";

/// The longest value of a property in an id, in bytes.
const MAX_VALUE_BYTES: usize = 64;

/// 14 values of 64 bytes, the prefix, the digest and the slashes are 991 bytes: within an id.
const MAX_PROPERTIES: usize = 14;

impl IdentityScheme {
    /// A scheme whose ids begin with a prefix, which obeys the rule for values.
    #[must_use]
    pub fn new(prefix: &'static str) -> Self {
        Self { prefix: usable(prefix), properties: Vec::new() }
    }

    /// Adds a property to the identity, with the value it has where the event does not name it.
    ///
    /// A resource whose property changes is another resource: its Update is a replacement.
    ///
    /// # Panics
    ///
    /// On the fifteenth property, since an id has a limited length.
    #[must_use]
    pub fn property(mut self, name: &'static str, default: Option<&'static str>) -> Self {
        assert!(self.properties.len() < MAX_PROPERTIES, "an identity has at most 14 properties");
        self.properties.push(IdentityProperty { name, default });
        self
    }

    /// The id of the resource that a stack declares under a logical id with these properties.
    #[must_use]
    pub fn derive(
        &self,
        stack_id: &StackId,
        logical_id: &LogicalId,
        properties: &Properties,
    ) -> PhysicalResourceId {
        let mut id = self.prefix.to_owned();
        for property in &self.properties {
            let value = match properties.get(property.name) {
                Some(Value::String(text)) => usable(text),
                Some(_) => UNUSABLE,
                None => property.default.map_or(UNUSABLE, usable),
            };
            id.push('/');
            id.push_str(value);
        }
        let digest = Sha256::new()
            .chain_update(stack_id.as_str())
            .chain_update([0])
            .chain_update(logical_id.as_str())
            .finalize();
        id.push('/');
        id.push_str(&hex::encode(&digest[..8]));
        PhysicalResourceId::from_sound(id)
    }
}

fn usable(value: &str) -> &str {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/_.-".contains(&byte);
    if consists_of(value, 1..=MAX_VALUE_BYTES, allowed) { value } else { UNUSABLE }
}
