//! The configuration language of Vault and `OpenBao`, as far as policies and listeners are written in it.
//!
//! HCL, version 1: `name = value` and `name "label" { … }`, with lists, objects and three kinds of comments.
//! What is not understood makes the whole text unread, which is told as such and never taken for harmless.

/// How deep values may be nested.
const DEEPEST: usize = 32;

/// A value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Value {
    /// A text, a number or a truth value.
    Text(String),
    /// A list.
    List(Vec<Self>),
    /// A block's or an object's fields.
    Fields(Vec<Item>),
}

/// A field or a block.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Item {
    pub(crate) name: String,
    /// What stands between the name and the block.
    pub(crate) labels: Vec<String>,
    pub(crate) value: Value,
}

impl Item {
    /// The fields of a block; none where it is no block.
    pub(crate) fn fields(&self) -> &[Self] {
        match &self.value {
            Value::Fields(fields) => fields,
            Value::Text(_) | Value::List(_) => &[],
        }
    }

    /// Whether the value says yes.
    pub(crate) fn is_true(&self) -> bool {
        matches!(&self.value, Value::Text(text) if matches!(text.to_lowercase().as_str(), "true" | "1" | "t" | "yes"))
    }

    /// The texts of a list, or the one text.
    pub(crate) fn texts(&self) -> Vec<&str> {
        match &self.value {
            Value::Text(text) => vec![text],
            Value::List(list) => list
                .iter()
                .filter_map(|value| if let Value::Text(text) = value { Some(text.as_str()) } else { None })
                .collect(),
            Value::Fields(_) => Vec::new(),
        }
    }
}

/// The items of a text; none where it is not understood.
pub(crate) fn read(text: &str) -> Option<Vec<Item>> {
    let mut reader = Reader { tokens: tokens(text)?, place: 0 };
    // As JSON, it is one object.
    let end = reader.takes('{').then_some('}');
    let items = reader.items(end, DEEPEST)?;
    (reader.place == reader.tokens.len()).then_some(items)
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Token {
    /// In quotation marks.
    Quoted(String),
    /// A name, a number or a truth value.
    Word(String),
    /// One of `{}[]=,:`.
    Mark(char),
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() {
            rest = rest.trim_start();
        } else if first == '#' || rest.starts_with("//") {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
        } else if rest.starts_with("/*") {
            rest = rest.split_once("*/")?.1;
        } else if first == '"' {
            let (text, after) = quoted(&rest[1..])?;
            tokens.push(Token::Quoted(text));
            rest = after;
        } else if "{}[]=,:".contains(first) {
            tokens.push(Token::Mark(first));
            rest = &rest[1..];
        } else {
            let is_of_word = |each: char| each.is_alphanumeric() || "_-.+".contains(each);
            let end = rest.find(|each| !is_of_word(each)).unwrap_or(rest.len());
            if end == 0 {
                return None;
            }
            let (word, after) = rest.split_at(end);
            tokens.push(Token::Word(word.to_owned()));
            rest = after;
        }
    }
    Some(tokens)
}

/// A text up to its end mark, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((place, each)) = characters.next() {
        match each {
            '"' => return Some((value, &text[place + 1..])),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                't' => '\t',
                other => other,
            }),
            '\n' => return None,
            other => value.push(other),
        }
    }
    None
}

struct Reader {
    tokens: Vec<Token>,
    place: usize,
}

impl Reader {
    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.place).cloned()?;
        self.place += 1;
        Some(token)
    }

    fn takes(&mut self, mark: char) -> bool {
        let is_next = self.tokens.get(self.place) == Some(&Token::Mark(mark));
        self.place += usize::from(is_next);
        is_next
    }

    /// Items up to a mark, or to the end.
    fn items(&mut self, end: Option<char>, deepest: usize) -> Option<Vec<Item>> {
        let deepest = deepest.checked_sub(1)?;
        let mut items = Vec::new();
        loop {
            match end {
                Some(end) if self.takes(end) => return Some(items),
                None if self.place == self.tokens.len() => return Some(items),
                _ => {}
            }
            let (Token::Quoted(name) | Token::Word(name)) = self.next()? else { return None };
            let mut labels = Vec::new();
            let value = loop {
                match self.next()? {
                    Token::Mark('=' | ':') => break self.value(deepest)?,
                    Token::Mark('{') => break Value::Fields(self.items(Some('}'), deepest)?),
                    Token::Quoted(label) | Token::Word(label) => labels.push(label),
                    Token::Mark(_) => return None,
                }
            };
            items.push(Item { name, labels, value });
            self.takes(',');
        }
    }

    fn value(&mut self, deepest: usize) -> Option<Value> {
        let deepest = deepest.checked_sub(1)?;
        match self.next()? {
            Token::Quoted(text) | Token::Word(text) => Some(Value::Text(text)),
            Token::Mark('{') => Some(Value::Fields(self.items(Some('}'), deepest)?)),
            Token::Mark('[') => {
                let mut list = Vec::new();
                while !self.takes(']') {
                    list.push(self.value(deepest)?);
                    self.takes(',');
                }
                Some(Value::List(list))
            }
            Token::Mark(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_fields_and_lists_are_read() {
        let items = read(
            "# a comment\n\
             path \"secret/data/a\" { // another\n\
               capabilities = [\"read\", \"list\",]\n\
               allowed_parameters = { \"version\" = [], \"*\" = [\"x\"] } /* a third */\n\
             }\n\
             listener \"tcp\" { tls_disable = 1 }\n\
             ui = false\n",
        )
        .unwrap();
        assert_eq!(items.len(), 3);
        assert_eq!(
            (items[0].name.as_str(), items[0].labels.as_slice()),
            ("path", ["secret/data/a".to_owned()].as_slice())
        );
        assert_eq!(items[0].fields()[0].texts(), ["read", "list"]);
        assert_eq!(items[0].fields()[1].fields()[1].name, "*");
        assert!(items[1].fields()[0].is_true());
        assert!(!items[2].is_true());
    }

    #[test]
    fn json_is_read_too() {
        let items = read(r#"{"path": {"secret/*": {"capabilities": ["read"]}}}"#).unwrap();
        assert_eq!(items[0].fields()[0].fields()[0].texts(), ["read"]);
    }

    #[test]
    fn what_is_not_understood_is_not_read() {
        for text in
            ["path \"a", "path {", "a = ", "a = [1", "}", "a b", "a = <<EOF\nx\nEOF\n", "/* a", "a = ;"]
        {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read(&format!("a = {}", "[".repeat(100))), None);
        assert_eq!(read(" # nothing\n"), Some(vec![]));
    }
}
