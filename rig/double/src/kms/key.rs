//! A key: what it is for, what state it is in, and who may use it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::access::Policy;
use crate::error::ApiError;
use crate::kms::material::Material;
use crate::place::Place;

/// A customer managed key.
#[derive(Clone, Debug)]
pub struct Key {
    /// Where it is.
    pub place: Place,
    /// Its id.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// What it is.
    pub spec: KeySpec,
    /// What it is for.
    pub usage: KeyUsage,
    /// Whether it can be used.
    pub state: KeyState,
    /// The key policy.
    pub policy: Policy,
    /// Whether it can be replicated to other Regions.
    pub multi_region: bool,
    /// What it says of itself.
    pub description: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it goes, if it is to.
    pub deletion_date: Option<Timestamp>,
    pub(crate) material: Material,
}

/// A key that is about to be made.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// What it is.
    pub spec: KeySpec,
    /// The key policy, a JSON document.
    pub policy: String,
    /// Whether it can be replicated to other Regions.
    pub multi_region: bool,
    /// What it says of itself.
    pub description: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl NewKey {
    /// A key with nothing special about it.
    pub fn new(spec: KeySpec, policy: impl Into<String>) -> Self {
        Self {
            spec,
            policy: policy.into(),
            multi_region: false,
            description: String::new(),
            tags: BTreeMap::new(),
        }
    }
}

/// The kinds of keys that the double can make.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeySpec {
    /// AES-256: encrypts.
    SymmetricDefault,
    /// ECDSA on P-256 with SHA-256: signs.
    EccNistP256,
    /// ECDSA on P-384 with SHA-384: signs.
    EccNistP384,
    /// ECDSA on secp256k1 with SHA-256: signs.
    EccSecgP256k1,
}

impl KeySpec {
    /// The name in the API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SymmetricDefault => "SYMMETRIC_DEFAULT",
            Self::EccNistP256 => "ECC_NIST_P256",
            Self::EccNistP384 => "ECC_NIST_P384",
            Self::EccSecgP256k1 => "ECC_SECG_P256K1",
        }
    }

    /// The key spec of a name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let all = [Self::SymmetricDefault, Self::EccNistP256, Self::EccNistP384, Self::EccSecgP256k1];
        all.into_iter().find(|spec| spec.name() == name)
    }

    /// The one algorithm a key signs with (KMS Developer Guide, "Key spec reference").
    pub(crate) fn signing_algorithm(self) -> &'static str {
        if self == Self::EccNistP384 { "ECDSA_SHA_384" } else { "ECDSA_SHA_256" }
    }
}

/// What a key is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyUsage {
    /// To encrypt and to decrypt.
    EncryptDecrypt,
    /// To sign and to verify.
    SignVerify,
}

impl KeyUsage {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::EncryptDecrypt => "ENCRYPT_DECRYPT",
            Self::SignVerify => "SIGN_VERIFY",
        }
    }
}

/// Whether a key can be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyState {
    /// It can.
    Enabled,
    /// It cannot for now.
    Disabled,
    /// It waits to be deleted.
    PendingDeletion,
}

impl KeyState {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Enabled => "Enabled",
            Self::Disabled => "Disabled",
            Self::PendingDeletion => "PendingDeletion",
        }
    }
}

impl Key {
    pub(crate) fn make(
        place: Place,
        id: String,
        arn: String,
        usage: KeyUsage,
        new: NewKey,
        policy: Policy,
        created: Timestamp,
    ) -> Self {
        Self {
            place,
            id,
            arn,
            spec: new.spec,
            usage,
            state: KeyState::Enabled,
            policy,
            multi_region: new.multi_region,
            description: new.description,
            tags: new.tags,
            created,
            deletion_date: None,
            material: Material::make(new.spec),
        }
    }

    /// Refuses a key that is not enabled (KMS Developer Guide, "Key states of AWS KMS keys").
    pub(crate) fn usable(&self) -> Result<(), ApiError> {
        match self.state {
            KeyState::Enabled => Ok(()),
            KeyState::Disabled => {
                Err(ApiError::new("DisabledException", format!("{} is disabled.", self.arn)))
            }
            KeyState::PendingDeletion => {
                Err(ApiError::new("KMSInvalidStateException", format!("{} is pending deletion.", self.arn)))
            }
        }
    }

    /// Refuses a key that is for something else (KMS API Reference, `InvalidKeyUsageException`).
    pub(crate) fn usable_for(&self, usage: KeyUsage, operation: &str) -> Result<(), ApiError> {
        self.usable()?;
        if self.usage == usage {
            return Ok(());
        }
        let said =
            format!("{} key usage is {} which is not valid for {operation}.", self.arn, self.usage.name());
        Err(ApiError::new("InvalidKeyUsageException", said))
    }
}
