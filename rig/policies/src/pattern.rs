//! Text of a policy, with its wildcards and variables.

use crate::{context::Context, error::PolicyError, keys, place::Place};

/// Text that is compared with text of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Pattern {
    pieces: Vec<Piece>,
}

/// What in a text is more than itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Syntax {
    /// `*` and `?` stand for other characters.
    pub(crate) wildcards: Wildcards,
    /// `${…}` is replaced. Only in policies of version 2012-10-17.
    pub(crate) variables: bool,
}

/// How far a wildcard reaches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wildcards {
    /// `*` and `?` are themselves.
    None,
    /// They stand for any character.
    Any,
    /// They stand for any character but a colon; a `*` that ends a part of the ARN for any.
    ///
    /// IAM User Guide, "IAM JSON policy elements: Resource", "Using wildcards in resource ARNs".
    Parts,
}

/// The variable that the request has no value for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Unresolved(pub(crate) String);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Piece {
    Glyph(Glyph),
    Variable { key: String, default: Option<String> },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Glyph {
    Itself(char),
    One { colon: bool },
    Many { colon: bool },
}

impl Pattern {
    pub(crate) fn parse(text: &str, syntax: Syntax, place: &Place<'_>) -> Result<Self, PolicyError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            if syntax.variables && rest.starts_with("${") {
                let end = rest
                    .find('}')
                    .ok_or_else(|| place.malformed(format!("{text}: a variable without end")))?;
                pieces.push(variable(&rest[2..end], place)?);
                rest = &rest[end + 1..];
                continue;
            }
            rest = &rest[character.len_utf8()..];
            let colon = syntax.wildcards == Wildcards::Any;
            let ends_part = rest.is_empty() || rest.starts_with(':');
            pieces.push(Piece::Glyph(match character {
                '?' if syntax.wildcards != Wildcards::None => Glyph::One { colon },
                '*' if syntax.wildcards != Wildcards::None => Glyph::Many { colon: colon || ends_part },
                itself => Glyph::Itself(itself),
            }));
        }
        Ok(Self { pieces })
    }

    /// Whether `text` is what this says, with the request's values in the place of variables.
    pub(crate) fn matches(&self, text: &str, context: &Context) -> Result<bool, Unresolved> {
        Ok(glyphs_match(&self.resolve(context)?, text))
    }

    /// The same, without regard to upper and lower case.
    pub(crate) fn matches_ignoring_case(&self, text: &str, context: &Context) -> Result<bool, Unresolved> {
        let lower = self.resolve(context)?.into_iter().flat_map(|glyph| match glyph {
            Glyph::Itself(character) => character.to_lowercase().map(Glyph::Itself).collect(),
            wildcard => vec![wildcard],
        });
        Ok(glyphs_match(&lower.collect::<Vec<_>>(), &text.to_lowercase()))
    }

    fn resolve(&self, context: &Context) -> Result<Vec<Glyph>, Unresolved> {
        let mut glyphs = Vec::with_capacity(self.pieces.len());
        for piece in &self.pieces {
            match piece {
                Piece::Glyph(glyph) => glyphs.push(*glyph),
                Piece::Variable { key, default } => {
                    let value = context.values(key).first().or(default.as_ref());
                    let value = value.ok_or_else(|| Unresolved(key.clone()))?;
                    glyphs.extend(value.chars().map(Glyph::Itself));
                }
            }
        }
        Ok(glyphs)
    }
}

/// IAM User Guide, "IAM policy elements: Variables and tags".
fn variable(inside: &str, place: &Place<'_>) -> Result<Piece, PolicyError> {
    // "Special characters": ${*}, ${?} and ${$} are the characters themselves.
    if let "*" | "?" | "$" = inside {
        return Ok(Piece::Glyph(Glyph::Itself(inside.chars().next().unwrap_or_default())));
    }
    let (key, default) = match inside.split_once(',') {
        None => (inside.trim(), None),
        Some((key, default)) => {
            let default = default.trim().strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
            let default = default
                .ok_or_else(|| place.malformed(format!("${{{inside}}}: the default stands in '…'")))?;
            (key.trim(), Some(default.to_owned()))
        }
    };
    if !keys::is_variable(key) {
        return Err(place.unsupported(format!("the variable ${{{key}}}")));
    }
    Ok(Piece::Variable { key: key.to_owned(), default })
}

/// In time that grows with both lengths, however many wildcards there are.
fn glyphs_match(glyphs: &[Glyph], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    // reachable[i]: the glyphs so far can stand for the first i characters.
    let mut reachable = vec![false; text.len() + 1];
    reachable[0] = true;
    for glyph in glyphs {
        let mut next = vec![false; text.len() + 1];
        for at in 0..=text.len() {
            next[at] = match *glyph {
                Glyph::Itself(character) => at > 0 && reachable[at - 1] && text[at - 1] == character,
                Glyph::One { colon } => at > 0 && reachable[at - 1] && (colon || text[at - 1] != ':'),
                Glyph::Many { colon } => {
                    reachable[at] || (at > 0 && next[at - 1] && (colon || text[at - 1] != ':'))
                }
            };
        }
        reachable = next;
    }
    reachable[text.len()]
}
