//! Tags, as the stores have them in common.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::access::Context;

/// How many tags a thing can have (AWS General Reference, "Tagging your AWS resources").
const MOST: usize = 50;

/// A tag as requests have it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Tag {
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) value: String,
}

/// What is wrong with tags. Each store has its code for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TagFault {
    /// A key begins with `aws:`, in whatever case.
    Reserved,
    /// A key stands twice in one request.
    Twice,
    /// There would be more than fifty.
    TooMany,
}

/// What tags there are once those of a request are added to them (AWS General Reference, "Tagging your
/// AWS resources", "Tag naming and usage conventions").
pub(crate) fn added(
    tags: Vec<Tag>,
    there: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, TagFault> {
    let mut asked = BTreeMap::new();
    for tag in tags {
        if tag.key.to_ascii_lowercase().starts_with("aws:") {
            return Err(TagFault::Reserved);
        }
        if asked.insert(tag.key, tag.value).is_some() {
            return Err(TagFault::Twice);
        }
    }
    let mut all = there.clone();
    all.extend(asked);
    if all.len() > MOST { Err(TagFault::TooMany) } else { Ok(all) }
}

/// The condition keys that tell of tags in a request (IAM User Guide, "AWS global condition context
/// keys", aws:RequestTag and aws:TagKeys).
pub(crate) fn condition_keys(tags: &[Tag]) -> Context {
    let mut context = Context::default();
    for tag in tags {
        context.add(&format!("aws:RequestTag/{}", tag.key), [&tag.value]);
    }
    context.add("aws:TagKeys", tags.iter().map(|tag| &tag.key));
    context
}
