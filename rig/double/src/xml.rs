//! Answers of the query protocol, written as XML.

use serde_json::Value;

/// The namespace of CloudFormation's answers.
const NAMESPACE: &str = "http://cloudformation.amazonaws.com/doc/2010-05-15/";

/// Writes a document. Members of an object become elements, those of a list become `member`s, and
/// what is null is left out.
pub(crate) fn document(root: &str, content: &Value) -> String {
    format!("<{root} xmlns=\"{NAMESPACE}\">{}</{root}>", inside(content))
}

fn inside(content: &Value) -> String {
    match content {
        Value::Null => String::new(),
        Value::Object(members) => members.iter().map(|(name, value)| element(name, value)).collect(),
        Value::Array(items) => items.iter().map(|item| element("member", item)).collect(),
        Value::String(plain) => escaped(plain),
        Value::Bool(_) | Value::Number(_) => content.to_string(),
    }
}

fn element(name: &str, value: &Value) -> String {
    if value.is_null() { String::new() } else { format!("<{name}>{}</{name}>", inside(value)) }
}

fn escaped(plain: &str) -> String {
    let mut text = String::with_capacity(plain.len());
    for character in plain.chars() {
        match character {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&quot;"),
            other => text.push(other),
        }
    }
    text
}
