//! A template without transforms, for what takes none: a stack set whose permissions are managed by
//! the service (CloudFormation API Reference, `CreateStackSet`, parameter `Capabilities`).
//!
//! Loops are unrolled, SAM's functions become Lambda's, and what only `AWS::LanguageExtensions`
//! understands is written out. Parameters that a loop goes over get their values for good, or stand for
//! one item that stays a parameter ([`Expansion::one`]); all others stay parameters. What cannot be said
//! without a transform is an error that names the place.

use std::collections::BTreeMap;

use super::{error::TemplateError, for_each, node::Node, render::render, resolved::Template};
use crate::path::Path;

/// What SAM calls a function.
const SAM_FUNCTION: &str = "AWS::Serverless::Function";
/// What of SAM's function Lambda's has under the same name (SAM Developer Guide,
/// `AWS::Serverless::Function`).
const SAME: [&str; 12] = [
    "Architectures",
    "CodeSigningConfigArn",
    "Description",
    "Environment",
    "Handler",
    "LoggingConfig",
    "MemorySize",
    "ReservedConcurrentExecutions",
    "Role",
    "Runtime",
    "Timeout",
    "Tags",
];
/// Functions of `AWS::LanguageExtensions` (CloudFormation Template Reference Guide).
const EXTENSIONS: [&str; 2] = ["Fn::Length", "Fn::ToJsonString"];

/// What a template is expanded with.
#[derive(Clone, Debug, Default)]
pub struct Expansion {
    values: BTreeMap<String, Vec<String>>,
    one: Option<String>,
    keys: BTreeMap<String, String>,
}

impl Expansion {
    /// Fixes a parameter that a loop goes over.
    #[must_use]
    pub fn value(mut self, parameter: &str, items: &[&str]) -> Self {
        self.values.insert(parameter.to_owned(), items.iter().map(|item| (*item).to_owned()).collect());
        self
    }

    /// Has loops over this parameter go over one item, which the parameter names from now on: it is a text
    /// then, and no list. What a loop makes has no item in its own name, so that one text serves many
    /// stacks, each for an item of its own.
    #[must_use]
    pub fn one(mut self, parameter: &str) -> Self {
        self.one = Some(parameter.to_owned());
        self
    }

    /// Says under which key a function's code is uploaded, by what the template says of it
    /// (`CodeUri`). The bucket and what the key begins with become parameters, in a template that has such code.
    #[must_use]
    pub fn code(mut self, uri: &str, key: &str) -> Self {
        self.keys.insert(uri.to_owned(), key.to_owned());
        self
    }

    fn items(&self, node: &Node, path: &Path) -> Result<Vec<String>, TemplateError> {
        match node {
            Node::List(list) => list.iter().map(|item| Ok(item.text(path)?.to_owned())).collect(),
            _ => match node.call(path)? {
                Some(("Ref", Node::Text(name))) if self.one.as_ref() == Some(name) => {
                    Ok(vec![variable(name)])
                }
                Some(("Ref", Node::Text(name))) => {
                    self.values.get(name).cloned().ok_or_else(|| path.unresolved(name))
                }
                _ => Err(path.unsupported("this collection")),
            },
        }
    }

    /// A name without the item that stays a parameter.
    fn name(&self, text: &str) -> String {
        self.one.as_ref().map_or_else(|| text.to_owned(), |one| text.replace(&variable(one), ""))
    }

    /// A text in which that item may stand.
    fn text(&self, text: String) -> Node {
        match &self.one {
            Some(one) if text == variable(one) => call("Ref", Node::Text(one.clone())),
            Some(one) if text.contains(&variable(one)) => call("Fn::Sub", Node::Text(text)),
            _ => Node::Text(text),
        }
    }
}

/// A parameter in a text of `Fn::Sub`.
fn variable(parameter: &str) -> String {
    format!("${{{parameter}}}")
}

fn call(function: &str, argument: Node) -> Node {
    Node::Map(vec![(function.to_owned(), argument)])
}

impl Template {
    /// The template as JSON without transforms.
    ///
    /// # Errors
    ///
    /// [`TemplateError`], which names the place: a loop over something that has no value, code
    /// without a key, or something that only a transform understands.
    pub fn expand(&self, expansion: &Expansion) -> Result<String, TemplateError> {
        let start = Path::start();
        let mut sections = Vec::new();
        for (name, section) in self.document().map(&start)? {
            let path = start.key(name);
            if name == "Transform" {
                continue;
            }
            let section = for_each::unroll(section.clone(), &path, &|node: &Node, path: &Path| {
                expansion.items(node, path)
            })?;
            let section = plain(section, expansion, &path)?;
            sections.push((
                name.clone(),
                match name.as_str() {
                    "Parameters" => parameters(&section, expansion, &path)?,
                    "Metadata" => without_fixed(section, expansion),
                    "Resources" => resources(&section, expansion, &path)?,
                    "Outputs" => outputs(section),
                    _ => section,
                },
            ));
        }
        Ok(render(&Node::Map(sections)))
    }
}

