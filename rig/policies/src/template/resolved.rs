//! Templates, and what they say of one stack.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{
    conditions, error::TemplateError, for_each, node::Node, parameters, scope::Scope, stack::Stack, yaml,
};
use crate::{json, path::Path};

/// A template as it was written.
#[derive(Clone, Debug)]
pub struct Template {
    document: Node,
}

/// A template for one stack: parameters and conditions have their values, loops are unrolled.
#[derive(Clone, Debug)]
pub struct Resolved {
    scope: Scope,
    resources: Vec<(String, Node)>,
    outputs: Vec<(String, Node)>,
}

impl Template {
    /// Reads a template in YAML, or in JSON, which is YAML too.
    ///
    /// # Errors
    ///
    /// [`TemplateError`], which names the place.
    pub fn read(text: &str) -> Result<Self, TemplateError> {
        let document = yaml::read(text)?;
        let path = Path::start();
        document.map(&path)?;
        if document.get("Resources").is_none() {
            return Err(path.malformed("Resources is missing"));
        }
        Ok(Self { document })
    }

    /// What it says of a stack. Values of resources are resolved when they are asked for, so that
    /// only what they name need be known.
    ///
    /// # Errors
    ///
    /// [`TemplateError`], which names the place.
    pub fn resolve(&self, stack: &Stack) -> Result<Resolved, TemplateError> {
        let parameters = parameters::values(self.document.get("Parameters"), stack)?;
        let (conditions, resources) = (BTreeMap::new(), BTreeSet::new());
        let mut scope = Scope { stack: stack.clone(), parameters, conditions, resources };
        scope.conditions = conditions::values(self.section("Conditions", &scope)?.as_ref(), &scope)?;
        let resources = present(self.section("Resources", &scope)?, "Resources", &scope)?;
        scope.resources = resources.iter().map(|(id, _)| id.clone()).collect();
        let outputs = present(self.section("Outputs", &scope)?, "Outputs", &scope)?;
        Ok(Resolved { scope, resources, outputs })
    }

    pub(crate) fn document(&self) -> &Node {
        &self.document
    }

    /// A section with its loops unrolled.
    fn section(&self, name: &str, scope: &Scope) -> Result<Option<Node>, TemplateError> {
        let Some(section) = self.document.get(name) else { return Ok(None) };
        let has_loops = self.has_transform("AWS::LanguageExtensions");
        let items = |node: &Node, path: &Path| {
            if has_loops {
                return scope.texts(node, path);
            }
            Err(path.malformed("Fn::ForEach needs the transform AWS::LanguageExtensions"))
        };
        for_each::unroll(section.clone(), &Path::start().key(name), &items).map(Some)
    }

    fn has_transform(&self, name: &str) -> bool {
        let is = |node: &Node| matches!(node, Node::Text(text) if text == name);
        match self.document.get("Transform") {
            Some(Node::List(list)) => list.iter().any(is),
            Some(single) => is(single),
            None => false,
        }
    }
}

impl Resolved {
    /// The logical ids of the resources that the stack has, with their types, in order.
    pub fn resources(&self) -> impl Iterator<Item = (&str, &str)> {
        self.resources.iter().map(|(id, resource)| match resource.get("Type") {
            Some(Node::Text(kind)) => (id.as_str(), kind.as_str()),
            _ => (id.as_str(), ""),
        })
    }

    /// The properties of a resource.
    ///
    /// # Errors
    ///
    /// [`TemplateError`] when the stack has no such resource, or when a value cannot be resolved.
    pub fn resource(&self, logical_id: &str) -> Result<Value, TemplateError> {
        let path = Path::start().key("Resources");
        let resource = self.resources.iter().find(|(id, _)| id == logical_id).map(|(_, resource)| resource);
        let resource = resource.ok_or_else(|| path.unresolved(logical_id))?;
        match resource.get("Properties") {
            Some(properties) => self.scope.value(properties, &path.key(logical_id).key("Properties")),
            None => Ok(Value::Object(Map::new())),
        }
    }

    /// A policy among the properties of a resource, which may stand there as its JSON text.
    ///
    /// # Errors
    ///
    /// As [`Resolved::resource`], and when there is no such property or its text is no JSON in which each
    /// name stands once.
    pub fn policy(&self, logical_id: &str, property: &str) -> Result<Value, TemplateError> {
        let path = Path::start().key("Resources").key(logical_id).key("Properties").key(property);
        match self.resource(logical_id)?[property].take() {
            Value::String(text) => {
                json::parse(property, &text).map_err(|error| path.malformed(error.to_string()))
            }
            Value::Null => Err(path.malformed("there is no such policy")),
            document => Ok(document),
        }
    }

    /// The names of the outputs, in order.
    pub fn outputs(&self) -> impl Iterator<Item = &str> {
        self.outputs.iter().map(|(name, _)| name.as_str())
    }

    /// The value of an output.
    ///
    /// # Errors
    ///
    /// [`TemplateError`] when the stack has no such output, or when its value cannot be resolved.
    pub fn output(&self, name: &str) -> Result<Value, TemplateError> {
        let path = Path::start().key("Outputs");
        let value =
            self.outputs.iter().find(|(known, _)| known == name).and_then(|(_, output)| output.get("Value"));
        self.scope.value(value.ok_or_else(|| path.unresolved(name))?, &path.key(name).key("Value"))
    }
}

/// What of a section is not under a condition that does not hold.
fn present(section: Option<Node>, name: &str, scope: &Scope) -> Result<Vec<(String, Node)>, TemplateError> {
    let path = Path::start().key(name);
    let Some(section) = section else { return Ok(Vec::new()) };
    let mut present = Vec::new();
    for (id, node) in section.map(&path)? {
        let path = path.key(id).key("Condition");
        let holds = match node.get("Condition") {
            Some(condition) => {
                let condition = condition.text(&path)?;
                *scope.conditions.get(condition).ok_or_else(|| path.unresolved(condition))?
            }
            None => true,
        };
        if holds {
            present.push((id.clone(), node.clone()));
        }
    }
    Ok(present)
}
