//! Intrinsic functions.
//!
//! CloudFormation Template Reference Guide, "Intrinsic functions".

use std::collections::BTreeMap;

use serde_json::Value;

use super::{error::TemplateError, node::Node, scope::Scope};
use crate::path::Path;

impl Scope {
    /// What a function gives; none for `AWS::NoValue`.
    pub(crate) fn call(
        &self,
        function: &str,
        argument: &Node,
        path: &Path,
    ) -> Result<Option<Value>, TemplateError> {
        match function {
            "Ref" => match self.text(argument, path)?.as_str() {
                "AWS::NoValue" => Ok(None),
                name => self.named(name, path).map(Some),
            },
            "Fn::If" => self.either(argument, path),
            "Fn::GetAtt" => self.attribute(argument, path).map(Some),
            "Fn::ImportValue" => self.imported(argument, path).map(Some),
            "Fn::Join" => self.join(argument, path).map(Some),
            "Fn::Select" => self.select(argument, path).map(Some),
            "Fn::Split" => self.split(argument, path).map(Some),
            "Fn::Sub" => self.sub(argument, path).map(Some),
            _ => Err(path.unsupported("this function")),
        }
    }

    /// A parameter, a pseudo parameter or a resource.
    fn named(&self, name: &str, path: &Path) -> Result<Value, TemplateError> {
        if let Some(value) = self.parameters.get(name) {
            return Ok(value.clone());
        }
        let is_resource = self.resources.contains(name);
        let text =
            if is_resource { self.stack.physical_id_of(name) } else { self.stack.pseudo_parameter(name) };
        text.map(Value::from).ok_or_else(|| path.unresolved(name))
    }

    fn attribute_named(&self, resource: &str, attribute: &str, path: &Path) -> Result<Value, TemplateError> {
        let value =
            self.stack.attribute_of(resource, attribute).filter(|_| self.resources.contains(resource));
        value.cloned().ok_or_else(|| path.unresolved(format!("{resource}.{attribute}")))
    }

    /// What another stack exports.
    fn imported(&self, argument: &Node, path: &Path) -> Result<Value, TemplateError> {
        let name = self.text(argument, path)?;
        self.stack.imported(&name).map(Value::from).ok_or_else(|| path.unresolved(name))
    }

    fn either(&self, argument: &Node, path: &Path) -> Result<Option<Value>, TemplateError> {
        let [condition, then, otherwise] = argument.list_of(path)?;
        let condition = condition.text(&path.index(0))?;
        match self.conditions.get(condition) {
            Some(true) => self.resolve(then, &path.index(1)),
            Some(false) => self.resolve(otherwise, &path.index(2)),
            None => Err(path.unresolved(condition)),
        }
    }

    /// The long form also takes one text, as JSON templates write it.
    fn attribute(&self, argument: &Node, path: &Path) -> Result<Value, TemplateError> {
        if let Node::Text(text) = argument {
            let (resource, attribute) =
                text.split_once('.').ok_or_else(|| path.malformed(format!("{text} names no attribute")))?;
            return self.attribute_named(resource, attribute, path);
        }
        let [resource, attribute] = argument.list_of(path)?;
        // With `AWS::LanguageExtensions` either part may be a function.
        let resource = self.text(resource, &path.index(0))?;
        self.attribute_named(&resource, &self.text(attribute, &path.index(1))?, path)
    }

    fn join(&self, argument: &Node, path: &Path) -> Result<Value, TemplateError> {
        let [delimiter, list] = argument.list_of(path)?;
        let delimiter = delimiter.text(&path.index(0))?;
        Ok(Value::from(self.texts(list, &path.index(1))?.join(delimiter)))
    }

    fn split(&self, argument: &Node, path: &Path) -> Result<Value, TemplateError> {
        let [delimiter, source] = argument.list_of(path)?;
        let delimiter = delimiter.text(&path.index(0))?;
        if delimiter.is_empty() {
            return Err(path.index(0).malformed("an empty delimiter"));
        }
        Ok(self.text(source, &path.index(1))?.split(delimiter).collect())
    }

    fn select(&self, argument: &Node, path: &Path) -> Result<Value, TemplateError> {
        let [index, list] = argument.list_of(path)?;
        let index = self.text(index, &path.index(0))?;
        let list = self.texts(list, &path.index(1))?;
        let chosen = index.parse::<usize>().ok().and_then(|index| list.into_iter().nth(index));
        chosen.map(Value::from).ok_or_else(|| path.malformed(format!("there is no element {index}")))
    }

    fn sub(&self, argument: &Node, path: &Path) -> Result<Value, TemplateError> {
        let (text, own) = match argument {
            Node::Text(text) => (text.as_str(), BTreeMap::new()),
            with_own => {
                let [text, own] = with_own.list_of(path)?;
                let here = path.index(1);
                let own = own.map(&here)?.iter();
                let own = own.map(|(name, node)| Ok((name.as_str(), self.text(node, &here.key(name))?)));
                (text.text(&path.index(0))?, own.collect::<Result<BTreeMap<_, _>, _>>()?)
            }
        };
        let mut made = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            made.push_str(before);
            let (name, after) = after
                .split_once('}')
                .ok_or_else(|| path.malformed(format!("{text}: a variable without end")))?;
            rest = after;
            // "${!Literal}" is "${Literal}".
            if let Some(literal) = name.strip_prefix('!') {
                made.extend(["${", literal, "}"]);
                continue;
            }
            made.push_str(&self.substitute(name.trim(), &own, path)?);
        }
        made.push_str(rest);
        Ok(Value::from(made))
    }

    fn substitute(
        &self,
        name: &str,
        own: &BTreeMap<&str, String>,
        path: &Path,
    ) -> Result<String, TemplateError> {
        if let Some(text) = own.get(name) {
            return Ok(text.clone());
        }
        let value = match name.split_once('.') {
            Some((resource, attribute)) => self.attribute_named(resource, attribute, path)?,
            None => self.named(name, path)?,
        };
        value.as_str().map(str::to_owned).ok_or_else(|| path.malformed(format!("{name} is not a text")))
    }
}
