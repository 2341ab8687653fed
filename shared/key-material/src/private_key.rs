//! The private half of a node's P2P pair.

use std::fmt;

use p256::pkcs8::PrivateKeyInfoRef;
use rand::TryCryptoRng;
use rand::rngs::SysRng;
use sec1::der::{Decode as _, Encode as _};
use sec1::{ALGORITHM_OID, EcParameters, EcPrivateKey};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::{Curve, KeyMaterialError, P2pPublicKey, PrivateKeyFault, arithmetic, der, random, text};

/// A P2P private key: a scalar from 1 to its curve's order less 1.
///
/// The scalar is overwritten when the key is dropped. The key cannot be cloned or shown:
///
/// ```compile_fail,E0277
/// fn needs_clone<T: Clone>() {}
/// needs_clone::<key_material::P2pPrivateKey>();
/// ```
///
/// ```compile_fail,E0277
/// fn needs_display<T: std::fmt::Display>() {}
/// needs_display::<key_material::P2pPrivateKey>();
/// ```
pub struct P2pPrivateKey {
    /// As long as the curve's field, big-endian, in range.
    scalar: Zeroizing<Vec<u8>>,
    /// Computed from the scalar, never taken from outside.
    public_key: P2pPublicKey,
}

impl P2pPrivateKey {
    /// Makes a new pair from the operating system's random numbers, and proves it.
    ///
    /// Proven means: the private half signed a random challenge, and the signature verified under
    /// the public half as read from its own [`P2pPublicKey::to_spki_der`]. A pair that fails is
    /// dropped here.
    ///
    /// # Errors
    ///
    /// [`KeyMaterialError::RandomUnavailable`] when the operating system has no random numbers,
    /// [`KeyMaterialError::Unproven`] when the proof fails.
    pub fn make(curve: Curve) -> Result<Self, KeyMaterialError> {
        let key = Self::make_with(curve, &mut SysRng)?;
        key.prove()?;
        Ok(key)
    }

    /// Reads a DER `PrivateKeyInfo` (PKCS#8, RFC 5958), which is also how KMS writes a key.
    ///
    /// The key inside may or may not name its curve and carry its public half, as both are
    /// optional there; what is there must agree.
    ///
    /// # Errors
    ///
    /// [`KeyMaterialError::InvalidPrivateKey`], with a [`PrivateKeyFault`] that says what is
    /// wrong. Attributes and extensions are refused: nothing travels with a key unread.
    pub fn from_pkcs8_der(document: &[u8]) -> Result<Self, KeyMaterialError> {
        let info = PrivateKeyInfoRef::from_der(document)
            .map_err(|_| KeyMaterialError::InvalidPrivateKey(PrivateKeyFault::Encoding))?;
        let curve = info
            .algorithm
            .parameters_oid()
            .ok()
            .filter(|_| info.algorithm.oid == ALGORITHM_OID)
            .and_then(Curve::from_oid)
            .ok_or(KeyMaterialError::InvalidPrivateKey(PrivateKeyFault::Curve))?;

        // The reader skips attributes and extensions. Written again without them, the document
        // is as long as it was only if there were none.
        let length = info.encoded_len().ok().and_then(|length| usize::try_from(length).ok());
        if length != Some(document.len()) {
            return Err(KeyMaterialError::InvalidPrivateKey(PrivateKeyFault::Encoding));
        }

        let inner = EcPrivateKey::from_der(info.private_key.as_bytes())
            .map_err(|_| KeyMaterialError::InvalidPrivateKey(PrivateKeyFault::Encoding))?;
        if inner.parameters.is_some_and(|parameters| named_curve(parameters) != Some(curve)) {
            return Err(KeyMaterialError::InvalidPrivateKey(PrivateKeyFault::Curve));
        }

        let key = Self::from_scalar(curve, inner.private_key)?;
        if let Some(outer) = info.public_key {
            key.check_public_key(outer.as_bytes().unwrap_or_default())?;
        }
        if let Some(point) = inner.public_key {
            key.check_public_key(point)?;
        }
        Ok(key)
    }

