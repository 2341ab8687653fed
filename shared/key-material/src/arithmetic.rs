//! The few operations that differ from curve to curve. The only module that names a curve's crate
//! for its arithmetic; every other sees a [`Curve`] and fixed-width bytes.

use rand::TryCryptoRng;
use zeroize::Zeroizing;

use crate::Curve;

/// Draws a scalar from `rng`, uniformly from 1 to the curve's order less 1, left-padded.
pub(crate) fn make_scalar<R: TryCryptoRng>(
    curve: Curve,
    rng: &mut R,
) -> Result<Zeroizing<Vec<u8>>, R::Error> {
    match curve {
        Curve::P256 => nist_p256::make_scalar(rng),
        Curve::P384 => nist_p384::make_scalar(rng),
        Curve::Secp256k1 => secp256k1::make_scalar(rng),
    }
}

/// The uncompressed public point of a scalar; none if the scalar is too short, too long, zero or
/// not below the curve's order.
pub(crate) fn public_point(curve: Curve, scalar: &[u8]) -> Option<Vec<u8>> {
    match curve {
        Curve::P256 => nist_p256::public_point(scalar),
        Curve::P384 => nist_p384::public_point(scalar),
        Curve::Secp256k1 => secp256k1::public_point(scalar),
    }
}

/// A point in its uncompressed form, from either form; none if it is not on the curve, or is the
/// identity.
pub(crate) fn uncompressed(curve: Curve, point: &[u8]) -> Option<Vec<u8>> {
    match curve {
        Curve::P256 => nist_p256::uncompressed(point),
        Curve::P384 => nist_p384::uncompressed(point),
        Curve::Secp256k1 => secp256k1::uncompressed(point),
    }
}

/// Whether what the scalar signs verifies under the public key in `spki`.
///
/// ECDSA with the curve's own digest (SHA-256, or SHA-384 on P-384). The public key is read by
/// the curve's crate from the document that will be published, so that the document is proven
/// with it.
pub(crate) fn proves(curve: Curve, scalar: &[u8], spki: &[u8], challenge: &[u8]) -> bool {
    match curve {
        Curve::P256 => nist_p256::proves(scalar, spki, challenge),
        Curve::P384 => nist_p384::proves(scalar, spki, challenge),
        Curve::Secp256k1 => secp256k1::proves(scalar, spki, challenge),
    }
}

/// The operations on one curve. The curve crates agree in names and shapes; a generic function
/// over all of them would need a page of bounds on associated types instead.
macro_rules! operations {
    ($module:ident, $curve:ident) => {
        mod $module {
            use rand::TryCryptoRng;
            use $curve::ecdsa::signature::{Signer as _, Verifier as _};
            use $curve::ecdsa::{Signature, SigningKey, VerifyingKey};
            use $curve::elliptic_curve::Generate as _;
            use $curve::elliptic_curve::sec1::ToSec1Point as _;
            use $curve::pkcs8::DecodePublicKey as _;
            use $curve::{FieldBytes, NonZeroScalar, PublicKey, SecretKey};
            use zeroize::{Zeroize as _, Zeroizing};

            pub(super) fn make_scalar<R: TryCryptoRng>(rng: &mut R) -> Result<Zeroizing<Vec<u8>>, R::Error> {
                // Not by `SecretKey`'s own generator, which in elliptic-curve 0.14 draws from
                // zero: this one draws again on zero, as it does on what the order rejects.
                let mut scalar = NonZeroScalar::try_generate_from_rng(rng)?;
                let bytes = Zeroizing::new(FieldBytes::from(&scalar));
                scalar.zeroize();
                Ok(Zeroizing::new(bytes.to_vec()))
            }

            pub(super) fn public_point(scalar: &[u8]) -> Option<Vec<u8>> {
                let point = secret_key(scalar)?.public_key().to_sec1_point(false);
                Some(point.as_bytes().to_vec())
            }

            pub(super) fn uncompressed(point: &[u8]) -> Option<Vec<u8>> {
                let point = PublicKey::from_sec1_bytes(point).ok()?.to_sec1_point(false);
                Some(point.as_bytes().to_vec())
            }

            pub(super) fn proves(scalar: &[u8], spki: &[u8], challenge: &[u8]) -> bool {
                let Some(signing_key) = secret_key(scalar).map(SigningKey::from) else {
                    return false;
                };
                let Ok(verifying_key) = VerifyingKey::from_public_key_der(spki) else {
                    return false;
                };
                let signature: Result<Signature, _> = signing_key.try_sign(challenge);
                signature.is_ok_and(|signature| verifying_key.verify(challenge, &signature).is_ok())
            }

            /// Exactly as long as the field: the crate would pad a shorter scalar in silence.
            fn secret_key(scalar: &[u8]) -> Option<SecretKey> {
                SecretKey::from_bytes(<&FieldBytes>::try_from(scalar).ok()?).ok()
            }
        }
    };
}

operations!(nist_p256, p256);
operations!(nist_p384, p384);
operations!(secp256k1, k256);
