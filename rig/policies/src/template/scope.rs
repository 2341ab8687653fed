//! What names stand for, where a value is resolved.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{error::TemplateError, node::Node, stack::Stack};
use crate::path::Path;

/// What is known: everything of the stack; conditions and resources once they have been read.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    pub(crate) stack: Stack,
    pub(crate) parameters: BTreeMap<String, Value>,
    pub(crate) conditions: BTreeMap<String, bool>,
    pub(crate) resources: BTreeSet<String>,
}

impl Scope {
    /// The value of a node; none for `AWS::NoValue`, which takes away what it is the value of.
    pub(crate) fn resolve(&self, node: &Node, path: &Path) -> Result<Option<Value>, TemplateError> {
        if let Some((function, argument)) = node.call(path)? {
            return self.call(function, argument, &path.key(function));
        }
        Ok(Some(match node {
            Node::Null => Value::Null,
            Node::Boolean(boolean) => Value::Bool(*boolean),
            Node::Number(number) => Value::Number(number.clone()),
            Node::Text(text) => Value::from(text.as_str()),
            Node::List(list) => {
                let values =
                    list.iter().enumerate().map(|(index, node)| self.resolve(node, &path.index(index)));
                Value::Array(values.filter_map(Result::transpose).collect::<Result<_, _>>()?)
            }
            Node::Map(entries) => {
                let mut map = Map::new();
                for (key, node) in entries {
                    if let Some(value) = self.resolve(node, &path.key(key))? {
                        map.insert(key.clone(), value);
                    }
                }
                Value::Object(map)
            }
        }))
    }

    /// The value of a node that cannot do without.
    pub(crate) fn value(&self, node: &Node, path: &Path) -> Result<Value, TemplateError> {
        self.resolve(node, path)?.ok_or_else(|| path.malformed("AWS::NoValue where a value is needed"))
    }

    /// The value of a node that is a text.
    pub(crate) fn text(&self, node: &Node, path: &Path) -> Result<String, TemplateError> {
        text_of(self.value(node, path)?, path)
    }

    /// The values of a node that is a list of texts.
    pub(crate) fn texts(&self, node: &Node, path: &Path) -> Result<Vec<String>, TemplateError> {
        match self.value(node, path)? {
            Value::Array(list) => {
                let texts =
                    list.into_iter().enumerate().map(|(index, value)| text_of(value, &path.index(index)));
                texts.collect()
            }
            _ => Err(path.malformed("a list is needed")),
        }
    }
}

fn text_of(value: Value, path: &Path) -> Result<String, TemplateError> {
    match value {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(boolean) => Ok(boolean.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(path.malformed("a string is needed")),
    }
}