    /// Reads what [`P2pPrivateKey::expose_pkcs8_base64`] writes. The bytes between are overwritten.
    ///
    /// # Errors
    ///
    /// As [`P2pPrivateKey::from_pkcs8_der`]; base64 that is not canonical is an encoding fault.
    pub fn from_pkcs8_base64(text: &str) -> Result<Self, KeyMaterialError> {
        let document = text::read_secret_base64(text)
            .ok_or(KeyMaterialError::InvalidPrivateKey(PrivateKeyFault::Encoding))?;
        Self::from_pkcs8_der(&document)
    }

    /// Reads a DER `ECPrivateKey` (SEC 1, appendix C.4; RFC 5915). It must name its curve, which
    /// nothing else could tell; a public half, if there is one, must be the key's.
    ///
    /// # Errors
    ///
    /// [`KeyMaterialError::InvalidPrivateKey`], with a [`PrivateKeyFault`] that says what is
    /// wrong.
    pub fn from_sec1_der(document: &[u8]) -> Result<Self, KeyMaterialError> {
        let inner = EcPrivateKey::from_der(document)
            .map_err(|_| KeyMaterialError::InvalidPrivateKey(PrivateKeyFault::Encoding))?;
        let curve = inner
            .parameters
            .and_then(named_curve)
            .ok_or(KeyMaterialError::InvalidPrivateKey(PrivateKeyFault::Curve))?;

        let key = Self::from_scalar(curve, inner.private_key)?;
        if let Some(point) = inner.public_key {
            key.check_public_key(point)?;
        }
        Ok(key)
    }

    /// Takes a bare scalar, big-endian and exactly as long as the curve's field.
    ///
    /// # Errors
    ///
    /// [`KeyMaterialError::InvalidPrivateKey`] with [`PrivateKeyFault::Length`] when it is shorter
    /// or longer (a lost zero byte is refused, not guessed), with [`PrivateKeyFault::Range`] when
    /// it is zero or not below the curve's order.
    pub fn from_scalar(curve: Curve, scalar: &[u8]) -> Result<Self, KeyMaterialError> {
        if scalar.len() != curve.field_size() {
            return Err(KeyMaterialError::InvalidPrivateKey(PrivateKeyFault::Length));
        }
        Self::from_padded(curve, Zeroizing::new(scalar.to_vec()))
    }

