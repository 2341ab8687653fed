//! The one thing that every text from a template must be: the name of one thing.

/// Asserts that a text which reaches a policy, an ARN, a name, a tag or an encryption context stands
/// for itself there and for nothing else.
///
/// `*` and `?` are wildcards and `$` begins a variable in policies (IAM User Guide, "IAM JSON policy
/// elements: Resource" and "IAM policy elements: Variables and tags"). Quotes, backslashes, spaces and control
/// characters would end the text where it is put into JSON, and letters beyond ASCII can look like
/// others. None of the names that keyboot makes or accepts needs any of them.
///
/// # Panics
///
/// When it could stand for something else.
pub fn assert_names_one_thing(what: &str, text: &str) {
    assert!(!text.is_empty(), "{what} is empty");
    for character in text.chars() {
        assert!(!"*?$".contains(character), "{what} has a wildcard or a variable: {text:?}");
        assert!(
            character.is_ascii_graphic() && !"\"'\\<>{}".contains(character),
            "{what} has {character:?}: {text:?}"
        );
    }
}
