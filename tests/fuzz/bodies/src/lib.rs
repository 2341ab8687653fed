//! What is tried on every input, whoever brings it.
//!
//! libFuzzer calls these functions with bytes that it makes up (`cargo xtask fuzz`), and every test
//! run calls them with the corpora, on the pinned compiler. Each takes bytes that somebody else
//! wrote, has the code of this project read them, and asserts what must hold of whatever was
//! accepted; a rule is put here in other words than in the code, or by another parser. A fault is a
//! panic. No I/O here, and no network: an answer's time is over before it could leave.

#![expect(clippy::missing_panics_doc, reason = "a broken rule is told by a panic: see above")]

mod event;
mod one_thing;
mod properties;
mod record;
mod roster;
mod rotation;
mod sealed;
mod signing;

pub use event::event;
pub use one_thing::assert_names_one_thing;
pub use properties::properties;
pub use record::record;
pub use roster::roster;
pub use rotation::rotation;
pub use sealed::sealed;

/// What became of an input.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It was refused, without a panic.
    Refused,
    /// It was taken, and everything that must hold of it does.
    Accepted,
}

/// One target: a function that is tried on every input of its corpus.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is also that of its corpus and of libFuzzer's program.
    pub name: &'static str,
    /// What is tried.
    pub body: fn(&[u8]) -> Verdict,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "event", body: event },
    Target { name: "properties", body: properties },
    Target { name: "record", body: record },
    Target { name: "roster", body: roster },
    Target { name: "rotation", body: rotation },
    Target { name: "sealed", body: sealed },
];
