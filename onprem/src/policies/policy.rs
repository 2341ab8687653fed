//! A policy of a Vault or `OpenBao` server: what a token may do, path by path, and its text.
//!
//! Paths are exact, or have `+` for a segment that is counted (a node, a version of a role's key, a page of the
//! roster). There is no `*` in any of them, and a rule has the reason for it in its comment. No I/O.

use std::fmt::Write as _;
use std::time::Duration;

/// What may be done at a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum Capability {
    /// Write where nothing stands.
    Create,
    /// Write where something stands; also every call that is none of the others.
    Update,
    /// Change parts.
    Patch,
    /// Read.
    Read,
    /// See names.
    List,
    /// Remove.
    Delete,
    /// Do what the server keeps for administrators, at this path alone.
    Sudo,
}

impl Capability {
    fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Read => "read",
            Self::List => "list",
            Self::Delete => "delete",
            Self::Sudo => "sudo",
        }
    }
}

/// Which values a parameter may have.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Values {
    /// Whatever it is.
    Any,
    /// One of these texts.
    Texts(Vec<String>),
    /// `true` alone.
    True,
}

/// What a token may do at one path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    why: Option<&'static str>,
    path: String,
    capabilities: Vec<Capability>,
    required: Vec<&'static str>,
    allowed: Vec<(&'static str, Values)>,
    wrapped_for_at_most: Option<Duration>,
}

impl Rule {
    /// A rule about a path.
    pub(crate) fn at(path: impl Into<String>, capabilities: &[Capability]) -> Self {
        Self {
            why: None,
            path: path.into(),
            capabilities: capabilities.to_vec(),
            required: Vec::new(),
            allowed: Vec::new(),
            wrapped_for_at_most: None,
        }
    }

    /// The reason, which stands above it and above those that follow without one.
    pub(crate) fn because(mut self, why: &'static str) -> Self {
        self.why = Some(why);
        self
    }

    /// Only with these parameters, and not without them.
    pub(crate) fn only_with<const N: usize>(mut self, parameters: [(&'static str, Values); N]) -> Self {
        self.required = parameters.iter().map(|(name, _)| *name).collect();
        self.allowed = parameters.into();
        self
    }

    /// With these parameters or without, and with no other.
    pub(crate) fn at_most_with<const N: usize>(mut self, parameters: [(&'static str, Values); N]) -> Self {
        self.allowed = parameters.into();
        self
    }

    /// Only where the answer is wrapped, for at most so long.
    pub(crate) fn wrapped(mut self, longest: Duration) -> Self {
        self.wrapped_for_at_most = Some(longest);
        self
    }

    /// Its path, as it is written in the policy.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What may be done there.
    #[must_use]
    pub fn capabilities(&self) -> &[Capability] {
        &self.capabilities
    }

    fn write(&self, text: &mut String) {
        if let Some(why) = self.why {
            text.push('\n');
            comment(text, why);
        }
        let capabilities: Vec<String> = self.capabilities.iter().map(|each| quoted(each.as_str())).collect();
        let _ = writeln!(text, "path {} {{", quoted(&self.path));
        let _ = writeln!(text, "  capabilities = [{}]", capabilities.join(", "));
        if !self.required.is_empty() {
            let required: Vec<String> = self.required.iter().map(|each| quoted(each)).collect();
            let _ = writeln!(text, "  required_parameters = [{}]", required.join(", "));
        }
        if !self.allowed.is_empty() {
            let _ = writeln!(text, "  allowed_parameters = {{");
            for (name, values) in &self.allowed {
                let values = match values {
                    Values::Any => String::new(),
                    Values::Texts(texts) => {
                        texts.iter().map(|each| quoted(each)).collect::<Vec<_>>().join(", ")
                    }
                    Values::True => "true".to_owned(),
                };
                let _ = writeln!(text, "    {} = [{values}]", quoted(name));
            }
            let _ = writeln!(text, "  }}");
        }
        if let Some(longest) = self.wrapped_for_at_most {
            let _ = writeln!(text, "  min_wrapping_ttl = \"1s\"");
            let _ = writeln!(text, "  max_wrapping_ttl = \"{}s\"", longest.as_secs());
        }
        let _ = writeln!(text, "}}");
    }
}

/// What a token may do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Policy {
    name: String,
    says: &'static str,
    rules: Vec<Rule>,
}

impl Policy {
    pub(crate) fn new(name: impl Into<String>, says: &'static str, rules: Vec<Rule>) -> Self {
        Self { name: name.into(), says, rules }
    }

    /// Its name on the server.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it allows, path by path.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Its text, as the server takes it.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        comment(&mut text, self.says);
        for rule in &self.rules {
            rule.write(&mut text);
        }
        text
    }
}

/// Writes a sentence as a comment, line by line.
fn comment(text: &mut String, sentence: &str) {
    for line in sentence.lines() {
        let _ = writeln!(text, "# {line}");
    }
}

/// A text between quotation marks. Names are parsed before they come here and hold neither mark nor
/// backslash; should one ever do, it ends no text.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
