//! What a deployed function does not start with in its environment.
//!
//! Whoever can set a function's variables without changing its code could send its traffic
//! elsewhere, have foreign certificates trusted or load foreign code. None of the variables that
//! do so has a use in a deployed function, so it refuses to start while one is set, by name. Values
//! are never repeated.

use std::ffi::{OsStr, OsString};
use std::fmt;

/// A variable that a deployed function does not start with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TamperedEnvironment {
    variable: String,
}

impl fmt::Display for TamperedEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the environment variable {} is set, which could send secrets elsewhere, log them or load foreign code; \
             remove it from the configuration of this process",
            self.variable
        )
    }
}

impl std::error::Error for TamperedEnvironment {}

/// What Lambda itself sets `LD_LIBRARY_PATH` to, entry by entry (Lambda Developer Guide, "Defined
/// runtime environment variables"). The system's own folders come first in it.
const LAMBDA_LIBRARY_PATH: &[&str] = &[
    "/var/lang/lib",
    "/lib64",
    "/usr/lib64",
    "/var/runtime",
    "/var/runtime/lib",
    "/var/task",
    "/var/task/lib",
    "/opt/lib",
];

/// Refuses variables that redirect endpoints, add proxies or roots, load code, or make an AWS SDK
/// log what it sends: `AWS_ENDPOINT_URL*`, `AWS_EC2_METADATA_SERVICE_ENDPOINT*`, `AWS_CONFIG_FILE`,
/// `AWS_SHARED_CREDENTIALS_FILE`, `AWS_PROFILE`, `*_PROXY` in either case, `AWS_CA_BUNDLE`, `SSL_CERT_*`,
/// `AWS_LAMBDA_EXEC_WRAPPER`, `LOG_SIGNABLE_BODY`, `LOG_SENSITIVE_BODIES` and `LD_*`. Of the last, the `LD_LIBRARY_PATH` that Lambda itself sets
/// is let pass, and nothing else in it.
///
/// # Errors
///
/// [`TamperedEnvironment`], which names the first such variable.
pub fn refuse_tampered_environment(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<(), TamperedEnvironment> {
    for (name, value) in variables {
        // A name that is not ASCII is none of these.
        let Some(name) = name.to_str() else { continue };
        let redirects = name.starts_with("AWS_ENDPOINT_URL")
            || name.to_ascii_uppercase().ends_with("_PROXY")
            || name.starts_with("AWS_EC2_METADATA_SERVICE_ENDPOINT")
            || matches!(name, "AWS_CONFIG_FILE" | "AWS_SHARED_CREDENTIALS_FILE" | "AWS_PROFILE")
            || name == "AWS_CA_BUNDLE"
            || name.starts_with("SSL_CERT_")
            || name == "AWS_LAMBDA_EXEC_WRAPPER";
        let prints = matches!(name, "LOG_SIGNABLE_BODY" | "LOG_SENSITIVE_BODIES");
        let loads = name.starts_with("LD_") && !(name == "LD_LIBRARY_PATH" && is_lambdas_own(&value));
        if redirects || prints || loads {
            return Err(TamperedEnvironment { variable: name.to_owned() });
        }
    }
    Ok(())
}

fn is_lambdas_own(path: &OsStr) -> bool {
    path.to_str().is_some_and(|path| path.split(':').all(|entry| LAMBDA_LIBRARY_PATH.contains(&entry)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str, value: &str) -> Option<String> {
        let variables = [("PATH", "/bin"), (name, value)].map(|(n, v)| (n.into(), v.into()));
        refuse_tampered_environment(variables).err().map(|fault| fault.to_string())
    }

    #[test]
    fn each_variable_is_refused_by_name_and_without_its_value() {
        for name in [
            "AWS_ENDPOINT_URL",
            "AWS_ENDPOINT_URL_KMS",
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "https_proxy",
            "ALL_PROXY",
            "NO_PROXY",
            "AWS_CA_BUNDLE",
            "AWS_CONFIG_FILE",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
            "AWS_PROFILE",
            "AWS_SHARED_CREDENTIALS_FILE",
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
            "LD_PRELOAD",
            "LD_AUDIT",
            "LD_LIBRARY_PATH",
            "AWS_LAMBDA_EXEC_WRAPPER",
            "LOG_SIGNABLE_BODY",
            "LOG_SENSITIVE_BODIES",
        ] {
            let message = refused(name, "/opt/evil-canary").unwrap_or_else(|| panic!("{name} passed"));
            assert!(message.contains(name) && !message.contains("canary"), "{message}");
        }
    }

    #[test]
    fn what_lambda_itself_sets_passes() {
        assert_eq!(refused("LD_LIBRARY_PATH", &LAMBDA_LIBRARY_PATH.join(":")), None);
        assert_eq!(refused("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001"), None);
        assert!(refused("LD_LIBRARY_PATH", "/lib64:/tmp/lib").is_some());
        assert!(refused("LD_LIBRARY_PATH", "/lib64:").is_some());
    }
}
