//! Text of a policy, with its wildcards and variables.

use std::borrow::Cow;

use crate::{context::Context, error::PolicyError, keys, place::Place};

/// Text that is compared with text of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Pattern {
    /// The same for every request.
    Fixed(Vec<Glyph>),
    /// With variables in it.
    Variable(Vec<Piece>),
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

/// A part of a pattern.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Piece {
    Glyph(Glyph),
    Variable { key: String, default: Option<String> },
}

/// What stands for characters of a text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Glyph {
    Itself(char),
    One { colon: bool },
    Many { colon: bool },
}

/// When two characters are the same.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Case {
    Heeded,
    Ignored,
}

impl Case {
    fn same(self, one: char, other: char) -> bool {
        one == other || (self == Self::Ignored && one.to_lowercase().eq(other.to_lowercase()))
    }
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
        let glyph = |piece: &Piece| match piece {
            Piece::Glyph(glyph) => Some(*glyph),
            Piece::Variable { .. } => None,
        };
        Ok(match pieces.iter().map(glyph).collect() {
            Some(glyphs) => Self::Fixed(glyphs),
            None => Self::Variable(pieces),
        })
    }

    /// Whether `text` is what this says, with the request's values in the place of variables.
    pub(crate) fn matches(&self, text: &str, context: &Context) -> Result<bool, Unresolved> {
        Ok(glyphs_match(&self.glyphs(context)?, text, Case::Heeded))
    }

    /// The same, without regard to upper and lower case.
    pub(crate) fn matches_ignoring_case(&self, text: &str, context: &Context) -> Result<bool, Unresolved> {
        Ok(glyphs_match(&self.glyphs(context)?, text, Case::Ignored))
    }

    fn glyphs(&self, context: &Context) -> Result<Cow<'_, [Glyph]>, Unresolved> {
        let pieces = match self {
            Self::Fixed(glyphs) => return Ok(Cow::Borrowed(glyphs)),
            Self::Variable(pieces) => pieces,
        };
        let mut glyphs = Vec::with_capacity(pieces.len());
        for piece in pieces {
            match piece {
                Piece::Glyph(glyph) => glyphs.push(*glyph),
                Piece::Variable { key, default } => {
                    let value = context.values(key).first().or(default.as_ref());
                    let value = value.ok_or_else(|| Unresolved(key.clone()))?;
                    glyphs.extend(value.chars().map(Glyph::Itself));
                }
            }
        }
        Ok(Cow::Owned(glyphs))
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

/// In time that grows with both lengths, however many wildcards there are. Most texts that do not
/// match differ before the first wildcard, and cost no more than that.
fn glyphs_match(glyphs: &[Glyph], text: &str, case: Case) -> bool {
    let (mut glyphs, mut text) = (glyphs, text.chars());
    while let [Glyph::Itself(character), rest @ ..] = glyphs {
        if !text.next().is_some_and(|next| case.same(*character, next)) {
            return false;
        }
        glyphs = rest;
    }
    if glyphs.is_empty() {
        return text.next().is_none();
    }
    let text: Vec<char> = text.collect();
    // reachable[i]: the glyphs so far can stand for the first i characters.
    let mut reachable = vec![false; text.len() + 1];
    let mut next = reachable.clone();
    reachable[0] = true;
    for glyph in glyphs {
        for at in 0..=text.len() {
            next[at] = match *glyph {
                Glyph::Itself(character) => at > 0 && reachable[at - 1] && case.same(character, text[at - 1]),
                Glyph::One { colon } => at > 0 && reachable[at - 1] && (colon || text[at - 1] != ':'),
                Glyph::Many { colon } => {
                    reachable[at] || (at > 0 && next[at - 1] && (colon || text[at - 1] != ':'))
                }
            };
        }
        std::mem::swap(&mut reachable, &mut next);
    }
    reachable[text.len()]
}
