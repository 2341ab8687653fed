//! A template as a tree, in the order it was written in.

use serde_json::Number;

use super::error::TemplateError;
use crate::path::Path;

/// A part of a template, with functions in their long form: `{"Ref": …}`, `{"Fn::Sub": …}`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Null,
    Boolean(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// The function that this is a call of, and what it is given.
    ///
    /// # Errors
    ///
    /// When something stands beside the function.
    pub(crate) fn call(&self, path: &Path) -> Result<Option<(&str, &Node)>, TemplateError> {
        let Self::Map(entries) = self else { return Ok(None) };
        let is_function = |name: &str| name == "Ref" || name.starts_with("Fn::");
        match (&entries[..], entries.iter().find(|(name, _)| is_function(name))) {
            (_, None) => Ok(None),
            ([(name, argument)], Some(_)) => Ok(Some((name, argument))),
            (_, Some((name, _))) => Err(path.malformed(format!("{name} does not stand alone"))),
        }
    }

    pub(crate) fn text(&self, path: &Path) -> Result<&str, TemplateError> {
        match self {
            Self::Text(text) => Ok(text),
            _ => Err(path.malformed("a string is needed")),
        }
    }

    pub(crate) fn list(&self, path: &Path) -> Result<&[Node], TemplateError> {
        match self {
            Self::List(list) => Ok(list),
            _ => Err(path.malformed("a list is needed")),
        }
    }

    pub(crate) fn map(&self, path: &Path) -> Result<&[(String, Node)], TemplateError> {
        match self {
            Self::Map(entries) => Ok(entries),
            _ => Err(path.malformed("a map is needed")),
        }
    }

    /// A list of just so many.
    pub(crate) fn list_of<const N: usize>(&self, path: &Path) -> Result<&[Node; N], TemplateError> {
        let list = self.list(path)?;
        list.try_into().map_err(|_| path.malformed(format!("{} given and {N} needed", list.len())))
    }

    /// The element of a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        match self {
            Self::Map(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, node)| node),
            _ => None,
        }
    }
}
