//! CloudFormation templates, resolved as far as their policies need it.
//!
//! What ships is a template, so a test of its policies reads them there: [`Template::read`], then
//! [`Template::resolve`] for a [`Stack`], then [`Resolved::resource`]. Loops are unrolled and
//! intrinsic functions replaced by their values; transforms other than the loops are left to
//! AWS, and so are the constraints of parameters. [`Template::expand`] writes a template that needs
//! no transform. A function that is not known here, and a name
//! that nothing is known of, are errors that say where ([`TemplateError`]).
//!
//! CloudFormation Template Reference Guide, "Intrinsic functions".

mod conditions;
mod error;
mod expanding;
mod for_each;
mod functions;
mod node;
mod parameters;
mod render;
mod resolved;
mod scope;
mod stack;
mod yaml;

pub use error::TemplateError;
pub use expanding::Expansion;
pub use resolved::{Resolved, Template};
pub use stack::Stack;
