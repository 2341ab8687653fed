//! The public half of a node's P2P pair.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p256::pkcs8::SubjectPublicKeyInfoRef;
use sec1::ALGORITHM_OID;
use sec1::der::Decode as _;

use crate::{Curve, Fingerprint, KeyMaterialError, PublicKeyFault, arithmetic, der};

/// A public key: a point on its curve that is not the identity.
///
/// It has one DER document, and so one fingerprint: the `SubjectPublicKeyInfo` of RFC 5480 with
/// the curve named and the point uncompressed. Any other document of the same key is refused,
/// because two documents of one key would be two names for one node.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct P2pPublicKey {
    curve: Curve,
    /// `04 ‖ X ‖ Y` (SEC 1, section 2.3.3), checked to lie on the curve.
    point: Vec<u8>,
}

impl P2pPublicKey {
    /// Reads a DER `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    ///
    /// [`KeyMaterialError::InvalidPublicKey`] when the bytes are anything but the one document
    /// of a key: not DER, bytes after it, an unknown curve, a compressed point (RFC 5480 lets
    /// readers refuse it), a point off the curve.
    pub fn from_spki_der(document: &[u8]) -> Result<Self, KeyMaterialError> {
        let spki = SubjectPublicKeyInfoRef::from_der(document)
            .map_err(|_| KeyMaterialError::InvalidPublicKey(PublicKeyFault::Encoding))?;
        let curve = spki
            .algorithm
            .parameters_oid()
            .ok()
            .filter(|_| spki.algorithm.oid == ALGORITHM_OID)
            .and_then(Curve::from_oid)
            .ok_or(KeyMaterialError::InvalidPublicKey(PublicKeyFault::Curve))?;
        let point = spki
            .subject_public_key
            .as_bytes()
            .ok_or(KeyMaterialError::InvalidPublicKey(PublicKeyFault::Point))?;
        Self::from_uncompressed_point(curve, point)
    }

    /// Reads the standard, padded base64 of a DER `SubjectPublicKeyInfo`, in one line.
    ///
    /// # Errors
    ///
    /// As [`P2pPublicKey::from_spki_der`]; base64 that is not canonical is an encoding fault.
    pub fn from_spki_base64(text: &str) -> Result<Self, KeyMaterialError> {
        let document = STANDARD
            .decode(text)
            .map_err(|_| KeyMaterialError::InvalidPublicKey(PublicKeyFault::Encoding))?;
        Self::from_spki_der(&document)
    }

    /// Reads `04 ‖ X ‖ Y`, each coordinate as long as the curve's field.
    ///
    /// # Errors
    ///
    /// [`KeyMaterialError::InvalidPublicKey`] with [`PublicKeyFault::Point`] when it is another
    /// form of a point or not on the curve.
    pub fn from_uncompressed_point(curve: Curve, point: &[u8]) -> Result<Self, KeyMaterialError> {
        match arithmetic::uncompressed(curve, point) {
            Some(uncompressed) if uncompressed == point => Ok(Self { curve, point: uncompressed }),
            _ => Err(KeyMaterialError::InvalidPublicKey(PublicKeyFault::Point)),
        }
    }

    /// The public half of a scalar; none if it is no private key of this curve.
    pub(crate) fn of_scalar(curve: Curve, scalar: &[u8]) -> Option<Self> {
        let point = arithmetic::public_point(curve, scalar)?;
        Some(Self { curve, point })
    }

    /// Whether `point`, compressed or not, is this key.
    pub(crate) fn is_point(&self, point: &[u8]) -> bool {
        arithmetic::uncompressed(self.curve, point).is_some_and(|uncompressed| uncompressed == self.point)
    }

    /// The curve the key lies on.
    #[must_use]
    pub fn curve(&self) -> Curve {
        self.curve
    }

    /// The key's one document, a DER `SubjectPublicKeyInfo` (RFC 5480): 91 bytes on P-256, 120 on
    /// P-384, 88 on secp256k1.
    #[must_use]
    pub fn to_spki_der(&self) -> Vec<u8> {
        let algorithm = der::algorithm_identifier(self.curve);
        let public_key = der::bit_string(&self.point);
        der::element(der::SEQUENCE, &[&algorithm, &public_key]).to_vec()
    }

    /// [`P2pPublicKey::to_spki_der`] in standard, padded base64, in one line: 124 characters on
    /// P-256, 160 on P-384, 120 on secp256k1.
    #[must_use]
    pub fn to_spki_base64(&self) -> String {
        STANDARD.encode(self.to_spki_der())
    }

    /// `04 ‖ X ‖ Y`, left-padded: 65 bytes, 97 on P-384 (SEC 1, section 2.3.3).
    #[must_use]
    pub fn to_uncompressed_point(&self) -> Vec<u8> {
        self.point.clone()
    }

    /// `02 ‖ X` or `03 ‖ X`, by whether Y is even: 33 bytes, 49 on P-384 (SEC 1, section 2.3.3).
    #[must_use]
    pub fn to_compressed_point(&self) -> Vec<u8> {
        let (x, y) = self.coordinates().split_at(self.curve.field_size());
        let odd = y.last().is_some_and(|byte| byte & 1 == 1);
        [&[if odd { 0x03 } else { 0x02 }], x].concat()
    }

    /// The key's short name, over [`P2pPublicKey::to_spki_der`].
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self)
    }

    /// `X ‖ Y`, left-padded, without the leading 04.
    pub(crate) fn coordinates(&self) -> &[u8] {
        &self.point[1..]
    }
}
