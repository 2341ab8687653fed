//! YAML with the short forms of CloudFormation's functions.
//!
//! CloudFormation User Guide, "CloudFormation template format": YAML 1.1 without aliases, binary,
//! omap, pairs, set and timestamp. The parser is one of YAML 1.2; what the two versions read
//! differently is refused.

use std::borrow::Cow;

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput, Tag};
use serde_json::Number;

use super::{error::TemplateError, node::Node};
use crate::path::Path;

/// The functions that have a short form (`!Sub`) beside `!Ref` and `!Condition`.
const SHORT: [&str; 17] = [
    "And",
    "Base64",
    "Cidr",
    "Equals",
    "FindInMap",
    "GetAZs",
    "GetAtt",
    "If",
    "ImportValue",
    "Join",
    "Length",
    "Not",
    "Or",
    "Select",
    "Split",
    "Sub",
    "ToJsonString",
];

/// Reads a document.
pub(crate) fn read(text: &str) -> Result<Node, TemplateError> {
    let mut events = Events(Parser::new_from_str(text));
    let mut document = None;
    loop {
        match events.next()? {
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            Event::StreamEnd => return document.ok_or_else(|| Path::start().malformed("it is empty")),
            _ if document.is_some() => return Err(Path::start().malformed("a second document")),
            first => document = Some(events.node(first, &Path::start())?),
        }
    }
}

struct Events<'t>(Parser<'t, StrInput<'t>>);

impl<'t> Events<'t> {
    fn next(&mut self) -> Result<Event<'t>, TemplateError> {
        match self.0.next_event() {
            Some(Ok((event, _))) => Ok(event),
            Some(Err(error)) => Err(TemplateError::Yaml(error.to_string())),
            None => Ok(Event::StreamEnd),
        }
    }

    /// The node that begins with this event.
    fn node(&mut self, first: Event<'t>, path: &Path) -> Result<Node, TemplateError> {
        match first {
            Event::Scalar(text, style, _, tag) => scalar(&text, style, tag.as_deref(), path),
            Event::SequenceStart(_, tag) => {
                let list = self.list(path)?;
                tagged(Node::List(list), tag.as_deref(), path)
            }
            Event::MappingStart(_, tag) => {
                let map = self.map(path)?;
                tagged(Node::Map(map), tag.as_deref(), path)
            }
            Event::Alias(_) => Err(path.unsupported("an alias")),
            _ => Err(path.malformed("it ends here")),
        }
    }

    fn list(&mut self, path: &Path) -> Result<Vec<Node>, TemplateError> {
        let mut list = Vec::new();
        loop {
            match self.next()? {
                Event::SequenceEnd => return Ok(list),
                first => list.push(self.node(first, &path.index(list.len()))?),
            }
        }
    }

    fn map(&mut self, path: &Path) -> Result<Vec<(String, Node)>, TemplateError> {
        let mut map: Vec<(String, Node)> = Vec::new();
        loop {
            let key = match self.next()? {
                Event::MappingEnd => return Ok(map),
                Event::Scalar(text, style, _, None) => key(text, style, path)?,
                _ => return Err(path.malformed("a key that is not a string")),
            };
            let path = path.key(&key);
            if map.iter().any(|(known, _)| *known == key) {
                return Err(path.malformed("it stands here twice"));
            }
            let first = self.next()?;
            map.push((key, self.node(first, &path)?));
        }
    }
}

/// A number is the text of a key: Mappings have account ids for keys.
fn key(text: Cow<'_, str>, style: ScalarStyle, path: &Path) -> Result<String, TemplateError> {
    if style == ScalarStyle::Plain && matches!(plain(&text, path)?, Node::Null | Node::Boolean(_)) {
        return Err(path.malformed(format!("the key {text} needs quotes")));
    }
    Ok(text.into_owned())
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, path: &Path) -> Result<Node, TemplateError> {
    match tag {
        // What a function is given is a name or a text, whatever it looks like.
        Some(tag) => tagged(Node::Text(text.to_owned()), Some(tag), path),
        None if style == ScalarStyle::Plain => plain(text, path),
        None => Ok(Node::Text(text.to_owned())),
    }
}

/// The long form of a short one.
fn tagged(node: Node, tag: Option<&Tag>, path: &Path) -> Result<Node, TemplateError> {
    let Some(tag) = tag else { return Ok(node) };
    let name = match (tag.handle.as_str(), tag.suffix.as_str()) {
        ("!", name @ ("Ref" | "Condition")) => name.to_owned(),
        ("!", name) if SHORT.contains(&name) => format!("Fn::{name}"),
        _ => return Err(path.unsupported(format!("the tag {tag}"))),
    };
    let argument = match (name.as_str(), node) {
        ("Fn::GetAtt", Node::Text(text)) => {
            let (resource, attribute) =
                text.split_once('.').ok_or_else(|| path.malformed(format!("{text} names no attribute")))?;
            Node::List(vec![Node::Text(resource.to_owned()), Node::Text(attribute.to_owned())])
        }
        (_, node) => node,
    };
    Ok(Node::Map(vec![(name, argument)]))
}

/// A scalar without quotes.
fn plain(text: &str, path: &Path) -> Result<Node, TemplateError> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Node::Null),
        "true" | "True" | "TRUE" => return Ok(Node::Boolean(true)),
        "false" | "False" | "FALSE" => return Ok(Node::Boolean(false)),
        _ => {}
    }
    if is_ambiguous(text) {
        return Err(path.malformed(format!("{text} needs quotes: versions of YAML read it differently")));
    }
    let looks_like_number =
        text.trim_start_matches(['-', '+', '.']).starts_with(|c: char| c.is_ascii_digit());
    let number = match (text.parse::<i64>(), text.parse::<f64>()) {
        _ if !looks_like_number => None,
        (Ok(integer), _) => Some(Number::from(integer)),
        (_, Ok(float)) => Number::from_f64(float),
        _ => None,
    };
    Ok(number.map_or_else(|| Node::Text(text.to_owned()), Node::Number))
}

/// Whether YAML 1.1 reads a boolean or a number that is none, or another one, in YAML 1.2.
fn is_ambiguous(text: &str) -> bool {
    let is_digit_or = |more: &'static [u8]| move |byte: u8| byte.is_ascii_digit() || more.contains(&byte);
    let unsigned = text.trim_start_matches(['-', '+']);
    let begins_with_digit = unsigned.starts_with(|first: char| first.is_ascii_digit());
    // yes, and the like; `y` and `n` are letters to the readers of YAML 1.1 that are in use
    ["yes", "no", "on", "off"].iter().any(|word| text.eq_ignore_ascii_case(word))
        // 0777, 0x1f, 0o17, 0b11
        || (unsigned.len() > 1 && unsigned.starts_with('0') && unsigned.bytes().all(is_digit_or(b"_")))
        || ["0x", "0o", "0b"].iter().any(|prefix| unsigned.starts_with(prefix))
        // 1:20, 1_000
        || (begins_with_digit && text.contains([':', '_']) && unsigned.bytes().all(is_digit_or(b":_.")))
        // 1e3
        || (begins_with_digit && !text.contains('.') && text.contains(['e', 'E']) && text.parse::<f64>().is_ok())
        || [".inf", ".nan"].iter().any(|word| unsigned.eq_ignore_ascii_case(word))
}
