//! Loops, unrolled.
//!
//! CloudFormation Template Reference Guide, `Fn::ForEach`, of the transform
//! `AWS::LanguageExtensions`.

use super::{error::TemplateError, node::Node};
use crate::path::Path;

const LOOP: &str = "Fn::ForEach::";

/// Puts what loops make in their places; `items` says what a loop goes over.
pub(crate) fn unroll(
    node: Node,
    path: &Path,
    items: &impl Fn(&Node, &Path) -> Result<Vec<String>, TemplateError>,
) -> Result<Node, TemplateError> {
    match node {
        Node::List(list) => {
            let list =
                list.into_iter().enumerate().map(|(index, node)| unroll(node, &path.index(index), items));
            Ok(Node::List(list.collect::<Result<_, _>>()?))
        }
        Node::Map(entries) => {
            let mut unrolled: Vec<(String, Node)> = Vec::new();
            for (key, node) in entries {
                let path = path.key(&key);
                let made = if key.starts_with(LOOP) {
                    turns(&node, &path, items)?
                } else {
                    vec![(key, unroll(node, &path, items)?)]
                };
                for (key, node) in made {
                    if unrolled.iter().any(|(known, _)| *known == key) {
                        return Err(path.malformed(format!("{key} stands here already")));
                    }
                    unrolled.push((key, node));
                }
            }
            Ok(Node::Map(unrolled))
        }
        scalar => Ok(scalar),
    }
}

/// What one loop makes.
fn turns(
    node: &Node,
    path: &Path,
    items: &impl Fn(&Node, &Path) -> Result<Vec<String>, TemplateError>,
) -> Result<Vec<(String, Node)>, TemplateError> {
    let [identifier, collection, body] = node.list_of(path)?;
    let identifier = identifier.text(&path.index(0))?;
    let body_path = path.index(2);
    body.map(&body_path)?;
    let mut made = Vec::new();
    for item in items(collection, &path.index(1))? {
        match unroll(replace(body, identifier, &item), &body_path, items)? {
            Node::Map(entries) => made.extend(entries),
            _ => return Err(body_path.malformed("a map is needed")),
        }
    }
    Ok(made)
}

/// The body of a loop with the item in the place of its identifier, in every text and every key:
/// `${Name}`, `&{Name}` (the letters and digits of the item) and `Ref`.
fn replace(node: &Node, identifier: &str, item: &str) -> Node {
    let text = |text: &str| {
        let alphanumeric: String = item.chars().filter(char::is_ascii_alphanumeric).collect();
        text.replace(&format!("${{{identifier}}}"), item)
            .replace(&format!("&{{{identifier}}}"), &alphanumeric)
    };
    match node {
        Node::Text(plain) => Node::Text(text(plain)),
        Node::List(list) => Node::List(list.iter().map(|node| replace(node, identifier, item)).collect()),
        Node::Map(entries) => {
            if let [(name, Node::Text(target))] = &entries[..]
                && name == "Ref"
                && target == identifier
            {
                return Node::Text(item.to_owned());
            }
            let entries = entries.iter().map(|(key, node)| (text(key), replace(node, identifier, item)));
            Node::Map(entries.collect())
        }
        Node::Null | Node::Boolean(_) | Node::Number(_) => node.clone(),
    }
}
