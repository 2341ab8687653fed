//! A template written as JSON, in its own order.

use serde_json::Value;

use super::node::Node;

/// The text of a template; a line for each part.
pub(crate) fn render(node: &Node) -> String {
    let mut text = String::new();
    write(node, 0, &mut text);
    text.push('\n');
    text
}

fn write(node: &Node, depth: usize, text: &mut String) {
    match node {
        Node::Null => text.push_str("null"),
        Node::Boolean(boolean) => text.push_str(if *boolean { "true" } else { "false" }),
        Node::Number(number) => text.push_str(&number.to_string()),
        Node::Text(plain) => text.push_str(&quoted(plain)),
        Node::List(list) => {
            let parts = list.iter().map(|node| (None, node));
            block(['[', ']'], parts, depth, text);
        }
        Node::Map(entries) => {
            let parts = entries.iter().map(|(key, node)| (Some(key.as_str()), node));
            block(['{', '}'], parts, depth, text);
        }
    }
}

fn block<'n>(
    [open, close]: [char; 2],
    parts: impl Iterator<Item = (Option<&'n str>, &'n Node)>,
    depth: usize,
    text: &mut String,
) {
    text.push(open);
    let mut separator = "\n";
    for (key, node) in parts {
        text.push_str(separator);
        separator = ",\n";
        text.push_str(&" ".repeat(depth + 1));
        if let Some(key) = key {
            text.push_str(&quoted(key));
            text.push_str(": ");
        }
        write(node, depth + 1, text);
    }
    if separator == ",\n" {
        text.push('\n');
        text.push_str(&" ".repeat(depth));
    }
    text.push(close);
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