/// What needs no extension of the language: a fixed parameter is its value, and a text in which
/// nothing is left to substitute is itself.
fn plain(node: Node, expansion: &Expansion, path: &Path) -> Result<Node, TemplateError> {
    match node {
        Node::List(list) => {
            let list = list.into_iter().enumerate();
            let list = list.map(|(index, node)| plain(node, expansion, &path.index(index)));
            Ok(Node::List(list.collect::<Result<_, _>>()?))
        }
        Node::Map(entries) => {
            let mut made: Vec<(String, Node)> = Vec::new();
            for (key, node) in entries {
                let (key, path) = (expansion.name(&key), path.key(&key));
                if made.iter().any(|(known, _)| *known == key) {
                    return Err(path.malformed(format!("{key} stands here already")));
                }
                let node = match (key.as_str(), node) {
                    ("Ref", node) => name(node, expansion, &path)?,
                    ("Fn::GetAtt", Node::List(list)) => {
                        let list = list.into_iter().map(|part| name(part, expansion, &path));
                        Node::List(list.collect::<Result<_, _>>()?)
                    }
                    // Its own text keeps its variables.
                    ("Fn::Sub", Node::Text(text)) => Node::Text(text),
                    ("Fn::Sub", Node::List(list)) => {
                        let list = list.into_iter().enumerate().map(|(index, part)| match part {
                            Node::Text(text) => Ok(Node::Text(text)),
                            other => plain(other, expansion, &path.index(index)),
                        });
                        Node::List(list.collect::<Result<_, _>>()?)
                    }
                    (_, node) => plain(node, expansion, &path)?,
                };
                made.push((key, node));
            }
            folded(made, expansion, path)
        }
        Node::Text(text) => Ok(expansion.text(text)),
        scalar => Ok(scalar),
    }
}

/// The name of a resource, or of what a resource has, which in a loop is written as a text to substitute in.
fn name(node: Node, expansion: &Expansion, path: &Path) -> Result<Node, TemplateError> {
    match node {
        Node::Text(text) => Ok(Node::Text(expansion.name(&text))),
        node => match node.call(path)? {
            Some(("Fn::Sub", Node::Text(text))) if !expansion.name(text).contains("${") => {
                Ok(Node::Text(expansion.name(text)))
            }
            _ => plain(node, expansion, path),
        },
    }
}

fn folded(entries: Vec<(String, Node)>, expansion: &Expansion, path: &Path) -> Result<Node, TemplateError> {
    if let [(function, argument)] = &entries[..] {
        let path = path.key(function);
        match (function.as_str(), argument) {
            ("Ref", Node::Text(name)) => {
                if let Some(items) = expansion.values.get(name) {
                    return Ok(Node::List(items.iter().cloned().map(Node::Text).collect()));
                }
                // As it was written: where the list was.
                if expansion.one.as_ref() == Some(name) {
                    return Ok(Node::List(vec![call("Ref", Node::Text(name.clone()))]));
                }
            }
            ("Ref", _) => return Err(path.unsupported("a name that is computed")),
            ("Fn::Sub", Node::Text(text)) if !text.contains("${") => return Ok(Node::Text(text.clone())),
            ("Fn::Sub", Node::Text(text)) => {
                let fixed = expansion.values.keys().find(|name| text.contains(&format!("${{{name}}}")));
                if let Some(name) = fixed {
                    return Err(path.malformed(format!("{name} is a list, not a text")));
                }
            }
            (name, _) if EXTENSIONS.contains(&name) || name.starts_with("Fn::ForEach") => {
                return Err(path.unsupported("what needs AWS::LanguageExtensions"));
            }
            _ => {}
        }
    }
    Ok(Node::Map(entries))
}

