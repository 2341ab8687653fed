//! Why keyboot-onprem did not do what it was asked to, in one sentence.

use std::process::ExitCode;

use provisioning::ProvisionError;
use provisioning::ports::PortError;
use provisioning::properties::{PROPERTIES, PropertyFault};
use vault::VaultError;

use crate::chain::ChainError;
use crate::declaration::DeclarationFault;
use crate::signer::SignerError;

/// Why keyboot-onprem did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OnpremError {
    /// Its configuration is wrong, or what it was called with.
    #[error("the configuration is wrong: {0}")]
    Config(String),
    /// The declaration is wrong.
    #[error("the declaration is wrong: {0}")]
    Declaration(#[from] DeclarationFault),
    /// A rule forbids it; the sentence says which, and what is right.
    #[error("refused: {0}")]
    Refused(String),
    /// The server did not do what was asked.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A cluster was not brought to what is declared.
    #[error("{}", in_words_of_a_declaration(.0))]
    Provision(#[from] ProvisionError),
    /// A chain was not brought to what is declared.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// What was asked for takes other rights than this login has.
    #[error(
        "{0}; what is asked for restores, replaces or removes keys, and that is the rotator's: log in as `rotator` and \
         run it again"
    )]
    Rights(Box<OnpremError>),
    /// Web3Signer did not get what it needs, or does not sign as it has to.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// A file cannot be read.
    #[error("{path} cannot be read: {error}")]
    Read {
        /// The file.
        path: String,
        /// Why not.
        error: std::io::Error,
    },
    /// A file cannot be written.
    #[error("{path} cannot be written: {error}")]
    Write {
        /// The file.
        path: String,
        /// Why not.
        error: std::io::Error,
    },
    /// What was to be looked at could not be.
    #[error("it could not be looked at: {0}")]
    CannotLook(String),
}

impl OnpremError {
    /// How the process ends, as in sysexits.h: 75 where trying again later may help, 77 for a policy or a
    /// rule, 78 for the configuration or the declaration; 2 where `doctor` could not look.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code())
    }

    /// The same, where what was asked for `takes` a rotator's rights and was denied.
    #[must_use]
    pub fn of_rights(self, takes: bool) -> Self {
        let is_denied = matches!(
            &self,
            Self::Vault(VaultError::Denied { .. })
                | Self::Chain(ChainError::Vault(VaultError::Denied { .. }))
                | Self::Provision(ProvisionError::Port(PortError::Denied { .. }))
        );
        if takes && is_denied { Self::Rights(Box::new(self)) } else { self }
    }

    /// The same as a number.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Config(_)
            | Self::Signer(SignerError::Key(_) | SignerError::Folder { .. })
            | Self::Declaration(_)
            | Self::Provision(ProvisionError::Property(_)) => 78,
            Self::Refused(_)
            | Self::Vault(VaultError::Denied { .. })
            | Self::Chain(ChainError::Foreign { .. } | ChainError::Vault(VaultError::Denied { .. }))
            | Self::Provision(
                ProvisionError::Foreign { .. } | ProvisionError::Port(PortError::Denied { .. }),
            ) => 77,
            Self::Signer(
                SignerError::Web3Signer { .. }
                | SignerError::Unreachable { .. }
                | SignerError::Accounts { .. }
                | SignerError::Ended { .. },
            )
            | Self::Vault(
                VaultError::Unavailable { .. }
                | VaultError::Sealed
                | VaultError::Conflict { .. }
                | VaultError::Held { .. },
            )
            | Self::Chain(
                ChainError::Meanwhile
                | ChainError::Vault(VaultError::Unavailable { .. } | VaultError::Sealed),
            )
            | Self::Provision(
                ProvisionError::Busy { .. }
                | ProvisionError::OutOfTime
                | ProvisionError::Port(PortError::Unavailable { .. }),
            ) => 75,
            Self::CannotLook(_) => 2,
            Self::Rights(error) => error.code(),
            _ => 1,
        }
    }
}

/// What provisioning says, with the names that a declaration has for CloudFormation's.
fn in_words_of_a_declaration(error: &ProvisionError) -> String {
    let mut said = sentence(error);
    // Names of two words and more; in a sentence the others may be words.
    let names = PROPERTIES.iter().map(|rule| rule.name);
    let mut names: Vec<_> = names.filter(|name| *name == "Regenerate" || kebab(name).contains('-')).collect();
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    for name in names {
        said = said.replace(name, &kebab(name));
    }
    said
}

fn sentence(error: &ProvisionError) -> String {
    match error {
        ProvisionError::Property(PropertyFault { property, fault, allowed }) => {
            format!("{} {fault}: it must be {allowed}", kebab(property))
        }
        ProvisionError::Foreign { subject, owner } => format!(
            "{subject} belongs to {owner}: nothing of it was touched; set `adopt-from` to that owner to take it over, \
             or choose another name or namespace"
        ),
        ProvisionError::NotRotated { subject, property } => format!(
            "{subject} is not to be rotated: nothing was changed; set `{}` in the declaration and provision it first",
            kebab(property)
        ),
        ProvisionError::NotInProgress(shown) => format!(
            "nothing more was changed: this run is not the one at work any more (what stands there says {shown})"
        ),
        ProvisionError::NotPinned => {
            "nothing was changed: it belongs to the declaration of another owner".to_owned()
        }
        other => other.to_string(),
    }
}

/// A property's name as a declaration spells it: `RotateApiKeysEvery` is `rotate-api-keys-every`.
fn kebab(property: &str) -> String {
    match property {
        "Cluster" => "name".to_owned(),
        "P2pCurve" => "curve".to_owned(),
        other => {
            let mut text = String::new();
            for each in other.chars() {
                if each.is_ascii_uppercase() && !text.is_empty() {
                    text.push('-');
                }
                text.push(each.to_ascii_lowercase());
            }
            text
        }
    }
}
