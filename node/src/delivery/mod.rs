//! How secrets reach the command: its environment, sealed memory files, or private files on a tmpfs.
//!
//! None of them is on a disk, as long as nothing is swapped: [`crate::host`] sees to that. Who else on the
//! host can read each is told in `node/systemd/README.md`.

mod memory;
mod private;

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::PathBuf;

use nix::unistd::{Gid, Uid};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::formats::Handed;
use private::PrivateFiles;

/// How secrets reach the command.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(tag = "how", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Delivery {
    /// `VARIABLE` is the value.
    #[default]
    Environment,
    /// `VARIABLE_FILE`, or what the program calls it, is the path of a sealed file in memory, which the command inherits open.
    MemoryFile,
    /// The same of a file that only the command's user can read.
    PrivateFile {
        /// Where: a directory on a tmpfs or ramfs, of root or of the command's user, closed to all others.
        directory: PathBuf,
    },
}

/// The secrets cannot be handed over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeliveryError {
    /// The place for private files is not fit for secrets.
    #[error("{} is no place for secrets: {fault}", path.display())]
    Unfit {
        /// The directory, or what is in a file's place.
        path: PathBuf,
        /// What is wrong, and what is allowed.
        fault: String,
    },
    /// A private file could not be written.
    #[error("{} cannot be written: {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// A memory file could not be made.
    #[error("no memory file can be made for {variable}: {error}")]
    Memory {
        /// The variable whose value it was for.
        variable: String,
        /// Why not.
        error: io::Error,
    },
}

/// What the command's environment gets, and what has to stay until the command is there.
///
/// Dropped before that, it takes everything back: values are wiped, memory files closed and private files
/// removed, as far as this process still may. A successful exec(2) drops nothing.
#[derive(Default)]
pub struct Delivered {
    variables: Vec<(String, Zeroizing<String>)>,
    memory_files: Vec<OwnedFd>,
    private_files: Option<PrivateFiles>,
}

impl Delivery {
    /// Hands secrets over to a command that runs as `owner`, or as this process's user where there is none.
    ///
    /// # Errors
    ///
    /// [`DeliveryError`]; nothing is left behind then.
    pub fn deliver(&self, handed: &[Handed], owner: Option<(Uid, Gid)>) -> Result<Delivered, DeliveryError> {
        let mut delivered = Delivered::default();
        match self {
            Self::Environment => {
                // EXPOSE: to the command's environment, as configured.
                let variable = |secret: &Handed| {
                    (secret.variable.to_string(), Zeroizing::new(secret.expose().to_owned()))
                };
                delivered.variables = handed.iter().map(variable).collect();
            }
            Self::MemoryFile => {
                for secret in handed {
                    let fault =
                        |error| DeliveryError::Memory { variable: secret.variable.to_string(), error };
                    let file = memory::sealed(secret, owner).map_err(fault)?;
                    delivered.point(secret, format!("/proc/self/fd/{}", file.as_raw_fd()));
                    delivered.memory_files.push(file);
                }
            }
            Self::PrivateFile { directory } => {
                let files = PrivateFiles::write(directory, handed, owner)?;
                for (secret, path) in handed.iter().zip(files.paths()) {
                    delivered.point(secret, path);
                }
                delivered.private_files = Some(files);
            }
        }
        Ok(delivered)
    }
}

impl Delivered {
    /// The variables that the command gets.
    ///
    /// # Security
    ///
    /// For [`Delivery::Environment`] these are the values themselves, otherwise paths.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn point(&mut self, secret: &Handed, path: String) {
        self.variables.push((secret.variable_of_file(), Zeroizing::new(path)));
    }
}

impl fmt::Debug for Delivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.variables().map(|(name, _)| name).collect();
        f.debug_struct("Delivered").field("variables", &names).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is handed over in these tests.
    pub(super) fn handed() -> Vec<Handed> {
        let secret =
            |variable: &'static str, value: &str| Handed::new(variable, Zeroizing::new(value.to_owned()));
        vec![secret("NODE_KEY", "canary-key"), secret("API_TOKEN", "canary-token")]
    }

    #[test]
    fn a_configuration_names_it() {
        let read = |text: &str| toml::from_str::<Delivery>(text).map_err(|error| error.to_string());
        assert_eq!(read("how = \"environment\""), Ok(Delivery::Environment));
        assert_eq!(read("how = \"memory-file\""), Ok(Delivery::MemoryFile));
        let private = Delivery::PrivateFile { directory: "/run/keyboot-node/tsm".into() };
        assert_eq!(read("how = \"private-file\"\ndirectory = \"/run/keyboot-node/tsm\""), Ok(private));
        assert_eq!(Delivery::default(), Delivery::Environment);
        assert!(read("how = \"file\"").unwrap_err().contains("`private-file`"));
        assert!(read("how = \"private-file\"").unwrap_err().contains("directory"));
        assert!(read("how = \"private-file\"\ndirectory = \"/a\"\nmode = 1").unwrap_err().contains("mode"));
    }

    #[test]
    fn an_environment_holds_the_values_and_does_not_show_them() {
        let delivered = Delivery::Environment.deliver(&handed(), None).unwrap();
        let variables: Vec<_> = delivered.variables().collect();
        assert_eq!(variables, [("NODE_KEY", "canary-key"), ("API_TOKEN", "canary-token")]);
        let shown = format!("{delivered:?}");
        assert!(shown.contains("NODE_KEY") && !shown.contains("canary"), "{shown}");
    }
}
