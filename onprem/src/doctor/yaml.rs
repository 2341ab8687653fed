//! YAML as `Web3Signer` and Compose read it, for those who only look: all scalars are texts.

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};
use zeroize::Zeroizing;

/// More nodes than any file of interest has: references to references could make more than memory holds.
const MOST: usize = 100_000;
/// A deeper file is none of interest.
const DEEPEST: usize = 64;

/// A value. It may hold a token or a key, and has no `Debug`.
#[derive(Clone)]
pub(crate) enum Node {
    /// A scalar; one that is not there is empty.
    Text(Zeroizing<String>),
    /// A list.
    List(Vec<Self>),
    /// A map, in its order.
    Map(Vec<(String, Self)>),
}

impl Node {
    /// The value of a key, which may be written with capitals or without.
    pub(crate) fn at(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value)
    }

    /// A scalar below a key.
    pub(crate) fn text_at(&self, key: &str) -> Option<&str> {
        self.at(key)?.text()
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::List(_) | Self::Map(_) => None,
        }
    }

    /// What a map holds; nothing where this is none.
    pub(crate) fn entries(&self) -> &[(String, Self)] {
        match self {
            Self::Map(map) => map,
            Self::Text(_) | Self::List(_) => &[],
        }
    }

    /// What a list holds; nothing where this is none.
    pub(crate) fn items(&self) -> &[Self] {
        match self {
            Self::List(list) => list,
            Self::Text(_) | Self::Map(_) => &[],
        }
    }

    fn size(&self) -> usize {
        1 + match self {
            Self::Text(_) => 0,
            Self::List(list) => list.iter().map(Self::size).sum(),
            Self::Map(map) => map.iter().map(|(_, value)| value.size()).sum(),
        }
    }
}

/// The documents of a text; none where it is no YAML.
pub(crate) fn read(text: &str) -> Option<Vec<Node>> {
    let mut reader = Reader { events: Parser::new_from_str(text), anchors: Vec::new(), left: MOST };
    let mut documents = Vec::new();
    loop {
        match reader.next()? {
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            Event::StreamEnd => return Some(documents),
            first => documents.push(reader.node(first, DEEPEST)?),
        }
    }
}

struct Reader<'t> {
    events: Parser<'t, StrInput<'t>>,
    /// What is referred to, by number.
    anchors: Vec<(usize, Node)>,
    /// How many nodes there may still be.
    left: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Option<Event<'t>> {
        match self.events.next_event() {
            Some(Ok((event, _))) => Some(event),
            Some(Err(_)) => None,
            None => Some(Event::StreamEnd),
        }
    }

    /// The node that begins with this event.
    fn node(&mut self, first: Event<'t>, deepest: usize) -> Option<Node> {
        let deepest = deepest.checked_sub(1)?;
        self.left = self.left.checked_sub(1)?;
        let (anchor, node) = match first {
            Event::Scalar(text, style, anchor, _) => {
                let is_nothing =
                    style == ScalarStyle::Plain && matches!(&*text, "~" | "null" | "Null" | "NULL");
                let text = if is_nothing { String::new() } else { text.into_owned() };
                (anchor, Node::Text(Zeroizing::new(text)))
            }
            Event::SequenceStart(anchor, _) => (anchor, self.list(deepest)?),
            Event::MappingStart(anchor, _) => (anchor, self.map(deepest)?),
            Event::Alias(anchor) => {
                let (_, node) = self.anchors.iter().find(|(known, _)| *known == anchor)?;
                let node = node.clone();
                self.left = self.left.checked_sub(node.size())?;
                return Some(node);
            }
            _ => return None,
        };
        if anchor > 0 {
            self.anchors.push((anchor, node.clone()));
        }
        Some(node)
    }

    fn list(&mut self, deepest: usize) -> Option<Node> {
        let mut list = Vec::new();
        loop {
            match self.next()? {
                Event::SequenceEnd => return Some(Node::List(list)),
                first => list.push(self.node(first, deepest)?),
            }
        }
    }

    fn map(&mut self, deepest: usize) -> Option<Node> {
        let mut map = Vec::new();
        let mut merged = Vec::new();
        loop {
            let key = match self.next()? {
                Event::MappingEnd => break,
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return None,
            };
            let first = self.next()?;
            let value = self.node(first, deepest)?;
            if key == "<<" { merged.push(value) } else { map.push((key, value)) }
        }
        // What the map says itself counts more than what it takes over.
        for merged in &merged {
            let maps = if merged.items().is_empty() { std::slice::from_ref(merged) } else { merged.items() };
            for (key, value) in maps.iter().flat_map(Node::entries) {
                if !map.iter().any(|(known, _)| known == key) {
                    map.push((key.clone(), value.clone()));
                }
            }
        }
        Some(Node::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Node {
        read(text).unwrap().remove(0)
    }

    #[test]
    fn maps_lists_and_texts_are_read() {
        let node = one("a: 'x'\nb: [1, true, null]\nc:\n  d: ~\n");
        assert_eq!(node.text_at("a"), Some("x"));
        let items: Vec<_> = node.at("b").unwrap().items().iter().map(|item| item.text().unwrap()).collect();
        assert_eq!(items, ["1", "true", ""]);
        assert_eq!(node.at("c").unwrap().text_at("d"), Some(""));
        assert_eq!(node.text_at("e"), None);
        assert_eq!(read("a: 1\n---\nb: 2\n").unwrap().len(), 2);
        assert!(read("a: [1").is_none());
        assert!(read("").unwrap().is_empty());
    }

    #[test]
    fn references_are_followed_and_merged() {
        let node = one("x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  b: 3\nz:\n  <<: [*x, {c: 4}]\n");
        let y = node.at("y").unwrap();
        assert_eq!((y.text_at("a"), y.text_at("b")), (Some("1"), Some("3")));
        assert_eq!(node.at("z").unwrap().text_at("c"), Some("4"));
    }

    #[test]
    fn references_to_references_end() {
        let mut lines = vec!["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]".to_owned()];
        for level in 1..9 {
            let below = format!("*a{}", level - 1);
            let below = [below.as_str(); 10].join(", ");
            lines.push(format!("a{level}: &a{level} [{below}]"));
        }
        assert!(read(&lines.join("\n")).is_none());
        assert!(read(&"[".repeat(200)).is_none());
    }
}
