//! What the function is told by its environment: the one place where it is read.

use custom_resource::StackId;

use crate::record::FunctionArn;

/// What the function needs to know.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The function that is answered for.
    pub(crate) function: FunctionArn,
    /// The stacks that it serves.
    pub(crate) stacks: Vec<StackId>,
}

/// Reads the environment; what is wrong with it is told without its values.
pub(crate) fn read() -> Result<Settings, String> {
    #[cfg(not(feature = "local"))]
    surroundings::refuse_tampered_environment(std::env::vars_os()).map_err(|fault| fault.to_string())?;
    Ok(Settings {
        function: variable(
            "KEYBOOT_FUNCTION_ARN",
            "the full ARN of a function, without a version",
            |text| text.parse().ok(),
        )?,
        stacks: variable("KEYBOOT_STACK_IDS", "full stack ids (ARNs), separated by commas", stack_ids)?,
    })
}

/// Reads a list of stack ids as the template writes it: what is empty in it names no stack, and one
/// has to be named.
fn stack_ids(list: &str) -> Option<Vec<StackId>> {
    let ids = list.split(',').map(str::trim).filter(|id| !id.is_empty());
    let ids: Vec<_> = ids.map(|id| id.parse().ok()).collect::<Option<_>>()?;
    (!ids.is_empty()).then_some(ids)
}

#[expect(clippy::disallowed_methods, reason = "this is where configuration is read")]
fn variable<T>(name: &str, expected: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, String> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| format!("the environment variable {name} is not set"))?;
    parse(&text).ok_or_else(|| format!("the environment variable {name} must be {expected}"))
}