    /// The curve the key lies on.
    #[must_use]
    pub fn curve(&self) -> Curve {
        self.public_key.curve()
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> P2pPublicKey {
        self.public_key.clone()
    }

    /// Whether `public_key` is this key's public half.
    #[must_use]
    pub fn matches(&self, public_key: &P2pPublicKey) -> bool {
        self.public_key == *public_key
    }

    /// The key as a DER `PrivateKeyInfo` (PKCS#8, RFC 5958), the form in which keys are kept: 138
    /// bytes on P-256, 185 on P-384, 135 on secp256k1.
    ///
    /// The curve is named once, in the algorithm, and the public half is inside: byte for byte
    /// what `openssl pkcs8 -topk8 -nocrypt` writes.
    ///
    /// # Security
    ///
    /// This is the whole private key, unencrypted. Give it to the store that keeps it, or to the
    /// reader it was made for, and nowhere else. The buffer is overwritten when it is dropped;
    /// copies made of it are not.
    #[must_use]
    pub fn expose_pkcs8_der(&self) -> Zeroizing<Vec<u8>> {
        let version = der::element(der::INTEGER, &[&[0]]);
        let algorithm = der::algorithm_identifier(self.curve());
        // RFC 5915 asks for the curve here only where it is not known from around it.
        let inner = self.ec_private_key(None);
        let private_key = der::element(der::OCTET_STRING, &[&inner]);
        der::element(der::SEQUENCE, &[&version, &algorithm, &private_key])
    }

    /// The key as a DER `ECPrivateKey` (SEC 1, appendix C.4; RFC 5915) with both optional parts,
    /// curve and public half: 121 bytes on P-256, 167 on P-384, 118 on secp256k1.
    ///
    /// Threshold-signing nodes read this form, and OpenSSL refuses it without the curve.
    ///
    /// # Security
    ///
    /// This is the whole private key, unencrypted. Give it to the reader it was made for, and
    /// nowhere else. The buffer is overwritten when it is dropped; copies made of it are not.
    #[must_use]
    pub fn expose_sec1_der(&self) -> Zeroizing<Vec<u8>> {
        let named_curve = der::object_identifier(self.curve().oid());
        let parameters = der::element(der::CONTEXT_0, &[&named_curve]);
        self.ec_private_key(Some(&parameters))
    }

    /// [`P2pPrivateKey::expose_pkcs8_der`] in standard, padded base64, in one line.
    ///
    /// # Security
    ///
    /// This is the whole private key, unencrypted: see [`P2pPrivateKey::expose_pkcs8_der`].
    #[must_use]
    pub fn expose_pkcs8_base64(&self) -> Zeroizing<String> {
        text::secret_base64(&self.expose_pkcs8_der())
    }

    /// [`P2pPrivateKey::expose_sec1_der`] in standard, padded base64, in one line: 164 characters
    /// on P-256.
    ///
    /// # Security
    ///
    /// This is the whole private key, unencrypted: see [`P2pPrivateKey::expose_sec1_der`].
    #[must_use]
    pub fn expose_sec1_base64(&self) -> Zeroizing<String> {
        text::secret_base64(&self.expose_sec1_der())
    }

    /// The bare scalar, big-endian, left-padded to the curve's field: 32 bytes, 48 on P-384.
    ///
    /// # Security
    ///
    /// This is the whole private key, unencrypted. Give it to the reader it was made for, and
    /// nowhere else. The buffer is overwritten when it is dropped; copies made of it are not.
    #[must_use]
    pub fn expose_scalar(&self) -> Zeroizing<Vec<u8>> {
        self.scalar.clone()
    }

    /// [`P2pPrivateKey::expose_scalar`] in lower-case hexadecimal, left-padded, no `0x` and no
    /// newline: 64 digits, 96 on P-384. `geth`, `op-node` and `Web3Signer` read this.
    ///
    /// # Security
    ///
    /// This is the whole private key, unencrypted: see [`P2pPrivateKey::expose_scalar`].
    #[must_use]
    pub fn expose_scalar_hex(&self) -> Zeroizing<String> {
        text::secret_hex(&self.scalar)
    }

    fn make_with<R: TryCryptoRng>(curve: Curve, rng: &mut R) -> Result<Self, KeyMaterialError> {
        let scalar = arithmetic::make_scalar(curve, rng).map_err(|_| KeyMaterialError::RandomUnavailable)?;
        Self::from_padded(curve, scalar)
    }

    fn from_padded(curve: Curve, scalar: Zeroizing<Vec<u8>>) -> Result<Self, KeyMaterialError> {
        let public_key = P2pPublicKey::of_scalar(curve, &scalar)
            .ok_or(KeyMaterialError::InvalidPrivateKey(PrivateKeyFault::Range))?;
        Ok(Self { scalar, public_key })
    }

    fn check_public_key(&self, point: &[u8]) -> Result<(), KeyMaterialError> {
        if self.public_key.is_point(point) {
            Ok(())
        } else {
            Err(KeyMaterialError::InvalidPrivateKey(PrivateKeyFault::PublicKey))
        }
    }

    fn prove(&self) -> Result<(), KeyMaterialError> {
        let challenge = random::make_entropy()?;
        let spki = self.public_key.to_spki_der();
        if arithmetic::proves(self.curve(), &self.scalar, &spki, challenge.as_slice()) {
            Ok(())
        } else {
            Err(KeyMaterialError::Unproven)
        }
    }

    /// `ECPrivateKey` with the public half, and with the parameters given.
    fn ec_private_key(&self, parameters: Option<&[u8]>) -> Zeroizing<Vec<u8>> {
        let version = der::element(der::INTEGER, &[&[1]]);
        let private_key = der::element(der::OCTET_STRING, &[&self.scalar]);
        let point = der::bit_string(&self.public_key.to_uncompressed_point());
        let public_key = der::element(der::CONTEXT_1, &[&point]);
        let parameters = parameters.unwrap_or_default();
        der::element(der::SEQUENCE, &[&version, &private_key, parameters, &public_key])
    }
}

/// Shows the curve and nothing else.
impl fmt::Debug for P2pPrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("P2pPrivateKey").field("curve", &self.curve()).finish_non_exhaustive()
    }
}

