//! What is inside a key: real curves, and nothing for a key that encrypts.

use p256::elliptic_curve::Generate as _;
use rand::rngs::SysRng;
use sha2::{Digest as _, Sha256, Sha384};

use crate::kms::KeySpec;

/// The secret part of a key or of a pair.
#[derive(Clone, Debug)]
pub(crate) enum Material {
    /// Ciphertexts are handles, so nothing is needed.
    Symmetric,
    P256(p256::NonZeroScalar),
    P384(p384::NonZeroScalar),
    K256(k256::NonZeroScalar),
}

/// A curve's crate was asked for something that its scalars and points do not give.
const SOUND: &str = "a scalar that was drawn makes a key";

impl Material {
    /// Draws a key.
    pub(crate) fn make(spec: KeySpec) -> Self {
        const RANDOM: &str = "the operating system has random numbers";
        match spec {
            KeySpec::SymmetricDefault => Self::Symmetric,
            KeySpec::EccNistP256 => {
                Self::P256(p256::NonZeroScalar::try_generate_from_rng(&mut SysRng).expect(RANDOM))
            }
            KeySpec::EccNistP384 => {
                Self::P384(p384::NonZeroScalar::try_generate_from_rng(&mut SysRng).expect(RANDOM))
            }
            KeySpec::EccSecgP256k1 => {
                Self::K256(k256::NonZeroScalar::try_generate_from_rng(&mut SysRng).expect(RANDOM))
            }
        }
    }

    /// The digest that this key signs.
    pub(crate) fn digest(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::P384(_) => Sha384::digest(message).to_vec(),
            _ => Sha256::digest(message).to_vec(),
        }
    }
}

/// The same for each curve: the crates agree in names and shapes.
macro_rules! for_each_curve {
    ($($variant:ident, $curve:ident);+) => {
        impl Material {
            /// The public half, SPKI in DER.
            pub(crate) fn spki(&self) -> Option<Vec<u8>> {
                match self {
                    Self::Symmetric => None,
                    $(Self::$variant(scalar) => {
                        use $curve::pkcs8::EncodePublicKey as _;
                        let public = $curve::SecretKey::from(scalar).public_key();
                        Some(public.to_public_key_der().expect(SOUND).into_vec())
                    })+
                }
            }

            /// The private half, PKCS#8 in DER.
            pub(crate) fn pkcs8(&self) -> Option<Vec<u8>> {
                match self {
                    Self::Symmetric => None,
                    $(Self::$variant(scalar) => {
                        use $curve::pkcs8::EncodePrivateKey as _;
                        let secret = $curve::SecretKey::from(scalar);
                        Some(secret.to_pkcs8_der().expect(SOUND).as_bytes().to_vec())
                    })+
                }
            }

            /// Signs a digest; the signature is DER.
            pub(crate) fn sign(&self, digest: &[u8]) -> Option<Vec<u8>> {
                match self {
                    Self::Symmetric => None,
                    $(Self::$variant(scalar) => {
                        use $curve::ecdsa::signature::hazmat::PrehashSigner as _;
                        let key = $curve::ecdsa::SigningKey::from($curve::SecretKey::from(scalar));
                        let signature: $curve::ecdsa::Signature = key.sign_prehash(digest).ok()?;
                        Some(signature.to_der().as_bytes().to_vec())
                    })+
                }
            }

            /// Whether a signature in DER is this key's over a digest.
            pub(crate) fn verifies(&self, digest: &[u8], signature: &[u8]) -> bool {
                match self {
                    Self::Symmetric => false,
                    $(Self::$variant(scalar) => {
                        use $curve::ecdsa::signature::hazmat::PrehashVerifier as _;
                        let public = $curve::SecretKey::from(scalar).public_key();
                        let key = $curve::ecdsa::VerifyingKey::from(public);
                        $curve::ecdsa::Signature::from_der(signature)
                            .is_ok_and(|signature| key.verify_prehash(digest, &signature).is_ok())
                    })+
                }
            }
        }
    };
}

for_each_curve!(P256, p256; P384, p384; K256, k256);
