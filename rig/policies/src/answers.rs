//! Answers taken together, of which some may not be had.

/// Whether all hold. One that does not is the answer, whatever has none.
pub(crate) fn all<E>(answers: impl Iterator<Item = Result<bool, E>>) -> Result<bool, E> {
    let mut first_without = None;
    for answer in answers {
        match answer {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(error) => first_without = first_without.or(Some(error)),
        }
    }
    first_without.map_or(Ok(true), Err)
}

/// Whether one holds. One that does is the answer, whatever has none.
pub(crate) fn any<E>(answers: impl Iterator<Item = Result<bool, E>>) -> Result<bool, E> {
    all(answers.map(|answer| answer.map(|holds| !holds))).map(|none| !none)
}