/// By its scalar's own wrapper.
impl ZeroizeOnDrop for P2pPrivateKey {}

fn named_curve(parameters: EcParameters) -> Option<Curve> {
    parameters.named_curve().and_then(Curve::from_oid)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::fmt;

    use rand::{TryCryptoRng, TryRng};

    use super::*;

    /// Gives out prepared bytes, and ones when they are used up.
    struct Prepared(VecDeque<u8>);

    impl Prepared {
        fn new(draws: &[Vec<u8>]) -> Self {
            Self(draws.concat().into())
        }
    }

    impl TryRng for Prepared {
        type Error = Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            let mut bytes = [0; 4];
            self.try_fill_bytes(&mut bytes)?;
            Ok(u32::from_le_bytes(bytes))
        }

        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            let mut bytes = [0; 8];
            self.try_fill_bytes(&mut bytes)?;
            Ok(u64::from_le_bytes(bytes))
        }

        fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Self::Error> {
            to.fill_with(|| self.0.pop_front().unwrap_or(1));
            Ok(())
        }
    }

    impl TryCryptoRng for Prepared {}

    /// Fails as a generator does that the operating system denies.
    struct Denied;

    #[derive(Debug)]
    struct DeniedError;

    impl fmt::Display for DeniedError {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("denied")
        }
    }

    impl std::error::Error for DeniedError {}

    impl TryRng for Denied {
        type Error = DeniedError;

        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            Err(DeniedError)
        }

        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            Err(DeniedError)
        }

        fn try_fill_bytes(&mut self, _to: &mut [u8]) -> Result<(), Self::Error> {
            Err(DeniedError)
        }
    }

    impl TryCryptoRng for Denied {}

    #[test]
    fn a_draw_out_of_range_is_drawn_again() {
        for curve in Curve::ALL {
            let size = curve.field_size();
            let mut rng = Prepared::new(&[vec![0xff; size], vec![0; size], vec![7; size]]);
            let key = P2pPrivateKey::make_with(curve, &mut rng).unwrap();
            assert_eq!(*key.scalar, vec![7; size], "{curve}");
            assert!(rng.0.is_empty(), "{curve}");
        }
    }

    #[test]
    fn without_random_numbers_there_is_no_key() {
        for curve in Curve::ALL {
            let error = P2pPrivateKey::make_with(curve, &mut Denied).unwrap_err();
            assert_eq!(error, KeyMaterialError::RandomUnavailable, "{curve}");
        }
    }

    #[test]
    fn a_pair_whose_halves_differ_is_not_proven() {
        for curve in Curve::ALL {
            let mut key = P2pPrivateKey::make(curve).unwrap();
            key.prove().unwrap();
            key.public_key = P2pPrivateKey::make(curve).unwrap().public_key();
            assert_eq!(key.prove().unwrap_err(), KeyMaterialError::Unproven, "{curve}");
        }
    }
}
