//! Answers of the query protocol, written as XML.

use serde_json::Value;

/// The namespace of CloudFormation's answers.
const NAMESPACE: &str = "http://cloudformation.amazonaws.com/doc/2010-05-15/";

/// Writes a document. Members of an object become elements, those of a list become `member`s, and
/// what is null is left out.
pub(crate) fn document(root: &str, content: &Value) -> String {
    let mut text = format!("<{root} xmlns=\"{NAMESPACE}\">");
    write(&mut text, content);
    text.push_str(&format!("</{root}>"));
    text
}

fn write(text: &mut String, content: &Value) {
    match content {
        Value::Null => {}
        Value::Object(members) => members.iter().for_each(|(name, value)| element(text, name, value)),
        Value::Array(items) => items.iter().for_each(|item| element(text, "member", item)),
        Value::String(plain) => escape(text, plain),
        Value::Bool(_) | Value::Number(_) => escape(text, &content.to_string()),
    }
}

fn element(text: &mut String, name: &str, value: &Value) {
    if value.is_null() {
        return;
    }
    text.push_str(&format!("<{name}>"));
    write(text, value);
    text.push_str(&format!("</{name}>"));
}

fn escape(text: &mut String, plain: &str) {
    for character in plain.chars() {
        match character {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&quot;"),
            other => text.push(other),
        }
    }
}
