//! The Conditions section.
//!
//! CloudFormation Template Reference Guide, "Condition functions".

use std::collections::{BTreeMap, BTreeSet};

use super::{error::TemplateError, node::Node, scope::Scope};
use crate::path::Path;

/// Whether each condition of a template holds.
pub(crate) fn values(section: Option<&Node>, scope: &Scope) -> Result<BTreeMap<String, bool>, TemplateError> {
    let path = Path::start().key("Conditions");
    let section = section.map_or(Ok(&[][..]), |section| section.map(&path))?;
    let mut conditions = Conditions { section, scope, values: BTreeMap::new(), begun: BTreeSet::new() };
    for (name, _) in section {
        conditions.named(name, &path)?;
    }
    Ok(conditions.values)
}

struct Conditions<'t> {
    section: &'t [(String, Node)],
    scope: &'t Scope,
    values: BTreeMap<String, bool>,
    /// One of these that has no value yet waits for itself.
    begun: BTreeSet<String>,
}

impl Conditions<'_> {
    /// The condition of this name, of which `from` speaks.
    fn named(&mut self, name: &str, from: &Path) -> Result<bool, TemplateError> {
        if let Some(value) = self.values.get(name) {
            return Ok(*value);
        }
        let section = self.section;
        let definition = section.iter().find(|(known, _)| known == name).map(|(_, definition)| definition);
        let definition = definition.ok_or_else(|| from.unresolved(name))?;
        if !self.begun.insert(name.to_owned()) {
            return Err(from.malformed(format!("{name} depends on itself")));
        }
        let value = self.value(definition, &Path::start().key("Conditions").key(name))?;
        self.values.insert(name.to_owned(), value);
        Ok(value)
    }

    fn value(&mut self, node: &Node, path: &Path) -> Result<bool, TemplateError> {
        let [(function, argument)] = node.map(path)? else {
            return Err(path.malformed("one condition function is needed"));
        };
        let path = path.key(function);
        match function.as_str() {
            "Condition" => self.named(argument.text(&path)?, &path),
            "Fn::Equals" => {
                let [left, right] = argument.list_of(&path)?;
                Ok(self.scope.text(left, &path.index(0))? == self.scope.text(right, &path.index(1))?)
            }
            "Fn::Not" => {
                let [operand] = argument.list_of(&path)?;
                Ok(!self.value(operand, &path.index(0))?)
            }
            "Fn::And" => Ok(self.operands(argument, &path)?.into_iter().all(|operand| operand)),
            "Fn::Or" => Ok(self.operands(argument, &path)?.into_iter().any(|operand| operand)),
            _ => Err(path.unsupported("this condition function")),
        }
    }

    fn operands(&mut self, argument: &Node, path: &Path) -> Result<Vec<bool>, TemplateError> {
        let operands = argument.list(path)?;
        if !(2..=10).contains(&operands.len()) {
            return Err(path.malformed("2 to 10 conditions are needed"));
        }
        operands.iter().enumerate().map(|(index, operand)| self.value(operand, &path.index(index))).collect()
    }
}