/// The parameters that stay, and where the code is. A template whose functions are Lambda's already says that itself.
fn parameters(section: &Node, expansion: &Expansion, path: &Path) -> Result<Node, TemplateError> {
    let mut kept = section.map(path)?.to_vec();
    kept.retain(|(name, _)| !expansion.values.contains_key(name));
    let one = kept.iter_mut().find(|(name, _)| expansion.one.as_ref() == Some(name));
    if let Some((_, Node::Map(declaration))) = one {
        for (name, node) in declaration.iter_mut() {
            match (name.as_str(), &*node) {
                ("Type", _) => *node = Node::Text("String".to_owned()),
                ("Default", Node::Text(list)) => {
                    *node = Node::Text(list.split(',').next().unwrap_or_default().trim().to_owned());
                }
                _ => {}
            }
        }
    }
    if expansion.keys.is_empty() {
        return Ok(Node::Map(kept));
    }
    let text = |text: &str| Node::Text(text.to_owned());
    let declare = |entries: &[(&str, &str)]| {
        let entries = entries.iter().map(|(key, value)| ((*key).to_owned(), text(value)));
        Node::Map(std::iter::once(("Type".to_owned(), text("String"))).chain(entries).collect())
    };
    let new = [
        (
            "CodeBucket",
            declare(&[
                ("AllowedPattern", "^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"),
                ("ConstraintDescription", "The name of a bucket."),
                ("Description", "Bucket of this Region that has the functions' code."),
            ]),
        ),
        (
            "CodePrefix",
            declare(&[
                ("Default", ""),
                ("AllowedPattern", "^[A-Za-z0-9/_.-]*$"),
                ("ConstraintDescription", "Letters, digits and / _ . -"),
                ("Description", "What the keys of the code begin with, a / at its end included."),
            ]),
        ),
    ];
    for (name, declaration) in new {
        if kept.iter().any(|(known, _)| known == name) {
            return Err(path.key(name).malformed("the template has such a parameter itself"));
        }
        kept.push((name.to_owned(), declaration));
    }
    Ok(Node::Map(kept))
}

/// What an output says of itself can have no function in it.
fn outputs(section: Node) -> Node {
    let described = |output: Node| match output {
        Node::Map(entries) => Node::Map(
            entries
                .into_iter()
                .map(|(name, node)| match (name.as_str(), node.get("Fn::Sub")) {
                    ("Description", Some(Node::Text(text))) => {
                        (name, Node::Text(text.replace("${", "<").replace('}', ">")))
                    }
                    _ => (name, node),
                })
                .collect(),
        ),
        other => other,
    };
    match section {
        Node::Map(outputs) => {
            Node::Map(outputs.into_iter().map(|(name, output)| (name, described(output))).collect())
        }
        other => other,
    }
}

/// The same without the names of parameters that are none any more.
fn without_fixed(node: Node, expansion: &Expansion) -> Node {
    let is_fixed = |node: &Node| matches!(node, Node::Text(name) if expansion.values.contains_key(name));
    match node {
        Node::List(list) => {
            let list = list.into_iter().filter(|node| !is_fixed(node));
            Node::List(list.map(|node| without_fixed(node, expansion)).collect())
        }
        Node::Map(entries) => {
            let entries = entries.into_iter().filter(|(name, _)| !expansion.values.contains_key(name));
            Node::Map(entries.map(|(name, node)| (name, without_fixed(node, expansion))).collect())
        }
        scalar => scalar,
    }
}

fn resources(section: &Node, expansion: &Expansion, path: &Path) -> Result<Node, TemplateError> {
    let resources = section.map(path)?.iter().map(|(id, resource)| {
        let path = path.key(id);
        let resource = match resource.get("Type") {
            Some(Node::Text(kind)) if kind == SAM_FUNCTION => function(resource, expansion, &path)?,
            Some(Node::Text(kind)) if kind.starts_with("AWS::Serverless::") => {
                return Err(path.unsupported(kind.as_str()));
            }
            _ => resource.clone(),
        };
        Ok((id.clone(), resource))
    });
    Ok(Node::Map(resources.collect::<Result<_, TemplateError>>()?))
}

/// Lambda's function in the place of SAM's.
fn function(resource: &Node, expansion: &Expansion, path: &Path) -> Result<Node, TemplateError> {
    let entries = resource.map(path)?.iter().map(|(name, node)| {
        let node = match name.as_str() {
            "Type" => Node::Text("AWS::Lambda::Function".to_owned()),
            "Properties" => properties(node, expansion, &path.key(name))?,
            _ => node.clone(),
        };
        Ok((name.clone(), node))
    });
    Ok(Node::Map(entries.collect::<Result<_, TemplateError>>()?))
}

fn properties(node: &Node, expansion: &Expansion, path: &Path) -> Result<Node, TemplateError> {
    let properties = node.map(path)?.iter().map(|(name, node)| {
        let path = path.key(name);
        if name == "CodeUri" {
            let uri = node.text(&path)?;
            let key = expansion.keys.get(uri).ok_or_else(|| path.unresolved(uri))?;
            return Ok(("Code".to_owned(), code(key)));
        }
        if SAME.contains(&name.as_str()) {
            return Ok((name.clone(), node.clone()));
        }
        Err(path.unsupported("this property"))
    });
    Ok(Node::Map(properties.collect::<Result<_, TemplateError>>()?))
}

fn code(key: &str) -> Node {
    Node::Map(vec![
        ("S3Bucket".to_owned(), call("Ref", Node::Text("CodeBucket".to_owned()))),
        ("S3Key".to_owned(), call("Fn::Sub", Node::Text(format!("${{CodePrefix}}{key}")))),
    ])
}
