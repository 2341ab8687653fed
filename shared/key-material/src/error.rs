//! What can go wrong with key material, sorted by what the caller does next.
//!
//! No variant and no message carries a value that was being read: an error is logged, and what
//! was being read may be a secret or a secret with a typing mistake in it.

use crate::Curve;

/// Why key material was not made, read or converted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyMaterialError {
    /// The operating system gave no random bytes. Nothing was made: fail, and let the whole
    /// operation be tried again. Never go on with another generator.
    #[error("the operating system's random number generator gave no bytes")]
    RandomUnavailable,

    /// A new pair could not verify its own signature. It must not be used or stored, and the
    /// machine that computed it should not be trusted to make another.
    #[error("a new key pair failed its proof: what it signed did not verify")]
    Unproven,

    /// These bytes are no private key that we take. Get the key again from where it is kept.
    #[error("not an acceptable private key: {0}")]
    InvalidPrivateKey(PrivateKeyFault),

    /// These bytes are no public key that we take. Ask whoever published it.
    #[error("not an acceptable public key: {0}")]
    InvalidPublicKey(PublicKeyFault),

    /// This text is not an API key, or no longer one. When scanning for leaked keys: go on.
    #[error("not an API key: {0}")]
    InvalidApiKey(ApiKeyFault),

    /// This text is not the hash of an API key.
    #[error("not an API key hash: 44 characters of standard, padded base64 are expected")]
    InvalidApiKeyHash,

    /// This text is no share-encryption password. Get it again from where it is kept.
    #[error("not a share-encryption password: 43 characters of unpadded base64url are expected")]
    InvalidSharePassword,

    /// This text is not a fingerprint.
    #[error("not a fingerprint: `sha256:` and 64 lower-case hexadecimal digits are expected")]
    InvalidFingerprint,

    /// This text is not an Ethereum address in its checksummed form.
    #[error("not an Ethereum address: `0x` and 40 digits in EIP-55 case are expected")]
    InvalidEthereumAddress,

    /// This host or port cannot stand in a URL.
    #[error("not an endpoint: a DNS name or an IP address, and a port from 1, are expected")]
    InvalidEndpoint,

    /// This is no curve's name. Correct the configuration.
    #[error("not a curve: P-256, P-384 or secp256k1 are known")]
    UnknownCurve,

    /// The conversion exists on another curve only. Correct the configuration, or do not ask.
    #[error("this needs a key on {needed}, and the key is on {found}")]
    WrongCurve {
        /// The curve on which the conversion is defined.
        needed: Curve,
        /// The curve of the key that was given.
        found: Curve,
    },
}

/// What is wrong with bytes that should be a private key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PrivateKeyFault {
    /// Not the DER that was asked for, more than it, or with parts that this crate does not read.
    #[error("the encoding is not the expected DER, or something follows it")]
    Encoding,
    /// No elliptic-curve key, a curve that is not known, or no curve named at all.
    #[error("the curve is not named, or not one of P-256, P-384 and secp256k1")]
    Curve,
    /// A scalar that is not exactly as long as the curve's field.
    #[error("the scalar is not as long as the curve's field")]
    Length,
    /// A scalar that is zero, or not below the curve's order.
    #[error("the scalar is zero or not below the curve's order")]
    Range,
    /// The public key that travels with the private key belongs to another.
    #[error("the public key inside belongs to another private key")]
    PublicKey,
}

/// What is wrong with bytes that should be a public key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PublicKeyFault {
    /// Not the one DER (or base64) form of a public key, or more than it.
    #[error("the encoding is not canonical, or something follows it")]
    Encoding,
    /// No elliptic-curve key, a curve that is not known, or no curve named at all.
    #[error("the curve is not named, or not one of P-256, P-384 and secp256k1")]
    Curve,
    /// Not the uncompressed form of a point, or of one that is not on the curve.
    #[error("the point is compressed, of the wrong length, or not on the curve")]
    Point,
}

/// What is wrong with text that should be an API key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ApiKeyFault {
    /// It begins with no known prefix.
    #[error("no known prefix")]
    Prefix,
    /// Too short or too long.
    #[error("the wrong length")]
    Length,
    /// A character outside `0-9A-Za-z` behind the prefix.
    #[error("a character that is not a letter or a digit")]
    Alphabet,
    /// The checksum at its end is another text's.
    #[error("the checksum does not match")]
    Checksum,
    /// The checksum holds, but the digits stand for more than 32 bytes: it was not made here.
    #[error("the digits stand for more than 32 bytes")]
    Range,
}
