//! The six parts of an ARN.

/// Splits at the first five colons; the resource part keeps its own.
///
/// AWS General Reference, "Amazon Resource Names (ARNs)".
pub(crate) fn parts(text: &str) -> Option<[&str; 6]> {
    let mut parts = text.splitn(6, ':');
    let mut next = || parts.next();
    let parts = [next()?, next()?, next()?, next()?, next()?, next()?];
    (parts[0] == "arn").then_some(parts)
}

/// The same for a pattern, in which the colons of variables (`${aws:…}`) part nothing.
pub(crate) fn pattern_parts(text: &str) -> Option<[&str; 6]> {
    let mut parts = [""; 6];
    let (mut count, mut start, mut in_variable) = (0, 0, false);
    for (at, character) in text.char_indices() {
        match character {
            '$' if text[at..].starts_with("${") => in_variable = true,
            '}' => in_variable = false,
            ':' if !in_variable && count < 5 => {
                parts[count] = &text[start..at];
                (count, start) = (count + 1, at + 1);
            }
            _ => {}
        }
    }
    parts[5] = &text[start..];
    (count == 5 && parts[0] == "arn").then_some(parts)
}

/// Whether this is a partition, as `aws`, `aws-cn` or `aws-us-gov`.
pub(crate) fn is_partition(text: &str) -> bool {
    text == "aws"
        || text.strip_prefix("aws-").is_some_and(|rest| {
            !rest.is_empty() && rest.bytes().all(|b| b == b'-' || b.is_ascii_alphanumeric())
        })
}

/// Whether this is an account id: twelve digits.
pub(crate) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}
