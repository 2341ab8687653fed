//! Lists in pages.

use std::ops::RangeInclusive;

use crate::error::ApiError;

/// Cuts a page out of a list, and gives the token of the next one. A token tells where the next page
/// starts.
pub(crate) fn page<T>(
    mut all: Vec<T>,
    asked: Option<usize>,
    allowed: RangeInclusive<usize>,
    token: Option<&str>,
) -> Result<(Vec<T>, Option<String>), ApiError> {
    let size = asked.unwrap_or(*allowed.end());
    if !allowed.contains(&size) {
        let bound = format!("less than or equal to {}, and at least {}", allowed.end(), allowed.start());
        return Err(ApiError::validation(format!(
            "1 validation error detected: Value at 'maxResults' failed to satisfy constraint: Member must have value {bound}"
        )));
    }
    let start = match token {
        None => 0,
        Some(token) => {
            let start = token.strip_prefix("from-").and_then(|start| start.parse().ok());
            let start = start.filter(|start| *start <= all.len());
            start.ok_or_else(|| ApiError::new("InvalidNextToken", "The specified token isn't valid."))?
        }
    };
    let mut page = all.split_off(start);
    let next = (page.len() > size).then(|| format!("from-{}", start + size));
    page.truncate(size);
    Ok((page, next))
}
