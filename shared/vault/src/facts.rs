//! What describes a version, as names of keys beside its value.
//!
//! The names can be read by a right of their own, which gives no value; and they are written in the one call
//! with it, so that no death leaves a secret that nobody knows the owner of.

use std::collections::BTreeSet;

use provisioning::ownership::Tags;
use provisioning::version_label::{SignedLabel, VersionLabel};

/// What a name begins with that is a version's label.
const LABEL: &str = "label=";

/// What a version tells of itself.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Facts {
    /// The tags that it was created with.
    pub(crate) tags: Tags,
    /// What tells what it is, where it is one of ours, and the signature behind it.
    pub(crate) label: Option<(VersionLabel, Option<String>)>,
}

impl Facts {
    /// Reads them from names of keys; what is none of ours is left out.
    pub(crate) fn read<'a>(keys: impl IntoIterator<Item = &'a String>) -> Self {
        let mut facts = Self::default();
        for key in keys {
            if let Some(label) = key.strip_prefix(LABEL) {
                facts.label = SignedLabel::in_description(label);
            } else if let Some((tag, value)) = key.split_once('=') {
                facts.tags.insert(tag.to_owned(), value.to_owned());
            }
        }
        facts
    }
}

/// The names for tags and a label.
pub(crate) fn facts_of(tags: &Tags, label: Option<&SignedLabel>) -> BTreeSet<String> {
    let tags = tags.iter().map(|(tag, value)| format!("{tag}={value}"));
    tags.chain(label.map(|label| format!("{LABEL}{}", label.to_description()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let tags = Tags::from([
            ("keyboot:owner".to_owned(), "keyboot/n/c/0123456789abcdef".to_owned()),
            ("keyboot:public".to_owned(), "MFkwEwYHKoZIzj0CAQYI+/A==".to_owned()),
            ("keyboot:empty".to_owned(), String::new()),
        ]);
        let label = SignedLabel {
            label: "keyboot-b93d48954fb38451-2-ek-128f496b-request-_-8-".into(),
            signature: "keyboot-signed--_8".into(),
        };
        let names = facts_of(&tags, Some(&label));
        assert_eq!(
            names.iter().map(String::as_str).collect::<Vec<_>>(),
            [
                "keyboot:empty=",
                "keyboot:owner=keyboot/n/c/0123456789abcdef",
                "keyboot:public=MFkwEwYHKoZIzj0CAQYI+/A==",
                "label=keyboot-b93d48954fb38451-2-ek-128f496b-request-_-8- keyboot-signed--_8",
            ]
        );
        let read = Facts::read(&names);
        assert_eq!(read.tags, tags);
        let (version, signature) = read.label.unwrap();
        assert_eq!(version.to_text().unwrap(), label.label);
        assert_eq!(signature, Some(label.signature));
        let names = facts_of(&tags, None);
        assert_eq!(Facts::read(&names), Facts { tags, label: None });
    }

    #[test]
    fn what_is_none_of_ours_is_left_out() {
        let names = ["nothing".to_owned(), "label=nothing".to_owned()];
        assert_eq!(Facts::read(&names), Facts::default());
    }
}
