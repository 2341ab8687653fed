//! The elliptic curves that a P2P key may lie on.

use std::fmt;
use std::str::FromStr;

use p256::pkcs8::{AssociatedOid, ObjectIdentifier};

use crate::KeyMaterialError;

/// A curve for P2P keys.
///
/// Named as its users name it: NIST curves as in FIPS 186, secp256k1 as in SEC 2.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Curve {
    /// NIST P-256, also secp256r1 and prime256v1. What threshold-signing nodes expect.
    P256,
    /// NIST P-384, also secp384r1.
    P384,
    /// The Koblitz curve of Bitcoin and Ethereum. AWS calls it `ECC_SECG_P256K1`.
    Secp256k1,
}

impl Curve {
    /// Every curve, in the order in which they are offered.
    pub const ALL: [Self; 3] = [Self::P256, Self::P384, Self::Secp256k1];

    /// The curve's name: `P-256`, `P-384` or `secp256k1`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::Secp256k1 => "secp256k1",
        }
    }

    /// Bytes in one coordinate of a point. For these curves it is also the bytes in a scalar.
    #[must_use]
    pub fn field_size(self) -> usize {
        match self {
            Self::P256 | Self::Secp256k1 => 32,
            Self::P384 => 48,
        }
    }

    /// The named curve's object identifier (RFC 5480, section 2.1.1.1; SEC 2, appendix A).
    pub(crate) fn oid(self) -> ObjectIdentifier {
        match self {
            Self::P256 => p256::NistP256::OID,
            Self::P384 => p384::NistP384::OID,
            Self::Secp256k1 => k256::Secp256k1::OID,
        }
    }

    /// The curve of an object identifier, if it is one of ours.
    pub(crate) fn from_oid(oid: ObjectIdentifier) -> Option<Self> {
        Self::ALL.into_iter().find(|curve| curve.oid() == oid)
    }
}

impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Curve {
    type Err = KeyMaterialError;

    /// Reads a name exactly as [`Curve::name`] writes it; aliases and other cases are refused.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|curve| curve.name() == name).ok_or(KeyMaterialError::UnknownCurve)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_as_its_curve() {
        for curve in Curve::ALL {
            assert_eq!(curve.to_string().parse::<Curve>().unwrap(), curve);
            assert_eq!(Curve::from_oid(curve.oid()), Some(curve));
        }
        let names = Curve::ALL.map(|curve| curve.to_string());
        assert_eq!(names, ["P-256", "P-384", "secp256k1"]);
    }

    #[test]
    fn aliases_are_refused() {
        for name in ["", "p-256", "P256", " P-256", "P-256\n", "SECP256K1", "prime256v1", "P-521"] {
            let refused = name.parse::<Curve>();
            assert!(matches!(refused, Err(KeyMaterialError::UnknownCurve)), "{name:?}");
        }
    }
}
