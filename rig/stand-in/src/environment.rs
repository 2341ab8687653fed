//! Values of a configuration that stand in the environment, and not in the file.
//!
//! A TSM node's `config.toml` may name a variable in place of any value: ``{{ env `NAME` }}``. Where
//! `NAME` is not set and `NAME_FILE` is, the value is what the file at that path holds, which may be
//! a memory file under `/proc/self/fd`.

use std::ffi::OsString;
use std::fs;
use std::io;

use zeroize::Zeroizing;

/// Looks up an environment variable: of this process, or of a test.
pub type Variables = dyn Fn(&str) -> Option<OsString> + Send + Sync;

/// A reference leads nowhere. The message names the variable and never what it holds.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceFault {
    /// Nobody set it.
    #[error("neither {0} nor {0}_FILE is set in the environment")]
    Unset(String),
    /// It holds something that is no text.
    #[error("what {0} holds is not UTF-8")]
    NotText(String),
    /// The file cannot be read.
    #[error("the file that {variable}_FILE names cannot be read: {fault}")]
    Unreadable {
        /// The variable that is referred to, without `_FILE`.
        variable: String,
        /// What reading it came to.
        fault: io::Error,
    },
}

/// The variable that a value refers to, if it is a reference and nothing else.
pub(crate) fn referenced(value: &str) -> Option<&str> {
    let inside = value.strip_prefix("{{")?.strip_suffix("}}")?.trim();
    let name = inside.strip_prefix("env")?.trim_start().strip_prefix('`')?.strip_suffix('`')?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then_some(name)
}

/// What a variable holds, byte for byte, be it in the variable itself or in a file.
pub(crate) fn look_up(variable: &str, variables: &Variables) -> Result<Zeroizing<String>, ReferenceFault> {
    if let Some(value) = variables(variable) {
        let value = value.into_string().map_err(|_| ReferenceFault::NotText(variable.to_owned()))?;
        return Ok(Zeroizing::new(value));
    }
    let path =
        variables(&format!("{variable}_FILE")).ok_or_else(|| ReferenceFault::Unset(variable.to_owned()))?;
    let value = fs::read_to_string(path)
        .map_err(|fault| ReferenceFault::Unreadable { variable: variable.to_owned(), fault })?;
    Ok(Zeroizing::new(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_the_whole_value_and_names_one_variable() {
        for value in ["{{ env `P2P_KEY` }}", "{{env `P2P_KEY`}}", "{{  env  `P2P_KEY`  }}"] {
            assert_eq!(referenced(value), Some("P2P_KEY"), "{value}");
        }
        for value in [
            "P2P_KEY",
            "`P2P_KEY`",
            "{{ P2P_KEY }}",
            "{{ env P2P_KEY }}",
            "{{ env `` }}",
            "{{ env `P2P KEY` }}",
            "{{ env `A` }}{{ env `B` }}",
            "tcp://{{ env `HOST` }}",
            "{{ env `P2P_KEY` }",
        ] {
            assert_eq!(referenced(value), None, "{value}");
        }
    }

    #[test]
    fn a_variable_goes_before_its_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "from the file").unwrap();
        let path = file.path().as_os_str().to_owned();
        let both = move |name: &str| match name {
            "BOTH" => Some(OsString::from("from the variable")),
            "BOTH_FILE" | "ONE_FILE" => Some(path.clone()),
            _ => None,
        };
        assert_eq!(look_up("BOTH", &both).unwrap().as_str(), "from the variable");
        assert_eq!(look_up("ONE", &both).unwrap().as_str(), "from the file");
        assert!(matches!(look_up("NONE", &both), Err(ReferenceFault::Unset(name)) if name == "NONE"));
    }
}
