//! The Parameters section.
//!
//! CloudFormation Template Reference Guide, "Parameters": types and defaults. Patterns, lengths and
//! ranges are CloudFormation's to check.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{error::TemplateError, node::Node, stack::Stack};
use crate::path::Path;

/// The values of all parameters of a template, given or by default.
pub(crate) fn values(
    section: Option<&Node>,
    stack: &Stack,
) -> Result<BTreeMap<String, Value>, TemplateError> {
    let path = Path::start().key("Parameters");
    let declared = section.map_or(Ok(&[][..]), |section| section.map(&path))?;
    if let Some(unknown) =
        stack.parameters().keys().find(|name| !declared.iter().any(|(known, _)| known == *name))
    {
        return Err(path.key(unknown).malformed("the template has no such parameter"));
    }
    let mut values = BTreeMap::new();
    for (name, declaration) in declared {
        let path = path.key(name);
        let given = stack.parameters().get(name).cloned();
        let default = declaration.get("Default").map(|default| scalar(default, &path.key("Default")));
        let text = match (given, default) {
            (Some(given), _) => given,
            (None, Some(default)) => default?,
            (None, None) => return Err(path.unresolved(name)),
        };
        allowed(&text, declaration, &path)?;
        values.insert(name.clone(), value(&text, declaration, &path)?);
    }
    Ok(values)
}

fn value(text: &str, declaration: &Node, path: &Path) -> Result<Value, TemplateError> {
    let kind = declaration.get("Type").ok_or_else(|| path.malformed("Type is missing"))?;
    match kind.text(&path.key("Type"))? {
        "String" => Ok(Value::from(text)),
        "Number" if text.parse::<f64>().is_ok() => Ok(Value::from(text)),
        "Number" => Err(path.malformed(format!("{text} is not a number"))),
        // "each member string is space trimmed"
        "CommaDelimitedList" => Ok(text.split(',').map(str::trim).collect()),
        // Nothing is asked for here: the parameter's name stands for its value.
        kind if kind.starts_with("AWS::SSM::Parameter::Value<AWS::") => Ok(Value::from(text)),
        other => Err(path.key("Type").unsupported(other)),
    }
}

fn allowed(text: &str, declaration: &Node, path: &Path) -> Result<(), TemplateError> {
    let Some(allowed) = declaration.get("AllowedValues") else { return Ok(()) };
    let here = path.key("AllowedValues");
    for (index, value) in allowed.list(&here)?.iter().enumerate() {
        if scalar(value, &here.index(index))? == text {
            return Ok(());
        }
    }
    Err(path.malformed(format!("{text} is not among the allowed values")))
}

fn scalar(node: &Node, path: &Path) -> Result<String, TemplateError> {
    match node {
        Node::Text(text) => Ok(text.clone()),
        Node::Number(number) => Ok(number.to_string()),
        Node::Boolean(boolean) => Ok(boolean.to_string()),
        Node::Null | Node::List(_) | Node::Map(_) => Err(path.malformed("a string or a number is needed")),
    }
}
